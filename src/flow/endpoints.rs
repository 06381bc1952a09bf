//! Whom we tell what happens, as administrators manage them.

use url::Url;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::keys;
use super::people::OrderError;
use super::signals;
use crate::crypto::webhook;
use crate::outbound::fetch::FetchError;
use crate::outbound::syslog;
use crate::storage::{audit, endpoints};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::EndpointId;
use crate::types::key::SigningAlg;
use crate::types::policy::{
    DELIVERIES_SHOWN, MAX_ENDPOINT_TEXT, MAX_ENDPOINTS, MAX_STREAM_CA, SECRET_OVERLAP,
};
use crate::types::secret::Secret;
use crate::types::signal::{
    Delivery, Endpoint, EndpointKind, Progress, StreamTarget, SubjectFormat, WEBHOOK_EVENTS, fits,
};
use crate::types::time::Timestamp;

/// What the secrets of endpoints are sealed for.
pub(super) const PURPOSE: &str = "endpoint secret";

/// Somebody new.
#[derive(Clone, Debug)]
pub enum NewEndpoint {
    /// A webhook.
    Webhook {
        /// Where.
        url: String,
        /// Which events, as names or patterns.
        events: Vec<String>,
    },
    /// A receiver of shared signals.
    Receiver {
        /// Where.
        url: String,
        /// Its name for itself.
        audience: String,
        /// How it knows people.
        subject: SubjectFormat,
        /// How its tokens are signed.
        alg: SigningAlg,
        /// What goes into `Authorization`.
        authorization: Option<Secret<String>>,
    },
    /// A stream of the audit log.
    Stream {
        /// Where.
        url: String,
        /// Whether it gets what there is already.
        from_beginning: bool,
        /// What goes into `Authorization`.
        authorization: Option<Secret<String>>,
        /// Whose certificates a `syslog+tls` collector has, as PEM.
        ca: Option<String>,
    },
}

/// Adds one; returns it, and the signing secret where it has one, which is shown this once.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(
    core: &Core,
    caller: &Caller,
    new: NewEndpoint,
) -> Result<(Endpoint, Option<Secret<String>>), OrderError> {
    let now = core.now();
    let mut made = blank(EndpointId::new(now, core.rng.as_ref()), now);
    let (mut signing, mut kept, mut from_start) = (None, None, false);
    match new {
        NewEndpoint::Webhook { url, events } => {
            check_url(core, &url)?;
            check_events(&events)?;
            made.url = url;
            made.events = events;
            signing = Some(webhook::new_secret(core.rng.as_ref()));
        }
        NewEndpoint::Receiver { url, audience, subject, alg, authorization } => {
            check_url(core, &url)?;
            check_text("an audience", &audience)?;
            made.kind = EndpointKind::Receiver;
            (made.url, made.audience, made.subject, made.alg) = (url, Some(audience), subject, alg);
            kept = authorization;
            keys::ensure_in(&core.store, &core.master, core.rng.as_ref(), alg, now).await?;
            super::live::refresh(core).await?;
        }
        NewEndpoint::Stream { url, from_beginning, authorization, ca } => {
            let target = StreamTarget::parse(&url).map_err(OrderError::Bad)?;
            check_stream(core, &target, ca.as_deref(), authorization.is_some())?;
            made.kind = EndpointKind::Stream;
            (made.url, made.ca, from_start) = (url, ca, from_beginning);
            signing = target.is_signed().then(|| webhook::new_secret(core.rng.as_ref()));
            kept = authorization;
        }
    }
    check_text("a URL", &made.url)?;
    if let Some(value) = &kept
        && !(value.expose().len() <= MAX_ENDPOINT_TEXT
            && !value.expose().is_empty()
            && value.expose().bytes().all(|b| b.is_ascii_graphic() || b == b' '))
    {
        return Err(OrderError::Bad("what goes into Authorization is one line of printable text".to_owned()));
    }
    if let Some(secret) = signing.as_ref().or(kept.as_ref()) {
        made.sealed_secret = Some(seal(core, made.id, secret));
    }
    let event = about(core, caller, AuditKind::EndpointAdded, &made);
    let row = made.clone();
    let added = core
        .store
        .write(move |tx| {
            if endpoints::list(tx)?.len() >= MAX_ENDPOINTS {
                return Ok(false);
            }
            endpoints::insert(tx, &row, from_start)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if !added {
        return Err(OrderError::Bad(format!(
            "there are {MAX_ENDPOINTS} endpoints already; remove one first"
        )));
    }
    Ok((made, signing))
}

/// All of one kind, in the order in which they were added.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, kind: EndpointKind) -> Result<Vec<Endpoint>, Fault> {
    let mut all = core.store.read(endpoints::list).await?;
    all.retain(|one| one.kind == kind);
    Ok(all)
}

/// The streams of the audit log, each with up to where it has come.
///
/// # Errors
/// A fault.
pub async fn streams(core: &Core) -> Result<Vec<(Endpoint, Vec<Progress>)>, Fault> {
    Ok(core
        .store
        .read(|tx| {
            let mut found = Vec::new();
            for one in endpoints::list(tx)?.into_iter().filter(|one| one.kind == EndpointKind::Stream) {
                let progress = endpoints::progress(tx, &one.id.to_string())?;
                found.push((one, progress));
            }
            Ok(found)
        })
        .await?)
}

/// One of a kind.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, kind: EndpointKind, id: &str) -> Result<Endpoint, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no {} {id}", kind.as_str()));
    let parsed = EndpointId::parse(id).ok_or_else(missing)?;
    let found = core.store.read(move |tx| endpoints::find(tx, parsed)).await?;
    found.filter(|one| one.kind == kind).ok_or_else(missing)
}

/// The newest messages to one.
///
/// # Errors
/// See [`OrderError`].
pub async fn deliveries(core: &Core, kind: EndpointKind, id: &str) -> Result<Vec<Delivery>, OrderError> {
    let id = find(core, kind, id).await?.id;
    Ok(core.store.read(move |tx| endpoints::deliveries(tx, id, DELIVERIES_SHOWN)).await?)
}

/// Removes one, with what waits for it.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, kind: EndpointKind, id: &str) -> Result<(), OrderError> {
    let found = find(core, kind, id).await?;
    let event = about(core, caller, AuditKind::EndpointRemoved, &found);
    core.store
        .write(move |tx| {
            if endpoints::delete(tx, found.id)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    Ok(())
}

/// Switches one on again, and lets a stream that waits try at once.
///
/// # Errors
/// See [`OrderError`].
pub async fn enable(
    core: &Core,
    caller: &Caller,
    kind: EndpointKind,
    id: &str,
) -> Result<Endpoint, OrderError> {
    let found = find(core, kind, id).await?;
    let (event, now) = (about(core, caller, AuditKind::EndpointEnabled, &found), core.now());
    core.store
        .write(move |tx| {
            if endpoints::enable(tx, found.id, now)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    find(core, kind, id).await
}

/// Gives a webhook, or a stream of signed batches, a new secret; the one before it keeps signing beside it for
/// [`SECRET_OVERLAP`].
///
/// # Errors
/// See [`OrderError`].
pub async fn rotate_secret(
    core: &Core,
    caller: &Caller,
    kind: EndpointKind,
    id: &str,
) -> Result<(Endpoint, Secret<String>), OrderError> {
    let found = find(core, kind, id).await?;
    if !is_signed(&found) {
        return Err(OrderError::Bad("what is sent there is not signed with a secret".to_owned()));
    }
    let secret = webhook::new_secret(core.rng.as_ref());
    let sealed = seal(core, found.id, &secret);
    let until = core.now().plus(SECRET_OVERLAP);
    let event = about(core, caller, AuditKind::EndpointSecretRotated, &found);
    core.store
        .write(move |tx| {
            if endpoints::rotate_secret(tx, found.id, &sealed, until)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    Ok((find(core, kind, id).await?, secret))
}

/// Sends one message at once, and says what came of it.
///
/// # Errors
/// See [`OrderError`].
pub async fn test(core: &Core, kind: EndpointKind, id: &str) -> Result<Result<u16, String>, OrderError> {
    let found = find(core, kind, id).await?;
    if kind == EndpointKind::Stream {
        let why = "a stream is tested by what it streams: see whether it has taken records";
        return Err(OrderError::Bad(why.to_owned()));
    }
    Ok(signals::test(core, &found).await?)
}

/// The secrets with which what goes to an endpoint is signed: the present one, and the one before it as long as it counts.
pub(super) fn secrets(core: &Core, of: &Endpoint, now: Timestamp) -> Result<Vec<Secret<String>>, Fault> {
    let previous = of.sealed_previous.as_ref().filter(|_| of.previous_until.is_some_and(|until| now < until));
    let sealed = of.sealed_secret.iter().chain(previous);
    sealed.map(|sealed| open(core, of.id, sealed)).collect()
}

/// What goes into `Authorization`.
pub(super) fn authorization(core: &Core, of: &Endpoint) -> Result<Option<Secret<String>>, Fault> {
    of.sealed_secret.as_ref().map(|sealed| open(core, of.id, sealed)).transpose()
}

/// Whether what goes to it is signed with a secret that it shares with us.
pub(super) fn is_signed(one: &Endpoint) -> bool {
    match one.kind {
        EndpointKind::Webhook => true,
        EndpointKind::Receiver => false,
        EndpointKind::Stream => StreamTarget::parse(&one.url).is_ok_and(|target| target.is_signed()),
    }
}

/// The record of something that happens to an endpoint. A URL may hold a token in its path or query, so the log names its
/// host alone.
pub(super) fn about(core: &Core, caller: &Caller, kind: AuditKind, one: &Endpoint) -> AuditEvent {
    let mut event = core.event(kind, caller, core.now());
    event.detail = serde_json::json!({
        "endpoint": one.id.to_string(),
        "kind": one.kind.as_str(),
        "host": host(&one.url),
        "events": one.events,
        "audience": one.audience,
    });
    event
}

/// Scheme, host and port of a URL, for people.
#[must_use]
pub fn host(url: &str) -> String {
    let Ok(parsed) = Url::parse(url) else { return String::new() };
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", parsed.scheme(), parsed.host_str().unwrap_or_default())
}

fn open(core: &Core, id: EndpointId, sealed: &[u8]) -> Result<Secret<String>, Fault> {
    let plain = core.master.open(PURPOSE, &id.to_string(), sealed);
    let text = plain.and_then(|bytes| String::from_utf8(bytes.expose().clone()).ok());
    text.map(Secret::new)
        .ok_or(Fault::Bug("the secret of an endpoint does not open; is the master key another one?"))
}

fn seal(core: &Core, id: EndpointId, secret: &Secret<String>) -> Vec<u8> {
    core.master.seal(PURPOSE, &id.to_string(), secret.expose().as_bytes(), core.rng.as_ref())
}

fn blank(id: EndpointId, now: Timestamp) -> Endpoint {
    Endpoint {
        id,
        kind: EndpointKind::Webhook,
        url: String::new(),
        events: Vec::new(),
        audience: None,
        subject: SubjectFormat::IssSub,
        alg: SigningAlg::ES256,
        sealed_secret: None,
        sealed_previous: None,
        previous_until: None,
        ca: None,
        created_at: now,
        disabled_at: None,
        disabled_reason: None,
        last_success_at: None,
        last_failure_at: None,
        last_error: None,
        failures: 0,
        next_try_at: now,
    }
}

fn check_url(core: &Core, url: &str) -> Result<(), OrderError> {
    core.outgoing.could_send(url).map_err(|error| {
        let hint = match &error {
            FetchError::PrivateAddress(_) | FetchError::Url("is not https") | FetchError::Port(80) => {
                "; see outgoing.allow_private_networks"
            }
            _ => "",
        };
        OrderError::Bad(format!("{error}{hint}"))
    })
}

fn check_stream(
    core: &Core,
    target: &StreamTarget,
    ca: Option<&str>,
    authorized: bool,
) -> Result<(), OrderError> {
    let bad = |why: &str| Err(OrderError::Bad(why.to_owned()));
    let is_tls = matches!(target, StreamTarget::Syslog { over: crate::types::signal::Transport::Tls, .. });
    if ca.is_some() && !is_tls {
        return bad("a certificate authority goes with syslog+tls alone");
    }
    if ca.is_some_and(|pem| pem.len() > MAX_STREAM_CA || syslog::check_ca(pem).is_err()) {
        return bad("the file with the certificate authority holds no certificates in PEM");
    }
    if authorized && !matches!(target, StreamTarget::Otlp(_)) {
        return bad("a value for Authorization goes with otlp+https alone; batches for a webhook are signed");
    }
    match target {
        StreamTarget::Otlp(url) | StreamTarget::Webhook(url) => check_url(core, url),
        StreamTarget::Syslog { .. } => Ok(()),
    }
}

fn check_events(patterns: &[String]) -> Result<(), OrderError> {
    let names = || WEBHOOK_EVENTS.map(crate::types::audit::AuditKind::as_str).join(", ");
    if patterns.is_empty() || patterns.len() > WEBHOOK_EVENTS.len() {
        return Err(OrderError::Bad(format!(
            "say which events: a name, alert.*, or *; there are {}",
            names()
        )));
    }
    for pattern in patterns {
        if !WEBHOOK_EVENTS.iter().any(|kind| fits(pattern, kind.as_str())) {
            return Err(OrderError::Bad(format!("{pattern:?} names no event; there are {}", names())));
        }
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), OrderError> {
    let fine = (1..=MAX_ENDPOINT_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
    if fine {
        return Ok(());
    }
    Err(OrderError::Bad(format!("{what} has 1 to {MAX_ENDPOINT_TEXT} characters")))
}
