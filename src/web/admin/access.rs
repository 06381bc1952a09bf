//! `/admin/access`: the access map. Who lets which app do what where, by any axis, and what came of it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::apps::origin;
use super::audit::audit_table;
use super::people::pairs;
use super::{Desk, at, either, fact, marked, said, table};
use crate::flow::access as flow_access;
use crate::flow::console::{self, Names, Page};
use crate::flow::core::Core;
use crate::storage::audit::AuditFilter;
use crate::storage::grants::GrantFilter;
use crate::types::client::ClientId;
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::policy::CONSOLE_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Fact, Table};
use crate::wire::caller::From;

/// All of it, or what one person, app or server has to do with.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let (person, app, server) = (desk.asked("person"), desk.asked("app"), desk.asked("server"));
            let ended = desk.asked("ended") == "1";
            let filter = GrantFilter {
                id: None,
                user_id: UserId::parse(&person),
                client_id: ClientId::parse(&app),
                resource_id: ResourceId::parse(&server),
                ended_too: ended,
            };
            let before = GrantId::parse(&desk.asked("before"));
            let (found, names) = console::access(&core, filter, before, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let lead = "Every standing approval: who lets which app do what on which server.";
            let mut view = desk.blank("access", "Access", lead);
            let query = pairs(&[("person", &person), ("app", &app), ("server", &server)]);
            let other = if ended { ("Standing only", "") } else { ("Also what has ended", "&ended=1") };
            view.facts = vec![Fact {
                label: "Show",
                value: vec![desk.named(other.0, &format!("/access?{query}{}", other.1))],
            }];
            let query = if ended { format!("{query}&ended=1") } else { query };
            let asked = [("person", &person), ("app", &app), ("server", &server)];
            let mut asked: Vec<(&str, &str)> =
                asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
            asked.push(("ended", if ended { "1" } else { "" }));
            asked.retain(|(_, value)| !value.is_empty());
            view.exports = desk.exports("access", &pairs(&asked));
            view.tables.push(access_table(&desk, "", &found, &names, &query));
            Ok(desk.show(view))
        }
        .await,
    )
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
            let found = flow_access::list(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            let access = found.into_iter().next().ok_or_else(|| desk.missing())?;
            let grant = &access.grant;
            let mut names = Names::default();
            names.people.extend(access.user.clone().map(|user| (user.id, user)));
            names.apps.extend(access.client.clone().map(|client| (client.id.clone(), client)));
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
                    access.client.as_ref().map_or_else(|| said("the app is gone"), origin),
                ),
                fact("Server", server_cell(&desk, grant.resource_id)),
                Fact { label: "Permissions", value: grant.scopes.iter().map(said).collect() },
                fact("State", state(&desk, grant)),
                fact("Allowed", at(grant.created_at)),
                fact("Last used", desk.ago(grant.last_used_at)),
                fact(
                    "Last used from",
                    said(grant.last_used_address.clone().unwrap_or_else(|| "unknown".to_owned())),
                ),
                fact("Ends", at(grant.revoked_at.unwrap_or(grant.expires_at))),
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

/// Ends an approval.
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
            let id =
                GrantId::parse(&id).filter(|_| form.value("do") == "revoke").ok_or_else(|| desk.missing())?;
            let filter = GrantFilter { id: Some(id), ..GrantFilter::default() };
            let ended = flow_access::revoke(&core, &desk.caller(&from), filter, "administrator")
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let how = if ended.is_empty() { "refused=gone" } else { "done=ended" };
            Ok(redirect(&format!("{}{here}?{how}", site.shell.base), None))
        }
        .await,
    )
}

/// Approvals as a list; `query` is what the list is narrowed to, for its next page.
pub(super) fn access_table(
    desk: &Desk<'_>,
    title: &'static str,
    found: &Page<Grant, GrantId>,
    names: &Names,
    query: &str,
) -> Table {
    let mut rows = table(
        title,
        "No approval stands.",
        vec!["Approval", "Person", "App", "Identity", "Server", "Permissions", "Last used", "State"],
    );
    for grant in &found.rows {
        rows.rows.push(vec![
            desk.named("details", &format!("/access/{}", grant.id)),
            desk.person_cell(names, grant.user_id),
            desk.app_cell(names, &grant.client_id),
            names.apps.get(&grant.client_id).map_or_else(|| said("gone"), origin),
            server_cell(desk, grant.resource_id),
            said(grant.scopes.iter().collect::<Vec<_>>().join(", ")),
            desk.ago(grant.last_used_at),
            state(desk, grant),
        ]);
    }
    rows.next = found.next.map(|id| desk.at(&format!("/access?{query}&before={id}")));
    rows
}

fn server_cell(desk: &Desk<'_>, id: ResourceId) -> Cell {
    let view = desk.core.live.view();
    let words =
        view.resource_by_id(id).map_or_else(|| "removed".to_owned(), |resource| resource.name.clone());
    desk.named(words, &format!("/servers/{id}"))
}

fn state(desk: &Desk<'_>, grant: &Grant) -> Cell {
    if grant.revoked_at.is_some() {
        marked("ended", "harm")
    } else if grant.is_live(desk.now()) {
        marked("active", "good")
    } else {
        marked("expired", "care")
    }
}
