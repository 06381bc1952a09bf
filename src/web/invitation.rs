//! `GET|POST /invitation`: somebody who was invited makes their account. Looking at the link does not use it up.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, bad_form, fault, link_token, page, redirect};
use super::security::password_fault;
use super::site::Site;
use super::view::{InvitationPage, InvitationProblem, InvitationStage};
use crate::flow::core::Core;
use crate::flow::invitations::{self, Accepted};
use crate::types::policy::MIN_PASSWORD;
use crate::types::secret::Secret;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// What came with the link and the form.
struct Filled {
    token: String,
    name: Option<String>,
    problem: Option<InvitationProblem>,
}

/// Shows the form, to whoever holds a link that works.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let token = link_token(&request);
    let filled = Filled { token: token.unwrap_or_default(), name: None, problem: None };
    choose(&request, &core, &site, StatusCode::OK, filled).await
}

/// Makes the account and signs its person in.
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
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default().to_owned();
    let (token, name) = (value("token"), value("name"));
    let again = |status, problem| {
        let filled = Filled { token: token.clone(), name: Some(name.clone()), problem: Some(problem) };
        choose(&request, &core, &site, status, filled)
    };
    if !site.is_ours(&core, &request, &value("csrf")) {
        return marked(again(StatusCode::FORBIDDEN, InvitationProblem::FormExpired).await, "forged_form");
    }
    let password = Secret::new(value("password"));
    match invitations::accept(&core, &from.0, &token, &name, password).await {
        Ok(Accepted::Done(cookie)) => {
            redirect(&format!("{}/account", site.shell.base), Some(site.session_cookie(&cookie)))
        }
        Ok(Accepted::BadLink) => {
            marked(shown(&request, &core, &site, StatusCode::FORBIDDEN, InvitationStage::Dead), "dead_link")
        }
        Ok(Accepted::Exists(email)) => {
            shown(&request, &core, &site, StatusCode::CONFLICT, InvitationStage::Exists { email })
        }
        Ok(Accepted::BadName) => again(StatusCode::BAD_REQUEST, InvitationProblem::Name).await,
        Ok(Accepted::Bad(why)) => {
            let why = password_fault(why);
            again(StatusCode::BAD_REQUEST, InvitationProblem::Password(why)).await
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

async fn choose(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    filled: Filled,
) -> HttpResponse {
    match invitations::open(core, &filled.token).await {
        Ok(Some(invitation)) => {
            let stage = InvitationStage::Choose {
                token: filled.token,
                email: invitation.email,
                name: filled.name.or(invitation.name).unwrap_or_default(),
                problem: filled.problem,
            };
            shown(request, core, site, status, stage)
        }
        Ok(None) => {
            marked(shown(request, core, site, StatusCode::FORBIDDEN, InvitationStage::Dead), "dead_link")
        }
        Err(cause) => fault(request, site, &cause),
    }
}

fn shown(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    stage: InvitationStage,
) -> HttpResponse {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = InvitationPage { shell: site.shell.clone(), stage, password_min: MIN_PASSWORD, csrf };
    page(status, &view, Leads::Here, cookie)
}
