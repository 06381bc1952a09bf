//! `GET|POST /setup`: the first administrator.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, bad_form, fault, link_token, page, problem, redirect};
use super::site::Site;
use super::view::{Problem, SetupPage, SetupProblem};
use crate::account::password::PasswordProblem;
use crate::flow::core::Core;
use crate::flow::setup::{Setup, complete, is_open};
use crate::types::policy::{MAX_PASSWORD, MIN_PASSWORD};
use crate::types::secret::Secret;
use crate::wire::body;
use crate::wire::caller::From;

/// Shows the form, to whoever holds the link that was printed at start.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let link = link_token(&request).unwrap_or_default();
    match is_open(&core, &link).await {
        Ok(true) => form_page(&request, &core, &site, StatusCode::OK, (&link, "", ""), None),
        Ok(false) => problem(&request, &site, StatusCode::FORBIDDEN, Problem::SetupLink),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Makes the first administrator.
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
    let (link, email, name) = (value("setup"), value("email"), value("name"));
    let again = |status, what| form_page(&request, &core, &site, status, (link, email, name), Some(what));
    if !site.is_ours(&core, &request, value("csrf")) {
        return again(StatusCode::FORBIDDEN, SetupProblem::FormExpired);
    }
    let named = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    let secret = Secret::new(value("password").to_owned());
    match complete(&core, &from.0, link, email, named, secret).await {
        Ok(Setup::Done(token)) => {
            redirect(&format!("{}/account", site.shell.base), Some(site.session_cookie(&token)))
        }
        Ok(Setup::BadLink) => problem(&request, &site, StatusCode::FORBIDDEN, Problem::SetupLink),
        Ok(Setup::BadEmail) => again(StatusCode::BAD_REQUEST, SetupProblem::Email),
        Ok(Setup::BadPassword(PasswordProblem::Short)) => {
            again(StatusCode::BAD_REQUEST, SetupProblem::PasswordShort)
        }
        Ok(Setup::BadPassword(PasswordProblem::Long)) => {
            again(StatusCode::BAD_REQUEST, SetupProblem::PasswordLong { most: MAX_PASSWORD })
        }
        Ok(Setup::BadPassword(PasswordProblem::Guessable)) => {
            again(StatusCode::BAD_REQUEST, SetupProblem::PasswordGuessable)
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

fn form_page(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    (link, email, name): (&str, &str, &str),
    what: Option<SetupProblem>,
) -> HttpResponse {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = SetupPage {
        shell: site.shell.clone(),
        email: email.to_owned(),
        name: name.to_owned(),
        password_min: MIN_PASSWORD,
        problem: what,
        setup: link.to_owned(),
        csrf,
    };
    page(status, &view, Leads::Here, cookie)
}
