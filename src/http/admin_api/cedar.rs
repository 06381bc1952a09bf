//! Policies in Cedar about calls to servers behind the gateway.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::Moment;
use crate::flow::cedar::{self, Written};
use crate::types::admin::Permission;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/cedar",
        id: "getCedarPolicies",
        about: "The policies in Cedar about calls to a server behind the gateway.",
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
        about: "Set them. They only take away: what permissions, classes and rules allow has to be permitted by them, too.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<PoliciesWanted>),
        done: (200, Some(shape::<PoliciesShown>)),
        run: |call| Box::pin(put(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/cedar",
        id: "removeCedarPolicies",
        about: "Remove them: then everything else decides alone.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
];

/// The policies of a server; absent members where it has none.
#[derive(Serialize, JsonSchema)]
struct PoliciesShown {
    /// As they were written.
    policies: Option<String>,
    /// Since when they hold.
    changed_at: Option<Moment>,
    /// Whether they cannot be read by this version, so that nothing goes through.
    broken: bool,
}

impl PoliciesShown {
    fn of(written: Option<Written>) -> Self {
        match written {
            None => Self { policies: None, changed_at: None, broken: false },
            Some(Written { text, changed_at, is_broken }) => {
                Self { policies: Some(text), changed_at: Some(Moment(changed_at)), broken: is_broken }
            }
        }
    }
}

/// Policies to be set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PoliciesWanted {
    /// In Cedar.
    #[schemars(length(min = 1, max = 65_536))]
    policies: String,
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    Answer::of(&PoliciesShown::of(cedar::find(&call.core, found.uri.as_str()).await?))
}

async fn put(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let PoliciesWanted { policies } = call.read()?;
    cedar::set(&call.core, &call.caller, found.uri.as_str(), policies).await?;
    Answer::of(&PoliciesShown::of(cedar::find(&call.core, found.uri.as_str()).await?))
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    cedar::remove(&call.core, &call.caller, found.uri.as_str()).await?;
    Ok(Answer::NOTHING)
}
