//! Alerts and the detectors that raise them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::{Moment, at};
use crate::flow::{alerts, console};
use crate::storage::alerts::AlertFilter;
use crate::types::admin::Permission;
use crate::types::alert::{Action, Alert, Detector, Finding, Rule};
use crate::types::id::AlertId;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/alerts",
        id: "listAlerts",
        about: "Alerts, newest first.",
        needs: Permission::Read,
        query: &[
            query("open", Kind::Flag, "Only those that nobody has taken note of."),
            query("detector", Kind::OneOf(detectors), "Only those of this detector."),
            query("subject", Kind::Text, "Only those about something with this in its id or address."),
            LIMIT,
            CURSOR,
        ],
        body: None,
        done: (200, Some(shape::<Rows<AlertShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/alerts/{id}/acknowledge",
        id: "acknowledgeAlert",
        about: "Take note of an open alert.",
        needs: Permission::Revoke,
        query: &[],
        body: None,
        done: (200, Some(shape::<AlertShown>)),
        run: |call| Box::pin(acknowledge(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/detectors",
        id: "listDetectors",
        about: "What is looked for, and the rules in force.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<DetectorShown>>)),
        run: |call| Box::pin(rules(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/detectors/{id}",
        id: "setDetector",
        about: "Set the rule of a detector.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewRule>),
        done: (200, Some(shape::<DetectorShown>)),
        run: |call| Box::pin(set(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/detectors/{id}/dry-run",
        id: "tryDetector",
        about: "What a rule would have raised in the last seconds named by `since_seconds`. Nothing is done.",
        needs: Permission::Read,
        query: &[query("since_seconds", Kind::Seconds, "How far back to look; a day when absent.")],
        body: Some(shape::<NewRule>),
        done: (200, Some(shape::<Vec<Found>>)),
        run: |call| Box::pin(dry_run(call)),
    },
];

/// An alert.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
struct AlertShown {
    /// Its id.
    id: String,
    /// Which detector raised it.
    detector: &'static str,
    /// What it has seen, in words.
    what: &'static str,
    #[serde(flatten)]
    found: Found,
    /// When it was raised.
    raised_at: Moment,
    /// What the rule wanted done: `alert`, `isolate` or `revoke`.
    action: &'static str,
    /// The cut that did it.
    cut_id: Option<String>,
    /// What came of it.
    outcome: String,
    /// When somebody took note of it.
    acknowledged_at: Option<Moment>,
    /// Who.
    acknowledged_by: Option<String>,
}

/// Something that a detector has found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct Found {
    /// What it is about: `person`, `client`, `grant` or `address`.
    subject_kind: &'static str,
    /// Which.
    subject: String,
    /// How often.
    count: usize,
    /// First.
    first_at: Moment,
    /// Last.
    last_at: Moment,
}

impl Found {
    fn of(finding: &Finding) -> Self {
        Self {
            subject_kind: finding.subject.kind(),
            subject: finding.subject.value(),
            count: finding.count,
            first_at: Moment(finding.first_at),
            last_at: Moment(finding.last_at),
        }
    }
}

impl AlertShown {
    fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            detector: alert.detector.as_str(),
            what: alert.detector.words(),
            found: Found::of(&alert.finding),
            raised_at: Moment(alert.raised_at),
            action: alert.action.as_str(),
            cut_id: alert.cut_id.map(|id| id.to_string()),
            outcome: alert.outcome.clone(),
            acknowledged_at: at(alert.acknowledged_at),
            acknowledged_by: alert.acknowledged_by.clone(),
        }
    }
}

/// A detector and its rule.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Detector")]
struct DetectorShown {
    /// Its name.
    id: &'static str,
    /// What it looks for, in words.
    what: &'static str,
    /// Whether it looks.
    on: bool,
    /// How many are too many.
    threshold: usize,
    /// Within how many seconds.
    window_seconds: u64,
    /// What happens then.
    action: &'static str,
    /// For how many seconds it isolates.
    isolate_seconds: Option<u64>,
}

impl DetectorShown {
    const fn of(rule: &Rule) -> Self {
        Self {
            id: rule.detector.as_str(),
            what: rule.detector.words(),
            on: rule.on,
            threshold: rule.threshold,
            window_seconds: rule.window.as_secs(),
            action: rule.action.as_str(),
            isolate_seconds: match rule.action.span() {
                Some(span) => Some(span.as_secs()),
                None => None,
            },
        }
    }
}

/// How far back a dry run looks, unless told.
const DRY_RUN: Duration = Duration::from_secs(86_400);

#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum ActionName {
    Alert,
    Isolate,
    Revoke,
}

/// A rule.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRule {
    /// Whether it looks.
    on: bool,
    /// How many are too many.
    #[schemars(range(min = 1, max = 5_000))]
    threshold: usize,
    /// Within how many seconds.
    #[schemars(range(min = 1, max = 86_400))]
    window_seconds: u64,
    /// What happens then.
    action: ActionName,
    /// For how many seconds to isolate.
    #[schemars(range(min = 1, max = 31_622_400))]
    isolate_seconds: Option<u64>,
}

fn detectors() -> Vec<&'static str> {
    Detector::ALL.iter().map(|detector| detector.as_str()).collect()
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let before = call.cursor(AlertId::parse)?;
    let filter = AlertFilter {
        open: call.flag("open").then_some(true),
        detector: call.named("detector", Detector::parse)?,
        subject: call.text("subject").map(str::to_owned),
    };
    let page = console::alerts(&call.core, filter, before, call.limit()).await?;
    let rows = page.rows.iter().map(AlertShown::of).collect();
    Answer::of(&Rows::new(rows, page.next.map(|id| id.to_string())))
}

async fn acknowledge(call: Call) -> Result<Answer, Problem> {
    let done = alerts::acknowledge(&call.core, &call.caller, &call.by, call.part("id")).await?;
    Answer::of(&AlertShown::of(&done))
}

async fn rules(call: Call) -> Result<Answer, Problem> {
    let rules = alerts::rules(&call.core).await?;
    Answer::of(&rules.iter().map(DetectorShown::of).collect::<Vec<_>>())
}

fn rule(call: &Call) -> Result<Rule, Problem> {
    let detector = call.id(Detector::parse)?;
    let new: NewRule = call.read()?;
    let action = match new.action {
        ActionName::Alert => "alert",
        ActionName::Isolate => "isolate",
        ActionName::Revoke => "revoke",
    };
    let action = Action::parse(action, new.isolate_seconds.map(Duration::from_secs)).ok_or_else(|| {
        Problem::Refused {
            status: 422,
            code: "refused",
            detail: "isolate_seconds goes with isolate, and with nothing else.".to_owned(),
        }
    })?;
    Ok(Rule {
        detector,
        on: new.on,
        threshold: new.threshold,
        window: Duration::from_secs(new.window_seconds),
        action,
    })
}

async fn set(call: Call) -> Result<Answer, Problem> {
    let rule = rule(&call)?;
    alerts::set_rule(&call.core, &call.caller, rule).await?;
    Answer::of(&DetectorShown::of(&rule))
}

async fn dry_run(call: Call) -> Result<Answer, Problem> {
    let rule = rule(&call)?;
    let span = call.seconds("since_seconds").unwrap_or(DRY_RUN);
    let since = call.core.now().minus(span);
    let found = alerts::dry_run(&call.core, rule, since).await?;
    Answer::of(&found.iter().map(Found::of).collect::<Vec<_>>())
}
