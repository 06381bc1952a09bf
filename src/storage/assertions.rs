//! Client assertions that were accepted: none is accepted twice, on any node (RFC 7523 §3, `jti`).

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::assertion_seen;
use super::store::Tx;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Remembers an assertion by the digest of client and `jti`; `false` when it was there already.
///
/// # Errors
/// A fault of the database.
pub fn remember(tx: &mut Tx<'_>, digest: &TokenDigest, expires_at: Timestamp) -> Result<bool, StoreError> {
    if is_known(tx, digest)? {
        return Ok(false);
    }
    diesel::insert_into(assertion_seen::table)
        .values((
            assertion_seen::digest.eq(digest.bytes().as_slice()),
            assertion_seen::expires_at.eq(expires_at.micros()),
        ))
        .execute(tx.connection())
        .map_err(StoreError::from)
        .map_err(|error| match error {
            StoreError::Conflict => StoreError::Retry("assertion_seen".to_owned()),
            other => other,
        })?;
    Ok(true)
}

/// Whether an assertion was remembered.
///
/// # Errors
/// A fault of the database.
pub fn is_known(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<bool, StoreError> {
    let seen: Option<i64> = assertion_seen::table
        .find(digest.bytes().as_slice())
        .select(assertion_seen::expires_at)
        .get_result(tx.connection())
        .optional()?;
    Ok(seen.is_some())
}
