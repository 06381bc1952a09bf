//! Cedar policies about calls to a server behind the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::Moment;
use crate::flow::cedar::{self, Shown};
use crate::types::admin::Permission;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/cedar",
        id: "getCedarPolicies",
        about: "The Cedar policies of a server behind the gateway, as they were written; 404 where it has none.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<PoliciesShown>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/cedar",
        id: "setCedarPolicies",
        about: "Set them, in the place of those before. They only take away: permissions, classes of tools and rules decide first.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<PoliciesToSet>),
        done: (200, Some(shape::<PoliciesShown>)),
        run: |call| Box::pin(put(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/cedar",
        id: "removeCedarPolicies",
        about: "Remove them: permissions, classes of tools and rules decide alone again.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(delete(call)),
    },
];

/// Policies to be set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PoliciesToSet {
    /// In Cedar’s own language.
    #[schemars(length(min = 1, max = 32_768))]
    policies: String,
}

/// Policies.
#[derive(Serialize, JsonSchema)]
struct PoliciesShown {
    /// As they were written.
    policies: String,
    /// Their SHA-256 digest, in hexadecimal.
    digest: String,
    /// Since when.
    set_at: Moment,
    /// Who set them, where that was a person.
    set_by: Option<String>,
    /// What keeps them from being read, if anything does; then every call is refused.
    problem: Option<String>,
    /// What looks like a mistake, when they are set.
    warnings: Vec<String>,
}

impl PoliciesShown {
    fn of(shown: Shown, warnings: Vec<String>) -> Self {
        Self {
            policies: shown.policies,
            digest: shown.digest,
            set_at: Moment(shown.set_at),
            set_by: shown.set_by,
            problem: shown.problem,
            warnings,
        }
    }
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let shown = cedar::show(&call.core, server(&call)?.uri.as_str()).await?;
    Answer::of(&PoliciesShown::of(shown, Vec::new()))
}

async fn put(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let wanted: PoliciesToSet = call.read()?;
    let (shown, warnings) = cedar::set(&call.core, &call.caller, found.uri.as_str(), wanted.policies).await?;
    Answer::of(&PoliciesShown::of(shown, warnings))
}

async fn delete(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    cedar::remove(&call.core, &call.caller, found.uri.as_str()).await?;
    Ok(Answer::NOTHING)
}
