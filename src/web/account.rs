//! `/account`: *Your access*.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::consent::{provenance, words};
use super::door::{form, person};
use super::page::{Leads, end, fault, moment, page, past, problem};
use super::site::Site;
use super::view::{self, AccountPage, LastUse, Problem, Provenance, Removed};
use crate::flow::access::{self, Access};
use crate::flow::core::Core;
use crate::flow::login::SignedIn;
use crate::storage::grants::GrantFilter;
use crate::types::client::Client;
use crate::types::id::GrantId;
use crate::types::time::Timestamp;
use crate::wire::caller::From;

/// Shows which apps may do what in the person's name.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    match person(&request, &core, &site).await {
        Ok(person) => show(&request, &core, &site, person, None).await,
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
    let removed = before.first().map(|access| Removed {
        app: app_name(access),
        servers: access.resource.iter().map(|resource| resource.name.clone()).collect(),
    });
    show(&request, &core, &site, form.person, removed).await
}

async fn show(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    person: SignedIn,
    removed: Option<Removed>,
) -> HttpResponse {
    let filter = GrantFilter { user_id: Some(person.user.id), ..GrantFilter::default() };
    let all = match access::list(core, filter).await {
        Ok(all) => all,
        Err(cause) => return fault(request, site, &cause),
    };
    let (csrf, cookie) = site.anti_forgery(core, request);
    let view = AccountPage {
        shell: site.shell.clone(),
        csrf,
        email: person.user.email,
        name: person.user.name,
        administers: false,
        removed,
        accesses: all.iter().map(|access| sentence(access, core.now())).collect(),
        sessions: Vec::new(),
    };
    page(StatusCode::OK, &view, Leads::Here, cookie)
}

fn sentence(access: &Access, now: Timestamp) -> view::Access {
    let grant = &access.grant;
    let permissions = access
        .resource
        .as_ref()
        .map_or_else(Vec::new, |resource| grant.scopes.iter().map(|scope| words(resource, scope)).collect());
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
