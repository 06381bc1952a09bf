//! Whether policies can be read and mean what the schema knows: before they are set, in words and with places.

use std::collections::BTreeSet;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Effect, EntityUid, Policy, PolicySet, Schema, ValidationMode, Validator};

use super::schema::SCHEMA;
use crate::types::policy::MAX_CEDAR;

/// Problems that are told at once.
const TOLD: usize = 10;

/// Policies that may be set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// How many they are.
    pub count: usize,
    /// What looks like a mistake, in words.
    pub warnings: Vec<String>,
}

/// What is known of a server, to find names that are none.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Its URI.
    pub server: &'a str,
    /// Its roles.
    pub roles: &'a BTreeSet<String>,
    /// Its tools; nothing where none has been seen yet.
    pub tools: &'a BTreeSet<String>,
}

/// Reads policies.
pub(super) fn read(text: &str) -> Result<PolicySet, Vec<String>> {
    if text.len() > MAX_CEDAR {
        return Err(vec![format!("policies have at most {} KiB", MAX_CEDAR / 1024)]);
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(vec!["there is a control character; in a text it is written as \\u{…}".to_owned()]);
    }
    if let Some((line, why)) = super::depth::too_deep(text) {
        return Err(vec![format!("line {line}: {why}")]);
    }
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().take(TOLD).map(|error| told(&DetailedError::from(error), text)).collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        return Err(vec![format!(
            "{} is a template, with ?principal or ?resource in it, and nothing fills it in",
            template.annotation("id").map_or_else(|| template.id().to_string(), str::to_owned)
        )]);
    }
    if set.is_empty() {
        return Err(vec!["there is no policy, which would refuse every call".to_owned()]);
    }
    Ok(set)
}

/// Checks policies against the schema, and against what is known of a server.
///
/// # Errors
/// Everything that is wrong, each with its place.
pub fn check(text: &str, known: Option<Names<'_>>) -> Result<Checked, Vec<String>> {
    let set = read(text)?;
    let (schema, _) = Schema::from_cedarschema_str(SCHEMA)
        .map_err(|error| vec![format!("the schema cannot be read: {error}")])?;
    let found = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let wrong = |error: &cedar_policy::ValidationError| {
        let error = DetailedError::from(error);
        // The schema does not know what a tool takes.
        (!is_about_arguments(&error, text)).then(|| told(&error, text))
    };
    let wrong: BTreeSet<String> = found.validation_errors().filter_map(wrong).collect();
    if !wrong.is_empty() {
        return Err(wrong.into_iter().take(TOLD).collect());
    }
    let asks =
        |policy: Option<&Policy>| policy.is_some_and(|policy| policy.to_string().contains("arguments"));
    let mut warnings: BTreeSet<String> = found
        .validation_warnings()
        // What seems impossible may be what an argument decides.
        .filter(|warning| !asks(set.policy(warning.policy_id())))
        .map(|warning| told(&DetailedError::from(warning), text))
        .collect();
    if set.policies().all(|policy| policy.effect() == Effect::Forbid) {
        warnings.insert("no policy permits anything, so that every call is refused".to_owned());
    }
    if let Some(known) = known {
        let named = set.policies().flat_map(Policy::entity_literals);
        warnings.extend(named.filter_map(|entity| unknown(&entity, known)));
    }
    Ok(Checked { count: set.num_of_policies(), warnings: warnings.into_iter().take(TOLD).collect() })
}

/// What is said of a name that the server does not have.
fn unknown(entity: &EntityUid, known: Names<'_>) -> Option<String> {
    let id: &str = entity.id().unescaped();
    match entity.type_name().to_string().as_str() {
        "Tool" if !known.tools.contains(id) => Some(format!("the server has shown no tool {id:?}")),
        "Role" if !known.roles.contains(id) => Some(format!("the server has no role {id:?}")),
        "Server" if id != known.server => Some(format!("{id:?} is another server than {:?}", known.server)),
        _ => None,
    }
}

fn is_about_arguments(error: &DetailedError, text: &str) -> bool {
    let place = error.source_locations.first().map(|label| label.loc);
    place.and_then(|loc| text.get(loc.start..loc.end)).is_some_and(|part| part.contains("arguments"))
}

/// A problem in words, with its place.
fn told(error: &DetailedError, text: &str) -> String {
    let mut out = String::new();
    if let Some(before) = error.source_locations.first().and_then(|label| text.get(..label.loc.start)) {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        out = format!("line {line}, column {column}: ");
    }
    out.push_str(&error.message);
    let label = error.source_locations.first().and_then(|label| label.label.as_deref());
    for more in label.into_iter().chain(error.help.as_deref()) {
        out.push_str(" (");
        out.push_str(more);
        out.push(')');
    }
    out
}
