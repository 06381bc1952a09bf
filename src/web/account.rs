//! `/account`: *Your access*.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::consent::{provenance, words};
use super::door::{form, person};
use super::page::{Leads, end, fault, moment, page, past, problem};
use super::site::Site;
use super::view::{self, AccountPage, LastUse, Problem, Provenance, Removed};
use crate::account::browser::in_words;
use crate::flow::access::{self, Access};
use crate::flow::account::{self as own, Which};
use crate::flow::connections::is_any;
use crate::flow::core::Core;
use crate::flow::login::SignedIn;
use crate::storage::grants::GrantFilter;
use crate::types::client::Client;
use crate::types::id::{GrantId, SessionId};
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::user::Role;
use crate::wire::caller::From;

/// Shows which apps may do what in the person's name.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    match person(&request, &core, &site).await {
        Ok(person) => show(&request, &core, &site, person, Done::default()).await,
        Err(answer) => answer,
    }
}

/// Takes access back, at once and everywhere.
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
    let Some(id) = GrantId::parse(form.value("access")) else {
        return problem(&request, &site, StatusCode::BAD_REQUEST, Problem::FormExpired);
    };
    // The person stands in the filter: nobody takes back what is another's.
    let filter = GrantFilter { id: Some(id), user_id: Some(form.person.user.id), ..GrantFilter::default() };
    let before = match access::list(&core, filter.clone()).await {
        Ok(before) => before,
        Err(cause) => return fault(&request, &site, &cause),
    };
    if let Err(cause) = access::revoke(&core, &from.0, filter, "removed by the person").await {
        return fault(&request, &site, &cause);
    }
    let removed = before.first().map(removed);
    show(&request, &core, &site, form.person, Done { removed, ..Done::default() }).await
}

/// Takes some of an app's permissions back; never gives any.
pub async fn narrow(
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
    let Some(id) = GrantId::parse(form.value("access")) else {
        return problem(&request, &site, StatusCode::BAD_REQUEST, Problem::FormExpired);
    };
    let keep = form.values("keep").into_iter().map(str::to_owned).collect();
    let user = form.person.user.id;
    let filter = GrantFilter { id: Some(id), user_id: Some(user), ..GrantFilter::default() };
    let before = match access::list(&core, filter).await {
        Ok(before) => before,
        Err(cause) => return fault(&request, &site, &cause),
    };
    let done = match access::narrow(&core, &from.0, user, id, keep).await {
        Ok(None) => Done::default(),
        Ok(Some(grant)) if grant.scopes.is_empty() => {
            Done { removed: before.first().map(removed), ..Done::default() }
        }
        Ok(Some(_)) => Done { narrowed: before.first().map(app_name), ..Done::default() },
        Err(cause) => return fault(&request, &site, &cause),
    };
    show(&request, &core, &site, form.person, done).await
}

/// Signs out one browser of the person's, or all others.
pub async fn sign_out(
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
    let which = match form.value("session") {
        "others" => Some(Which::Others),
        id => SessionId::parse(id).map(Which::One),
    };
    let Some(which) = which else {
        return problem(&request, &site, StatusCode::BAD_REQUEST, Problem::FormExpired);
    };
    match own::sign_out(&core, &from.0, &form.person, which).await {
        Ok(signed_out) => {
            show(&request, &core, &site, form.person, Done { signed_out, ..Done::default() }).await
        }
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// What was done just now.
#[derive(Default)]
struct Done {
    removed: Option<Removed>,
    narrowed: Option<String>,
    signed_out: usize,
}

fn removed(access: &Access) -> Removed {
    Removed {
        app: app_name(access),
        servers: access.resource.iter().map(|resource| resource.name.clone()).collect(),
    }
}

async fn show(request: &HttpRequest, core: &Core, site: &Site, person: SignedIn, done: Done) -> HttpResponse {
    let filter = GrantFilter { user_id: Some(person.user.id), ..GrantFilter::default() };
    let all = match access::list(core, filter).await {
        Ok(all) => all,
        Err(cause) => return fault(request, site, &cause),
    };
    let browsers = match own::browsers(core, &person).await {
        Ok(browsers) => browsers,
        Err(cause) => return fault(request, site, &cause),
    };
    let now = core.now();
    let mut sessions: Vec<view::Session> =
        browsers.iter().map(|session| browser(session, person.session.id, now)).collect();
    sessions.sort_by_key(|session| !session.this);
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = AccountPage {
        shell: site.shell.clone(),
        csrf,
        email: person.user.email,
        name: person.user.name,
        administers: person.user.role > Role::Member,
        connects: is_any(core),
        removed: done.removed,
        narrowed: done.narrowed,
        signed_out: done.signed_out,
        accesses: all.iter().map(|access| sentence(access, now)).collect(),
        sessions,
    };
    page(StatusCode::OK, &view, Leads::Here, cookie)
}

fn browser(session: &Session, own: SessionId, now: Timestamp) -> view::Session {
    view::Session {
        id: session.id.to_string(),
        browser: in_words(session.user_agent.as_deref()),
        since: moment(session.created_at),
        seen: past(session.last_seen_at, now),
        from: session.address.clone().unwrap_or_default(),
        this: session.id == own,
    }
}

fn sentence(access: &Access, now: Timestamp) -> view::Access {
    let grant = &access.grant;
    let permissions = access
        .resource
        .as_ref()
        .map_or_else(Vec::new, |resource| grant.scopes.iter().map(|scope| words(resource, scope)).collect());
    let boxes = access.resource.as_ref().map_or_else(Vec::new, |resource| {
        grant.scopes.iter().map(|scope| (scope.to_owned(), words(resource, scope).0)).collect()
    });
    view::Access {
        id: grant.id.to_string(),
        app: app_name(access),
        provenance: access.client.as_ref().map_or(Provenance::Unverified, provenance),
        servers: access
            .resource
            .iter()
            .map(|resource| (resource.name.clone(), resource.uri.host()))
            .collect(),
        permissions,
        boxes,
        allowed: moment(grant.created_at),
        last_used: grant
            .last_used_at
            .map(|at| LastUse { at: past(at, now), from: grant.last_used_address.clone() }),
        until: end(grant.expires_at, now),
    }
}

fn app_name(access: &Access) -> String {
    access.client.as_ref().map_or_else(|| access.grant.client_id.to_string(), Client::display_name)
}
