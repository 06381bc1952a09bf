//! `GET /status-lists/{id}` (Token Status List §8.1) and the list of lists (§9.3).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use crate::flow::core::Core;
use crate::flow::status_list;
use crate::wire::caller::From;
use crate::wire::reply;

/// One list, as a signed token. It must be asked for again each time, and then costs a 304.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let number = id.parse::<i64>().ok().filter(|n| *n >= 0 && n.to_string() == *id);
    let lists = match status_list::count(&core).await {
        Ok(lists) => lists,
        Err(fault) => return reply::fault(&fault, &from.0),
    };
    let Some(number) = number.filter(|n| *n < lists) else {
        let body = json!({ "error": "not_found", "error_description": "There is no such status list." });
        return reply::json(StatusCode::NOT_FOUND, &body);
    };
    let list = match status_list::status_list(&core, number) {
        Ok(list) => list,
        Err(failure) => return reply::failure(&failure, &from.0),
    };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut builder = if known == Some(&list.tag) { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    builder.insert_header((CACHE_CONTROL, "no-cache")).insert_header((ETAG, list.tag.clone()));
    if known == Some(&list.tag) {
        return builder.finish();
    }
    builder.insert_header((CONTENT_TYPE, "application/statuslist+jwt")).body(list.jwt.clone())
}

/// The addresses of all lists.
pub async fn all(core: web::Data<Core>, from: From) -> HttpResponse {
    match status_list::count(&core).await {
        Ok(lists) => {
            let uris: Vec<_> =
                (0..lists).map(|n| core.policy.issuer.url(&format!("/status-lists/{n}"))).collect();
            reply::json(StatusCode::OK, &json!({ "status_lists": uris }))
        }
        Err(fault) => reply::fault(&fault, &from.0),
    }
}
