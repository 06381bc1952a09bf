//! Cutting access: what it would hit, doing it, and undoing it. A cut takes effect everywhere as soon as its row is
//! committed, because every node follows the rules; a revocation is then also written down with all it hits.

use std::sync::Arc;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::people::{self, OrderError};
use crate::storage::{StoreError, Tx, audit, clients, cuts, grants, resources, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::cut::{Cut, Impact, Kind, Target};
use crate::types::id::{AuditId, CutId, GrantId, ResourceId, UserId};
use crate::types::policy::{CUT_AT_ONCE, MAX_CUT_REASON, MAX_CUT_SPAN};
use crate::types::random::Rng;
use crate::types::time::Timestamp;
use crate::types::user::User;

/// Who cuts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct By {
    /// A person who is signed in.
    pub user_id: Option<UserId>,
    /// In words, for the list of cuts and the audit log.
    pub name: String,
}

impl By {
    /// A person who is signed in.
    #[must_use]
    pub fn person(user: &User) -> Self {
        Self { user_id: Some(user.id), name: user.email.clone() }
    }

    /// The command line.
    #[must_use]
    pub fn command_line() -> Self {
        Self { user_id: None, name: "command line".to_owned() }
    }

    /// A program: `kind` says which sort, such as `webhook` or `detector`.
    #[must_use]
    pub fn program(kind: &str, name: &str) -> Self {
        Self { user_id: None, name: format!("{kind} {name}") }
    }
}

/// A cut to be made.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose access.
    pub target: Target,
    /// How.
    pub kind: Kind,
    /// Why; never empty.
    pub reason: String,
    /// Who orders it.
    pub by: By,
}

/// Finds what the words of a person name: `kind` is one of [`Target::kind`], and `value` an e-mail, an id, a domain, a URL
/// or a block of addresses.
///
/// # Errors
/// See [`OrderError`].
pub async fn target_of(core: &Core, kind: &str, value: &str) -> Result<Target, OrderError> {
    match kind {
        "person" if value.contains('@') => Ok(Target::Person(people::find(core, value).await?.id)),
        "resource" if ResourceId::parse(value).is_none() => {
            Ok(Target::Resource(super::resources::find(core, value).await?.id))
        }
        "network" => {
            crate::types::network::Network::parse(value).map(Target::Network).map_err(OrderError::Bad)
        }
        _ => Target::parse(kind, value)
            .ok_or_else(|| OrderError::Bad(format!("{value:?} does not name a {kind}"))),
    }
}

/// What a cut of this target would hit now.
///
/// # Errors
/// See [`OrderError`].
pub async fn preview(core: &Core, target: &Target) -> Result<Impact, OrderError> {
    let (now, target) = (core.now(), target.clone());
    let found = core
        .store
        .read(move |tx| {
            let Some(_) = label(tx, &target)? else { return Ok(None) };
            let ids = approvals_of(tx, &target)?;
            cuts::preview(tx, &target, &ids, now).map(Some)
        })
        .await?;
    found.ok_or_else(missing)
}

/// Cuts access. It is effective on every node within a second of the return.
///
/// # Errors
/// See [`OrderError`].
pub async fn cut(core: &Core, caller: &Caller, order: Order) -> Result<Cut, OrderError> {
    let now = core.now();
    check(&order)?;
    let id = CutId::new(now, core.rng.as_ref());
    let event = core.event(AuditKind::AccessCut, caller, now);
    let rng = Arc::clone(&core.rng);
    let made = core
        .store
        .write(move |tx| {
            let Some(label) = label(tx, &order.target)? else { return Ok(None) };
            let ids = approvals_of(tx, &order.target)?;
            let impact = cuts::preview(tx, &order.target, &ids, now)?;
            let mut new = cut_of(id, &order, (label, ids, impact), now);
            let at_once = new.kind == Kind::Revoke && new.impact.grants <= CUT_AT_ONCE;
            if at_once {
                end_all(tx, &new, &event, rng.as_ref(), now)?;
                new.applied_at = Some(now);
            }
            cuts::insert(tx, &new)?;
            audit::append(tx, &record(&event, &new))?;
            Ok(Some(new))
        })
        .await?
        .ok_or_else(missing)?;
    live::refresh(core).await?;
    if made.kind != Kind::Revoke || made.applied_at.is_some() {
        return Ok(made);
    }
    // From here on the rule holds everything; writing it down may take its time.
    apply(core, caller, &made).await?;
    Ok(find(core, &made.id.to_string()).await?.0)
}

/// Undoes a cut that is in force: exactly what it stopped goes on; what ended by other means in the meantime stays ended.
///
/// # Errors
/// See [`OrderError`]; [`OrderError::Bad`] for a cut that can no longer be undone.
pub async fn undo(core: &Core, caller: &Caller, by: &By, id: &str) -> Result<Cut, OrderError> {
    let (found, _) = find(core, id).await?;
    let now = core.now();
    let mut event = record(&core.event(AuditKind::AccessCutUndone, caller, now), &found);
    event.detail = serde_json::json!({ "cut": found.id, "target": found.target.kind(), "label": found.label, "by": by.name });
    let (id, name) = (found.id, by.name.clone());
    let undone = core
        .store
        .write(move |tx| {
            let undone = cuts::undo(tx, id, &name, now)?;
            if undone {
                audit::append(tx, &event)?;
            }
            Ok(undone)
        })
        .await?;
    live::refresh(core).await?;
    if undone {
        Ok(Cut { undone_at: Some(now), undone_by: Some(by.name.clone()), ..found })
    } else {
        let state = found.state(now);
        Err(OrderError::Bad(format!(
            "cut {} cannot be undone: it is {state} ({})",
            found.id,
            found.kind.as_str()
        )))
    }
}

/// The newest cuts, newest first; those made before one of them.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, before: Option<CutId>, limit: i64) -> Result<Vec<Cut>, Fault> {
    Ok(core.store.read(move |tx| cuts::list(tx, before, limit)).await?)
}

/// The newest cuts that name exactly this target, newest first.
///
/// # Errors
/// A fault.
pub async fn list_of(core: &Core, target: &Target, limit: i64) -> Result<Vec<Cut>, Fault> {
    let target = target.clone();
    Ok(core.store.read(move |tx| cuts::list_of(tx, &target, limit)).await?)
}

/// A cut, and when anything that it hit was last accepted anywhere.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, id: &str) -> Result<(Cut, Option<Timestamp>), OrderError> {
    let missing = || OrderError::NotFound(format!("there is no cut {id}; see `postern cut list`"));
    let parsed = CutId::parse(id).ok_or_else(missing)?;
    let found = core
        .store
        .read(move |tx| {
            let Some(cut) = cuts::find(tx, parsed)? else { return Ok(None) };
            let last = cuts::last_used(tx, &cut.target, &cut.grants)?;
            Ok(Some((cut, last)))
        })
        .await?;
    found.ok_or_else(missing)
}

/// Carries out revocations that wait: those that were too large for one moment, and suspensions whose window is over. A
/// job calls it; several nodes may.
///
/// # Errors
/// A fault.
pub async fn finish(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let waiting = core.store.lookup(move |tx| cuts::unfinished(tx, now)).await?;
    for cut in &waiting {
        apply(core, &Caller::job(), cut).await?;
    }
    Ok(())
}

async fn apply(core: &Core, caller: &Caller, cut: &Cut) -> Result<(), Fault> {
    let now = core.now();
    let event = core.event(AuditKind::AccessCutApplied, caller, now);
    let (cut, rng) = (cut.clone(), Arc::clone(&core.rng));
    core.store
        .write(move |tx| {
            if cuts::set_applied(tx, cut.id, now)? {
                end_all(tx, &cut, &event, rng.as_ref(), now)?;
                audit::append(tx, &record(&event, &cut))?;
            }
            Ok(())
        })
        .await?;
    live::refresh(core).await
}

/// Ends what a revocation hits; each approval has a record of its own where they are few enough to be read.
pub(super) fn end_all(
    tx: &mut Tx<'_>,
    cut: &Cut,
    event: &AuditEvent,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), StoreError> {
    let few = cut.impact.grants <= CUT_AT_ONCE;
    if few {
        for ended in cuts::standing(tx, cut, CUT_AT_ONCE)? {
            let mut event = event.clone();
            event.id = AuditId::new(now, rng);
            event.kind = AuditKind::GrantRevoked;
            event.user_id = ended.user;
            event.client_id = ClientId::parse(&ended.client);
            event.grant_id = Some(ended.grant);
            event.resource_id = ResourceId::parse(&ended.resource);
            event.detail = serde_json::json!({ "reason": cut.reason, "cut": cut.id });
            audit::append(tx, &event)?;
        }
    }
    cuts::revoke(tx, cut, few, now)
}

/// The record of a cut.
pub(super) fn record(event: &AuditEvent, cut: &Cut) -> AuditEvent {
    let mut event = event.clone();
    match &cut.target {
        Target::Person(id) => event.user_id = Some(*id),
        Target::Client(id) => event.client_id = Some(id.clone()),
        Target::Resource(id) => event.resource_id = Some(*id),
        Target::Grant(id) => event.grant_id = Some(*id),
        Target::Domain(_) | Target::Network(_) | Target::Everything => {}
    }
    event.detail = serde_json::json!({
        "cut": cut.id,
        "target": cut.target.kind(),
        "label": cut.label,
        "kind": cut.kind.as_str(),
        "until": cut.until.map(Timestamp::rfc3339),
        "reason": cut.reason,
        "by": cut.by_name,
        "by_user": cut.by_user_id,
        "people": cut.impact.people,
        "clients": cut.impact.clients,
        "resources": cut.impact.resources,
        "grants": cut.impact.grants,
        "sessions": cut.impact.sessions,
        "live_tokens": cut.impact.live_tokens,
        "families": cut.impact.families,
    });
    event
}

pub(super) fn cut_of(
    id: CutId,
    order: &Order,
    (label, grants, impact): (String, Vec<GrantId>, Impact),
    now: Timestamp,
) -> Cut {
    Cut {
        id,
        target: order.target.clone(),
        label,
        kind: order.kind,
        reason: order.reason.trim().to_owned(),
        by_user_id: order.by.user_id,
        by_name: order.by.name.clone(),
        at: now,
        until: order.kind.span().map(|span| now.plus(span)),
        applied_at: None,
        undone_at: None,
        undone_by: None,
        grants,
        impact,
    }
}

fn check(order: &Order) -> Result<(), OrderError> {
    let length = order.reason.trim().chars().count();
    if length == 0 || length > MAX_CUT_REASON {
        return Err(OrderError::Bad(format!("a cut needs a reason of at most {MAX_CUT_REASON} characters")));
    }
    let span = order.kind.span();
    if span.is_some_and(|span| span.is_zero() || span > MAX_CUT_SPAN) {
        return Err(OrderError::Bad("the time of a cut is between one second and 366 days".to_owned()));
    }
    Ok(())
}

fn approvals_of(tx: &mut Tx<'_>, target: &Target) -> Result<Vec<GrantId>, StoreError> {
    match target {
        Target::Network(network) => cuts::used_from(tx, network),
        _ => Ok(Vec::new()),
    }
}

/// The target's name for people; `None` when there is no such thing.
pub(super) fn label(tx: &mut Tx<'_>, target: &Target) -> Result<Option<String>, StoreError> {
    Ok(match target {
        Target::Person(id) => users::find(tx, *id)?.map(|user| user.email),
        Target::Client(id) => clients::find(tx, id)?.map(|client| client.display_name()),
        Target::Resource(id) => resources::find(tx, *id)?.map(|resource| resource.uri.to_string()),
        Target::Grant(id) => match grants::find(tx, *id)? {
            None => None,
            Some(grant) => {
                let user = grant.user_id.map_or(Ok(None), |id| users::find(tx, id))?;
                let who = user.map_or_else(|| grant.client_id.to_string(), |user| user.email);
                let resource = resources::find(tx, grant.resource_id)?;
                let at = resource.map_or_else(|| "?".to_owned(), |resource| resource.uri.to_string());
                Some(format!("{who} at {at}"))
            }
        },
        Target::Domain(_) | Target::Network(_) => Some(target.value()),
        Target::Everything => Some("everything".to_owned()),
    })
}

fn missing() -> OrderError {
    OrderError::NotFound("there is nothing of that name to cut".to_owned())
}
