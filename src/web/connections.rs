//! `/account/connect/{slug}`: letting the gateway use a server in one's name; `/account/connections`: which do, and taking it
//! back.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::door::{form, person};
use super::page::{Leads, fault, moment, page, past, problem, redirect};
use super::site::Site;
use super::view::{ConnectPage, ConnectStage, ConnectionsPage, PlaceLine, Problem};
use crate::flow::authorize::Resume;
use crate::flow::connections::{self as flow, Denied, Place, is_any};
use crate::flow::core::Core;
use crate::flow::give_back;
use crate::flow::login::{SignedIn, signed_in};
use crate::flow::upstream_auth;
use crate::oauth::params::Params;
use crate::types::scope::OFFLINE_ACCESS;
use crate::types::user::Role;
use crate::wire::caller::From;
use crate::wire::reply::marked;

/// The metadata document of the gateway as a client of others (Client ID Metadata Document).
pub async fn document(core: web::Data<Core>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "public, max-age=3600"))
        .json(upstream_auth::document(&core))
}

fn show(site: &Site, status: StatusCode, stage: ConnectStage) -> HttpResponse {
    page(status, &ConnectPage { shell: site.shell.clone(), stage }, Leads::Here, None)
}

fn query(request: &HttpRequest, name: &str) -> String {
    let params = Params::parse(&[request.query_string().as_bytes()]);
    params.ok().and_then(|params| params.value(name).ok().flatten().map(str::to_owned)).unwrap_or_default()
}

/// Asks whether to go there.
pub async fn ask(
    request: HttpRequest,
    slug: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let person = match person(&request, &core, &site).await {
        Ok(person) => person,
        Err(answer) => return answer,
    };
    if !query(&request, "done").is_empty() {
        return match flow::place(&core, &slug, &person.user).await {
            Ok(place) if place.is_connected() => {
                show(&site, StatusCode::OK, ConnectStage::Done { server: place.resource.name })
            }
            Ok(_) => refuse(&request, &site, Denied::Stale),
            Err(denied) => refuse(&request, &site, denied),
        };
    }
    let wanted = query(&request, "for");
    let resume = query(&request, "continue");
    asked(&request, &core, &site, &person, Asked { slug: &slug, wanted, resume, declined: false }).await
}

struct Asked<'a> {
    slug: &'a str,
    /// For whom the link was made; empty where it does not say.
    wanted: String,
    resume: String,
    declined: bool,
}

async fn asked(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: &SignedIn,
    asked: Asked<'_>,
) -> HttpResponse {
    let place = match flow::place(core, asked.slug, &person.user).await {
        Ok(place) => place,
        Err(denied) => return refuse(request, site, denied),
    };
    if !asked.wanted.is_empty() && asked.wanted != person.user.id.to_string() {
        let stage = ConnectStage::SomebodyElse {
            person: person.user.email.clone(),
            server: place.resource.name.clone(),
        };
        return marked(show(site, StatusCode::FORBIDDEN, stage), "another_person");
    }
    let (now, base) = (core.now(), &site.shell.base);
    let later = match Resume::open(core, &asked.resume, now) {
        None => None,
        Some(resume) => match Resume::seal_unconnected(core, resume) {
            Ok(sealed) => Some(format!("{base}/authorize?continue={sealed}")),
            Err(cause) => return fault(request, site, &cause),
        },
    };
    let since = place.connection.as_ref().filter(|_| place.is_connected());
    let scopes = place.auth.settings.scopes.iter();
    let (csrf, cookie) = site.anti_forgery(core, request);
    let stage = ConnectStage::Ask {
        csrf,
        slug: asked.slug.to_owned(),
        server: place.resource.name.clone(),
        host: host(&place),
        person: person.user.email.clone(),
        scopes: scopes.filter(|scope| *scope != OFFLINE_ACCESS).cloned().collect(),
        since: since.map(|connection| past(connection.connected_at, now)),
        resume: if later.is_some() { asked.resume } else { String::new() },
        later,
        declined: asked.declined,
    };
    page(StatusCode::OK, &ConnectPage { shell: site.shell.clone(), stage }, Leads::Away, cookie)
}

fn host(place: &Place) -> String {
    let url = url::Url::parse(&place.auth.settings.issuer).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

fn refuse(request: &HttpRequest, site: &Site, denied: Denied) -> HttpResponse {
    match denied {
        Denied::Fault(cause) => fault(request, site, &cause),
        Denied::NoServer => problem(request, site, StatusCode::NOT_FOUND, Problem::NotFound),
        Denied::Stale | Denied::Declined { .. } => {
            marked(show(site, StatusCode::BAD_REQUEST, ConnectStage::Stale), "connection_stale")
        }
        Denied::Unproven => {
            marked(show(site, StatusCode::BAD_GATEWAY, ConnectStage::Unproven), "connection_unproven")
        }
    }
}

/// Sends the browser there.
pub async fn go(
    request: HttpRequest,
    slug: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    let form = match form(&request, payload, &core, &site).await {
        Ok(form) => form,
        Err(answer) => return answer,
    };
    let (browser, resume) = (site.browser_mark(&request), form.value("continue").to_owned());
    match flow::depart(&core, &slug, &form.person, browser, resume).await {
        Ok(to) => redirect(&to, None),
        Err(denied) => refuse(&request, &site, denied),
    }
}

/// Takes the other side's answer.
pub async fn callback(
    request: HttpRequest,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    let Ok(params) = Params::parse(&[request.query_string().as_bytes()]) else {
        return refuse(&request, &site, Denied::Stale);
    };
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(person) => person,
        Err(cause) => return fault(&request, &site, &cause),
    };
    let browser = site.browser_mark(&request);
    let base = &site.shell.base;
    match flow::come_back(&core, &from.0, &params, &browser, person.as_ref()).await {
        Ok(done) if !done.resume.is_empty() => {
            redirect(&format!("{base}/authorize?continue={}", done.resume), None)
        }
        Ok(done) => redirect(&format!("{base}/account/connect/{}?done=1", done.slug), None),
        Err(Denied::Declined { slug, resume }) => {
            let Some(person) = person else { return refuse(&request, &site, Denied::Stale) };
            let asked_for = Asked { slug: &slug, wanted: String::new(), resume, declined: true };
            marked(asked(&request, &core, &site, &person, asked_for).await, "connection_declined")
        }
        Err(denied) => refuse(&request, &site, denied),
    }
}

/// Shows which servers are used in one's name.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    match person(&request, &core, &site).await {
        Ok(person) => listed(&request, &core, &site, person, None).await,
        Err(answer) => answer,
    }
}

/// Takes one back.
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
    let place = match flow::place(&core, form.value("server"), &form.person.user).await {
        Ok(place) => place,
        Err(denied) => return refuse(&request, &site, denied),
    };
    let (resource, user) = (place.resource.id, form.person.user.id);
    match give_back::one(&core, &from.0, resource, user).await {
        Ok(was) => {
            let removed = was.then_some(place.resource.name);
            listed(&request, &core, &site, form.person, removed).await
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

async fn listed(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: SignedIn,
    removed: Option<String>,
) -> HttpResponse {
    let places = match flow::places(core, &person.user).await {
        Ok(places) => places,
        Err(cause) => return fault(request, site, &cause),
    };
    let now = core.now();
    let line = |place: &Place| {
        let connection = place.connection.as_ref();
        PlaceLine {
            slug: place.resource.slug.clone().unwrap_or_default(),
            server: place.resource.name.clone(),
            host: host(place),
            scope: connection.map(|one| one.scope.clone()).unwrap_or_default(),
            since: connection.map(|one| moment(one.connected_at)),
            ended: connection.and_then(|one| one.ended_at).map(|at| past(at, now)),
        }
    };
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = ConnectionsPage {
        shell: site.shell.clone(),
        csrf,
        email: person.user.email,
        name: person.user.name,
        administers: person.user.role > Role::Member,
        connects: is_any(core),
        removed,
        places: places.iter().map(line).collect(),
    };
    page(StatusCode::OK, &view, Leads::Here, cookie)
}
