//! A call before anybody has listed the tools of its server: the gateway asks for the list itself, with the caller's own
//! session and revision, so that the call can be judged by definitions and not by a name.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::frames::{self, Frames};
use super::listing::tools_in;
use super::relay::collect;
use crate::flow::core::{Caller, Core};
use crate::flow::failure::Fault;
use crate::flow::gateway::{Pass, Route};
use crate::flow::stdio;
use crate::flow::tools;
use crate::flow::upstream_tls;
use crate::flow::upstream_tokens::{Shown, shown};
use crate::outbound::upstream_mcp::{Forward, Headers, Streamed};
use crate::types::policy::{CALL_BODY_TIMEOUT, MAX_TOOLS, MAX_UPSTREAM_MESSAGE};

/// Lists longer than this many pages are read no further; what is missing waits until somebody lists it.
const PAGES: usize = 20;

/// Asks for the tools and notes them. What cannot be had is not there: the call is then judged without.
///
/// # Errors
/// A fault of ours.
pub(super) async fn look(
    core: &Arc<Core>,
    caller: &Caller,
    (route, pass): (&Route, &Pass),
    headers: &Headers,
    meta: &Value,
) -> Result<(), Fault> {
    let asked = tokio::time::timeout(CALL_BODY_TIMEOUT, list(core, (route, pass), headers, meta)).await;
    let found = asked.unwrap_or(Ok(Vec::new()))?;
    if found.is_empty() { Ok(()) } else { tools::note(core, caller, route, found).await }
}

async fn list(
    core: &Arc<Core>,
    (route, pass): (&Route, &Pass),
    headers: &Headers,
    meta: &Value,
) -> Result<Vec<Value>, Fault> {
    let mut found = Vec::new();
    let mut cursor = Value::Null;
    for page in 0..PAGES {
        let said = [("_meta", meta), ("cursor", &cursor)].into_iter().filter(|(_, value)| !value.is_null());
        let params: Map<_, _> = said.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        let id = format!("postern-{page}");
        let body =
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params }).to_string();
        let credential = match shown(core, route, pass).await? {
            Shown::This(opened) => Some(opened.credential),
            Shown::Nothing => None,
            Shown::Connect(_) | Shown::NotAPerson | Shown::Unavailable => break,
        };
        let forward = Forward {
            method: "POST",
            headers: for_list(headers),
            body: body.into(),
            patience: Duration::from_secs(10),
        };
        let Ok(way) = upstream_tls::way(core, route) else { break };
        let sent = stdio::send(core, &way, (route, pass), forward, credential);
        let Ok(answer) = sent.await else { break };
        let Some(message) = message_in(answer, &id).await else { break };
        let Some(tools) = tools_in(&message) else { break };
        found.extend(tools.iter().cloned());
        cursor = message.pointer("/result/nextCursor").cloned().unwrap_or_default();
        if !cursor.is_string() || found.len() >= MAX_TOOLS {
            break;
        }
    }
    Ok(found)
}

/// The headers of a call, for a list in its place.
fn for_list(headers: &Headers) -> Headers {
    let mut out = headers.clone();
    for name in headers.names().filter(|name| *name == "mcp-name" || name.starts_with(super::MIRRORED)) {
        out.remove(name);
    }
    if headers.names().any(|name| name == "mcp-method") {
        out.replace("mcp-method", "tools/list");
    }
    out
}

/// The answer to our request, whole or in an event stream.
async fn message_in(answer: Streamed, id: &str) -> Option<Value> {
    use futures_util::StreamExt as _;
    if answer.status != 200 {
        return None;
    }
    let is_ours = |message: &Value| message.get("id").and_then(Value::as_str) == Some(id);
    if !answer.headers.get("content-type").unwrap_or_default().starts_with("text/event-stream") {
        let whole: Bytes = collect(answer.body, MAX_UPSTREAM_MESSAGE).await?;
        return serde_json::from_slice(&whole).ok().filter(is_ours);
    }
    let (mut body, mut frames) = (answer.body, Frames::default());
    while let Some(chunk) = body.next().await {
        frames.push(&chunk.ok()?).ok()?;
        while let Some(event) = frames.next() {
            let message = frames::data(&event).and_then(|data| serde_json::from_str(&data).ok());
            if let Some(message) = message.filter(is_ours) {
                return Some(message);
            }
        }
    }
    None
}
