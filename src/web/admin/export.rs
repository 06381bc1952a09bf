//! `/admin/export/…`: every list of the console, and evidence, as files. They are written while they are read, whatever their
//! size; a file that ends early was broken off, and evidence without its seal says so itself.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use super::{Desk, access, alerts, apps, audit, cuts, either, people, servers, sessions};
use crate::flow::core::Core;
use crate::flow::cut as flow_cut;
use crate::flow::evidence::{Bundle, Scope};
use crate::flow::export::{self, Export, List};
use crate::flow::failure::Fault;
use crate::types::client::ClientId;
use crate::types::csv;
use crate::types::id::{ResourceId, UserId};
use crate::types::time::Timestamp;
use crate::web::site::Site;
use crate::wire::caller::From;
use crate::wire::reply::uncached;

/// How much evidence there is unless somebody says from when.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A list, narrowed as its page is.
pub async fn list(
    request: HttpRequest,
    name: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let list = wanted(&desk, &name).await.ok_or_else(|| desk.missing())?;
            let csv = match desk.asked("format").as_str() {
                "csv" => true,
                "jsonl" => false,
                _ => return Err(desk.missing()),
            };
            let narrowed = request.query_string();
            export::record(&core, &desk.caller(&from), &name, narrowed)
                .await
                .map_err(|cause| desk.fault(&cause))?;
            let columns = list.columns();
            let mut head = Vec::new();
            if csv {
                head.extend_from_slice(csv::line(columns.iter().copied()).as_bytes());
            }
            let file = format!("{}.{}", *name, if csv { "csv" } else { "jsonl" });
            let state = (core.clone(), Export::of(list), Some(head));
            let body = stream::unfold(Some(state), move |state| async move {
                let (core, mut export, head) = state?;
                if let Some(head) = head.filter(|head| !head.is_empty()) {
                    return Some((Ok(Bytes::from(head)), Some((core, export, None))));
                }
                match export.next(&core).await {
                    Ok(Some(rows)) => {
                        let text: String = rows.iter().map(|row| line(columns, row, csv)).collect();
                        Some((Ok(Bytes::from(text)), Some((core, export, None))))
                    }
                    Ok(None) => None,
                    Err(cause) => Some((Err(broken_off(&cause)), None)),
                }
            });
            let kind = if csv { "text/csv; charset=utf-8; header=present" } else { "application/jsonl" };
            Ok(attachment(&file, kind).streaming(body))
        }
        .await,
    )
}

/// Evidence of what happened between `since` and `until`, narrowed to a person, an app, a server or a cut.
pub async fn evidence(
    request: HttpRequest,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let scope = scope(&desk).await?;
            let bundle =
                Bundle::begin(&core, &desk.caller(&from), scope).await.map_err(|cause| desk.fault(&cause))?;
            let body = stream::unfold(Some((core.clone(), bundle)), |state| async move {
                let (core, mut bundle) = state?;
                match bundle.next(&core).await {
                    Ok(Some(lines)) => Some((Ok(Bytes::from(lines)), Some((core, bundle)))),
                    Ok(None) => None,
                    Err(cause) => Some((Err(broken_off(&cause)), None)),
                }
            });
            Ok(attachment("evidence.jsonl", "application/jsonl").streaming(body))
        }
        .await,
    )
}

fn attachment(file: &str, kind: &'static str) -> actix_web::HttpResponseBuilder {
    let mut builder = uncached(StatusCode::OK);
    builder
        .content_type(kind)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"postern-{file}\"")))
        .insert_header(("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"));
    builder
}

/// The connection is cut, so that nobody takes the file for whole.
fn broken_off(cause: &Fault) -> std::io::Error {
    tracing::error!(%cause, "an export was broken off");
    std::io::Error::other("broken off")
}

fn line(columns: &[&str], row: &[Value], csv: bool) -> String {
    if csv {
        let cells: Vec<String> = row.iter().map(csv::text).collect();
        return csv::line(cells.iter().map(String::as_str));
    }
    let members: serde_json::Map<String, Value> =
        columns.iter().map(|name| (*name).to_owned()).zip(row.iter().cloned()).collect();
    format!("{}\n", Value::Object(members))
}

async fn wanted(desk: &Desk<'_>, name: &str) -> Option<List> {
    // What is not understood is nothing, and not everything.
    Some(match name {
        "people" => List::People(people::filter_of(desk).ok()?),
        "apps" => List::Apps(apps::filter_of(desk).ok()?),
        "access" => List::Access(Box::new(access::filter_of(desk).ok()?)),
        "sessions" => List::Sessions(sessions::filter_of(desk).ok()?),
        "audit" => List::Audit(Box::new(audit::filter_of(desk).await.ok()?)),
        "servers" => List::Servers(servers::filter_of(desk).ok()?),
        "alerts" => List::Alerts(alerts::filter_of(desk).await.ok()?),
        "cut" => List::Cuts(cuts::filter_of(desk).ok()?),
        "keys" => List::Keys(servers::keys_filter_of(desk).ok()?),
        _ => return None,
    })
}

/// What is there has to be understood.
#[expect(clippy::option_option, reason = "nothing asked for is another thing than something that is none")]
fn read<T>(text: Option<String>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| parse(&text).map(Some))
}

async fn scope(desk: &Desk<'_>) -> Result<Scope, HttpResponse> {
    let text = |name: &str| Some(desk.asked(name)).filter(|text| !text.is_empty());
    let strange = || desk.missing();
    let since = read(text("since"), Timestamp::parse_rfc3339).ok_or_else(strange)?;
    let until =
        read(text("until"), Timestamp::parse_rfc3339).ok_or_else(strange)?.unwrap_or_else(|| desk.now());
    let cut = match text("cut") {
        None => None,
        Some(id) => Some(flow_cut::find(desk.core, &id).await.map_err(|_| desk.missing())?.0),
    };
    let since =
        since.or_else(|| cut.as_ref().map(|cut| cut.at.minus(DAY))).unwrap_or_else(|| until.minus(DAY));
    if since >= until {
        return Err(desk.missing());
    }
    let mut scope = Scope::new(since, until);
    if let Some(cut) = &cut {
        return Ok(scope.of_cut(cut));
    }
    scope.user_id = read(text("person"), UserId::parse).ok_or_else(strange)?;
    scope.client_id = read(text("app"), ClientId::parse).ok_or_else(strange)?;
    scope.resource_id = read(text("server"), ResourceId::parse).ok_or_else(strange)?;
    Ok(scope)
}
