//! `/admin/audit`: who did what, when, from where, and how it was decided.

use actix_web::{HttpRequest, HttpResponse, web};

use super::people::pairs;
use super::{Desk, either, fact, said, search, table};
use crate::flow::console::{self, Names, Page};
use crate::flow::core::Core;
use crate::storage::audit::AuditFilter;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::web::site::Site;
use crate::web::view::console::Table;

/// All of it, or what concerns one kind, person, app, server, approval or request.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let wanted = desk.asked("q");
            let asked: Vec<(&str, String)> = NAMES.iter().map(|name| (*name, desk.asked(name))).collect();
            let filter = filter_of(&desk);
            let understood = understood(&desk, &filter);
            let mut view = desk.blank(
                "audit",
                "Audit log",
                "Newest first. Every record is chained to the one before it; `postern audit verify` proves that none was touched.",
            );
            view.search = Some(search("Kind (login.failed), address or request id", wanted.clone()));
            if understood {
                let (events, names) = console::events(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
                let mut all: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
                all.push(("q", &wanted));
                all.retain(|(_, value)| !value.is_empty());
                let query = pairs(&all);
                view.exports = desk.exports("audit", &query);
                view.exports.push(("evidence of the last 24 hours", desk.evidence(&query)));
                view.tables.push(audit_table(&desk, "", &events, &names, &query));
            } else {
                let kinds: Vec<&str> = AuditKind::ALL.iter().map(|kind| kind.as_str()).collect();
                view.facts.push(fact("Kinds that there are", said(kinds.join(", "))));
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

/// What the log may be narrowed to besides what is typed.
const NAMES: [&str; 5] = ["kind", "person", "app", "server", "grant"];

/// What a page of the log is narrowed to.
pub(super) fn filter_of(desk: &Desk<'_>) -> AuditFilter {
    let wanted = desk.asked("q");
    let word = wanted.trim();
    AuditFilter {
        kind: AuditKind::parse(&desk.asked("kind")).or_else(|| AuditKind::parse(word)),
        user_id: UserId::parse(&desk.asked("person")),
        client_id: ClientId::parse(&desk.asked("app")),
        resource_id: ResourceId::parse(&desk.asked("server")),
        grant_id: GrantId::parse(&desk.asked("grant")),
        address: word.parse::<std::net::IpAddr>().ok().map(|address| address.to_string()),
        request_id: uuid_like(word).then(|| word.to_owned()),
        before: desk.asked("before").parse().ok(),
        ..AuditFilter::default()
    }
}

/// Whether everything that was asked for is in the filter; less would show more than was meant.
pub(super) fn understood(desk: &Desk<'_>, filter: &AuditFilter) -> bool {
    let fine = |name: &str, known: bool| known || desk.asked(name).is_empty();
    let word = filter.kind.is_some() || filter.address.is_some() || filter.request_id.is_some();
    (word || desk.asked("q").trim().is_empty())
        && fine("kind", filter.kind.is_some())
        && fine("person", filter.user_id.is_some())
        && fine("app", filter.client_id.is_some())
        && fine("server", filter.resource_id.is_some())
        && fine("grant", filter.grant_id.is_some())
}

fn uuid_like(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Records as a list; `query` is what the list is narrowed to, for its next page.
pub(super) fn audit_table(
    desk: &Desk<'_>,
    title: &'static str,
    events: &Page<AuditEvent, i64>,
    names: &Names,
    query: &str,
) -> Table {
    let mut rows =
        table(title, "Nothing is recorded.", vec!["When", "What", "Person", "App", "From", "Detail"]);
    for event in &events.rows {
        rows.rows.push(vec![
            desk.ago(Some(event.at)),
            desk.named(event.kind.as_str(), &format!("/audit?kind={}", event.kind.as_str())),
            event.user_id.map_or_else(|| said(""), |id| desk.person_cell(names, Some(id))),
            event.client_id.as_ref().map_or_else(|| said(""), |id| desk.app_cell(names, id)),
            said(event.address.clone().unwrap_or_default()),
            said(detail(event)),
        ]);
    }
    rows.next = events.next.map(|place| desk.at(&format!("/audit?{query}&before={place}")));
    rows
}

/// The detail as words, short ones first.
fn detail(event: &AuditEvent) -> String {
    let Some(members) = event.detail.as_object() else { return String::new() };
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<String> = members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    parts.join("; ")
}
