//! People.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{json, moment, need, to_json};
use super::schema::{session, sign_in_step, users};
use super::sessions;
use super::store::Tx;
use crate::types::id::UserId;
use crate::types::time::Timestamp;
use crate::types::user::{Email, Role, User};

#[derive(Queryable, Insertable)]
#[diesel(table_name = users)]
pub(super) struct Row {
    id: String,
    email: String,
    email_key: String,
    name: Option<String>,
    role: String,
    groups: String,
    password_hash: Option<String>,
    created_at: i64,
    updated_at: i64,
    disabled_at: Option<i64>,
    second_factor_required: bool,
}

impl Row {
    pub(super) fn read(self) -> Result<User, StoreError> {
        Ok(User {
            id: need(UserId::parse(&self.id), "users.id")?,
            email: self.email,
            name: self.name,
            role: need(Role::parse(&self.role), "users.role")?,
            groups: json(&self.groups, "users.groups")?,
            password_hash: self.password_hash,
            second_factor_required: self.second_factor_required,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            disabled_at: moment(self.disabled_at),
        })
    }
}

/// Adds a person; [`StoreError::Conflict`] when the address is taken.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, user: &User, email: &Email) -> Result<(), StoreError> {
    let row = Row {
        id: user.id.to_string(),
        email: user.email.clone(),
        email_key: email.key(),
        name: user.name.clone(),
        role: user.role.as_str().to_owned(),
        groups: to_json(&user.groups)?,
        password_hash: user.password_hash.clone(),
        created_at: user.created_at.micros(),
        updated_at: user.updated_at.micros(),
        disabled_at: user.disabled_at.map(Timestamp::micros),
        second_factor_required: user.second_factor_required,
    };
    diesel::insert_into(users::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The person with this id.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>, StoreError> {
    users::table
        .find(id.to_string())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The person with this address, whatever its case.
///
/// # Errors
/// A fault of the database.
pub fn find_by_email(tx: &mut Tx<'_>, email: &Email) -> Result<Option<User>, StoreError> {
    users::table
        .filter(users::email_key.eq(email.key()))
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Everyone, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>, StoreError> {
    users::table
        .order((users::created_at.asc(), users::id.asc()))
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Whether anyone is there at all.
///
/// # Errors
/// A fault of the database.
pub fn any(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(users::table.select(users::id).first::<String>(tx.connection()).optional()?.is_some())
}

/// Switches a person off (`Some`) or on (`None`), and ends their sessions when off.
///
/// # Errors
/// A fault of the database.
pub fn set_disabled(
    tx: &mut Tx<'_>,
    id: UserId,
    disabled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(users::table.find(id.to_string()))
        .set((users::disabled_at.eq(disabled_at.map(Timestamp::micros)), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    if disabled_at.is_some() {
        end_sessions(tx, id)?;
    }
    // Tokens that rest on the person alone stop counting, or count again.
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Sets a password hash and ends every session that rests on the old password.
///
/// # Errors
/// A fault of the database.
pub fn set_password(tx: &mut Tx<'_>, id: UserId, hash: &str, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(users::table.find(id.to_string()))
        .set((users::password_hash.eq(hash), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    end_sessions(tx, id)
}

/// Moves an account to another address, if it still has the one that was seen; [`StoreError::Conflict`] when the new one
/// is taken.
///
/// # Errors
/// A fault of the database.
pub fn set_email(
    tx: &mut Tx<'_>,
    id: UserId,
    seen: &str,
    email: &Email,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let moved = diesel::update(users::table.find(id.to_string()).filter(users::email.eq(seen)))
        .set((
            users::email.eq(email.as_str()),
            users::email_key.eq(email.key()),
            users::updated_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    if moved == 1 {
        // Policies about calls may go by it.
        bump(tx, Topic::Resources);
    }
    Ok(moved == 1)
}

/// Changes a password, if it is still the one that was checked. The caller ends the sessions that rest on the old one.
///
/// # Errors
/// A fault of the database.
pub fn change_password(
    tx: &mut Tx<'_>,
    id: UserId,
    old: Option<&str>,
    new: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(
        users::table.find(id.to_string()).filter(users::password_hash.eq(old.unwrap_or_default())),
    )
    .set((users::password_hash.eq(new), users::updated_at.eq(now.micros())))
    .execute(tx.connection())?;
    diesel::delete(sign_in_step::table.filter(sign_in_step::user_id.eq(id.to_string())))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Sets whether a person has to sign in with a second factor, and ends the sessions that began without one when so.
///
/// # Errors
/// A fault of the database.
pub fn set_second_factor_required(
    tx: &mut Tx<'_>,
    id: UserId,
    required: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(users::table.find(id.to_string()))
        .set((users::second_factor_required.eq(required), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    if required {
        sessions::end_weak(tx, id)?;
    }
    Ok(())
}

/// The person with this id, whom nobody changes until the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn hold(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>, StoreError> {
    diesel::update(users::table.find(id.to_string()))
        .set(users::updated_at.eq(users::updated_at))
        .execute(tx.connection())?;
    find(tx, id)
}

/// Sets the groups a person belongs to.
///
/// # Errors
/// A fault of the database.
pub fn set_groups(tx: &mut Tx<'_>, id: UserId, groups: &[String], now: Timestamp) -> Result<(), StoreError> {
    let groups = to_json(&groups)?;
    let changed = diesel::update(users::table.find(id.to_string()).filter(users::groups.ne(&groups)))
        .set((users::groups.eq(&groups), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    if changed > 0 {
        // Rules about calls may go by them.
        bump(tx, Topic::Resources);
    }
    Ok(())
}

/// Administrators who can sign in.
///
/// # Errors
/// A fault of the database.
pub fn administrators(tx: &mut Tx<'_>) -> Result<Vec<User>, StoreError> {
    users::table
        .filter(users::role.eq(Role::Admin.as_str()))
        .filter(users::disabled_at.is_null())
        .order(users::id.asc())
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Sets a role.
///
/// # Errors
/// A fault of the database.
pub fn set_role(tx: &mut Tx<'_>, id: UserId, role: Role, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(users::table.find(id.to_string()))
        .set((users::role.eq(role.as_str()), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}

fn end_sessions(tx: &mut Tx<'_>, id: UserId) -> Result<(), StoreError> {
    diesel::delete(session::table.filter(session::user_id.eq(id.to_string()))).execute(tx.connection())?;
    diesel::delete(sign_in_step::table.filter(sign_in_step::user_id.eq(id.to_string())))
        .execute(tx.connection())?;
    Ok(())
}

/// Takes away everything with which a person could sign in: password, authenticator app, recovery codes, passkeys, and a
/// sign-in that is under way.
///
/// # Errors
/// A fault of the database.
pub fn forget_factors(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    use super::schema::{one_time_secret, passkey, recovery_code, sign_in_step};
    let id = user.to_string();
    diesel::delete(one_time_secret::table.find(&id)).execute(tx.connection())?;
    diesel::delete(recovery_code::table.filter(recovery_code::user_id.eq(&id))).execute(tx.connection())?;
    diesel::delete(passkey::table.filter(passkey::user_id.eq(&id))).execute(tx.connection())?;
    diesel::delete(sign_in_step::table.filter(sign_in_step::user_id.eq(&id))).execute(tx.connection())?;
    super::identities::forget_all_upstream(tx, user)?;
    diesel::update(users::table.find(&id))
        .set((users::password_hash.eq(None::<String>), users::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    Ok(())
}
