//! Groups, roles, and what they let consent grant. What a change takes away is taken from standing approvals in the same
//! transaction, with every token that says more.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::people::OrderError;
use super::{people, resources as flow_resources};
use crate::account::permission::{Permitted, permitted};
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, Tx, audit, grants, resources, users};
use crate::types::access_rule::{AccessRule, Holder, NamedRole, Template, Who};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::grant::Grant;
use crate::types::id::AuditId;
use crate::types::policy::{MAX_GROUPS, MAX_ROLE_HOLDERS, MAX_ROLES};
use crate::types::random::Rng;
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;
use crate::types::user::User;

/// A change of one server's roles.
#[derive(Clone, Debug)]
pub enum Change {
    /// Define a role, or say anew what it allows.
    Define(NamedRole),
    /// Remove a role, and take it from whoever has it.
    Remove(String),
    /// Give a role.
    Give(Holder),
    /// Take a role back.
    Take(Holder),
}

/// What a change has done.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The server, with its new rule.
    pub resource: Resource,
    /// Standing approvals from which it took something.
    pub narrowed: usize,
}

/// Carries out a change. Every token that says more than is allowed afterwards is dead when this returns.
///
/// # Errors
/// See [`OrderError`].
pub async fn change(core: &Core, caller: &Caller, uri: &str, change: Change) -> Result<Changed, OrderError> {
    let id = flow_resources::find(core, uri).await?.id;
    let now = core.now();
    let mut event = core.event(AuditKind::ResourceRolesSet, caller, now);
    event.resource_id = Some(id);
    let narrowing = core.event(AuditKind::GrantNarrowed, caller, now);
    let rng = std::sync::Arc::clone(&core.rng);
    let done = core
        .store
        .write(move |tx| {
            let Some(resource) = resources::hold(tx, id)?.filter(|resource| resource.removed_at.is_none()) else {
                return Ok(Err(OrderError::NotFound("the server has just been removed".to_owned())));
            };
            let rule = match apply(&resource, &change) {
                Ok(rule) => rule,
                Err(why) => return Ok(Err(why)),
            };
            resources::set_access_rule(tx, id, &rule, now)?;
            let mut event = event.clone();
            event.detail = serde_json::json!({ "uri": resource.uri.as_str(), "rule": rule, "was": resource.access_rule });
            audit::append(tx, &event)?;
            let resource = Resource { access_rule: rule, ..resource };
            let filter = GrantFilter { resource_id: Some(id), ..GrantFilter::default() };
            let mut narrowed = 0;
            for grant in grants::list(tx, &filter)? {
                // A client that acts for itself has no roles; an administrator listed what it may.
                let Some(user) = grant.user_id.map_or(Ok(None), |id| users::find(tx, id))? else { continue };
                narrowed += usize::from(fit(tx, &grant, &permitted(&resource, &user), &narrowing, rng.as_ref(), now)?);
            }
            Ok(Ok(Changed { resource, narrowed }))
        })
        .await??;
    live::refresh(core).await?;
    Ok(done)
}

/// Sets the groups a person belongs to; what they have through a group they are not in any more ends at once.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_groups(
    core: &Core,
    caller: &Caller,
    email: &str,
    mut groups: Vec<String>,
) -> Result<User, OrderError> {
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        return Err(OrderError::Bad(format!("a person is in at most {MAX_GROUPS} groups")));
    }
    for group in &groups {
        name_of("a group", group)?;
    }
    let user = people::find(core, email).await?;
    let now = core.now();
    let mut event = core.event(AuditKind::UserGroupsSet, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": user.email, "groups": groups, "was": user.groups });
    let narrowing = core.event(AuditKind::GrantNarrowed, caller, now);
    let rng = std::sync::Arc::clone(&core.rng);
    let id = user.id;
    let updated = User { groups, ..user };
    let stored = updated.clone();
    core.store
        .write(move |tx| {
            users::set_groups(tx, id, &stored.groups, now)?;
            audit::append(tx, &event)?;
            refit(tx, &stored, &narrowing, rng.as_ref(), now)?;
            Ok(())
        })
        .await?;
    live::refresh(core).await?;
    Ok(updated)
}

/// Takes from a person's approvals what their groups and role do not permit any more. `event` is the record of a narrowing,
/// to be filled in.
///
/// # Errors
/// A fault of the database.
pub(super) fn refit(
    tx: &mut Tx<'_>,
    user: &User,
    event: &AuditEvent,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), StoreError> {
    let filter = GrantFilter { user_id: Some(user.id), ..GrantFilter::default() };
    for grant in grants::list(tx, &filter)? {
        // Held, so that a change of its roles beside this one sees this person, or this one sees those roles.
        if let Some(resource) = resources::hold(tx, grant.resource_id)? {
            fit(tx, &grant, &permitted(&resource, user), event, rng, now)?;
        }
    }
    Ok(())
}

/// Takes from a standing approval what is not permitted any more; whether there was anything.
fn fit(
    tx: &mut Tx<'_>,
    grant: &Grant,
    permitted: &Permitted,
    event: &AuditEvent,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let left = permitted.left_of(&grant.scopes);
    if left.as_ref() == Some(&grant.scopes) {
        return Ok(false);
    }
    let mut event = event.clone();
    event.id = AuditId::new(now, rng);
    event.user_id = grant.user_id;
    event.client_id = Some(grant.client_id.clone());
    event.grant_id = Some(grant.id);
    event.resource_id = Some(grant.resource_id);
    event.detail = serde_json::json!({
        "scope": left.clone().unwrap_or_default(), "was": grant.scopes, "reason": "no role allows it",
    });
    match left {
        Some(left) => grants::narrow(tx, grant, &left, now)?,
        None => {
            let filter = GrantFilter { id: Some(grant.id), ..GrantFilter::default() };
            grants::revoke(tx, &filter, "no role allows it", now)?;
            event.kind = AuditKind::GrantRevoked;
        }
    }
    audit::append(tx, &event)?;
    Ok(true)
}

/// The rule after a change.
fn apply(resource: &Resource, change: &Change) -> Result<AccessRule, OrderError> {
    let mut rule = resource.access_rule.clone();
    match change {
        Change::Define(role) => {
            name_of("a role", &role.name)?;
            let unknown = role.scopes.difference(&resource.scope_set());
            if !unknown.is_empty() {
                return Err(OrderError::Bad(format!("the server has no permission {unknown}")));
            }
            rule.roles.retain(|other| other.name != role.name);
            rule.roles.push(role.clone());
            if rule.roles.len() > MAX_ROLES {
                return Err(OrderError::Bad(format!("a server has at most {MAX_ROLES} roles of its own")));
            }
        }
        Change::Remove(name) => {
            let before = rule.roles.len();
            rule.roles.retain(|role| role.name != *name);
            if rule.roles.len() == before {
                let built_in = Template::ALL.iter().any(|template| template.as_str() == name);
                let why = if built_in { "is there from the start and stays" } else { "does not exist" };
                return Err(OrderError::NotFound(format!("the role {name:?} {why}")));
            }
            // Silently opening the server to everyone is not what removing a role means.
            if rule.holders.iter().any(|holder| holder.role == *name)
                && rule.holders.iter().all(|holder| holder.role == *name)
            {
                return Err(OrderError::Bad(format!(
                    "{name:?} is the only role anyone has there: give another first, or take it from each holder, which opens the server to everyone"
                )));
            }
            rule.holders.retain(|holder| holder.role != *name);
        }
        Change::Give(holder) => {
            if resource.role_scopes(&holder.role).is_none() {
                return Err(OrderError::NotFound(format!(
                    "there is no role {:?}; there are {}",
                    holder.role,
                    resource.role_names().join(", ")
                )));
            }
            if let Who::Group(name) = &holder.who {
                name_of("a group", name)?;
            }
            if rule.holders.contains(holder) {
                return Err(OrderError::Exists("they have that role already".to_owned()));
            }
            rule.holders.push(holder.clone());
            if rule.holders.len() > MAX_ROLE_HOLDERS {
                return Err(OrderError::Bad(format!(
                    "a server has at most {MAX_ROLE_HOLDERS} holders of roles; give roles to groups"
                )));
            }
        }
        Change::Take(holder) => {
            let before = rule.holders.len();
            rule.holders.retain(|other| other != holder);
            if rule.holders.len() == before {
                return Err(OrderError::NotFound("they do not have that role".to_owned()));
            }
        }
    }
    Ok(rule)
}

fn name_of(what: &str, name: &str) -> Result<(), OrderError> {
    let fine = (1..=100).contains(&name.len()) && name.trim() == name && !name.chars().any(char::is_control);
    if fine {
        Ok(())
    } else {
        Err(OrderError::Bad(format!(
            "{name:?} cannot be the name of {what}: 1 to 100 characters, no space at the ends"
        )))
    }
}

/// What a person may be granted at one server, and what apps have of it.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The server.
    pub resource: Resource,
    /// What may be granted, and through which roles.
    pub permitted: Permitted,
    /// The approvals that stand.
    pub grants: Vec<Grant>,
}

/// What a person may do, server by server.
///
/// # Errors
/// A fault.
pub async fn effective(core: &Core, user: &User) -> Result<Vec<Effective>, Fault> {
    let (user, now) = (user.clone(), core.now());
    Ok(core
        .store
        .read(move |tx| {
            let filter = GrantFilter { user_id: Some(user.id), ..GrantFilter::default() };
            let standing: Vec<Grant> =
                grants::list(tx, &filter)?.into_iter().filter(|grant| grant.is_live(now)).collect();
            Ok(resources::list(tx)?
                .into_iter()
                .map(|resource| Effective {
                    permitted: permitted(&resource, &user),
                    grants: standing
                        .iter()
                        .filter(|grant| grant.resource_id == resource.id)
                        .cloned()
                        .collect(),
                    resource,
                })
                .collect())
        })
        .await?)
}

/// A holder in words.
#[must_use]
pub fn in_words(who: &Who, person: impl Fn(crate::types::id::UserId) -> String) -> String {
    match who {
        Who::Everyone => "everyone".to_owned(),
        Who::Group(name) => format!("group {name}"),
        Who::Person(id) => person(*id),
        Who::Console(role) => format!("{} of the console", role.as_str()),
    }
}

/// Permissions in words, for a list.
#[must_use]
pub fn listed(scopes: &ScopeSet) -> String {
    if scopes.is_empty() { "none".to_owned() } else { scopes.iter().collect::<Vec<_>>().join(", ") }
}
