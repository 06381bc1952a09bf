//! `POST /revoke` (RFC 7009 §2).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::flow::core::Core;
use crate::flow::revoke::revoke;
use crate::wire::body::form;
use crate::wire::caller::{From, authorization};
use crate::wire::reply;

/// Revokes a token; when this answers 200 the token is dead here and on its way to be dead everywhere.
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
    match revoke(&core, &from.0, authorization(&request), &params).await {
        Ok(()) => reply::uncached(StatusCode::OK).finish(),
        Err(failure) => reply::failure(&failure, &from.0),
    }
}
