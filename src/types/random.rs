//! Randomness, handed in so that a test can replay it.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A source of random bytes.
pub trait Rng: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

/// Bytes that a thread takes from the operating system at once: a request needs a few dozen in several small pieces, and
/// each piece of its own would be a system call.
const AHEAD: usize = 512;

/// The operating system's generator, read a little ahead by each thread; what has been given out is wiped.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemRng;

struct Ahead {
    bytes: Zeroizing<[u8; AHEAD]>,
    used: usize,
}

thread_local! {
    static AHEAD_OF_THREAD: RefCell<Ahead> =
        RefCell::new(Ahead { bytes: Zeroizing::new([0; AHEAD]), used: AHEAD });
}

impl Rng for SystemRng {
    fn fill(&self, out: &mut [u8]) {
        AHEAD_OF_THREAD.with_borrow_mut(|ahead| match ahead.bytes.get(ahead.used..ahead.used + out.len()) {
            Some(_) => ahead.give(out),
            None if out.len() > AHEAD / 4 => from_system(out),
            None => {
                from_system(ahead.bytes.as_mut_slice());
                ahead.used = 0;
                ahead.give(out);
            }
        });
    }
}

impl Ahead {
    /// Moves the next bytes to `out`; the caller has seen that there are enough.
    fn give(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.bytes.iter_mut().skip(self.used)) {
            *to = std::mem::take(from);
        }
        self.used += out.len();
    }
}

#[expect(clippy::expect_used, reason = "without randomness nothing this program does is safe")]
#[expect(clippy::disallowed_methods, reason = "the one place where the system's generator is read")]
fn from_system(out: &mut [u8]) {
    getrandom::fill(out).expect("the operating system gives random bytes");
}

/// A reproducible generator for tests: SHA-256 of seed and counter.
#[derive(Debug)]
pub struct SeededRng {
    seed: u64,
    counter: AtomicU64,
}

impl SeededRng {
    /// The same seed gives the same bytes.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Rng for SeededRng {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.counter.fetch_add(1, Ordering::SeqCst);
            let mut hash = Sha256::new();
            hash.update(self.seed.to_be_bytes());
            hash.update(count.to_be_bytes());
            for (to, from) in chunk.iter_mut().zip(hash.finalize()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_out_twice_and_nothing_is_left_empty() {
        let mut seen = HashSet::new();
        for round in 0..2_000_usize {
            let mut bytes = vec![0; [16, 32, 33, 129, 600][round % 5]];
            SystemRng.fill(&mut bytes);
            for piece in bytes.chunks_exact(16) {
                assert!(seen.insert(piece.to_vec()), "16 bytes came twice");
                assert!(piece.iter().any(|byte| *byte != 0), "16 bytes were never filled");
            }
        }
    }
}
