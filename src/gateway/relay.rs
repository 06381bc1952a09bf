//! The way back: what the server answers goes on as it comes, event by event, as long as the caller still counts.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::answer;
use super::envelope::{Envelope, Kind, code};
use super::frames::{self, Frames};
use super::listing;
use crate::flow::core::{Caller, Core};
use crate::flow::gateway::{self, Pass, Place, Route};
use crate::flow::tools;
use crate::outbound::upstream_mcp::{Body, Streamed};
use crate::types::audit::AuditEvent;
use crate::types::policy::{MAX_BODY, MAX_UPSTREAM_MESSAGE, STREAM_LOOK};
use crate::types::secret::Secret;
use crate::wire::line::{Beat, Listening, Mark};

/// Most bytes that are reserved for an answer because its server has said that they will come.
const BELIEVED: usize = 1024 * 1024;

/// The record of a call, written when the call is over, however it ends.
pub(super) struct Record {
    core: Arc<Core>,
    event: Option<AuditEvent>,
    started: Instant,
    pub outcome: &'static str,
    pub status: u16,
    pub bytes_out: usize,
    /// Until the server's answer began.
    first_byte: Option<Duration>,
}

/// From when a duration is measured.
#[expect(clippy::disallowed_methods, reason = "measures a duration")]
pub(super) fn from_now() -> Instant {
    Instant::now()
}

/// Microseconds, for a record.
pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Record {
    pub(super) fn new(core: &Arc<Core>, event: AuditEvent) -> Self {
        let core = Arc::clone(core);
        Self {
            core,
            event: Some(event),
            started: from_now(),
            outcome: "cancelled",
            status: 0,
            bytes_out: 0,
            first_byte: None,
        }
    }

    /// Notes that the server's answer begins.
    pub(super) fn answered(&mut self) {
        self.first_byte.get_or_insert_with(|| self.started.elapsed());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let Some(mut event) = self.event.take() else { return };
        event.at = self.core.now();
        if let Some(detail) = event.detail.as_object_mut() {
            detail.insert("outcome".to_owned(), self.outcome.into());
            detail.insert("status".to_owned(), self.status.into());
            detail.insert("bytes_out".to_owned(), self.bytes_out.into());
            detail.extend(self.first_byte.map(|span| ("upstream_us".to_owned(), micros(span).into())));
            detail.insert("duration_us".to_owned(), micros(self.started.elapsed()).into());
        }
        gateway::note_end(&self.core, event);
    }
}

/// A message under way.
pub(super) struct Call {
    pub core: Arc<Core>,
    pub caller: Caller,
    pub slug: String,
    pub route: Arc<Route>,
    pub pass: Pass,
    /// The message; none for a stream that a client opens, or a session it ends.
    pub message: Option<Envelope>,
    /// What must not come back.
    pub secrets: Vec<Secret<Vec<u8>>>,
    pub record: Option<Record>,
    /// Held until the last byte.
    pub place: Place,
    /// Where the message came from, if an event stream may take it over.
    pub line: Option<Mark>,
}

impl Call {
    fn id(&self) -> &Value {
        self.message.as_ref().map_or(&Value::Null, |message| &message.id)
    }

    /// Whether this caller may still get something.
    async fn counts(&self) -> bool {
        if !gateway::is_held(&self.core, &self.pass) {
            return false;
        }
        // A call that runs may outlive its token, but not its approval. A stream that waits for whatever may come may not:
        // its client opens another.
        !gateway::is_over(&self.core, &self.pass)
            || (self.message.is_some() && gateway::stands(&self.core, &self.pass).await)
    }

    /// Does something as long as this caller counts; nothing comes of it once they do not.
    pub(super) async fn while_it_counts<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        // Most of what is asked for a second time is there already.
        if let Poll::Ready(done) = futures_util::poll!(&mut work) {
            return Some(done);
        }
        let mut changes = self.core.live.changes();
        let look = sleep(STREAM_LOOK);
        tokio::pin!(look);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = changes.changed() => if !gateway::is_held(&self.core, &self.pass) { return None },
                () = &mut look => {
                    if !self.counts().await {
                        return None;
                    }
                    look.set(sleep(STREAM_LOOK));
                }
            }
        }
    }

    pub(super) fn end(&mut self, outcome: &'static str, status: u16) {
        if let Some(record) = &mut self.record {
            record.outcome = outcome;
            record.status = status;
        }
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.bytes_out += bytes;
        }
        self.place.went_out(bytes);
    }

    /// What goes on of messages from the server: lists filtered, and the end of the call noted. `None` when nothing is
    /// different.
    async fn treat(&mut self, text: &[u8]) -> Option<String> {
        let id = self.list_id();
        if let Some(known) = id.as_ref().and_then(|id| self.route.known_list(&self.pass, text, id)) {
            self.end("ok", 200);
            return Some(known);
        }
        if let Some(plain) = listing::plain(text).filter(|plain| plain.id == *self.id()) {
            self.end(plain.outcome, 200);
            return None;
        }
        let mut parsed: Value = serde_json::from_slice(text).ok()?;
        let (mut changed, mut all_known) = (false, parsed.is_object());
        let messages = match &mut parsed {
            Value::Array(all) => all.iter_mut().collect(),
            one => vec![one],
        };
        for message in messages {
            if let Some(definitions) = listing::tools_in(message) {
                all_known &= !self.learn(definitions).await;
            }
            changed |= listing::filter(message, &self.pass, &self.route);
            if message.get("method").is_none() && message.get("id") == Some(self.id()) {
                let outcome = outcome(message);
                all_known &= outcome == "ok";
                self.end(outcome, 200);
            } else {
                all_known = false;
            }
        }
        let changed = changed.then(|| parsed.to_string());
        if let (Some(went), Some(id), true) = (&changed, id, all_known) {
            self.route.keep_list(&self.pass, text, went, &id);
        }
        changed
    }

    /// The id of a request whose answer is a list, as JSON.
    fn list_id(&self) -> Option<String> {
        let message = self.message.as_ref().filter(|message| message.kind == Kind::Request)?;
        message.method.ends_with("/list").then(|| message.id.to_string())
    }

    /// Notes definitions that are new, and goes on with what is known then; whether there were any.
    async fn learn(&mut self, definitions: &[Value]) -> bool {
        let news = tools::news(&self.route, definitions);
        if news.is_empty() {
            return false;
        }
        // What could not be noted is not shown: the filter goes by what is known.
        if let Err(fault) = tools::note(&self.core, &self.caller, &self.route, news).await {
            tracing::error!(cause = %fault, "tools of a server could not be noted");
        } else if let Some(route) = gateway::find(&self.core, &self.slug) {
            self.route = route;
        }
        true
    }

    fn scrub(&self, bytes: Bytes) -> Bytes {
        self.secrets.iter().fold(bytes, |bytes, secret| self.without(bytes, secret.expose()))
    }

    fn without(&self, bytes: Bytes, secret: &[u8]) -> Bytes {
        let found = |bytes: &[u8]| memchr::memmem::find(bytes, secret);
        if secret.is_empty() || found(&bytes).is_none() {
            return bytes;
        }
        tracing::warn!(server = self.slug, "a server sent its own credential back; it was taken out");
        let mut out = BytesMut::with_capacity(bytes.len());
        let mut rest = &bytes[..];
        while let Some(at) = found(rest) {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            out.extend_from_slice(b"[removed]");
            rest = after.get(secret.len()..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        out.freeze()
    }
}

/// How a call ended, by its answer.
fn outcome(message: &Value) -> &'static str {
    message
        .get("result")
        .map_or("rpc_error", |result| listing::outcome_of(result.get("isError"), result.get("resultType")))
}

fn looks() -> Interval {
    let mut look = interval(STREAM_LOOK);
    // Not at once: whoever begins has just been looked at.
    look.reset();
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    look
}

/// Whole, within bounds; nothing when it is too large or breaks off.
pub(super) async fn collect(mut body: Body, most: usize) -> Option<Bytes> {
    // At once as large as it will be, as far as a server is believed.
    let length = body.length().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
    let mut out = BytesMut::with_capacity(length.min(most).min(BELIEVED));
    while let Some(chunk) = body.next().await {
        let chunk = chunk.ok()?;
        if out.len() + chunk.len() > most {
            return None;
        }
        out.extend_from_slice(&chunk);
    }
    Some(out.freeze())
}

/// The answer to the caller. Of the server's headers, only what is made here goes on: no cookie, no challenge, no redirect.
pub(super) async fn back(mut call: Box<Call>, answer: Streamed) -> HttpResponse {
    let status = answer.status;
    call.end("http_error", status);
    if matches!(status, 300..=399 | 401 | 403 | 407) {
        tracing::warn!(server = call.slug, status, "a server behind the gateway refused, or sent elsewhere");
        let text = "The server behind this gateway does not accept what the gateway shows to it; its administrator has to look.";
        return answer::rpc(StatusCode::BAD_GATEWAY, call.id(), code::INTERNAL, text, "upstream_refused");
    }
    let Ok(to_caller) = StatusCode::from_u16(status) else {
        return answer::rpc(
            StatusCode::BAD_GATEWAY,
            call.id(),
            code::INTERNAL,
            "No answer.",
            "upstream_broken",
        );
    };
    let mut builder = HttpResponse::build(to_caller);
    builder.insert_header((CACHE_CONTROL, "no-store"));
    for name in ["retry-after", "allow", "mcp-protocol-version"] {
        if let Some(value) = answer.headers.get(name) {
            builder.insert_header((name, value));
        }
    }
    let begins = call.message.as_ref().is_some_and(|message| message.method == "initialize");
    if let Some(id) = answer.headers.get("mcp-session-id").filter(|_| begins) {
        builder
            .insert_header(("mcp-session-id", gateway::session_out(&call.core, &call.pass, &call.route, id)));
    }
    let kind = answer.headers.get("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // What cannot be read cannot be judged.
    let plain = answer.headers.get("content-encoding").is_none_or(|how| how.eq_ignore_ascii_case("identity"));
    match kind.as_str() {
        _ if !plain => broken(&mut call),
        "text/event-stream" if to_caller.is_success() => stream(call, builder, answer.body),
        "application/json" => json(call, builder, answer).await,
        _ => other(call, builder, answer).await,
    }
}

fn broken(call: &mut Call) -> HttpResponse {
    call.end("broken", 502);
    let text = "The answer of the server behind this gateway cannot be used.";
    answer::rpc(StatusCode::BAD_GATEWAY, call.id(), code::INTERNAL, text, "upstream_broken")
}

/// What a caller who was cut meanwhile gets.
pub(super) fn cut(call: &mut Call) -> HttpResponse {
    call.end("cut", 0);
    answer::bad_token(&call.core.policy.issuer, &call.slug, &call.route)
}

async fn json(mut call: Box<Call>, mut builder: HttpResponseBuilder, answer: Streamed) -> HttpResponse {
    let status = answer.status;
    let Some(whole) = call.while_it_counts(collect(answer.body, MAX_UPSTREAM_MESSAGE)).await else {
        return cut(&mut call);
    };
    let Some(whole) = whole else { return broken(&mut call) };
    let treated = call.treat(&whole).await;
    if status >= 400 {
        call.end("http_error", status);
    }
    let body = call.scrub(treated.map_or(whole, Bytes::from));
    call.sent(body.len());
    builder.insert_header((CONTENT_TYPE, "application/json")).body(body)
}

async fn other(mut call: Box<Call>, mut builder: HttpResponseBuilder, answer: Streamed) -> HttpResponse {
    let (status, text) = (
        answer.status,
        answer.headers.get("content-type").is_some_and(|kind| kind.starts_with("text/plain")),
    );
    let Some(whole) = call.while_it_counts(collect(answer.body, MAX_BODY)).await else {
        return cut(&mut call);
    };
    call.end(if status < 400 { "ok" } else { "http_error" }, status);
    match whole.filter(|whole| text && !whole.is_empty()) {
        Some(whole) => {
            let body = call.scrub(whole);
            call.sent(body.len());
            builder.insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(body)
        }
        None => builder.finish(),
    }
}

/// Events under way.
struct Relay {
    call: Box<Call>,
    body: Body,
    frames: Frames,
    changes: watch::Receiver<()>,
    look: Interval,
    /// Nothing has come since the last look.
    quiet: bool,
    done: bool,
}

fn stream(mut call: Box<Call>, mut builder: HttpResponseBuilder, body: Body) -> HttpResponse {
    call.end("cancelled", 200);
    // Nobody asks for it any more, and it may be large.
    call.message.iter_mut().for_each(Envelope::forget_parameters);
    let (changes, line) = (call.core.live.changes(), call.line.take());
    let mut look = looks();
    // A client that opens a stream only to listen is going to wait; an answer may be over soon.
    let quiet = call.message.is_none();
    if quiet {
        look.reset_immediately();
    }
    let relay = Relay { call, body, frames: Frames::default(), changes, look, quiet, done: false };
    let beats = unfold(relay, |mut relay| async move {
        let beat = relay.next().await?;
        if let Beat::Event(event) = &beat {
            relay.call.sent(event.len());
        }
        Some((beat, relay))
    });
    builder
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Listening::new(beats.boxed_local(), line))
}

impl Relay {
    async fn next(&mut self) -> Option<Beat> {
        loop {
            if let Some(event) = self.frames.next() {
                return Some(Beat::Event(self.treated(event).await));
            }
            if self.done {
                return None;
            }
            tokio::select! {
                biased;
                changed = self.changes.changed() => {
                    if changed.is_err() || !gateway::is_held(&self.call.core, &self.call.pass) {
                        return self.cut();
                    }
                }
                _ = self.look.tick() => {
                    if !self.call.counts().await {
                        return self.cut();
                    }
                    if std::mem::replace(&mut self.quiet, true) {
                        self.body.rest();
                        return Some(Beat::Idle);
                    }
                }
                chunk = self.body.next() => match chunk {
                    Some(Ok(bytes)) if self.frames.push(&bytes).is_ok() => match self.call.message {
                        Some(_) => self.quiet = false,
                        None => self.body.rest(),
                    },
                    Some(_) => return self.fail("broken", "The answer of the server behind this gateway broke off."),
                    None => self.done = true,
                },
            }
        }
    }

    async fn treated(&mut self, event: Bytes) -> Bytes {
        let changed = match frames::data(&event) {
            Some(data) => self.call.treat(data.as_bytes()).await,
            None => None,
        };
        self.call.scrub(changed.map_or_else(|| event.clone(), |data| frames::with_data(&event, &data)))
    }

    fn cut(&mut self) -> Option<Beat> {
        self.fail("cut", "Access was taken back, or the access token has had its time.")
    }

    /// Ends the stream; whoever waits for an answer gets one.
    fn fail(&mut self, outcome: &'static str, text: &str) -> Option<Beat> {
        self.done = true;
        self.frames = Frames::default();
        self.call.end(outcome, 200);
        let message = self.call.message.as_ref().filter(|message| message.kind == Kind::Request)?;
        let error = answer::error(&message.id, code::REFUSED, text);
        Some(Beat::Event(format!("event: message\ndata: {error}\n\n").into()))
    }
}
