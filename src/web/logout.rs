//! `POST /logout`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, bad_form, fault, page, problem, redirect};
use super::site::Site;
use super::view::{LoggedOutPage, LogoutPage, Problem};
use crate::flow::core::Core;
use crate::flow::login::{logout, signed_in};
use crate::wire::body;
use crate::wire::caller::From;

/// Asks whether to sign out; a link alone never does it.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(Some(person)) => {
            let (csrf, cookie) = site.anti_forgery(&core, &request);
            let view = LogoutPage { shell: site.shell.clone(), csrf, person: person.user.email };
            page(StatusCode::OK, &view, Leads::Away, cookie)
        }
        Ok(None) => page(StatusCode::OK, &LoggedOutPage { shell: site.shell.clone() }, Leads::Here, None),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Ends the session, here and in the browser. With `continue`, someone else may sign in for the same request.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let form = match body::form(&request, payload).await {
        Ok(form) => form,
        Err(error) => return bad_form(&request, &site, &error),
    };
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default();
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(&request, &site, &cause),
    };
    if let Some(person) = &person {
        if !site.is_ours(&core, &request, value("csrf")) {
            return problem(&request, &site, StatusCode::FORBIDDEN, Problem::FormExpired);
        }
        if let Err(cause) = logout(&core, &from.0, person).await {
            return fault(&request, &site, &cause);
        }
    }
    let resume = value("continue");
    let sealed =
        !resume.is_empty() && resume.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if sealed {
        let to = format!("{}/login?continue={resume}", site.shell.base);
        return redirect(&to, Some(site.ended_session_cookie()));
    }
    let view = LoggedOutPage { shell: site.shell.clone() };
    page(StatusCode::OK, &view, Leads::Here, Some(site.ended_session_cookie()))
}
