//! What the gateway shows to a server in a person's name. Nothing on the way of a call reads the database while the token that
//! is known still counts; one node at a time renews it, and what is renewed is kept before anything else happens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::{Pass, Route};
use super::give_back;
use super::live;
use super::upstream_auth::secret_of;
use super::vault::{self, Credential, Opened};
use crate::outbound::authorization_server::{ServerError, Tokens};
use crate::outbound::upstream_mcp::UpstreamCredential;
use crate::storage::{audit, connections, users};
use crate::types::audit::AuditKind;
use crate::types::id::{TokenId, UserId};
use crate::types::key::SigningAlg;
use crate::types::policy::{
    ASSERTION_TTL, UPSTREAM_TOKEN_LEASE, UPSTREAM_TOKEN_LOOK, UPSTREAM_TOKEN_LOOKS, UPSTREAM_TOKEN_MARGIN,
};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::upstream_auth::{AuthKind, Connection, UpstreamAuth};

pub(super) const PURPOSE: &str = "upstream connection";

/// The tokens of a connection, open.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub access: String,
    pub refresh: Option<String>,
}

/// A token that this node knows.
pub struct Known {
    token: Secret<String>,
    until: Option<Timestamp>,
    /// The way by which it was had: another one makes it worth nothing.
    way: Timestamp,
    /// Revocations as they stood: one that came later may be about this.
    revocations: i64,
}

/// What is shown to a server.
pub enum Shown {
    /// Nothing.
    Nothing,
    /// This.
    This(Opened),
    /// Nothing yet: the person has to allow it first, here.
    Connect(String),
    /// Nothing: the server knows only people, and a machine is asking.
    NotAPerson,
    /// Nothing now: the other side does not help.
    Unavailable,
}

/// What to show to a server for somebody who was let in and whose call is allowed.
///
/// # Errors
/// A fault.
pub async fn shown(core: &Arc<Core>, route: &Route, pass: &Pass) -> Result<Shown, Fault> {
    match &route.auth {
        None => Ok(vault::open(core, route)?.map_or(Shown::Nothing, Shown::This)),
        Some(auth) => token(core, route, pass, auth, None).await,
    }
}

/// The same once the server has refused what it was shown: renewed, where that may help.
///
/// # Errors
/// A fault.
pub async fn shown_anew(
    core: &Arc<Core>,
    route: &Route,
    pass: &Pass,
    refused: &Secret<Vec<u8>>,
) -> Result<Shown, Fault> {
    let Some(auth) = &route.auth else { return Ok(Shown::Unavailable) };
    token(core, route, pass, auth, Some(refused)).await
}

/// Where a person allows it.
#[must_use]
pub fn link(core: &Core, route: &Route, person: UserId) -> String {
    let slug = route.resource.slug.as_deref().unwrap_or_default();
    core.policy.issuer.url(&format!("/account/connect/{slug}?for={person}"))
}

async fn token(
    core: &Arc<Core>,
    route: &Route,
    pass: &Pass,
    auth: &UpstreamAuth,
    refused: Option<&Secret<Vec<u8>>>,
) -> Result<Shown, Fault> {
    let Some(person) = UserId::parse(&pass.claims.sub) else { return Ok(Shown::NotAPerson) };
    let key = (auth.resource_id, person);
    let revocations = core.live.view().generations.revocations;
    if let Some(known) = core.upstream_tokens.get(&key)
        && known.revocations == revocations
        && known.way == auth.created_at
        && fits(&known.token, known.until, refused, core.now())
    {
        return Ok(this(&known.token));
    }
    let had = match auth.kind {
        AuthKind::OAuth => Box::pin(connected(core, auth, person, refused)).await?,
        AuthKind::Exchange | AuthKind::IdJag => {
            // With the revocations: what was asked for before one is for nobody who came after it.
            let of = format!("{} {person} {} {revocations}", auth.resource_id, auth.created_at.micros());
            Box::pin(core.vouched.join(&of, || vouched_or_not(core, auth, person))).await.0
        }
    };
    Ok(match had {
        Had::Token(token, until) => {
            let known = Known { token: token.clone(), until, way: auth.created_at, revocations };
            core.upstream_tokens.insert(key, Arc::new(known));
            this(&token)
        }
        Had::Nothing => Shown::Connect(link(core, route, person)),
        Had::NoHelp => Shown::Unavailable,
    })
}

/// Whether a token may still be shown: not at its end, and not the one that was just refused.
fn fits(
    token: &Secret<String>,
    until: Option<Timestamp>,
    refused: Option<&Secret<Vec<u8>>>,
    now: Timestamp,
) -> bool {
    until.is_none_or(|until| now.plus(UPSTREAM_TOKEN_MARGIN) < until)
        && refused.is_none_or(|refused| refused.expose().as_slice() != token.expose().as_bytes())
}

fn this(token: &Secret<String>) -> Shown {
    let value = Secret::new(format!("Bearer {}", token.expose()).into_bytes());
    match UpstreamCredential::new("authorization", &value) {
        Some(credential) => Shown::This(Opened {
            credential: Credential::Header(credential),
            secrets: vec![Secret::new(token.expose().as_bytes().to_vec())],
        }),
        None => Shown::Unavailable,
    }
}

/// What came of asking for a token in a person's name. Many calls may wait for it, of which one asks.
#[derive(Clone)]
pub struct Vouched(Had);

#[derive(Clone)]
enum Had {
    Token(Secret<String>, Option<Timestamp>),
    /// The person has to allow it, or to allow it anew.
    Nothing,
    NoHelp,
}

/// Opens the tokens of a connection.
///
/// # Errors
/// A fault, when they do not open: another master key, or a row that was moved.
pub(super) fn open(core: &Core, connection: &Connection) -> Result<Held, Fault> {
    let id = format!("{}\n{}", connection.resource_id, connection.user_id);
    let sealed =
        vault::Enclosed { key: connection.sealed_key.clone(), value: connection.sealed_tokens.clone() };
    let opened = vault::disclose(core, PURPOSE, (&id, ""), &sealed);
    let held = opened.and_then(|text| serde_json::from_slice(text.expose()).ok());
    held.ok_or(Fault::Bug("what a person was given upstream does not open"))
}

/// A connection as it is kept, with the tokens sealed. `before` is what it takes the place of.
///
/// # Errors
/// A fault.
pub(super) fn close(
    core: &Core,
    auth: &UpstreamAuth,
    person: UserId,
    tokens: &Tokens,
    before: Option<(&Connection, &Held)>,
) -> Result<Connection, Fault> {
    let now = core.now();
    // RFC 6749 §6: without a new one, the refresh token stays what it was.
    let kept = before.and_then(|(_, held)| held.refresh.clone());
    let held = Held {
        access: tokens.access.expose().clone(),
        refresh: tokens.refresh.as_ref().map(|token| token.expose().clone()).or(kept),
    };
    let text = Secret::new(serde_json::to_vec(&held).map_err(|_| Fault::Bug("tokens do not serialise"))?);
    let id = format!("{}\n{person}", auth.resource_id);
    let sealed = vault::enclose(core, PURPOSE, (&id, ""), text.expose());
    let asked = auth.settings.scopes.join(" ");
    let scope = tokens.scope.clone().or_else(|| before.map(|(before, _)| before.scope.clone()));
    Ok(Connection {
        resource_id: auth.resource_id,
        user_id: person,
        sealed_key: sealed.key,
        sealed_tokens: sealed.value,
        expires_at: tokens.expires_in.map(|seconds| now.plus(std::time::Duration::from_secs(seconds))),
        scope: scope.unwrap_or(asked).chars().filter(|c| !c.is_control()).take(1_000).collect(),
        connected_at: before.map_or(now, |(before, _)| before.connected_at),
        refreshed_at: now,
        // One that none before it had: a renewal of an earlier connection that is under way finds it gone.
        version: before.map_or_else(|| now.micros(), |(before, _)| before.version + 1),
        ended_at: None,
    })
}

async fn connected(
    core: &Arc<Core>,
    auth: &UpstreamAuth,
    person: UserId,
    refused: Option<&Secret<Vec<u8>>>,
) -> Result<Had, Fault> {
    let resource = auth.resource_id;
    let found = core.store.lookup(move |tx| connections::find(tx, resource, person)).await?;
    let Some(connection) = found.filter(|connection| connection.ended_at.is_none()) else {
        return Ok(Had::Nothing);
    };
    let held = open(core, &connection)?;
    let token = Secret::new(held.access.clone());
    if fits(&token, connection.expires_at, refused, core.now()) {
        return Ok(Had::Token(token, connection.expires_at));
    }
    // On its own: whoever asked may go away, and a token that was renewed and not kept is lost.
    let (core, auth) = (Arc::clone(core), auth.clone());
    let renewal = tokio::spawn(async move { renew(&core, &auth, connection, held).await });
    renewal.await.map_err(|_| Fault::Bug("a renewal broke off"))?
}

/// Renews the tokens of a connection, or waits until another one has.
async fn renew(
    core: &Core,
    auth: &UpstreamAuth,
    mut connection: Connection,
    mut held: Held,
) -> Result<Had, Fault> {
    let (resource, person) = (connection.resource_id, connection.user_id);
    for _ in 0..UPSTREAM_TOKEN_LOOKS {
        let Some(refresh) = held.refresh.clone() else {
            return end(core, &connection, "there is no refresh token").await;
        };
        let (now, of) = (core.now(), connection.clone());
        let until = now.plus(UPSTREAM_TOKEN_LEASE);
        if core.store.write(move |tx| connections::lease(tx, &of, now, until)).await? {
            return ask(core, auth, (&connection, &held), &refresh).await;
        }
        sleep(UPSTREAM_TOKEN_LOOK).await;
        let found = core.store.lookup(move |tx| connections::find(tx, resource, person)).await?;
        let Some(found) = found.filter(|found| found.ended_at.is_none()) else { return Ok(Had::Nothing) };
        if found.version != connection.version || found.connected_at != connection.connected_at {
            held = open(core, &found)?;
            let token = Secret::new(held.access.clone());
            if fits(&token, found.expires_at, None, core.now()) {
                return Ok(Had::Token(token, found.expires_at));
            }
        }
        connection = found;
    }
    Ok(Had::NoHelp)
}

async fn ask(
    core: &Core,
    auth: &UpstreamAuth,
    (connection, held): (&Connection, &Held),
    refresh: &str,
) -> Result<Had, Fault> {
    let secret = secret_of(core, auth)?;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("resource", auth.settings.resource.as_str()),
    ];
    let answer = core.authorization_servers.token(&auth.settings, secret.as_ref(), &form).await;
    let tokens = match answer {
        Ok(tokens) => tokens,
        Err(error) if error.is_invalid_grant() => return end(core, connection, "it was refused").await,
        Err(error) => {
            tracing::warn!(issuer = auth.settings.issuer, %error, "a token of a person's could not be renewed");
            let of = connection.clone();
            core.store.write(move |tx| connections::release(tx, &of)).await?;
            return Ok(Had::NoHelp);
        }
    };
    let new = close(core, auth, connection.user_id, &tokens, Some((connection, held)))?;
    if keep(core, &new).await? {
        return Ok(Had::Token(tokens.access.clone(), new.expires_at));
    }
    // The person has disconnected meanwhile: what has come now is given back too.
    let late = Held {
        access: tokens.access.expose().clone(),
        refresh: tokens.refresh.as_ref().map(|token| token.expose().clone()),
    };
    if let Some(pending) = give_back::errand(core, auth, connection.user_id, &late)? {
        core.store.write(move |tx| connections::insert_pending(tx, &pending)).await?;
    }
    Ok(Had::Nothing)
}

/// Keeps what was renewed. It may be the only token left, so that a database in trouble is asked more than once.
async fn keep(core: &Core, new: &Connection) -> Result<bool, Fault> {
    let mut looks = 0;
    loop {
        let row = new.clone();
        match core.store.write(move |tx| connections::renewed(tx, &row)).await {
            Ok(kept) => return Ok(kept),
            Err(error) => {
                looks += 1;
                tracing::error!(%error, "a renewed token could not be kept yet");
                if looks == UPSTREAM_TOKEN_LOOKS {
                    return Err(error.into());
                }
                sleep(UPSTREAM_TOKEN_LOOK).await;
            }
        }
    }
}

async fn end(core: &Core, connection: &Connection, why: &'static str) -> Result<Had, Fault> {
    let now = core.now();
    let mut event = core.event(AuditKind::UpstreamConnectionEnded, &Caller::job(), now);
    event.user_id = Some(connection.user_id);
    event.resource_id = Some(connection.resource_id);
    event.detail = serde_json::json!({ "because": why });
    let of = connection.clone();
    core.store
        .write(move |tx| {
            if connections::end(tx, &of, now)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    live::refresh(core).await?;
    Ok(Had::Nothing)
}

/// The same where nobody can be told more than that nothing came: those who wait did not ask.
async fn vouched_or_not(core: &Core, auth: &UpstreamAuth, person: UserId) -> Vouched {
    let had = vouched(core, auth, person).await;
    Vouched(had.unwrap_or_else(|fault| {
        tracing::error!(issuer = auth.settings.issuer, %fault, "no token could be asked for in a person's name");
        Had::NoHelp
    }))
}

/// A token for which this issuer vouches: no browser, no refresh token, nothing that is kept.
async fn vouched(core: &Core, auth: &UpstreamAuth, person: UserId) -> Result<Had, Fault> {
    let found = core.store.lookup(move |tx| users::find(tx, person)).await?;
    let Some(user) = found.filter(|user| user.disabled_at.is_none()) else { return Ok(Had::NoHelp) };
    let now = core.now();
    let settings = &auth.settings;
    let scope = settings.scopes.join(" ");
    let mut claims = serde_json::json!({
        "iss": core.policy.issuer.as_str(),
        "sub": person.to_string(),
        "aud": settings.issuer,
        "jti": TokenId::new(now, core.rng.as_ref()).to_string(),
        "iat": now.seconds(),
        "exp": now.plus(ASSERTION_TTL).seconds(),
        "client_id": settings.client_id,
        "email": user.email,
        "resource": settings.resource,
    });
    if let Some(members) = claims.as_object_mut().filter(|_| !scope.is_empty()) {
        members.insert("scope".to_owned(), scope.clone().into());
    }
    let keys = &core.live.view().keys;
    let (typ, mut form) = match auth.kind {
        // draft-ietf-oauth-identity-assertion-authz-grant §4.3, §4.4; RFC 7523 §2.1.
        AuthKind::IdJag => {
            ("oauth-id-jag+jwt", vec![("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")])
        }
        // RFC 8693 §2.1.
        AuthKind::Exchange | AuthKind::OAuth => (
            "JWT",
            vec![
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ],
        ),
    };
    let assertion = keys.sign(SigningAlg::ES256, typ, &claims, now)?;
    let named = if auth.kind == AuthKind::IdJag { "assertion" } else { "subject_token" };
    form.push((named, &assertion));
    form.push(("resource", &settings.resource));
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    let secret = secret_of(core, auth)?;
    match core.authorization_servers.token(settings, secret.as_ref(), &form).await {
        Ok(tokens) => {
            let until = tokens.expires_in.map(|seconds| now.plus(std::time::Duration::from_secs(seconds)));
            // What does not say how long it lives is not kept longer than the word that was given for it.
            Ok(Had::Token(tokens.access, until.or(Some(now.plus(ASSERTION_TTL)))))
        }
        Err(error) => {
            let refused = matches!(error, ServerError::Refused { .. });
            tracing::warn!(issuer = settings.issuer, %error, refused, "no token was given for a person");
            Ok(Had::NoHelp)
        }
    }
}
