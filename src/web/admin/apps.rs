//! `/admin/apps`: every app that is known here, where its identity comes from, and everything about one of them.

use actix_web::{HttpRequest, HttpResponse, web};

use super::access::access_table;
use super::audit::audit_table;
use super::cuts::way;
use super::people::pairs;
use super::{
    Desk, STRANGE, Strange, app_path, at, choice, either, fact, line, marked, on_or_off, said, table,
};
use crate::flow::core::Core;
use crate::flow::people::OrderError;
use crate::flow::{access_map, client_admin, console};
use crate::storage::audit::AuditFilter;
use crate::storage::console::AppFilter;
use crate::storage::grants::GrantFilter;
use crate::types::client::{Client, ClientId, ClientKind};
use crate::types::cut::Target;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::consent::provenance;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::Provenance;
use crate::web::view::console::{Act, Cell, Fact, Seek};
use crate::wire::caller::From;

/// What the list may be narrowed by.
fn fields() -> Vec<Seek> {
    let kinds = [
        ("metadata_document", "confirmed by its own address"),
        ("pre_registered", "added by an administrator"),
        ("dynamic", "registered itself: unverified"),
    ];
    vec![
        line("q", "Name, id or address has"),
        choice("kind", "Identity", "Any", kinds),
        choice("state", "State", "Any", [("on", "active"), ("off", "switched off")]),
        choice("approved", "Approved by anybody", "Either", [("yes", "at least once"), ("no", "never")]),
    ]
}

/// What a page of the list, or its export, is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> Result<AppFilter, Strange> {
    let yes_or_no = |text: &str| [("yes", true), ("no", false)].into_iter().find(|(name, _)| *name == text);
    Ok(AppFilter {
        part: desk.words_of("q").unwrap_or_default(),
        kind: desk.named_by("kind", ClientKind::parse)?,
        off: desk.named_by("state", on_or_off)?,
        approved: desk.named_by("approved", yes_or_no)?.map(|(_, yes)| yes),
    })
}

/// All of them.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let search = desk.search("/apps", fields());
            let query = search.query();
            let lead = "Every app that has registered or was added, and where its identity comes from.";
            let mut view = desk.blank("apps", "Apps", lead);
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let found = console::apps(&core, filter, desk.asked("after"), CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let mut rows = table("", "No app is like that.", vec!["App", "Identity", "Known since", "State"]);
            for client in &found.rows {
                rows.rows.push(vec![
                    desk.named(client.display_name(), &app_path(&client.id)),
                    origin(client),
                    desk.ago(Some(client.created_at)),
                    state(client),
                ]);
            }
            rows.next = found.next.map(|key| desk.further("/apps", &query, &pairs(&[("after", &key)])));
            view.exports = desk.exports("apps", &query);
            view.tables.push(rows);
            Ok(desk.show(view))
        }
        .await,
    )
}

/// One of them.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let id = ClientId::parse(&desk.asked("id")).ok_or_else(|| desk.missing())?;
            let found = console::app(&core, id.clone()).await.map_err(|cause| desk.fault(&cause))?;
            let (client, versions) = found.ok_or_else(|| desk.missing())?;
            let mut view = desk.blank(
                "apps",
                client.display_name(),
                "Where this app’s identity comes from, who uses it, and what it did lately.",
            );
            let redirects = client.metadata.redirect_uris.iter().map(|uri| said(uri.clone())).collect();
            view.facts = vec![
                fact("Id", said(client.id.as_str())),
                fact("Identity", origin(&client)),
                Fact { label: "Sends people back to", value: redirects },
                fact("State", state(&client)),
                fact("Known since", at(client.created_at)),
                fact("First approved", client.first_granted_at.map_or_else(|| said("never"), at)),
                way(&desk, &Target::Client(id.clone())),
            ];
            let filter = GrantFilter { client_id: Some(id.clone()), ..GrantFilter::default() };
            let (grants, names) = access_map::page(&core, filter, None, CONSOLE_PAGE)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let query = pairs(&[("app", id.as_str())]);
            view.tables.push(access_table(&desk, "Who uses it for what", &grants, &names, &query));
            if !versions.is_empty() {
                let mut history = table("Its document", "", vec!["Version", "Read", "What changed"]);
                for version in &versions {
                    history.rows.push(vec![
                        said(version.version.to_string()),
                        desk.ago(Some(version.fetched_at)),
                        said(version.difference.clone()),
                    ]);
                }
                view.tables.push(history);
            }
            let filter = AuditFilter { client_id: Some(id.clone()), ..AuditFilter::default() };
            let (events, names) = console::events(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            view.tables.push(audit_table(&desk, "What happened lately", &events, &names, &query));
            view.exports = vec![("evidence of the last 24 hours", desk.evidence(&query))];
            view.acts = acts(&client);
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Switches an app off or on.
pub async fn post(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/apps").await?;
            let id = ClientId::parse(form.value("id")).ok_or_else(|| desk.missing())?;
            let done = match form.value("do") {
                "disable" => {
                    client_admin::disable(&core, &desk.caller(&from), id.as_str()).await.map(|_| "off")
                }
                "enable" => client_admin::enable(&core, &desk.caller(&from), id.as_str()).await.map(|_| "on"),
                _ => return Err(desk.missing()),
            };
            match done {
                Ok(code) => Ok(redirect(&desk.at(&format!("{}&done={code}", app_path(&id))), None)),
                Err(OrderError::Fault(cause)) => Err(desk.fault(&cause)),
                Err(_) => Err(desk.missing()),
            }
        }
        .await,
    )
}

/// Where an app's identity comes from.
pub(super) fn origin(client: &Client) -> Cell {
    match provenance(client) {
        Provenance::VerifiedDomain { host } => marked(&format!("confirmed by {host}"), "good"),
        Provenance::Administrator => marked("added by an administrator", "good"),
        Provenance::Unverified => marked("unverified", "care"),
    }
}

fn state(client: &Client) -> Cell {
    if client.disabled_at.is_some() { marked("switched off", "harm") } else { marked("active", "good") }
}

fn acts(client: &Client) -> Vec<Act> {
    let off = client.disabled_at.is_some();
    let (title, effect, what, button) = if off {
        ("Switch on", "The app works again for everybody who had approved it.", "enable", "Switch on")
    } else {
        (
            "Switch off",
            "The app stops working for everybody within a second. Approvals stay for the day it is switched on again.",
            "disable",
            "Switch off",
        )
    };
    vec![Act {
        title,
        effect: effect.to_owned(),
        to: "/app".to_owned(),
        fields: vec![("do", what.to_owned()), ("id", client.id.as_str().to_owned())],
        choice: None,
        asks: None,
        button,
        harm: !off,
    }]
}
