//! Signing keys.

use schemars::JsonSchema;
use serde::Serialize;

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::shapes::Moment;
use crate::flow::keys::{self, KeyState};
use crate::types::admin::Permission;
use crate::types::key::SigningKey;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/keys",
        id: "listKeys",
        about: "Signing keys.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<Key>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/keys/rotate",
        id: "rotateKeys",
        about: "Publish the next keys now; they take over as soon as every server can have seen them.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<Key>>)),
        run: |call| Box::pin(rotate(call)),
    },
];

/// A signing key.
#[derive(Serialize, JsonSchema)]
struct Key {
    /// Its `kid`.
    kid: String,
    /// Its algorithm.
    alg: &'static str,
    /// `current`, `next` or `previous`.
    state: &'static str,
    /// When it was made.
    created_at: Moment,
    /// From when it signs.
    activates_at: Moment,
}

fn shown(all: &[(SigningKey, KeyState)]) -> Vec<Key> {
    all.iter()
        .map(|(key, state)| Key {
            kid: key.kid.clone(),
            alg: key.alg.as_str(),
            state: match state {
                KeyState::Current => "current",
                KeyState::Next => "next",
                KeyState::Previous => "previous",
            },
            created_at: Moment(key.created_at),
            activates_at: Moment(key.activates_at),
        })
        .collect()
}

async fn list(call: Call) -> Result<Answer, Problem> {
    Answer::of(&shown(&keys::list(&call.core).await?))
}

async fn rotate(call: Call) -> Result<Answer, Problem> {
    Answer::of(&shown(&keys::rotate(&call.core, &call.caller).await?))
}
