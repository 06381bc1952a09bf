//! `/account/security`: password, second factors, and what has happened to an account.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::{HttpRequest, HttpResponse, web};

use super::door::{form, fresh, person};
use super::page::{Leads, fault, moment, page, past, redirect};
use super::second_step::picture;
use super::site::Site;
use super::view::{
    EnrolPage, EventLine, PasskeyLine, PasswordFault, RecoveryPage, SecondProblem, SecurityDone, SecurityPage,
};
use crate::account::password::PasswordProblem;
use crate::flow::account::{self as own, Changed};
use crate::flow::connections::is_any;
use crate::flow::core::Core;
use crate::flow::factors::{self, Added, Offer};
use crate::flow::login::{Login, SignedIn};
use crate::flow::passkeys;
use crate::flow::providers;
use crate::flow::second_step::step_up;
use crate::oauth::params::Params;
use crate::storage::own_events::OwnEvent;
use crate::types::factor::Level;
use crate::types::policy::MIN_PASSWORD;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::user::Role;
use crate::wire::caller::From;

/// Where the page is, for coming back after signing in.
pub(super) const HERE: &str = "/account/security";

/// Shows it all.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    match person(&request, &core, &site).await {
        Ok(person) => show(&request, &core, &site, &person, Shows::default()).await,
        Err(answer) => answer,
    }
}

/// Changes the password.
pub async fn password(
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
    let secret = |name: &str| Secret::new(form.value(name).to_owned());
    let shows = match own::change_password(&core, &from.0, &form.person, secret("old"), secret("new")).await {
        Ok(Changed::Done) => Shows::done(SecurityDone::Password),
        Ok(Changed::Mismatch) => Shows::fault(PasswordFault::Mismatch),
        Ok(Changed::Bad(why)) => Shows::fault(password_fault(why)),
        Ok(Changed::Wait(wait)) => Shows::fault(PasswordFault::Throttled { seconds: wait.as_secs().max(1) }),
        Err(cause) => return fault(&request, &site, &cause),
    };
    show(&request, &core, &site, &form.person, shows).await
}

/// Offers an authenticator app.
pub async fn authenticator(
    request: HttpRequest,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let person = match person(&request, &core, &site).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    if let Err(answer) = may_change(&request, &core, &site, &person, "/account/security/authenticator").await
    {
        return answer;
    }
    match Offer::new(&core, person.user.id, &person.session.id.to_string()) {
        Ok(offer) => enrol_page(&request, &core, &site, &person, (offer, None)),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Adds an authenticator app.
pub async fn add_authenticator(
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
    let person = &form.person;
    if let Err(answer) = may_change(&request, &core, &site, person, "/account/security/authenticator").await {
        return answer;
    }
    let bound_to = person.session.id.to_string();
    let Some(offer) = Offer::open(&core, person.user.id, &bound_to, form.value("offer")) else {
        return match Offer::new(&core, person.user.id, &bound_to) {
            Ok(offer) => {
                enrol_page(&request, &core, &site, person, (offer, Some(SecondProblem::FormExpired)))
            }
            Err(cause) => fault(&request, &site, &cause),
        };
    };
    match factors::add_authenticator(&core, &from.0, person, &offer, form.value("code")).await {
        Ok(Added::Done(codes)) if codes.is_empty() => {
            show(&request, &core, &site, person, Shows::done(SecurityDone::AuthenticatorAdded)).await
        }
        Ok(Added::Done(codes)) => recovery_page(&site, codes, true),
        Ok(Added::Exists) => redirect(&format!("{}{HERE}", site.shell.base), None),
        Ok(Added::Mismatch) => enrol_page(&request, &core, &site, person, (offer, Some(SecondProblem::Code))),
        Ok(Added::Wait(wait)) => {
            let seconds = wait.as_secs().max(1);
            enrol_page(&request, &core, &site, person, (offer, Some(SecondProblem::Throttled { seconds })))
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Removes the authenticator app.
pub async fn remove_authenticator(
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
    match factors::remove_authenticator(&core, &from.0, &form.person.user).await {
        Ok(removed) => {
            let done = removed.then_some(SecurityDone::AuthenticatorRemoved);
            show(&request, &core, &site, &form.person, Shows { done, ..Shows::default() }).await
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Makes new recovery codes.
pub async fn recovery_codes(
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
    match factors::renew_recovery_codes(&core, &from.0, &form.person.user).await {
        Ok(Some(codes)) => recovery_page(&site, codes, false),
        Ok(None) => redirect(&format!("{}{HERE}", site.shell.base), None),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Hands out everything that is known of the person.
pub async fn export(
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
    match own::export(&core, &from.0, &form.person).await {
        Ok(data) => HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((CONTENT_DISPOSITION, "attachment; filename=\"my-data.json\""))
            .json(data),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Who changes how they sign in has signed in lately, and with a second factor if they have one.
pub(super) async fn may_change(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: &SignedIn,
    back: &str,
) -> Result<(), HttpResponse> {
    fresh(core, site, person, back)?;
    let held = factors::held(core, person.user.id).await.map_err(|cause| fault(request, site, &cause))?;
    if !held.any() || person.session.methods.reach(Level::Two) {
        return Ok(());
    }
    let step = step_up(core, person).await.map_err(|cause| fault(request, site, &cause))?;
    Err(super::login::arrive(site, &Login::SecondStep(step), back))
}

/// What is wrong with a new password, for the page.
pub(super) const fn password_fault(why: PasswordProblem) -> PasswordFault {
    match why {
        PasswordProblem::Short => PasswordFault::Short,
        PasswordProblem::Long => PasswordFault::Long,
        PasswordProblem::Guessable => PasswordFault::Guessable,
    }
}

/// What the page shows beside what is stored.
#[derive(Default)]
pub(super) struct Shows {
    done: Option<SecurityDone>,
    problem: Option<PasswordFault>,
}

impl Shows {
    pub(super) fn done(done: SecurityDone) -> Self {
        Self { done: Some(done), problem: None }
    }

    fn fault(problem: PasswordFault) -> Self {
        Self { done: None, problem: Some(problem) }
    }
}

/// The page.
pub(super) async fn show(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: &SignedIn,
    shows: Shows,
) -> HttpResponse {
    let query = Params::parse(&[request.query_string().as_bytes()]).ok();
    let before = query.and_then(|query| query.value("before").ok().flatten()?.parse::<i64>().ok());
    let read = async {
        let held = factors::held(core, person.user.id).await?;
        let (events, older) = own::events(core, person, before).await?;
        let apps = own::app_names(core, &events).await?;
        Ok((held, events, older, apps, passkeys::list(core, person.user.id).await?))
    };
    let (held, events, older, apps, passkeys) = match read.await {
        Ok(read) => read,
        Err(cause) => return fault(request, site, &cause),
    };
    let now = core.now();
    let (csrf, cookie) = site.anti_forgery(core, request);
    let status = match shows.problem {
        None => StatusCode::OK,
        Some(PasswordFault::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(PasswordFault::Mismatch) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let providers = match providers::of_person(core, person.user.id).await {
        Ok(providers) => providers,
        Err(cause) => return fault(request, site, &cause),
    };
    let providers = providers
        .into_iter()
        .map(|(provider, linked)| (provider.id.to_string(), provider.name, linked))
        .collect();
    let view = SecurityPage {
        shell: site.shell.clone(),
        csrf,
        email: person.user.email.clone(),
        name: person.user.name.clone(),
        administers: person.user.role > Role::Member,
        connects: is_any(core),
        done: shows.done,
        problem: shows.problem,
        password_min: MIN_PASSWORD,
        mails: core.policy.mail.is_on(),
        has_password: person.user.password_hash.is_some(),
        must: person.user.second_factor_required,
        authenticator: held.authenticator.map(|(added, used)| (moment(added), used.map(|at| past(at, now)))),
        recovery_codes: held.any().then_some(held.recovery_codes),
        passkeys: passkeys
            .into_iter()
            .map(|passkey| PasskeyLine {
                id: passkey.id.to_string(),
                name: passkey.name,
                added: moment(passkey.created_at),
                used: passkey.last_used_at.map(|at| past(at, now)),
            })
            .collect(),
        passkeys_work: core.passkeys.work(),
        providers,
        events: events.iter().map(|event| line(event, &apps, now)).collect(),
        older,
        later: before.is_some(),
    };
    page(status, &view, Leads::Here, cookie)
}

fn line(event: &OwnEvent, apps: &[(String, String)], now: Timestamp) -> EventLine {
    let app = event.client_id.as_ref().map(|id| {
        apps.iter().find(|(known, _)| known == id).map_or_else(|| id.clone(), |(_, name)| name.clone())
    });
    EventLine { kind: event.kind.as_str(), app, at: past(event.at, now), from: event.address.clone() }
}

fn enrol_page(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: &SignedIn,
    (offer, problem): (Offer, Option<SecondProblem>),
) -> HttpResponse {
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = EnrolPage {
        shell: site.shell.clone(),
        action: format!("{}/account/security/authenticator", site.shell.base),
        csrf,
        continue_to: HERE.to_owned(),
        key: offer.key(),
        picture: picture(&offer.address(&site.shell.brand, &person.user.email)),
        offer: offer.sealed,
        email: person.user.email.clone(),
        needed: false,
        problem,
    };
    let status = match problem {
        None => StatusCode::OK,
        Some(SecondProblem::Throttled { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(SecondProblem::FormExpired) => StatusCode::FORBIDDEN,
        Some(_) => StatusCode::UNAUTHORIZED,
    };
    page(status, &view, Leads::Here, cookie)
}

/// Recovery codes, shown once.
pub(super) fn recovery_page(site: &Site, codes: Vec<String>, first: bool) -> HttpResponse {
    let onward = format!("{}{HERE}", site.shell.base);
    page(StatusCode::OK, &RecoveryPage { shell: site.shell.clone(), codes, onward, first }, Leads::Here, None)
}
