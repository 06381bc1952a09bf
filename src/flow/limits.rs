//! The limits that an administrator has set for a server behind the gateway. Each node counts what it lets through itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::core::Core;
use super::gateway::{Pass, Route};
use crate::types::call_limit::{CallLimit, Most, Whose};
use crate::types::id::ResourceId;
use crate::types::policy::USAGE_ROOM;
use crate::types::time::Timestamp;

/// What was counted, by server, limit, and whose it is.
type Counts = HashMap<(ResourceId, CallLimit, String), Count>;

/// What has been counted under one limit.
#[derive(Debug)]
struct Count {
    since: Timestamp,
    so_far: u64,
    open: u64,
    told: bool,
}

/// What all limits have counted on this node.
#[derive(Debug, Default)]
pub struct Limits(Mutex<Counts>);

impl Limits {
    fn with<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Count {
    fn rolled(&mut self, most: Most, now: Timestamp) {
        if span(most).is_some_and(|span| now.since(self.since) >= span) {
            *self = Self { since: now, so_far: 0, told: false, open: self.open };
        }
    }

    fn is_full(&self, most: Most) -> bool {
        match most {
            Most::Calls(most, _) | Most::Bytes(most, _) => self.so_far >= most,
            Most::AtOnce(most) => self.open >= most,
        }
    }
}

const fn span(most: Most) -> Option<Duration> {
    match most {
        Most::Calls(_, span) | Most::Bytes(_, span) => Some(span),
        Most::AtOnce(_) => None,
    }
}

/// A limit that is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached {
    /// Which one.
    pub limit: CallLimit,
    /// After how many seconds to try again.
    pub wait: u64,
    /// Whether it is the first time within the span, or a minute: that one is recorded.
    pub first: bool,
}

/// What a message has of each limit that is about it. What it has at once is given back when dropped.
pub struct Taken {
    core: Arc<Core>,
    keys: Vec<(ResourceId, CallLimit, String)>,
}

impl Taken {
    /// Counts bytes that go out.
    pub fn went_out(&self, bytes: usize) {
        if !self.keys.iter().any(|(_, limit, _)| matches!(limit.most, Most::Bytes(..))) {
            return;
        }
        let (now, bytes) = (self.core.now(), u64::try_from(bytes).unwrap_or(u64::MAX));
        self.core.traffic.limits.with(|counts| {
            for key in self.keys.iter().filter(|(_, limit, _)| matches!(limit.most, Most::Bytes(..))) {
                if let Some(count) = counts.get_mut(key) {
                    count.rolled(key.1.most, now);
                    count.so_far = count.so_far.saturating_add(bytes);
                }
            }
        });
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        self.core.traffic.limits.with(|counts| {
            for key in &self.keys {
                if let Some(count) = counts.get_mut(key) {
                    count.open = count.open.saturating_sub(1);
                }
            }
        });
    }
}

/// Takes part of every limit that is about a message, or of none when one of them is reached. `tool` is the tool that it calls.
pub(super) fn take(
    core: &Arc<Core>,
    pass: &Pass,
    route: &Route,
    tool: Option<&str>,
) -> Result<Taken, Reached> {
    let about = route.limits.iter().filter(|limit| limit.is_about(tool));
    let keys: Vec<_> = about
        .map(|limit| {
            let whose = match limit.whose {
                Whose::Person => pass.claims.sub.clone(),
                Whose::Approval => pass.claims.grant_id.to_string(),
                Whose::Everybody => String::new(),
            };
            (route.resource.id, limit.clone(), whose)
        })
        .collect();
    if !keys.is_empty() {
        let now = core.now();
        core.traffic.limits.with(|counts| count(counts, &keys, now))?;
    }
    Ok(Taken { core: Arc::clone(core), keys })
}

fn count(
    counts: &mut Counts,
    keys: &[(ResourceId, CallLimit, String)],
    now: Timestamp,
) -> Result<(), Reached> {
    if counts.len() >= USAGE_ROOM {
        // What is dropped says nothing any more.
        counts.retain(|(_, limit, _), count| {
            count.open > 0 || span(limit.most).is_some_and(|span| now.since(count.since) < span)
        });
    }
    for key in keys {
        let most = key.1.most;
        let count =
            counts.entry(key.clone()).or_insert(Count { since: now, so_far: 0, open: 0, told: false });
        count.rolled(most, now);
        if count.is_full(most) {
            let wait = span(most).map_or(1, |span| span.saturating_sub(now.since(count.since)).as_secs());
            // What has no span of its own is told of once a minute.
            if span(most).is_none() && now.since(count.since) >= Duration::from_secs(60) {
                (count.since, count.told) = (now, false);
            }
            let first = !std::mem::replace(&mut count.told, true);
            return Err(Reached { limit: key.1.clone(), wait: wait.max(1), first });
        }
    }
    for key in keys {
        if let Some(count) = counts.get_mut(key) {
            count.open += 1;
            if matches!(key.1.most, Most::Calls(..)) {
                count.so_far += 1;
            }
        }
    }
    Ok(())
}
