//! Another master key takes the place of this one while everything runs. Three steps, each of which may be interrupted and
//! begun again: the root keys are sealed under both master keys beside a new root key that every node gets to know; the new
//! root key seals, and everything is sealed anew under it; and when every node runs with the new master key, the root keys
//! under the old one and the old root key are forgotten.

use std::collections::BTreeMap;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::people::OrderError;
use super::reseal::{self, Counts, Left};
use super::{live, roots};
use crate::crypto::roots::fingerprint;
use crate::crypto::seal::MasterKey;
use crate::storage::generations::{self, Topic};
use crate::storage::{audit, roots as rows};
use crate::types::audit::AuditKind;
use crate::types::policy::ROOT_KEY_SETTLES;
use crate::types::root_key::{RootUse, WrappedRoot};
use crate::types::time::Timestamp;

/// How often what another process changes at the same time is read anew.
const TRIES: usize = 3;

/// A rotation that has begun.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Begun {
    /// The master key whose place is taken, by fingerprint.
    pub from: String,
    /// The one that takes it.
    pub to: String,
    /// The number of the new root key.
    pub root: u32,
    /// Whether it had begun before.
    pub goes_on: bool,
}

/// What was sealed anew.
#[derive(Debug, serde::Serialize)]
pub struct Resealed {
    /// How much, by table and column.
    pub resealed: Counts,
    /// What is not sealed under the new root key.
    pub left: Left,
}

/// What was forgotten.
#[derive(Debug, serde::Serialize)]
pub struct Retired {
    /// The master keys, by fingerprint.
    pub masters: Vec<String>,
    /// The root keys, by number.
    pub roots: Vec<u32>,
    /// Whether nothing of it is left in free pages of the database file either. PostgreSQL sees to its own.
    pub compacted: bool,
}

/// What the rows say.
struct Standing {
    rows: Vec<WrappedRoot>,
    masters: BTreeMap<i64, String>,
    own_turn: i64,
}

impl Standing {
    async fn read(core: &Core) -> Result<Self, OrderError> {
        let rows = core.store.read(rows::all).await?;
        roots::follow(&core.master, &rows).map_err(Fault::from)?;
        let masters = rows::masters(&rows);
        let own = core.master.fingerprint();
        match masters.iter().find(|(_, master)| *master == own).map(|(turn, _)| *turn) {
            Some(own_turn) => Ok(Self { rows, masters, own_turn }),
            None => Err(OrderError::Bad("the master key that is configured has been retired".to_owned())),
        }
    }

    fn later(&self) -> Option<&String> {
        self.masters.range(self.own_turn + 1..).next_back().map(|(_, master)| master)
    }

    fn earlier(&self) -> impl Iterator<Item = &String> {
        self.masters.range(..self.own_turn).map(|(_, master)| master)
    }

    fn own(&self) -> impl Iterator<Item = &WrappedRoot> {
        self.rows.iter().filter(|row| row.turn == self.own_turn)
    }

    /// The newest root key that seals, or will.
    fn newest(&self) -> Option<&WrappedRoot> {
        self.own().filter(|row| row.kind == RootUse::Seals).max_by_key(|row| row.id)
    }
}

/// Seals the root keys under `next`, too, and makes a new one that every node gets to know before it seals. A rotation to
/// the same key goes on; one to another key is put aside when `instead` says so, because its key was lost, say.
///
/// # Errors
/// See [`OrderError`].
pub async fn begin(
    core: &Core,
    caller: &Caller,
    next: &MasterKey,
    instead: bool,
) -> Result<Begun, OrderError> {
    let to = fingerprint(next);
    for _ in 0..TRIES {
        let standing = Standing::read(core).await?;
        let from = core.master.fingerprint().to_owned();
        if to == from {
            return Err(OrderError::Bad("the new master key is the one that is in use".to_owned()));
        }
        if standing.earlier().next().is_some() {
            return Err(OrderError::Bad(
                "the rotation before this one is not finished: postern key retire-master".to_owned(),
            ));
        }
        let pending = standing.later().cloned();
        let newest = standing.newest().ok_or(Fault::Bug("there is no root key"))?;
        if pending.as_ref() == Some(&to) {
            return Ok(Begun { from, to, root: newest.id, goes_on: true });
        }
        if pending.is_some() && !instead {
            return Err(OrderError::Bad(
                "a rotation to another master key has begun: go on with that key, or say --instead if it is lost"
                    .to_owned(),
            ));
        }
        let root = standing.rows.iter().map(|row| row.id).max().unwrap_or_default() + 1;
        let begun = Begun { from, to: to.clone(), root, goes_on: false };
        let made = under_both(core, &standing, next, &begun)?;
        if insert(core, caller, standing, made, &begun).await? {
            live::refresh(core).await?;
            return Ok(begun);
        }
    }
    Err(Fault::Busy.into())
}

/// The rows of a rotation: every root key under the new master key, and the new root key under both.
fn under_both(
    core: &Core,
    standing: &Standing,
    next: &MasterKey,
    begun: &Begun,
) -> Result<Vec<WrappedRoot>, Fault> {
    let rng = core.rng.as_ref();
    let turn = standing.masters.last_key_value().map_or(standing.own_turn, |(turn, _)| *turn) + 1;
    let mut made = Vec::new();
    for row in standing.own() {
        let sealed = core.master.rewrapped(row, next, rng)?;
        made.push(WrappedRoot { master: begun.to.clone(), turn, sealed, ..row.clone() });
    }
    let [old, new] = core.master.another(begun.root, next, rng);
    for (master, turn, sealed) in [(&begun.from, standing.own_turn, old), (&begun.to, turn, new)] {
        made.push(WrappedRoot {
            id: begun.root,
            kind: RootUse::Seals,
            master: master.clone(),
            turn,
            sealed,
            created_at: core.now(),
            seals_since: None,
        });
    }
    Ok(made)
}

/// Adds them, unless something has changed since the rows were read.
async fn insert(
    core: &Core,
    caller: &Caller,
    standing: Standing,
    made: Vec<WrappedRoot>,
    begun: &Begun,
) -> Result<bool, Fault> {
    let mut event = core.event(AuditKind::MasterKeyRotationBegun, caller, core.now());
    event.detail = serde_json::json!({ "from": begun.from, "to": begun.to, "root": begun.root });
    Ok(core
        .store
        .write(move |tx| {
            generations::hold(tx, Topic::Roots)?;
            if rows::all(tx)? != standing.rows {
                return Ok(false);
            }
            if let Some(lost) = standing.later() {
                rows::forget_master(tx, lost)?;
            }
            made.iter().try_for_each(|row| rows::insert(tx, row))?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?)
}

/// Lets the new root key seal. Every node must have got to know it: [`ROOT_KEY_SETTLES`] after [`begin`].
///
/// # Errors
/// A fault.
pub async fn activate(core: &Core, caller: &Caller) -> Result<(), Fault> {
    let now = core.now();
    let event = core.event(AuditKind::RootKeyBegun, caller, now);
    core.store
        .write(move |tx| {
            generations::hold(tx, Topic::Roots)?;
            let waiting = rows::all(tx)?.into_iter().filter(|row| row.seals_since.is_none());
            let waiting = waiting.filter(|row| row.kind == RootUse::Seals).map(|row| row.id).max();
            if let Some(root) = waiting {
                rows::begin(tx, now)?;
                let mut event = event.clone();
                event.detail = serde_json::json!({ "root": root });
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    live::refresh(core).await
}

/// Seals everything anew that is not sealed under the newest root key; see [`reseal::reseal`].
///
/// # Errors
/// A fault.
pub async fn reseal(core: &Core, caller: &Caller) -> Result<Resealed, Fault> {
    live::refresh(core).await?;
    let (resealed, left) = reseal::reseal(core).await?;
    if !resealed.is_empty() {
        let mut event = core.event(AuditKind::MasterKeyResealed, caller, core.now());
        event.detail = serde_json::json!({ "root": core.master.current(), "resealed": resealed });
        core.store.write(move |tx| audit::append(tx, &event)).await?;
    }
    Ok(Resealed { resealed, left })
}

/// Forgets the root keys under every other master key than this, which must be the newest, and the root keys before the
/// newest. What is still sealed under one of those is sealed anew first; what does not open stays a reason not to, unless
/// `lose_unreadable` says otherwise.
///
/// # Errors
/// See [`OrderError`]; [`OrderError::Bad`] says what is still there.
pub async fn retire(core: &Core, caller: &Caller, lose_unreadable: bool) -> Result<Retired, OrderError> {
    let standing = ready(core, caller).await?;
    let resealed = reseal(core, caller).await?;
    refuse(&resealed.left, lose_unreadable)?;
    let newest = core.master.current();
    let masters: Vec<String> = standing.earlier().cloned().collect();
    let older = |row: &&WrappedRoot| row.kind == RootUse::Seals && row.id < newest;
    let roots: Vec<u32> = standing.own().filter(older).map(|row| row.id).collect();
    let mut event = core.event(AuditKind::MasterKeyRetired, caller, core.now());
    event.detail = serde_json::json!({
        "masters": masters,
        "roots": roots,
        "lost": resealed.left.unreadable,
    });
    let gone = masters.clone();
    let still = core
        .store
        .write(move |tx| {
            generations::hold(tx, Topic::Roots)?;
            if rows::all(tx)? != standing.rows {
                return Ok(false);
            }
            gone.iter().try_for_each(|master| rows::forget_master(tx, master))?;
            rows::forget_before(tx, newest)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if !still {
        return Err(Fault::Busy.into());
    }
    live::refresh(core).await?;
    let compacted = core.store.compact().await.is_ok();
    Ok(Retired { masters, roots, compacted })
}

/// Whether there is something to retire, and it is time.
async fn ready(core: &Core, caller: &Caller) -> Result<Standing, OrderError> {
    let bad = |why: String| Err(OrderError::Bad(why));
    let mut standing = Standing::read(core).await?;
    if standing.later().is_some() {
        return bad(
            "this is the master key whose place is taken: run this with the new one, when every node has it"
                .to_owned(),
        );
    }
    let seals = standing.own().filter(|row| row.kind == RootUse::Seals).count();
    if standing.earlier().next().is_none() && seals < 2 {
        return bad("there is nothing to retire".to_owned());
    }
    if standing.newest().is_some_and(|root| root.seals_since.is_none()) {
        // The rotation was interrupted before that.
        activate(core, caller).await?;
        standing = Standing::read(core).await?;
    }
    let since = standing.newest().and_then(|root| root.seals_since).unwrap_or_else(|| core.now());
    // Within the retry window a used refresh token is answered with the successor that the root key of then gives.
    let from = since.plus(ROOT_KEY_SETTLES.max(core.policy.refresh_retry_window));
    let wait = seconds_until(from, core.now());
    if wait > 0 {
        return bad(format!(
            "the new root key has not been in use for long enough; nothing is lost: try again in {wait} s"
        ));
    }
    Ok(standing)
}

fn seconds_until(at: Timestamp, now: Timestamp) -> u64 {
    if at <= now { 0 } else { at.since(now).as_secs() + 1 }
}

fn refuse(left: &Left, lose_unreadable: bool) -> Result<(), OrderError> {
    let said = |counts: &Counts| {
        counts.iter().map(|(column, count)| format!("{count} in {column}")).collect::<Vec<_>>().join(", ")
    };
    if !left.older.is_empty() {
        return Err(OrderError::Bad(format!(
            "some things are still sealed under an older root key: {}; run this again, and if that does not help, find \
             the node that runs without knowing the new one",
            said(&left.older)
        )));
    }
    if !left.unreadable.is_empty() && !lose_unreadable {
        return Err(OrderError::Bad(format!(
            "some things do not open under any root key there is: {}; --lose-unreadable retires all the same",
            said(&left.unreadable)
        )));
    }
    Ok(())
}
