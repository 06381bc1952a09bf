//! A person allows the gateway to use a server behind it in their name: out to the authorization server in front of it, and
//! back (RFC 6749 §4.1, RFC 7636, RFC 8707, RFC 9207).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::federation::random;
use super::gateway::{self, Route};
use super::give_back;
use super::live;
use super::login::SignedIn;
use super::people::{self, OrderError};
use super::resources;
use super::upstream_auth::{redirect_uri, secret_of};
use super::upstream_tokens::{close, open};
use crate::account::permission::permitted;
use crate::oauth::params::Params;
use crate::storage::{audit, connections, steps, users};
use crate::types::audit::AuditKind;
use crate::types::id::{ResourceId, SessionId, UserId};
use crate::types::policy::{MAX_CONTINUE, PROVIDER_SIGN_IN_TTL};
use crate::types::resource::Resource;
use crate::types::scope::OFFLINE_ACCESS;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenKind};
use crate::types::upstream_auth::{AuthKind, Connection, UpstreamAuth};
use crate::types::user::User;

pub(super) const STEP: &str = "connection to an upstream";

/// A way out that is under way.
#[derive(Serialize, Deserialize)]
struct Outing {
    resource: ResourceId,
    slug: String,
    /// The way as it stood: another one, set meanwhile, is another authorization server.
    way: Timestamp,
    verifier: String,
    /// The browser, by its mark.
    browser: String,
    person: UserId,
    session: SessionId,
    /// Where to go afterwards: an authorization request, sealed, or nothing.
    resume: String,
}

/// Why nothing comes of it.
#[derive(Debug)]
pub enum Denied {
    /// There is no such server, or nobody has to allow anything there, or this person may do nothing there.
    NoServer,
    /// It is not under way in this browser and session: too old, used, or begun elsewhere.
    Stale,
    /// The person, or the other side, did not go through with it. Where it was begun.
    Declined {
        /// The server.
        slug: String,
        /// Where the person was going.
        resume: String,
    },
    /// The other side's answer proves nothing, or its token endpoint refuses; the log says why.
    Unproven,
    /// Us.
    Fault(Fault),
}

super::failure::from_faults!(Denied);

/// A server at which a person has to allow it, and what they have there.
pub struct Place {
    /// The server.
    pub resource: Resource,
    /// The other side.
    pub auth: UpstreamAuth,
    /// What they were given, if they were.
    pub connection: Option<Connection>,
}

impl Place {
    /// Whether it works now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.ended_at.is_none())
    }
}

/// Whether there is any such server.
#[must_use]
pub fn is_any(core: &Core) -> bool {
    let is_one = |route: &Arc<Route>| route.auth.as_ref().is_some_and(|auth| auth.kind == AuthKind::OAuth);
    core.live.view().routes.values().any(is_one)
}

fn way(core: &Core, slug: &str, person: &User) -> Result<(Arc<Route>, UpstreamAuth), Denied> {
    let route = gateway::find(core, slug).ok_or(Denied::NoServer)?;
    let auth = route.auth.clone().filter(|auth| auth.kind == AuthKind::OAuth).ok_or(Denied::NoServer)?;
    if !permitted(&route.resource, person).at_all {
        return Err(Denied::NoServer);
    }
    Ok((route, auth))
}

/// One such server.
///
/// # Errors
/// See [`Denied`].
pub async fn place(core: &Core, slug: &str, person: &User) -> Result<Place, Denied> {
    let (route, auth) = way(core, slug, person)?;
    let (resource, user) = (auth.resource_id, person.id);
    let connection = core.store.lookup(move |tx| connections::find(tx, resource, user)).await?;
    Ok(Place { resource: route.resource.clone(), auth, connection })
}

/// Every such server, by name.
///
/// # Errors
/// A fault.
pub async fn places(core: &Core, person: &User) -> Result<Vec<Place>, Fault> {
    let user = person.id;
    let held = core.store.lookup(move |tx| connections::of_user(tx, user)).await?;
    let routes = Arc::clone(&core.live.view().routes);
    let mut places: Vec<Place> = routes
        .keys()
        .filter_map(|slug| way(core, slug, person).ok())
        .map(|(route, auth)| {
            let connection = held.iter().find(|one| one.resource_id == auth.resource_id).cloned();
            Place { resource: route.resource.clone(), auth, connection }
        })
        .collect();
    places.sort_by(|one, other| one.resource.name.cmp(&other.resource.name));
    Ok(places)
}

/// Who has connected a server, by e-mail, and what they have there.
///
/// # Errors
/// See [`OrderError`].
pub async fn of(core: &Core, uri: &str) -> Result<Vec<(String, Connection)>, OrderError> {
    let id = resources::find(core, uri).await?.id;
    let found = core
        .store
        .read(move |tx| {
            let mut out = Vec::new();
            for connection in connections::of_resource(tx, id)? {
                let email = users::find(tx, connection.user_id)?.map(|user| user.email);
                out.push((email.unwrap_or_default(), connection));
            }
            Ok(out)
        })
        .await?;
    Ok(found)
}

/// Forgets what a person was given at a server, and gives it back there; whether there was anything.
///
/// # Errors
/// See [`OrderError`].
pub async fn disconnect(core: &Core, caller: &Caller, uri: &str, email: &str) -> Result<bool, OrderError> {
    let id = resources::find(core, uri).await?.id;
    let person = people::find(core, email).await?;
    Ok(give_back::one(core, caller, id, person.id).await?)
}

/// The first of these servers at which this person has yet to allow it, by slug.
///
/// # Errors
/// A fault.
pub async fn missing(core: &Core, person: &User, asked: &[&Resource]) -> Result<Option<String>, Fault> {
    for slug in asked.iter().filter_map(|resource| resource.slug.as_deref()) {
        match place(core, slug, person).await {
            Ok(place) if !place.is_connected() => return Ok(Some(slug.to_owned())),
            Err(Denied::Fault(fault)) => return Err(fault),
            _ => {}
        }
    }
    Ok(None)
}

/// The address at which a person allows it.
///
/// # Errors
/// See [`Denied`].
pub async fn depart(
    core: &Core,
    slug: &str,
    person: &SignedIn,
    browser: String,
    resume: String,
) -> Result<String, Denied> {
    let now = core.now();
    let (_, auth) = way(core, slug, &person.user)?;
    if resume.len() > MAX_CONTINUE || browser.is_empty() {
        return Err(Denied::Stale);
    }
    let outing = Outing {
        resource: auth.resource_id,
        slug: slug.to_owned(),
        way: auth.created_at,
        verifier: random(core),
        browser,
        person: person.user.id,
        session: person.session.id,
        resume,
    };
    let state = Token::generate(TokenKind::Step, core.rng.as_ref());
    let text = serde_json::to_vec(&outing).map_err(|_| Fault::Bug("an outing does not serialise"))?;
    let digest = state.digest();
    let sealed = core.master.seal(STEP, &digest.hex(), &text, core.rng.as_ref());
    let (until, user) = (now.plus(PROVIDER_SIGN_IN_TTL), person.user.id);
    core.store.write(move |tx| steps::insert(tx, &digest, Some(user), &sealed, until)).await?;
    let endpoint = auth.settings.authorization_endpoint.as_deref().unwrap_or_default();
    let mut to =
        url::Url::parse(endpoint).map_err(|_| Fault::Bug("an endpoint that was checked is no URL"))?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&outing.verifier));
    to.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &auth.settings.client_id)
        .append_pair("redirect_uri", &redirect_uri(core))
        .append_pair("state", state.expose())
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("resource", &auth.settings.resource);
    if !auth.settings.scopes.is_empty() {
        to.query_pairs_mut().append_pair("scope", &auth.settings.scopes.join(" "));
    }
    if auth.settings.scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
        // Without it that scope is ignored (OpenID Connect Core §11).
        to.query_pairs_mut().append_pair("prompt", "consent");
    }
    Ok(to.into())
}

/// What came of it.
pub struct Connected {
    /// The server.
    pub slug: String,
    /// Where the person was going.
    pub resume: String,
}

/// Takes the other side's answer. `browser` is the mark of the browser that brings it.
///
/// # Errors
/// See [`Denied`].
pub async fn come_back(
    core: &Core,
    caller: &Caller,
    params: &Params,
    browser: &str,
    person: Option<&SignedIn>,
) -> Result<Connected, Denied> {
    let value = |name: &str| params.value(name).ok().flatten();
    let outing = take(core, value("state"), browser, person).await?;
    let person = person.ok_or(Denied::Stale)?;
    let (_, auth) = way(core, &outing.slug, &person.user)?;
    if auth.resource_id != outing.resource || auth.created_at != outing.way {
        return Err(Denied::Stale);
    }
    // RFC 9207 §2.4: an answer of another server is none, and neither is one that does not say whose it is although it could.
    let fits = match value("iss") {
        Some(iss) => iss == auth.settings.issuer,
        None => !auth.settings.names_itself,
    };
    if !fits {
        return Err(unproven(&auth, "iss"));
    }
    if let Some(error) = value("error") {
        tracing::info!(issuer = auth.settings.issuer, error, "somebody was not connected");
        return Err(Denied::Declined { slug: outing.slug, resume: outing.resume });
    }
    let Some(code) = value("code") else { return Err(unproven(&auth, "no code")) };
    let callback = redirect_uri(core);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("code_verifier", &outing.verifier),
        ("resource", &auth.settings.resource),
    ];
    let secret = secret_of(core, &auth)?;
    let tokens = core.authorization_servers.token(&auth.settings, secret.as_ref(), &form).await;
    let tokens = tokens.map_err(|error| unproven(&auth, &error.to_string()))?;
    let (resource, user) = (auth.resource_id, person.user.id);
    let before = core.store.lookup(move |tx| connections::find(tx, resource, user)).await?;
    let new = close(core, &auth, user, &tokens, None)?;
    let old = before.filter(|before| before.ended_at.is_none()).and_then(|before| open(core, &before).ok());
    let old = old.map(|held| give_back::errand(core, &auth, user, &held)).transpose()?.flatten();
    let mut event = core.event(AuditKind::UpstreamConnected, caller, core.now());
    event.user_id = Some(user);
    event.resource_id = Some(resource);
    event.detail = serde_json::json!({ "issuer": auth.settings.issuer, "scope": new.scope });
    core.store
        .write(move |tx| {
            connections::put(tx, &new)?;
            if let Some(old) = &old {
                connections::insert_pending(tx, old)?;
            }
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(Connected { slug: outing.slug, resume: outing.resume })
}

/// Uses up what is remembered of it: once, in the browser and the session that began it.
async fn take(
    core: &Core,
    state: Option<&str>,
    browser: &str,
    person: Option<&SignedIn>,
) -> Result<Outing, Denied> {
    let token = state.and_then(|text| Token::parse(TokenKind::Step, text)).ok_or(Denied::Stale)?;
    let (digest, now) = (token.digest(), core.now());
    let sealed = core.store.lookup(move |tx| steps::find(tx, &digest, now)).await?.ok_or(Denied::Stale)?;
    let opened = core.master.open(STEP, &digest.hex(), &sealed).ok_or(Denied::Stale)?;
    let outing: Outing = serde_json::from_slice(opened.expose()).map_err(|_| Denied::Stale)?;
    let here: bool = outing.browser.as_bytes().ct_eq(browser.as_bytes()).into();
    // MCP, URL mode elicitation: whoever opens the link has to be who is connected, or somebody else's account ends up here.
    let same =
        person.is_some_and(|person| (person.user.id, person.session.id) == (outing.person, outing.session));
    if !here || !same {
        return Err(Denied::Stale);
    }
    if !core.store.write(move |tx| steps::consume(tx, &digest, now)).await? {
        return Err(Denied::Stale);
    }
    Ok(outing)
}

fn unproven(auth: &UpstreamAuth, why: &str) -> Denied {
    tracing::warn!(issuer = auth.settings.issuer, why, "an answer of an authorization server proves nothing");
    Denied::Unproven
}
