//! `GET|POST /reset`: a forgotten password. Looking at a mailed link does not use it up: whatever scans mail follows links.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, bad_form, fault, link_token, page, problem};
use super::security::password_fault;
use super::site::Site;
use super::view::{AskProblem, ChooseProblem, Problem, ResetPage, ResetStage};
use crate::flow::core::Core;
use crate::flow::reset::{self, Asking, Reset};
use crate::types::policy::{MIN_PASSWORD, RESET_TTL};
use crate::types::secret::Secret;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// Asks who it is, or, with a link, for the new password.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    if !core.policy.mail.is_on() {
        return problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound);
    }
    let token = link_token(&request);
    let Some(token) = token else {
        let stage = ResetStage::Ask { email: String::new(), problem: None };
        return shown(&request, &core, &site, StatusCode::OK, stage);
    };
    choose(&request, &core, &site, StatusCode::OK, token, None).await
}

/// Mails a link, or sets a new password.
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
    let (token, email) = (value("token"), value("email"));
    let ours = site.is_ours(&core, &request, &value("csrf"));
    if token.is_empty() {
        if !ours {
            let stage = ResetStage::Ask { email, problem: Some(AskProblem::FormExpired) };
            return marked(shown(&request, &core, &site, StatusCode::FORBIDDEN, stage), "forged_form");
        }
        return match reset::ask(&core, &from.0, &email).await {
            Ok(Asking::Done) => {
                let stage = ResetStage::Sent { minutes: RESET_TTL.as_secs() / 60 };
                shown(&request, &core, &site, StatusCode::OK, stage)
            }
            Ok(Asking::Off) => problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound),
            Ok(Asking::BadEmail) => {
                let stage = ResetStage::Ask { email, problem: Some(AskProblem::Email) };
                shown(&request, &core, &site, StatusCode::BAD_REQUEST, stage)
            }
            Ok(Asking::Wait(wait)) => {
                let minutes = wait.as_secs().div_ceil(60).max(1);
                let stage = ResetStage::Ask { email, problem: Some(AskProblem::Throttled { minutes }) };
                let mut answer = shown(&request, &core, &site, StatusCode::TOO_MANY_REQUESTS, stage);
                if let Ok(value) = HeaderValue::from_str(&wait.as_secs().max(1).to_string()) {
                    answer.headers_mut().insert(RETRY_AFTER, value);
                }
                marked(answer, "reset_throttled")
            }
            Err(cause) => fault(&request, &site, &cause),
        };
    }
    if !ours {
        let answer =
            choose(&request, &core, &site, StatusCode::FORBIDDEN, token, Some(ChooseProblem::FormExpired))
                .await;
        return marked(answer, "forged_form");
    }
    match reset::complete(&core, &from.0, &token, Secret::new(value("password"))).await {
        Ok(Reset::Done) => shown(&request, &core, &site, StatusCode::OK, ResetStage::Done),
        Ok(Reset::BadLink) => {
            marked(shown(&request, &core, &site, StatusCode::FORBIDDEN, ResetStage::Dead), "dead_link")
        }
        Ok(Reset::Bad(why)) => {
            let why = password_fault(why);
            choose(&request, &core, &site, StatusCode::BAD_REQUEST, token, Some(ChooseProblem::Password(why)))
                .await
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// The form for a new password, to whoever holds a link that works.
async fn choose(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    token: String,
    problem: Option<ChooseProblem>,
) -> HttpResponse {
    match reset::open(core, &token).await {
        Ok(Some(user)) => {
            let stage = ResetStage::Choose { token, email: user.email, problem };
            shown(request, core, site, status, stage)
        }
        Ok(None) => marked(shown(request, core, site, StatusCode::FORBIDDEN, ResetStage::Dead), "dead_link"),
        Err(cause) => fault(request, site, &cause),
    }
}

fn shown(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    stage: ResetStage,
) -> HttpResponse {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = ResetPage { shell: site.shell.clone(), stage, password_min: MIN_PASSWORD, csrf };
    page(status, &view, Leads::Here, cookie)
}
