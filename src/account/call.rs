//! Who may do what through the gateway. One function decides a call and, from the same arguments, whether a tool stands in
//! somebody's list: what is shown is what may be called.

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
    Read,
    /// A method that the gateway does not know.
    Unknown,
}

impl<'a> Ask<'a> {
    /// What a method asks for; `name` is the tool's, where it calls one. The methods are those of all revisions from 2025-03-26
    /// to 2026-07-28. Tasks are not among them: everybody here shares one credential at the server, so that a task's id would be
    /// all that keeps one person from another's.
    #[must_use]
    pub fn of(method: &str, name: Option<&'a str>) -> Self {
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
            | "completion/complete" => Self::Read,
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
            Self::NotForThisToken => "token_for_other_tools",
            Self::UnknownMethod => "method_unknown",
        }
    }
}

/// Decides. `held` is what the caller's token allows, `scopes` what the server has, `tool` the tool that is asked for, as it
/// is pinned.
#[must_use]
pub fn decide(ask: Ask<'_>, held: &ScopeSet, scopes: &[ResourceScope], tool: Option<&Tool>) -> Verdict {
    match ask {
        Ask::Open => Verdict::Allowed(ToolClass::Read),
        Ask::Read => by_class(ToolClass::Read, held, scopes),
        Ask::Unknown => Verdict::UnknownMethod,
        Ask::Tool(_) => match tool {
            None => Verdict::UnknownTool,
            Some(Tool { state: ToolState::Blocked, .. }) => Verdict::Blocked,
            Some(Tool { state: ToolState::Approved, class: Some(class), .. }) => {
                by_class(*class, held, scopes)
            }
            Some(_) => Verdict::Quarantined,
        },
    }
}

fn by_class(class: ToolClass, held: &ScopeSet, scopes: &[ResourceScope]) -> Verdict {
    let needed = scopes_for(class, scopes);
    if needed.is_empty() {
        Verdict::OutOfReach(class)
    } else if needed.intersection(held).is_empty() {
        Verdict::NeedsOneOf(needed)
    } else {
        Verdict::Allowed(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn a_call_goes_by_the_pinned_tool_and_the_scopes_that_are_held() {
        let held = ScopeSet::parse("n:read").unwrap();
        let call = |state, class| decide(Ask::Tool("t"), &held, &scopes(), Some(&tool(state, class)));
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
        assert_eq!(decide(Ask::Tool("t"), &held, &scopes(), None), Verdict::UnknownTool);
    }

    #[test]
    fn what_is_not_known_does_not_go_through() {
        let all = ScopeSet::parse("n:read n:write").unwrap();
        for method in ["tasks/list", "tasks/get", "sampling/createMessage", "Tools/call", "tools/call ", ""] {
            assert_eq!(
                decide(Ask::of(method, None), &all, &scopes(), None),
                Verdict::UnknownMethod,
                "{method}"
            );
        }
        assert_eq!(Ask::of("tools/call", None), Ask::Tool(""), "a call without a name calls no tool");
    }

    #[test]
    fn whoever_holds_nothing_reads_nothing() {
        let none = ScopeSet::default();
        assert_eq!(
            decide(Ask::of("resources/read", None), &none, &scopes(), None),
            Verdict::NeedsOneOf(ScopeSet::parse("n:read").unwrap())
        );
        assert_eq!(
            decide(Ask::of("tools/list", None), &none, &scopes(), None),
            Verdict::Allowed(ToolClass::Read)
        );
    }
}
