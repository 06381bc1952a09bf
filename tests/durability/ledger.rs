//! What a worker knows: what was acknowledged, what was not, and what may be either.

use std::collections::BTreeMap;
use std::fmt;

/// Whether something must work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Acknowledged and not ended: it must work.
    Live,
    /// Its end was asked for and the answer was lost: it works or it does not, and then stays so.
    Unsure,
    /// Its end was acknowledged, or seen: it must never work again.
    Dead,
}

/// A self-registered client.
#[derive(Debug)]
pub struct Client {
    pub id: String,
    pub management: String,
    pub fate: Fate,
    /// A consent was acknowledged, and no end of it asked for.
    pub approved: bool,
}

/// An authorization code that reached the client.
#[derive(Clone, Debug)]
pub struct Code {
    pub client: usize,
    pub text: String,
    pub verifier: String,
}

/// An access token that reached the client.
#[derive(Debug)]
pub struct Access {
    pub jwt: String,
    pub fate: Fate,
}

/// What one code gave.
#[derive(Debug)]
pub struct Family {
    pub code: Code,
    /// Refresh tokens that reached the client, oldest first.
    pub chain: Vec<String>,
    /// The newest was presented and the answer was lost.
    pub asked: bool,
    pub access: Vec<Access>,
    pub fate: Fate,
}

impl Family {
    pub fn newest(&self) -> &str {
        self.chain.last().expect("a family begins with a token")
    }

    /// Everything of it shares this fate now, but for what is dead already.
    pub fn meets(&mut self, fate: Fate) {
        let fates = self.access.iter_mut().map(|access| &mut access.fate).chain([&mut self.fate]);
        for one in fates.filter(|one| **one != Fate::Dead) {
            *one = fate;
        }
    }
}

/// How often each operation was acknowledged, and how often its answer was lost; and how lost ones turned out.
#[derive(Default)]
pub struct Counts(BTreeMap<&'static str, [u64; 4]>);

const ACKNOWLEDGED: usize = 0;
const LOST: usize = 1;
const HAPPENED: usize = 2;
const NEVER: usize = 3;

impl Counts {
    pub fn acknowledged(&mut self, what: &'static str) {
        self.0.entry(what).or_default()[ACKNOWLEDGED] += 1;
    }

    pub fn lost(&mut self, what: &'static str) {
        self.0.entry(what).or_default()[LOST] += 1;
    }

    pub fn turned_out(&mut self, what: &'static str, happened: bool) {
        self.0.entry(what).or_default()[if happened { HAPPENED } else { NEVER }] += 1;
    }

    pub fn unknown(&self) -> u64 {
        self.0.values().map(|row| row[LOST]).sum()
    }

    pub fn plus(mut self, other: &Self) -> Self {
        for (what, row) in &other.0 {
            let sums = self.0.entry(what).or_default();
            for (sum, more) in sums.iter_mut().zip(row) {
                *sum += more;
            }
        }
        self
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16} {:>12} {:>12} {:>14} {:>14}",
            "operation", "acknowledged", "answer lost", "had happened", "had not"
        )?;
        for (what, row) in &self.0 {
            writeln!(f, "{what:<16} {:>12} {:>12} {:>14} {:>14}", row[0], row[1], row[2], row[3])?;
        }
        Ok(())
    }
}
