//! Erasing a person, so that the audit log stays provable: everything of theirs ends, the content of the records about
//! them is destroyed, their rows go, and the log says that this was done, by whom and to how many records.

use std::sync::Arc;

use super::core::{Caller, Core};
use super::cut::By;
use super::failure::Fault;
use super::people::OrderError;
use super::{live, offboard};
use crate::storage::erasure::{self, Traces};
use crate::storage::{audit, users};
use crate::types::audit::AuditKind;
use crate::types::id::{AuditId, UserId};
use crate::types::mention;
use crate::types::policy::ERASURE_STEP;
use crate::types::user::User;

/// What stands where a person was named.
const NOBODY: &str = "an erased person";

/// What an erasure did.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Erased {
    /// What there was.
    pub traces: Traces,
    /// Audit records whose address and detail were destroyed: those about the person and those that named them.
    pub records: u64,
    /// Whether nothing of it is left in free pages of the database file either. PostgreSQL sees to its own.
    pub compacted: bool,
}

/// What an erasure would hit.
///
/// # Errors
/// A fault.
pub async fn preview(core: &Core, user: UserId) -> Result<Traces, Fault> {
    Ok(core.store.read(move |tx| erasure::traces(tx, user)).await?)
}

/// Erases a person. Interrupted, it is begun again and goes on: their own row goes last.
///
/// # Errors
/// See [`OrderError`]; [`OrderError::Bad`] for the last administrator who can sign in.
pub async fn erase(core: &Core, caller: &Caller, by: By, user: UserId) -> Result<Erased, OrderError> {
    let now = core.now();
    let held = core
        .store
        .write(move |tx| {
            let Some(person) = users::find(tx, user)? else { return Ok(None) };
            let able = erasure::hold_administrators(tx)?;
            if able.as_slice() == [user] {
                return Ok(Some(Err(())));
            }
            users::set_disabled(tx, user, Some(now), now)?;
            Ok(Some(Ok(person)))
        })
        .await?;
    let person = match held {
        None => return Err(OrderError::NotFound("there is no such person".to_owned())),
        Some(Err(())) => {
            let why = "this is the last administrator who can sign in; make somebody else one first";
            return Err(OrderError::Bad(why.to_owned()));
        }
        Some(Ok(person)) => person,
    };
    let traces = preview(core, user).await?;
    offboard::offboard(core, caller, by, user, "erased".to_owned()).await?;
    let (mut records, mut from) = (0, 0);
    loop {
        let last = core.store.read(erasure::last_place).await?;
        if last - from <= ERASURE_STEP {
            break;
        }
        records += step(core, &person, (from, from + ERASURE_STEP)).await?;
        from += ERASURE_STEP;
    }
    records += finish(core, caller, person, from, records).await?;
    live::refresh(core).await?;
    core.stdio.processes().erase(user).await.map_err(|error| {
        tracing::error!(%error, "what servers over stdio wrote for an erased person is still there");
        Fault::Bug("a folder of a server over stdio could not be removed")
    })?;
    let compacted = core.store.compact().await.is_ok();
    Ok(Erased { traces, records, compacted })
}

async fn step(core: &Core, person: &User, range: (i64, i64)) -> Result<u64, Fault> {
    let (key, person) = (core.store.audit_key().clone(), person.clone());
    Ok(core.store.write(move |tx| erasure::scrub_records(tx, &key, &person, range)).await?)
}

/// The newest records, the rows, and the record of it all, in one transaction.
async fn finish(core: &Core, caller: &Caller, person: User, from: i64, so_far: u64) -> Result<u64, Fault> {
    let now = core.now();
    let key = core.store.audit_key().clone();
    let caller = Caller {
        by: caller.by.as_deref().map(|by| mention::without(by, &person.email, NOBODY)),
        // Where they did it from, if they did it themselves.
        address: caller.address.clone().filter(|_| !names(caller, &person)),
        ..caller.clone()
    };
    let mut event = core.event(AuditKind::UserErased, &caller, now);
    event.user_id = Some(person.id);
    let rng = Arc::clone(&core.rng);
    Ok(core
        .store
        .write(move |tx| {
            let records = erasure::scrub_records(tx, &key, &person, (from, i64::MAX))?;
            erasure::forget(tx, &person, NOBODY)?;
            let mut event = event.clone();
            event.id = AuditId::new(now, rng.as_ref());
            event.detail = serde_json::json!({ "records": so_far + records });
            audit::append(tx, &event)?;
            Ok(records)
        })
        .await?)
}

fn names(caller: &Caller, person: &User) -> bool {
    caller.by.as_deref().is_some_and(|by| mention::names(by, &person.email))
}
