//! Giving back at the other side what people were given there (RFC 7009): noted in the transaction that forgets it here, and
//! tried until it is done.

use serde::{Deserialize, Serialize};

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::upstream_auth::secret_of;
use super::upstream_tokens::{Held, open};
use crate::outbound::authorization_server::ServerError;
use crate::storage::connections::{self, Pending};
use crate::storage::{audit, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::duration::doubling;
use crate::types::id::{ResourceId, TokenId, UserId};
use crate::types::policy::{
    GIVE_BACK_BATCH, GIVE_BACK_FIRST_WAIT, GIVE_BACK_GIVE_UP, GIVE_BACK_LEASE, GIVE_BACK_LONGEST_WAIT,
};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::upstream_auth::{AuthSettings, Connection, UpstreamAuth};

pub(super) const PURPOSE: &str = "upstream revocation";

/// What is to be sent, and to whom. It holds everything, because the way may be forgotten before it is sent.
#[derive(Serialize, Deserialize)]
struct Errand {
    settings: AuthSettings,
    secret: Option<String>,
    token: String,
    hint: String,
    user: UserId,
}

/// What has to be noted to give these tokens back; nothing where the other side takes nothing back. The refresh token where
/// there is one: what rests on it ends with it (RFC 7009 §2.1).
///
/// # Errors
/// A fault.
pub(super) fn errand(
    core: &Core,
    auth: &UpstreamAuth,
    user: UserId,
    held: &Held,
) -> Result<Option<Pending>, Fault> {
    if auth.settings.revocation_endpoint.is_none() {
        return Ok(None);
    }
    let (token, hint) = match &held.refresh {
        Some(refresh) => (refresh, "refresh_token"),
        None => (&held.access, "access_token"),
    };
    let errand = Errand {
        settings: auth.settings.clone(),
        secret: secret_of(core, auth)?.map(|secret| secret.expose().clone()),
        token: token.clone(),
        hint: hint.to_owned(),
        user,
    };
    let now = core.now();
    let id = TokenId::new(now, core.rng.as_ref());
    let text =
        Secret::new(serde_json::to_vec(&errand).map_err(|_| Fault::Bug("an errand does not serialise"))?);
    let sealed = core.master.seal(PURPOSE, &id.to_string(), text.expose(), core.rng.as_ref());
    let pending =
        Pending { id, resource_id: auth.resource_id, sealed, attempts: 0, next_at: now, created_at: now };
    Ok(Some(pending))
}

/// Forgets what a person was given at a server, and gives it back; whether there was anything.
///
/// # Errors
/// A fault.
pub async fn one(core: &Core, caller: &Caller, resource: ResourceId, user: UserId) -> Result<bool, Fault> {
    let found = core.store.lookup(move |tx| connections::find(tx, resource, user)).await?;
    let Some(connection) = found else { return Ok(false) };
    forget(core, caller, vec![connection]).await?;
    Ok(true)
}

/// The same for everything a person was given, everywhere; how much it was.
///
/// # Errors
/// A fault.
pub async fn everywhere(core: &Core, caller: &Caller, user: UserId) -> Result<usize, Fault> {
    let found = core.store.lookup(move |tx| connections::of_user(tx, user)).await?;
    let number = found.len();
    forget(core, caller, found).await?;
    Ok(number)
}

/// The same for what everybody was given at a server; how much it was.
///
/// # Errors
/// A fault.
pub async fn everybody(core: &Core, caller: &Caller, resource: ResourceId) -> Result<usize, Fault> {
    let found = core.store.lookup(move |tx| connections::of_resource(tx, resource)).await?;
    let number = found.len();
    forget(core, caller, found).await?;
    Ok(number)
}

async fn forget(core: &Core, caller: &Caller, all: Vec<Connection>) -> Result<(), Fault> {
    if all.is_empty() {
        return Ok(());
    }
    let ways = core.store.lookup(connections::ways).await?;
    for connection in all {
        let auth = ways.iter().find(|auth| auth.resource_id == connection.resource_id);
        // What does not open cannot be given back; it is forgotten all the same.
        let held = open(core, &connection).ok();
        let pending = match (auth, &held) {
            (Some(auth), Some(held)) if connection.ended_at.is_none() => {
                errand(core, auth, connection.user_id, held)?
            }
            _ => None,
        };
        let mut event = core.event(AuditKind::UpstreamDisconnected, caller, core.now());
        event.user_id = Some(connection.user_id);
        event.resource_id = Some(connection.resource_id);
        event.detail = serde_json::json!({ "to_be_revoked_there": pending.is_some() });
        let (resource, user, version) = (connection.resource_id, connection.user_id, connection.version);
        let again = core
            .store
            .write(move |tx| {
                let found = connections::find(tx, resource, user)?;
                // Renewed since it was read: the errand would be about a token that is none any more.
                if found.as_ref().is_some_and(|found| found.version != version) {
                    return Ok(true);
                }
                if found.is_some() {
                    connections::remove(tx, resource, user)?;
                    if let Some(pending) = &pending {
                        connections::insert_pending(tx, pending)?;
                    }
                    audit::append(tx, &event)?;
                }
                Ok(false)
            })
            .await?;
        core.upstream_tokens.remove(&(resource, user));
        if again {
            Box::pin(one(core, caller, resource, user)).await?;
        }
    }
    live::refresh(core).await?;
    Ok(())
}

/// Tries what is due.
///
/// # Errors
/// A fault.
pub async fn deliver(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let due = core.store.lookup(move |tx| connections::due(tx, now, GIVE_BACK_BATCH)).await?;
    for pending in due {
        let until = now.plus(
            doubling(GIVE_BACK_FIRST_WAIT, GIVE_BACK_LONGEST_WAIT, pending.attempts).max(GIVE_BACK_LEASE),
        );
        let taken = pending.clone();
        if core.store.write(move |tx| connections::take_on(tx, &taken, until)).await? {
            attempt(core, pending, now).await?;
        }
    }
    Ok(())
}

async fn attempt(core: &Core, pending: Pending, now: Timestamp) -> Result<(), Fault> {
    let opened = core.master.open(PURPOSE, &pending.id.to_string(), &pending.sealed);
    let errand = opened.and_then(|text| serde_json::from_slice::<Errand>(text.expose()).ok());
    let errand = errand.ok_or(Fault::Bug("an errand does not open: another master key?"))?;
    let secret = errand.secret.clone().map(Secret::new);
    let sent = core
        .authorization_servers
        .revoke(&errand.settings, secret.as_ref(), (&errand.token, &errand.hint))
        .await;
    let old = now.since(pending.created_at) > GIVE_BACK_GIVE_UP;
    let (kind, why) = match sent {
        Ok(()) => (AuditKind::UpstreamRevoked, None),
        // The client is none any more: what it held is worth nothing, and no other try will say more.
        Err(ServerError::Refused { code, .. })
            if code == "invalid_client" || code == "unsupported_token_type" =>
        {
            (AuditKind::UpstreamRevocationGivenUp, Some(code))
        }
        Err(error) if old => (AuditKind::UpstreamRevocationGivenUp, Some(error.to_string())),
        Err(error) => {
            tracing::warn!(issuer = errand.settings.issuer, %error, "a token could not be revoked upstream yet");
            return Ok(());
        }
    };
    let mut event = core.event(kind, &Caller::job(), now);
    event.user_id = Some(errand.user);
    event.resource_id = Some(pending.resource_id);
    event.detail = serde_json::json!({ "issuer": errand.settings.issuer, "attempts": pending.attempts + 1 });
    if let (Some(detail), Some(why)) = (event.detail.as_object_mut(), why) {
        detail.insert("because".to_owned(), why.into());
    }
    done(core, pending.id, event).await
}

async fn done(core: &Core, id: TokenId, event: AuditEvent) -> Result<(), Fault> {
    Ok(core
        .store
        .write(move |tx| {
            connections::remove_pending(tx, id)?;
            let mut event = event.clone();
            // Erased in the meantime: the record names nobody.
            if let Some(user) = event.user_id
                && users::find(tx, user)?.is_none()
            {
                event.user_id = None;
            }
            audit::append(tx, &event)
        })
        .await?)
}
