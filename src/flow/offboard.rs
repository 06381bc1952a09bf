//! Somebody leaves: everything of theirs ends in one transaction, with a report of what they could reach.

use std::sync::Arc;

use super::core::{Caller, Core};
use super::cut::{By, Order, cut_of, end_all, record};
use super::give_back;
use super::live;
use super::people::OrderError;
use crate::storage::grants::GrantFilter;
use crate::storage::{audit, cuts, families, grants, resources, users};
use crate::types::audit::AuditKind;
use crate::types::client::ClientId;
use crate::types::cut::{Cut, Kind, Target};
use crate::types::id::{AuditId, CutId, UserId};
use crate::types::time::Timestamp;

/// One thing that a person could reach.
#[derive(Clone, Debug)]
pub struct Reach {
    /// Through which client.
    pub client_id: ClientId,
    /// At which MCP server.
    pub resource: String,
    /// Doing what.
    pub scopes: Vec<String>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Offboarded {
    /// The cut.
    pub cut: Cut,
    /// What they could reach until now.
    pub reached: Vec<Reach>,
}

/// Switches a person off and ends their approvals, refresh tokens, access tokens, sessions, password and further factors.
///
/// # Errors
/// See [`OrderError`].
pub async fn offboard(
    core: &Core,
    caller: &Caller,
    by: By,
    user: UserId,
    reason: String,
) -> Result<Offboarded, OrderError> {
    let now = core.now();
    let reason = if reason.trim().is_empty() { "left".to_owned() } else { reason };
    let order = Order { target: Target::Person(user), kind: Kind::Revoke, reason, by };
    let id = CutId::new(now, core.rng.as_ref());
    let event = core.event(AuditKind::AccessCut, caller, now);
    let rng = Arc::clone(&core.rng);
    // First: what is given back is sealed outside the database, and whoever is offboarded twice loses nothing by it.
    give_back::everywhere(core, caller, user).await?;
    let done = core
        .store
        .write(move |tx| {
            let Some(person) = users::find(tx, user)? else { return Ok(None) };
            let mut reached = Vec::new();
            let filter = GrantFilter { user_id: Some(user), ..GrantFilter::default() };
            for grant in grants::list(tx, &filter)?.into_iter().filter(|grant| grant.is_live(now)) {
                let resource = resources::find(tx, grant.resource_id)?;
                reached.push(Reach {
                    client_id: grant.client_id,
                    resource: resource.map_or_else(String::new, |resource| resource.uri.to_string()),
                    scopes: grant.scopes.iter().map(str::to_owned).collect(),
                    last_used_at: grant.last_used_at,
                });
            }
            let impact = cuts::preview(tx, &order.target, &[], now)?;
            let mut new = cut_of(id, &order, (person.email.clone(), Vec::new(), impact), now);
            end_all(tx, &new, &event, rng.as_ref(), now)?;
            families::revoke_by_user(tx, user, now)?;
            users::forget_factors(tx, user, now)?;
            users::set_disabled(tx, user, Some(now), now)?;
            new.applied_at = Some(now);
            cuts::insert(tx, &new)?;
            audit::append(tx, &record(&event, &new))?;
            let mut left = event.clone();
            left.id = AuditId::new(now, rng.as_ref());
            left.kind = AuditKind::UserOffboarded;
            left.user_id = Some(user);
            left.detail = serde_json::json!({
                "cut": new.id,
                "email": person.email,
                "by": new.by_name,
                "reached": reached.len(),
            });
            audit::append(tx, &left)?;
            Ok(Some(Offboarded { cut: new, reached }))
        })
        .await?;
    live::refresh(core).await?;
    done.ok_or_else(|| OrderError::NotFound("there is no such person".to_owned()))
}
