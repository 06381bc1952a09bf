//! `/register` (RFC 7591 §3) and `/register/{client_id}` (RFC 7592 §2).

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::flow::core::{Caller, Core};
use crate::flow::register::{self, Refused};
use crate::oauth::register::RegistrationError;
use crate::wire::body::read;
use crate::wire::caller::{From, bearer};
use crate::wire::reply;

/// Registers a client.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let body = match json_body(&request, payload).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match register::register(&core, &from.0, bearer(&request), &body).await {
        Ok(answer) => reply::json(StatusCode::CREATED, &answer),
        Err(refused) => refusal(&refused, &from.0),
    }
}

/// Shows a client its registration.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    match register::show(&core, &id, bearer(&request)).await {
        Ok(answer) => reply::json(StatusCode::OK, &answer),
        Err(refused) => refusal(&refused, &from.0),
    }
}

/// Replaces a registration.
pub async fn put(
    request: HttpRequest,
    payload: web::Payload,
    id: web::Path<String>,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let body = match json_body(&request, payload).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match register::update(&core, &from.0, &id, bearer(&request), &body).await {
        Ok(answer) => reply::json(StatusCode::OK, &answer),
        Err(refused) => refusal(&refused, &from.0),
    }
}

/// Removes a registration.
pub async fn delete(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    match register::remove(&core, &from.0, &id, bearer(&request)).await {
        Ok(()) => reply::uncached(StatusCode::NO_CONTENT).finish(),
        Err(refused) => refusal(&refused, &from.0),
    }
}

async fn json_body(request: &HttpRequest, payload: web::Payload) -> Result<Vec<u8>, HttpResponse> {
    let body = read(request, payload).await.map_err(|error| reply::bad_body(&error))?;
    let declared =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(body);
    }
    let answer = json!({ "error": "invalid_client_metadata", "error_description": "The body must be application/json." });
    Err(reply::marked(reply::json(StatusCode::BAD_REQUEST, &answer), "wrong_content_type"))
}

fn refusal(refused: &Refused, caller: &Caller) -> HttpResponse {
    match refused {
        Refused::TooMany => reply::too_many(60),
        Refused::Fault(fault) => reply::fault(fault, caller),
        Refused::Registration(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let mut builder = reply::uncached(status);
            if status == StatusCode::UNAUTHORIZED {
                // RFC 6750 §3.1: a request that shows no token is told of none.
                let challenge = match error {
                    RegistrationError::NoToken(_) => "Bearer realm=\"postern\"",
                    _ => "Bearer realm=\"postern\", error=\"invalid_token\"",
                };
                builder.insert_header((WWW_AUTHENTICATE, challenge));
            }
            let body = json!({ "error": error.code(), "error_description": error.to_string() });
            reply::marked(builder.json(body), error.code())
        }
    }
}
