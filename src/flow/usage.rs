//! Noticing how approvals are used. Nothing here costs a request a look at the database: what is unusual about a token
//! request is judged from what it has read anyway, and everything else is counted in memory and written down in batches.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live::View;
use crate::account::usage::{idle_days, moved_from};
use crate::oauth::introspect::Asker;
use crate::storage::audit;
use crate::types::access_token::AccessTokenClaims;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::grant::Grant;
use crate::types::resource_uri::ResourceUri;
use crate::types::time::Timestamp;
use crate::types::usage::Holder;

/// Records of what is unusual about a use of an approval without its person: from another network than before, or after a
/// long time. They belong into the transaction of what is issued.
#[must_use]
pub fn unusual(core: &Core, caller: &Caller, grant: &Grant, now: Timestamp) -> Vec<AuditEvent> {
    let event = |kind, detail| {
        let mut event = core.event(kind, caller, now);
        event.user_id = grant.user_id;
        event.client_id = Some(grant.client_id.clone());
        event.grant_id = Some(grant.id);
        event.resource_id = Some(grant.resource_id);
        event.detail = detail;
        event
    };
    let moved = moved_from(grant, caller.address.as_deref()).map(|(from, to)| {
        event(AuditKind::GrantMoved, serde_json::json!({ "from": from.to_string(), "to": to.to_string() }))
    });
    let awoke = idle_days(grant, now)
        .map(|days| event(AuditKind::GrantAwoke, serde_json::json!({ "idle_days": days })));
    moved.into_iter().chain(awoke).collect()
}

/// Somebody who may introspect asks about a token whose signature fits.
pub(super) fn asked(core: &Core, asker: &Asker, claims: &AccessTokenClaims, now: Timestamp) {
    match asker {
        Asker::Resource(server) if claims.aud != server.uri.as_str() => {
            core.usage.misdirected(server.id, claims.grant_id, (&claims.sub, &claims.client_id), &claims.aud);
        }
        Asker::Resource(_) => core.usage.checked(claims.grant_id, &claims.sub, &claims.client_id, now),
        // A client that asks about tokens is not using them.
        Asker::Client(_) => {}
    }
}

/// A token whose signature fits is presented where this server itself is the one that must accept it.
pub(super) fn presented(
    core: &Core,
    view: &View,
    here: &ResourceUri,
    claims: &AccessTokenClaims,
    now: Timestamp,
) {
    if claims.aud == here.as_str() {
        core.usage.checked(claims.grant_id, &claims.sub, &claims.client_id, now);
    } else if let Some(server) = view.resource(here.as_str()) {
        let of = (claims.sub.as_str(), &claims.client_id);
        core.usage.misdirected(server.id, claims.grant_id, of, &claims.aud);
    }
}

/// Writes down what was counted since the last time and is worth a record.
///
/// # Errors
/// A fault of the database; nothing counted is lost by it.
pub async fn record(core: &Core, now: Timestamp) -> Result<(), Fault> {
    let (calls, misdirected) = (core.usage.take_calls(now), core.usage.take_misdirected());
    let mut events = Vec::new();
    let event = |kind, holder: &Holder| {
        let mut event = core.event(kind, &Caller::job(), now);
        event.user_id = holder.user_id;
        event.client_id = Some(holder.client_id.clone());
        event
    };
    if let Some((since, busy)) = &calls {
        for (grant, calls) in busy {
            let mut event = event(AuditKind::GrantBusy, &calls.holder);
            event.grant_id = Some(*grant);
            event.detail = serde_json::json!({
                "tokens": calls.tokens, "checks": calls.checks, "seconds": now.since(*since).as_secs(),
            });
            events.push(event);
        }
    }
    for ((grant, server), found) in &misdirected {
        let mut event = event(AuditKind::TokenMisdirected, &found.holder);
        event.grant_id = Some(*grant);
        event.resource_id = Some(*server);
        event.detail = serde_json::json!({ "count": found.count, "audience": found.audience });
        events.push(event);
    }
    if events.is_empty() {
        return Ok(());
    }
    let written =
        core.store.write(move |tx| events.iter().try_for_each(|event| audit::append(tx, event))).await;
    written.map_err(|error| {
        core.usage.put_back(calls, misdirected);
        error.into()
    })
}
