//! Who may do what through the gateway. One function decides a call and, from the same arguments, whether a tool stands in
//! somebody's list: what is shown is what may be called.

use serde_json::{Value, json};

use super::cedar::{Policies, Refusal};
use crate::types::call_rule::{CallRule, Effect, Subject};
use crate::types::callers::CallerFacts;
use crate::types::id::CallRuleId;
use crate::types::resource::ResourceScope;
use crate::types::scope::ScopeSet;
use crate::types::tool::{Tool, ToolClass, ToolState, scopes_for};

/// What a message asks of the server behind the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask<'a> {
    /// To begin, to end, to be told, to list: what anybody may who is let in. Lists are filtered.
    Open,
    /// To call a tool.
    Tool(&'a str),
    /// To read a resource, get a prompt, complete an argument, or be told when something changes.
    Read {
        /// The method.
        method: &'a str,
        /// The prompt's name.
        name: Option<&'a str>,
        /// The resource's URI.
        uri: Option<&'a str>,
    },
    /// A method that the gateway does not know.
    Unknown,
}

impl<'a> Ask<'a> {
    /// What a method asks for; `name` is the tool's or prompt's and `uri` the resource's, where it names one. The methods are those of all revisions from 2025-03-26
    /// to 2026-07-28. Tasks are not among them: everybody here shares one credential at the server, so that a task's id would be
    /// all that keeps one person from another's.
    #[must_use]
    pub fn of(method: &'a str, name: Option<&'a str>, uri: Option<&'a str>) -> Self {
        match method {
            "initialize"
            | "ping"
            | "server/discover"
            | "tools/list"
            | "prompts/list"
            | "resources/list"
            | "resources/templates/list"
            | "logging/setLevel"
            | "subscriptions/listen" => Self::Open,
            "tools/call" => Self::Tool(name.unwrap_or_default()),
            "prompts/get"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "completion/complete" => Self::Read { method, name, uri },
            _ if method.starts_with("notifications/") => Self::Open,
            _ => Self::Unknown,
        }
    }
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes through, as a call of this class.
    Allowed(ToolClass),
    /// One of these scopes is needed, and none is held.
    NeedsOneOf(ScopeSet),
    /// No scope of the server goes so far.
    OutOfReach(ToolClass),
    /// The server has no such tool, as far as is known here.
    UnknownTool,
    /// The tool's definition is new or has changed.
    Quarantined,
    /// An administrator has closed the tool.
    Blocked,
    /// A rule refuses it, for this reason.
    Denied(CallRuleId, String),
    /// A rule wants somebody to allow this very call first, of this class, for this reason.
    NeedsApproval(CallRuleId, String, ToolClass),
    /// The server's Cedar policies refuse it.
    CedarDenied(Refusal),
    /// The caller's token is for other tools only.
    NotForThisToken,
    /// No such method goes through.
    UnknownMethod,
}

impl Verdict {
    /// The name of the rule that decided, for the log.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "scope",
            Self::NeedsOneOf(_) => "scope_missing",
            Self::OutOfReach(_) => "no_scope_goes_so_far",
            Self::UnknownTool => "tool_unknown",
            Self::Quarantined => "tool_quarantined",
            Self::Blocked => "tool_blocked",
            Self::Denied(..) => "rule",
            Self::NeedsApproval(..) => "approval_required",
            Self::CedarDenied(_) => "cedar",
            Self::NotForThisToken => "token_for_other_tools",
            Self::UnknownMethod => "method_unknown",
        }
    }

    /// What else the log is told of a refusal.
    #[must_use]
    pub fn particulars(&self) -> Vec<(&'static str, Value)> {
        match self {
            Self::Denied(rule, _) => vec![("rule_id", rule.to_string().into())],
            Self::CedarDenied(refusal) => {
                vec![("because", refusal.name().into()), ("policies", refusal.policies().into())]
            }
            _ => Vec::new(),
        }
    }
}

/// What is known at a server, by which calls there are decided.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The server's scopes.
    pub scopes: &'a [ResourceScope],
    /// Its rules about calls.
    pub rules: &'a [CallRule],
    /// Its Cedar policies, where it has any.
    pub cedar: Option<&'a Policies>,
    /// The tool that is asked for, as it is pinned.
    pub tool: Option<&'a Tool>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// What their token allows.
    pub held: &'a ScopeSet,
    /// Who they are, as far as a rule asks.
    pub facts: CallerFacts<'a>,
}

/// Decides. `arguments` are those of the call; without them, as where a list is made,
/// rules with conditions about arguments are not yet met.
#[must_use]
pub fn decide(ask: Ask<'_>, by: By<'_>, known: Known<'_>, arguments: Option<&Value>) -> Verdict {
    let held = by.held;
    let verdict = match ask {
        Ask::Open => Verdict::Allowed(ToolClass::Read),
        Ask::Read { .. } => by_class(ToolClass::Read, held, known.scopes),
        Ask::Unknown => Verdict::UnknownMethod,
        Ask::Tool(_) => match known.tool {
            None => Verdict::UnknownTool,
            Some(Tool { state: ToolState::Blocked, .. }) => Verdict::Blocked,
            Some(Tool { state: ToolState::Approved, class: Some(class), .. }) => {
                by_class(*class, held, known.scopes)
            }
            Some(_) => Verdict::Quarantined,
        },
    };
    match verdict {
        Verdict::Allowed(class) if ask != Ask::Open => {
            let rules = known.rules.iter().filter(|rule| rule.callers.covers(&by.facts));
            by_policies(ask, by.facts, known.cedar, arguments, by_rules(ask, class, rules, arguments))
        }
        other => other,
    }
}

/// What the server's Cedar policies leave of a call that everything else lets through, now or once somebody allows it.
fn by_policies(
    ask: Ask<'_>,
    facts: CallerFacts<'_>,
    policies: Option<&Policies>,
    arguments: Option<&Value>,
    verdict: Verdict,
) -> Verdict {
    match (&verdict, policies) {
        (Verdict::Allowed(class) | Verdict::NeedsApproval(_, _, class), Some(policies)) => {
            let judged = policies.judge(ask, *class, facts, arguments);
            judged.map_or_else(Verdict::CedarDenied, |_| verdict)
        }
        _ => verdict,
    }
}

/// What the rules leave of a call that scopes allow. The strictest that is met counts.
fn by_rules<'a>(
    ask: Ask<'_>,
    class: ToolClass,
    rules: impl Iterator<Item = &'a CallRule>,
    arguments: Option<&Value>,
) -> Verdict {
    let met: Vec<&CallRule> = rules.filter(|rule| is_met(rule, ask, class, arguments)).collect();
    let first = |effect: Effect| met.iter().find(|rule| rule.effect == effect);
    if let Some(rule) = first(Effect::Deny) {
        return Verdict::Denied(rule.id, rule.reason.clone());
    }
    match first(Effect::Ask) {
        Some(rule) => Verdict::NeedsApproval(rule.id, rule.reason.clone(), class),
        None => Verdict::Allowed(class),
    }
}

fn is_met(rule: &CallRule, ask: Ask<'_>, class: ToolClass, arguments: Option<&Value>) -> bool {
    let all = |of: &Value| rule.conditions.iter().all(|condition| condition.holds(of));
    match (ask, &rule.subject) {
        (Ask::Tool(name), subject) => {
            let meant = match subject {
                Subject::EveryTool => true,
                Subject::Tool(tool) => tool == name,
                Subject::Class(least) => class >= *least,
                Subject::Method(_) => false,
            };
            meant && (rule.conditions.is_empty() || arguments.is_some_and(all))
        }
        (Ask::Read { method, name, uri }, Subject::Method(wanted)) if method == wanted => {
            let early = arguments.is_none();
            if early && rule.conditions.iter().any(|condition| !matches!(condition.root(), "name" | "uri")) {
                return false;
            }
            let mut parts = json!({});
            if let Some(parts) = parts.as_object_mut() {
                let texts = [("name", name), ("uri", uri)];
                parts
                    .extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.into()))));
                parts.extend(arguments.map(|arguments| ("arguments".to_owned(), arguments.clone())));
            }
            all(&parts)
        }
        _ => false,
    }
}

fn by_class(class: ToolClass, held: &ScopeSet, scopes: &[ResourceScope]) -> Verdict {
    let enough = scopes.iter().map(ToolClass::of_scope).filter(|reach| *reach >= class);
    let Some(least) = enough.min() else { return Verdict::OutOfReach(class) };
    let mut of_least = scopes.iter().filter(|scope| ToolClass::of_scope(scope) == least);
    if of_least.any(|scope| held.contains(&scope.name)) {
        Verdict::Allowed(class)
    } else {
        Verdict::NeedsOneOf(scopes_for(class, scopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::call_rule::Condition;
    use crate::types::callers::CallerRule;
    use crate::types::id::ResourceId;
    use crate::types::random::SystemRng;
    use crate::types::resource::PassKind;
    use crate::types::resource::Risk;
    use crate::types::time::Timestamp;
    use crate::types::token::TokenDigest;

    fn scopes() -> Vec<ResourceScope> {
        let scope = |name: &str, risk| ResourceScope {
            name: name.to_owned(),
            description: String::new(),
            risk,
            default: false,
        };
        vec![scope("n:read", Risk::Reads), scope("n:write", Risk::Changes)]
    }

    fn tool(state: ToolState, class: Option<ToolClass>) -> Tool {
        Tool {
            name: "t".to_owned(),
            state,
            class,
            class_set: false,
            digest: TokenDigest::of("x"),
            seen: String::new(),
            changed_at: Timestamp::from_seconds(0),
            approved_by: None,
        }
    }

    fn by(held: &ScopeSet) -> By<'_> {
        By { held, facts: CallerFacts { kind: PassKind::App, client: "app", standing: None } }
    }

    fn judged(ask: Ask<'_>, held: &ScopeSet, arguments: Option<&Value>) -> Verdict {
        decide(ask, by(held), Known { scopes: &scopes(), rules: &[], cedar: None, tool: None }, arguments)
    }

    fn rule(effect: Effect, subject: Subject, conditions: &[&str]) -> CallRule {
        let zero = Timestamp::from_seconds(0);
        CallRule {
            id: CallRuleId::new(zero, &SystemRng),
            resource_id: ResourceId::new(zero, &SystemRng),
            subject,
            conditions: conditions.iter().map(|text| Condition::parse(text).unwrap()).collect(),
            callers: CallerRule::default(),
            effect,
            reason: format!("{effect:?}"),
            created_at: zero,
            created_by: None,
        }
    }

    #[test]
    fn rules_only_take_away_and_the_strictest_counts() {
        let (all, scopes) = (ScopeSet::parse("n:read n:write").unwrap(), scopes());
        let write = tool(ToolState::Approved, Some(ToolClass::Write));
        let big = json!({"amount": 500});
        let call = |rules: &[CallRule], held: &ScopeSet, arguments: Option<&Value>| {
            let known = Known { scopes: &scopes, rules, cedar: None, tool: Some(&write) };
            match decide(Ask::Tool("t"), by(held), known, arguments) {
                Verdict::Denied(..) => "denied",
                Verdict::NeedsApproval(_, _, ToolClass::Write) => "ask",
                Verdict::Allowed(ToolClass::Write) => "allowed",
                Verdict::NeedsOneOf(_) => "scope",
                other => panic!("{other:?}"),
            }
        };
        let ask = |conditions| rule(Effect::Ask, Subject::Class(ToolClass::Write), conditions);
        let deny = |conditions| rule(Effect::Deny, Subject::Tool("t".to_owned()), conditions);
        assert_eq!(call(&[], &all, Some(&big)), "allowed");
        assert_eq!(call(&[ask(&[])], &all, Some(&big)), "ask");
        assert_eq!(call(&[ask(&[]), deny(&[])], &all, Some(&big)), "denied");
        assert_eq!(call(&[ask(&[]), deny(&["amount > 900"])], &all, Some(&big)), "ask");
        assert_eq!(call(&[deny(&["amount > 100", "to present"])], &all, Some(&big)), "allowed");
        assert_eq!(
            call(&[ask(&[])], &ScopeSet::parse("n:read").unwrap(), Some(&big)),
            "scope",
            "no rule gives"
        );
        // In a list: what nobody could call is not shown, what depends on arguments is.
        assert_eq!(call(&[deny(&[])], &all, None), "denied");
        assert_eq!(call(&[deny(&["amount > 100"])], &all, None), "allowed");
        for other in [
            rule(Effect::Deny, Subject::Tool("u".to_owned()), &[]),
            rule(Effect::Deny, Subject::Class(ToolClass::Destructive), &[]),
            rule(Effect::Deny, Subject::Method("tools/call".to_owned()), &[]),
        ] {
            assert_eq!(call(&[other], &all, Some(&big)), "allowed");
        }
    }

    #[test]
    fn rules_about_methods_look_at_name_uri_and_arguments() {
        let (held, scopes) = (ScopeSet::parse("n:read").unwrap(), scopes());
        let rules = [
            rule(Effect::Deny, Subject::Method("resources/read".to_owned()), &["uri ~ file:///secret/.*"]),
            rule(Effect::Deny, Subject::Method("prompts/get".to_owned()), &["arguments.who = root"]),
        ];
        let allowed = |method, name, uri, arguments: Option<&Value>| {
            let known = Known { scopes: &scopes, rules: &rules, cedar: None, tool: None };
            decide(Ask::of(method, name, uri), by(&held), known, arguments)
                == Verdict::Allowed(ToolClass::Read)
        };
        let none = Some(&Value::Null);
        assert!(!allowed("resources/read", None, Some("file:///secret/a"), none));
        assert!(!allowed("resources/read", None, Some("file:///secret/a"), None), "nor is it listed");
        assert!(allowed("resources/read", None, Some("file:///open/a"), none));
        assert!(allowed("resources/subscribe", None, Some("file:///secret/a"), none), "another method");
        assert!(!allowed("prompts/get", Some("greet"), None, Some(&json!({"who": "root"}))));
        assert!(allowed("prompts/get", Some("greet"), None, Some(&json!({"who": "ada"}))));
        assert!(allowed("prompts/get", Some("greet"), None, None), "a list knows no arguments");
    }

    #[test]
    fn a_call_goes_by_the_pinned_tool_and_the_scopes_that_are_held() {
        let held = ScopeSet::parse("n:read").unwrap();
        let call = |state, class| {
            let (scopes, tool) = (scopes(), tool(state, class));
            decide(
                Ask::Tool("t"),
                by(&held),
                Known { scopes: &scopes, rules: &[], cedar: None, tool: Some(&tool) },
                None,
            )
        };
        let (read, write) = (Some(ToolClass::Read), Some(ToolClass::Write));
        assert_eq!(call(ToolState::Approved, read), Verdict::Allowed(ToolClass::Read));
        assert_eq!(
            call(ToolState::Approved, write),
            Verdict::NeedsOneOf(ScopeSet::parse("n:write").unwrap())
        );
        assert_eq!(
            call(ToolState::Approved, Some(ToolClass::Destructive)),
            Verdict::OutOfReach(ToolClass::Destructive)
        );
        assert_eq!(call(ToolState::Approved, None), Verdict::Quarantined, "nobody has said what it can do");
        assert_eq!(call(ToolState::Quarantined, read), Verdict::Quarantined);
        assert_eq!(call(ToolState::Blocked, read), Verdict::Blocked);
        assert_eq!(judged(Ask::Tool("t"), &held, None), Verdict::UnknownTool);
    }

    #[test]
    fn what_is_not_known_does_not_go_through() {
        let all = ScopeSet::parse("n:read n:write").unwrap();
        for method in ["tasks/list", "tasks/get", "sampling/createMessage", "Tools/call", "tools/call ", ""] {
            assert_eq!(judged(Ask::of(method, None, None), &all, None), Verdict::UnknownMethod, "{method}");
        }
        assert_eq!(Ask::of("tools/call", None, None), Ask::Tool(""), "a call without a name calls no tool");
    }

    #[test]
    fn whoever_holds_nothing_reads_nothing() {
        let none = ScopeSet::default();
        assert_eq!(
            judged(Ask::of("resources/read", None, None), &none, None),
            Verdict::NeedsOneOf(ScopeSet::parse("n:read").unwrap())
        );
        assert_eq!(judged(Ask::of("tools/list", None, None), &none, None), Verdict::Allowed(ToolClass::Read));
    }
}
