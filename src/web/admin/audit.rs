//! `/admin/audit`: who did what, when, from where, and how it was decided.

use actix_web::{HttpRequest, HttpResponse, web};

use super::people::pairs;
use super::{Desk, STRANGE, Strange, choice, either, line, said, table};
use crate::flow::console::{self, Names, Page};
use crate::flow::core::Core;
use crate::flow::people;
use crate::storage::audit::AuditFilter;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::time::Timestamp;
use crate::web::site::Site;
use crate::web::view::console::{Seek, Table};

/// What the log may be narrowed by.
fn fields() -> Vec<Seek> {
    let kinds = AuditKind::ALL.iter().map(|kind| (kind.as_str(), kind.as_str()));
    vec![
        line("q", "Kind (login.failed), address or request id"),
        choice("kind", "Kind", "Any", kinds),
        line("person", "Person: e-mail"),
        line("app", "App: id"),
        line("server", "Server: name or address"),
        line("since", "Since, such as 2026-03-01 or 2026-03-01T08:30:00Z"),
        line("until", "Until"),
        line("grant", "Approval: id"),
    ]
}

/// All of it, or what concerns one kind, person, app, server, approval, request or span of time.
pub async fn get(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let mut view = desk.blank(
                "audit",
                "Audit log",
                "Newest first. Every record is chained to the one before it; the command “postern audit verify” proves that none was touched.",
            );
            let search = desk.search("/audit", fields());
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk).await else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let of = evidence_of(&filter);
            let (events, names) = console::events(&core, filter).await.map_err(|cause| desk.fault(&cause))?;
            view.exports = desk.exports("audit", &query);
            view.exports.push(("evidence", desk.evidence(&of)));
            view.tables.push(audit_table(&desk, "", &events, &names, &query));
            Ok(desk.show(view))
        }
        .await,
    )
}

/// What evidence about the same is asked for by.
fn evidence_of(filter: &AuditFilter) -> String {
    let asked = [
        ("person", filter.user_id.map(|id| id.to_string())),
        ("app", filter.client_id.as_ref().map(ToString::to_string)),
        ("server", filter.resource_id.map(|id| id.to_string())),
        ("since", filter.since.map(Timestamp::rfc3339)),
        ("until", filter.until.map(Timestamp::rfc3339)),
    ];
    let asked: Vec<(&str, String)> =
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    pairs(&asked)
}

/// What a page of the log, or its export, is narrowed to. An e-mail address means the person who has it, and a server may
/// be named where no other has such a name or address.
pub(super) async fn filter_of(desk: &Desk<'_>) -> Result<AuditFilter, Strange> {
    let user_id = match desk.words_of("person") {
        Some(text) if text.contains('@') => {
            Some(people::find(desk.core, &text).await.map_err(|_| Strange)?.id)
        }
        _ => desk.named_by("person", UserId::parse)?,
    };
    let server = |text: &str| {
        ResourceId::parse(text).or_else(|| match desk.servers_with(text).as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    };
    let mut filter = AuditFilter {
        kind: desk.named_by("kind", AuditKind::parse)?,
        user_id,
        client_id: desk.named_by("app", ClientId::parse)?,
        resource_id: desk.named_by("server", server)?,
        grant_id: desk.named_by("grant", GrantId::parse)?,
        since: desk.named_by("since", moment)?,
        until: desk.named_by("until", moment)?,
        before: desk.asked("before").parse().ok(),
        ..AuditFilter::default()
    };
    if let Some(word) = desk.words_of("q") {
        let address = word.parse::<std::net::IpAddr>().ok();
        match (AuditKind::parse(&word), address) {
            (Some(kind), _) if filter.kind.is_none_or(|known| known == kind) => filter.kind = Some(kind),
            (_, Some(address)) => filter.address = Some(address.to_string()),
            _ if uuid_like(&word) => filter.request_id = Some(word),
            _ => return Err(Strange),
        }
    }
    Ok(filter)
}

/// A moment, or the beginning of a day (UTC).
fn moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text).or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
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
    rows.next = events.next.map(|place| desk.further("/audit", query, &format!("before={place}")));
    rows
}

/// The detail as words, short ones first.
fn detail(event: &AuditEvent) -> String {
    let Some(members) = event.detail.as_object() else { return String::new() };
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let parts: Vec<String> = members.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
    parts.join("; ")
}
