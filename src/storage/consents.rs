//! Consent pages that wait for an answer: each belongs to one session and is used once.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::consent_request;
use super::store::Tx;
use crate::types::id::SessionId;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Remembers what a page asks.
///
/// # Errors
/// A fault of the database.
pub fn insert(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    session: SessionId,
    request: &str,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    diesel::insert_into(consent_request::table)
        .values((
            consent_request::digest.eq(digest.bytes().as_slice()),
            consent_request::session_id.eq(session.to_string()),
            consent_request::request.eq(request),
            consent_request::expires_at.eq(expires_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// What a page of this session asks, if it still waits.
///
/// # Errors
/// A fault of the database.
pub fn find(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    session: SessionId,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    Ok(consent_request::table
        .filter(consent_request::digest.eq(digest.bytes().as_slice()))
        .filter(consent_request::session_id.eq(session.to_string()))
        .filter(consent_request::expires_at.gt(now.micros()))
        .select(consent_request::request)
        .get_result(tx.connection())
        .optional()?)
}

/// Uses up a page; `true` for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn consume(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    session: SessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let used = diesel::delete(
        consent_request::table
            .filter(consent_request::digest.eq(digest.bytes().as_slice()))
            .filter(consent_request::session_id.eq(session.to_string()))
            .filter(consent_request::expires_at.gt(now.micros())),
    )
    .execute(tx.connection())?;
    Ok(used == 1)
}
