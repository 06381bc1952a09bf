//! `/admin/alerts/{detector}`: the rule of one detector. What another would have raised is shown before it can be set.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};

use super::alerts::{happens, subject};
use super::people::pairs;
use super::{Desk, either, fact, said, table};
use crate::account::detector::counted;
use crate::flow::alerts;
use crate::flow::core::Core;
use crate::flow::people::OrderError;
use crate::types::alert::{Action, Detector, Rule};
use crate::types::duration;
use crate::types::policy::{ALERTS_ON_A_PAGE, DRY_RUN_SPAN};
use crate::web::page::redirect;
use crate::web::site::Site;
use crate::web::view::editor::{Editor, Entry, Input};
use crate::wire::caller::From;

const FIELDS: [&str; 5] = ["on", "threshold", "window", "action", "isolate_for"];

/// The rule, a form to try another, and what that one would have raised.
pub async fn get(
    request: HttpRequest,
    name: web::Path<String>,
    core: web::Data<Core>,
    site: web::Data<Site>,
) -> HttpResponse {
    either(
        async {
            let desk = Desk::open(&request, &core, &site).await?;
            let detector = Detector::parse(&name).ok_or_else(|| desk.missing())?;
            let rules = alerts::rules(&core).await.map_err(|cause| desk.fault(&cause))?;
            let present =
                rules.into_iter().find(|rule| rule.detector == detector).ok_or_else(|| desk.missing())?;
            let mut view = desk.blank(
                "alerts",
                detector.words(),
                "When this is too much, and what happens then. Try another rule on what was recorded before you set it.",
            );
            view.facts = vec![
                fact("How many", said(format!("{} {}", present.threshold, counted(detector)))),
                fact("Within", said(duration::format(present.window))),
                fact("What happens", happens(&present)),
            ];
            let asked: Vec<(&'static str, String)> =
                FIELDS.iter().map(|field| (*field, desk.asked(field))).collect();
            let tried = asked.iter().any(|(_, value)| !value.is_empty());
            let value = |name: &str| asked.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
            let wanted = if tried {
                read(detector, |name| value(name).unwrap_or_default())
                    .map_err(|why| desk.refuse("alerts", &why, &format!("/alerts/{}", detector.as_str())))?
            } else {
                present
            };
            view.editors.push(try_it(&wanted));
            if tried {
                let since = desk.now().minus(DRY_RUN_SPAN);
                let found = alerts::dry_run(&core, wanted, since).await.map_err(|why| {
                    desk.refuse("alerts", &why, &format!("/alerts/{}", detector.as_str()))
                })?;
                let mut rows = table(
                    "What it would have raised in the last 30 days",
                    "Nothing.",
                    vec!["About", "How often", "First", "Last"],
                );
                let most = usize::try_from(ALERTS_ON_A_PAGE).unwrap_or(usize::MAX);
                for finding in found.iter().rev().take(most) {
                    rows.rows.push(vec![
                        subject(&desk, &core, &finding.subject).await?,
                        said(finding.count.to_string()),
                        desk.ago(Some(finding.first_at)),
                        desk.ago(Some(finding.last_at)),
                    ]);
                }
                view.facts.push(fact(
                    "The rule you try",
                    said(format!("would have raised {} alerts in the last 30 days", found.len())),
                ));
                view.tables.push(rows);
                view.editors.push(Editor {
                    title: "Set the rule you have tried",
                    effect: "It is in force from now on, for what happens from now on.",
                    to: format!("/alerts/{}", detector.as_str()),
                    looks: false,
                    fields: asked,
                    inputs: Vec::new(),
                    button: "Set the rule",
                    harm: wanted.action != Action::Alert,
                });
            }
            Ok(desk.show(view))
        }
        .await,
    )
}

/// Sets the rule.
pub async fn post(
    request: HttpRequest,
    name: web::Path<String>,
    payload: web::Payload,
    core: web::Data<Core>,
    site: web::Data<Site>,
    from: From,
) -> HttpResponse {
    either(
        async {
            // Signing in once more leads back to what was tried.
            let back = format!("/admin/alerts/{}", *name);
            let (desk, form) = Desk::act(&request, payload, &core, &site, &back).await?;
            let detector = Detector::parse(&name).ok_or_else(|| desk.missing())?;
            let path = format!("/alerts/{}", detector.as_str());
            let done = match read(detector, |name| form.value(name)) {
                Ok(rule) => alerts::set_rule(&core, &desk.caller(&from), rule).await,
                Err(why) => Err(why),
            };
            done.map_err(|why| desk.refuse("alerts", &why, &path))?;
            Ok(redirect(&desk.at(&format!("{path}?{}", pairs(&[("done", "changed")]))), None))
        }
        .await,
    )
}

fn read<'a>(detector: Detector, value: impl Fn(&'static str) -> &'a str) -> Result<Rule, OrderError> {
    let span = |text: &str, what: &str| -> Result<Duration, OrderError> {
        duration::parse(text.trim()).map_err(|why| OrderError::Bad(format!("{what}: {why}")))
    };
    let isolate_for = match (value("action"), value("isolate_for").trim()) {
        ("isolate", text) => Some(span(text, "how long to isolate")?),
        _ => None,
    };
    let action = Action::parse(value("action"), isolate_for)
        .ok_or_else(|| OrderError::Bad("say what happens: alert, isolate or revoke".to_owned()))?;
    let rule = Rule {
        detector,
        on: value("on") == "yes",
        threshold: value("threshold")
            .trim()
            .parse()
            .map_err(|_| OrderError::Bad("how many are too many is a number".to_owned()))?,
        window: span(value("window"), "within how long")?,
        action,
    };
    alerts::check(&rule)?;
    Ok(rule)
}

fn try_it(rule: &Rule) -> Editor {
    let option = |value: &str, words: &str, present| (value.to_owned(), words.to_owned(), present);
    let action = rule.action.as_str();
    let input = |name, label, entry| Input { name, label, entry };
    Editor {
        title: "Try another rule",
        effect: "Nothing is raised and nothing done.",
        to: format!("/alerts/{}", rule.detector.as_str()),
        looks: true,
        fields: Vec::new(),
        inputs: vec![
            input(
                "on",
                "Does it look",
                Entry::Choice(vec![option("yes", "yes", rule.on), option("no", "no", !rule.on)]),
            ),
            input("threshold", "How many are too many", Entry::Line(rule.threshold.to_string(), true)),
            input("window", "Within, such as 15m", Entry::Line(duration::format(rule.window), true)),
            input(
                "action",
                "What happens then",
                Entry::Choice(vec![
                    option("alert", "an alert, nothing else", action == "alert"),
                    option("isolate", "everything stops for a time", action == "isolate"),
                    option("revoke", "everything ends for good", action == "revoke"),
                ]),
            ),
            input(
                "isolate_for",
                "For how long, such as 1h",
                Entry::Line(rule.action.span().map(duration::format).unwrap_or_default(), false),
            ),
        ],
        button: "Try it",
        harm: false,
    }
}
