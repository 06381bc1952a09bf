//! What people do with their own account: browsers, password, history, and what is known of them.

use serde_json::{Value, json};

use super::access::{self, Access};
use super::core::{Caller, Core};
use super::factors;
use super::failure::Fault;
use super::letters::Notice;
use super::login::{SignedIn, count_failure, longest_wait};
use super::outbox::noticed;
use crate::account::password::{self, PasswordProblem};
use crate::account::session::is_live;
use crate::storage::grants::GrantFilter;
use crate::storage::own_events::{self, OwnEvent};
use crate::storage::{audit, clients, outbox, sessions, throttles, users};
use crate::types::audit::AuditKind;
use crate::types::client::ClientId;
use crate::types::factor::Held;
use crate::types::id::SessionId;
use crate::types::policy::{EVENTS_EXPORTED, EVENTS_ON_A_PAGE, MAX_PASSWORD};
use crate::types::secret::Secret;
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::user::Email;

/// What concerns the safety of an account, of all that is recorded about it.
pub const OWN_KINDS: &[AuditKind] = &[
    AuditKind::LoginSucceeded,
    AuditKind::LoginFailed,
    AuditKind::LoginThrottled,
    AuditKind::LoginHalfway,
    AuditKind::LoggedOut,
    AuditKind::SecondFactorFailed,
    AuditKind::SessionsEnded,
    AuditKind::PasswordChanged,
    AuditKind::PasswordResetAsked,
    AuditKind::PasswordReset,
    AuditKind::EmailChangeAsked,
    AuditKind::EmailChanged,
    AuditKind::EmailChangeUndone,
    AuditKind::UserPasswordSet,
    AuditKind::UserRoleSet,
    AuditKind::UserSecondFactorRule,
    AuditKind::UserDisabled,
    AuditKind::UserEnabled,
    AuditKind::SetupCompleted,
    AuditKind::AuthenticatorAdded,
    AuditKind::AuthenticatorRemoved,
    AuditKind::RecoveryCodesMade,
    AuditKind::RecoveryCodeUsed,
    AuditKind::IdentityLinked,
    AuditKind::IdentityUnlinked,
    AuditKind::IdentityEnded,
    AuditKind::PasskeyAdded,
    AuditKind::PasskeyRemoved,
    AuditKind::PasskeyCounter,
    AuditKind::ConsentAllowed,
    AuditKind::GrantNarrowed,
    AuditKind::GrantRevoked,
    AuditKind::CodeReplayed,
    AuditKind::RefreshReused,
    AuditKind::DataExported,
];

/// The browsers in which a person is signed in, the one used last first.
///
/// # Errors
/// A fault.
pub async fn browsers(core: &Core, person: &SignedIn) -> Result<Vec<Session>, Fault> {
    let (id, now, idle) = (person.user.id, core.now(), core.policy.session_idle_ttl);
    let all = core.store.read(move |tx| sessions::list_by_user(tx, id)).await?;
    Ok(all.into_iter().filter(|session| is_live(session, &person.user, idle, now)).collect())
}

/// Which browsers to sign out.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// All but the one that asks.
    Others,
}

/// Signs out browsers of a person; returns how many there were.
///
/// # Errors
/// A fault.
pub async fn sign_out(core: &Core, caller: &Caller, person: &SignedIn, which: Which) -> Result<usize, Fault> {
    let now = core.now();
    let mut event = core.event(AuditKind::SessionsEnded, caller, now);
    event.user_id = Some(person.user.id);
    let (user, own) = (person.user.id, person.session.id);
    Ok(core
        .store
        .write(move |tx| {
            let ended = match which {
                Which::One(id) => sessions::end(tx, user, Some(id), None)?,
                Which::Others => sessions::end(tx, user, None, Some(own))?,
            };
            if ended > 0 {
                let mut event = event.clone();
                event.detail = json!({ "sessions": ended });
                audit::append(tx, &event)?;
            }
            Ok(ended)
        })
        .await?)
}

/// How a change of password ends.
pub enum Changed {
    /// Done; every other browser is signed out.
    Done,
    /// The old password is wrong.
    Mismatch,
    /// The new one will not do.
    Bad(PasswordProblem),
    /// Too many tries.
    Wait(std::time::Duration),
}

/// Changes a person's password, which takes the old one. Failures count as those of a sign-in.
///
/// # Errors
/// A fault; [`Fault::Busy`] when too many hashes wait.
pub async fn change_password(
    core: &Core,
    caller: &Caller,
    person: &SignedIn,
    old: Secret<String>,
    new: Secret<String>,
) -> Result<Changed, Fault> {
    let now = core.now();
    let account = Email::parse(&person.user.email).map(|email| email.key()).unwrap_or_default();
    let keys = vec![format!("account {account}")];
    let wanted = keys.clone();
    if let Some(left) = core.store.lookup(move |tx| longest_wait(tx, &wanted, now)).await? {
        return Ok(Changed::Wait(left));
    }
    let too_long = old.expose().len() > MAX_PASSWORD;
    let known = person.user.password_hash.clone();
    let fits = !too_long && core.hasher.verify(known.clone(), old).await.map_err(|_| Fault::Busy)?;
    if !fits {
        let mut event = core.event(AuditKind::LoginFailed, caller, now);
        event.user_id = Some(person.user.id);
        core.store
            .write(move |tx| {
                count_failure(tx, &keys, now)?;
                audit::append(tx, &event)
            })
            .await?;
        return Ok(Changed::Mismatch);
    }
    if let Err(why) = password::check(new.expose(), &person.user.email) {
        return Ok(Changed::Bad(why));
    }
    let hash = core.hasher.hash(new).await.map_err(|_| Fault::Busy)?;
    let mut event = core.event(AuditKind::PasswordChanged, caller, now);
    event.user_id = Some(person.user.id);
    let notice = noticed(core, caller, &person.user, Notice::PasswordChanged)?;
    let (user, own) = (person.user.id, person.session.id);
    let done = core
        .store
        .write(move |tx| {
            if let Some(left) = longest_wait(tx, &keys, now)? {
                return Ok(Some(Changed::Wait(left)));
            }
            if !users::change_password(tx, user, known.as_deref(), &hash, now)? {
                return Ok(Some(Changed::Mismatch));
            }
            sessions::end(tx, user, None, Some(own))?;
            for key in &keys {
                throttles::clear(tx, key)?;
            }
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)?;
            Ok(None)
        })
        .await?;
    Ok(done.unwrap_or(Changed::Done))
}

/// A page of what happened to an account, newest first, and where the next page begins.
///
/// # Errors
/// A fault.
pub async fn events(
    core: &Core,
    person: &SignedIn,
    before: Option<i64>,
) -> Result<(Vec<OwnEvent>, Option<i64>), Fault> {
    let user = person.user.id;
    let page = EVENTS_ON_A_PAGE;
    let mut found =
        core.store.read(move |tx| own_events::list(tx, user, OWN_KINDS, before, page + 1)).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > page;
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|event| event.place);
    Ok((found, next))
}

/// The names of the apps that events are about, by id.
///
/// # Errors
/// A fault.
pub async fn app_names(core: &Core, events: &[OwnEvent]) -> Result<Vec<(String, String)>, Fault> {
    let mut ids: Vec<String> = events.iter().filter_map(|event| event.client_id.clone()).collect();
    ids.sort();
    ids.dedup();
    Ok(core
        .store
        .read(move |tx| {
            let mut names = Vec::new();
            for id in &ids {
                let Some(known) = ClientId::parse(id) else { continue };
                if let Some(client) = clients::find(tx, &known)? {
                    names.push((id.clone(), client.display_name()));
                }
            }
            Ok(names)
        })
        .await?)
}

/// Everything that is known of a person, for them to take away; no secret is in it.
///
/// # Errors
/// A fault.
pub async fn export(core: &Core, caller: &Caller, person: &SignedIn) -> Result<Value, Fault> {
    let now = core.now();
    let user = person.user.id;
    let filter = GrantFilter { user_id: Some(user), ended_too: true, ..GrantFilter::default() };
    let accesses = access::list(core, filter).await?;
    let held = factors::held(core, user).await?;
    let browsers = browsers(core, person).await?;
    let events =
        core.store.read(move |tx| own_events::list(tx, user, AuditKind::ALL, None, EVENTS_EXPORTED)).await?;
    let mut event = core.event(AuditKind::DataExported, caller, now);
    event.user_id = Some(user);
    core.store.write(move |tx| audit::append(tx, &event)).await?;
    Ok(json!({
        "made_at": now.rfc3339(),
        "issuer": core.policy.issuer.as_str(),
        "profile": {
            "id": user,
            "email": person.user.email,
            "name": person.user.name,
            "role": person.user.role.as_str(),
            "groups": person.user.groups,
            "created_at": person.user.created_at.rfc3339(),
            "second_factor_required": person.user.second_factor_required,
        },
        "second_factors": told_factors(&held),
        "access": accesses.iter().map(told_access).collect::<Vec<_>>(),
        "sessions": browsers.iter().map(|session| json!({
            "id": session.id,
            "since": session.created_at.rfc3339(),
            "last_seen": session.last_seen_at.rfc3339(),
            "ends": session.expires_at.rfc3339(),
            "address": session.address,
            "browser": session.user_agent,
            "amr": session.methods.names(),
        })).collect::<Vec<_>>(),
        "events": events.iter().map(|event| json!({
            "at": event.at.rfc3339(),
            "event": event.kind.as_str(),
            "app": event.client_id,
            "address": event.address,
            "detail": event.detail,
        })).collect::<Vec<_>>(),
    }))
}

fn told_factors(held: &Held) -> Value {
    json!({
        "authenticator_app": held.authenticator.map(|(added, used)| json!({
            "added_at": added.rfc3339(),
            "last_used_at": used.map(Timestamp::rfc3339),
        })),
        "passkeys": held.passkeys,
        "recovery_codes_left": held.recovery_codes,
    })
}

fn told_access(access: &Access) -> Value {
    let grant = &access.grant;
    json!({
        "id": grant.id,
        "app": access.client.as_ref().map(crate::types::client::Client::display_name),
        "client_id": grant.client_id,
        "server": access.resource.as_ref().map(|resource| resource.uri.as_str()),
        "permissions": grant.scopes,
        "allowed_at": grant.created_at.rfc3339(),
        "ends_at": grant.expires_at.rfc3339(),
        "last_used_at": grant.last_used_at.map(Timestamp::rfc3339),
        "last_used_from": grant.last_used_address,
        "ended_at": grant.revoked_at.map(Timestamp::rfc3339),
    })
}
