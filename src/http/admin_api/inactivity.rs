//! People and apps that nothing is heard of.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::shapes::{Moment, at};
use crate::flow::inactivity::{self, Outlook};
use crate::types::admin::Permission;
use crate::types::inactivity::InactivityRule;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/inactivity",
        id: "listInactive",
        about: "People and apps that nothing is heard of, and what the rule in force does next. Empty while it is off.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<Inactive>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/inactivity/dry-run",
        id: "tryInactivityRule",
        about: "Whom another rule would warn, switch off and take approvals from, and when. Nothing is done.",
        needs: Permission::Read,
        query: &[],
        body: Some(shape::<NewInactivityRule>),
        done: (200, Some(shape::<Vec<Inactive>>)),
        run: |call| Box::pin(dry_run(call)),
    },
];

/// A rule. Each step comes after the one before.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "a number on the wire says its unit")]
struct NewInactivityRule {
    /// Seconds until the warning.
    #[schemars(range(min = 86_400, max = 315_360_000))]
    warn_seconds: u32,
    /// Seconds until the account or app is switched off.
    #[schemars(range(min = 86_400, max = 315_360_000))]
    disable_seconds: Option<u32>,
    /// Seconds until every approval ends.
    #[schemars(range(min = 86_400, max = 315_360_000))]
    revoke_seconds: Option<u32>,
}

/// Somebody that nothing is heard of.
#[derive(Serialize, JsonSchema)]
struct Inactive {
    /// `person` or `client`.
    kind: &'static str,
    /// Which.
    id: String,
    /// E-mail address, or name.
    name: String,
    /// The last sign of life.
    last_at: Moment,
    /// When there was a warning.
    warned_at: Option<Moment>,
    /// When they were switched off for it.
    disabled_at: Option<Moment>,
    /// When their approvals ended for it.
    revoked_at: Option<Moment>,
    /// What comes next: `warn`, `disable` or `revoke`.
    next: Option<&'static str>,
    /// When.
    next_at: Option<Moment>,
    /// Whether they stay as they are because nobody else could administer.
    spared: bool,
}

impl Inactive {
    fn of(one: &Outlook) -> Self {
        let note = one.note.as_ref();
        Self {
            kind: one.who.kind(),
            id: one.who.value(),
            name: one.name.clone(),
            last_at: Moment(one.last_at),
            warned_at: at(note.map(|note| note.warned_at)),
            disabled_at: at(note.and_then(|note| note.disabled_at)),
            revoked_at: at(note.and_then(|note| note.revoked_at)),
            next: one.next.map(|(step, _)| step.as_str()),
            next_at: at(one.next.map(|(_, at)| at)),
            spared: one.spared,
        }
    }
}

async fn answer(call: &Call, rule: InactivityRule) -> Result<Answer, Problem> {
    let found = inactivity::preview(&call.core, rule).await?;
    Answer::of(&found.iter().map(Inactive::of).collect::<Vec<_>>())
}

async fn list(call: Call) -> Result<Answer, Problem> {
    answer(&call, call.core.policy.inactivity).await
}

async fn dry_run(call: Call) -> Result<Answer, Problem> {
    let new: NewInactivityRule = call.read()?;
    let named = [Some(new.warn_seconds), new.disable_seconds, new.revoke_seconds];
    if named.into_iter().flatten().any(|seconds| !(86_400..=315_360_000).contains(&seconds)) {
        return Err(Problem::bad("each span is 86400 (a day) to 315360000 seconds (ten years)"));
    }
    let span = |seconds: u32| Duration::from_secs(seconds.into());
    let rule = InactivityRule {
        warn_after: Some(span(new.warn_seconds)),
        disable_after: new.disable_seconds.map(span),
        revoke_after: new.revoke_seconds.map(span),
    };
    answer(&call, rule).await
}
