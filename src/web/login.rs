//! `GET|POST /login`.

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use url::form_urlencoded::byte_serialize;

use super::door::destination;
use super::page::{Leads, bad_form, fault, page, redirect};
use super::site::Site;
use super::view::{Asker, LoginPage, LoginProblem};
use crate::flow::authorize::Resume;
use crate::flow::core::Core;
use crate::flow::login::{Login, login, signed_in};
use crate::flow::providers;
use crate::oauth::params::Params;
use crate::storage::clients;
use crate::types::client::ClientId;
use crate::types::secret::Secret;
use crate::wire::body;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// Shows the form; who is signed in already goes on.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    let resume = continuation(&request);
    let anew = request.query_string().split('&').any(|pair| pair == "fresh=1") && destination(&resume);
    let (email, what) = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(Some(person)) if anew => (person.user.email, Some(LoginProblem::Confirm)),
        Ok(Some(_)) => return redirect(&onward(&site, &resume), None),
        Ok(None) => (String::new(), None),
        Err(cause) => return fault(&request, &site, &cause),
    };
    let (view, cookie) = login_page(&request, &core, &site, &resume, email, what).await;
    page(StatusCode::OK, &view, Leads::Away, cookie)
}

/// Tries e-mail and password.
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
    let (email, resume) = (value("email"), value("continue"));
    let password = Secret::new(value("password"));
    let again = |status, what: LoginProblem| {
        let (request, core, site, resume, email) = (&request, &core, &site, resume.clone(), email.clone());
        async move {
            let (view, cookie) = login_page(request, core, site, &resume, email, Some(what)).await;
            page(status, &view, Leads::Away, cookie)
        }
    };
    if !site.is_ours(&core, &request, &value("csrf")) {
        return marked(again(StatusCode::FORBIDDEN, LoginProblem::FormExpired).await, "forged_form");
    }
    if email.trim().is_empty() {
        return again(StatusCode::UNAUTHORIZED, LoginProblem::EmailMissing).await;
    }
    if password.expose().is_empty() {
        return again(StatusCode::UNAUTHORIZED, LoginProblem::PasswordMissing).await;
    }
    let old = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(old) => old.map(|person| person.session.id),
        Err(cause) => return fault(&request, &site, &cause),
    };
    match login(&core, &from.0, &email, password, old).await {
        Ok(login @ (Login::Welcome(_) | Login::SecondStep(_))) => arrive(&site, &login, &resume),
        Ok(Login::Mismatch) => {
            marked(again(StatusCode::UNAUTHORIZED, LoginProblem::Mismatch).await, "login_failed")
        }
        Ok(Login::Wait(wait)) => {
            let seconds = wait.as_secs().max(1);
            let mut answer = again(StatusCode::TOO_MANY_REQUESTS, LoginProblem::Throttled { seconds }).await;
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                answer.headers_mut().insert(RETRY_AFTER, value);
            }
            marked(answer, "login_throttled")
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// The sign-in page after a passkey that did not do.
pub(super) async fn answer(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    login: &Login,
    resume: &str,
) -> HttpResponse {
    let (status, what, mark) = match login {
        Login::Wait(wait) => {
            let seconds = wait.as_secs().max(1);
            (StatusCode::TOO_MANY_REQUESTS, LoginProblem::Throttled { seconds }, "login_throttled")
        }
        _ => (StatusCode::UNAUTHORIZED, LoginProblem::Passkey, "login_failed"),
    };
    let (view, cookie) = login_page(request, core, site, resume, String::new(), Some(what)).await;
    marked(page(status, &view, Leads::Away, cookie), mark)
}

/// Where a browser goes whose person has proved who they are; everything but a welcome or a second step leads back to
/// the sign-in page.
#[must_use]
pub fn arrive(site: &Site, login: &Login, resume: &str) -> HttpResponse {
    match login {
        Login::Welcome(token) => redirect(&onward(site, resume), Some(site.session_cookie(token))),
        Login::SecondStep(token) => {
            let resume: String = byte_serialize(resume.as_bytes()).collect();
            let to = format!("{}/login/second?continue={resume}", site.shell.base);
            redirect(&to, Some(site.step_cookie(token)))
        }
        Login::Mismatch | Login::Wait(_) => redirect(&format!("{}/login", site.shell.base), None),
    }
}

/// The form, with who is asking when an app has sent the person here.
pub async fn login_page(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    resume: &str,
    email: String,
    what: Option<LoginProblem>,
) -> (LoginPage, Option<Cookie<'static>>) {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let (asker, hint) = asker(core, resume).await;
    // Without them, one can still sign in here.
    let offered = providers::offered(core).await.unwrap_or_default();
    let providers = offered.into_iter().map(|provider| (provider.id.to_string(), provider.name)).collect();
    let email = if email.is_empty() { hint.unwrap_or_default() } else { email };
    let view = LoginPage {
        shell: site.shell.clone(),
        asker,
        email,
        problem: what,
        csrf,
        continue_to: resume.to_owned(),
        passkeys: core.passkeys.work(),
        resets: core.policy.mail.is_on(),
        providers,
    };
    (view, cookie)
}

/// Who asks, and whom it expects; what cannot be found out is not said.
async fn asker(core: &Core, resume: &str) -> (Option<Asker>, Option<String>) {
    let Some(resume) = Resume::open(core, resume, core.now()) else { return (None, None) };
    let Ok(params) = Params::parse(&[resume.query.as_bytes()]) else { return (None, None) };
    let hint = params.value("login_hint").ok().flatten().map(str::to_owned);
    let Some(id) = params.value("client_id").ok().flatten().and_then(ClientId::parse) else {
        return (None, hint);
    };
    let Ok(Some(client)) = core.store.read(move |tx| clients::find(tx, &id)).await else {
        return (None, hint);
    };
    let view = core.live.view();
    let named = params.resources().ok().and_then(|all| all.first().cloned());
    let resource = match named {
        Some(uri) => view.resource(&uri).cloned(),
        None => view.default_resource().cloned(),
    };
    let server = resource.map(|resource| (resource.name.clone(), resource.uri.host()));
    (Some(Asker { app: client.display_name(), server }), hint)
}

/// Where the address says to go on: a sealed request, or a page of ours.
#[must_use]
pub fn continuation(request: &HttpRequest) -> String {
    Params::parse(&[request.query_string().as_bytes()])
        .ok()
        .and_then(|params| params.value("continue").ok().flatten().map(str::to_owned))
        .unwrap_or_default()
}

/// Where a person goes after signing in: never to an address that a form or a link has chosen.
#[must_use]
pub fn onward(site: &Site, resume: &str) -> String {
    let sealed =
        !resume.is_empty() && resume.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if sealed {
        format!("{}/authorize?continue={resume}", site.shell.base)
    } else if destination(resume) {
        format!("{}{resume}", site.shell.base)
    } else {
        format!("{}/account", site.shell.base)
    }
}
