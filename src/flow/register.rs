//! Dynamic registration and its management (RFC 7591, RFC 7592).

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde_json::Value;

use super::core::{Caller, Core};
use super::failure::Fault;
use crate::account::login::network_of;
use crate::crypto::assertion::check_key_set;
use crate::oauth::client_metadata::MetadataError;
use crate::oauth::register::{
    self, InitialAccess, Registration, RegistrationError, SecretPlan, Shown, may_register,
};
use crate::storage::grants::GrantFilter;
use crate::storage::{audit, clients, families, grants, registration_tokens};
use crate::types::audit::AuditKind;
use crate::types::client::{AuthMethod, Client, ClientId, ClientKind, ClientMetadata};
use crate::types::policy::{REGISTRATION_BURST, REGISTRATIONS_A_MINUTE, RegistrationMode};
use crate::types::token::{Token, TokenKind};

/// How often each network may register.
pub struct RegistrationLimiter(DefaultKeyedRateLimiter<String>);

impl Default for RegistrationLimiter {
    fn default() -> Self {
        let number = |n: u32| std::num::NonZeroU32::new(n).unwrap_or(std::num::NonZeroU32::MIN);
        Self(RateLimiter::keyed(
            Quota::per_minute(number(REGISTRATIONS_A_MINUTE)).allow_burst(number(REGISTRATION_BURST)),
        ))
    }
}

impl RegistrationLimiter {
    pub(super) fn allows(&self, caller: &Caller) -> bool {
        let network = caller.address.as_deref().map(network_of).unwrap_or_default();
        if self.0.len() > 10_000 {
            self.0.retain_recent();
        }
        self.0.check_key(&network).is_ok()
    }
}

/// Why a registration request gets no registration.
#[derive(Debug)]
pub enum Refused {
    /// The request.
    Registration(RegistrationError),
    /// Too many from this network.
    TooMany,
    /// Us.
    Fault(Fault),
}

super::failure::from_faults!(Refused);

impl From<RegistrationError> for Refused {
    fn from(error: RegistrationError) -> Self {
        Self::Registration(error)
    }
}

/// Registers a client (RFC 7591 §3).
///
/// # Errors
/// See [`Refused`].
pub async fn register(
    core: &Core,
    caller: &Caller,
    bearer: Option<&str>,
    body: &[u8],
) -> Result<Value, Refused> {
    let now = core.now();
    let initial =
        bearer.and_then(|text| Token::parse(TokenKind::InitialAccess, text)).map(|token| token.digest());
    let needs_token = core.policy.registration_mode == RegistrationMode::InitialAccessToken;
    let shown = match (bearer, initial) {
        (None, _) => InitialAccess::Absent,
        (Some(_), None) => InitialAccess::Invalid,
        (Some(_), Some(_)) => InitialAccess::Valid,
    };
    may_register(core.policy.registration_mode, shown)?;
    if !core.registrations.allows(caller) {
        return Err(Refused::TooMany);
    }
    let registration = register::register(body, &core.policy)?;
    can_authenticate(&registration.metadata)?;
    let access = Token::generate(TokenKind::RegistrationAccess, core.rng.as_ref());
    let secret = (registration.secret == SecretPlan::Issue)
        .then(|| Token::generate(TokenKind::ClientSecret, core.rng.as_ref()));
    let client = Client {
        id: ClientId::generate(core.rng.as_ref()),
        kind: ClientKind::Dynamic,
        metadata: registration.metadata,
        secret_digest: secret.as_ref().map(Token::digest),
        registration_digest: Some(access.digest()),
        resources: Vec::new(),
        created_at: now,
        updated_at: now,
        disabled_at: None,
        first_granted_at: None,
        document_fresh_until: None,
        document_version: 0,
    };
    let mut event = core.event(AuditKind::ClientRegistered, caller, now);
    event.client_id = Some(client.id.clone());
    event.detail = serde_json::json!({ "client_name": client.metadata.client_name });
    let kept = client.clone();
    let stored = core
        .store
        .write(move |tx| {
            if needs_token {
                let spent = match &initial {
                    Some(digest) => registration_tokens::spend(tx, digest, now)?,
                    None => false,
                };
                if !spent {
                    return Ok(false);
                }
            }
            clients::insert(tx, &kept)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if !stored {
        may_register(core.policy.registration_mode, InitialAccess::Invalid)?;
    }
    let shown = Shown {
        client_secret: secret.as_ref().map(Token::expose),
        registration_access_token: Some(access.expose()),
    };
    Ok(register::response(&client, shown, &registration.notes, &core.policy))
}

/// Keys by which a client means to authenticate and cannot are refused when they come, not when it first tries.
fn can_authenticate(metadata: &ClientMetadata) -> Result<(), RegistrationError> {
    match &metadata.jwks {
        Some(keys) if metadata.token_endpoint_auth_method == Some(AuthMethod::PrivateKeyJwt) => {
            check_key_set(keys).map_err(|why| MetadataError::Metadata(format!("jwks: {why}")).into())
        }
        _ => Ok(()),
    }
}

const fn not_yours() -> RegistrationError {
    RegistrationError::InvalidToken("the registration access token is not this client's")
}

/// The client that a registration access token manages (RFC 7592 §2).
async fn managed(core: &Core, id: &str, bearer: Option<&str>) -> Result<(Client, String), Refused> {
    let bearer = bearer.ok_or(RegistrationError::NoToken("the registration access token is missing"))?;
    let token = Token::parse(TokenKind::RegistrationAccess, bearer).ok_or_else(not_yours)?;
    let id = ClientId::parse(id).ok_or_else(not_yours)?;
    let client = core.store.lookup(move |tx| clients::find(tx, &id)).await?.ok_or_else(not_yours)?;
    let fits = client.registration_digest.is_some_and(|digest| digest.matches(token.expose()));
    if !fits || client.disabled_at.is_some() {
        return Err(not_yours().into());
    }
    Ok((client, token.expose().to_owned()))
}

/// Shows a client its registration (RFC 7592 §2.1).
///
/// # Errors
/// See [`Refused`].
pub async fn show(core: &Core, id: &str, bearer: Option<&str>) -> Result<Value, Refused> {
    let (client, token) = managed(core, id, bearer).await?;
    let shown = Shown { client_secret: None, registration_access_token: Some(&token) };
    Ok(register::response(&client, shown, &[], &core.policy))
}

/// Replaces a registration (RFC 7592 §2.2). Approvals stay, and are asked for again where what they rest on changed.
///
/// # Errors
/// See [`Refused`].
pub async fn update(
    core: &Core,
    caller: &Caller,
    id: &str,
    bearer: Option<&str>,
    body: &[u8],
) -> Result<Value, Refused> {
    let now = core.now();
    let (client, token) = managed(core, id, bearer).await?;
    let Registration { metadata, secret: plan, notes } = register::update(&client, body, &core.policy)?;
    can_authenticate(&metadata)?;
    let secret =
        (plan == SecretPlan::Issue).then(|| Token::generate(TokenKind::ClientSecret, core.rng.as_ref()));
    let digest = match plan {
        SecretPlan::None => None,
        SecretPlan::Keep => client.secret_digest,
        SecretPlan::Issue => secret.as_ref().map(Token::digest),
    };
    let changed = Client { metadata, secret_digest: digest, updated_at: now, ..client };
    let mut event = core.event(AuditKind::ClientUpdated, caller, now);
    event.client_id = Some(changed.id.clone());
    let kept = changed.clone();
    let updated = core
        .store
        .write(move |tx| {
            // An administrator may have switched it off, or it may have removed itself, since it was read.
            let updated = clients::set_metadata(tx, &kept, now)?;
            if updated {
                audit::append(tx, &event)?;
            }
            Ok(updated)
        })
        .await?;
    if !updated {
        return Err(not_yours().into());
    }
    let shown =
        Shown { client_secret: secret.as_ref().map(Token::expose), registration_access_token: Some(&token) };
    Ok(register::response(&changed, shown, &notes, &core.policy))
}

/// Removes a registration and everything that rests on it (RFC 7592 §2.3).
///
/// # Errors
/// See [`Refused`].
pub async fn remove(core: &Core, caller: &Caller, id: &str, bearer: Option<&str>) -> Result<(), Refused> {
    let now = core.now();
    let (client, _) = managed(core, id, bearer).await?;
    let mut event = core.event(AuditKind::ClientRemoved, caller, now);
    event.client_id = Some(client.id.clone());
    let id = client.id;
    core.store
        .write(move |tx| {
            let filter = GrantFilter { client_id: Some(id.clone()), ..GrantFilter::default() };
            grants::revoke(tx, &filter, "client removed itself", now)?;
            families::revoke_by_client(tx, &id, now)?;
            clients::delete(tx, &id)?;
            audit::append(tx, &event)
        })
        .await?;
    super::live::refresh(core).await?;
    Ok(())
}
