//! The key set (RFC 7517 §5).

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

use crate::flow::core::Core;
use crate::types::policy::JWKS_MAX_AGE;

/// Every published key.
pub async fn jwks(core: web::Data<Core>) -> HttpResponse {
    let body = core.live.view().jwks(core.now());
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/jwk-set+json"))
        .insert_header((CACHE_CONTROL, format!("public, max-age={}", JWKS_MAX_AGE.as_secs())))
        .body(body)
}
