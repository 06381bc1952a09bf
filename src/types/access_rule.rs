//! Who may be granted what at an MCP server: roles, and who has them.

use serde::{Deserialize, Serialize};

use super::id::UserId;
use super::resource::{Resource, Risk};
use super::scope::ScopeSet;
use super::user::Role;

/// The rule of one server. While nobody has a role there, everyone may be granted everything; from the first role given
/// on, nobody may be granted what no role of theirs allows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AccessRule {
    /// Roles beside the [`Template`]s; one with a template's name takes its place.
    #[serde(default)]
    pub roles: Vec<NamedRole>,
    /// Who has which.
    #[serde(default)]
    pub holders: Vec<Holder>,
}

/// A role of one server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamedRole {
    /// Its name.
    pub name: String,
    /// What it allows.
    pub scopes: ScopeSet,
}

/// That somebody has a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holder {
    /// The role's name.
    pub role: String,
    /// Who has it.
    pub who: Who,
}

/// Who has a role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Everyone who can sign in.
    Everyone,
    /// The people of a group, by its exact name.
    Group(String),
    /// One person.
    Person(UserId),
    /// Whoever has this role in the console, or one above it.
    Console(Role),
}

/// The roles that every server has without being told: the risks of its permissions say what they allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Template {
    /// What looks at data.
    Reader,
    /// What looks at data or changes it.
    Injector,
    /// Everything.
    Maintainer,
}

impl Template {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Injector, Self::Maintainer];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Injector => "injector",
            Self::Maintainer => "maintainer",
        }
    }

    const fn covers(self, risk: Risk) -> bool {
        match (self, risk) {
            (_, Risk::Reads) | (Self::Injector, Risk::Changes) | (Self::Maintainer, _) => true,
            (Self::Reader, Risk::Changes | Risk::Deletes) | (Self::Injector, Risk::Deletes) => false,
        }
    }
}

impl AccessRule {
    /// Whether it says nothing, so that everyone may be granted everything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.holders.is_empty()
    }
}

impl Resource {
    /// What a role of this server allows; `None` when there is no such role.
    #[must_use]
    pub fn role_scopes(&self, name: &str) -> Option<ScopeSet> {
        if let Some(role) = self.access_rule.roles.iter().find(|role| role.name == name) {
            return Some(role.scopes.intersection(&self.scope_set()));
        }
        let template = Template::ALL.into_iter().find(|template| template.as_str() == name)?;
        let covered = self.scopes.iter().filter(|scope| template.covers(scope.risk));
        Some(covered.map(|scope| scope.name.clone()).collect())
    }

    /// The names of its roles: its own, then the templates it has not replaced.
    #[must_use]
    pub fn role_names(&self) -> Vec<&str> {
        let own = self.access_rule.roles.iter().map(|role| role.name.as_str());
        let mut names: Vec<&str> = own.collect();
        let templates = Template::ALL.into_iter().map(Template::as_str);
        let rest: Vec<&str> = templates.filter(|name| !names.contains(name)).collect();
        names.extend(rest);
        names
    }
}
