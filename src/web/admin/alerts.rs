//! `/admin/alerts`: what looks like an attack, what was done, and the rules that decide it.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{Desk, STRANGE, Strange, app_path, choice, either, line, marked, said, table};
use crate::account::detector::counted;
use crate::flow::core::Core;
use crate::flow::cut::By;
use crate::flow::failure::Fault;
use crate::flow::people::OrderError;
use crate::flow::{alerts, console, people};
use crate::storage::alerts::AlertFilter;
use crate::types::alert::{Alert, Detector, Rule, Subject};
use crate::types::duration;
use crate::types::id::AlertId;
use crate::types::policy::ALERTS_ON_A_PAGE;
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::console::{Act, Cell, Seek};
use crate::wire::caller::From;

/// What the list may be narrowed by.
fn fields() -> Vec<Seek> {
    let detectors = Detector::ALL.iter().map(|detector| (detector.as_str(), detector.words()));
    vec![
        line("q", "About: e-mail, app id or address"),
        choice("detector", "What", "Anything", detectors),
        choice("state", "State", "Open and seen", [("open", "open"), ("seen", "seen")]),
    ]
}

/// What a page of the list, or its export, is narrowed to. An e-mail address means the person who has it.
pub(super) async fn filter_of(desk: &Desk<'_>) -> Result<AlertFilter, Strange> {
    let open = |text: &str| match text {
        "open" => Some(true),
        "seen" => Some(false),
        _ => None,
    };
    let subject = match desk.words_of("q") {
        Some(text) if text.contains('@') => {
            Some(people::find(desk.core, &text).await.map_err(|_| Strange)?.id.to_string())
        }
        other => other,
    };
    let detector = desk.named_by("detector", Detector::parse)?;
    Ok(AlertFilter { open: desk.named_by("state", open)?, detector, subject })
}

/// Open alerts, those that somebody has seen, and the detectors.
pub async fn list(request: HttpRequest, core: web::Data<Core>, site: web::Data<Site>) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let fault = |cause: Fault| desk.fault(&cause);
            let rules = alerts::rules(&core).await.map_err(fault)?;
            let count = alerts::list(&core, true).await.map_err(fault)?.len();
            let lead = match i64::try_from(count).unwrap_or(i64::MAX) {
                0 => "Nothing is open.".to_owned(),
                1 => "One alert is open.".to_owned(),
                ALERTS_ON_A_PAGE.. => format!("{count} alerts or more are open."),
                _ => format!("{count} alerts are open."),
            };
            let mut view = desk.blank("alerts", "Alerts", lead);
            let search = desk.search("/alerts", fields());
            let query = search.query();
            view.search = Some(search);
            let Ok(filter) = filter_of(&desk).await else {
                view.refused = Some(STRANGE);
                return Ok(desk.show(view));
            };
            let unlike = |words| if query.is_empty() { words } else { "None is like that." };
            for (title, empty, open) in
                [("Open", "Nothing is open.", true), ("Seen", "Nobody has taken note of one yet.", false)]
            {
                if filter.open.is_some_and(|only| only != open) {
                    continue;
                }
                let filter = AlertFilter { open: Some(open), ..filter.clone() };
                // The open ones are few and come first; the seen ones go on and on.
                let before = AlertId::parse(&desk.asked("before")).filter(|_| !open);
                let found = console::alerts(&core, filter, before, ALERTS_ON_A_PAGE).await.map_err(fault)?;
                let head = vec!["What", "About", "How often", "Last", "What was done"];
                let mut rows = table(title, unlike(empty), head);
                for alert in &found.rows {
                    rows.rows.push(row(&desk, &core, alert).await?);
                    if open {
                        view.acts.push(note(alert));
                    }
                }
                let next = found.next.filter(|_| !open);
                rows.next = next.map(|id| desk.further("/alerts", &query, &format!("before={id}")));
                view.tables.push(rows);
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
            view.exports = desk.exports("alerts", &query);
            view.tables.push(looking);
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
