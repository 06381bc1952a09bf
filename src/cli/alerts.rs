//! `postern alert …` and `postern detector …`

use serde_json::{Value, json};

use super::args::{AlertCommand, DetectorCommand, RuleArgs};
use super::output::{CliError, Said, moment};
use crate::flow::alerts;
use crate::flow::core::{Caller, Core};
use crate::flow::cut::By;
use crate::types::alert::{Action, Alert, Detector, Finding, Rule};
use crate::types::duration;

pub(super) async fn run(core: &Core, command: AlertCommand) -> Result<Said, CliError> {
    match command {
        AlertCommand::List { all } => {
            let found = alerts::list(core, !all).await?;
            let columns = ["id", "raised_at", "detector", "subject", "count", "outcome", "acknowledged_by"];
            Ok(Said::list(found.iter().map(shown).collect(), &columns))
        }
        AlertCommand::Acknowledge { id } => {
            let done = alerts::acknowledge(core, &Caller::command_line(), &By::command_line(), &id).await?;
            Ok(Said::thing(shown(&done)))
        }
    }
}

pub(super) async fn detectors(core: &Core, command: DetectorCommand) -> Result<Said, CliError> {
    match command {
        DetectorCommand::List => {
            let rules = alerts::rules(core).await?;
            let columns = ["detector", "on", "threshold", "window", "action", "isolate_for", "what"];
            Ok(Said::list(rules.iter().map(rule).collect(), &columns))
        }
        DetectorCommand::Set(args) => {
            let new = changed(core, args).await?;
            alerts::set_rule(core, &Caller::command_line(), new).await?;
            Ok(Said::thing(rule(&new)))
        }
        DetectorCommand::DryRun { rule: args, since } => {
            let new = changed(core, args).await?;
            let found = alerts::dry_run(core, new, core.now().minus(since)).await?;
            let rows: Vec<Value> = found.iter().map(finding).collect();
            let mut said = Said::list(rows, &["subject_kind", "subject", "count", "first_at", "last_at"]);
            said.lines.push(format!("{} alerts; nothing was raised and nothing done.", found.len()));
            Ok(said)
        }
    }
}

/// The rule in force with what is given changed.
async fn changed(core: &Core, args: RuleArgs) -> Result<Rule, CliError> {
    let detector = Detector::parse(&args.detector).ok_or_else(|| {
        let names: Vec<&str> = Detector::ALL.iter().map(|detector| detector.as_str()).collect();
        CliError::Usage(format!("there is no detector {:?}; there are {}", args.detector, names.join(", ")))
    })?;
    let rules = alerts::rules(core).await?;
    let old = rules.into_iter().find(|rule| rule.detector == detector);
    let old = old.unwrap_or_else(|| crate::account::detector::usual(detector));
    let action = match (args.action.as_deref(), args.isolate_for) {
        (None, None) => old.action,
        (None, Some(span)) => Action::Isolate(span),
        (Some(name), span) => Action::parse(name, span).ok_or_else(|| {
            CliError::Usage("an action is alert, revoke, or isolate with --isolate-for".to_owned())
        })?,
    };
    Ok(Rule {
        detector,
        on: if args.off { false } else { args.on || old.on },
        threshold: args.threshold.unwrap_or(old.threshold),
        window: args.window.unwrap_or(old.window),
        action,
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "detector": rule.detector.as_str(),
        "what": rule.detector.words(),
        "on": rule.on,
        "threshold": rule.threshold,
        "window": duration::format(rule.window),
        "action": rule.action.as_str(),
        "isolate_for": rule.action.span().map(duration::format),
    })
}

fn finding(finding: &Finding) -> Value {
    json!({
        "subject_kind": finding.subject.kind(),
        "subject": finding.subject.value(),
        "count": finding.count,
        "first_at": moment(Some(finding.first_at)),
        "last_at": moment(Some(finding.last_at)),
    })
}

fn shown(alert: &Alert) -> Value {
    let mut value = finding(&alert.finding);
    if let Some(members) = value.as_object_mut() {
        members.extend([
            ("id".to_owned(), json!(alert.id.to_string())),
            ("detector".to_owned(), json!(alert.detector.as_str())),
            ("raised_at".to_owned(), json!(moment(Some(alert.raised_at)))),
            ("action".to_owned(), json!(alert.action.as_str())),
            ("outcome".to_owned(), json!(alert.outcome)),
            ("cut".to_owned(), json!(alert.cut_id.map(|id| id.to_string()))),
            ("acknowledged_at".to_owned(), json!(moment(alert.acknowledged_at))),
            ("acknowledged_by".to_owned(), json!(alert.acknowledged_by)),
        ]);
    }
    value
}
