//! `/admin/access`: the access map. Who lets which app do what where, by any axis, and what came of it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::apps::origin;
use super::audit::audit_table;
use super::cuts::way;
use super::people::pairs;
use super::{Desk, STRANGE, Strange, at, choice, either, fact, line, marked, said, table};
use crate::flow::access as flow_access;
use crate::flow::access_map::{self, Standing};
use crate::flow::console::{self, Names, Page};
use crate::flow::core::Core;
use crate::storage::access_map::{AccessFilter, Used};
use crate::storage::audit::AuditFilter;
use crate::storage::grants::GrantFilter;
use crate::types::client::ClientId;
use crate::types::cut::{self, Target};
use crate::types::grant::{Grant, GrantState};
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::network::Network;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Fact, Seek, Table};
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

const DAY: u64 = 86_400;

/// The choices of last use: name, words, how long ago, and whether it was used since.
const USES: [(&str, &str, u64, bool); 5] = [
    ("day", "Used in the last day", DAY, true),
    ("week", "Used in the last week", 7 * DAY, true),
    ("idle-month", "Not used for 30 days", 30 * DAY, false),
    ("idle-quarter", "Not used for 90 days", 90 * DAY, false),
    ("never", "Never used", 0, false),
];

/// How an approval stands, in words.
const STATES: [(GrantState, &str, &str); 7] = [
    (GrantState::Active, "active", "good"),
    (GrantState::Narrowed, "active, with less than was approved", "good"),
    (GrantState::Stopped, "stopped by a cut", "harm"),
    (GrantState::ConsentDue, "to be approved again", "care"),
    (GrantState::SignInDue, "to be signed in for again", "care"),
    (GrantState::Expired, "expired", "care"),
    (GrantState::Ended, "ended", "harm"),
];

/// What the map may be narrowed by.
fn fields() -> Vec<Seek> {
    let states = STATES.iter().map(|(state, words, _)| (state.as_str(), *words));
    vec![
        line("person", "Person: e-mail begins with"),
        line("app", "App: name or id has"),
        line("server", "Server: name has"),
        line("domain", "Domain of the app"),
        line("network", "Last used from network"),
        choice("used", "Last use", "At any time", USES.map(|(name, words, ..)| (name, words))),
        choice("state", "State", "What stands", states.chain([("all", "also what has ended")])),
    ]
}

/// What a page of the map, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<AccessFilter, Strange> {
    let (person, app) = (desk.words_of("person"), desk.words_of("app"));
    let user_id = person.as_deref().and_then(UserId::parse);
    // An app's id stands in links to here; a part of one finds it as well.
    let client_id = app.as_deref().and_then(ClientId::parse).filter(ClientId::is_url);
    let server = desk.words_of("server");
    let resource_id = server.as_deref().and_then(ResourceId::parse);
    let used = desk.named_by("used", |text| USES.into_iter().find(|(name, ..)| *name == text))?;
    let since = |ago: u64| desk.now().minus(Duration::from_secs(ago));
    let state = desk.words_of("state").filter(|text| text != "all");
    Ok(AccessFilter {
        people: person.filter(|_| user_id.is_none()),
        apps: app.filter(|_| client_id.is_none()),
        servers: server.filter(|_| resource_id.is_none()).map(|part| desk.servers_with(&part)),
        domain: desk.named_by("domain", cut::domain)?,
        network: desk.named_by("network", |text| Network::parse(text).ok())?,
        used: used.map(|(name, _, ago, within)| match (name, within) {
            ("never", _) => Used::Never,
            (_, true) => Used::Since(since(ago)),
            (_, false) => Used::NotSince(since(ago)),
        }),
        state: state.map(|text| GrantState::parse(&text).ok_or(Strange)).transpose()?,
        grants: GrantFilter {
            id: None,
            user_id,
            client_id,
            resource_id,
            ended_too: desk.asked("state") == "all",
        },
    })
}

/// All of it, or what one person, app, server, domain or network has to do with.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let lead = "Every standing approval: who lets which app do what on which server.";
            let mut view = desk.blank("access", "Access", lead);
            let search = desk.search("/access", fields());
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let before = GrantId::parse(&desk.asked("before"));
            let (found, names) = access_map::page(&core, filter.clone(), before, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let ways = ways(&desk, &filter, &found.rows, &names);
            if !ways.is_empty() {
                view.facts = vec![Fact { label: "Something wrong?", value: ways }];
            }
            view.exports = desk.exports("access", &query);
            view.tables.push(access_table(&desk, "", &found, &names, &query));
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Where each axis along which the list is narrowed to one thing can be cut.
fn ways(desk: &Desk<'_>, filter: &AccessFilter, rows: &[Standing], names: &Names) -> Vec<Cell> {
    let mut all = Vec::new();
    let mut lead = |words: String, target: &Target| {
        let query = pairs(&[("kind", target.kind()), ("value", &target.value())]);
        all.push(desk.named(words, &format!("/cut?{query}")));
    };
    let Some(first) = rows.first().map(|row| &row.grant) else { return all };
    let asked = |name: &str| !desk.asked(name).trim().is_empty();
    if let Some(id) = first.user_id.filter(|_| asked("person"))
        && rows.iter().all(|row| row.grant.user_id == Some(id))
    {
        let who = names.people.get(&id).map_or_else(|| "this person".to_owned(), |user| user.email.clone());
        lead(format!("Cut {who}"), &Target::Person(id));
    }
    if asked("app") && rows.iter().all(|row| row.grant.client_id == first.client_id) {
        lead("Cut this app".to_owned(), &Target::Client(first.client_id.clone()));
    }
    if asked("server") && rows.iter().all(|row| row.grant.resource_id == first.resource_id) {
        lead("Cut this server".to_owned(), &Target::Resource(first.resource_id));
    }
    if let Some(domain) = &filter.domain {
        lead(format!("Cut every app of {domain}"), &Target::Domain(domain.clone()));
    }
    if let Some(network) = &filter.network {
        lead(format!("Cut what was used from {network}"), &Target::Network(*network));
    }
    all
}

/// One approval.
pub async fn get(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = GrantId::parse(&id).ok_or_else(|| desk.missing())?;
            let filter = GrantFilter { id: Some(id), ended_too: true, ..GrantFilter::default() };
            let (found, names) =
                access_map::page(&core, filter, None, 1).await.map_err(|cause| desk.fault(&cause))?;
            let access = found.rows.into_iter().next().ok_or_else(|| desk.missing())?;
            let grant = &access.grant;
            let mut view = desk.blank(
                "access",
                "One approval",
                "What was allowed, since when, and what it was used for.",
            );
            view.facts = vec![
                fact("Person", desk.person_cell(&names, grant.user_id)),
                fact("App", desk.app_cell(&names, &grant.client_id)),
                fact(
                    "Identity of the app",
                    names.apps.get(&grant.client_id).map_or_else(|| said("the app is gone"), origin),
                ),
                fact("Server", server_cell(&desk, grant.resource_id)),
                Fact { label: "Permissions", value: grant.scopes.iter().map(said).collect() },
                fact("State", state(access.state)),
                fact("Allowed", at(grant.created_at)),
                fact("Last used", desk.ago(grant.last_used_at)),
                fact(
                    "Last used from",
                    said(grant.last_used_address.clone().unwrap_or_else(|| "unknown".to_owned())),
                ),
                fact("Ends", at(grant.revoked_at.unwrap_or(grant.expires_at))),
                way(&desk, &Target::Grant(id)),
            ];
            let filter = AuditFilter {
                grant_id: Some(id),
                user_id: grant.user_id,
                client_id: Some(grant.client_id.clone()),
                ..AuditFilter::default()
            };
            let (events, event_names) =
                console::events(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            view.tables.push(audit_table(
                &desk,
                "What it was used for",
                &events,
                &event_names,
                &pairs(&[("grant", &id.to_string())]),
            ));
            if grant.is_live(desk.now()) && grant.user_id.is_some() && grant.scopes.iter().count() > 1 {
                view.editors.push(narrowing(grant));
            }
            if grant.is_live(desk.now()) {
                view.acts.push(Act {
                    title: "End it",
                    effect: "Every token under it is dead within a second. The app can ask the person again."
                        .to_owned(),
                    to: format!("/access/{id}"),
                    fields: vec![("do", "revoke".to_owned())],
                    choice: None,
                    asks: None,
                    button: "End access",
                    harm: true,
                });
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

fn narrowing(grant: &Grant) -> Editor {
    let all = grant.scopes.iter().map(|scope| (scope.to_owned(), scope.to_owned(), true));
    Editor {
        title: "Narrow it",
        effect: "Only what stays ticked is still allowed. Every token under it is dead within a second; the app gets new ones that say what is left.",
        to: format!("/access/{}", grant.id),
        looks: false,
        fields: vec![("do", "narrow".to_owned())],
        inputs: vec![Input {
            name: "scope",
            label: "Permissions that stay",
            entry: Entry::Boxes(all.collect()),
        }],
        button: "Narrow",
        harm: true,
    }
}

/// Ends an approval, or leaves it less.
pub async fn post(
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let here = format!("/admin/access/{}", *id);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &here).await?;
            let id = GrantId::parse(&id).ok_or_else(|| desk.missing())?;
            let filter = GrantFilter { id: Some(id), ..GrantFilter::default() };
            let back = |how: &str| redirect(&format!("{}{here}?{how}", site.shell.base), None);
            match form.value("do") {
                "revoke" => {}
                "narrow" => {
                    let found = flow_access::list(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
                    let Some(user) = found.first().and_then(|access| access.grant.user_id) else {
                        return Ok(back("refused=gone"));
                    };
                    let keep: Vec<String> = form.values("scope").into_iter().map(str::to_owned).collect();
                    if keep.is_empty() {
                        return Ok(back("refused=nothing"));
                    }
                    let narrowed = flow_access::narrow(&core, &desk.caller(&from), user, id, keep)
                        .await
                        .map_err(|cause| desk.fault(&cause))?;
                    return Ok(back(if narrowed.is_some() { "done=narrowed" } else { "refused=same" }));
                }
                _ => return Err(desk.missing()),
            }
            let ended = flow_access::revoke(&core, &desk.caller(&from), filter, "administrator")
                .await
                .map_err(|cause| desk.fault(&cause))?;
            Ok(back(if ended.is_empty() { "refused=gone" } else { "done=ended" }))
        }
        .await,
    )
}

/// Approvals as a list; `query` is what the list is narrowed to, for its next page.
pub(super) fn access_table(
    desk: &Desk<'_>,
    title: &'static str,
    found: &Page<Standing, GrantId>,
    names: &Names,
    query: &str,
) -> Table {
    let mut rows = table(
        title,
        "No approval stands.",
        vec!["Approval", "Person", "App", "Identity", "Server", "Permissions", "Last used", "State"],
    );
    for Standing { grant, state: stands } in &found.rows {
        rows.rows.push(vec![
            desk.named("details", &format!("/access/{}", grant.id)),
            desk.person_cell(names, grant.user_id),
            desk.app_cell(names, &grant.client_id),
            names.apps.get(&grant.client_id).map_or_else(|| said("gone"), origin),
            server_cell(desk, grant.resource_id),
            said(grant.scopes.iter().collect::<Vec<_>>().join(", ")),
            desk.ago(grant.last_used_at),
            state(*stands),
        ]);
    }
    rows.next = found.next.map(|id| desk.further("/access", query, &format!("before={id}")));
    rows
}

fn server_cell(desk: &Desk<'_>, id: ResourceId) -> Cell {
    let view = desk.core.live.view();
    let words =
        view.resource_by_id(id).map_or_else(|| "removed".to_owned(), |resource| resource.name.clone());
    desk.named(words, &format!("/servers/{id}"))
}

/// How an approval stands.
pub(super) fn state(stands: GrantState) -> Cell {
    let found = STATES.into_iter().find(|(state, ..)| *state == stands);
    found.map_or_else(|| said(stands.as_str()), |(_, words, tone)| marked(words, tone))
}
