//! How often things have happened in this process, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::AuditKind;

/// Room for kinds of events; a test sees to it that there is enough.
const ROOM: usize = 256;

/// One counter for each member of a closed set, by its place in the set.
#[derive(Debug)]
pub struct Counters<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counters<N> {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }

    /// Counts one.
    pub fn count(&self, place: usize) {
        if let Some(counter) = self.0.get(place) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts, in the order of the set.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|counter| counter.load(Ordering::Relaxed))
    }
}

impl<const N: usize> Default for Counters<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// One counter for each kind of event.
#[derive(Debug, Default)]
pub struct Tally(Counters<ROOM>);

impl Tally {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Counters::new())
    }

    /// Counts one.
    pub fn count(&self, kind: AuditKind) {
        self.0.count(kind as usize);
    }

    /// The counts of those kinds that have happened.
    pub fn counts(&self) -> impl Iterator<Item = (AuditKind, u64)> {
        AuditKind::ALL.iter().copied().zip(self.0.counts()).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_counter() {
        let tally = Tally::default();
        for kind in AuditKind::ALL {
            tally.count(*kind);
        }
        tally.count(AuditKind::TokenIssued);
        assert_eq!(tally.counts().count(), AuditKind::ALL.len());
        for (kind, count) in tally.counts() {
            assert_eq!(count, if kind == AuditKind::TokenIssued { 2 } else { 1 }, "{kind:?}");
        }
    }
}
