//! How often each kind of event has happened in this process, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::audit::AuditKind;

/// Room for kinds; a test sees to it that there is enough.
const ROOM: usize = 64;

/// One counter for each kind of event.
#[derive(Debug)]
pub struct Tally([AtomicU64; ROOM]);

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; ROOM])
    }

    /// Counts one.
    pub fn count(&self, kind: AuditKind) {
        if let Some(counter) = self.0.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of those kinds that have happened.
    pub fn counts(&self) -> impl Iterator<Item = (AuditKind, u64)> {
        let counts = self.0.iter().map(|counter| counter.load(Ordering::Relaxed));
        AuditKind::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
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
