//! Policies in Cedar, for what scopes, classes and rules about calls cannot say. They only take away: what all of those allow has
//! to be permitted by the server's set, too.
//!
//! Cedar skips a policy that cannot be evaluated. A refusal that is skipped would let through what it is there to stop, so that a
//! call during which any policy fails is refused.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::str::FromStr as _;

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicyId, PolicySet, Request, RestrictedExpression as Expression,
};
use miette::Diagnostic as _;
use serde_json::Value;

use super::call::{Ask, By};
use crate::types::callers::Standing;
use crate::types::resource::PassKind;
use crate::types::tool::ToolClass;

/// Longest set, in bytes.
pub const MAX_CEDAR: usize = 64 * 1024;

/// Types of what a policy may name.
const TYPES: [&str; 9] =
    ["User", "Client", "Group", "Role", "Action", "Server", "Tool", "Prompt", "Resource"];
/// What is asked for: the methods that reach more than lists.
const ACTIONS: [&str; 6] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
];

/// The policies of one server.
#[derive(Clone, Debug)]
pub struct Policies {
    set: PolicySet,
    names: HashMap<PolicyId, String>,
}

/// Why a set refuses a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// These policies forbid it.
    Forbidden(Vec<String>),
    /// No policy permits it.
    NothingPermits,
    /// These policies cannot be evaluated about it; each with why.
    CannotTell(Vec<String>),
    /// The set cannot be read: nothing goes through.
    Broken,
}

impl Refusal {
    /// In words, for whoever calls.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Forbidden(names) => format!("A policy forbids it: {}.", names.join(", ")),
            Self::NothingPermits => "No policy permits it.".to_owned(),
            Self::CannotTell(why) => format!("A policy cannot be decided about it: {}.", why.join("; ")),
            Self::Broken => {
                "The policies of this server cannot be read, so that nothing goes through.".to_owned()
            }
        }
    }
}

impl Policies {
    /// Reads a set.
    ///
    /// # Errors
    /// What is wrong with it, a sentence for each fault, with line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        if text.len() > MAX_CEDAR {
            return Err(vec![format!("a set of policies has at most {} KiB", MAX_CEDAR / 1024)]);
        }
        let set = PolicySet::from_str(text).map_err(|errors| {
            errors
                .iter()
                .map(|error| {
                    let at = error.labels().and_then(|mut labels| labels.next()).map(|label| label.offset());
                    at.map_or_else(|| error.to_string(), |at| format!("{}: {error}", place(text, at)))
                })
                .collect::<Vec<_>>()
        })?;
        if set.num_of_templates() > 0 {
            return Err(vec![
                "a policy with ?principal or ?resource is a template, and nobody fills it in".to_owned(),
            ]);
        }
        if set.num_of_policies() == 0 {
            return Err(vec!["there is no policy in it; with none, nothing would be permitted".to_owned()]);
        }
        let mut names = HashMap::new();
        let mut wrong = Vec::new();
        for policy in set.policies() {
            let id = policy.id();
            let mut name = policy.annotation("id").map_or_else(|| id.to_string(), str::to_owned);
            if let Some(reason) = policy.annotation("reason") {
                let _ = write!(name, " ({reason})");
            }
            for entity in policy.entity_literals() {
                let kind = entity.type_name().to_string();
                let value: &str = entity.id().unescaped();
                if !TYPES.contains(&kind.as_str()) {
                    wrong
                        .push(format!("{name} names {entity}: there is no {kind}, but {}", TYPES.join(", ")));
                } else if kind == "Action" && !ACTIONS.contains(&value) {
                    wrong.push(format!(
                        "{name} names {entity}: there is no such action, but {}",
                        ACTIONS.join(", ")
                    ));
                }
            }
            names.insert(id.clone(), name);
        }
        if wrong.is_empty() { Ok(Self { set, names }) } else { Err(wrong) }
    }

    /// Decides about what scopes, classes and rules allow. Without arguments, as where a list is made, what depends on them is
    /// let through.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn decide(
        &self,
        (ask, class): (Ask<'_>, ToolClass),
        by: &By<'_>,
        server: &str,
        arguments: Option<&Value>,
    ) -> Result<(), Refusal> {
        let cannot = |why: &dyn std::fmt::Display| Refusal::CannotTell(vec![why.to_string()]);
        let (request, entities) = asked((ask, class), by, server, arguments).map_err(|why| cannot(&why))?;
        let answer = Authorizer::new().is_authorized(&request, &self.set, &entities);
        let name = |id: &PolicyId| self.names.get(id).cloned().unwrap_or_else(|| id.to_string());
        let mut failed: Vec<String> = answer
            .diagnostics()
            .errors()
            .map(|AuthorizationError::PolicyEvaluationError(error)| {
                format!("{}: {}", name(error.policy_id()), error.inner())
            })
            .collect();
        failed.sort_unstable();
        if arguments.is_some() && !failed.is_empty() {
            return Err(Refusal::CannotTell(failed));
        }
        match answer.decision() {
            Decision::Allow => Ok(()),
            Decision::Deny => {
                let mut forbid: Vec<String> = answer.diagnostics().reason().map(name).collect();
                forbid.sort_unstable();
                match (forbid.is_empty(), failed.is_empty()) {
                    (false, _) => Err(Refusal::Forbidden(forbid)),
                    (true, true) => Err(Refusal::NothingPermits),
                    // A list: the arguments will tell.
                    (true, false) => Ok(()),
                }
            }
        }
    }
}

/// Line and column of a byte, for people.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}")
}

fn entity(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The question, in Cedar's words.
fn asked(
    (ask, class): (Ask<'_>, ToolClass),
    by: &By<'_>,
    server: &str,
    arguments: Option<&Value>,
) -> Result<(Request, Entities), String> {
    let mut known = Vec::new();
    let kind = if by.facts.kind == PassKind::Machine { "Client" } else { "User" };
    let principal = entity(kind, by.sub)?;
    let standing = by.facts.standing;
    let mut parents = HashSet::new();
    let named = |of: fn(&Standing) -> &Vec<String>| standing.map(of).into_iter().flatten();
    for (kind, name) in named(|person| &person.groups)
        .map(|name| ("Group", name))
        .chain(named(|person| &person.roles).map(|name| ("Role", name)))
    {
        let parent = entity(kind, name)?;
        known.push(Entity::with_uid(parent.clone()));
        parents.insert(parent);
    }
    let console = standing.map(|person| person.console.as_str().to_owned());
    let attributes = console.map(|role| ("console".to_owned(), Expression::new_string(role)));
    let who = Entity::new(principal.clone(), attributes.into_iter().collect(), parents);
    known.push(who.map_err(|error| error.to_string())?);
    let place = entity("Server", server)?;
    let (method, what, class) = match ask {
        Ask::Tool(name) => ("tools/call", entity("Tool", name)?, Some(class)),
        Ask::Read { method, uri: Some(uri), .. } => (method, entity("Resource", uri)?, None),
        Ask::Read { method, name: Some(name), .. } => (method, entity("Prompt", name)?, None),
        Ask::Read { method, .. } => (method, place.clone(), None),
        Ask::Open | Ask::Unknown => return Err("it is no call".to_owned()),
    };
    let attributes =
        class.map(|class| ("class".to_owned(), Expression::new_string(class.as_str().to_owned())));
    known.push(Entity::with_uid(place.clone()));
    if what != place {
        let thing = Entity::new(what.clone(), attributes.into_iter().collect(), HashSet::from([place]));
        known.push(thing.map_err(|error| error.to_string())?);
    }
    let mut context = vec![
        ("client".to_owned(), Expression::new_string(by.facts.client.to_owned())),
        ("kind".to_owned(), Expression::new_string(by.facts.kind.as_str().to_owned())),
    ];
    if let Some(arguments) = arguments {
        let empty = Value::Object(serde_json::Map::new());
        let arguments = if arguments.is_null() { &empty } else { arguments };
        let mut path = String::from("arguments");
        if let Some(value) = converted(arguments, &mut path)? {
            context.push(("arguments".to_owned(), value));
        }
    }
    let context = Context::from_pairs(context).map_err(|error| error.to_string())?;
    let request = Request::new(principal, entity("Action", method)?, what, context, None);
    let entities = Entities::from_entities(known, None).map_err(|error| error.to_string())?;
    Ok((request.map_err(|error| error.to_string())?, entities))
}

/// A value in Cedar's terms. `null` is nothing. A number that Cedar cannot hold exactly is refused: left out, a policy that asks
/// whether it is there would be fooled.
fn converted(value: &Value, path: &mut String) -> Result<Option<Expression>, String> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(truth) => Expression::new_bool(*truth),
        Value::String(text) => Expression::new_string(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Expression::new_long(whole),
            (None, Some(number)) => fraction(number)
                .ok_or_else(|| format!("{path} is a number that policies cannot hold: {number}"))?,
            (None, None) => return Err(format!("{path} is a number that policies cannot hold")),
        },
        Value::Array(items) => {
            let length = path.len();
            let mut all = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                let _ = write!(path, ".{at}");
                all.extend(converted(item, path)?);
                path.truncate(length);
            }
            Expression::new_set(all)
        }
        Value::Object(members) => {
            let length = path.len();
            let mut all = Vec::with_capacity(members.len());
            for (name, member) in members {
                let _ = write!(path, ".{name}");
                if let Some(member) = converted(member, path)? {
                    all.push((name.clone(), member));
                }
                path.truncate(length);
            }
            Expression::new_record(all).map_err(|error| error.to_string())?
        }
    }))
}

/// A number with a fraction, if Cedar's `decimal` (four digits) holds exactly what was meant; one without is a whole number.
fn fraction(number: f64) -> Option<Expression> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.abs() >= EXACT / 10_000.0 {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is exact")]
        return (number.abs() < EXACT && number.fract() == 0.0).then(|| Expression::new_long(number as i64));
    }
    if number.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "it has no fraction and is exact")]
        return Some(Expression::new_long(number as i64));
    }
    let text = number.to_string();
    let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
    (digits <= 4 && !text.contains('e')).then(|| Expression::new_decimal(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::callers::CallerFacts;
    use crate::types::scope::ScopeSet;
    use crate::types::user::Role;

    const SERVER: &str = "https://auth.example/mcp/bank";

    fn decided(text: &str, ask: Ask<'_>, arguments: Option<&Value>) -> Result<(), Refusal> {
        let policies = Policies::parse(text).unwrap();
        let standing = Standing {
            groups: vec!["finance".to_owned()],
            roles: vec!["injector".to_owned()],
            console: Role::Auditor,
        };
        let facts =
            CallerFacts { kind: PassKind::App, client: "https://app.example/c", standing: Some(&standing) };
        let held = ScopeSet::default();
        let by = By { sub: "u-1", held: &held, facts };
        policies.decide((ask, ToolClass::Write), &by, SERVER, arguments)
    }

    fn called(text: &str, arguments: &Value) -> Result<(), Refusal> {
        decided(text, Ask::Tool("transfer"), Some(arguments))
    }

    const ALL: &str = "permit(principal, action, resource);";

    #[test]
    fn everything_that_is_known_can_be_asked_for() {
        for (policy, permitted) in [
            (ALL, true),
            (r#"permit(principal == User::"u-1", action, resource);"#, true),
            (r#"permit(principal == User::"u-2", action, resource);"#, false),
            (r#"permit(principal in Group::"finance", action == Action::"tools/call", resource);"#, true),
            (r#"permit(principal in Group::"sales", action, resource);"#, false),
            (r#"permit(principal in Role::"injector", action, resource == Tool::"transfer");"#, true),
            (r#"permit(principal, action == Action::"prompts/get", resource);"#, false),
            (r#"permit(principal, action, resource in Server::"https://auth.example/mcp/bank");"#, true),
            (r#"permit(principal, action, resource in Server::"https://auth.example/mcp/other");"#, false),
            (r#"permit(principal, action, resource) when { resource.class == "write" };"#, true),
            (r#"permit(principal, action, resource) when { principal.console == "auditor" };"#, true),
            (
                r#"permit(principal, action, resource) when { context.client like "https://app.example/*" };"#,
                true,
            ),
            (r#"permit(principal, action, resource) when { context.kind == "machine" };"#, false),
            ("permit(principal is User, action, resource is Tool);", true),
            ("permit(principal is Client, action, resource);", false),
            ("permit(principal, action, resource) when { context.arguments.amount <= 500 };", true),
            (r#"permit(principal, action, resource) when { context.arguments.to.contains("ada") };"#, true),
            ("permit(principal, action, resource) when { context.arguments.deep.er == true };", true),
            (r#"permit(principal, action, resource) when { context.arguments["odd name"] == 1 };"#, true),
            (
                r#"permit(principal, action, resource) when { context.arguments.rate.lessThan(decimal("1.5")) };"#,
                true,
            ),
        ] {
            let arguments = json!({
                "amount": 500, "to": ["ada", "grace"], "deep": {"er": true}, "odd name": 1.0, "rate": 1.25, "gone": null,
            });
            let outcome = called(policy, &arguments);
            assert_eq!(outcome.is_ok(), permitted, "{policy}: {outcome:?}");
            assert!(permitted || outcome == Err(Refusal::NothingPermits), "{policy}: {outcome:?}");
        }
        let read = Ask::Read { method: "resources/read", name: None, uri: Some("file:///a") };
        let only =
            r#"permit(principal, action == Action::"resources/read", resource == Resource::"file:///a");"#;
        assert_eq!(decided(only, read, Some(&Value::Null)), Ok(()));
    }

    #[test]
    fn a_refusal_wins_and_is_named() {
        let set = |condition: &str| {
            format!(
                "{ALL} @id(\"big\") @reason(\"Ask the treasurer\") forbid(principal, action, resource) when {{ {condition} }};"
            )
        };
        let big = set("context.arguments.amount > 100");
        assert_eq!(called(&big, &json!({"amount": 100})), Ok(()));
        let refused = called(&big, &json!({"amount": 101}));
        assert_eq!(refused, Err(Refusal::Forbidden(vec!["big (Ask the treasurer)".to_owned()])));
    }

    #[test]
    fn what_a_policy_cannot_judge_is_refused_and_never_skipped() {
        let plain =
            format!("{ALL} forbid(principal, action, resource) when {{ context.arguments.amount > 100 }};");
        let guarded = format!(
            "{ALL} forbid(principal, action, resource) when {{ context.arguments has amount && context.arguments.amount > 100 }};"
        );
        for amount in [
            json!("101"),
            json!(100.5),
            json!(1e300),
            json!(0.123_456_789),
            json!(18_446_744_073_709_551_615_u64),
            json!([101]),
            json!({"value": 101}),
            json!(true),
        ] {
            for policy in [&plain, &guarded] {
                let outcome = called(policy, &json!({ "amount": amount }));
                assert!(matches!(outcome, Err(Refusal::CannotTell(_))), "{amount}: {outcome:?}");
            }
        }
        assert!(
            matches!(called(&plain, &json!({})), Err(Refusal::CannotTell(_))),
            "nothing is there to compare"
        );
        assert_eq!(called(&guarded, &json!({})), Ok(()), "where the policy says that this is fine");
        for same in [json!(101), json!(101.0)] {
            assert!(
                matches!(called(&plain, &json!({ "amount": same })), Err(Refusal::Forbidden(_))),
                "{same}"
            );
        }
        // What Cedar's own JSON would take for more than data is data.
        let injected = json!({"who": {"__entity": {"type": "User", "id": "u-1"}}});
        let entity = "permit(principal, action, resource) when { context.arguments.who == principal };";
        assert_eq!(called(entity, &injected), Err(Refusal::NothingPermits));
    }

    #[test]
    fn a_list_shows_what_the_arguments_may_let_through() {
        let listed = |text: &str| decided(text, Ask::Tool("transfer"), None).is_ok();
        assert!(listed(ALL));
        assert!(listed("permit(principal, action, resource) when { context.arguments.amount <= 500 };"));
        assert!(listed(&format!(
            "{ALL} forbid(principal, action, resource) when {{ context.arguments.amount > 5 }};"
        )));
        assert!(!listed(r#"permit(principal in Group::"sales", action, resource);"#));
        assert!(!listed(&format!("{ALL} forbid(principal, action, resource == Tool::\"transfer\");")));
    }

    #[test]
    fn what_is_wrong_with_a_set_is_said_with_its_place() {
        for (text, said) in [
            ("permit(principal, action, resource)", "line 1, column 36"),
            ("// fine\npermit(principal, action, resource) when { principal.x = 1 };", "line 2"),
            ("", "there is no policy"),
            ("// nothing", "there is no policy"),
            ("permit(principal == ?principal, action, resource);", "template"),
            (r#"permit(principal, action == Action::"tool/call", resource);"#, "no such action"),
            (r#"forbid(principal == Person::"a", action, resource);"#, "no Person"),
            (r#"forbid(principal, action, resource) when { principal in Team::"x" };"#, "no Team"),
        ] {
            let why = Policies::parse(text).unwrap_err().join("\n");
            assert!(why.contains(said), "{text}: {why}");
        }
        assert!(Policies::parse(&format!("{ALL}{}", " ".repeat(MAX_CEDAR))).is_err());
    }
}
