//! `/admin/alerts`: what looks like an attack, what was done, and the rules that decide it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, app_path, either, marked, said, table};
use crate::account::detector::counted;
use crate::flow::alerts;
use crate::flow::console;
use crate::flow::core::Core;
use crate::flow::cut::By;
use crate::flow::people::OrderError;
use crate::types::alert::{Alert, Rule, Subject};
use crate::types::duration;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell};
use crate::wire::caller::From;

/// Open alerts, those that somebody has seen, and the detectors.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let all = alerts::list(&core, false).await.map_err(|cause| desk.fault(&cause))?;
            let rules = alerts::rules(&core).await.map_err(|cause| desk.fault(&cause))?;
            let (open, seen): (Vec<Alert>, Vec<Alert>) =
                all.into_iter().partition(|alert| alert.acknowledged_at.is_none());
            let lead = match open.len() {
                0 => "Nothing is open.".to_owned(),
                1 => "One alert is open.".to_owned(),
                count => format!("{count} alerts are open."),
            };
            let mut view = desk.blank("alerts", "Alerts", lead);
            let head = || vec!["What", "About", "How often", "Last", "What was done"];
            let mut now = table("Open", "Nothing is open.", head());
            for alert in &open {
                now.rows.push(row(&desk, &core, alert).await?);
                view.acts.push(note(alert));
            }
            let mut before = table("Seen", "Nobody has taken note of one yet.", head());
            for alert in &seen {
                before.rows.push(row(&desk, &core, alert).await?);
            }
            let mut looking =
                table("What is looked for", "", vec!["What", "How many", "Within", "What happens then"]);
            for rule in &rules {
                looking.rows.push(vec![
                    desk.named(rule.detector.words(), &format!("/alerts/{}", rule.detector.as_str())),
                    said(format!("{} {}", rule.threshold, counted(rule.detector))),
                    said(duration::format(rule.window)),
                    happens(rule),
                ]);
            }
            view.exports = desk.exports("alerts", "");
            view.tables = vec![now, before, looking];
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Takes note of one.
pub async fn acknowledge(
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            let (desk, form) = Desk::act(&request, payload, &core, &site, "/admin/alerts").await?;
            let by = By::person(&desk.person.user);
            match alerts::acknowledge(&core, &desk.caller(&from), &by, form.value("alert")).await {
                Ok(_) => Ok(redirect(&desk.at("/alerts?done=noted"), None)),
                Err(OrderError::Fault(cause)) => Err(desk.fault(&cause)),
                Err(_) => Ok(redirect(&desk.at("/alerts?refused=gone"), None)),
            }
        }
        .await,
    )
}

async fn row(desk: &Desk<'_>, core: &Core, alert: &Alert) -> Result<Vec<Cell>, HttpResponse> {
    let subject = subject(desk, core, &alert.finding.subject).await?;
    let done = match alert.cut_id {
        Some(id) => desk.named(alert.outcome.clone(), &format!("/cut/{id}")),
        None if alert.outcome.is_empty() => said("under way"),
        None => said(alert.outcome.clone()),
    };
    Ok(vec![
        marked(alert.detector.words(), if alert.acknowledged_at.is_none() { "harm" } else { "" }),
        subject,
        said(alert.finding.count.to_string()),
        desk.ago(Some(alert.finding.last_at)),
        done,
    ])
}

/// Whom something is about.
pub(super) async fn subject(desk: &Desk<'_>, core: &Core, about: &Subject) -> Result<Cell, HttpResponse> {
    Ok(match about {
        Subject::Person(id) => {
            let names = console::names_of(core, vec![*id]).await.map_err(|cause| desk.fault(&cause))?;
            let words = names.get(id).map_or_else(|| id.to_string(), |user| user.email.clone());
            desk.named(words, &format!("/people/{id}"))
        }
        Subject::Client(id) => desk.named(id.to_string(), &app_path(id)),
        Subject::Grant(id) => desk.named("one approval", &format!("/access/{id}")),
        Subject::Address(address) => said(address.clone()),
    })
}

pub(super) fn happens(rule: &Rule) -> Cell {
    if !rule.on {
        return marked("nothing: it is switched off", "care");
    }
    said(match rule.action.span() {
        Some(span) => format!("alert, and isolate for {}", duration::format(span)),
        None if rule.action.as_str() == "revoke" => "alert, and end everything".to_owned(),
        None => "alert".to_owned(),
    })
}

fn note(alert: &Alert) -> Act {
    Act {
        title: alert.detector.words(),
        effect: format!(
            "{} {}. Taking note of it closes it; if it happens again, there is a new one.",
            alert.finding.subject.kind(),
            alert.finding.subject.value()
        ),
        to: "/alerts".to_owned(),
        fields: vec![("alert", alert.id.to_string())],
        choice: None,
        asks: None,
        button: "Take note",
        harm: false,
    }
}
