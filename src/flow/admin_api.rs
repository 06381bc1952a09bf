//! The admin API's own door: its place among the resources, who comes in with a token, and requests that are repeated.

use super::core::{Caller, Core};
use super::cut::By;
use super::failure::Fault;
use super::verify::{self, Unverified};
use super::{keys, live};
use crate::storage::{StoreError, api_requests, audit, resources, users};
use crate::types::access_rule::{AccessRule, Holder, NamedRole, Who};
use crate::types::admin::{ADMIN_API, Permission};
use crate::types::audit::AuditKind;
use crate::types::client::ClientId;
use crate::types::hex::hex;
use crate::types::id::{ResourceId, UserId};
use crate::types::key::SigningAlg;
use crate::types::resource::{ClientRule, GatewayRule, Resource, ResourceScope};
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::ScopeSet;
use crate::types::token::{Token, TokenKind};
use crate::types::user::Role;

/// The admin API's resource URI.
///
/// # Errors
/// Never in practice: an issuer's URL with a path is one.
pub fn uri(core: &Core) -> Result<ResourceUri, Fault> {
    ResourceUri::parse(&core.policy.issuer.url(ADMIN_API))
        .map_err(|_| Fault::Bug("the admin API's address is no resource URI"))
}

/// Puts the admin API among the resources, unless it is there. Only clients that an administrator has added may ask for it,
/// and a person's role in the console says what they may be granted.
///
/// # Errors
/// A fault.
pub async fn ensure(core: &Core) -> Result<(), Fault> {
    let uri = uri(core)?;
    if core.live.view().resource(uri.as_str()).is_some() {
        return Ok(());
    }
    keys::ensure(core, SigningAlg::ES256).await?;
    let now = core.now();
    let id = ResourceId::new(now, core.rng.as_ref());
    let scopes = |allowed: &[Permission]| -> ScopeSet { allowed.iter().map(|one| one.as_str()).collect() };
    let role =
        |name: &str, allowed: &[Permission]| NamedRole { name: name.to_owned(), scopes: scopes(allowed) };
    let held = |name: &str, role: Role| Holder { role: name.to_owned(), who: Who::Console(role) };
    let resource = Resource {
        id,
        uri,
        name: "Postern’s admin API".to_owned(),
        scopes: Permission::ALL
            .iter()
            .map(|permission| ResourceScope {
                name: permission.as_str().to_owned(),
                description: permission.words().to_owned(),
                risk: permission.risk(),
                default: *permission == Permission::Read,
            })
            .collect(),
        access_token_ttl: None,
        signing_alg: SigningAlg::ES256,
        is_default: false,
        client_rule: ClientRule::PreRegistered,
        access_rule: AccessRule {
            roles: vec![role("auditors", &[Permission::Read]), role("administrators", &Permission::ALL)],
            holders: vec![held("auditors", Role::Auditor), held("administrators", Role::Admin)],
        },
        second_factor_required: false,
        client_id: format!("pst_resource_{}", id.to_string().replace('-', "")),
        // Nobody is told the secret: the API checks its tokens itself.
        secret_digest: Token::generate(TokenKind::ClientSecret, core.rng.as_ref()).digest(),
        slug: None,
        upstream: None,
        gateway: GatewayRule::default(),
        created_at: now,
        updated_at: now,
        removed_at: None,
    };
    match core.store.write(move |tx| resources::insert(tx, &resource)).await {
        // Another node was first.
        Ok(()) | Err(StoreError::Conflict) => live::refresh(core).await,
        Err(error) => Err(error.into()),
    }
}

/// Whoever calls.
#[derive(Clone, Debug)]
pub struct Principal {
    /// In words, and the person, for what they do.
    pub by: By,
    /// The client whose token it is.
    pub client_id: ClientId,
    /// A stable name, for what belongs to this caller alone.
    pub subject: String,
}

/// Why somebody may not.
#[derive(Debug)]
pub enum Denied {
    /// There is no token, or not one that counts.
    NoToken,
    /// The token does not go so far.
    Scope,
    /// The person's role does not go so far.
    Role(Role),
    /// Us.
    Fault(Fault),
}

super::failure::from_faults!(Denied);

/// Lets somebody in who has a token for the admin API with this permission. A person's role counts as it is now, not as it
/// was when the token was issued.
///
/// # Errors
/// See [`Denied`].
pub async fn enter(
    core: &Core,
    caller: &Caller,
    token: Option<&str>,
    need: Permission,
) -> Result<Principal, Denied> {
    let token = token.ok_or(Denied::NoToken)?;
    let claims = match verify::verify(core, token, &uri(core)?) {
        Ok(claims) => claims,
        Err(Unverified::Invalid) => return Err(Denied::NoToken),
        Err(Unverified::Fault(fault)) => return Err(fault.into()),
    };
    let by = if claims.sub == claims.client_id.as_str() {
        By { user_id: None, name: format!("client {}", claims.client_id) }
    } else {
        let id = UserId::parse(&claims.sub).ok_or(Denied::NoToken)?;
        let user = core.store.lookup(move |tx| users::find(tx, id)).await?;
        let user = user.filter(|user| user.disabled_at.is_none()).ok_or(Denied::NoToken)?;
        if user.role < need.role() {
            refused(core, caller, &claims.client_id, Some(id), need).await?;
            return Err(Denied::Role(need.role()));
        }
        By::person(&user)
    };
    if !claims.scope.contains(need.as_str()) {
        refused(core, caller, &claims.client_id, by.user_id, need).await?;
        return Err(Denied::Scope);
    }
    Ok(Principal { by, client_id: claims.client_id.clone(), subject: claims.sub.clone() })
}

async fn refused(
    core: &Core,
    caller: &Caller,
    client: &ClientId,
    user: Option<UserId>,
    need: Permission,
) -> Result<(), Fault> {
    let mut event = core.event(AuditKind::AdminApiRefused, caller, core.now());
    event.client_id = Some(client.clone());
    event.user_id = user;
    event.detail = serde_json::json!({ "needs": need.as_str() });
    Ok(core.store.write(move |tx| audit::append(tx, &event)).await?)
}

/// What a request with an idempotency key is to get.
pub enum Repeat {
    /// It is the first: carry it out, and [`answered`] or [`abandoned`] afterwards.
    First(Ticket),
    /// It was answered with this status and body.
    Answered(u16, Vec<u8>),
    /// It is still running, or was interrupted: what became of it is not known.
    Running,
    /// The same key came with something else before.
    Another,
}

/// A request that runs.
pub struct Ticket([u8; 32]);

/// Purpose of the seal of answers.
pub(super) const ANSWER: &str = "admin-api-answer";

/// Looks whether a request came before. `request` is all that makes it what it is.
///
/// # Errors
/// A fault.
pub async fn begin(core: &Core, principal: &Principal, key: &str, request: &[u8]) -> Result<Repeat, Fault> {
    let name = format!("{}\n{}\n{key}", principal.subject, principal.client_id);
    let digest = core.master.mac("admin-api-key", &[name.as_bytes()]);
    let fingerprints = core.master.macs("admin-api-request", &[request]);
    let fingerprint = fingerprints.newest;
    let now = core.now();
    let known = core.store.write(move |tx| api_requests::begin(tx, &digest, &fingerprint, now)).await?;
    let Some(known) = known else { return Ok(Repeat::First(Ticket(digest))) };
    if !fingerprints.iter().any(|one| known.fingerprint == one) {
        return Ok(Repeat::Another);
    }
    let (Some(status), Some(sealed)) = (known.status, known.answer) else { return Ok(Repeat::Running) };
    let answer = core.master.open(ANSWER, &hex(&digest), &sealed);
    let answer = answer.ok_or(Fault::Bug("a kept answer does not open"))?;
    Ok(Repeat::Answered(u16::try_from(status).unwrap_or(500), answer.expose().clone()))
}

/// Keeps the answer for a repeat.
///
/// # Errors
/// A fault.
pub async fn answered(core: &Core, ticket: &Ticket, status: u16, body: &[u8]) -> Result<(), Fault> {
    let digest = ticket.0;
    let sealed = core.master.seal(ANSWER, &hex(&digest), body, core.rng.as_ref());
    Ok(core.store.write(move |tx| api_requests::finish(tx, &digest, i64::from(status), &sealed)).await?)
}

/// Forgets a request that failed by our fault, so that it may be tried again.
///
/// # Errors
/// A fault.
pub async fn abandoned(core: &Core, ticket: &Ticket) -> Result<(), Fault> {
    let digest = ticket.0;
    Ok(core.store.write(move |tx| api_requests::forget(tx, &digest)).await?)
}
