//! Invitations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, CURSOR, Call, LIMIT, Operation, Rows, Verb, shape};
use super::people::RoleName;
use super::problem::Problem;
use super::shapes::Moment;
use crate::flow::invitations::{self, NewInvitation};
use crate::types::admin::Permission;
use crate::types::id::InvitationId;
use crate::types::mail::Invitation;
use crate::types::time::Timestamp;
use crate::types::user::Role;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/invitations",
        id: "listInvitations",
        about: "Invitations, newest first.",
        needs: Permission::Read,
        query: &[LIMIT, CURSOR],
        body: None,
        done: (200, Some(shape::<Rows<InvitationShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/invitations",
        id: "invite",
        about: "Invite somebody to make an account of their own, in place of an earlier invitation for the same address. The link is mailed; where no mail is sent it is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<PersonToInvite>),
        done: (201, Some(shape::<JustInvited>)),
        run: |call| Box::pin(invite(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/invitations/{id}",
        id: "takeInvitationBack",
        about: "Take an open invitation back; its link is dead.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(revoke(call)),
    },
];

/// Somebody to be invited.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PersonToInvite {
    /// E-mail address, with which they will sign in.
    #[schemars(length(max = 254), regex(pattern = r"^[!#-?A-~]+@[!#-?A-~]+$"))]
    email: String,
    /// Name to begin with.
    #[schemars(length(max = 200))]
    name: Option<String>,
    /// Role in the console; `member` when absent.
    role: Option<RoleName>,
    /// Groups.
    #[serde(default)]
    groups: Vec<String>,
}

/// An invitation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
struct InvitationShown {
    id: String,
    /// The address that the account will have.
    email: String,
    name: Option<String>,
    /// `member`, `auditor` or `admin`.
    role: &'static str,
    groups: Vec<String>,
    /// `open`, `accepted`, `revoked` or `expired`.
    state: &'static str,
    /// Who invited them.
    invited_by: String,
    created_at: Moment,
    expires_at: Moment,
}

/// An invitation that was just made.
#[derive(Serialize, JsonSchema)]
struct JustInvited {
    invitation: InvitationShown,
    /// The link, where no mail is sent here.
    link: Option<String>,
}

impl InvitationShown {
    fn of(of: &Invitation, now: Timestamp) -> Self {
        Self {
            id: of.id.to_string(),
            email: of.email.clone(),
            name: of.name.clone(),
            role: of.role.as_str(),
            groups: of.groups.clone(),
            state: of.state(now),
            invited_by: of.invited_by.clone(),
            created_at: Moment(of.created_at),
            expires_at: Moment(of.expires_at),
        }
    }
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let (limit, before) = (call.limit(), call.cursor(InvitationId::parse)?);
    let found = invitations::list(&call.core, before, limit + 1).await?;
    let now = call.core.now();
    let rows = found.iter().map(|one| InvitationShown::of(one, now)).collect();
    Answer::of(&Rows::cut(rows, limit, |row: &InvitationShown| row.id.clone()))
}

async fn invite(call: Call) -> Result<Answer, Problem> {
    let asked: PersonToInvite = call.read()?;
    let new = NewInvitation {
        email: asked.email,
        name: asked.name,
        role: asked.role.map_or(Role::Member, Role::from),
        groups: asked.groups,
    };
    let made = invitations::invite(&call.core, &call.caller, new).await?;
    let invitation = InvitationShown::of(&made.invitation, call.core.now());
    Answer::of(&JustInvited { invitation, link: made.link })
}

async fn revoke(call: Call) -> Result<Answer, Problem> {
    let id = call.id(InvitationId::parse)?;
    invitations::revoke(&call.core, &call.caller, &id.to_string()).await?;
    Ok(Answer::NOTHING)
}
