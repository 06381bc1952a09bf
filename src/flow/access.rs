//! Standing approvals as people and administrators see and end them.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::hold::hold_on;
use super::live::{self, View};
use super::people::OrderError;
use crate::account::cut::Hold;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, Tx, audit, clients, families, grants, resources, users};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientId};
use crate::types::fingerprint::Fingerprint;
use crate::types::grant::{Grant, GrantState};
use crate::types::id::{GrantId, UserId};
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;
use crate::types::user::User;

/// A grant with the things it joins.
#[derive(Clone, Debug)]
pub struct Access {
    /// The grant.
    pub grant: Grant,
    /// Its person.
    pub user: Option<User>,
    /// Its client, while it exists.
    pub client: Option<Client>,
    /// Its resource.
    pub resource: Option<Resource>,
}

/// How an approval stands. `signed_in` is when its person last signed in for the app, as far as it is known.
#[must_use]
pub fn state(
    view: &View,
    grant: &Grant,
    client: Option<&Client>,
    signed_in: Option<Timestamp>,
    now: Timestamp,
) -> GrantState {
    let changed = grant.user_id.is_some()
        && client.is_some_and(|client| !Fingerprint::read(&grant.client_fingerprint).rests_on(client));
    match hold_on(view, grant, signed_in, now) {
        _ if grant.revoked_at.is_some() => GrantState::Ended,
        _ if !grant.is_live(now) => GrantState::Expired,
        Some(Hold::Stopped) => GrantState::Stopped,
        Some(Hold::SignInDue) => GrantState::SignInDue,
        Some(Hold::ConsentDue) => GrantState::ConsentDue,
        None if changed => GrantState::ConsentDue,
        None if grant.narrowed_at.is_some() => GrantState::Narrowed,
        None => GrantState::Active,
    }
}

/// The grants that are meant, newest first.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, filter: GrantFilter) -> Result<Vec<Access>, Fault> {
    let now = core.now();
    Ok(core
        .store
        .read(move |tx| {
            let found = grants::list(tx, &filter)?;
            let kept = found.into_iter().filter(|grant| filter.ended_too || grant.is_live(now));
            kept.map(|grant| join(tx, grant)).collect()
        })
        .await?)
}

fn join(tx: &mut Tx<'_>, grant: Grant) -> Result<Access, StoreError> {
    Ok(Access {
        user: grant.user_id.map_or(Ok(None), |id| users::find(tx, id))?,
        client: clients::find(tx, &grant.client_id)?,
        resource: resources::find(tx, grant.resource_id)?,
        grant,
    })
}

/// Whose access is to end; the words of the command line, looked up.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// One grant.
    pub id: Option<String>,
    /// A person's e-mail.
    pub user: Option<String>,
    /// A client's id.
    pub client: Option<String>,
    /// A resource's URL.
    pub resource: Option<String>,
}

/// Looks up what a target names.
///
/// # Errors
/// See [`OrderError`].
pub async fn filter_of(core: &Core, target: &Target) -> Result<GrantFilter, OrderError> {
    let mut filter = GrantFilter::default();
    if let Some(id) = &target.id {
        filter.id = Some(
            GrantId::parse(id).ok_or_else(|| OrderError::Bad(format!("{id:?} is not the id of a grant")))?,
        );
    }
    if let Some(email) = &target.user {
        filter.user_id = Some(super::people::find(core, email).await?.id);
    }
    if let Some(id) = &target.client {
        let id = ClientId::parse(id)
            .ok_or_else(|| OrderError::Bad(format!("{id:?} is not the id of a client")))?;
        let known = id.clone();
        if core.store.lookup(move |tx| clients::find(tx, &known)).await?.is_none() {
            return Err(OrderError::NotFound(format!("there is no client {id}; see `postern client list`")));
        }
        filter.client_id = Some(id);
    }
    if let Some(uri) = &target.resource {
        filter.resource_id = Some(super::resources::find(core, uri).await?.id);
    }
    Ok(filter)
}

/// Takes permissions of one of a person's grants back: only what is in `keep` stays, and nothing can be added. Every
/// token under it is dead when this returns; the app gets new ones that say what is left. `None` when there is no such
/// grant, or nothing would change.
///
/// # Errors
/// A fault.
pub async fn narrow(
    core: &Core,
    caller: &Caller,
    user: UserId,
    id: GrantId,
    keep: Vec<String>,
) -> Result<Option<Grant>, Fault> {
    let now = core.now();
    let event = core.event(AuditKind::GrantNarrowed, caller, now);
    let narrowed = core
        .store
        .write(move |tx| {
            let found =
                grants::find(tx, id)?.filter(|grant| grant.user_id == Some(user) && grant.is_live(now));
            let Some(grant) = found else { return Ok(None) };
            let kept: ScopeSet =
                grant.scopes.iter().filter(|scope| keep.iter().any(|k| k == scope)).collect();
            if kept == grant.scopes {
                return Ok(None);
            }
            let mut event = event.clone();
            event.user_id = Some(user);
            event.client_id = Some(grant.client_id.clone());
            event.grant_id = Some(grant.id);
            event.resource_id = Some(grant.resource_id);
            event.detail = serde_json::json!({ "scope": kept, "was": grant.scopes });
            if kept.is_empty() {
                let filter = GrantFilter { id: Some(id), user_id: Some(user), ..GrantFilter::default() };
                grants::revoke(tx, &filter, "removed by the person", now)?;
                event.kind = AuditKind::GrantRevoked;
            } else {
                grants::narrow(tx, &grant, &kept, now)?;
            }
            audit::append(tx, &event)?;
            Ok(Some(Grant { scopes: kept, ..grant }))
        })
        .await?;
    live::refresh(core).await?;
    Ok(narrowed)
}

/// Ends the grants that are meant: every token under them is dead when this returns. Returns what was ended.
///
/// # Errors
/// A fault.
pub async fn revoke(
    core: &Core,
    caller: &Caller,
    filter: GrantFilter,
    reason: &'static str,
) -> Result<Vec<Grant>, Fault> {
    let now = core.now();
    let event = core.event(AuditKind::GrantRevoked, caller, now);
    let rng = std::sync::Arc::clone(&core.rng);
    let ended = core
        .store
        .write(move |tx| {
            let ended = grants::revoke(tx, &filter, reason, now)?;
            // A refresh token whose approvals have all ended gives nothing; where a whole person or client is cut,
            // its families end too, so that nothing of them can come back.
            if filter.resource_id.is_none() && filter.id.is_none() {
                if let Some(user) = filter.user_id.filter(|_| filter.client_id.is_none()) {
                    families::revoke_by_user(tx, user, now)?;
                }
                if let Some(client) = filter.client_id.as_ref().filter(|_| filter.user_id.is_none()) {
                    families::revoke_by_client(tx, client, now)?;
                }
            }
            for grant in &ended {
                let mut event = event.clone();
                event.id = crate::types::id::AuditId::new(now, rng.as_ref());
                event.user_id = grant.user_id;
                event.client_id = Some(grant.client_id.clone());
                event.grant_id = Some(grant.id);
                event.resource_id = Some(grant.resource_id);
                event.detail = serde_json::json!({ "reason": reason });
                audit::append(tx, &event)?;
            }
            Ok(ended)
        })
        .await?;
    live::refresh(core).await?;
    Ok(ended)
}
