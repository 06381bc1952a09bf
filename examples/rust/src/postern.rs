//! Protects an MCP server with access tokens issued by Postern. Copy this file and `revocation.rs` into your server.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::revocation::{StatusLists, StatusReference};

const LARGEST_BODY: usize = 4 * 1024 * 1024;
const BETWEEN_KEY_FETCHES: Duration = Duration::from_secs(10);

/// What of an access token (RFC 9068 §2.2) a server looks at; tools find it in the request's extensions.
#[derive(Clone, Deserialize, Serialize)]
pub struct Caller {
    pub sub: String,
    pub client_id: String,
    #[serde(default)]
    pub scope: String,
    #[serde(skip_serializing, default)]
    status: Status,
}

#[derive(Clone, Default, Deserialize)]
struct Status {
    status_list: Option<StatusReference>,
}

/// Which tokens a server accepts, and what they must allow.
pub struct Protection {
    resource: String,
    metadata_url: String,
    scopes: Vec<String>,
    tools: HashMap<String, Vec<String>>,
    keys: IssuerKeys,
    status_lists: StatusLists,
}

impl Protection {
    /// `issuer` exactly as Postern is configured with it, `resource` the URL people give to their MCP client. A revoked
    /// token may still work for `revocation_delay`.
    pub fn new(issuer: &str, resource: &str, revocation_delay: Duration) -> Self {
        let (origin, path) = split_origin(resource);
        Self {
            resource: resource.to_owned(),
            // RFC 9728 §3.1: the well-known part goes between the host and the path.
            metadata_url: format!("{origin}/.well-known/oauth-protected-resource{path}"),
            scopes: Vec::new(),
            tools: HashMap::new(),
            keys: IssuerKeys::new(issuer),
            status_lists: StatusLists::new(revocation_delay),
        }
    }

    /// What every request needs.
    pub fn requires(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        self
    }

    /// What calling this tool needs besides.
    pub fn tool_requires(mut self, tool: &str, scopes: &[&str]) -> Self {
        self.tools.insert(tool.to_owned(), scopes.iter().map(|&scope| scope.to_owned()).collect());
        self
    }

    pub fn metadata_path(&self) -> &str {
        split_origin(&self.metadata_url).1
    }

    async fn verify(&self, token: &str) -> Result<Caller, Refused> {
        let caller: Caller = self.keys.verify(token, "at+jwt", Some(&self.resource)).await?;
        if let Some(reference) = &caller.status.status_list
            && self.status_lists.revoked(reference, &self.keys).await?
        {
            return Err(Refused::BadToken);
        }
        Ok(caller)
    }

    fn needed(&self, body: &[u8]) -> BTreeSet<&str> {
        let mut needed: BTreeSet<&str> = self.scopes.iter().map(String::as_str).collect();
        let messages = match serde_json::from_slice(body) {
            Ok(Value::Array(messages)) => messages,
            Ok(message) => vec![message],
            Err(_) => Vec::new(),
        };
        for message in messages.iter().filter(|message| message["method"] == "tools/call") {
            let tool = message["params"]["name"].as_str().unwrap_or_default();
            needed.extend(self.tools.get(tool).into_iter().flatten().map(String::as_str));
        }
        needed
    }

    /// The answer an MCP client acts on: it names the scopes that would do, and where to learn about the issuer.
    fn challenge(&self, status: StatusCode, error: Option<&str>, scopes: BTreeSet<&str>) -> Response {
        let scope = scopes.into_iter().collect::<Vec<_>>().join(" ");
        let error_part = error.map(|error| format!("error=\"{error}\", ")).unwrap_or_default();
        let header =
            format!("Bearer {error_part}scope=\"{scope}\", resource_metadata=\"{}\"", self.metadata_url);
        let body = json!({ "error": error.unwrap_or("unauthorized") });
        (status, [(WWW_AUTHENTICATE, header)], Json(body)).into_response()
    }
}

/// Why a token was not accepted.
pub enum Refused {
    /// Something is wrong with the token.
    BadToken,
    /// It could not be found out. The client should keep its token and try again.
    Unknown,
}

/// Middleware: lets a request through with a [`Caller`] in its extensions, or refuses it.
pub async fn protect(State(protection): State<Arc<Protection>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let everywhere = || protection.scopes.iter().map(String::as_str).collect();
    let Some(token) = bearer(&parts.headers) else {
        return protection.challenge(StatusCode::UNAUTHORIZED, None, everywhere());
    };
    let caller = match protection.verify(token).await {
        Ok(caller) => caller,
        Err(Refused::BadToken) => {
            return protection.challenge(StatusCode::UNAUTHORIZED, Some("invalid_token"), everywhere());
        }
        Err(Refused::Unknown) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let needed = protection.needed(&body);
    let granted: BTreeSet<&str> = caller.scope.split(' ').collect();
    if !needed.is_subset(&granted) {
        return protection.challenge(StatusCode::FORBIDDEN, Some("insufficient_scope"), needed);
    }
    parts.extensions.insert(caller);
    next.run(Request::from_parts(parts, Body::from(body))).await
}

/// The protected resource metadata (RFC 9728 §2), by which clients find the issuer.
pub async fn resource_metadata(State(protection): State<Arc<Protection>>) -> Response {
    let document = json!({
        "resource": protection.resource,
        "authorization_servers": [protection.keys.issuer],
        "scopes_supported": protection.scopes,
        "bearer_methods_supported": ["header"],
    });
    ([(ACCESS_CONTROL_ALLOW_ORIGIN, "*")], Json(document)).into_response()
}

/// The issuer's public keys, fetched when a token names one that is not known yet.
pub struct IssuerKeys {
    pub issuer: String,
    pub http: reqwest::Client,
    known: Mutex<(HashMap<String, Jwk>, Option<Instant>)>,
}

impl IssuerKeys {
    fn new(issuer: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap_or_default();
        Self { issuer: issuer.to_owned(), http, known: Mutex::default() }
    }

    /// The claims of a JWT that this issuer signed for this purpose and audience, and that has not expired.
    pub async fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        typ: &str,
        audience: Option<&str>,
    ) -> Result<T, Refused> {
        let header = decode_header(token).map_err(|_| Refused::BadToken)?;
        let asymmetric = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
        if header.typ.as_deref() != Some(typ) || !asymmetric.contains(&header.alg) {
            return Err(Refused::BadToken);
        }
        let jwk = self.key(header.kid.as_deref().unwrap_or_default()).await?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| Refused::Unknown)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = 0;
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        match audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
            }
            None => validation.validate_aud = false,
        }
        Ok(decode::<T>(token, &key, &validation).map_err(|_| Refused::BadToken)?.claims)
    }

    async fn key(&self, kid: &str) -> Result<Jwk, Refused> {
        let mut known = self.known.lock().await;
        if let Some(jwk) = known.0.get(kid) {
            return Ok(jwk.clone());
        }
        // A stranger's tokens with made-up key ids must not turn into requests to the issuer.
        if known.1.is_some_and(|fetched| fetched.elapsed() < BETWEEN_KEY_FETCHES) {
            return Err(Refused::BadToken);
        }
        let response = self.http.get(format!("{}/jwks.json", self.issuer)).send().await;
        let set: JwkSet = match response.and_then(reqwest::Response::error_for_status) {
            Ok(response) => response.json().await.map_err(|_| Refused::Unknown)?,
            Err(_) => return Err(Refused::Unknown),
        };
        let named = |jwk: Jwk| Some((jwk.common.key_id.clone()?, jwk));
        *known = (set.keys.into_iter().filter_map(named).collect(), Some(Instant::now()));
        known.0.get(kid).cloned().ok_or(Refused::BadToken)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn split_origin(url: &str) -> (&str, &str) {
    let host = url.find("://").map_or(0, |at| at + 3);
    let path = url[host..].find('/').map_or(url.len(), |at| host + at);
    (&url[..path], url[path..].trim_end_matches('/'))
}
