//! `/login/idp/{id}`: signing in at an identity provider, and `/account/security/idp/{id}`: linking oneself to one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::door::{form, person};
use super::login::{arrive, login_page, onward};
use super::page::{Leads, bad_form, fault, page, problem, redirect};
use super::security::{HERE, may_change};
use super::site::Site;
use super::view::{LinkPage, LoginProblem, Problem};
use crate::account::identity::Refusal;
use crate::flow::core::Core;
use crate::flow::federation::{Denied, Returned, Wish, come_back, depart};
use crate::flow::login::{Login, signed_in};
use crate::flow::people::OrderError;
use crate::flow::providers;
use crate::oauth::params::Params;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// Sends the browser to a provider.
pub async fn post(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let form = match body::form(&request, payload).await {
        Ok(form) => form,
        Err(error) => return bad_form(&request, &site, &error),
    };
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default().to_owned();
    let resume = value("continue");
    if !site.is_ours(&core, &request, &value("csrf")) {
        let (view, cookie) =
            login_page(&request, &core, &site, &resume, String::new(), Some(LoginProblem::FormExpired)).await;
        return marked(page(StatusCode::FORBIDDEN, &view, Leads::Away, cookie), "forged_form");
    }
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(&request, &site, &cause),
    };
    let wish = Wish { browser: site.browser_mark(&request), resume: resume.clone(), link: false };
    match depart(&core, &id, person.as_ref(), wish).await {
        Ok(to) => redirect(&to, None),
        Err(denied) => refuse(&request, &core, &site, denied, &resume).await,
    }
}

/// Takes the provider's answer.
pub async fn callback(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let Ok(params) = Params::parse(&[request.query_string().as_bytes()]) else {
        return refuse(&request, &core, &site, Denied::Stale, "").await;
    };
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(&request, &site, &cause),
    };
    let browser = site.browser_mark(&request);
    match come_back(&core, &from.0, &id, &params, &browser, person.as_ref()).await {
        Ok(Returned::Linked(resume)) => redirect(&onward(&site, &resume), None),
        Ok(Returned::In(login @ (Login::Welcome(_) | Login::SecondStep(_)), resume)) => {
            arrive(&site, &login, &resume)
        }
        Ok(Returned::In(Login::Mismatch | Login::Wait(_), resume)) => {
            refuse(&request, &core, &site, Denied::Stranger(Refusal::Disabled), &resume).await
        }
        Err(denied) => {
            let resume = if let Denied::Declined(resume) = &denied { resume.clone() } else { String::new() };
            refuse(&request, &core, &site, denied, &resume).await
        }
    }
}

/// The sign-in page, with what went wrong.
async fn refuse(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    denied: Denied,
    resume: &str,
) -> HttpResponse {
    let (status, words, mark) = match denied {
        Denied::Fault(cause) => return fault(request, site, &cause),
        Denied::NoProvider => return problem(request, site, StatusCode::NOT_FOUND, Problem::NotFound),
        Denied::Stale => (
            StatusCode::BAD_REQUEST,
            "That sign-in was begun elsewhere, has been used, or took too long. Please begin again.",
            "idp_stale",
        ),
        Denied::Declined(_) => (
            StatusCode::UNAUTHORIZED,
            "The other side did not go through with it. You can try again, or sign in another way.",
            "idp_declined",
        ),
        Denied::Unproven => (
            StatusCode::BAD_GATEWAY,
            "The other side’s answer could not be trusted. Tell your administrator; the log says why.",
            "idp_unproven",
        ),
        Denied::Stranger(Refusal::Disabled) => (
            StatusCode::FORBIDDEN,
            "Your account here is switched off. Ask your administrator.",
            "idp_disabled",
        ),
        Denied::Stranger(_) => (
            StatusCode::FORBIDDEN,
            "You have no account here that belongs to that sign-in. If you have one, sign in another way and link it under “Sign-in and security”; else ask your administrator.",
            "idp_stranger",
        ),
        Denied::NotAnew => (
            StatusCode::UNAUTHORIZED,
            "What you want to do asks for a fresh sign-in, and the other side did not ask you for one.",
            "idp_not_anew",
        ),
        Denied::Linked => (
            StatusCode::CONFLICT,
            "You, or whoever you are over there, is linked to somebody else already. Ask your administrator.",
            "idp_linked",
        ),
        Denied::Unreachable => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The other side cannot be reached at the moment. Try again in a minute, or sign in another way.",
            "idp_unreachable",
        ),
    };
    let what = Some(LoginProblem::Elsewhere { words });
    let (view, cookie) = login_page(request, core, site, resume, String::new(), what).await;
    marked(page(status, &view, Leads::Away, cookie), mark)
}

/// Asks a person whether to link a provider.
pub async fn ask_link(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let person = match person(&request, &core, &site).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &person, &format!("{HERE}/idp/{id}")).await {
        return answer;
    }
    match providers::find(&core, &id).await {
        Ok(provider) if provider.disabled_at.is_none() => {
            let (csrf, cookie) = site.anti_forgery(&core, &request);
            let view = LinkPage {
                shell: site.shell.clone(),
                csrf,
                person: person.user.email,
                id: provider.id.to_string(),
                name: provider.name,
            };
            page(StatusCode::OK, &view, Leads::Away, cookie)
        }
        Err(OrderError::Fault(cause)) => fault(&request, &site, &cause),
        _ => problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound),
    }
}

/// Sends the browser to a provider, to be linked.
pub async fn link(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let form = match form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let person = &form.person;
    if let Err(answer) = may_change(&request, &core, &site, person, &format!("{HERE}/idp/{id}")).await {
        return answer;
    }
    let wish = Wish { browser: site.browser_mark(&request), resume: HERE.to_owned(), link: true };
    match depart(&core, &id, Some(person), wish).await {
        Ok(to) => redirect(&to, None),
        Err(denied) => refuse(&request, &core, &site, denied, HERE).await,
    }
}
