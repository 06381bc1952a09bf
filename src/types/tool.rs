//! Tools of an MCP server behind the gateway: what they can do, and the definition that an administrator, or the first
//! sight of the server, has pinned.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::resource::{ResourceScope, Risk};
use super::scope::ScopeSet;
use super::time::Timestamp;
use super::token::TokenDigest;

/// What a tool can do, from the least to the most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolClass {
    /// Looks at data.
    Read,
    /// Changes data.
    Write,
    /// Destroys data.
    Destructive,
    /// Changes who may do what, or how the server works.
    Admin,
}

impl ToolClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Destructive, Self::Admin];

    /// The name in commands, documents and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Admin => "admin",
        }
    }

    /// The inverse of [`ToolClass::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    /// The class that a tool's annotations name (MCP `ToolAnnotations`); none when they say nothing. What is not read-only is
    /// destructive unless it says otherwise, as the specification has it. A server is not believed that a tool is `admin`, nor
    /// that it is not: only an administrator says so.
    #[must_use]
    pub fn of_definition(definition: &Value) -> Option<Self> {
        let hints = definition.get("annotations")?;
        let hint = |name: &str| hints.get(name).and_then(Value::as_bool);
        match (hint("readOnlyHint"), hint("destructiveHint")) {
            (Some(true), _) => Some(Self::Read),
            (_, Some(false)) => Some(Self::Write),
            (Some(false), _) | (_, Some(true)) => Some(Self::Destructive),
            (None, None) => None,
        }
    }

    /// The class of calls that a scope stands for.
    #[must_use]
    pub fn of_scope(scope: &ResourceScope) -> Self {
        let words = || scope.name.split(|c: char| !c.is_ascii_alphanumeric());
        match scope.risk {
            Risk::Reads => Self::Read,
            Risk::Changes => Self::Write,
            Risk::Deletes if words().any(|word| word.eq_ignore_ascii_case("admin")) => Self::Admin,
            Risk::Deletes => Self::Destructive,
        }
    }
}

/// The scopes of which one is needed for a class: those of that class, or, where the server has none, of the next one up.
/// Empty when no scope goes that far; then nobody may.
#[must_use]
pub fn scopes_for(class: ToolClass, scopes: &[ResourceScope]) -> ScopeSet {
    let enough = || scopes.iter().filter(|scope| ToolClass::of_scope(scope) >= class);
    let least = enough().map(ToolClass::of_scope).min();
    enough()
        .filter(|scope| Some(ToolClass::of_scope(scope)) == least)
        .map(|scope| scope.name.as_str())
        .collect()
}

/// Whether a tool may be called at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolState {
    /// Its definition is pinned.
    Approved,
    /// Its definition is new without a class, or has changed: nobody calls it until an administrator has looked.
    Quarantined,
    /// An administrator has closed it.
    Blocked,
}

impl ToolState {
    /// The name in the database and in commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Quarantined => "quarantined",
            Self::Blocked => "blocked",
        }
    }

    /// The inverse of [`ToolState::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Approved, Self::Quarantined, Self::Blocked].into_iter().find(|state| state.as_str() == text)
    }
}

/// A tool as this gateway knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tool {
    /// Its name, unique at its server.
    pub name: String,
    /// Whether it may be called.
    pub state: ToolState,
    /// What it can do; none while nobody has said so.
    pub class: Option<ToolClass>,
    /// Whether an administrator has said so, and not the server.
    pub class_set: bool,
    /// Digest of the definition that counts; a call goes by this one.
    pub digest: TokenDigest,
    /// The definition that was seen last, as text: what an administrator looks at before approving it.
    pub seen: String,
    /// When a definition was last new.
    pub changed_at: Timestamp,
    /// Who approved it; none where it was the first sight of the server.
    pub approved_by: Option<String>,
}

/// The digest of a definition: over its members in the order of their names, so that nothing but a change of what it says
/// changes it.
#[must_use]
pub fn digest_of(definition: &Value) -> TokenDigest {
    TokenDigest::of(&canonical(definition))
}

/// A value as text, members in the order of their names.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                members.get(name).into_iter().for_each(|value| write(value, out));
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_is_what_the_annotations_say_and_never_less() {
        let of =
            |annotations: Value| ToolClass::of_definition(&json!({"name": "x", "annotations": annotations}));
        assert_eq!(of(json!({"readOnlyHint": true})), Some(ToolClass::Read));
        assert_eq!(of(json!({"readOnlyHint": false})), Some(ToolClass::Destructive));
        assert_eq!(of(json!({"readOnlyHint": false, "destructiveHint": false})), Some(ToolClass::Write));
        assert_eq!(of(json!({"destructiveHint": true})), Some(ToolClass::Destructive));
        assert_eq!(of(json!({"title": "x"})), None);
        assert_eq!(of(json!({"readOnlyHint": "true"})), None);
        assert_eq!(ToolClass::of_definition(&json!({"name": "x"})), None);
    }

    #[test]
    fn a_scope_covers_what_is_below_it_only_where_nothing_closer_does() {
        let scope = |name: &str, risk| ResourceScope {
            name: name.to_owned(),
            description: String::new(),
            risk,
            default: false,
        };
        let all =
            [scope("n:read", Risk::Reads), scope("n:write", Risk::Changes), scope("n:admin", Risk::Deletes)];
        let needed = |class| scopes_for(class, &all).to_string();
        assert_eq!(needed(ToolClass::Read), "n:read");
        assert_eq!(needed(ToolClass::Write), "n:write");
        assert_eq!(needed(ToolClass::Destructive), "n:admin", "nothing closer");
        assert_eq!(scopes_for(ToolClass::Destructive, &all[..2]).to_string(), "", "nobody may");
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_of_members() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"x":[1,2],"y":"z"}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":{"y":"z","x":[1,2]},"a":1}"#).unwrap();
        let three: Value = serde_json::from_str(r#"{"b":{"y":"z","x":[2,1]},"a":1}"#).unwrap();
        assert_eq!(digest_of(&one), digest_of(&two));
        assert_ne!(digest_of(&one), digest_of(&three));
    }
}
