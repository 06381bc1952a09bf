//! Whose calls a rule is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::UserId;
use super::resource::PassKind;
use super::user::Role;

/// One kind of caller, written `group:finance`, `role:reader`, `console:admin`, `kind:machine` or `client:ID`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Callers {
    /// The people of a group, by its exact name.
    Group(String),
    /// Whoever has this role at the server.
    Role(String),
    /// Whoever has this role in the console, or one above it.
    Console(Role),
    /// Whoever comes in this way.
    Kind(PassKind),
    /// Whoever comes through this client, by its exact id.
    Client(String),
}

/// How it is written, for messages and documents.
pub const CALLERS_FORM: &str =
    "group:NAME, role:NAME, console:member|auditor|admin, kind:app|grant_token|machine or client:ID";

impl Callers {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} names no callers; expected {CALLERS_FORM}");
        let (kind, value) = text.split_once(':').ok_or_else(bad)?;
        if value.is_empty() || value.len() > 2_048 || value.chars().any(char::is_control) {
            return Err(bad());
        }
        let value_of = || value.to_owned();
        match kind {
            "group" => Ok(Self::Group(value_of())),
            "role" => Ok(Self::Role(value_of())),
            "console" => Role::parse(value).map(Self::Console).ok_or_else(bad),
            "kind" => PassKind::parse(value).map(Self::Kind).ok_or_else(bad),
            "client" => Ok(Self::Client(value_of())),
            _ => Err(bad()),
        }
    }

    /// Whether it asks who somebody is, and not only how they come.
    #[must_use]
    pub const fn is_about_people(&self) -> bool {
        matches!(self, Self::Group(_) | Self::Role(_) | Self::Console(_))
    }

    fn is(&self, caller: &CallerFacts<'_>) -> bool {
        let person = caller.standing;
        match self {
            Self::Group(name) => person.is_some_and(|person| person.groups.contains(name)),
            Self::Role(name) => person.is_some_and(|person| person.roles.contains(name)),
            Self::Console(role) => person.is_some_and(|person| person.console >= *role),
            Self::Kind(kind) => caller.kind == *kind,
            Self::Client(id) => caller.client == id,
        }
    }
}

impl TryFrom<String> for Callers {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Callers> for String {
    fn from(callers: Callers) -> Self {
        callers.to_string()
    }
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Role(name) => write!(f, "role:{name}"),
            Self::Console(role) => write!(f, "console:{}", role.as_str()),
            Self::Kind(kind) => write!(f, "kind:{}", kind.as_str()),
            Self::Client(id) => write!(f, "client:{id}"),
        }
    }
}

/// Who somebody is, and what they are at a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Who.
    pub id: UserId,
    /// Their address.
    pub email: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// Their roles at the server.
    pub roles: Vec<String>,
    /// Their role in the console.
    pub console: Role,
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub struct CallerFacts<'a> {
    /// How they come.
    pub kind: PassKind,
    /// Through which client, by id.
    pub client: &'a str,
    /// What they are; nothing of a machine.
    pub standing: Option<&'a Standing>,
}

/// Whose calls a rule is about: everybody's but those of `except`, or of `only` where it names any.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CallerRule {
    /// It is about these alone.
    pub only: Vec<Callers>,
    /// It is not about these.
    pub except: Vec<Callers>,
}

impl CallerRule {
    /// Whether it is about this caller.
    #[must_use]
    pub fn covers(&self, caller: &CallerFacts<'_>) -> bool {
        let among = |list: &[Callers]| list.iter().any(|callers| callers.is(caller));
        (self.only.is_empty() || among(&self.only)) && !among(&self.except)
    }

    /// Reads what it is about, and what not.
    ///
    /// # Errors
    /// See [`Callers::parse`].
    pub fn parse(only: &[String], except: &[String]) -> Result<Self, String> {
        let read =
            |list: &[String]| list.iter().map(|text| Callers::parse(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self { only: read(only)?, except: read(except)? })
    }

    /// Whether it is about everybody.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.only.is_empty() && self.except.is_empty()
    }

    /// Whether it asks who somebody is.
    #[must_use]
    pub fn is_about_people(&self) -> bool {
        self.only.iter().chain(&self.except).any(Callers::is_about_people)
    }
}

impl fmt::Display for CallerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |callers: &[Callers]| callers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        match (self.only.is_empty(), self.except.is_empty()) {
            (true, true) => f.write_str("everybody"),
            (false, true) => f.write_str(&list(&self.only)),
            (true, false) => write!(f, "everybody but {}", list(&self.except)),
            (false, false) => write!(f, "{} but not {}", list(&self.only), list(&self.except)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SystemRng;
    use crate::types::time::Timestamp;

    #[test]
    fn a_rule_is_about_those_it_names() {
        let standing = Standing {
            id: UserId::new(Timestamp::from_seconds(0), &SystemRng),
            email: "ada@example.com".to_owned(),
            groups: vec!["finance".to_owned()],
            roles: vec!["reader".to_owned()],
            console: Role::Auditor,
        };
        let person =
            CallerFacts { kind: PassKind::App, client: "https://c.example/id", standing: Some(&standing) };
        let machine = CallerFacts { kind: PassKind::Machine, client: "robot", standing: None };
        let rule = |only: &[&str], except: &[&str]| {
            let read = |list: &[&str]| list.iter().map(|text| Callers::parse(text).unwrap()).collect();
            CallerRule { only: read(only), except: read(except) }
        };
        for (only, except, person_too, machine_too) in [
            (&[][..], &[][..], true, true),
            (&["group:finance"], &[], true, false),
            (&["group:Finance"], &[], false, false),
            (&[], &["group:finance"], false, true),
            (&["role:reader", "kind:machine"], &[], true, true),
            (&["console:member"], &[], true, false),
            (&["console:admin"], &[], false, false),
            (&["client:https://c.example/id"], &[], true, false),
            (&["kind:app"], &["client:https://c.example/id"], false, false),
        ] {
            let rule = rule(only, except);
            let found = (rule.covers(&person), rule.covers(&machine));
            assert_eq!(found, (person_too, machine_too), "{only:?} {except:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in
            ["group:a b:c", "role:reader", "console:auditor", "kind:grant_token", "client:https://c.example/"]
        {
            assert_eq!(Callers::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "group", "group:", "console:root", "kind:x", "person:a", "group:a\nb"] {
            assert!(Callers::parse(bad).is_err(), "{bad:?}");
        }
    }
}
