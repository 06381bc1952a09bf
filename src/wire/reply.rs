//! Answers of JSON endpoints. Nothing is cached, nothing is leaked, nothing is HTML.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::json;

use super::body::BodyError;
use crate::flow::core::Caller;
use crate::flow::failure::{Failure, Fault};
use crate::oauth::refusal::{Code, Reason};

/// The reason of a refusal, for the log and the metrics; it rides on the response.
#[derive(Clone, Copy, Debug)]
pub struct RefusedFor(pub &'static str);

/// A JSON answer that nobody may keep (RFC 6749 §5.1).
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> HttpResponse {
    uncached(status).json(body)
}

/// A builder whose answer nobody may keep.
#[must_use]
pub fn uncached(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"));
    builder
}

/// An error of RFC 6749 §5.2.
#[must_use]
pub fn refusal(reason: &Reason) -> HttpResponse {
    let code = reason.code();
    let status = match code {
        Code::InvalidClient => StatusCode::UNAUTHORIZED,
        Code::AccessStopped => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut builder = uncached(status);
    if code == Code::InvalidClient {
        builder.insert_header((WWW_AUTHENTICATE, "Basic realm=\"postern\", charset=\"UTF-8\""));
    }
    let body = json!({ "error": code.as_str(), "error_description": reason.description() });
    marked(builder.json(body), reason.name())
}

/// A fault of ours: 503 when trying again soon may help, else 500. The cause is in the log, under the id that the
/// answer names.
#[must_use]
pub fn fault(fault: &Fault, caller: &Caller) -> HttpResponse {
    tracing::error!(request_id = caller.request_id.as_deref().unwrap_or_default(), cause = %fault, "fault");
    let id = caller.request_id.as_deref().unwrap_or("unknown");
    if fault.is_passing() {
        let body = json!({
            "error": "temporarily_unavailable",
            "error_description": format!("The server cannot answer right now; try again soon. Request {id}."),
        });
        return marked(
            uncached(StatusCode::SERVICE_UNAVAILABLE).insert_header((RETRY_AFTER, "1")).json(body),
            "unavailable",
        );
    }
    let body = json!({
        "error": "server_error",
        "error_description": format!("The server made a mistake; its log knows more. Request {id}."),
    });
    marked(json_of(StatusCode::INTERNAL_SERVER_ERROR, &body), "fault")
}

fn json_of(status: StatusCode, body: &serde_json::Value) -> HttpResponse {
    uncached(status).json(body)
}

/// Either.
#[must_use]
pub fn failure(failure: &Failure, caller: &Caller) -> HttpResponse {
    match failure {
        Failure::Refused(reason) => refusal(reason),
        Failure::Fault(cause) => fault(cause, caller),
    }
}

/// A body that cannot be used.
#[must_use]
pub fn bad_body(error: &BodyError) -> HttpResponse {
    match error {
        BodyError::Refused(reason) => refusal(reason),
        BodyError::TooLarge => {
            let body =
                json!({ "error": "invalid_request", "error_description": "The body is larger than 64 KiB." });
            marked(json_of(StatusCode::PAYLOAD_TOO_LARGE, &body), "body_too_large")
        }
        BodyError::Interrupted => {
            let body = json!({ "error": "invalid_request", "error_description": "The body broke off." });
            marked(json_of(StatusCode::BAD_REQUEST, &body), "body_interrupted")
        }
    }
}

/// Too many requests of a kind (RFC 6585 §4).
#[must_use]
pub fn too_many(seconds: u64) -> HttpResponse {
    let body = json!({
        "error": "temporarily_unavailable",
        "error_description": "Too many requests from this network; try again later.",
    });
    let answer =
        uncached(StatusCode::TOO_MANY_REQUESTS).insert_header((RETRY_AFTER, seconds.to_string())).json(body);
    marked(answer, "too_many")
}

/// Notes why, for the log and the metrics.
#[must_use]
pub fn marked(mut answer: HttpResponse, reason: &'static str) -> HttpResponse {
    answer.extensions_mut().insert(RefusedFor(reason));
    answer
}
