//! The issuer's root: what this place is.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, fault, page, problem};
use super::site::Site;
use super::view::{HomePage, Problem};
use crate::flow::core::Core;
use crate::flow::login::signed_in;
use crate::storage::users;
use crate::wire::reply;

/// Says what this place is.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(&request, &site, &cause),
    };
    let somebody = match core.store.read(users::any).await {
        Ok(somebody) => somebody,
        Err(error) => return fault(&request, &site, &error.into()),
    };
    let origin = core.policy.issuer.as_str();
    let view = HomePage {
        shell: site.shell.clone(),
        host: origin.split_once("://").map_or(origin, |(_, host)| host).to_owned(),
        person: person.map(|person| person.user.email),
        fresh: !somebody,
    };
    page(StatusCode::OK, &view, Leads::Here, None)
}

/// Nothing is here: a page for browsers, JSON for programs.
pub async fn not_found(request: HttpRequest, site: web::Data<Site>) -> HttpResponse {
    if wants_page(&request) {
        return problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound);
    }
    let body =
        serde_json::json!({ "error": "not_found", "error_description": "There is nothing at this address." });
    reply::json(StatusCode::NOT_FOUND, &body)
}

/// Something is here, for other methods (RFC 9110 §15.5.6).
pub async fn wrong_method(
    request: HttpRequest,
    site: web::Data<Site>,
    methods: &'static str,
) -> HttpResponse {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut answer = if wants_page(&request) {
        let detail = format!("This address answers {methods}.");
        problem(&request, &site, status, Problem::BadRequest { detail })
    } else {
        let body = serde_json::json!({
            "error": "invalid_request",
            "error_description": format!("This address answers {methods}."),
        });
        reply::json(status, &body)
    };
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
