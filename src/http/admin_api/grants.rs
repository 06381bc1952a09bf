//! Standing approvals: the access map.

use schemars::JsonSchema;
use serde::Deserialize;

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::Approval;
use crate::flow::{access, access_map};
use crate::storage::access_map::{AccessFilter, Used};
use crate::storage::grants::GrantFilter;
use crate::types::admin::Permission;
use crate::types::client::ClientId;
use crate::types::cut;
use crate::types::grant::{Grant, GrantState};
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::network::Network;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/grants",
        id: "listGrants",
        about: "Approvals: who lets which app do what at which server; newest first.",
        needs: Permission::Read,
        query: &[
            query("person", Kind::Id, "Only this person’s."),
            query("client", Kind::Text, "Only this app’s, by client id."),
            query("server", Kind::Id, "Only those at this server."),
            query("ended", Kind::Flag, "Also what has ended."),
            query("email", Kind::Text, "Only those of people whose e-mail address begins so."),
            query("search", Kind::Text, "Only those of apps that have this in id, name or addresses."),
            query("domain", Kind::Text, "Only those of apps whose metadata document lives at this domain."),
            query("network", Kind::Text, "Only those last used from this address or block."),
            query(
                "state",
                Kind::OneOf(states),
                "Only those that stand so; a page may be short and yet not the last.",
            ),
            query("used_since", Kind::Moment, "Only those used since."),
            query("unused_since", Kind::Moment, "Only those not used since."),
            LIMIT,
            CURSOR,
        ],
        body: None,
        done: (200, Some(shape::<Rows<Approval>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/grants/{id}",
        id: "getGrant",
        about: "One approval.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Approval>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/grants/{id}",
        id: "narrowGrant",
        about: "Leave an approval only some of its permissions. Every token under it is dead when this returns.",
        needs: Permission::Revoke,
        query: &[],
        body: Some(shape::<Narrowing>),
        done: (200, Some(shape::<Approval>)),
        run: |call| Box::pin(narrow(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/grants/{id}",
        id: "revokeGrant",
        about: "End an approval. Every token under it is dead when this returns.",
        needs: Permission::Revoke,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(revoke(call)),
    },
];

fn states() -> Vec<&'static str> {
    GrantState::ALL.map(GrantState::as_str).to_vec()
}

/// What is to stay.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Narrowing {
    /// Permissions that stay; what the approval does not have cannot be added.
    #[schemars(length(min = 1))]
    scopes: Vec<String>,
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let text = |name| call.text(name).map(str::to_owned);
    let filter = AccessFilter {
        grants: GrantFilter {
            id: None,
            user_id: call.named("person", UserId::parse)?,
            client_id: call.named("client", ClientId::parse)?,
            resource_id: call.named("server", ResourceId::parse)?,
            ended_too: call.flag("ended"),
        },
        people: text("email"),
        apps: text("search"),
        servers: None,
        domain: call.named("domain", cut::domain)?,
        network: call.named("network", |text| Network::parse(text).ok())?,
        used: match (call.moment("used_since"), call.moment("unused_since")) {
            (None, None) => None,
            (Some(at), None) => Some(Used::Since(at)),
            (None, Some(at)) => Some(Used::NotSince(at)),
            (Some(_), Some(_)) => {
                return Err(Problem::refused("used_since and unused_since cannot both be there."));
            }
        },
        state: call.named("state", GrantState::parse)?,
    };
    let before = call.cursor(GrantId::parse)?;
    let (page, _) = access_map::page(&call.core, filter, before, call.limit()).await?;
    let rows = page.rows.iter().map(Approval::of).collect();
    Answer::of(&Rows::new(rows, page.next.map(|id| id.to_string())))
}

/// The approval that the path names.
async fn grant(call: &Call) -> Result<Grant, Problem> {
    let id = call.id(GrantId::parse)?;
    let filter = GrantFilter { id: Some(id), ended_too: true, ..GrantFilter::default() };
    let found = access::list(&call.core, filter).await?;
    found.into_iter().next().map(|access| access.grant).ok_or_else(Problem::missing)
}

async fn get(call: Call) -> Result<Answer, Problem> {
    Answer::of(&Approval::one(&call.core, grant(&call).await?).await?)
}

async fn narrow(call: Call) -> Result<Answer, Problem> {
    let wanted: Narrowing = call.read()?;
    let found = grant(&call).await?;
    let gone = || Problem::conflict("ended", "The approval has ended.");
    if !found.is_live(call.core.now()) {
        return Err(gone());
    }
    if wanted.scopes.iter().any(|scope| !found.scopes.contains(scope)) {
        return Err(Problem::Refused {
            status: 422,
            code: "refused",
            detail: "An approval can lose permissions here, not gain any.".to_owned(),
        });
    }
    let user = found.user_id.ok_or_else(|| {
        Problem::conflict(
            "no_person",
            "Nobody gave this approval: what an app may do for itself is set with the app.",
        )
    })?;
    let narrowed = access::narrow(&call.core, &call.caller, user, found.id, wanted.scopes).await?;
    let now = grant(&call).await?;
    if narrowed.is_none() && !now.is_live(call.core.now()) {
        return Err(gone());
    }
    Answer::of(&Approval::one(&call.core, now).await?)
}

async fn revoke(call: Call) -> Result<Answer, Problem> {
    let found = grant(&call).await?;
    let filter = GrantFilter { id: Some(found.id), ..GrantFilter::default() };
    access::revoke(&call.core, &call.caller, filter, "administrator").await?;
    Ok(Answer::NOTHING)
}
