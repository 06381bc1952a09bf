//! `/admin/calls`: single calls through the gateway that a rule holds back until somebody has decided.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::{Desk, STRANGE, at, choice, either, fact, line, marked, said, table};
use crate::flow::call_approvals::{self, Shown};
use crate::flow::console::{self, CallFilter};
use crate::flow::core::Core;
use crate::types::call_approval::Stage;
use crate::types::id::CallApprovalId;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Table};
use crate::wire::caller::From;

/// Longest value of an argument that is shown, in characters.
const VALUE: usize = 4_000;

/// How far a call has come that does not wait any more: words and tone.
const STAGES: [(Stage, &str, &str); 4] = [
    (Stage::Allowed, "may be made once", "good"),
    (Stage::Used, "was made", "good"),
    (Stage::Refused, "refused", "harm"),
    (Stage::Expired, "nobody decided, or it was not made, in time", ""),
];

/// What waits, and what somebody has decided.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let lead = match call_approvals::count_waiting(&core).await.map_err(|cause| desk.fault(&cause))? {
                0 => "No call waits for you.".to_owned(),
                1 => "One call waits for you.".to_owned(),
                count => format!("{count} calls wait for you."),
            };
            let mut view = desk.blank("calls", "Waiting calls", lead);
            let stages = STAGES.map(|(stage, words, _)| (stage.as_str(), words));
            let search = desk.search(
                "/calls",
                vec![
                    line("q", "Tool, prompt or resource has"),
                    line("server", "Server: name or address has"),
                    choice("state", "State of those before", "Any", stages),
                ],
            );
            let query = search.query();
            view.search = Some(search);
            let stage = |text: &str| STAGES.into_iter().find(|(stage, ..)| stage.as_str() == text);
            let Ok(stage) = desk.named_by("state", stage) else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let page = async |waiting: bool, place: &str| {
                let filter = CallFilter {
                    part: desk.words_of("q"),
                    servers: desk.words_of("server").map(|part| desk.servers_with(&part)),
                    stage: stage.map(|(stage, ..)| stage).filter(|_| !waiting),
                };
                let after = CallApprovalId::parse(&desk.asked(place));
                let found = console::calls(&core, waiting, filter, after, CONSOLE_PAGE).await;
                found.map_err(|cause| desk.fault(&cause))
            };
            let unlike = |words| if query.is_empty() { words } else { "No call is like that." };
            for (title, empty, waiting, place) in [
                ("", "Rules of a server can hold calls back; see its page.", true, "after"),
                ("Before", "Nobody has decided about one yet.", false, "before"),
            ] {
                let found = page(waiting, place).await?;
                let mut rows = rows(&desk, title, unlike(empty), &found.rows);
                rows.next = found.next.map(|id| desk.further("/calls", &query, &format!("{place}={id}")));
                view.tables.push(rows);
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

fn rows(desk: &Desk<'_>, title: &'static str, empty: &'static str, calls: &[Shown]) -> Table {
    let mut out = table(title, empty, vec!["Call", "Server", "Person", "App", "State", "Asked"]);
    for call in calls {
        let of = &call.approval;
        out.rows.push(vec![
            desk.named(what(call), &format!("/calls/{}", of.id)),
            desk.named(call.server.0.clone(), &format!("/servers/{}", of.resource_id)),
            person(desk, call),
            desk.named(call.app.clone(), &super::app_path(&of.client_id)),
            state(call.stage),
            desk.ago(Some(of.created_at)),
        ]);
    }
    out
}

fn what(call: &Shown) -> String {
    match call.approval.method.as_str() {
        "tools/call" => call.approval.name.clone(),
        method => format!("{method} {}", call.approval.name),
    }
}

fn person(desk: &Desk<'_>, call: &Shown) -> Cell {
    match (call.approval.user_id, &call.person) {
        (Some(id), Some(email)) => desk.named(email.clone(), &format!("/people/{id}")),
        _ => said("nobody: a machine"),
    }
}

fn state(stage: Stage) -> Cell {
    let found = STAGES.into_iter().find(|(known, ..)| *known == stage);
    found.map_or_else(|| marked("waits for you", "care"), |(_, words, tone)| marked(words, tone))
}

/// One of them, with what would be sent.
pub async fn one(
    request: HttpRequest,
    id: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let call = call_approvals::find(&core, &id).await.map_err(|_| desk.missing())?;
            let of = &call.approval;
            let mut view = desk.blank("calls", what(&call), of.reason.clone());
            view.facts = vec![
                fact("State", state(call.stage)),
                fact("Server", desk.named(call.server.0.clone(), &format!("/servers/{}", of.resource_id))),
                fact("Person", person(&desk, &call)),
                fact("App", desk.named(call.app.clone(), &super::app_path(&of.client_id))),
                fact("Under", desk.named("one approval", &format!("/access/{}", of.grant_id))),
                fact("Asked", desk.ago(Some(of.created_at))),
                fact("Until", at(of.expires_at)),
            ];
            if let Some(moment) = of.decided_at {
                let by = of.decided_by.clone().unwrap_or_else(|| "on the command line".to_owned());
                view.facts.push(fact("Decided", at(moment)));
                view.facts.push(fact("By", said(by)));
            }
            let mut sent = table("What would be sent", "Nothing but the name.", vec!["Argument", "Value"]);
            if let Value::Object(members) = &call.arguments {
                sent.rows
                    .extend(members.iter().map(|(name, value)| vec![said(name.clone()), said(text(value))]));
            }
            view.tables.push(sent);
            if call.stage == Stage::Waiting {
                let act = |title, effect: &str, what: &str, button, harm| Act {
                    title,
                    effect: effect.to_owned(),
                    to: format!("/calls/{}", of.id),
                    fields: vec![("do", what.to_owned())],
                    choice: None,
                    asks: None,
                    button,
                    harm,
                };
                view.acts = vec![
                    act(
                        "Let this call be made",
                        "Exactly as it stands here, once, within ten minutes. The app has to make it again.",
                        "allow",
                        "Allow once",
                        false,
                    ),
                    act(
                        "Refuse this call",
                        "It is not asked for again for an hour.",
                        "refuse",
                        "Refuse",
                        true,
                    ),
                ];
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

/// A value as it would be sent: text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    let whole = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut out: String = whole.chars().take(VALUE).collect();
    if out.len() < whole.len() {
        out.push_str(" … and more that does not fit here: see `postern approval list`");
    }
    out
}

/// Decides.
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
            let here = format!("/admin/calls/{}", *id);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &here).await?;
            let allow = match form.value("do") {
                "allow" => true,
                "refuse" => false,
                _ => return Err(desk.missing()),
            };
            call_approvals::decide(&core, &desk.caller(&from), &id, allow)
                .await
                .map_err(|why| desk.refuse("calls", &why, "/calls"))?;
            let done = if allow { "allowed" } else { "denied" };
            Ok(redirect(&desk.at(&format!("/calls?done={done}")), None))
        }
        .await,
    )
}
