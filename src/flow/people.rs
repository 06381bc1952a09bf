//! People, as administrators manage them.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters::Notice;
use super::outbox::noticed;
use super::{live, roles};
use crate::account::password;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, audit, families, grants, outbox, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::UserId;
use crate::types::secret::Secret;
use crate::types::user::{Email, Role, User};

/// Why an administrator's order is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// It makes no sense.
    #[error("{0}")]
    Bad(String),
    /// What it names is not there.
    #[error("{0}")]
    NotFound(String),
    /// What it adds is there already.
    #[error("{0}")]
    Exists(String),
    /// Us.
    #[error(transparent)]
    Fault(Fault),
}

super::failure::from_faults!(OrderError);

/// A person to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// E-mail address.
    pub email: String,
    /// Name.
    pub name: Option<String>,
    /// Role.
    pub role: Role,
    /// Groups.
    pub groups: Vec<String>,
    /// Password.
    pub password: Secret<String>,
}

/// Adds a person.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(core: &Core, caller: &Caller, new: NewUser) -> Result<User, OrderError> {
    let now = core.now();
    let email = Email::parse(&new.email).map_err(OrderError::Bad)?;
    password::check(new.password.expose(), email.as_str()).map_err(|why| OrderError::Bad(why.to_string()))?;
    let hash = core.hasher.hash(new.password).await.map_err(|_| Fault::Busy)?;
    let user = User {
        id: UserId::new(now, core.rng.as_ref()),
        email: email.as_str().to_owned(),
        name: new.name,
        role: new.role,
        groups: new.groups,
        password_hash: Some(hash),
        second_factor_required: false,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let mut event = core.event(AuditKind::UserAdded, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": user.email, "role": user.role.as_str() });
    let stored = user.clone();
    let added = core
        .store
        .write(move |tx| {
            users::insert(tx, &stored, &email)?;
            audit::append(tx, &event)
        })
        .await;
    match added {
        Ok(()) => Ok(user),
        Err(StoreError::Conflict) => {
            Err(OrderError::Exists(format!("there is a user {} already", user.email)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Everyone.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<User>, Fault> {
    Ok(core.store.read(users::list).await?)
}

/// The person with this address.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, email: &str) -> Result<User, OrderError> {
    let parsed = Email::parse(email).map_err(OrderError::Bad)?;
    let found = core.store.read(move |tx| users::find_by_email(tx, &parsed)).await?;
    found.ok_or_else(|| OrderError::NotFound(format!("there is no user {email}; see `postern user list`")))
}

/// Switches a person off: sessions and tokens end at once, approvals stay for the day they come back.
///
/// # Errors
/// See [`OrderError`].
pub async fn disable(core: &Core, caller: &Caller, email: &str) -> Result<User, OrderError> {
    let user = find(core, email).await?;
    let now = core.now();
    let event = about(core, caller, AuditKind::UserDisabled, &user);
    let id = user.id;
    core.store
        .write(move |tx| {
            // Grants first, then families: the order in which everyone locks them.
            let filter = GrantFilter { user_id: Some(id), ..GrantFilter::default() };
            grants::revoke_tokens(tx, &filter, now)?;
            families::revoke_by_user(tx, id, now)?;
            users::set_disabled(tx, id, Some(now), now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(User { disabled_at: Some(now), ..user })
}

/// Switches a person on again.
///
/// # Errors
/// See [`OrderError`].
pub async fn enable(core: &Core, caller: &Caller, email: &str) -> Result<User, OrderError> {
    let user = find(core, email).await?;
    let now = core.now();
    let event = about(core, caller, AuditKind::UserEnabled, &user);
    let id = user.id;
    core.store
        .write(move |tx| {
            users::set_disabled(tx, id, None, now)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(User { disabled_at: None, ..user })
}

/// Sets a password; every session that rests on the old one ends.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_password(
    core: &Core,
    caller: &Caller,
    email: &str,
    secret: Secret<String>,
) -> Result<User, OrderError> {
    let user = find(core, email).await?;
    password::check(secret.expose(), &user.email).map_err(|why| OrderError::Bad(why.to_string()))?;
    let hash = core.hasher.hash(secret).await.map_err(|_| Fault::Busy)?;
    let now = core.now();
    let event = about(core, caller, AuditKind::UserPasswordSet, &user);
    let notice = noticed(core, caller, &user, Notice::PasswordSet)?;
    let id = user.id;
    core.store
        .write(move |tx| {
            users::set_password(tx, id, &hash, now)?;
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(user)
}

/// Lets a person sign in with a second factor only (`required`), or not; sessions that began without one end.
///
/// # Errors
/// See [`OrderError`].
pub async fn require_second_factor(
    core: &Core,
    caller: &Caller,
    email: &str,
    required: bool,
) -> Result<User, OrderError> {
    let user = find(core, email).await?;
    let now = core.now();
    let mut event = about(core, caller, AuditKind::UserSecondFactorRule, &user);
    event.detail = serde_json::json!({ "email": user.email, "required": required });
    let id = user.id;
    core.store
        .write(move |tx| {
            users::set_second_factor_required(tx, id, required, now)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(User { second_factor_required: required, ..user })
}

/// Sets a role.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_role(core: &Core, caller: &Caller, email: &str, role: Role) -> Result<User, OrderError> {
    let user = find(core, email).await?;
    let now = core.now();
    let mut event = about(core, caller, AuditKind::UserRoleSet, &user);
    event.detail =
        serde_json::json!({ "email": user.email, "role": role.as_str(), "was": user.role.as_str() });
    let narrowing = core.event(AuditKind::GrantNarrowed, caller, now);
    let rng = std::sync::Arc::clone(&core.rng);
    let updated = User { role, ..user };
    let stored = updated.clone();
    core.store
        .write(move |tx| {
            users::set_role(tx, stored.id, role, now)?;
            audit::append(tx, &event)?;
            // What apps may do for them at the admin API goes with the role.
            roles::refit(tx, &stored, &narrowing, rng.as_ref(), now)
        })
        .await?;
    live::refresh(core).await?;
    Ok(updated)
}

fn about(core: &Core, caller: &Caller, kind: AuditKind, user: &User) -> AuditEvent {
    let mut event = core.event(kind, caller, core.now());
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": user.email });
    event
}
