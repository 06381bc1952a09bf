//! Single calls that a rule holds back: asking for them, deciding, and making them once.

use serde_json::{Value, json};

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::{self, Pass, Route};
use super::people::OrderError;
use crate::storage::{StoreError, Tx, alerts, audit, call_approvals as rows, clients, resources, users};
use crate::types::alert::{Detector, Subject};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::call_approval::{CallApproval, Stage};
use crate::types::id::{CallApprovalId, CallRuleId, GrantId, UserId};
use crate::types::policy::{CALL_APPROVAL_USE, CALL_APPROVAL_WAIT, CALL_APPROVALS_OPEN};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

pub(super) const SEALED: &str = "call that waits";

/// A call that a rule holds back.
#[derive(Clone, Copy, Debug)]
pub struct HeldBack<'a> {
    /// The rule.
    pub rule: CallRuleId,
    /// Why.
    pub reason: &'a str,
    /// The method.
    pub method: &'a str,
    /// The tool, the prompt or the resource.
    pub name: &'a str,
    /// What would be sent, in canonical form.
    pub text: &'a str,
}

/// What is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided {
    /// It may go out; its one use is taken, and on record.
    Go(CallApprovalId),
    /// Somebody has to decide, until then.
    Waits(CallApprovalId, Timestamp),
    /// Somebody said no.
    Refused(CallApprovalId),
    /// Too many calls of this approval wait already.
    TooMany,
}

/// What stands for one call, whichever root key was the newest when it was asked for.
fn standing(
    tx: &mut Tx<'_>,
    grant: GrantId,
    digests: &[TokenDigest],
    now: Timestamp,
) -> Result<Option<CallApproval>, StoreError> {
    for digest in digests {
        if let Some(known) = rows::standing(tx, grant, digest, now)? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

/// Whether a call that a rule holds back may go out now. It is asked for where nobody has, and its one use is taken where
/// somebody has allowed it: of the very same arguments, under the same approval.
///
/// # Errors
/// A fault; then it may not.
pub async fn ask_for(
    core: &Core,
    caller: &Caller,
    (pass, route): (&Pass, &Route),
    held: HeldBack<'_>,
) -> Result<Decided, Fault> {
    let now = core.now();
    let server = route.resource.id.to_string();
    let parts = [server.as_bytes(), held.method.as_bytes(), held.name.as_bytes(), held.text.as_bytes()];
    let codes = core.master.macs("call approval", &parts);
    let digests: Vec<TokenDigest> = codes.iter().filter_map(|code| TokenDigest::from_slice(code)).collect();
    let digest = *digests.first().ok_or(Fault::Busy)?;
    let id = CallApprovalId::new(now, core.rng.as_ref());
    let new = CallApproval {
        id,
        rule_id: held.rule,
        reason: held.reason.to_owned(),
        resource_id: route.resource.id,
        grant_id: pass.claims.grant_id,
        user_id: UserId::parse(&pass.claims.sub),
        client_id: pass.claims.client_id.clone(),
        method: held.method.to_owned(),
        name: held.name.to_owned(),
        digest,
        sealed: core.master.seal(SEALED, &id.to_string(), held.text.as_bytes(), core.rng.as_ref()),
        created_at: now,
        expires_at: now.plus(CALL_APPROVAL_WAIT),
        decided_at: None,
        decided_by: None,
        allowed: None,
        used_at: None,
    };
    let detail =
        |id: CallApprovalId| json!({ "approval": id.to_string(), "method": new.method, "name": new.name });
    let mut asked = gateway::event(core, AuditKind::CallApprovalAsked, caller, pass, route);
    asked.detail = detail(id);
    let mut used = gateway::event(core, AuditKind::CallApprovalUsed, caller, pass, route);
    used.detail = detail(id);
    Ok(core
        .store
        .write(move |tx| {
            if let Some(known) = standing(tx, new.grant_id, &digests, now)? {
                match known.stage(now) {
                    Stage::Waiting => return Ok(Decided::Waits(known.id, known.expires_at)),
                    Stage::Refused => return Ok(Decided::Refused(known.id)),
                    // Whoever comes second finds it used, and asks anew.
                    Stage::Allowed if rows::take(tx, known.id, now)? => {
                        let mut event = used.clone();
                        if let Some(detail) = event.detail.as_object_mut() {
                            detail.insert("approval".to_owned(), known.id.to_string().into());
                        }
                        audit::append(tx, &event)?;
                        return Ok(Decided::Go(known.id));
                    }
                    _ => {}
                }
            }
            if rows::waiting_under(tx, new.grant_id, now)? >= CALL_APPROVALS_OPEN {
                return Ok(Decided::TooMany);
            }
            rows::insert(tx, &new)?;
            audit::append(tx, &asked)?;
            Ok(Decided::Waits(new.id, new.expires_at))
        })
        .await?)
}

/// A call that waits or has waited, as somebody who decides sees it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The call.
    pub approval: CallApproval,
    /// What has become of it.
    pub stage: Stage,
    /// What would be sent; null where it cannot be opened any more.
    pub arguments: Value,
    /// The person's address, where one is behind it.
    pub person: Option<String>,
    /// The app's name, or its id where it has none.
    pub app: String,
    /// The server's name and URI.
    pub server: (String, String),
}

/// Those that wait, oldest first; with `all`, every one that is kept, newest first; after `after`.
///
/// # Errors
/// A fault.
pub async fn list(
    core: &Core,
    all: bool,
    after: Option<CallApprovalId>,
    limit: i64,
) -> Result<Vec<Shown>, Fault> {
    let now = core.now();
    let found: Vec<Named> = core
        .store
        .read(move |tx| {
            let found = rows::list(tx, all, after, limit, now)?;
            found.into_iter().map(|one| named(tx, one)).collect()
        })
        .await?;
    Ok(found.into_iter().map(|named| shown(core, named, now)).collect())
}

/// One of them.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, id: &str) -> Result<Shown, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no call {id} that waits or has waited"));
    let id = CallApprovalId::parse(id).ok_or_else(missing)?;
    let now = core.now();
    let found = core.store.read(move |tx| rows::find(tx, id)?.map(|one| named(tx, one)).transpose()).await?;
    found.map(|named| shown(core, named, now)).ok_or_else(missing)
}

/// A call, with the names of person, app and server.
pub(super) type Named = (CallApproval, Option<String>, Option<String>, Option<(String, String)>);

pub(super) fn named(tx: &mut Tx<'_>, approval: CallApproval) -> Result<Named, StoreError> {
    let person = match approval.user_id {
        Some(id) => users::find(tx, id)?.map(|user| user.email),
        None => None,
    };
    let app = clients::find(tx, &approval.client_id)?.map(|client| client.display_name());
    let server = resources::find(tx, approval.resource_id)?;
    Ok((approval, person, app, server.map(|server| (server.name, server.uri.to_string()))))
}

pub(super) fn shown(core: &Core, (approval, person, app, server): Named, now: Timestamp) -> Shown {
    let opened = core.master.open(SEALED, &approval.id.to_string(), &approval.sealed);
    Shown {
        stage: approval.stage(now),
        arguments: opened.and_then(|text| serde_json::from_slice(text.expose()).ok()).unwrap_or_default(),
        person,
        app: app.unwrap_or_else(|| approval.client_id.to_string()),
        server: server.unwrap_or_default(),
        approval,
    }
}

/// How many wait.
///
/// # Errors
/// A fault.
pub async fn count_waiting(core: &Core) -> Result<i64, Fault> {
    let now = core.now();
    Ok(core.store.read(move |tx| rows::count_waiting(tx, now)).await?)
}

/// Decides about a call that waits. What is allowed can be made once, within [`CALL_APPROVAL_USE`]; what is refused stays so for
/// [`CALL_APPROVAL_WAIT`]. The last decision under an approval closes the alert that asked for it, so that the next call that
/// waits is told again.
///
/// # Errors
/// See [`OrderError`].
pub async fn decide(core: &Core, caller: &Caller, id: &str, allow: bool) -> Result<Shown, OrderError> {
    let known = find(core, id).await?;
    let now = core.now();
    let kind = if allow { AuditKind::CallApprovalGiven } else { AuditKind::CallApprovalRefused };
    let mut event = core.event(kind, caller, now);
    event.user_id = known.approval.user_id;
    event.client_id = Some(known.approval.client_id.clone());
    event.grant_id = Some(known.approval.grant_id);
    event.resource_id = Some(known.approval.resource_id);
    event.detail = json!({
        "approval": id, "method": known.approval.method, "name": known.approval.name,
        "rule": known.approval.rule_id.to_string(),
    });
    let until = now.plus(if allow { CALL_APPROVAL_USE } else { CALL_APPROVAL_WAIT });
    let (id, by) = (known.approval.id, caller.by.clone());
    let noted = core.event(AuditKind::AlertAcknowledged, caller, now);
    let done = core
        .store
        .write(move |tx| {
            let done = rows::decide(tx, id, allow, by.as_deref(), until, now)?;
            if let Some(decided) = &done {
                audit::append(tx, &event)?;
                close_alert(tx, decided, &noted)?;
            }
            Ok(done)
        })
        .await?;
    let Some(approval) = done else {
        return Err(OrderError::Bad(format!(
            "nobody waits for this any more: it is {}",
            known.stage.as_str()
        )));
    };
    Ok(Shown { stage: approval.stage(now), approval, ..known })
}

/// Takes note of the alert about calls that wait under this approval, when none does any more.
fn close_alert(tx: &mut Tx<'_>, decided: &CallApproval, noted: &AuditEvent) -> Result<(), StoreError> {
    let (grant, now) = (decided.grant_id, noted.at);
    if rows::waiting_under(tx, grant, now)? > 0 {
        return Ok(());
    }
    let newest = alerts::newest(tx, Detector::WaitingCall, &Subject::Grant(grant))?;
    let Some(open) = newest.filter(|alert| alert.acknowledged_at.is_none()) else { return Ok(()) };
    let by = decided.decided_by.as_deref().unwrap_or("whoever decided");
    if alerts::acknowledge(tx, open.id, by, now)? {
        let mut event = noted.clone();
        event.grant_id = Some(grant);
        event.detail = json!({ "alert": open.id.to_string(), "by": by });
        audit::append(tx, &event)?;
    }
    Ok(())
}
