//! The gateway: `/mcp/{slug}` stands for an MCP server that knows nothing of OAuth. Who comes in has a token of this issuer
//! for that very server; what they ask is judged by the message's body; what the server is shown comes from the vault and
//! never from the caller.

mod answer;
mod certificate;
mod envelope;
mod first_sight;
mod frames;
mod listing;
mod mirrored;
mod pages;
mod records;
mod relay;
mod strict;

use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::{Path, Url};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::{Value, json};

use self::envelope::{Bad, Envelope, Kind, code};
pub use self::pages::known_only;
use self::relay::{Call, from_now};
use crate::flow::core::{Caller, Core};
use crate::flow::failure::Fault;
use crate::flow::gateway::{self, Ask, Decided, HeldBack, Pass, Route, Stop, Verdict};
use crate::flow::stdio;
use crate::flow::upstream_tokens::{Shown, shown, shown_anew};
use crate::flow::vault::Opened;
use crate::outbound::upstream_mcp::{Forward, Headers, NoAnswer};
use crate::types::id::CallRuleId;
use crate::types::policy::{CALL_BODY_TIMEOUT, MAX_CALL, UPSTREAM_PATIENCE, UPSTREAM_REST};
use crate::types::token::TokenDigest;
use crate::types::tool::{ToolClass, canonical};
use crate::wire::body::{self, BodyError};
use crate::wire::caller::{From, bearer};
use crate::wire::client_certificate::presented;
use crate::wire::line::Mark;
use crate::wire::reply;

/// Headers of a caller that go on. Everything else stays here, the caller's token first of all.
const ONWARD: [&str; 8] = [
    "accept",
    "content-type",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
    "traceparent",
    "tracestate",
];
/// And those that begin like this: a tool's arguments, mirrored (MCP 2026-07-28).
const MIRRORED: &str = "mcp-param-";

/// Methods of which each is recorded.
const CALLS: [&str; 4] = ["tools/call", "prompts/get", "resources/read", "resources/subscribe"];

/// Protected-resource metadata of a server behind the gateway (RFC 9728 §2).
pub async fn metadata(core: web::Data<Core>, slug: web::Path<String>) -> HttpResponse {
    let Some(route) = gateway::find(&core, &slug) else { return missing() };
    let resource = &route.resource;
    let body = json!({
        "resource": resource.uri.as_str(),
        "resource_name": resource.name,
        "authorization_servers": [core.policy.issuer.as_str()],
        "scopes_supported": resource.scopes.iter().map(|scope| &scope.name).collect::<Vec<_>>(),
        "bearer_methods_supported": ["header"],
    });
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=60")).json(body)
}

fn missing() -> HttpResponse {
    answer::plain(StatusCode::NOT_FOUND, "not_found", "There is no MCP server here.")
}

/// A message, a stream that a client opens, or the end of a session.
pub async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let (slug, at) = (slug(request.match_info()).to_owned(), from_now());
    let Some(route) = gateway::find(&core, &slug) else { return missing() };
    let issuer = &core.policy.issuer;
    if request.query_string().split('&').any(|pair| pair.starts_with("access_token=")) {
        let text = "An access token goes into the Authorization header.";
        return answer::plain(StatusCode::BAD_REQUEST, "invalid_request", text);
    }
    let Some(token) = bearer(&request) else { return answer::no_token(issuer, &slug, &route) };
    let pass = match gateway::admit(&core, &route, token).await {
        Ok(pass) => pass,
        Err(Stop::Invalid) => return answer::bad_token(issuer, &slug, &route),
        Err(Stop::Stopped) => return answer::stopped(),
        Err(Stop::WrongKind(kind)) => return answer::wrong_kind(kind),
        Err(Stop::Fault(fault)) => return reply::fault(&fault, &from.0),
    };
    let (core, caller) = (core.into_inner(), from.0);
    // Boxed, as what is handed on: a future is copied each time it moves, with all that it will ever hold.
    let mut arrived = Box::new(Arrived {
        core,
        caller,
        slug,
        route,
        pass,
        at,
        certificate: None,
        version: None,
        session: None,
        line: None,
    });
    if let Err(answer) = arrived.show(|| presented(&request)).await {
        return *answer;
    }
    if let Err(fault) = gateway::note_use(&arrived.core, &arrived.caller, &arrived.pass).await {
        return reply::fault(&fault, &arrived.caller);
    }
    match *request.method() {
        actix_web::http::Method::POST => arrived.post(&request, payload).await,
        actix_web::http::Method::DELETE => arrived.plain(&request, "DELETE").await,
        _ => arrived.plain(&request, "GET").await,
    }
}

/// The name of the server in a path under `/mcp`.
fn slug(path: &Path<Url>) -> &str {
    path.unprocessed().strip_prefix('/').unwrap_or_default()
}

/// What goes on of a request's headers, and the session as the server knows it.
fn onward(request: &HttpRequest, session: Option<String>) -> Headers {
    let mut out = Headers::default();
    for (name, value) in request.headers().iter().filter(|(name, _)| goes_on(name.as_str())) {
        out.add(name.as_str(), value.as_bytes());
    }
    if let Some(session) = session {
        out.add("mcp-session-id", session.as_bytes());
    }
    out
}

fn goes_on(name: &str) -> bool {
    ONWARD.contains(&name) || is_mirrored(name)
}

fn is_mirrored(name: &str) -> bool {
    name.starts_with(MIRRORED)
}

/// What was decided about a message: the class of the call, and the rule that holds it back, if one does.
struct Judged {
    class: ToolClass,
    held: Option<(CallRuleId, String)>,
}

/// Somebody who was let in, and what they want.
struct Arrived {
    core: Arc<Core>,
    caller: Caller,
    slug: String,
    route: Arc<Route>,
    pass: Pass,
    /// When it arrived.
    at: Instant,
    /// The fingerprint of their client certificate, where the server wants one.
    certificate: Option<String>,
    /// The revision that the message says it is of.
    version: Option<String>,
    /// The session that it is in, shortened to a digest that nobody can begin one with.
    session: Option<String>,
    /// Where it came from, if an event stream may take that over.
    line: Option<Mark>,
}

impl Arrived {
    async fn post(mut self: Box<Self>, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
        let headers = request.headers();
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json =
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json");
        if !is_json || headers.contains_key(CONTENT_ENCODING) {
            let text = "A message is application/json, not compressed.";
            return answer::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", text);
        }
        let read = tokio::time::timeout(CALL_BODY_TIMEOUT, body::read_up_to(request, payload, MAX_CALL));
        let body = match read.await {
            Ok(Ok(body)) => Bytes::from(body),
            Ok(Err(BodyError::TooLarge)) => {
                let text = format!("A message has at most {} MiB.", MAX_CALL / (1024 * 1024));
                return answer::plain(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", &text);
            }
            Ok(Err(_)) => {
                return answer::plain(StatusCode::BAD_REQUEST, "body_interrupted", "The body broke off.");
            }
            Err(_) => {
                let text = "The body took too long.";
                return answer::plain(StatusCode::REQUEST_TIMEOUT, "body_too_slow", text);
            }
        };
        self.line = Mark::of(request);
        let asks = self.route.auth.is_some();
        let body = asks.then(|| Envelope::without_own_input(&body)).flatten().map_or(body, Bytes::from);
        let message = match Envelope::read(&body) {
            Ok(message) => message,
            Err(bad) => return answer::bad(&bad),
        };
        let text = |name: &str| {
            let mut all = headers.get_all(name);
            let (value, again) = (all.next()?, all.next());
            // What is there twice, or is no text, says nothing that the body could say.
            let said = if again.is_some() { "" } else { value.to_str().unwrap_or_default() };
            Some(said.to_owned())
        };
        if let Err(bad) = message.check(text) {
            return answer::bad(&bad);
        }
        let version = text("mcp-protocol-version");
        // Where there are no sessions, an id of one means nothing; and whoever begins one has none yet.
        let sessionless = message.is_stateless(version.as_deref()) || message.method == "initialize";
        let session = match self.session(request, sessionless) {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        self.session = session.as_deref().map(|id| TokenDigest::of(id).hex().chars().take(16).collect());
        self.version =
            message.revision(version.as_deref()).map(|revision| revision.chars().take(40).collect());
        let headers = onward(request, session);
        if message.method == "tools/call"
            && self.route.tools.is_empty()
            && !gateway::rests(&self.core, &self.route)
        {
            // It reaches the server, so that it counts like everything that does.
            let _place = match gateway::place(&self.core, &self.pass, &self.route, message.tool()) {
                Ok(place) => place,
                Err(refused) => return Box::pin(self.too_many(&message.id, refused)).await,
            };
            if let Err(answer) = self.way(Some(&message)).await {
                return *answer;
            }
            if self.route.auth.is_some()
                && let Err(answer) = self.opened(Some(&message)).await
            {
                return *answer;
            }
            let at = (self.route.as_ref(), &self.pass);
            let look = first_sight::look(&self.core, &self.caller, at, &headers, &message.meta);
            let seen = Box::pin(look).await;
            if let Err(fault) = seen {
                return reply::fault(&fault, &self.caller);
            }
            if let Some(route) = gateway::find(&self.core, &self.slug) {
                self.route = route;
            }
        }
        if let Some(name) = message.name.as_deref().filter(|_| headers.names().any(is_mirrored))
            && let Some(definition) = self.route.definition(name)
            && let Err(header) = mirrored::check(definition, &message.arguments, &text)
        {
            return answer::bad(&Bad::differs(&message.id, &header));
        }
        let judged = match self.judge(&message, version.as_deref()).await {
            Ok(judged) => judged,
            Err(answer) => return *answer,
        };
        let forward = Forward { method: "POST", headers, body, patience: UPSTREAM_PATIENCE };
        self.forward(Some(Box::new((message, judged))), forward).await
    }

    async fn plain(mut self: Box<Self>, request: &HttpRequest, method: &'static str) -> HttpResponse {
        self.line = Mark::of(request);
        let session = match self.session(request, false) {
            Ok(session) => session,
            Err(answer) => return *answer,
        };
        let headers = onward(request, session);
        let forward = Forward { method, headers, body: Bytes::new(), patience: UPSTREAM_PATIENCE };
        self.forward(None, forward).await
    }

    /// The server's own id of the session that is meant. One that was given to somebody else is one that there is not.
    fn session(&self, request: &HttpRequest, sessionless: bool) -> Result<Option<String>, Box<HttpResponse>> {
        let Some(id) = request.headers().get("mcp-session-id").filter(|_| !sessionless) else {
            return Ok(None);
        };
        let found =
            id.to_str().ok().and_then(|id| gateway::session_in(&self.core, &self.pass, &self.route, id));
        found.map(Some).ok_or_else(|| {
            let text = "There is no such session; begin a new one.";
            Box::new(answer::rpc(StatusCode::NOT_FOUND, &Value::Null, code::REFUSED, text, "no_session"))
        })
    }

    /// Decides about a message; a refusal is recorded.
    async fn judge(&self, message: &Envelope, version: Option<&str>) -> Result<Judged, Box<HttpResponse>> {
        if message.kind == Kind::Response {
            return Ok(Judged { class: ToolClass::Read, held: None });
        }
        let held = &self.pass.claims.scope;
        let ask = Ask::of(&message.method, message.name.as_deref(), message.uri.as_deref());
        let verdict = gateway::judge(&self.pass, &self.route, ask, Some(&message.arguments));
        match verdict {
            Verdict::Allowed(class) => return Ok(Judged { class, held: None }),
            Verdict::NeedsApproval(rule, reason, class) => {
                return Ok(Judged { class, held: Some((rule, reason)) });
            }
            _ => self.refused(message, verdict.rule(), verdict.particulars()).await?,
        }
        let name = message.name.as_deref().unwrap_or_default();
        let ok = StatusCode::OK;
        let params = |text: String| answer::rpc(ok, &message.id, code::PARAMS, &text, verdict.rule());
        Err(Box::new(match &verdict {
            Verdict::NeedsOneOf(needed) => answer::needs(&self.core.policy.issuer, &self.slug, needed, held),
            Verdict::OutOfReach(class) => {
                let text = format!("No permission of this server goes as far as {} tools.", class.as_str());
                answer::rpc(ok, &message.id, code::REFUSED, &text, verdict.rule())
            }
            Verdict::UnknownTool => params(format!("Unknown tool: {name}")),
            Verdict::Quarantined => params(format!(
                "The tool {name} is new or has changed, and waits for an administrator of this gateway."
            )),
            Verdict::Blocked => {
                params(format!("The tool {name} is closed by an administrator of this gateway."))
            }
            Verdict::NotForThisToken => params(format!("This token is not for the tool {name}.")),
            Verdict::Denied(_, reason) => {
                let text = format!("A rule of this gateway refuses the call: {reason}");
                answer::rpc(ok, &message.id, code::REFUSED, &text, verdict.rule())
            }
            Verdict::CedarDenied(refusal) => {
                answer::rpc(ok, &message.id, code::REFUSED, &refusal.to_string(), verdict.rule())
            }
            Verdict::UnknownMethod | Verdict::NeedsApproval(..) | Verdict::Allowed(_) => {
                let status = if message.is_stateless(version) { StatusCode::NOT_FOUND } else { ok };
                let text = format!("The gateway does not let {} through.", message.method);
                answer::rpc(status, &message.id, code::UNKNOWN_METHOD, &text, verdict.rule())
            }
        }))
    }

    /// Whether a call that a rule holds back may go out now; what it is answered otherwise.
    async fn held_back(
        &self,
        message: &Envelope,
        (rule, reason): &(CallRuleId, String),
    ) -> Result<(), Box<HttpResponse>> {
        let text = canonical(&message.arguments);
        let name = message.name.as_deref().or(message.uri.as_deref()).unwrap_or_default();
        let held = HeldBack { rule: *rule, reason, method: &message.method, name, text: &text };
        let by = || vec![("rule_id", rule.to_string().into())];
        let decided = gateway::ask_for(&self.core, &self.caller, (&self.pass, &self.route), held).await;
        let decided = decided.map_err(|fault| Box::new(reply::fault(&fault, &self.caller)))?;
        let (text, approval, until) = match decided {
            Decided::Go(_) => return Ok(()),
            Decided::Waits(id, until) => (
                format!(
                    "This call waits for an administrator of this gateway: {reason} Make the same call again once it \
                     is allowed (approval {id}, until {until})."
                ),
                Some(id),
                Some(until),
            ),
            Decided::Refused(id) => {
                self.refused(message, "approval_refused", by()).await?;
                let text = format!("An administrator of this gateway has refused this call (approval {id}).");
                (text, Some(id), None)
            }
            Decided::TooMany => {
                self.refused(message, "too_many_wait", by()).await?;
                ("Too many calls wait for an administrator of this gateway already.".to_owned(), None, None)
            }
        };
        let mut data = json!({ "reason": "approval_required" });
        if let Some(data) = data.as_object_mut() {
            data.extend(approval.map(|id| ("approval".to_owned(), id.to_string().into())));
            data.extend(until.map(|until| ("until".to_owned(), until.to_string().into())));
        }
        Err(Box::new(answer::approval(&message.id, &text, &data)))
    }

    async fn forward(
        self: Box<Self>,
        message: Option<Box<(Envelope, Judged)>>,
        mut forward: Forward,
    ) -> HttpResponse {
        let asked = message.as_deref().map(|(message, _)| message);
        let id = asked.map_or(Value::Null, |message| message.id.clone());
        let tool = asked.and_then(Envelope::tool);
        let place = match gateway::place(&self.core, &self.pass, &self.route, tool) {
            Ok(place) => place,
            Err(refused) => return Box::pin(self.too_many(&id, refused)).await,
        };
        if gateway::rests(&self.core, &self.route) {
            let text = "The server behind this gateway cannot be reached; try again soon.";
            let wait = UPSTREAM_REST.as_secs();
            return answer::later(StatusCode::SERVICE_UNAVAILABLE, &id, wait, text, "upstream_rests");
        }
        let held = message.as_deref().and_then(|(message, judged)| Some((message, judged.held.as_ref()?)));
        // Whoever has yet to connect does so before anybody is asked about the call.
        if held.is_some()
            && self.route.auth.is_some()
            && let Err(answer) = self.opened(asked).await
        {
            return *answer;
        }
        // Late, because a decision is used up by it.
        if let Some((message, held)) = held
            && let Err(answer) = Box::pin(self.held_back(message, held)).await
        {
            return *answer;
        }
        // Only now: what is refused never gets here.
        let way = match self.way(asked).await {
            Ok(way) => way,
            Err(answer) => return *answer,
        };
        let opened = match self.opened(asked).await {
            Ok(opened) => opened,
            Err(answer) => return *answer,
        };
        let (credential, secrets) = opened
            .map_or_else(Default::default, |Opened { credential, secrets }| (Some(credential), secrets));
        let bytes_in = forward.body.len();
        let record = match message.as_deref() {
            Some((message, judged)) if CALLS.contains(&message.method.as_str()) => {
                match self.begin(message, judged.class, bytes_in).await {
                    Ok(record) => Some(record),
                    Err(answer) => return *answer,
                }
            }
            _ => None,
        };
        if message.is_none() {
            forward.headers.remove("content-type");
        }
        let Self { core, caller, slug, route, pass, line, .. } = *self;
        let message = message.map(|asked| asked.0);
        let mut call =
            Box::new(Call { core, caller, slug, route, pass, message, secrets, record, place, line });
        let again = call.route.auth.is_some().then(|| forward.clone());
        let sent = Box::pin(stdio::send(&call.core, &way, (&call.route, &call.pass), forward, credential));
        let Some(mut sent) = call.while_it_counts(sent).await else { return relay::cut(&mut call) };
        call.record.iter_mut().for_each(relay::Record::answered);
        // A person's token may have been taken back there, or have had its time. Nothing was done with the message.
        if matches!(&sent, Ok(answer) if answer.status == 401)
            && let (Some(again), Some(secret)) = (again, call.secrets.first())
        {
            match Box::pin(shown_anew(&call.core, &call.route, &call.pass, secret)).await {
                Ok(Shown::This(opened)) => {
                    call.secrets = opened.secrets;
                    let to = (call.route.as_ref(), &call.pass);
                    let second = Box::pin(stdio::send(&call.core, &way, to, again, Some(opened.credential)));
                    let Some(second) = call.while_it_counts(second).await else {
                        return relay::cut(&mut call);
                    };
                    sent = second;
                }
                Ok(Shown::Connect(link)) => {
                    call.end("connection_required", 401);
                    return answer::connect(call.message.as_ref(), &call.route.resource.name, &link);
                }
                Ok(_) => {}
                Err(fault) => return reply::fault(&fault, &call.caller),
            }
        }
        gateway::reached(
            &call.core,
            &call.route,
            !matches!(sent, Err(NoAnswer::Unreachable | NoAnswer::Broken)),
        );
        match sent {
            Ok(answer) => relay::back(call, answer).await,
            Err(why) => {
                tracing::warn!(server = call.slug, %why, "a server behind the gateway gave no answer");
                let (outcome, status, text, name) = certificate::told(why);
                call.end(outcome, 0);
                answer::rpc(status, &id, code::INTERNAL, text, name)
            }
        }
    }

    /// What is shown to the server for this call; the answer where it cannot be made.
    async fn opened(&self, message: Option<&Envelope>) -> Result<Option<Opened>, Box<HttpResponse>> {
        let fault = |fault: &Fault| Box::new(reply::fault(fault, &self.caller));
        let id = message.map_or(Value::Null, |message| message.id.clone());
        let (answer, why) = match shown(&self.core, &self.route, &self.pass).await.map_err(|it| fault(&it))? {
            Shown::Nothing => return Ok(None),
            Shown::This(opened) => return Ok(Some(opened)),
            Shown::Connect(link) => {
                (answer::connect(message, &self.route.resource.name, &link), "connection_required")
            }
            Shown::NotAPerson => {
                let text = "The server behind this gateway is used in a person's name, and this token is a machine's.";
                let why = "not_a_person";
                (answer::rpc(StatusCode::FORBIDDEN, &id, code::REFUSED, text, why), why)
            }
            Shown::Unavailable => {
                let text = "No token for the server behind this gateway can be had now; try again soon.";
                let why = "upstream_token";
                (answer::rpc(StatusCode::BAD_GATEWAY, &id, code::INTERNAL, text, why), why)
            }
        };
        if let Some(message) = message {
            self.refused(message, why, Vec::new()).await?;
        }
        Err(Box::new(answer))
    }
}
