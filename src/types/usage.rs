//! How approvals are used, counted in memory between two looks: what happens too often for a record each.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use super::client::ClientId;
use super::id::{GrantId, ResourceId, UserId};
use super::policy::{CALLS_WORTH_NOTING, TOKENS_WORTH_NOTING, USAGE_ROOM, USAGE_SLOT};
use super::time::Timestamp;

/// Whose approval it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The person; absent when a client acts for itself.
    pub user_id: Option<UserId>,
    /// The client.
    pub client_id: ClientId,
}

impl Holder {
    /// From what a token says of whom it stands for: a person by id, or its client by the client's own.
    #[must_use]
    pub fn of(sub: &str, client_id: &ClientId) -> Self {
        let user_id = if sub == client_id.as_str() { None } else { UserId::parse(sub) };
        Self { user_id, client_id: client_id.clone() }
    }
}

/// How much an approval was used within one slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calls {
    /// Whose it is.
    pub holder: Holder,
    /// Tokens issued under it.
    pub tokens: usize,
    /// Times somebody asked about a token under it, or it was accepted here.
    pub checks: usize,
}

/// Tokens of one approval at a server that they are not for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Misdirected {
    /// Whose they are.
    pub holder: Holder,
    /// The server they are for.
    pub audience: String,
    /// How often.
    pub count: usize,
}

#[derive(Debug, Default)]
struct Slot {
    since: Option<Timestamp>,
    calls: HashMap<GrantId, Calls>,
}

/// The counters of this node.
#[derive(Debug, Default)]
pub struct Usage {
    slot: Mutex<Slot>,
    misdirected: Mutex<HashMap<(GrantId, ResourceId), Misdirected>>,
}

impl Usage {
    /// A token was issued.
    pub fn issued(&self, grant: GrantId, sub: &str, client: &ClientId, now: Timestamp) {
        self.count(grant, sub, client, now, |calls| calls.tokens += 1);
    }

    /// A token was asked about by whom it is for, or accepted here.
    pub fn checked(&self, grant: GrantId, sub: &str, client: &ClientId, now: Timestamp) {
        self.count(grant, sub, client, now, |calls| calls.checks += 1);
    }

    fn count(
        &self,
        grant: GrantId,
        sub: &str,
        client: &ClientId,
        now: Timestamp,
        add: impl FnOnce(&mut Calls),
    ) {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.since.get_or_insert(now);
        let new = || Calls { holder: Holder::of(sub, client), tokens: 0, checks: 0 };
        if let Some(calls) = room(&mut slot.calls, grant, new) {
            add(calls);
        }
    }

    /// A token came to `server`, which it is not for.
    pub fn misdirected(&self, server: ResourceId, grant: GrantId, of: (&str, &ClientId), audience: &str) {
        let mut all = self.misdirected.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Misdirected { holder: Holder::of(of.0, of.1), audience: audience.to_owned(), count: 0 };
        if let Some(found) = room(&mut all, (grant, server), new) {
            found.count += 1;
        }
    }

    /// What is worth a record now that a slot is over, and its beginning; nothing before.
    pub fn take_calls(&self, now: Timestamp) -> Option<(Timestamp, Vec<(GrantId, Calls)>)> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let since = slot.since.filter(|since| now.since(*since) >= USAGE_SLOT)?;
        let done = std::mem::take(&mut *slot);
        let busy = |calls: &Calls| calls.tokens >= TOKENS_WORTH_NOTING || calls.checks >= CALLS_WORTH_NOTING;
        Some((since, done.calls.into_iter().filter(|(_, calls)| busy(calls)).collect()))
    }

    /// The tokens that came to the wrong servers since the last time.
    pub fn take_misdirected(&self) -> Vec<((GrantId, ResourceId), Misdirected)> {
        let mut all = self.misdirected.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all).into_iter().collect()
    }

    /// Takes back what could not be written down.
    pub fn put_back(
        &self,
        calls: Option<(Timestamp, Vec<(GrantId, Calls)>)>,
        misdirected: Vec<((GrantId, ResourceId), Misdirected)>,
    ) {
        if let Some((since, calls)) = calls {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.since = Some(since);
            for (grant, more) in calls {
                let new = || Calls { tokens: 0, checks: 0, ..more.clone() };
                if let Some(known) = room(&mut slot.calls, grant, new) {
                    known.tokens += more.tokens;
                    known.checks += more.checks;
                }
            }
        }
        let mut all = self.misdirected.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, more) in misdirected {
            if let Some(known) = room(&mut all, key, || Misdirected { count: 0, ..more.clone() }) {
                known.count += more.count;
            }
        }
    }
}

/// The entry of `key`, made if there is room: memory is bounded whatever anyone sends.
fn room<K: Hash + Eq, V>(map: &mut HashMap<K, V>, key: K, new: impl FnOnce() -> V) -> Option<&mut V> {
    if map.len() >= USAGE_ROOM && !map.contains_key(&key) {
        return None;
    }
    Some(map.entry(key).or_insert_with(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SystemRng;

    fn world() -> (Usage, GrantId, ClientId, Timestamp) {
        let now = Timestamp::from_seconds(1_800_000_000);
        (Usage::default(), GrantId::new(now, &SystemRng), ClientId::parse("app").unwrap(), now)
    }

    #[test]
    fn only_a_busy_slot_that_is_over_is_worth_a_record() {
        let (usage, grant, client, now) = world();
        for _ in 1..CALLS_WORTH_NOTING {
            usage.checked(grant, "app", &client, now);
        }
        assert_eq!(usage.take_calls(now), None, "the slot is not over");
        let over = now.plus(USAGE_SLOT);
        assert_eq!(usage.take_calls(over), Some((now, Vec::new())), "not busy");
        for _ in 0..CALLS_WORTH_NOTING {
            usage.checked(grant, "app", &client, over);
        }
        let (since, busy) = usage.take_calls(over.plus(USAGE_SLOT)).unwrap();
        assert_eq!((since, busy.len(), busy[0].1.checks), (over, 1, CALLS_WORTH_NOTING));
        assert_eq!(busy[0].1.holder.user_id, None, "the client acts for itself");
    }

    #[test]
    fn what_could_not_be_written_counts_the_next_time() {
        let (usage, grant, client, now) = world();
        let server = ResourceId::new(now, &SystemRng);
        usage.misdirected(server, grant, ("app", &client), "https://a.example");
        let taken = usage.take_misdirected();
        assert_eq!(usage.take_misdirected(), []);
        usage.misdirected(server, grant, ("app", &client), "https://a.example");
        usage.put_back(None, taken);
        assert_eq!(usage.take_misdirected()[0].1.count, 2);
    }

    #[test]
    fn memory_is_bounded() {
        let (usage, _, client, now) = world();
        for _ in 0..USAGE_ROOM + 10 {
            usage.checked(GrantId::new(now, &SystemRng), "app", &client, now);
        }
        assert_eq!(usage.slot.lock().unwrap().calls.len(), USAGE_ROOM);
    }
}
