//! What a person may be granted at a server: groups, then roles, then permissions. What no role allows cannot be granted.

use crate::types::access_rule::{Holder, Who};
use crate::types::callers::Standing;
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::user::User;

/// What one person may be granted at one server, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Permitted {
    /// Whether they may be granted access at all; a server without permissions knows nothing finer.
    pub at_all: bool,
    /// The permissions.
    pub scopes: ScopeSet,
    /// Through which role, and whether as everyone, in a group, or by name. Empty where the server has no rule.
    pub through: Vec<(String, Who)>,
}

/// Decides it.
#[must_use]
pub fn permitted(resource: &Resource, user: &User) -> Permitted {
    let rule = &resource.access_rule;
    if rule.is_open() {
        return Permitted { at_all: true, scopes: resource.scope_set(), through: Vec::new() };
    }
    let mut scopes = ScopeSet::default();
    let mut through = Vec::new();
    for (holder, allowed) in held(resource, user) {
        scopes = scopes.union(&allowed);
        through.push((holder.role.clone(), holder.who.clone()));
    }
    Permitted { at_all: !through.is_empty(), scopes, through }
}

/// The roles that somebody has at a server, and what each allows.
fn held<'a>(resource: &'a Resource, user: &User) -> impl Iterator<Item = (&'a Holder, ScopeSet)> {
    resource.access_rule.holders.iter().filter_map(|holder| {
        let applies = match &holder.who {
            Who::Everyone => true,
            Who::Group(name) => user.groups.contains(name),
            Who::Person(id) => *id == user.id,
            Who::Console(role) => user.role >= *role,
        };
        let allowed = applies.then(|| resource.role_scopes(&holder.role)).flatten()?;
        Some((holder, allowed))
    })
}

/// What somebody is at a server, for rules about calls.
#[must_use]
pub fn standing(resource: &Resource, user: &User) -> Standing {
    Standing {
        id: user.id,
        email: user.email.clone(),
        groups: user.groups.clone(),
        roles: held(resource, user).map(|(holder, _)| holder.role.clone()).collect(),
        console: user.role,
    }
}

impl Permitted {
    /// What of `scopes` may be granted; `None` when nothing may.
    #[must_use]
    pub fn left_of(&self, scopes: &ScopeSet) -> Option<ScopeSet> {
        let left = scopes.intersection(&self.scopes);
        (self.at_all && (!left.is_empty() || scopes.is_empty())).then_some(left)
    }
}
