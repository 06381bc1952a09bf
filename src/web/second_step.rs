//! `/login/second`: the second step of signing in, and setting one up where it is needed to go on.

use std::fmt::Write as _;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use qrcode::{Color, EcLevel, QrCode};

use super::login::{arrive, continuation, onward};
use super::page::{Leads, bad_form, fault, page, problem, redirect};
use super::site::Site;
use super::view::{EnrolPage, Picture, Problem, RecoveryPage, SecondPage, SecondProblem};
use crate::flow::authorize::{Resume, decline};
use crate::flow::core::Core;
use crate::flow::factors::Offer;
use crate::flow::login::Login;
use crate::flow::second_step::{Ended, Shown, Waiting, take, waiting};
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// Shows the form, or what has to be set up first.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let resume = continuation(&request);
    match waiting(&core, site.step_of(&request).as_deref()).await {
        Ok(Some(waiting)) => show(&request, &core, &site, &waiting, Shows::new(&resume)),
        Ok(None) => start_again(&site, &resume),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Takes a code.
pub async fn post(
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
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default().to_owned();
    let (code, recovery) = (value("code"), value("recovery"));
    let (shown, wrong) = if recovery.is_empty() {
        (Shown::Code(code), SecondProblem::Code)
    } else {
        (Shown::RecoveryCode(recovery), SecondProblem::Recovery)
    };
    match take(&core, &from.0, &waiting, shown).await {
        Ok(ended) => {
            finish(&request, &core, &site, &waiting, ended, Shows { wrong, ..Shows::new(&value("continue")) })
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Takes the first code of an authenticator app that the person is made to set up.
pub async fn enrol(
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
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default().to_owned();
    let (sealed, resume) = (value("offer"), value("continue"));
    let offer = Offer::open(&core, waiting.user.id, &waiting.name(), &sealed);
    let Some(offer) = offer.filter(|_| !waiting.held.any()) else {
        let shows = Shows { what: Some(SecondProblem::FormExpired), ..Shows::new(&resume) };
        return show(&request, &core, &site, &waiting, shows);
    };
    let shown = Shown::NewAuthenticator { offer: Box::new(offer), code: value("code") };
    match take(&core, &from.0, &waiting, shown).await {
        Ok(ended) => {
            finish(&request, &core, &site, &waiting, ended, Shows { offer: sealed, ..Shows::new(&resume) })
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Gives up: an app that waits is told so.
pub async fn cancel(
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
    let resume = form.value("continue").ok().flatten().unwrap_or_default();
    let mut answer = if waiting.step.from.is_none() {
        start_again(&site, resume)
    } else {
        let original = Resume::open(&core, resume, core.now());
        match original.and_then(|resume| Params::parse(&[resume.query.as_bytes()]).ok()) {
            Some(params) => match decline(&core, &from.0, &params, &Reason::UnmetAuthentication).await {
                Ok(Some(to)) => redirect(&to, None),
                Ok(None) => redirect(&onward(&site, ""), None),
                Err(cause) => return fault(&request, &site, &cause),
            },
            None => redirect(&onward(&site, ""), None),
        }
    };
    let _ = answer.add_cookie(&site.ended_step_cookie());
    answer
}

/// What a page of the second step shows.
pub(super) struct Shows<'a> {
    pub(super) resume: &'a str,
    /// Why the last try failed.
    pub(super) what: Option<SecondProblem>,
    /// What to say when what is shown does not hold.
    pub(super) wrong: SecondProblem,
    /// What was offered already, sealed.
    pub(super) offer: String,
}

impl<'a> Shows<'a> {
    pub(super) fn new(resume: &'a str) -> Self {
        Self { resume, what: None, wrong: SecondProblem::Code, offer: String::new() }
    }
}

/// Reads a form of ours in a browser that is at its second step.
async fn enter(
    request: &HttpRequest,
    payload: web::Payload,
    core: &Core,
    site: &Site,
) -> Result<(Params, Waiting), HttpResponse> {
    let form = body::form(request, payload).await.map_err(|error| bad_form(request, site, &error))?;
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default();
    let waiting = match waiting(core, site.step_of(request).as_deref()).await {
        Ok(Some(waiting)) => waiting,
        Ok(None) => return Err(start_again(site, value("continue"))),
        Err(cause) => return Err(fault(request, site, &cause)),
    };
    if !site.is_ours(core, request, value("csrf")) {
        let answer = problem(request, site, StatusCode::FORBIDDEN, Problem::FormExpired);
        return Err(marked(answer, "forged_form"));
    }
    Ok((form, waiting))
}

/// The first step has been forgotten.
pub(super) fn start_again(site: &Site, resume: &str) -> HttpResponse {
    let resume: String = url::form_urlencoded::byte_serialize(resume.as_bytes()).collect();
    redirect(&format!("{}/login?continue={resume}", site.shell.base), Some(site.ended_step_cookie()))
}

/// The page of the second step.
pub(super) fn show(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    waiting: &Waiting,
    shows: Shows<'_>,
) -> HttpResponse {
    let status = match shows.what {
        None => StatusCode::OK,
        Some(SecondProblem::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(SecondProblem::FormExpired) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::UNAUTHORIZED,
    };
    let (csrf, cookie) = site.anti_forgery(core, request);
    if waiting.held.any() {
        let view = SecondPage {
            shell: site.shell.clone(),
            csrf,
            continue_to: shows.resume.to_owned(),
            email: waiting.user.email.clone(),
            authenticator: waiting.held.authenticator.is_some(),
            passkey: waiting.held.passkeys > 0 && core.passkeys.work(),
            recovery: waiting.held.recovery_codes > 0,
            more: waiting.step.from.is_some(),
            problem: shows.what,
        };
        return page(status, &view, Leads::Away, cookie);
    }
    let known = Offer::open(core, waiting.user.id, &waiting.name(), &shows.offer);
    let offer = match known.map_or_else(|| Offer::new(core, waiting.user.id, &waiting.name()), Ok) {
        Ok(offer) => offer,
        Err(cause) => return fault(request, site, &cause),
    };
    let view = EnrolPage {
        shell: site.shell.clone(),
        action: format!("{}/login/second/enrol", site.shell.base),
        csrf,
        continue_to: shows.resume.to_owned(),
        key: offer.key(),
        picture: picture(&offer.address(&site.shell.brand, &waiting.user.email)),
        offer: offer.sealed,
        email: waiting.user.email.clone(),
        needed: true,
        problem: shows.what,
    };
    page(status, &view, Leads::Away, cookie)
}

/// What comes of a second step.
pub(super) fn finish(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    waiting: &Waiting,
    ended: Ended,
    shows: Shows<'_>,
) -> HttpResponse {
    match &ended.login {
        Login::Welcome(token) => {
            let mut answer = if ended.recovery_codes.is_empty() {
                arrive(site, &ended.login, shows.resume)
            } else {
                let view = RecoveryPage {
                    shell: site.shell.clone(),
                    codes: ended.recovery_codes,
                    onward: onward(site, shows.resume),
                    first: true,
                };
                page(StatusCode::OK, &view, Leads::Here, Some(site.session_cookie(token)))
            };
            let _ = answer.add_cookie(&site.ended_step_cookie());
            answer
        }
        Login::Wait(wait) => {
            let seconds = wait.as_secs().max(1);
            let what = Some(SecondProblem::Throttled { seconds });
            let mut answer = show(request, core, site, waiting, Shows { what, ..shows });
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
            marked(answer, "second_step_throttled")
        }
        Login::Mismatch | Login::SecondStep(_) => {
            let what = Some(shows.wrong);
            marked(show(request, core, site, waiting, Shows { what, ..shows }), "second_step_failed")
        }
    }
}

/// A QR code of `text`, with the quiet zone of four modules that readers want.
pub(super) fn picture(text: &str) -> Picture {
    const QUIET: usize = 4;
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else {
        return Picture { side: 1, path: String::new() };
    };
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let _ = write!(path, "M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET);
        }
    }
    Picture { side: width + 2 * QUIET, path }
}
