//! Second factors: the secret shared with an authenticator app, and recovery codes.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::moment;
use super::schema::{identity, one_time_secret, passkey, recovery_code};
use super::store::Tx;
use crate::types::factor::Held;
use crate::types::id::UserId;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Which second factors a person has.
///
/// # Errors
/// A fault of the database.
pub fn held(tx: &mut Tx<'_>, user: UserId) -> Result<Held, StoreError> {
    let user = user.to_string();
    let app: Option<(i64, Option<i64>)> = one_time_secret::table
        .find(&user)
        .select((one_time_secret::created_at, one_time_secret::last_used_at))
        .get_result(tx.connection())
        .optional()?;
    let passkeys: i64 =
        passkey::table.filter(passkey::user_id.eq(&user)).count().get_result(tx.connection())?;
    let codes: i64 =
        recovery_code::table.filter(recovery_code::user_id.eq(&user)).count().get_result(tx.connection())?;
    Ok(Held {
        authenticator: app.map(|(added, used)| (Timestamp::from_micros(added), moment(used))),
        passkeys,
        recovery_codes: codes,
    })
}

/// The sealed secret that a person shares with their authenticator app.
///
/// # Errors
/// A fault of the database.
pub fn find_secret(tx: &mut Tx<'_>, user: UserId) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(one_time_secret::table
        .find(user.to_string())
        .select(one_time_secret::sealed)
        .get_result(tx.connection())
        .optional()?)
}

/// Adds an authenticator app whose code for `step` was just seen; [`StoreError::Conflict`] when there is one already.
///
/// # Errors
/// A fault of the database.
pub fn insert_secret(
    tx: &mut Tx<'_>,
    user: UserId,
    sealed: &[u8],
    step: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::insert_into(one_time_secret::table)
        .values((
            one_time_secret::user_id.eq(user.to_string()),
            one_time_secret::sealed.eq(sealed),
            one_time_secret::created_at.eq(now.micros()),
            one_time_secret::last_step.eq(step),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Takes the code of a time step: `true` for exactly one caller, and for none once a later step was taken (RFC 6238
/// §5.2).
///
/// # Errors
/// A fault of the database.
pub fn take_step(tx: &mut Tx<'_>, user: UserId, step: i64, now: Timestamp) -> Result<bool, StoreError> {
    let taken = diesel::update(
        one_time_secret::table.find(user.to_string()).filter(one_time_secret::last_step.lt(step)),
    )
    .set((one_time_secret::last_step.eq(step), one_time_secret::last_used_at.eq(now.micros())))
    .execute(tx.connection())?;
    Ok(taken == 1)
}

/// Removes a person's authenticator app; `false` when there is none.
///
/// # Errors
/// A fault of the database.
pub fn remove_secret(tx: &mut Tx<'_>, user: UserId) -> Result<bool, StoreError> {
    Ok(diesel::delete(one_time_secret::table.find(user.to_string())).execute(tx.connection())? == 1)
}

/// Puts new recovery codes in the place of all that a person has; with none, takes them away.
///
/// # Errors
/// A fault of the database.
pub fn set_recovery_codes(
    tx: &mut Tx<'_>,
    user: UserId,
    codes: &[TokenDigest],
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::delete(recovery_code::table.filter(recovery_code::user_id.eq(user.to_string())))
        .execute(tx.connection())?;
    for code in codes {
        diesel::insert_into(recovery_code::table)
            .values((
                recovery_code::digest.eq(code.bytes().as_slice()),
                recovery_code::user_id.eq(user.to_string()),
                recovery_code::created_at.eq(now.micros()),
            ))
            .execute(tx.connection())?;
    }
    Ok(())
}

/// Uses up a recovery code of this person; `true` for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn use_recovery_code(tx: &mut Tx<'_>, user: UserId, code: &TokenDigest) -> Result<bool, StoreError> {
    let used = diesel::delete(
        recovery_code::table
            .filter(recovery_code::digest.eq(code.bytes().as_slice()))
            .filter(recovery_code::user_id.eq(user.to_string())),
    )
    .execute(tx.connection())?;
    Ok(used == 1)
}

/// Takes away every way to prove somebody that was added at `since` or later: authenticator, recovery codes, passkeys and links
/// to identity providers.
///
/// # Errors
/// A fault of the database.
pub fn forget_since(tx: &mut Tx<'_>, user: UserId, since: Timestamp) -> Result<(), StoreError> {
    let (id, since, c) = (user.to_string(), since.micros(), tx.connection());
    diesel::delete(
        one_time_secret::table
            .filter(one_time_secret::user_id.eq(&id))
            .filter(one_time_secret::created_at.ge(since)),
    )
    .execute(c)?;
    diesel::delete(
        recovery_code::table
            .filter(recovery_code::user_id.eq(&id))
            .filter(recovery_code::created_at.ge(since)),
    )
    .execute(c)?;
    diesel::delete(passkey::table.filter(passkey::user_id.eq(&id)).filter(passkey::created_at.ge(since)))
        .execute(c)?;
    diesel::delete(identity::table.filter(identity::user_id.eq(&id)).filter(identity::created_at.ge(since)))
        .execute(c)?;
    Ok(())
}
