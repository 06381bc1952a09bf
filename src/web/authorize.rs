//! `GET|POST /authorize` (RFC 6749 §3.1) as a browser sees it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::consent::consent_page;
use super::login::{arrive, login_page};
use super::page::{Leads, fault, page, problem, redirect};
use super::site::Site;
use super::view::{LoginProblem, Problem};
use crate::flow::authorize::{Answer, Course, Resume, authorize};
use crate::flow::core::Core;
use crate::flow::login::{Login, signed_in};
use crate::flow::second_step::step_up;
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::types::client::Client;
use crate::types::policy::{MAX_CONTINUE, MAX_TARGET};
use crate::wire::body::{self, BodyError};
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// A request in the query; or one that comes back from the sign-in page.
pub async fn get(
    request: HttpRequest,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    answer(&request, b"", &core, &site, &from).await
}

/// A request in the body (OpenID Connect Core §3.1.2.1). What stands in query and body counts as repeated.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let body = match body::read(&request, payload).await {
        Ok(body) if body::is_form(&request) => body,
        Ok(_) => return refused(&request, &site, &Reason::WrongContentType, None, None),
        Err(BodyError::TooLarge) => {
            return problem(&request, &site, StatusCode::PAYLOAD_TOO_LARGE, Problem::TooLarge);
        }
        Err(_) => {
            return refused(&request, &site, &Reason::MalformedRequest("the body broke off"), None, None);
        }
    };
    answer(&request, &body, &core, &site, &from).await
}

async fn answer(request: &HttpRequest, body: &[u8], core: &Core, site: &Site, from: &From) -> HttpResponse {
    let most = if request.query_string().starts_with("continue=") { MAX_CONTINUE } else { MAX_TARGET };
    if request.query_string().len() > most {
        return problem(request, site, StatusCode::URI_TOO_LONG, Problem::TooLarge);
    }
    let mut params = match Params::parse_leniently(&[request.query_string().as_bytes(), body]) {
        Ok(params) => params,
        Err(reason) => return refused(request, site, &reason, None, None),
    };
    let (mut since, mut unconnected) = (core.now(), false);
    if let (Ok(Some(sealed)), Ok(None)) = (params.value("continue"), params.value("client_id")) {
        let resumed = Resume::open(core, sealed, since)
            .and_then(|resume| Some((Params::parse(&[resume.query.as_bytes()]).ok()?, resume)));
        let Some((original, resume)) = resumed else {
            return problem(request, site, StatusCode::BAD_REQUEST, Problem::RequestExpired);
        };
        (params, since, unconnected) = (original, resume.at, resume.unconnected);
    }
    let person = match signed_in(core, site.session_of(request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(request, site, &cause),
    };
    match authorize(core, &from.0, &params, person.as_ref(), Course { since, unconnected }).await {
        Ok(Answer::Page { reason, client }) => {
            refused(request, site, &reason, client.as_deref(), Some(&params))
        }
        Ok(Answer::Redirect(to)) => redirect(&to, None),
        Ok(Answer::SignIn { resume }) if person.is_none() => {
            redirect(&format!("{}/login?continue={resume}", site.shell.base), None)
        }
        Ok(Answer::SignIn { resume }) => {
            // Someone is signed in and has to prove it again: the sign-in address would send them straight back.
            let email = person.map(|person| person.user.email).unwrap_or_default();
            let (view, cookie) =
                login_page(request, core, site, &resume, email, Some(LoginProblem::Fresh)).await;
            page(StatusCode::OK, &view, Leads::Away, cookie)
        }
        Ok(Answer::StepUp { resume }) => {
            let Some(person) = person else {
                return problem(request, site, StatusCode::BAD_REQUEST, Problem::RequestExpired);
            };
            match step_up(core, &person).await {
                Ok(token) => arrive(site, &Login::SecondStep(token), &resume),
                Err(cause) => fault(request, site, &cause),
            }
        }
        Ok(Answer::Connect { slug, resume }) => {
            redirect(&format!("{}/account/connect/{slug}?continue={resume}", site.shell.base), None)
        }
        Ok(Answer::Consent(pending)) => {
            let Some(person) = person else {
                return problem(request, site, StatusCode::BAD_REQUEST, Problem::RequestExpired);
            };
            consent_page(request, core, site, &pending, &person, params.to_query(), since)
        }
        Err(cause) => fault(request, site, &cause),
    }
}

/// The page for a request whose answer can go nowhere.
fn refused(
    request: &HttpRequest,
    site: &Site,
    reason: &Reason,
    client: Option<&Client>,
    params: Option<&Params>,
) -> HttpResponse {
    let app = || client.map(Client::display_name).unwrap_or_default();
    let sent = |name: &str| params.and_then(|params| params.value(name).ok().flatten().map(str::to_owned));
    let host = || {
        let id = sent("client_id").and_then(|id| url::Url::parse(&id).ok());
        id.and_then(|id| id.host_str().map(str::to_owned)).unwrap_or_default()
    };
    let mut status = StatusCode::BAD_REQUEST;
    let what = match reason {
        Reason::UnknownClient => Problem::UnknownApp,
        Reason::DisabledClient => Problem::AppDisabled { app: app() },
        Reason::UnregisteredRedirectUri => Problem::ReturnAddress {
            app: app(),
            sent: sent("redirect_uri").map(|uri| uri.chars().take(200).collect()),
        },
        Reason::NoRedirectUri => Problem::ReturnAddress { app: app(), sent: None },
        Reason::TooManyNewClients => {
            status = StatusCode::TOO_MANY_REQUESTS;
            Problem::TooMany { seconds: 60 }
        }
        Reason::DocumentUnreachable(detail) | Reason::DocumentUnavailable(detail) => {
            Problem::AppInvalid { host: host(), detail: detail.clone() }
        }
        other => Problem::BadRequest { detail: other.description() },
    };
    marked(problem(request, site, status, what), reason.name())
}
