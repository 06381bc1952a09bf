//! The audit log's chain: proving it whole, signing where it stands, and letting go of what is too old.

use std::collections::VecDeque;

use serde_json::json;

use super::core::Core;
use super::failure::Fault;
use crate::storage::audit_chain::{self, Chained, Checkpoint, Marked};
use crate::storage::{StoreError, Tx};
use crate::types::audit_chain::{AuditKey, BEGINNING, ERASED, Hash, Head, Mark, commitment, link};
use crate::types::hex::hex;
use crate::types::key::SigningAlg;
use crate::types::policy::{AUDIT_WALK, SWEEP_BATCH};
use crate::types::time::Timestamp;

/// The `typ` of a checkpoint's statement.
pub const CHECKPOINT_TYPE: &str = "postern-audit-checkpoint+jwt";

/// What a walk along the whole chain found.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// Records that were checked.
    pub records: u64,
    /// Records that retention removed before them.
    pub trimmed: u64,
    /// Checkpoints that fit.
    pub checkpoints: u64,
    /// Records whose address and detail were erased by right.
    pub erased: u64,
    /// When the newest of the records happened.
    pub until: Option<Timestamp>,
}

/// The first place at which the chain does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Break {
    /// In which lane.
    pub lane: i64,
    /// At which position.
    pub position: i64,
    /// The record there, when there is one.
    pub id: Option<String>,
    /// What is wrong.
    pub what: &'static str,
}

impl std::fmt::Display for Break {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the audit log is broken at lane {}, position {}", self.lane, self.position)?;
        if let Some(id) = &self.id {
            write!(out, " (record {id})")?;
        }
        write!(out, ": {}", self.what)
    }
}

/// Walks the whole chain, a page at a time, and checks every record, every end and every checkpoint.
///
/// # Errors
/// A fault; that the chain is broken is no fault.
pub async fn verify(core: &Core) -> Result<Result<Whole, Break>, Fault> {
    let lanes = core.store.read(audit_chain::heads).await?;
    let mut whole = Whole::default();
    for lane in lanes.iter().map(|end| end.head.lane) {
        let key = core.store.audit_key().clone();
        match core.store.read(move |tx| walk(tx, &key, lane)).await? {
            Ok(found) => {
                whole.records += found.records;
                whole.trimmed += found.trimmed;
                whole.checkpoints += found.checkpoints;
                whole.erased += found.erased;
                whole.until = whole.until.max(found.until);
            }
            Err(found) => return Ok(Err(found)),
        }
    }
    if lanes.is_empty() {
        return Ok(Err(Break { lane: 0, position: 0, id: None, what: "the end of the log is missing" }));
    }
    if let Some((lane, position)) = core.store.read(audit_chain::stray).await? {
        let what = "a record stands outside of every lane";
        return Ok(Err(Break { lane, position, id: None, what }));
    }
    Ok(Ok(whole))
}

/// Walks one lane, all in one moment of the database.
fn walk(tx: &mut Tx<'_>, key: &AuditKey, lane: i64) -> Result<Result<Whole, Break>, StoreError> {
    let of_lane = |all: Vec<Marked>| all.into_iter().find(|marked| marked.head.lane == lane);
    let broken = |position, id: Option<&Chained>, what| {
        Ok(Err(Break { lane, position, id: id.map(|record| record.event.id.to_string()), what }))
    };
    let Some(end) = of_lane(audit_chain::heads(tx)?) else {
        return broken(0, None, "the end of the log is missing");
    };
    let mut at = Head { lane, count: 0, hash: BEGINNING };
    if let Some(anchor) = of_lane(audit_chain::anchors(tx)?) {
        if !is_authentic(key, Mark::Anchor, &anchor) {
            return broken(
                anchor.head.count,
                None,
                "the place up to which old records were removed is forged",
            );
        }
        at = anchor.head;
    }
    let mut whole = Whole { trimmed: u64::try_from(at.count).unwrap_or(0), ..Whole::default() };
    let mut checkpoints: VecDeque<Checkpoint> = VecDeque::new();
    loop {
        let records = audit_chain::walk(tx, lane, at.count, AUDIT_WALK)?;
        if records.is_empty() {
            break;
        }
        for record in &records {
            if record.position != at.count {
                return broken(at.count, None, "a record is missing");
            }
            match next(key, &at.hash, record) {
                Ok(hash) => at = Head { lane, count: at.count + 1, hash },
                Err(what) => return broken(record.position, Some(record), what),
            }
            whole.records += 1;
            whole.erased += u64::from(record.opening.is_none());
            whole.until = whole.until.max(Some(record.event.at));
            if checkpoints.is_empty() {
                checkpoints = audit_chain::checkpoints(tx, lane, at.count, AUDIT_WALK)?.into();
            }
            if checkpoints.front().is_some_and(|point| point.marked.head.count <= at.count)
                && let Some(point) = checkpoints.pop_front()
            {
                if point.marked.head != at || !is_authentic(key, Mark::Checkpoint, &point.marked) {
                    return broken(
                        record.position,
                        Some(record),
                        "it does not fit the checkpoint made after it",
                    );
                }
                whole.checkpoints += 1;
            }
        }
    }
    if end.head.count > at.count {
        return broken(at.count, None, "a record is missing: the log has been cut off");
    }
    if end.head != at {
        return broken(end.head.count, None, "the end of the log is not what was written last");
    }
    if at.count > 0 && !is_authentic(key, Mark::Head, &end) {
        return broken(at.count, None, "the end of the log is forged, or the master key is another one");
    }
    if !audit_chain::checkpoints(tx, lane, at.count + 1, 1)?.is_empty() {
        return broken(at.count, None, "a checkpoint speaks of records that are missing");
    }
    Ok(Ok(whole))
}

fn is_authentic(key: &AuditKey, mark: Mark, marked: &Marked) -> bool {
    marked.mac.as_ref().is_some_and(|mac| key.verifies(mark, &marked.head, mac))
}

/// The hash of a record after its predecessor's, if what is stored is what was chained.
fn next(key: &AuditKey, previous: &Hash, record: &Chained) -> Result<Hash, &'static str> {
    let Ok(committed) = Hash::try_from(record.commitment.as_slice()) else {
        return Err("its commitment is no hash");
    };
    if let Some(opening) = &record.opening {
        let opened = commitment(&opening.salt, record.event.address.as_deref(), &opening.detail);
        if opened != committed {
            return Err("its address or detail has been changed");
        }
    } else {
        let place = Hash::try_from(record.hash.as_slice()).map(|hash| Head {
            lane: record.lane,
            count: record.position,
            hash,
        });
        let by_right = place.is_ok_and(|place| {
            record.erased.as_ref().is_some_and(|mac| key.verifies(Mark::Erasure, &place, mac))
        });
        if !by_right {
            return Err("its address and detail are gone, and no erasure accounts for it");
        }
        let nothing =
            serde_json::from_str(ERASED).is_ok_and(|gone: serde_json::Value| record.event.detail == gone);
        if record.event.address.is_some() || !nothing {
            return Err("something was put in the place of what was erased");
        }
    }
    let hash = link(previous, record.lane, record.position, &record.event, &committed);
    if hash.as_slice() == record.hash { Ok(hash) } else { Err("it, or the one before it, has been changed") }
}

/// Signs where the lanes stand, when they have moved since the last time. Who keeps such a statement and the key set can
/// prove later what the log said then.
///
/// # Errors
/// A fault.
pub async fn checkpoint(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let moved = core
        .store
        .read(|tx| {
            let mut moved = Vec::new();
            for end in audit_chain::heads(tx)? {
                if end.head.count > audit_chain::checkpointed(tx, end.head.lane)? {
                    moved.push(end);
                }
            }
            Ok(moved)
        })
        .await?;
    let key = core.store.audit_key();
    // A forged end must not get our signature.
    let moved: Vec<Marked> = moved.into_iter().filter(|end| is_authentic(key, Mark::Head, end)).collect();
    if moved.is_empty() {
        return Ok(());
    }
    let lanes: Vec<_> = moved
        .iter()
        .map(|end| json!({ "lane": end.head.lane, "count": end.head.count, "hash": hex(&end.head.hash) }))
        .collect();
    let claims = json!({ "iss": core.policy.issuer.as_str(), "iat": now.seconds(), "lanes": lanes });
    let view = core.live.view();
    let statement = view.keys.sign(SigningAlg::ES256, CHECKPOINT_TYPE, &claims, now)?;
    if let Some((kid, public_jwk)) = view.keys.public_of(&statement) {
        // Or another node has just kept it.
        match core.store.write(move |tx| audit_chain::keep_key(tx, &kid, &public_jwk, now)).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for end in moved {
        let mac = key.mac(Mark::Checkpoint, &end.head).to_vec();
        let marked = Marked { mac: Some(mac), ..end };
        let point = Checkpoint { marked, at: now, statement: statement.clone() };
        match core.store.write(move |tx| audit_chain::insert_checkpoint(tx, &point)).await {
            // Another node has just stated the same.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Removes what is older than the operator wants to keep; the rest stays provable.
///
/// # Errors
/// A fault.
pub async fn trim(core: &Core) -> Result<(), Fault> {
    let Some(keep) = core.policy.audit_retention else { return Ok(()) };
    let before = core.now().minus(keep);
    for end in core.store.read(audit_chain::heads).await? {
        loop {
            let key = core.store.audit_key().clone();
            let lane = end.head.lane;
            let gone =
                core.store.write(move |tx| audit_chain::trim(tx, &key, lane, before, SWEEP_BATCH)).await?;
            if gone < usize::try_from(SWEEP_BATCH).unwrap_or(usize::MAX) {
                break;
            }
        }
    }
    Ok(())
}
