//! The issuer's root: what this place is.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, fault, page, problem};
use super::site::Site;
use super::view::{ErrorPage, HomePage, Problem};
use crate::flow::core::Core;
use crate::flow::login::signed_in;
use crate::storage::users;
use crate::wire::caller::request_id;
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

/// What it takes to tell a browser, or a program, that its request took too long.
pub struct Late(Option<(web::Data<Site>, String)>);

impl Late {
    /// For this request.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let site = request.app_data::<web::Data<Site>>().filter(|_| wants_page(request));
        Self(site.map(|site| (site.clone(), request_id(request).unwrap_or_default())))
    }

    /// The answer (RFC 9110 §15.5.9).
    #[must_use]
    pub fn answer(self) -> HttpResponse {
        if let Some((site, request_id)) = self.0 {
            let view = ErrorPage { shell: site.shell.clone(), problem: Problem::TooSlow, request_id };
            return page(StatusCode::REQUEST_TIMEOUT, &view, Leads::Here, None);
        }
        let body = serde_json::json!({
            "error": "temporarily_unavailable",
            "error_description": "The request took too long.",
        });
        reply::json(StatusCode::REQUEST_TIMEOUT, &body)
    }
}

fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::types::issuer::Issuer;
    use crate::web::site::Brand;

    #[test]
    fn who_was_too_slow_is_told_in_their_own_terms() {
        let site = Site::new(&Issuer::parse("https://id.example.com").unwrap(), Brand::default());
        let site = web::Data::new(site);
        for (accept, kind) in [("text/html,*/*", "text/html; charset=utf-8"), ("*/*", "application/json")] {
            let request = TestRequest::get().app_data(site.clone()).insert_header((ACCEPT, accept));
            let answer = Late::of(&request.to_http_request()).answer();
            assert_eq!(answer.status(), 408);
            let found = answer.headers().get("content-type").unwrap().to_str().unwrap();
            assert!(found.starts_with(kind), "{accept}: {found}");
        }
    }
}
