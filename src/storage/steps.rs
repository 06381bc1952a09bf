//! Sign-ins and challenges of passkeys that are under way: each is used once, and by the browser that holds its token.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::sign_in_step as table;
use super::store::Tx;
use crate::types::id::UserId;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Remembers a step; one that belongs to a person ends when their password or their standing changes.
///
/// # Errors
/// A fault of the database.
pub fn insert(
    tx: &mut Tx<'_>,
    step: &TokenDigest,
    user: Option<UserId>,
    sealed: &[u8],
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::digest.eq(step.bytes().as_slice()),
            table::user_id.eq(user.map(|id| id.to_string())),
            table::sealed.eq(sealed),
            table::expires_at.eq(expires_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// What a step remembers, if it still waits.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, step: &TokenDigest, now: Timestamp) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(table::table
        .filter(table::digest.eq(step.bytes().as_slice()))
        .filter(table::expires_at.gt(now.micros()))
        .select(table::sealed)
        .get_result(tx.connection())
        .optional()?)
}

/// Uses up a step; `true` for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn consume(tx: &mut Tx<'_>, step: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let used = diesel::delete(
        table::table
            .filter(table::digest.eq(step.bytes().as_slice()))
            .filter(table::expires_at.gt(now.micros())),
    )
    .execute(tx.connection())?;
    Ok(used == 1)
}
