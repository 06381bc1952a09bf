//! The way to credentials of each person's own at a server behind the gateway, as an administrator sets it: found by
//! discovery, registered there, and kept.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::give_back;
use super::live;
use super::people::OrderError;
use super::resources;
use crate::outbound::authorization_server::{ServerError, ServerMetadata, client_of};
use crate::outbound::resource_metadata::protection;
use crate::outbound::upstream_mcp::Upstreams;
use crate::storage::{audit, connections, gateway};
use crate::types::audit::AuditKind;
use crate::types::policy::{MAX_PARAMETER, MAX_UPSTREAM_SCOPES};
use crate::types::resource::Resource;
use crate::types::scope::{OFFLINE_ACCESS, is_scope};
use crate::types::secret::Secret;
use crate::types::upstream_auth::{AuthKind, AuthSettings, ProvesBy, Registration, UpstreamAuth};

pub(super) const SECRET: &str = "upstream client secret";

/// What an administrator says; everything else is found out.
#[derive(Clone, Debug)]
pub struct NewAuth {
    /// Which way.
    pub kind: AuthKind,
    /// The issuer, where the server does not name one or several.
    pub issuer: Option<String>,
    /// The gateway's client id there, where it has one.
    pub client_id: Option<String>,
    /// And its secret.
    pub secret: Option<Secret<String>>,
    /// What to ask for; what the server names unless given.
    pub scopes: Vec<String>,
}

/// Where people come back to; to be registered at the other side.
#[must_use]
pub fn redirect_uri(core: &Core) -> String {
    core.policy.issuer.url("/gateway/callback")
}

/// The URL of the gateway's metadata document as a client, which is its id where the other side takes that.
#[must_use]
pub fn document_url(core: &Core) -> String {
    core.policy.issuer.url("/gateway/client.json")
}

/// That document (Client ID Metadata Document).
#[must_use]
pub fn document(core: &Core) -> serde_json::Value {
    let mut document = client_of("Postern gateway", &redirect_uri(core), &[]);
    if let Some(members) = document.as_object_mut() {
        members.insert("client_id".to_owned(), document_url(core).into());
        members.insert("client_uri".to_owned(), core.policy.issuer.as_str().into());
    }
    document
}

fn bad(why: impl Into<String>) -> OrderError {
    OrderError::Bad(why.into())
}

/// Finds the way, registers the gateway there where that is needed, and keeps it in the place of what the server was shown
/// before.
///
/// # Errors
/// See [`OrderError`]; [`OrderError::Bad`] with what the other side lacks.
pub async fn set(
    core: &Core,
    caller: &Caller,
    uri: &str,
    new: NewAuth,
) -> Result<(Resource, UpstreamAuth), OrderError> {
    let resource = resources::find(core, uri).await?;
    let Some(upstream) = resource.upstream.as_deref() else {
        return Err(bad(format!("{uri} is not behind the gateway: it has no upstream")));
    };
    if new.scopes.len() > MAX_UPSTREAM_SCOPES || !new.scopes.iter().all(|scope| is_scope(scope)) {
        return Err(bad(format!(
            "a scope is a word of RFC 6749 §3.3, and there are at most {MAX_UPSTREAM_SCOPES}"
        )));
    }
    let now = core.now();
    let settings = settings(core, upstream, &new).await?;
    let (settings, secret) = settings;
    let sealed_secret = secret.map(|secret| {
        core.master.seal(SECRET, &resource.id.to_string(), secret.expose().as_bytes(), core.rng.as_ref())
    });
    let auth =
        UpstreamAuth { resource_id: resource.id, kind: new.kind, settings, sealed_secret, created_at: now };
    let mut event = core.event(AuditKind::UpstreamAuthSet, caller, now);
    event.resource_id = Some(resource.id);
    event.detail = serde_json::json!({
        "kind": auth.kind.as_str(),
        "issuer": auth.settings.issuer,
        "client_id": auth.settings.client_id,
        "scopes": auth.settings.scopes,
    });
    give_back::everybody(core, caller, resource.id).await?;
    let kept = auth.clone();
    core.store
        .write(move |tx| {
            gateway::remove_credential(tx, kept.resource_id)?;
            connections::put_way(tx, &kept)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok((resource, auth))
}

/// Forgets the way, and gives back what everybody has been given by it; whether there was one.
///
/// # Errors
/// See [`OrderError`].
pub async fn clear(core: &Core, caller: &Caller, resource: &Resource) -> Result<bool, OrderError> {
    let id = resource.id;
    give_back::everybody(core, caller, id).await?;
    let mut event = core.event(AuditKind::UpstreamAuthCleared, caller, core.now());
    event.resource_id = Some(id);
    let gone = core
        .store
        .write(move |tx| {
            let gone = connections::remove_way(tx, id)?;
            if gone {
                audit::append(tx, &event)?;
            }
            Ok(gone)
        })
        .await?;
    live::refresh(core).await?;
    Ok(gone)
}

/// The gateway's client secret at the other side.
///
/// # Errors
/// A fault, when it does not open.
pub(super) fn secret_of(core: &Core, auth: &UpstreamAuth) -> Result<Option<Secret<String>>, Fault> {
    let Some(sealed) = &auth.sealed_secret else { return Ok(None) };
    let opened = core.master.open(SECRET, &auth.resource_id.to_string(), sealed);
    let text = opened.and_then(|bytes| String::from_utf8(bytes.expose().clone()).ok());
    text.map(|text| Some(Secret::new(text))).ok_or(Fault::Bug("an upstream client secret does not open"))
}

async fn settings(
    core: &Core,
    upstream: &str,
    new: &NewAuth,
) -> Result<(AuthSettings, Option<Secret<String>>), OrderError> {
    let url = Upstreams::check(upstream).map_err(bad)?;
    let found = protection(&url).await;
    let (issuer, named) = match (&new.issuer, &found) {
        (Some(issuer), _) => (issuer.clone(), true),
        (None, Ok(found)) => match found.issuers.as_slice() {
            [only] => (only.clone(), false),
            [] => return Err(bad("the server names no authorization server; give its issuer with --issuer")),
            several => {
                return Err(bad(format!(
                    "the server names several issuers; choose with --issuer: {}",
                    several.join(", ")
                )));
            }
        },
        (None, Err(why)) => {
            return Err(bad(format!("{why}; give the issuer of its tokens with --issuer")));
        }
    };
    let private_network = named || core.policy.allow_private_networks;
    let servers = &core.authorization_servers;
    let metadata = servers.discover(&issuer, private_network).await;
    let metadata = metadata.map_err(|error| bad(format!("the issuer {issuer}: {error}")))?;
    suits(new.kind, &metadata)?;
    let (resource, offered) = match found {
        Ok(found) => (found.resource, found.scopes),
        Err(_) => (url.to_string(), Vec::new()),
    };
    let mut scopes = if new.scopes.is_empty() { offered } else { new.scopes.clone() };
    // MCP, Refresh Tokens: it is the issuer that knows it, and without it some give no refresh token.
    let lasting = OFFLINE_ACCESS.to_owned();
    if new.kind == AuthKind::OAuth
        && metadata.scopes_supported.contains(&lasting)
        && !scopes.contains(&lasting)
    {
        scopes.push(lasting);
    }
    let (client_id, secret, proves_by, registration) =
        client(core, new, &metadata, (private_network, &scopes)).await?;
    let settings = AuthSettings {
        issuer,
        authorization_endpoint: metadata.authorization_endpoint,
        token_endpoint: metadata.token_endpoint,
        revocation_endpoint: metadata.revocation_endpoint,
        names_itself: metadata.authorization_response_iss_parameter_supported,
        client_id,
        proves_by,
        registration,
        resource,
        scopes,
        private_network,
    };
    Ok((settings, secret))
}

/// Whether the other side can do what this way needs.
fn suits(kind: AuthKind, metadata: &ServerMetadata) -> Result<(), OrderError> {
    let issuer = &metadata.issuer;
    if kind == AuthKind::OAuth {
        if metadata.authorization_endpoint.is_none() {
            return Err(bad(format!(
                "the issuer {issuer} has no authorization endpoint, so that nobody can allow anything"
            )));
        }
        // MCP: a client does not go on where PKCE is not said to be supported.
        if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(bad(format!("the issuer {issuer} does not say that it supports PKCE with S256")));
        }
    }
    let grant = match kind {
        AuthKind::OAuth => return Ok(()),
        AuthKind::Exchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        AuthKind::IdJag => "urn:ietf:params:oauth:grant-type:jwt-bearer",
    };
    if metadata.grant_types_supported.iter().any(|known| known == grant) {
        return Ok(());
    }
    Err(bad(format!("the issuer {issuer} does not say that it supports {grant}")))
}

type Client = (String, Option<Secret<String>>, ProvesBy, Registration);

/// Who the gateway is at the other side: as an administrator says, else by its metadata document, else by registering.
async fn client(
    core: &Core,
    new: &NewAuth,
    metadata: &ServerMetadata,
    (private, scopes): (bool, &[String]),
) -> Result<Client, OrderError> {
    if let Some(id) = &new.client_id {
        let plain = |text: &str| {
            !text.is_empty() && text.len() <= MAX_PARAMETER && !text.chars().any(char::is_control)
        };
        if !plain(id) || new.secret.as_ref().is_some_and(|secret| !plain(secret.expose())) {
            return Err(bad("client id and secret are one line each"));
        }
        let proves_by = if new.secret.is_some() { metadata.proof() } else { ProvesBy::None };
        return Ok((id.clone(), new.secret.clone(), proves_by, Registration::Given));
    }
    if new.secret.is_some() {
        return Err(bad("a client secret needs its --client-id"));
    }
    if new.kind != AuthKind::OAuth {
        return Err(bad(format!(
            "the issuer {} has to know this gateway as a client that may vouch for people; register it there and give --client-id",
            metadata.issuer
        )));
    }
    if metadata.client_id_metadata_document_supported && core.policy.issuer.is_https() {
        return Ok((document_url(core), None, ProvesBy::None, Registration::Document));
    }
    let Some(endpoint) = &metadata.registration_endpoint else {
        return Err(bad(format!(
            "the issuer {} takes neither metadata documents nor registrations; register the gateway there with the redirect \
             URI {} and give --client-id",
            metadata.issuer,
            redirect_uri(core)
        )));
    };
    let client = client_of("Postern gateway", &redirect_uri(core), scopes);
    let mut registered = core.authorization_servers.register(endpoint, private, &client).await;
    if matches!(registered, Err(ServerError::Refused { .. })) {
        // Some know scopes for themselves only, and not those of the servers behind them.
        let plain = client_of("Postern gateway", &redirect_uri(core), &[]);
        registered = core.authorization_servers.register(endpoint, private, &plain).await;
    }
    let registered = registered.map_err(|error: ServerError| {
        bad(format!(
            "the gateway could not register at {endpoint}: {error}; register it there and give --client-id"
        ))
    })?;
    Ok((registered.client_id, registered.secret, registered.proves_by, Registration::Dynamic))
}
