//! Streaming the audit log. Each stream has a place of its own in every lane of the chain, and the place moves on only after
//! the target has taken a batch: every record arrives at least once, and those of a lane in order.
//!
//! Why nothing is passed over: a position is given out while the lane's end is locked, and the lock is held until the
//! record commits. Whoever sees position `n` sees every position before it, on PostgreSQL too, and whatever commits later
//! has a greater one.

use std::sync::PoisonError;

use serde_json::{Value, json};
use url::Url;

use super::core::{Caller, Core};
use super::endpoints::{self as managed, about, authorization};
use super::failure::Fault;
use super::signals::{heard, signed};
use crate::account::signal::{self, Placed, otlp_request};
use crate::outbound::post::Post;
use crate::outbound::syslog::Collector;
use crate::storage::audit_chain::{self, Chained};
use crate::storage::{StoreError, audit, endpoints};
use crate::types::audit::AuditKind;
use crate::types::hex::hex;
use crate::types::policy::{DELIVERY_LEASE, STREAM_BATCH, STREAM_BATCHES_A_ROUND, STREAM_LONGEST_WAIT};
use crate::types::signal::{Endpoint, Progress, StreamTarget};

/// What a node knows of what is being told, for its metrics.
#[derive(Debug, Default)]
pub struct OutgoingState {
    /// Messages that wait.
    pub waiting: i64,
    /// Records that each stream has yet to be told, by its id.
    pub lag: Vec<(String, i64)>,
}

/// Streams what there is, to every target that is due and that no other node serves. A job calls it; several nodes may.
///
/// # Errors
/// A fault of ours; that a target does not answer is none.
pub async fn stream(core: &Core) -> Result<(), Fault> {
    let all = managed::streams(core).await?;
    let served: Vec<Result<(), Fault>> =
        futures_util::future::join_all(all.iter().map(|(one, _)| serve(core, one))).await;
    let lag = managed::streams(core).await?;
    let lag = lag.iter().map(|(one, places)| (one.id.to_string(), behind(places))).collect();
    core.outgoing_state.lock().unwrap_or_else(PoisonError::into_inner).lag = lag;
    served.into_iter().collect()
}

/// How many records a stream has yet to be told.
#[must_use]
pub fn behind(places: &[Progress]) -> i64 {
    places.iter().map(|place| (place.end - place.position).max(0)).sum()
}

async fn serve(core: &Core, one: &Endpoint) -> Result<(), Fault> {
    if !hold(core, one).await? {
        return Ok(());
    }
    let outcome = lanes(core, one).await;
    let (id, node) = (one.id, core.node.clone());
    core.store.write(move |tx| endpoints::release(tx, id, &node)).await?;
    outcome
}

async fn hold(core: &Core, one: &Endpoint) -> Result<bool, Fault> {
    let (id, node, now) = (one.id, core.node.clone(), core.now());
    Ok(core.store.write(move |tx| endpoints::lease(tx, id, &node, now.plus(DELIVERY_LEASE), now)).await?)
}

async fn lanes(core: &Core, one: &Endpoint) -> Result<(), Fault> {
    let name = one.id.to_string();
    let places = core.store.read(move |tx| endpoints::progress(tx, &name)).await?;
    for place in places {
        let mut at = place.position;
        for _ in 0..STREAM_BATCHES_A_ROUND {
            let records =
                core.store.read(move |tx| audit_chain::walk(tx, place.lane, at, STREAM_BATCH)).await?;
            let Some((first, last)) = records.first().zip(records.last()) else { break };
            let (start, end) = (first.position, last.position + 1);
            // Whoever has lost the stream to another node, because it was held up for long, stops here.
            if !hold(core, one).await? {
                return Ok(());
            }
            if let Err(why) = send(core, one, &records).await? {
                return failed(core, one, why).await;
            }
            if !advance(core, one, Progress { lane: place.lane, position: at, end }, start).await? {
                return Ok(());
            }
            at = end;
        }
    }
    Ok(())
}

/// Moves the place on; records that retention has removed before they were told are owned up to. `false` when another node
/// has moved it.
async fn advance(core: &Core, one: &Endpoint, to: Progress, start: i64) -> Result<bool, Fault> {
    let now = core.now();
    let gap = (start > to.position).then(|| {
        tracing::error!(endpoint = %one.id, lane = to.lane, missed = start - to.position, "retention was faster than a stream");
        let mut event = about(core, &Caller::job(), AuditKind::StreamGap, one);
        event.detail = json!({
            "endpoint": one.id.to_string(), "lane": to.lane, "from": to.position, "missed": start - to.position,
        });
        event
    });
    let id = one.id;
    let moved = core
        .store
        .write(move |tx| {
            endpoints::advance(tx, &id.to_string(), to.lane, to.position, to.end)?;
            endpoints::worked(tx, id, now)?;
            gap.iter().try_for_each(|event| audit::append(tx, event))
        })
        .await;
    match moved {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A stream is never switched off for failing: it waits, and catches up.
async fn failed(core: &Core, one: &Endpoint, why: String) -> Result<(), Fault> {
    let now = core.now();
    let mut chance = [0u8; 2];
    core.rng.fill(&mut chance);
    let id = one.id;
    core.store
        .write(move |tx| {
            let failures = endpoints::find(tx, id)?.map_or(0, |one| one.failures);
            let wait = signal::wait(failures + 1, u16::from_be_bytes(chance)).min(STREAM_LONGEST_WAIT);
            endpoints::failed(tx, id, &why, now.plus(wait), now)
        })
        .await?;
    Ok(())
}

/// Sends a batch; the inner error says why it was not taken.
async fn send(core: &Core, one: &Endpoint, records: &[Chained]) -> Result<Result<(), String>, Fault> {
    let placed: Vec<Placed<'_>> = records
        .iter()
        .map(|record| Placed {
            event: &record.event,
            lane: record.lane,
            position: record.position,
            hash: hex(&record.hash),
        })
        .collect();
    let issuer = &core.policy.issuer;
    let now = core.now();
    let post = match StreamTarget::parse(&one.url) {
        Err(why) => return Ok(Err(why)),
        Ok(StreamTarget::Syslog { over, host, port }) => {
            let own = Url::parse(issuer.as_str()).ok();
            let own = own.as_ref().and_then(Url::host_str).unwrap_or_default();
            let messages: Vec<Vec<u8>> = placed.iter().map(|record| record.syslog(own, over)).collect();
            let to = Collector { over, host, port, ca: one.ca.clone() };
            return Ok(core.syslog.send(&to, &messages).await.map_err(|error| error.to_string()));
        }
        Ok(StreamTarget::Otlp(url)) => {
            let records: Vec<Value> = placed.iter().map(Placed::otlp).collect();
            let body = otlp_request(issuer.as_str(), env!("CARGO_PKG_VERSION"), &records).to_string();
            let mut headers = Vec::new();
            if let Some(value) = authorization(core, one)? {
                headers.push(("authorization", value.expose().clone()));
            }
            Post { url, content_type: "application/json", headers, body: body.into_bytes() }
        }
        Ok(StreamTarget::Webhook(_)) => {
            let Some((first, last)) = placed.first().zip(placed.last()) else { return Ok(Ok(())) };
            let id = format!("audit_{}_{}_{}_{}", one.id, first.lane, first.position, last.position);
            let records: Vec<Value> = placed.iter().map(Placed::json).collect();
            let body = json!({ "type": "audit.records", "timestamp": now.rfc3339(), "data": { "records": records } });
            signed(core, one, &id, body.to_string().into_bytes(), now)?
        }
    };
    let is_otlp = post.url != one.url;
    let answer = core.outgoing.post(post).await;
    let (_, error) = heard(&answer);
    if let (true, Ok(reply)) = (is_otlp, &answer) {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let rejected = body.pointer("/partialSuccess/rejectedLogRecords");
        let none = |value: &Value| matches!(value.as_str(), Some("0" | "")) || value.as_i64() == Some(0);
        if let Some(count) = rejected.filter(|count| !none(count)) {
            // OTLP: what was rejected in part must not be sent again.
            tracing::error!(endpoint = %one.id, %count, "a collector has rejected records");
        }
    }
    Ok(error.map_or(Ok(()), Err))
}

/// The longest that a batch may be under way; shorter than the lease, so that a node that works does not lose its stream.
const _: () = assert!(crate::types::policy::OUTGOING_TIMEOUT.as_secs() * 2 < DELIVERY_LEASE.as_secs());
