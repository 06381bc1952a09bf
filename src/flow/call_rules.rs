//! Rules about calls to servers behind the gateway, as administrators make them.

use serde_json::json;

use super::core::{Caller, Core};
use super::live;
use super::people::OrderError;
use super::resources;
use crate::storage::{audit, call_rules, resources as rows};
use crate::types::audit::AuditKind;
use crate::types::call_rule::{CallRule, Condition, Effect, Subject};
use crate::types::callers::CallerRule;
use crate::types::id::{CallRuleId, ResourceId};
use crate::types::policy::{MAX_CALL_RULES, MAX_CONDITIONS, MAX_RULE_REASON};

/// Methods that a rule may be about, besides calls of tools.
pub const RULED_METHODS: [&str; 5] =
    ["prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe", "completion/complete"];

/// A rule to be made.
#[derive(Clone, Debug)]
pub struct NewRule {
    /// For which calls.
    pub subject: Subject,
    /// What all has to hold of them, as [`Condition::parse`] reads it.
    pub conditions: Vec<String>,
    /// Whose.
    pub callers: CallerRule,
    /// What becomes of them.
    pub effect: Effect,
    /// Why, in words that the caller gets to read.
    pub reason: String,
}

fn read(new: &NewRule) -> Result<Vec<Condition>, String> {
    if let Subject::Method(method) = &new.subject
        && !RULED_METHODS.contains(&method.as_str())
    {
        return Err(format!("a rule is about a tool, a class, or one of {}", RULED_METHODS.join(", ")));
    }
    let named = |name: &str| !name.is_empty() && name.len() <= 256 && !name.chars().any(char::is_control);
    if let Subject::Tool(name) = &new.subject
        && !named(name)
    {
        return Err("the name of the tool is missing or too long".to_owned());
    }
    let reason = &new.reason;
    if reason.is_empty() || reason.chars().count() > MAX_RULE_REASON || reason.chars().any(char::is_control) {
        return Err(format!("say why in one line of at most {MAX_RULE_REASON} characters"));
    }
    if new.callers.only.len() + new.callers.except.len() > MAX_CONDITIONS {
        return Err(format!("a rule names at most {MAX_CONDITIONS} kinds of callers"));
    }
    if new.conditions.len() > MAX_CONDITIONS {
        return Err(format!("a rule has at most {MAX_CONDITIONS} conditions"));
    }
    let conditions: Vec<Condition> =
        new.conditions.iter().map(|text| Condition::parse(text)).collect::<Result<_, _>>()?;
    let parts = ["name", "uri", "arguments"];
    match conditions.iter().find(|condition| !parts.contains(&condition.root())) {
        Some(other) if matches!(new.subject, Subject::Method(_)) => Err(format!(
            "the condition {:?} of a rule about a method has to begin with name, uri or arguments",
            other.as_str()
        )),
        _ => Ok(conditions),
    }
}

/// The rules of a server, oldest first.
///
/// # Errors
/// See [`OrderError`].
pub async fn list(core: &Core, uri: &str) -> Result<Vec<CallRule>, OrderError> {
    let resource = resources::find(core, uri).await?;
    Ok(core.store.read(move |tx| call_rules::of(tx, resource.id)).await?)
}

/// Makes a rule; it holds from the next call on, on every node within a second.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(core: &Core, caller: &Caller, uri: &str, new: NewRule) -> Result<CallRule, OrderError> {
    let conditions = read(&new).map_err(OrderError::Bad)?;
    let resource = resources::find(core, uri).await?;
    if resource.upstream.is_none() {
        return Err(OrderError::Bad("the server is not behind the gateway: it has no upstream".to_owned()));
    }
    let now = core.now();
    let rule = CallRule {
        id: CallRuleId::new(now, core.rng.as_ref()),
        resource_id: resource.id,
        subject: new.subject,
        conditions,
        callers: new.callers,
        effect: new.effect,
        reason: new.reason,
        created_at: now,
        created_by: caller.by.clone(),
    };
    let mut event = core.event(AuditKind::CallRuleMade, caller, now);
    event.resource_id = Some(resource.id);
    event.detail = told(&rule);
    let stored = rule.clone();
    let there_is_room = core
        .store
        .write(move |tx| {
            rows::hold(tx, stored.resource_id)?;
            if call_rules::of(tx, stored.resource_id)?.len() >= MAX_CALL_RULES {
                return Ok(false);
            }
            call_rules::insert(tx, &stored)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if !there_is_room {
        return Err(OrderError::Bad(format!("a server has at most {MAX_CALL_RULES} rules")));
    }
    live::refresh(core).await?;
    Ok(rule)
}

/// Removes a rule, one of `at` where that is given.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(
    core: &Core,
    caller: &Caller,
    id: &str,
    at: Option<ResourceId>,
) -> Result<CallRule, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no rule {id}; see `postern policy list`"));
    let parsed = CallRuleId::parse(id).ok_or_else(missing)?;
    let event = core.event(AuditKind::CallRuleRemoved, caller, core.now());
    let gone = core
        .store
        .write(move |tx| {
            let known = call_rules::list(tx)?.into_iter().find(|rule| rule.id == parsed);
            if known.is_none_or(|rule| at.is_some_and(|at| rule.resource_id != at)) {
                return Ok(None);
            }
            let Some(rule) = call_rules::remove(tx, parsed)? else { return Ok(None) };
            let mut event = event.clone();
            event.resource_id = Some(rule.resource_id);
            event.detail = told(&rule);
            audit::append(tx, &event)?;
            Ok(Some(rule))
        })
        .await?
        .ok_or_else(missing)?;
    live::refresh(core).await?;
    Ok(gone)
}

fn told(rule: &CallRule) -> serde_json::Value {
    let conditions: Vec<&str> = rule.conditions.iter().map(Condition::as_str).collect();
    json!({
        "rule": rule.id.to_string(),
        "subject": rule.subject.to_string(),
        "conditions": conditions,
        "callers": rule.callers.to_string(),
        "effect": rule.effect.as_str(),
        "reason": rule.reason,
    })
}
