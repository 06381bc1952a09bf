//! Telling webhooks and receivers what happens. The audit log is the source: who tells follows it lane by lane, where the
//! order of positions is the order of commits, so that nothing that was slow to commit is passed over; the messages and
//! the new place are written in one transaction, so that none is made twice or lost.

use std::sync::PoisonError;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::core::{Caller, Core};
use super::endpoints::{about, authorization, secrets};
use super::failure::Fault;
use crate::account::signal::{self, Fate, Said, VERIFICATION};
use crate::crypto::webhook;
use crate::outbound::fetch::FetchError;
use crate::outbound::post::{Post, Reply};
use crate::storage::endpoints::SIGNALS;
use crate::storage::{StoreError, Tx, audit, audit_chain, endpoints, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::DeliveryId;
use crate::types::policy::{AUDIT_WALK, DELIVERIES_A_ROUND, DELIVERY_LEASE, OUTGOING_AT_ONCE};
use crate::types::signal::{Delivery, Endpoint, EndpointKind, SubjectFormat};
use crate::types::time::Timestamp;

/// What a push of a Security Event Token is declared as (RFC 8935 §2).
const SET_CONTENT: &str = "application/secevent+jwt";
/// The `typ` of one (RFC 8417 §2.3).
const SET_TYPE: &str = "secevent+jwt";

/// Makes the messages that are due, and sends those whose time has come. A job calls it; several nodes may.
///
/// # Errors
/// A fault of ours; that an endpoint does not answer is none.
pub async fn tell(core: &Core) -> Result<(), Fault> {
    make(core).await?;
    send_due(core).await
}

/// Follows the audit log to its end and writes down what is to be told of it.
///
/// # Errors
/// A fault.
pub async fn make(core: &Core) -> Result<(), Fault> {
    loop {
        let (all, places) = core
            .store
            .read(|tx| {
                let mut all = endpoints::list(tx)?;
                all.retain(|one| one.kind != EndpointKind::Stream);
                let places = if all.is_empty() { Vec::new() } else { endpoints::progress(tx, SIGNALS)? };
                Ok((all, places))
            })
            .await?;
        let mut moved = false;
        for place in places.into_iter().filter(|place| place.position < place.end) {
            let records = core
                .store
                .read(move |tx| audit_chain::walk(tx, place.lane, place.position, AUDIT_WALK))
                .await?;
            let Some(last) = records.last().map(|record| record.position) else { continue };
            let mut new = Vec::new();
            for record in &records {
                for one in all.iter().filter(|one| one.disabled_at.is_none()) {
                    // What happened before somebody listened is not for them.
                    if record.event.at >= one.created_at
                        && let Some(message) = message(core, one, &record.event).await?
                    {
                        new.push(message);
                    }
                }
            }
            let written = core.store.write(move |tx| enqueue(tx, &new, place, last + 1)).await;
            match written {
                Ok(()) => moved = true,
                // Another node was first.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !moved {
            return Ok(());
        }
    }
}

fn enqueue(
    tx: &mut Tx<'_>,
    new: &[Delivery],
    place: crate::types::signal::Progress,
    to: i64,
) -> Result<(), StoreError> {
    endpoints::advance(tx, SIGNALS, place.lane, place.position, to)?;
    for message in new {
        // One that was removed in the meantime is told nothing more.
        if endpoints::find(tx, message.endpoint_id)?.is_some_and(|one| one.disabled_at.is_none()) {
            endpoints::enqueue(tx, message)?;
        }
    }
    Ok(())
}

/// What an endpoint is told of an event, if anything.
async fn message(core: &Core, one: &Endpoint, event: &AuditEvent) -> Result<Option<Delivery>, Fault> {
    let now = core.now();
    match one.kind {
        EndpointKind::Webhook if one.wants(event.kind) => {
            let body = signal::webhook(event).to_string();
            Ok(Some(delivery(core, one, event.kind.as_str(), body, now)))
        }
        EndpointKind::Receiver => {
            let Some((kind, claims, user)) = signal::shared_signal(event) else { return Ok(None) };
            let subject = match one.subject {
                SubjectFormat::IssSub => {
                    json!({ "format": "iss_sub", "iss": core.policy.issuer.as_str(), "sub": user.to_string() })
                }
                SubjectFormat::Email => {
                    let found = core.store.read(move |tx| users::find(tx, user)).await?;
                    let Some(person) = found else { return Ok(None) };
                    json!({ "format": "email", "email": person.email })
                }
            };
            let mut claims = set_claims(core, one, subject, (kind, claims), event.at);
            if let (Some(request), Some(members)) = (&event.request_id, claims.as_object_mut()) {
                members.insert("txn".to_owned(), json!(request));
            }
            Ok(Some(delivery(core, one, kind, claims.to_string(), now)))
        }
        EndpointKind::Webhook | EndpointKind::Stream => Ok(None),
    }
}

/// The claims of a token but for its `jti` (RFC 8417 §2.2; SSF 1.0 §4: neither `sub` nor `exp`).
fn set_claims(
    core: &Core,
    one: &Endpoint,
    subject: Value,
    (kind, claims): (&str, Value),
    at: Timestamp,
) -> Value {
    let mut events = serde_json::Map::new();
    events.insert(kind.to_owned(), claims);
    json!({
        "iss": core.policy.issuer.as_str(),
        "aud": one.audience,
        "iat": core.now().seconds(),
        "toe": at.seconds(),
        "sub_id": subject,
        "events": events,
    })
}

fn delivery(core: &Core, one: &Endpoint, kind: &str, payload: String, now: Timestamp) -> Delivery {
    Delivery {
        id: DeliveryId::new(now, core.rng.as_ref()),
        endpoint_id: one.id,
        event_type: kind.to_owned(),
        payload,
        created_at: now,
        tries: 0,
        next_try_at: Some(now),
        delivered_at: None,
        given_up_at: None,
        last_error: None,
    }
}

/// Sends what is due.
///
/// # Errors
/// A fault.
pub async fn send_due(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let (due, waiting) = core
        .store
        .read(move |tx| {
            let mut due = Vec::new();
            for one in endpoints::list(tx)?.into_iter().filter(|one| one.disabled_at.is_none()) {
                // One that fails does not take the places of those that answer.
                let limit = if one.failures > 0 { 1 } else { DELIVERIES_A_ROUND };
                due.extend(endpoints::due(tx, one.id, now, limit)?.into_iter().map(|m| (one.clone(), m)));
            }
            Ok((due, endpoints::waiting(tx)?))
        })
        .await?;
    core.outgoing_state.lock().unwrap_or_else(PoisonError::into_inner).waiting = waiting;
    let sent: Vec<Result<(), Fault>> = futures_util::stream::iter(due)
        .map(|(one, message)| async move { send(core, &one, message).await })
        .buffer_unordered(OUTGOING_AT_ONCE)
        .collect()
        .await;
    sent.into_iter().collect()
}

async fn send(core: &Core, one: &Endpoint, message: Delivery) -> Result<(), Fault> {
    let now = core.now();
    let (taking, until) = (message.clone(), now.plus(DELIVERY_LEASE));
    if !core.store.write(move |tx| endpoints::take(tx, &taking, until)).await? {
        return Ok(());
    }
    let answer = core.outgoing.post(post_of(core, one, &message, now)?).await;
    let (said, error) = heard(&answer);
    let age = now.since(message.created_at);
    let mut chance = [0u8; 2];
    core.rng.fill(&mut chance);
    let fate = signal::fate(one.kind, said, age, message.tries + 1, u16::from_be_bytes(chance));
    let (id, endpoint, now) = (message.id, one.id, core.now());
    let mut event = about(core, &Caller::job(), AuditKind::EndpointDisabled, one);
    if let (Fate::SwitchOff(why), Some(members)) = (fate, event.detail.as_object_mut()) {
        tracing::warn!(endpoint = %one.id, kind = one.kind.as_str(), why, "endpoint switched off");
        members.insert("why".to_owned(), json!(why));
    }
    core.store
        .write(move |tx| {
            let text = error.as_deref().unwrap_or_default();
            match fate {
                Fate::Taken => {
                    endpoints::settle(tx, id, None, None, now)?;
                    endpoints::worked(tx, endpoint, now)
                }
                Fate::Again(wait) => {
                    endpoints::settle(tx, id, Some(text), Some(now.plus(wait)), now)?;
                    endpoints::failed(tx, endpoint, text, now, now)
                }
                Fate::Refused => {
                    endpoints::settle(tx, id, Some(text), None, now)?;
                    endpoints::failed(tx, endpoint, text, now, now)
                }
                Fate::SwitchOff(why) => {
                    endpoints::settle(tx, id, Some(text), None, now)?;
                    endpoints::failed(tx, endpoint, text, now, now)?;
                    if endpoints::disable(tx, endpoint, why, now)? {
                        audit::append(tx, &event)?;
                    }
                    Ok(())
                }
            }
        })
        .await?;
    Ok(())
}

/// The request that carries a message.
fn post_of(core: &Core, one: &Endpoint, message: &Delivery, now: Timestamp) -> Result<Post, Fault> {
    let id = message.id.to_string();
    if one.kind != EndpointKind::Receiver {
        return signed(core, one, &format!("msg_{id}"), message.payload.clone().into_bytes(), now);
    }
    let damaged = || Fault::Bug("the claims of a message do not read");
    let mut claims: Value = serde_json::from_str(&message.payload).map_err(|_| damaged())?;
    claims.as_object_mut().ok_or_else(damaged)?.insert("jti".to_owned(), json!(id));
    // Signed at every try: the key of the first may have left the key set by the last.
    let token = core.live.view().keys.sign(one.alg, SET_TYPE, &claims, now)?;
    let mut headers = Vec::new();
    if let Some(value) = authorization(core, one)? {
        headers.push(("authorization", value.expose().clone()));
    }
    Ok(Post { url: one.url.clone(), content_type: SET_CONTENT, headers, body: token.into_bytes() })
}

/// A body with the headers of Standard Webhooks. The time is that of this try, so that a late one is not refused as a replay.
pub(super) fn signed(
    core: &Core,
    one: &Endpoint,
    id: &str,
    body: Vec<u8>,
    now: Timestamp,
) -> Result<Post, Fault> {
    let secrets = secrets(core, one, now)?;
    let keys: Vec<&str> = secrets.iter().map(|secret| secret.expose().as_str()).collect();
    let headers = vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now.seconds().to_string()),
        ("webhook-signature", webhook::sign(&keys, id, now.seconds(), &body)),
    ];
    Ok(Post { url: one.url.clone(), content_type: "application/json", headers, body })
}

/// What was said, and in words where it was not taken.
pub(super) fn heard(answer: &Result<Reply, FetchError>) -> (Said, Option<String>) {
    match answer {
        Ok(Reply { status: status @ 200..=299, .. }) => (Said::Status(*status, None), None),
        Ok(Reply { status: status @ 300..=399, .. }) => {
            let words = format!("it answered with a redirect ({status}), which is not followed");
            (Said::Status(*status, None), Some(words))
        }
        Ok(Reply { status, retry_after, .. }) => {
            (Said::Status(*status, *retry_after), Some(format!("it answered with status {status}")))
        }
        Err(error) => (Said::Nothing, Some(error.to_string())),
    }
}

/// Sends one message that says nothing, at once; returns the status, or why there was none.
///
/// # Errors
/// A fault of ours.
pub(super) async fn test(core: &Core, one: &Endpoint) -> Result<Result<u16, String>, Fault> {
    let now = core.now();
    let payload = match one.kind {
        EndpointKind::Webhook => {
            json!({ "type": "webhook.test", "timestamp": now.rfc3339(), "data": { "endpoint": one.id.to_string() } })
        }
        EndpointKind::Receiver => {
            let subject = json!({ "format": "opaque", "id": one.id.to_string() });
            set_claims(core, one, subject, (VERIFICATION, json!({})), now)
        }
        EndpointKind::Stream => return Err(Fault::Bug("a stream is tested by what it streams")),
    };
    let message = delivery(core, one, "test", payload.to_string(), now);
    let answer = core.outgoing.post(post_of(core, one, &message, now)?).await;
    let (_, error) = heard(&answer);
    let (id, why) = (one.id, error.clone());
    core.store
        .write(move |tx| match &why {
            None => endpoints::worked(tx, id, now),
            Some(why) => endpoints::failed(tx, id, why, now, now),
        })
        .await?;
    // An answer that is not a good one has taken nothing.
    match error {
        Some(why) => Ok(Err(why)),
        None => Ok(answer.map(|reply| reply.status).map_err(|error| error.to_string())),
    }
}
