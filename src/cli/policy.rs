//! `postern policy` and `postern approval`.

use serde_json::{Value, json};

use super::args::{ApprovalCommand, ExplainArgs, NewRuleArgs, PolicyCommand};
use super::output::{CliError, Said, moment};
use crate::flow::call_approvals::{self, Shown};
use crate::flow::call_rules::{self, NewRule};
use crate::flow::core::{Caller, Core};
use crate::flow::explain::{self, Question};
use crate::types::call_rule::{CallRule, Condition, Effect, Subject};
use crate::types::callers::CallerRule;

/// Calls that `approval list` shows.
const SHOWN: i64 = 100;

pub(super) async fn policy(core: &Core, command: PolicyCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        PolicyCommand::Add(args) => {
            let uri = args.uri.clone();
            let made = call_rules::add(core, &caller, &uri, new(args)?).await?;
            Ok(Said::thing(rule(&made)))
        }
        PolicyCommand::List { uri } => {
            let found = call_rules::list(core, &uri).await?;
            let columns = ["id", "about", "callers", "when", "effect", "reason"];
            Ok(Said::list(found.iter().map(rule).collect(), &columns))
        }
        PolicyCommand::Remove { id } => {
            let gone = call_rules::remove(core, &caller, &id, None).await?;
            Ok(Said::thing(rule(&gone)))
        }
        PolicyCommand::Cedar(command) => super::cedar::run(core, command).await,
        PolicyCommand::Explain(args) => explained(core, args).await,
    }
}

fn new(args: NewRuleArgs) -> Result<NewRule, CliError> {
    let subject = match (args.tool, args.class, args.method) {
        (Some(tool), ..) => Subject::Tool(tool),
        (_, Some(class), _) => Subject::Class(class),
        (.., Some(method)) => Subject::Method(method),
        _ => Subject::EveryTool,
    };
    let effect = if args.deny { Effect::Deny } else { Effect::Ask };
    let callers = CallerRule::parse(&args.only, &args.except).map_err(CliError::Usage)?;
    Ok(NewRule { subject, conditions: args.conditions, callers, effect, reason: args.reason })
}

fn rule(rule: &CallRule) -> Value {
    let conditions: Vec<&str> = rule.conditions.iter().map(Condition::as_str).collect();
    json!({
        "id": rule.id.to_string(),
        "about": rule.subject.to_string(),
        "when": conditions,
        "callers": rule.callers.to_string(),
        "effect": rule.effect.as_str(),
        "reason": rule.reason,
        "created_at": moment(Some(rule.created_at)),
        "created_by": rule.created_by,
    })
}

async fn explained(core: &Core, args: ExplainArgs) -> Result<Said, CliError> {
    let question = Question {
        email: args.user,
        uri: args.uri,
        method: args.method.unwrap_or_else(|| "tools/call".to_owned()),
        name: args.tool.or(args.name),
        target: args.target,
        arguments: args.arguments,
    };
    let answers = explain::explain(core, &question).await?;
    let shown = answers.iter().map(|answer| {
        json!({
            "grant_id": answer.grant.map(|id| id.to_string()),
            "client_id": answer.client_id,
            "app": answer.app,
            "scopes": answer.scopes.to_string(),
            "goes_through": answer.goes,
            "rule": answer.rule,
            "policies": answer.policies,
            "why": answer.why,
        })
    });
    Ok(Said::list(shown.collect(), &["app", "goes_through", "rule", "why"]))
}

pub(super) async fn approval(core: &Core, command: ApprovalCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        ApprovalCommand::List { all } => {
            let found = call_approvals::list(core, all, None, SHOWN).await?;
            let columns = ["id", "stage", "person", "app", "name", "arguments", "reason", "expires_at"];
            Ok(Said::list(found.iter().map(call).collect(), &columns))
        }
        ApprovalCommand::Allow { id } => {
            Ok(Said::thing(call(&call_approvals::decide(core, &caller, &id, true).await?)))
        }
        ApprovalCommand::Refuse { id } => {
            Ok(Said::thing(call(&call_approvals::decide(core, &caller, &id, false).await?)))
        }
    }
}

fn call(shown: &Shown) -> Value {
    let of = &shown.approval;
    json!({
        "id": of.id.to_string(),
        "stage": shown.stage.as_str(),
        "person": shown.person,
        "app": shown.app,
        "client_id": of.client_id,
        "grant_id": of.grant_id.to_string(),
        "server": shown.server.1,
        "method": of.method,
        "name": of.name,
        "arguments": shown.arguments,
        "rule_id": of.rule_id.to_string(),
        "reason": of.reason,
        "created_at": moment(Some(of.created_at)),
        "expires_at": moment(Some(of.expires_at)),
        "decided_at": moment(of.decided_at),
        "decided_by": of.decided_by,
    })
}
