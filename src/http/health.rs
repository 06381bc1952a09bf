//! Whether the process lives, and whether it can serve.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::flow::core::Core;
use crate::wire::caller::From;
use crate::wire::reply;

/// The process answers. Never touches the database.
pub async fn live() -> HttpResponse {
    reply::json(StatusCode::OK, &json!({ "status": "live" }))
}

/// The database answers, too.
pub async fn ready(core: web::Data<Core>, from: From) -> HttpResponse {
    match core.store.ping().await {
        Ok(()) => reply::json(StatusCode::OK, &json!({ "status": "ready" })),
        Err(error) => reply::fault(&error.into(), &from.0),
    }
}
