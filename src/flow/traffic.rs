//! How much goes through the gateway, under one approval and for one person, and which servers are left alone for a while.
//! Each node counts what it lets through itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::core::Core;
use super::gateway::{Pass, Route};
use super::limits::{self, Limits, Reached, Taken};
use crate::types::call_limit::CallLimit;
use crate::types::id::{GrantId, ResourceId};
use crate::types::policy::{
    CALLS_A_MINUTE, CALLS_AT_ONCE, NOTE_USE, UPSTREAM_FAILURES, UPSTREAM_REST, USAGE_ROOM,
};
use crate::types::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);

/// What goes through now, and what has failed lately; of this node.
#[derive(Debug, Default)]
pub struct Traffic {
    grants: Mutex<HashMap<GrantId, Flow>>,
    pub(super) limits: Limits,
    noted: Mutex<HashMap<GrantId, Timestamp>>,
    refused: Mutex<HashMap<GrantId, Timestamp>>,
    servers: Mutex<HashMap<ResourceId, Health>>,
}

/// Messages within a minute.
#[derive(Debug)]
struct Window {
    since: Timestamp,
    count: usize,
    told: bool,
}

impl Window {
    const fn new(now: Timestamp) -> Self {
        Self { since: now, count: 0, told: false }
    }

    fn roll(&mut self, now: Timestamp) {
        if now.since(self.since) >= MINUTE {
            *self = Self::new(now);
        }
    }

    /// A refusal until the window ends.
    fn refuse(&mut self, rule: &'static str, now: Timestamp) -> Refused {
        let wait = MINUTE.saturating_sub(now.since(self.since)).as_secs().max(1);
        Refused { rule, wait, first: !std::mem::replace(&mut self.told, true), limit: None }
    }
}

/// What goes through under one approval.
#[derive(Debug)]
struct Flow {
    messages: Window,
    open: usize,
}

#[derive(Debug, Default)]
struct Health {
    failures: usize,
    rests_until: Option<Timestamp>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room when there is none; what is dropped is what says nothing any more.
fn room<K: Eq + Hash, V>(map: &mut HashMap<K, V>, keep: impl FnMut(&K, &mut V) -> bool) {
    if map.len() >= USAGE_ROOM {
        map.retain(keep);
    }
}

impl Traffic {
    /// Whether the use of a grant token is to be noted now.
    pub(super) fn is_worth_noting(&self, grant: GrantId, now: Timestamp) -> bool {
        let mut noted = lock(&self.noted);
        room(&mut noted, |_, at| now.since(*at) < NOTE_USE);
        let worth = noted.get(&grant).is_none_or(|at| now.since(*at) >= NOTE_USE);
        if worth {
            noted.insert(grant, now);
        }
        worth
    }

    /// Whether nobody was told within the minute that something under this approval was refused at the door.
    pub(super) fn is_first_refusal(&self, grant: GrantId, now: Timestamp) -> bool {
        let mut refused = lock(&self.refused);
        room(&mut refused, |_, at| now.since(*at) < MINUTE);
        let first = refused.get(&grant).is_none_or(|at| now.since(*at) >= MINUTE);
        if first {
            refused.insert(grant, now);
        }
        first
    }
}

/// A place among what goes through; given back when dropped.
pub struct Place {
    core: Arc<Core>,
    grant: GrantId,
    taken: Taken,
}

impl Place {
    /// Counts bytes that go out to whoever has it.
    pub fn went_out(&self, bytes: usize) {
        self.taken.went_out(bytes);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(flow) = lock(&self.core.traffic.grants).get_mut(&self.grant) {
            flow.open = flow.open.saturating_sub(1);
        }
    }
}

/// Why there is no place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which rule.
    pub rule: &'static str,
    /// After how many seconds to try again.
    pub wait: u64,
    /// Whether it is the first time within the window: that one is recorded.
    pub first: bool,
    /// The administrator's limit, where it is one.
    pub limit: Option<CallLimit>,
}

/// A place for one more message under an approval, of one person at one server. `tool` is the tool that it calls.
///
/// # Errors
/// When there are too many at once or within the minute, or a limit of the server is reached.
pub fn place(core: &Arc<Core>, pass: &Pass, route: &Route, tool: Option<&str>) -> Result<Place, Refused> {
    let (now, grant) = (core.now(), pass.claims.grant_id);
    let mut grants = lock(&core.traffic.grants);
    room(&mut grants, |_, flow| flow.open > 0 || now.since(flow.messages.since) < MINUTE);
    let flow = grants.entry(grant).or_insert_with(|| Flow { messages: Window::new(now), open: 0 });
    flow.messages.roll(now);
    if flow.messages.count >= CALLS_A_MINUTE {
        return Err(flow.messages.refuse("rate", now));
    }
    if flow.open >= CALLS_AT_ONCE {
        return Err(Refused { wait: 1, ..flow.messages.refuse("concurrency", now) });
    }
    let taken = limits::take(core, pass, route, tool).map_err(|Reached { limit, wait, first }| Refused {
        rule: "limit",
        wait,
        first,
        limit: Some(limit),
    })?;
    flow.messages.count += 1;
    flow.open += 1;
    drop(grants);
    Ok(Place { core: Arc::clone(core), grant, taken })
}

/// Whether a server that has failed again and again is left alone now.
#[must_use]
pub fn rests(core: &Core, route: &Route) -> bool {
    let until = lock(&core.traffic.servers).get(&route.resource.id).and_then(|health| health.rests_until);
    until.is_some_and(|until| core.now() < until)
}

/// Notes whether a server could be reached.
pub fn reached(core: &Core, route: &Route, well: bool) {
    let now = core.now();
    let mut servers = lock(&core.traffic.servers);
    if well {
        servers.remove(&route.resource.id);
        return;
    }
    let health = servers.entry(route.resource.id).or_default();
    health.failures += 1;
    if health.failures >= UPSTREAM_FAILURES {
        health.rests_until = Some(now.plus(UPSTREAM_REST));
    }
}
