//! The metadata documents (RFC 8414 §3, OpenID Connect Discovery §4), rendered once for each change of what they say.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

use crate::flow::core::Core;
use crate::oauth::metadata;

/// How long others may keep the documents, in seconds.
const MAX_AGE: &str = "public, max-age=60";

/// RFC 8414.
pub async fn authorization_server(core: web::Data<Core>) -> HttpResponse {
    document(core.live.view().documents.authorization_server.clone())
}

/// OpenID Connect Discovery.
pub async fn openid_configuration(core: web::Data<Core>) -> HttpResponse {
    document(core.live.view().documents.openid_configuration.clone())
}

/// OpenID Shared Signals Framework 1.0 §7.2.
pub async fn signals(core: web::Data<Core>) -> HttpResponse {
    let document = metadata::signals(&core.policy.issuer);
    self::document(web::Bytes::from(document.to_string()))
}

fn document(body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, MAX_AGE))
        .body(body)
}
