//! Clients and initial access tokens, as administrators manage them.

use std::time::Duration;

use serde_json::Value;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::people::OrderError;
use crate::crypto::assertion::check_key_set;
use crate::oauth::client_metadata::{self, Origin};
use crate::oauth::register::{self, Shown};
use crate::storage::grants::GrantFilter;
use crate::storage::registration_tokens::InitialAccessToken;
use crate::storage::{audit, clients, families, grants, registration_tokens, resources};
use crate::types::admin::ADMIN_API;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{AuthMethod, Client, ClientId, ClientKind};
use crate::types::id::InitialAccessTokenId;
use crate::types::resource_uri::ResourceUri;
use crate::types::token::{Token, TokenKind};

/// Adds a client that an administrator vouches for. `metadata` has the members of RFC 7591 §2; the answer is the
/// RFC 7591 response, with the secret that is shown once.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(
    core: &Core,
    caller: &Caller,
    metadata: &serde_json::Map<String, Value>,
    resources: Vec<String>,
) -> Result<Value, OrderError> {
    let now = core.now();
    let reading = client_metadata::read(metadata, Origin::Registration, &core.policy)
        .map_err(|error| OrderError::Bad(error.to_string()))?;
    if let Some(note) = reading.notes.first() {
        // Nobody reads warnings of a command; what an administrator asks for is done or refused.
        return Err(OrderError::Bad(note.to_string()));
    }
    if let Some(keys) = &reading.metadata.jwks {
        check_key_set(keys).map_err(|why| OrderError::Bad(format!("jwks: {why}")))?;
    }
    known(core, &resources).await?;
    let uses_secret = reading.metadata.token_endpoint_auth_method.is_none_or(AuthMethod::uses_secret);
    let secret = uses_secret.then(|| Token::generate(TokenKind::ClientSecret, core.rng.as_ref()));
    let client = Client {
        id: ClientId::generate(core.rng.as_ref()),
        kind: ClientKind::PreRegistered,
        metadata: reading.metadata,
        secret_digest: secret.as_ref().map(Token::digest),
        registration_digest: None,
        resources,
        created_at: now,
        updated_at: now,
        disabled_at: None,
        first_granted_at: None,
        document_fresh_until: None,
        document_version: 0,
    };
    let mut event = about(core, caller, AuditKind::ClientAdded, &client.id);
    event.detail = serde_json::json!({ "client_name": client.metadata.client_name });
    let stored = client.clone();
    core.store
        .write(move |tx| {
            clients::insert(tx, &stored)?;
            audit::append(tx, &event)
        })
        .await?;
    let shown = Shown { client_secret: secret.as_ref().map(Token::expose), registration_access_token: None };
    Ok(register::response(&client, shown, &[], &core.policy))
}

/// Refuses resources that are not there: the client would be refused at each of them later, and nobody would know why.
async fn known(core: &Core, resources: &[String]) -> Result<(), OrderError> {
    if resources.is_empty() {
        return Ok(());
    }
    let mut there: Vec<String> =
        core.store.read(resources::list).await?.iter().map(|resource| resource.uri.key()).collect();
    // Made when the server first starts, which may be yet to come.
    there.extend(ResourceUri::key_of(&core.policy.issuer.url(ADMIN_API)));
    for uri in resources {
        let key = ResourceUri::parse(uri).map_err(OrderError::Bad)?.key();
        if !there.contains(&key) {
            return Err(OrderError::Bad(format!(
                "there is no resource {uri}; see `postern resource list`, or add it first"
            )));
        }
    }
    Ok(())
}

/// Every client.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<Client>, Fault> {
    Ok(core.store.read(clients::list).await?)
}

/// The client with this id.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, id: &str) -> Result<Client, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no client {id}; see `postern client list`"));
    let parsed = ClientId::parse(id).ok_or_else(missing)?;
    core.store.read(move |tx| clients::find(tx, &parsed)).await?.ok_or_else(missing)
}

/// Switches a client off: its tokens end at once, approvals stay for the day it comes back.
///
/// # Errors
/// See [`OrderError`].
pub async fn disable(core: &Core, caller: &Caller, id: &str) -> Result<Client, OrderError> {
    let client = find(core, id).await?;
    let now = core.now();
    let event = about(core, caller, AuditKind::ClientDisabled, &client.id);
    let id = client.id.clone();
    core.store
        .write(move |tx| {
            // Grants first, then families: the order in which everyone locks them.
            let filter = GrantFilter { client_id: Some(id.clone()), ..GrantFilter::default() };
            grants::revoke_tokens(tx, &filter, now)?;
            families::revoke_by_client(tx, &id, now)?;
            clients::set_disabled(tx, &id, Some(now), now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(Client { disabled_at: Some(now), ..client })
}

/// Switches a client on again.
///
/// # Errors
/// See [`OrderError`].
pub async fn enable(core: &Core, caller: &Caller, id: &str) -> Result<Client, OrderError> {
    let client = find(core, id).await?;
    let now = core.now();
    let event = about(core, caller, AuditKind::ClientEnabled, &client.id);
    let id = client.id.clone();
    core.store
        .write(move |tx| {
            clients::set_disabled(tx, &id, None, now)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(Client { disabled_at: None, ..client })
}

/// Removes a client and everything that rests on it.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, id: &str) -> Result<Client, OrderError> {
    let client = find(core, id).await?;
    let now = core.now();
    let event = about(core, caller, AuditKind::ClientRemoved, &client.id);
    let id = client.id.clone();
    core.store
        .write(move |tx| {
            let filter = GrantFilter { client_id: Some(id.clone()), ..GrantFilter::default() };
            grants::revoke(tx, &filter, "client removed", now)?;
            families::revoke_by_client(tx, &id, now)?;
            clients::delete(tx, &id)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(client)
}

/// Makes an initial access token (RFC 7591 §3); the token is in the answer and nowhere else.
///
/// # Errors
/// A fault.
pub async fn add_initial_access_token(
    core: &Core,
    caller: &Caller,
    name: String,
    ttl: Option<Duration>,
    uses: Option<i64>,
) -> Result<(InitialAccessToken, Token), Fault> {
    let now = core.now();
    let token = Token::generate(TokenKind::InitialAccess, core.rng.as_ref());
    let record = InitialAccessToken {
        id: InitialAccessTokenId::new(now, core.rng.as_ref()),
        name,
        created_at: now,
        expires_at: ttl.map(|ttl| now.plus(ttl)),
        remaining: uses,
    };
    let mut event = core.event(AuditKind::InitialAccessTokenAdded, caller, now);
    event.detail = serde_json::json!({ "id": record.id, "name": record.name });
    let (stored, digest) = (record.clone(), token.digest());
    core.store
        .write(move |tx| {
            registration_tokens::insert(tx, &stored, &digest)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok((record, token))
}

/// Every initial access token.
///
/// # Errors
/// A fault.
pub async fn initial_access_tokens(core: &Core) -> Result<Vec<InitialAccessToken>, Fault> {
    Ok(core.store.read(registration_tokens::list).await?)
}

/// Removes an initial access token; what was registered with it stays.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove_initial_access_token(core: &Core, caller: &Caller, id: &str) -> Result<(), OrderError> {
    let missing = || OrderError::NotFound(format!("there is no initial access token {id}"));
    let parsed = InitialAccessTokenId::parse(id).ok_or_else(missing)?;
    let mut event = core.event(AuditKind::InitialAccessTokenRemoved, caller, core.now());
    event.detail = serde_json::json!({ "id": parsed });
    let removed = core
        .store
        .write(move |tx| {
            let removed = registration_tokens::delete(tx, parsed)?;
            if removed {
                audit::append(tx, &event)?;
            }
            Ok(removed)
        })
        .await?;
    if removed { Ok(()) } else { Err(missing()) }
}

fn about(core: &Core, caller: &Caller, kind: AuditKind, id: &ClientId) -> AuditEvent {
    let mut event = core.event(kind, caller, core.now());
    event.client_id = Some(id.clone());
    event
}
