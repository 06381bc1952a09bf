//! The door before the MCP endpoint: host, origin, token, body, scope, in this order; what passes is handed on byte for
//! byte as it was judged, without the token.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use serde_json::json;

use super::challenge::Stop;
use super::message::Message;
use super::tools::NotesServer;
use super::{Caller, Refused, TokenVerifier};
use crate::types::policy::{MAX_BODY, REQUEST_TIMEOUT};
use crate::types::resource_uri::ResourceUri;

/// What stands before the MCP endpoint.
pub(super) struct Door {
    /// Decides about tokens.
    pub verifier: Arc<dyn TokenVerifier>,
    /// Absolute URL of the protected-resource metadata.
    pub metadata_url: String,
    /// The names under which requests may reach this server.
    pub names: Names,
    /// The MCP server.
    pub service: StreamableHttpService<NotesServer, NeverSessionManager>,
}

/// The hosts and origins that are this server's own. A page of another site can make a browser send requests here, by
/// rebinding its name to this address or across origins; neither passes.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Values of `Host`.
    pub hosts: Vec<String>,
    scheme: &'static str,
    loopback: bool,
}

impl Names {
    /// From the resource's URL. On this computer all names of the loopback address are one.
    pub(super) fn of(resource: &ResourceUri) -> Self {
        let host = resource.host();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, format!(":{port}")),
            _ => (host.as_str(), String::new()),
        };
        let loopback = LOOPBACK.contains(&name);
        let hosts =
            if loopback { LOOPBACK.map(|name| format!("{name}{port}")).to_vec() } else { vec![host.clone()] };
        let scheme = if resource.origin().starts_with("https:") { "https" } else { "http" };
        Self { hosts, scheme, loopback }
    }

    fn has_host(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::HOST).iter().map(HeaderValue::to_str);
        let (Some(Ok(host)), None) = (values.next(), values.next()) else { return false };
        let known = |host: &str| self.hosts.iter().any(|name| name.eq_ignore_ascii_case(host));
        known(host) && uri.authority().is_none_or(|authority| known(authority.as_str()))
    }

    /// The server's own origins; for a server on this computer, any other page of this computer too: its developer's.
    fn has_origin(&self, origin: &str) -> bool {
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        if scheme == self.scheme && self.hosts.iter().any(|name| name == host) {
            return true;
        }
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => {
                if port.parse::<u16>().is_err() {
                    return false;
                }
                name
            }
            _ => host,
        };
        self.loopback && matches!(scheme, "http" | "https") && LOOPBACK.contains(&name)
    }
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses a request under a name that is not this server's.
pub(super) async fn host(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if door.names.has_host(request.uri(), request.headers()) {
        return next.run(request).await;
    }
    plain(StatusCode::FORBIDDEN, "this server does not answer to that Host")
}

/// The MCP endpoint.
pub(super) async fn mcp(State(door): State<Arc<Door>>, request: Request) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if let Some(origin) = &origin {
        let sent_once = request.headers().get_all(header::ORIGIN).iter().nth(1).is_none();
        if !(sent_once && origin.to_str().is_ok_and(|origin| door.names.has_origin(origin))) {
            return plain(StatusCode::FORBIDDEN, "requests from that Origin are not served");
        }
    }
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        door.pass(request).await.unwrap_or_else(|refusal| refusal.response(&door.metadata_url))
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        for (name, value) in CORS {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// What a browser may send and read (Fetch, CORS protocol); no credentials but the token that a page already has.
pub(super) const CORS: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id",
    ),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "www-authenticate, mcp-protocol-version"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

enum Refusal {
    Stop(Stop),
    Plain(StatusCode, &'static str),
    Message(i32, &'static str),
}

impl Refusal {
    fn response(self, metadata_url: &str) -> Response {
        match self {
            Self::Stop(stop) => stop.response(metadata_url),
            Self::Plain(status, text) => plain(status, text),
            Self::Message(code, text) => {
                let body = json!({"jsonrpc": "2.0", "error": {"code": code, "message": text}});
                (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
            }
        }
    }
}

impl Door {
    async fn pass(&self, request: Request) -> Result<Response, Refusal> {
        let (mut parts, body) = request.into_parts();
        let caller = self.caller(&parts.uri, &parts.headers).map_err(|stop| {
            tracing::info!(why = ?stop, "stopped an MCP request");
            Refusal::Stop(stop)
        })?;
        // The token ends here: nothing behind the door has a use for it.
        parts.headers.remove(header::AUTHORIZATION);
        let body = if parts.method == Method::POST {
            let body = read(&parts.headers, body).await?;
            let message = Message::read(&body).map_err(|(code, text)| Refusal::Message(code, text))?;
            check(&message, &caller).map_err(Refusal::Stop)?;
            tracing::info!(
                asks = message.name(),
                sub = caller.sub,
                client_id = caller.client_id,
                "MCP request"
            );
            Body::from(body)
        } else {
            Body::empty()
        };
        parts.extensions.insert(caller);
        Ok(self.service.handle(Request::from_parts(parts, body)).await.map(Body::new))
    }

    fn caller(&self, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Stop> {
        let query = uri.query().unwrap_or_default().as_bytes();
        if url::form_urlencoded::parse(query).any(|(name, _)| name == "access_token") {
            return Err(Stop::BadRequest(
                "An access token belongs into the Authorization header, not into the URL",
            ));
        }
        let token = token(headers)?;
        self.verifier.verify(token).map_err(|refused| match refused {
            Refused::Invalid => Stop::BadToken,
            Refused::Unavailable => Stop::Unavailable,
        })
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn token(headers: &HeaderMap) -> Result<&str, Stop> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Stop::NoToken)?;
    if values.next().is_some() {
        return Err(Stop::BadRequest("There is more than one Authorization header"));
    }
    let value = value.to_str().map_err(|_| Stop::BadToken)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Stop::NoToken);
    }
    let token = token.trim_matches(' ');
    let tidy = token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b));
    if token.is_empty() || !tidy { Err(Stop::BadToken) } else { Ok(token) }
}

fn check(message: &Message, caller: &Caller) -> Result<(), Stop> {
    let missing = message.needs().difference(&caller.scopes);
    if missing.is_empty() {
        return Ok(());
    }
    let own = super::SCOPES.iter().map(|(name, _)| *name).collect();
    Err(Stop::NeedsScope { missing, ask: message.asks().union(&caller.scopes.intersection(&own)) })
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::Plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    let whole = async {
        let mut bytes = Vec::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::Plain(StatusCode::BAD_REQUEST, "the body broke off"))?;
            if bytes.len() + chunk.len() > MAX_BODY {
                return Err(Refusal::Plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(bytes))
    };
    tokio::time::timeout(REQUEST_TIMEOUT, whole)
        .await
        .unwrap_or(Err(Refusal::Plain(StatusCode::REQUEST_TIMEOUT, "the body took too long")))
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], format!("{text}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(resource: &str) -> Names {
        Names::of(&ResourceUri::parse(resource).unwrap())
    }

    #[test]
    fn knows_its_own_names() {
        assert_eq!(
            names("http://localhost:8081/mcp").hosts,
            ["localhost:8081", "127.0.0.1:8081", "[::1]:8081"]
        );
        assert_eq!(names("http://[::1]:8081/mcp").hosts, names("http://localhost:8081/mcp").hosts);
        assert_eq!(names("http://[::1]/mcp").hosts, ["localhost", "127.0.0.1", "[::1]"]);
        assert_eq!(names("https://notes.example.com/mcp").hosts, ["notes.example.com"]);
        assert_eq!(names("https://notes.example.com:8443/mcp").hosts, ["notes.example.com:8443"]);
        assert_eq!(names("https://notes1/mcp").hosts, ["notes1"]);
    }

    #[test]
    fn knows_the_origins_that_may_ask() {
        let here = names("http://localhost:8081/mcp");
        for own in
            ["http://localhost:8081", "http://127.0.0.1:6274", "https://localhost", "http://[::1]:3000"]
        {
            assert!(here.has_origin(own), "{own}");
        }
        for foreign in [
            "null",
            "",
            "http://evil.example",
            "http://localhost.evil.example",
            "http://localhost:8081.evil.example",
            "http://evil.example:8081",
            "http://localhost:x",
            "file://localhost",
            "http://user@localhost:8081",
        ] {
            assert!(!here.has_origin(foreign), "{foreign}");
        }
        let public = names("https://notes.example.com/mcp");
        assert!(public.has_origin("https://notes.example.com"));
        assert!(
            !public.has_origin("http://notes.example.com") && !public.has_origin("http://localhost:8081")
        );
    }
}
