//! Passkeys: signing in with one, and adding and removing them under `/account/security`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded::byte_serialize;

use super::door::form;
use super::login::{answer as login_answer, arrive};
use super::page::{Leads, bad_form, fault, page, problem, redirect, with_script};
use super::second_step::{self, Shows as SecondShows};
use super::security::{HERE, Shows, may_change, recovery_page, show};
use super::site::Site;
use super::view::{Does, PasskeyPage, Problem, SecondProblem, SecurityDone};
use crate::account::browser::in_words;
use crate::flow::core::Core;
use crate::flow::login::{Login, signed_in};
use crate::flow::passkeys::{self, Added, Answer, Asked};
use crate::flow::second_step::{Waiting, waiting};
use crate::oauth::params::Params;
use crate::types::id::PasskeyId;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// Asks for a passkey: any at sign-in, one of the person's at the second step.
pub async fn ask(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let (form, waiting) = match enter(&request, payload, &core, &site).await {
        Ok(entered) => entered,
        Err(answer) => return answer,
    };
    let resume = form.value("continue").ok().flatten().unwrap_or_default();
    match passkeys::ask(&core, waiting.as_ref(), &site.browser_mark(&request)).await {
        Ok(Some(asked)) => {
            let to: String = byte_serialize(resume.as_bytes()).collect();
            let base = &site.shell.base;
            let step = if waiting.is_some() { "/second" } else { "" };
            let view = PasskeyPage {
                action: format!("{base}/login/passkey/finish"),
                second: waiting.is_some(),
                back: format!("{base}/login{step}?continue={to}"),
                ..page_of(&request, &core, &site, &asked, resume)
            };
            with_script(page(StatusCode::OK, &view, Leads::Away, None))
        }
        Ok(None) => redirect(&format!("{}/login", site.shell.base), None),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Takes the passkey's answer.
pub async fn finish(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let (form, waiting) = match enter(&request, payload, &core, &site).await {
        Ok(entered) => entered,
        Err(answer) => return answer,
    };
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default();
    let answer = Answer { ceremony: value("ceremony"), text: value("answer") };
    let (browser, resume) = (site.browser_mark(&request), value("continue"));
    if let Some(waiting) = waiting {
        let shows = SecondShows { wrong: SecondProblem::Passkey, ..SecondShows::new(resume) };
        return match passkeys::second(&core, &from.0, &waiting, &browser, answer).await {
            Ok(ended) => second_step::finish(&request, &core, &site, &waiting, ended, shows),
            Err(cause) => fault(&request, &site, &cause),
        };
    }
    let old = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(old) => old.map(|person| person.session.id),
        Err(cause) => return fault(&request, &site, &cause),
    };
    match passkeys::enter(&core, &from.0, &browser, answer, old).await {
        Ok(login @ (Login::Welcome(_) | Login::SecondStep(_))) => arrive(&site, &login, resume),
        Ok(login) => login_answer(&request, &core, &site, &login, resume).await,
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Asks for a new passkey.
pub async fn ask_for_new(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let form = match form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &form.person, HERE).await {
        return answer;
    }
    match passkeys::ask_for_new(&core, &form.person, &site.browser_mark(&request)).await {
        Ok(Some(asked)) => {
            let base = &site.shell.base;
            let view = PasskeyPage {
                does: Does::Make,
                action: format!("{base}/account/security/passkeys"),
                name: in_words(form.person.session.user_agent.as_deref()),
                back: format!("{base}{HERE}"),
                ..page_of(&request, &core, &site, &asked, HERE)
            };
            with_script(page(StatusCode::OK, &view, Leads::Here, None))
        }
        Ok(None) => redirect(&format!("{}{HERE}", site.shell.base), None),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Adds a passkey.
pub async fn add(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let form = match form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &form.person, HERE).await {
        return answer;
    }
    let answer = Answer { ceremony: form.value("ceremony"), text: form.value("answer") };
    let browser = site.browser_mark(&request);
    match passkeys::add(&core, &from.0, &form.person, &browser, answer, form.value("name")).await {
        Ok(Added::Done(codes)) if codes.is_empty() => {
            show(&request, &core, &site, &form.person, Shows::done(SecurityDone::PasskeyAdded)).await
        }
        Ok(Added::Done(codes)) => recovery_page(&site, codes, true),
        Ok(Added::Refused) => {
            let answer = problem(&request, &site, StatusCode::FORBIDDEN, Problem::FormExpired);
            marked(answer, "passkey_refused")
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Removes a passkey.
pub async fn remove(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let form = match form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &form.person, HERE).await {
        return answer;
    }
    let Some(id) = PasskeyId::parse(form.value("passkey")) else {
        return problem(&request, &site, StatusCode::BAD_REQUEST, Problem::FormExpired);
    };
    match passkeys::remove(&core, &from.0, &form.person.user, id).await {
        Ok(true) => {
            show(&request, &core, &site, &form.person, Shows::done(SecurityDone::PasskeyRemoved)).await
        }
        Ok(false) => redirect(&format!("{}{HERE}", site.shell.base), None),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Reads a form of ours; with `second`, in a browser that is at its second step.
async fn enter(
    request: &HttpRequest,
    payload: web::Payload,
    core: &Core,
    site: &Site,
) -> Result<(Params, Option<Waiting>), HttpResponse> {
    let form = body::form(request, payload).await.map_err(|error| bad_form(request, site, &error))?;
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default();
    if !site.is_ours(core, request, value("csrf")) {
        let answer = problem(request, site, StatusCode::FORBIDDEN, Problem::FormExpired);
        return Err(marked(answer, "forged_form"));
    }
    if value("second").is_empty() {
        return Ok((form, None));
    }
    match waiting(core, site.step_of(request).as_deref()).await {
        Ok(Some(waiting)) => Ok((form, Some(waiting))),
        Ok(None) => Err(second_step::start_again(site, value("continue"))),
        Err(cause) => Err(fault(request, site, &cause)),
    }
}

/// The parts that all pages of this kind share.
fn page_of(request: &HttpRequest, core: &Core, site: &Site, asked: &Asked, resume: &str) -> PasskeyPage {
    PasskeyPage {
        shell: site.shell.clone(),
        does: Does::Use,
        action: String::new(),
        csrf: site.anti_forgery(core, request).0,
        continue_to: resume.to_owned(),
        ceremony: asked.ceremony.expose().to_owned(),
        options: asked.options.clone(),
        second: false,
        name: String::new(),
        back: String::new(),
    }
}
