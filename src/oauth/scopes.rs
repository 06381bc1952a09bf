//! Which scopes a request comes down to at each resource (RFC 6749 §3.3, RFC 8707 §2).

use super::refusal::Reason;
use crate::types::resource::Resource;
use crate::types::scope::{OFFLINE_ACCESS, ScopeSet};

/// What a request asks for, after everything that cannot be granted has been dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// One set a resource, in the order of the request; a resource with nothing left is gone.
    pub by_resource: Vec<(Resource, ScopeSet)>,
    /// Whether `offline_access` was asked for.
    pub offline: bool,
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Resource {}

/// Drops what the resources do not have: real clients ask for too much. A request without scope gets the defaults.
///
/// # Errors
/// A malformed scope, or nothing left.
pub fn resolve(scope: Option<&str>, resources: Vec<Resource>) -> Result<Asked, Reason> {
    let asked = ScopeSet::parse(scope.unwrap_or_default()).map_err(|_| Reason::MalformedScope)?;
    let offline = asked.contains(OFFLINE_ACCESS);
    let asked: ScopeSet = asked.iter().filter(|scope| *scope != OFFLINE_ACCESS).collect();
    let by_resource: Vec<_> = resources
        .into_iter()
        .map(|resource| {
            let known = resource.scope_set();
            let scopes =
                if asked.is_empty() { resource.default_scopes() } else { asked.intersection(&known) };
            (resource, scopes, known.is_empty())
        })
        .filter(|(_, scopes, scopeless)| *scopeless || !scopes.is_empty())
        .map(|(resource, scopes, _)| (resource, scopes))
        .collect();
    if by_resource.is_empty() { Err(Reason::NoScopeLeft) } else { Ok(Asked { by_resource, offline }) }
}

/// What a token request may narrow the granted scopes to (RFC 6749 §6).
///
/// # Errors
/// A malformed scope, or nothing left.
pub fn narrow(scope: Option<&str>, granted: &ScopeSet) -> Result<ScopeSet, Reason> {
    let Some(text) = scope else { return Ok(granted.clone()) };
    let asked = ScopeSet::parse(text).map_err(|_| Reason::MalformedScope)?;
    let asked: ScopeSet = asked.iter().filter(|scope| *scope != OFFLINE_ACCESS).collect();
    if asked.is_empty() {
        return Ok(granted.clone());
    }
    let left = asked.intersection(granted);
    if left.is_empty() { Err(Reason::NoScopeLeft) } else { Ok(left) }
}
