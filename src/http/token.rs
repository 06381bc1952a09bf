//! `POST /token` (RFC 6749 §3.2).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::flow::core::Core;
use crate::flow::token::token;
use crate::wire::body::form;
use crate::wire::caller::{From, authorization};
use crate::wire::reply;

/// Exchanges a grant for tokens.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let params = match form(&request, payload).await {
        Ok(params) => params,
        Err(error) => return reply::bad_body(&error),
    };
    match token(&core, &from.0, authorization(&request), &params).await {
        Ok(answer) => reply::json(StatusCode::OK, &answer),
        Err(failure) => reply::failure(&failure, &from.0),
    }
}
