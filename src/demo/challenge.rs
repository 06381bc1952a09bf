//! What a caller who may not pass is told: `WWW-Authenticate` of RFC 6750 §3 with the parameters of RFC 9728 §5.1, so that
//! a client finds the issuer and the scopes by itself.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::READ;
use crate::types::scope::ScopeSet;

/// Why a request stops at the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// It carries no token.
    NoToken,
    /// Its token does not hold (RFC 6750 §3.1 `invalid_token`).
    BadToken,
    /// It carries a token in a way that is not allowed (RFC 6750 §3.1 `invalid_request`).
    BadRequest(&'static str),
    /// Its token allows too little (RFC 6750 §3.1 `insufficient_scope`).
    NeedsScope {
        /// What the operation needs and the token lacks.
        missing: ScopeSet,
        /// What to ask for: all that the operation needs, and what the caller holds already, so that a client that
        /// replaces its scopes instead of adding to them loses nothing.
        ask: ScopeSet,
    },
    /// Whether the token holds cannot be known now.
    Unavailable,
}

impl Stop {
    /// The answer; `metadata_url` is the absolute URL of the protected-resource metadata.
    pub(super) fn response(&self, metadata_url: &str) -> Response {
        let at = format!("resource_metadata=\"{metadata_url}\"");
        let (status, error, description, challenge) = match self {
            Self::NoToken => {
                let text = "Add this URL to an MCP client; the client signs you in".to_owned();
                (StatusCode::UNAUTHORIZED, "unauthorized", text, format!("Bearer {at}, scope=\"{READ}\""))
            }
            Self::BadToken => {
                let text = "The access token is expired, revoked, or not meant for this server".to_owned();
                let head = head("invalid_token", &text);
                (StatusCode::UNAUTHORIZED, "invalid_token", text, format!("{head}, {at}, scope=\"{READ}\""))
            }
            Self::BadRequest(text) => {
                let head = head("invalid_request", text);
                (StatusCode::BAD_REQUEST, "invalid_request", (*text).to_owned(), format!("{head}, {at}"))
            }
            Self::NeedsScope { missing, ask } => {
                let text = format!("This needs the scope {missing}");
                let challenge = format!("{}, scope=\"{ask}\", {at}", head("insufficient_scope", &text));
                (StatusCode::FORBIDDEN, "insufficient_scope", text, challenge)
            }
            Self::Unavailable => {
                let text = "Whether the access token holds cannot be known now; try again".to_owned();
                let body = Json(json!({"error": "temporarily_unavailable", "error_description": text}));
                let headers = [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, "1")];
                return (StatusCode::SERVICE_UNAVAILABLE, headers, body).into_response();
            }
        };
        let body = Json(json!({"error": error, "error_description": description}));
        let mut response = (status, [(CACHE_CONTROL, "no-store")], body).into_response();
        // Scopes and URLs are ASCII without quotes by their own grammar, so this cannot fail.
        if let Ok(value) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

fn head(error: &str, description: &str) -> String {
    format!("Bearer error=\"{error}\", error_description=\"{description}\"")
}
