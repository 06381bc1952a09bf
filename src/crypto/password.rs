//! Password hashing (argon2id, RFC 9106), bounded: a crowd at the door costs neither memory nor every core.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::types::policy::{ARGON2_MEMORY_KIB, ARGON2_PARALLEL, ARGON2_PASSES, ARGON2_QUEUE, MAX_PASSWORD};
use crate::types::random::{Rng, SystemRng};
use crate::types::secret::Secret;

/// The queue for password hashes is full: try again later (503), never "wrong password".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

/// Hashes and verifies passwords away from the threads that serve requests.
#[derive(Clone, Debug)]
pub struct PasswordHasher {
    /// One permit for each hash that runs or waits.
    admitted: Arc<Semaphore>,
    /// One permit for each hash that runs.
    running: Arc<Semaphore>,
}

impl Default for PasswordHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl PasswordHasher {
    /// With the limits of the policy.
    #[must_use]
    pub fn new() -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(ARGON2_PARALLEL + ARGON2_QUEUE)),
            running: Arc::new(Semaphore::new(ARGON2_PARALLEL)),
        }
    }

    /// Hashes a new password into PHC string form.
    ///
    /// # Errors
    /// [`Busy`] when too many hashes wait.
    pub async fn hash(&self, password: Secret<String>) -> Result<String, Busy> {
        self.run(move || hash_now(&password)).await?.ok_or(Busy)
    }

    /// Whether `password` is the one that `hash` was made from. Without a hash the same work is done and the answer
    /// is no, so that the time taken does not tell whether an account exists. What is longer than [`MAX_PASSWORD`]
    /// cannot be anyone's password and is not hashed.
    ///
    /// # Errors
    /// [`Busy`] when too many hashes wait.
    pub async fn verify(&self, hash: Option<String>, password: Secret<String>) -> Result<bool, Busy> {
        if password.expose().len() > MAX_PASSWORD {
            return Ok(false);
        }
        self.run(move || verify_now(hash.as_deref(), &password)).await
    }

    /// How many hashes run or wait, for the metrics.
    #[must_use]
    pub fn load(&self) -> usize {
        (ARGON2_PARALLEL + ARGON2_QUEUE).saturating_sub(self.admitted.available_permits())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        // The permits go with the work: a caller that gives up does not make room before the memory is free.
        let permits: [OwnedSemaphorePermit; 2] = [admitted, running];
        let work = move || {
            let _permits = permits;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

/// Hashes a password on this thread, for the command line; `None` when the library fails.
#[must_use]
pub fn hash_now(password: &Secret<String>) -> Option<String> {
    let mut salt = [0u8; 16];
    SystemRng.fill(&mut salt);
    let salt = SaltString::encode_b64(&salt).ok()?;
    let hash = hasher()?.hash_password(password.expose().as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

fn verify_now(hash: Option<&str>, password: &Secret<String>) -> bool {
    let password = password.expose().as_bytes();
    let Some(hasher) = hasher() else { return false };
    let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) else {
        let mut out = [0u8; 32];
        let _ = hasher.hash_password_into(password, &[0u8; 16], &mut out);
        return false;
    };
    hasher.verify_password(password, &hash).is_ok()
}

fn hasher() -> Option<Argon2<'static>> {
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only() {
        let hasher = PasswordHasher::new();
        let hash = hasher.hash(secret("correct horse 🐎")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hasher.hash(secret("correct horse 🐎")).await.unwrap());
        for (password, fits) in [("correct horse 🐎", true), ("correct horse", false), ("", false)] {
            assert_eq!(hasher.verify(Some(hash.clone()), secret(password)).await, Ok(fits), "{password}");
        }
    }

    #[tokio::test]
    async fn without_a_readable_hash_nothing_fits() {
        let hasher = PasswordHasher::new();
        assert_eq!(hasher.verify(None, secret("")).await, Ok(false));
        assert_eq!(hasher.verify(Some("rubbish".to_owned()), secret("rubbish")).await, Ok(false));
        assert_eq!(hasher.verify(None, secret(&"x".repeat(MAX_PASSWORD + 1))).await, Ok(false));
    }

    #[tokio::test]
    async fn a_full_queue_says_busy_and_recovers() {
        let hasher = PasswordHasher::new();
        let held = Arc::clone(&hasher.admitted)
            .try_acquire_many_owned(u32::try_from(ARGON2_PARALLEL + ARGON2_QUEUE).unwrap())
            .unwrap();
        assert_eq!(hasher.hash(secret("x")).await, Err(Busy));
        assert_eq!(hasher.load(), ARGON2_PARALLEL + ARGON2_QUEUE);
        drop(held);
        assert_eq!(hasher.verify(None, secret("x")).await, Ok(false));
        assert_eq!(hasher.load(), 0);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_while_waiting_makes_room() {
        let hasher = PasswordHasher::new();
        let _all =
            Arc::clone(&hasher.running).try_acquire_many_owned(u32::try_from(ARGON2_PARALLEL).unwrap());
        let waiting = tokio::spawn({
            let hasher = hasher.clone();
            async move { hasher.hash(secret("x")).await }
        });
        while hasher.load() == 0 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(hasher.load(), 0);
    }
}
