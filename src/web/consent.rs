//! The consent page, and `POST /consent`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::page::{Leads, bad_form, end, fault, moment, page, problem, redirect};
use super::site::Site;
use super::view::{
    App, Change, ConsentPage, Destination, DonePage, Duration, Group, Held, Outcome, Permission, Problem,
    Provenance, Risk, Subject,
};
use crate::account::consent::{Ask, Question, differences};
use crate::flow::authorize::Resume;
use crate::flow::consent::{Back, Decided, Decision, Pending, decide, tick_value};
use crate::flow::core::Core;
use crate::flow::login::{SignedIn, signed_in};
use crate::types::client::{Client, ClientKind};
use crate::types::duration::in_words;
use crate::types::fingerprint::Difference;
use crate::types::redirect_uri::{RedirectKind, RedirectUri};
use crate::types::resource;
use crate::types::resource::Resource;
use crate::types::time::Timestamp;
use crate::wire::body;
use crate::wire::caller::From;

/// Shows what is asked.
#[expect(clippy::too_many_arguments, reason = "the page joins request, person and question")]
pub fn consent_page(
    request: &HttpRequest,
    core: &Core,
    site: &Site,
    pending: &Pending,
    person: &SignedIn,
    query: String,
    since: Timestamp,
) -> HttpResponse {
    let here = match Resume::seal(core, query, since) {
        Ok(here) => here,
        Err(cause) => return fault(request, site, &cause),
    };
    let (csrf, cookie) = site.anti_forgery(core, request);
    let standing = pending.questions.iter().filter_map(|question| question.standing.as_ref());
    let approved_before = (pending.ask == Ask::OneClick)
        .then(|| standing.map(|grant| grant.updated_at).max())
        .flatten()
        .map(moment);
    let view = ConsentPage {
        shell: site.shell.clone(),
        action: format!("{}/consent", site.shell.base),
        csrf,
        request: pending.request.expose().to_owned(),
        person: person.user.email.clone(),
        here,
        app: app_of(&pending.client),
        groups: pending
            .questions
            .iter()
            .enumerate()
            .map(|(place, question)| group(place, question))
            .collect(),
        destination: destination(&pending.redirect_uri),
        duration: Duration {
            until: end(pending.until, core.now()),
            idle: pending.lasting.then(|| in_words(core.policy.refresh_token_idle_ttl)),
            renews: pending.lasting,
        },
        changes: if pending.ask == Ask::Changed { changes(pending) } else { Vec::new() },
        approved_before,
    };
    page(StatusCode::OK, &view, Leads::Away, cookie)
}

/// What has changed about the app since it was last allowed, in the order of the page.
fn changes(pending: &Pending) -> Vec<Change> {
    let told = |difference| match difference {
        Difference::Name => Change::Name,
        Difference::RedirectUris => Change::ReturnAddress,
        Difference::Keys => Change::Keys,
    };
    differences(&pending.client, &pending.questions).into_iter().map(told).collect()
}

/// Acts on an answer.
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
    let value = |name: &str| form.value(name).ok().flatten().unwrap_or_default();
    if !site.is_ours(&core, &request, value("csrf")) {
        return problem(&request, &site, StatusCode::FORBIDDEN, Problem::FormExpired);
    }
    let decision = match value("decision") {
        "allow" => Decision::Allow(form.every("scope").map(str::to_owned).collect()),
        "deny" => Decision::Deny,
        _ => {
            let detail = "The form says neither allow nor deny.".to_owned();
            return problem(&request, &site, StatusCode::BAD_REQUEST, Problem::BadRequest { detail });
        }
    };
    let person = match signed_in(&core, site.session_of(&request).as_deref()).await {
        Ok(Some(person)) => person,
        Ok(None) => return problem(&request, &site, StatusCode::FORBIDDEN, Problem::FormExpired),
        Err(cause) => return fault(&request, &site, &cause),
    };
    match decide(&core, &from.0, value("request"), decision, &person).await {
        Ok(Decided::Back(back)) => leave(&request, &site, *back),
        Ok(Decided::Gone) => problem(&request, &site, StatusCode::BAD_REQUEST, Problem::RequestExpired),
        Err(cause) => fault(&request, &site, &cause),
    }
}

/// Back to the app. A link of the app's own kind takes no page's place, so a browser would go on showing the question:
/// it gets a page that opens the link and says that one may go back. A program that is no browser gets the redirect;
/// browsers tell of themselves in `Sec-Fetch-Dest` (Fetch Metadata §2.1).
fn leave(request: &HttpRequest, site: &Site, back: Back) -> HttpResponse {
    let browser = request.headers().get("sec-fetch-dest").is_some_and(|value| value == "document");
    if !browser || back.redirect_uri.kind() != RedirectKind::PrivateUse {
        return redirect(&back.to, None);
    }
    let view = DonePage {
        shell: site.shell.clone(),
        app: back.client.display_name(),
        outcome: if back.allowed { Outcome::Allowed } else { Outcome::Denied },
        destination: destination(&back.redirect_uri),
        target: back.to,
        follow: true,
    };
    page(StatusCode::OK, &view, Leads::Away, None)
}

/// A client as people see it.
#[must_use]
pub fn app_of(client: &Client) -> App {
    App { name: client.display_name(), provenance: provenance(client) }
}

/// Where a client's identity comes from.
#[must_use]
pub fn provenance(client: &Client) -> Provenance {
    match client.kind {
        ClientKind::MetadataDocument => {
            Provenance::VerifiedDomain { host: client.domain().unwrap_or_else(|| client.id.to_string()) }
        }
        ClientKind::PreRegistered => Provenance::Administrator,
        ClientKind::Dynamic => Provenance::Unverified,
    }
}

/// A permission's words and mark.
#[must_use]
pub fn words(resource: &Resource, scope: &str) -> (String, Option<Risk>) {
    match resource.scopes.iter().find(|known| known.name == scope) {
        Some(known) => (known.description.clone(), Some(risk(known.risk))),
        None => (scope.to_owned(), None),
    }
}

const fn risk(risk: resource::Risk) -> Risk {
    match risk {
        resource::Risk::Reads => Risk::Reads,
        resource::Risk::Changes => Risk::Changes,
        resource::Risk::Deletes => Risk::Deletes,
    }
}

fn group(place: usize, question: &Question) -> Group {
    let before = question.allowed_before();
    let mut permissions: Vec<Permission> = question
        .resource
        .scopes
        .iter()
        .filter(|scope| question.asked.contains(&scope.name))
        .map(|scope| {
            let (words, risk) = words(&question.resource, &scope.name);
            let held = if before.contains(&scope.name) { Held::Already } else { Held::New };
            Permission { value: tick_value(place, &scope.name), words, risk, held, checked: true }
        })
        .collect();
    permissions.sort_by_key(|permission| permission.held == Held::Already);
    let uri = question.resource.uri.as_str();
    let location = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    Group {
        subject: Subject::Server { name: question.resource.name.clone(), location: location.to_owned() },
        permissions,
    }
}

fn destination(uri: &RedirectUri) -> Destination {
    let place = uri.place().to_owned();
    match uri.kind() {
        RedirectKind::Https => Destination::Web { host: place },
        RedirectKind::Loopback => Destination::Loopback { host: place },
        RedirectKind::PrivateUse => Destination::PrivateScheme { scheme: place },
    }
}
