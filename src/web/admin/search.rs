//! `/admin/search`: one box that finds people, apps, servers, approvals, sign-ins, cuts and audit records.

use actix_web::{HttpRequest, HttpResponse, web};

use super::apps::origin;
use super::audit::audit_table;
use super::people::pairs;
use super::{Desk, app_path, either, said, table};
use crate::flow::console::{Names, Page};
use crate::flow::core::Core;
use crate::flow::search::{Found, search};
use crate::web::site::Site;
use crate::web::view::console::{Cell, Table};

/// What was found.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let wanted = desk.asked("q");
            let found = search(&core, &wanted).await.map_err(|cause| desk.fault(&cause))?;
            let lead = match (wanted.trim().is_empty(), found.is_empty()) {
                (true, _) => "An e-mail address or its beginning, the name or address of an app or server, or the id of anything.",
                (false, true) => "Nothing by that name, address or id. People are found by the beginning of their e-mail address.",
                (false, false) => "What was found, the likeliest first.",
            };
            let mut view = desk.blank("search", "Search", lead);
            view.sought = wanted;
            view.tables = tables(&desk, &found);
            Ok(desk.show(view))
        }
        .await,
    )
}

fn tables(desk: &Desk<'_>, found: &Found) -> Vec<Table> {
    let mut all = Vec::new();
    let mut add = |title, head: Vec<&'static str>, rows: Vec<Vec<Cell>>| {
        if !rows.is_empty() {
            all.push(Table { rows, ..table(title, "", head) });
        }
    };
    let one = found.grant.iter().map(|grant| {
        let server =
            desk.core.live.view().resource_by_id(grant.resource_id).map(|server| server.name.clone());
        vec![
            desk.named(grant.id.to_string(), &format!("/access/{}", grant.id)),
            said(server.unwrap_or_else(|| "removed".to_owned())),
            desk.ago(Some(grant.created_at)),
        ]
    });
    add("Approval", vec!["Approval", "Server", "Allowed"], one.collect());
    let one = found.cut.iter().map(|cut| {
        vec![
            desk.named(format!("{} {}", cut.target.kind(), cut.label), &format!("/cut/{}", cut.id)),
            desk.ago(Some(cut.at)),
        ]
    });
    add("Cut", vec!["Cut", "When"], one.collect());
    let one = found.session.iter().map(|(session, whose)| {
        let name = whose.as_ref().map_or_else(|| session.user_id.to_string(), |user| user.email.clone());
        vec![
            desk.named(name, &format!("/people/{}", session.user_id)),
            said(crate::account::browser::in_words(session.user_agent.as_deref())),
            desk.ago(Some(session.last_seen_at)),
        ]
    });
    add("Sign-in", vec!["Person", "Browser", "Last seen"], one.collect());
    let rows = found.people.iter().map(|user| {
        vec![
            desk.named(user.email.clone(), &format!("/people/{}", user.id)),
            said(user.name.clone().unwrap_or_default()),
            said(user.role.as_str()),
        ]
    });
    add("People", vec!["Person", "Name", "Role"], rows.collect());
    let rows = found.servers.iter().map(|server| {
        vec![desk.named(server.name.clone(), &format!("/servers/{}", server.id)), said(server.uri.as_str())]
    });
    add("Servers", vec!["Server", "Address"], rows.collect());
    let rows = found
        .apps
        .iter()
        .map(|client| vec![desk.named(client.display_name(), &app_path(&client.id)), origin(client)]);
    add("Apps", vec!["App", "Identity"], rows.collect());
    let mut log: Vec<Vec<Cell>> = Vec::new();
    if let Some(kind) = found.kind {
        log.push(vec![desk.named(kind.as_str(), &format!("/audit?kind={}", kind.as_str()))]);
    }
    if let Some(address) = found.address {
        let query = pairs(&[("q", &address.to_string())]);
        log.push(vec![desk.named(format!("from {address}"), &format!("/audit?{query}"))]);
    }
    add("Audit log", vec!["Records"], log);
    if !found.records.is_empty() {
        let names = Names {
            apps: found.apps.iter().map(|client| (client.id.clone(), client.clone())).collect(),
            people: found.people.iter().map(|user| (user.id, user.clone())).collect(),
        };
        let page = Page { rows: found.records.clone(), next: None };
        all.push(audit_table(desk, "Audit records", &page, &names, ""));
    }
    all
}
