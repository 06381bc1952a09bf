//! `/admin/calls`: single calls through the gateway that a rule holds back until somebody has decided.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::{Desk, at, either, fact, marked, said, table};
use crate::flow::call_approvals::{self, Shown};
use crate::flow::core::Core;
use crate::types::call_approval::Stage;
use crate::types::policy::CONSOLE_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Table};
use crate::wire::caller::From;

/// Longest value of an argument that is shown, in characters.
const VALUE: usize = 4_000;

/// What waits, and what somebody has decided.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let found = async |all| {
                call_approvals::list(&core, all, None, CONSOLE_PAGE).await.map_err(|cause| desk.fault(&cause))
            };
            let waiting = found(false).await?;
            let mut before = found(true).await?;
            before.retain(|call| call.stage != Stage::Waiting);
            let lead = match waiting.len() {
                0 => "No call waits for you.".to_owned(),
                1 => "One call waits for you.".to_owned(),
                count => format!("{count} calls wait for you."),
            };
            let mut view = desk.blank("calls", "Waiting calls", lead);
            view.tables = vec![
                rows(&desk, "", "Rules of a server can hold calls back; see its page.", &waiting),
                rows(&desk, "Before", "Nobody has decided about one yet.", &before),
            ];
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
    match stage {
        Stage::Waiting => marked("waits for you", "care"),
        Stage::Allowed => marked("may be made once", "good"),
        Stage::Used => marked("was made", "good"),
        Stage::Refused => marked("refused", "harm"),
        Stage::Expired => said("nobody decided, or it was not made, in time"),
    }
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
