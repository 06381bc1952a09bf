//! `/account/email`, `/email/confirm` and `/email/undo`: another address, confirmed from there, and taken back from the old
//! one. Looking at a mailed link does not use it up.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};

use super::door;
use super::page::{Leads, bad_form, fault, link_token, page, problem};
use super::security::may_change;
use super::site::Site;
use super::view::{EmailPage, EmailProblem, EmailStage, Problem};
use crate::flow::core::Core;
use crate::flow::email_change::{self, Asking, Moved};
use crate::types::mail::LinkPurpose;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

const HERE: &str = "/account/email";

/// Asks for the new address.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let person = match door::person(&request, &core, &site).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    if !core.policy.mail.is_on() {
        return problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound);
    }
    if let Err(answer) = may_change(&request, &core, &site, &person, HERE).await {
        return answer;
    }
    let stage = EmailStage::Ask { now: person.user.email, wanted: String::new(), problem: None };
    shown(&request, &core, &site, StatusCode::OK, stage)
}

/// Mails a link there.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let form = match door::form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &form.person, HERE).await {
        return answer;
    }
    let wanted = form.value("email").trim().to_owned();
    let now = form.person.user.email.clone();
    let again = |status, what| {
        let stage = EmailStage::Ask { now: now.clone(), wanted: wanted.clone(), problem: Some(what) };
        shown(&request, &core, &site, status, stage)
    };
    match email_change::ask(&core, &from.0, &form.person, &wanted).await {
        Ok(Asking::Done) => {
            shown(&request, &core, &site, StatusCode::OK, EmailStage::Sent { to: wanted.clone() })
        }
        Ok(Asking::Off) => problem(&request, &site, StatusCode::NOT_FOUND, Problem::NotFound),
        Ok(Asking::BadEmail) => again(StatusCode::BAD_REQUEST, EmailProblem::NoAddress),
        Ok(Asking::Same) => again(StatusCode::BAD_REQUEST, EmailProblem::Same),
        Ok(Asking::Wait(wait)) => {
            let minutes = wait.as_secs().div_ceil(60).max(1);
            let mut answer = again(StatusCode::TOO_MANY_REQUESTS, EmailProblem::Throttled { minutes });
            if let Ok(value) = HeaderValue::from_str(&wait.as_secs().max(1).to_string()) {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
            marked(answer, "mail_throttled")
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Shows what the link to the new address does.
pub async fn confirm(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    open(&request, &core, &site, LinkPurpose::ConfirmEmail).await
}

/// Shows what the link to the old address does.
pub async fn undo(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    open(&request, &core, &site, LinkPurpose::UndoEmail).await
}

async fn open(request: &HttpRequest, core: &Core, site: &Site, purpose: LinkPurpose) -> HttpResponse {
    let token = link_token(request);
    stand(request, core, site, purpose, token.unwrap_or_default(), StatusCode::OK).await
}

async fn stand(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    purpose: LinkPurpose,
    token: String,
    status: StatusCode,
) -> HttpResponse {
    match email_change::open(core, purpose, &token).await {
        Ok(Some((to, user))) => {
            let now = user.email;
            let stage = match purpose {
                LinkPurpose::UndoEmail => EmailStage::Undo { token, now, to },
                _ => EmailStage::Confirm { token, now, to },
            };
            shown(request, core, site, status, stage)
        }
        Ok(None) => dead(request, core, site),
        Err(cause) => fault(request, site, &cause),
    }
}

/// Moves the account.
pub async fn confirmed(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    follow(&request, payload, &core, &site, from, LinkPurpose::ConfirmEmail).await
}

/// Moves it back.
pub async fn undone(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    follow(&request, payload, &core, &site, from, LinkPurpose::UndoEmail).await
}

async fn follow(
    request: &HttpRequest,
    payload: web::Payload,
    core: &Core,
    site: &Site,
    from: From,
    purpose: LinkPurpose,
) -> HttpResponse {
    let form = match body::form(request, payload).await {
        Ok(form) => form,
        Err(error) => return bad_form(request, site, &error),
    };
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default().to_owned();
    let token = value("token");
    if !site.is_ours(core, request, &value("csrf")) {
        let again = stand(request, core, site, purpose, token, StatusCode::FORBIDDEN).await;
        return marked(again, "forged_form");
    }
    let moved = match purpose {
        LinkPurpose::UndoEmail => email_change::undo(core, &from.0, &token).await,
        _ => email_change::confirm(core, &from.0, &token).await,
    };
    match moved {
        Ok(Moved::Done(to)) => {
            let stage = match purpose {
                LinkPurpose::UndoEmail => EmailStage::Undone { to },
                _ => EmailStage::Confirmed { to },
            };
            shown(request, core, site, StatusCode::OK, stage)
        }
        Ok(Moved::BadLink) => dead(request, core, site),
        Ok(Moved::Taken) => shown(request, core, site, StatusCode::CONFLICT, EmailStage::Taken),
        Err(cause) => fault(request, site, &cause),
    }
}

fn dead(request: &HttpRequest, core: &Core, site: &Site) -> HttpResponse {
    marked(shown(request, core, site, StatusCode::FORBIDDEN, EmailStage::Dead), "dead_link")
}

fn shown(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    status: StatusCode,
    stage: EmailStage,
) -> HttpResponse {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = EmailPage { shell: site.shell.clone(), stage, csrf };
    page(status, &view, Leads::Here, cookie)
}
