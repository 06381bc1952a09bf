//! Who can do one thing at one server, and through what.

use schemars::JsonSchema;
use serde::Serialize;

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Query, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::Approval;
use crate::flow::roles::in_words;
use crate::flow::{access_map, who};
use crate::types::admin::Permission;
use crate::types::id::{GrantId, ResourceId};

const QUERY: &[Query] =
    &[query("permission", Kind::Text, "The permission, a scope of the server."), LIMIT, CURSOR];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/who",
        id: "listWhoCan",
        about: "People on whose behalf apps may be allowed one permission, through which roles, and under which approvals apps have it. A page may be short and yet not the last.",
        needs: Permission::Read,
        query: QUERY,
        body: None,
        done: (200, Some(shape::<Rows<MayDo>>)),
        run: |call| Box::pin(people(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/approvals",
        id: "listApprovalsWith",
        about: "Standing approvals that hold one permission, newest first; those of apps that act for themselves among them.",
        needs: Permission::Read,
        query: QUERY,
        body: None,
        done: (200, Some(shape::<Rows<Approval>>)),
        run: |call| Box::pin(approvals(call)),
    },
];

/// Somebody who may let apps do it.
#[derive(Serialize, JsonSchema)]
struct MayDo {
    /// The person.
    person_id: String,
    /// Their e-mail address.
    email: String,
    /// The roles that allow it; none where the server is open to everyone.
    through: Vec<RoleHeld>,
    /// The approvals under which apps have it.
    grants: Vec<Approval>,
}

/// A role, and as whom the person has it.
#[derive(Serialize, JsonSchema)]
struct RoleHeld {
    /// The role.
    role: String,
    /// As whom: `everyone`, `group …` or `this person`.
    holder: String,
}

/// The server and permission that are meant.
fn meant(call: &Call) -> Result<(ResourceId, String), Problem> {
    let id = call.id(ResourceId::parse)?;
    let view = call.core.live.view();
    let resource = view.resource_by_id(id).ok_or_else(Problem::missing)?;
    let scope = call.text("permission").unwrap_or_default();
    if !resource.scope_set().contains(scope) {
        return Err(Problem::refused("permission has to be there, and a scope of the server."));
    }
    Ok((id, scope.to_owned()))
}

async fn people(call: Call) -> Result<Answer, Problem> {
    let (id, scope) = meant(&call)?;
    let after = call.cursor(|key| Some(key.to_owned()))?.unwrap_or_default();
    let (found, next) = who::may_do(&call.core, id, scope, after, call.limit()).await?;
    let held = |(role, who): &(String, _)| RoleHeld {
        role: role.clone(),
        holder: in_words(who, |_| "this person".to_owned()),
    };
    let mut rows = Vec::with_capacity(found.len());
    for one in found {
        rows.push(MayDo {
            person_id: one.user.id.to_string(),
            email: one.user.email.clone(),
            through: one.through.iter().map(held).collect(),
            grants: Approval::all(&call.core, one.grants).await?,
        });
    }
    Answer::of(&Rows::new(rows, next))
}

async fn approvals(call: Call) -> Result<Answer, Problem> {
    let (id, scope) = meant(&call)?;
    let (before, limit) = (call.cursor(GrantId::parse)?, call.limit());
    let found = who::approvals(&call.core, id, scope, before, limit + 1).await?;
    let found = access_map::as_they_stand(&call.core, found).await?;
    Answer::of(&Rows::cut(found, limit, |row| row.grant.id.to_string()).map(|row| Approval::of(&row)))
}
