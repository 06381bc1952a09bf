//! Errors of the admin API: problem details (RFC 9457).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use schemars::JsonSchema;
use serde::Serialize;

use crate::flow::admin_api::Denied;
use crate::flow::core::{Caller, Core};
use crate::flow::failure::Fault;
use crate::flow::people::OrderError;
use crate::types::admin::{ADMIN_API, Permission};
use crate::wire::reply::{marked, uncached};

/// Why a call was not carried out.
#[derive(Debug)]
pub enum Problem {
    /// No token, or none that counts.
    NoToken {
        /// Whether there was one.
        presented: bool,
        /// What it would have to allow.
        needs: Permission,
    },
    /// The token does not go so far.
    Scope(Permission),
    /// It is of no use to try again as things stand.
    Refused {
        /// The status.
        status: u16,
        /// A name for programs.
        code: &'static str,
        /// A sentence for people.
        detail: String,
    },
    /// Us.
    Fault(Fault),
}

/// The body of an error (RFC 9457 §3).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Details {
    /// Always `about:blank`: the status says what kind of problem it is, and `code` more exactly.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to do, for people.
    detail: String,
    /// What is wrong, for programs.
    code: &'static str,
    /// The request, as in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    /// What was sent makes no sense.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::Refused { status: 400, code: "bad_request", detail: detail.into() }
    }

    /// There is nothing of that name.
    pub fn missing() -> Self {
        Self::Refused { status: 404, code: "not_found", detail: "There is nothing of that name.".to_owned() }
    }

    /// It can be read and cannot be done as it stands.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::Refused { status: 422, code: "refused", detail: detail.into() }
    }

    /// It does not go with what is there.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { status: 409, code, detail: detail.into() }
    }

    /// As a response.
    pub fn answer(&self, core: &Core, caller: &Caller) -> HttpResponse {
        let (status, code, detail) = match self {
            Self::NoToken { presented: false, .. } => {
                (401, "token_missing", "This needs an access token for the admin API.".to_owned())
            }
            Self::NoToken { .. } => {
                (401, "invalid_token", "The access token does not count here, or not any more.".to_owned())
            }
            Self::Scope(needs) => {
                (403, "insufficient_scope", format!("The token does not allow {}.", needs.as_str()))
            }
            Self::Refused { status, code, detail } => (*status, *code, detail.clone()),
            Self::Fault(fault) => {
                let id = caller.request_id.as_deref().unwrap_or_default();
                tracing::error!(request_id = id, cause = %fault, "fault");
                if fault.is_passing() {
                    (503, "unavailable", "The server cannot answer right now; try again soon.".to_owned())
                } else {
                    (500, "fault", "The server made a mistake; its log knows more.".to_owned())
                }
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = uncached(status);
        builder.insert_header((CONTENT_TYPE, "application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE || code == "running" {
            builder.insert_header((RETRY_AFTER, "1"));
        }
        if let Some(challenge) = self.challenge(core) {
            builder.insert_header((WWW_AUTHENTICATE, challenge));
        }
        let body = Details {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            status: status.as_u16(),
            detail,
            code,
            request_id: caller.request_id.clone(),
        };
        // Not `json`, which would set another content type.
        marked(builder.body(serde_json::to_vec(&body).unwrap_or_default()), code)
    }

    /// RFC 6750 §3 and RFC 9728 §5.1.
    fn challenge(&self, core: &Core) -> Option<String> {
        let (error, needs) = match self {
            Self::NoToken { presented: true, needs } => ("error=\"invalid_token\", ", needs),
            Self::NoToken { needs, .. } => ("", needs),
            Self::Scope(needs) => ("error=\"insufficient_scope\", ", needs),
            Self::Refused { .. } | Self::Fault(_) => return None,
        };
        let (origin, path) = (core.policy.issuer.origin(), core.policy.issuer.path());
        Some(format!(
            "Bearer {error}scope=\"{}\", resource_metadata=\"{origin}/.well-known/oauth-protected-resource{path}{ADMIN_API}\"",
            needs.as_str()
        ))
    }

    /// For a door that did not open.
    pub fn denied(denied: Denied, presented: bool, needs: Permission) -> Self {
        match denied {
            Denied::NoToken => Self::NoToken { presented, needs },
            Denied::Scope => Self::Scope(needs),
            Denied::Role(role) => Self::Refused {
                status: 403,
                code: "role",
                detail: format!("The person whose token this is is not {} in the console.", role.as_str()),
            },
            Denied::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// The answer to a method that a path does not have.
pub fn wrong_method(core: &Core, caller: &Caller, methods: &str) -> HttpResponse {
    let detail = format!("This address answers {methods}.");
    let mut answer = Problem::Refused { status: 405, code: "method", detail }.answer(core, caller);
    if let Ok(value) = methods.parse() {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

impl From<OrderError> for Problem {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Bad(detail) => Self::Refused { status: 422, code: "refused", detail },
            OrderError::NotFound(detail) => Self::Refused { status: 404, code: "not_found", detail },
            OrderError::Exists(detail) => Self::conflict("exists", detail),
            OrderError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<crate::storage::StoreError> for Problem {
    fn from(error: crate::storage::StoreError) -> Self {
        Self::Fault(error.into())
    }
}
