//! People and apps that nothing is heard of: warned, then switched off, then without approvals, as the rule says. Whoever
//! shows a sign of life begins anew.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::people::OrderError;
use crate::account::inactivity::next;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, Tx, audit, clients, families, grants, inactivity, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::{AuditId, UserId};
use crate::types::inactivity::{InactivityRule, Note, Silent, Step};
use crate::types::policy::INACTIVITY_BATCH;
use crate::types::time::Timestamp;
use crate::types::user::Role;

/// Who acts, as the audit log says it.
const BY: &str = "inactivity rule";

/// Somebody silent, and what comes next.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// Who.
    pub who: Silent,
    /// Their e-mail address, or their name.
    pub name: String,
    /// The last sign of life; being added is the first one.
    pub last_at: Timestamp,
    /// What has happened so far.
    pub note: Option<Note>,
    /// What comes next, and when.
    pub next: Option<(Step, Timestamp)>,
    /// Whether they are spared from being switched off: nobody else could administer.
    pub spared: bool,
}

/// What a rule would do, without doing it: everybody who is silent for long enough to be warned, or has been.
///
/// # Errors
/// See [`OrderError`].
pub async fn preview(core: &Core, rule: InactivityRule) -> Result<Vec<Outlook>, OrderError> {
    rule.check().map_err(|why| OrderError::Bad(why.to_owned()))?;
    let Some(warn_after) = rule.warn_after else { return Ok(Vec::new()) };
    let since = core.now().minus(warn_after);
    let mut found = Vec::new();
    let mut silent = walk(core, since).await?;
    silent.extend(noted(core).await?.into_iter().map(|note| note.who));
    for who in silent {
        found.extend(core.store.read(move |tx| outlook(tx, who, &rule, since)).await?);
    }
    Ok(found)
}

/// What is ahead of one person, if they are silent and the rule is on.
///
/// # Errors
/// A fault.
pub async fn of_person(core: &Core, id: UserId) -> Result<Option<Outlook>, Fault> {
    let rule = core.policy.inactivity;
    let Some(warn_after) = rule.warn_after else { return Ok(None) };
    let since = core.now().minus(warn_after);
    Ok(core.store.read(move |tx| outlook(tx, Silent::Person(id), &rule, since)).await?)
}

/// Carries the rule out as far as it is due.
///
/// # Errors
/// A fault; what is done stays done, and the next run goes on.
pub async fn run(core: &Core) -> Result<(), Fault> {
    let rule = core.policy.inactivity;
    let Some(warn_after) = rule.warn_after else {
        // Who is warned today shall not be switched off years from now, when the rule is on again.
        let any = !core.store.read(|tx| inactivity::notes(tx, None, 1)).await?.is_empty();
        return if any { Ok(core.store.write(inactivity::forget_warnings).await?) } else { Ok(()) };
    };
    let now = core.now();
    let since = now.minus(warn_after);
    let mut ended = false;
    for note in noted(core).await? {
        ended |= carry_on(core, note.who, &rule, since, now).await?;
    }
    for who in walk(core, since).await? {
        warn(core, who, now).await?;
    }
    if ended { live::refresh(core).await } else { Ok(()) }
}

/// Everybody without a sign of life since a moment of whom there is no note.
async fn walk(core: &Core, since: Timestamp) -> Result<Vec<Silent>, Fault> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page =
            core.store.read(move |tx| inactivity::silent_people(tx, since, &from, INACTIVITY_BATCH)).await?;
        let Some(last) = page.last() else { break };
        after = last.id.to_string();
        all.extend(page.iter().map(|user| Silent::Person(user.id)));
    }
    after.clear();
    loop {
        let from = after.clone();
        let page =
            core.store.read(move |tx| inactivity::silent_clients(tx, since, &from, INACTIVITY_BATCH)).await?;
        let Some(last) = page.last() else { break };
        last.id.as_str().clone_into(&mut after);
        all.extend(page.into_iter().map(|client| Silent::Client(client.id)));
    }
    Ok(all)
}

async fn noted(core: &Core) -> Result<Vec<Note>, Fault> {
    let mut all: Vec<Note> = Vec::new();
    loop {
        let after = all.last().map(|note| note.who.clone());
        let page = core.store.read(move |tx| inactivity::notes(tx, after.as_ref(), INACTIVITY_BATCH)).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// `None` when they are gone, were heard of lately, or somebody else has switched them off.
fn outlook(
    tx: &mut Tx<'_>,
    who: Silent,
    rule: &InactivityRule,
    since: Timestamp,
) -> Result<Option<Outlook>, StoreError> {
    let known = match &who {
        Silent::Person(id) => users::find(tx, *id)?
            .map(|user| (user.email.clone(), user.created_at, user.disabled_at, user.role)),
        Silent::Client(id) => clients::find(tx, id)?
            .map(|client| (client.display_name(), client.created_at, client.disabled_at, Role::Member)),
    };
    let Some((name, created_at, off, role)) = known else { return Ok(None) };
    let last_at = inactivity::last_heard(tx, &who)?.map_or(created_at, |heard| heard.max(created_at));
    let note = inactivity::note(tx, &who)?.filter(|note| note.warned_at > last_at);
    let ours = note.as_ref().is_some_and(|note| note.disabled_at.is_some());
    if (note.is_none() && last_at >= since) || (off.is_some() && !ours) {
        return Ok(None);
    }
    let next = next(rule, last_at, note.as_ref());
    let spared = match &who {
        Silent::Person(id) if role == Role::Admin && off.is_none() => {
            !inactivity::another_administrator(tx, *id, since)?
        }
        Silent::Person(_) | Silent::Client(_) => false,
    };
    Ok(Some(Outlook { who, name, last_at, note, next, spared }))
}

fn about(core: &Core, kind: AuditKind, who: &Silent, now: Timestamp) -> AuditEvent {
    let caller = Caller { by: Some(BY.to_owned()), ..Caller::job() };
    let mut event = core.event(kind, &caller, now);
    match who {
        Silent::Person(id) => event.user_id = Some(*id),
        Silent::Client(id) => event.client_id = Some(id.clone()),
    }
    event
}

/// Writes a warning down; the detector of that name makes an alert of it, which is where a message to the person starts.
async fn warn(core: &Core, who: Silent, now: Timestamp) -> Result<(), Fault> {
    let mut event = about(core, AuditKind::InactivityWarned, &who, now);
    let rule = core.policy.inactivity;
    event.detail = serde_json::json!({
        "disable_after": rule.disable_after.map(|span| span.as_secs()),
        "revoke_after": rule.revoke_after.map(|span| span.as_secs()),
    });
    let written = core
        .store
        .write(move |tx| {
            inactivity::warn(tx, &who, now)?;
            audit::append(tx, &event)
        })
        .await;
    match written {
        // Another node was first.
        Ok(()) | Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Looks at somebody who has been warned: forgets it, waits, or takes the next step. Whether tokens ended. All in one
/// transaction, so that a sign of life a moment ago counts and two nodes do nothing twice.
async fn carry_on(
    core: &Core,
    who: Silent,
    rule: &InactivityRule,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rule = *rule;
    let off = match &who {
        Silent::Person(_) => AuditKind::UserDisabled,
        Silent::Client(_) => AuditKind::ClientDisabled,
    };
    let (switched_off, ended) =
        (about(core, off, &who, now), about(core, AuditKind::GrantRevoked, &who, now));
    let rng = std::sync::Arc::clone(&core.rng);
    let seen = who.clone();
    let Some(ahead) = core.store.read(move |tx| outlook(tx, seen, &rule, since)).await? else {
        core.store.write(move |tx| inactivity::forget(tx, &who)).await?;
        return Ok(false);
    };
    let is_due =
        move |next: Option<(Step, Timestamp)>| next.filter(|(_, at)| *at <= now).map(|(step, _)| step);
    // A note of before the last sign of life.
    if ahead.note.is_none() {
        core.store.write(move |tx| inactivity::forget(tx, &who)).await?;
        return Ok(false);
    }
    if is_due(ahead.next).is_none() || ahead.spared {
        return Ok(false);
    }
    Ok(core
        .store
        .write(move |tx| {
            let Some(ahead) = outlook(tx, who.clone(), &rule, since)? else { return Ok(false) };
            let filter = match &who {
                Silent::Person(id) => GrantFilter { user_id: Some(*id), ..GrantFilter::default() },
                Silent::Client(id) => GrantFilter { client_id: Some(id.clone()), ..GrantFilter::default() },
            };
            match is_due(ahead.next) {
                Some(Step::Disable) if !ahead.spared && inactivity::disabled(tx, &who, now)? => {
                    // Grants first, then families: the order in which everyone locks them.
                    grants::revoke_tokens(tx, &filter, now)?;
                    match &who {
                        Silent::Person(id) => {
                            families::revoke_by_user(tx, *id, now)?;
                            users::set_disabled(tx, *id, Some(now), now)?;
                        }
                        Silent::Client(id) => {
                            families::revoke_by_client(tx, id, now)?;
                            clients::set_disabled(tx, id, Some(now), now)?;
                        }
                    }
                    let mut event = switched_off.clone();
                    event.detail =
                        serde_json::json!({ "reason": "inactive", "last_at": ahead.last_at.rfc3339() });
                    audit::append(tx, &event)?;
                    Ok(true)
                }
                Some(Step::Revoke) if inactivity::revoked(tx, &who, now)? => {
                    for grant in grants::revoke(tx, &filter, "inactive", now)? {
                        let mut event = ended.clone();
                        event.id = AuditId::new(now, rng.as_ref());
                        event.user_id = grant.user_id;
                        event.client_id = Some(grant.client_id.clone());
                        event.grant_id = Some(grant.id);
                        event.resource_id = Some(grant.resource_id);
                        event.detail = serde_json::json!({ "reason": "inactive" });
                        audit::append(tx, &event)?;
                    }
                    Ok(true)
                }
                _ => Ok(false),
            }
        })
        .await?)
}
