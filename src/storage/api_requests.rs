//! Requests to the admin API that must not be carried out twice.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::api_request;
use super::store::Tx;
use crate::types::time::Timestamp;

/// What is known of a request.
#[derive(Queryable, Clone, Debug)]
pub struct Known {
    /// What it asked for, as a digest.
    pub fingerprint: Vec<u8>,
    /// How it was answered; absent while it runs.
    pub status: Option<i64>,
    /// With what, sealed.
    pub answer: Option<Vec<u8>>,
}

/// Notes that a request begins, unless it is known already: then what is known.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when the same one begins at this moment.
pub fn begin(
    tx: &mut Tx<'_>,
    digest: &[u8],
    fingerprint: &[u8],
    now: Timestamp,
) -> Result<Option<Known>, StoreError> {
    let known = api_request::table
        .find(digest)
        .select((api_request::fingerprint, api_request::status, api_request::answer))
        .get_result::<Known>(tx.connection())
        .optional()?;
    if known.is_some() {
        return Ok(known);
    }
    diesel::insert_into(api_request::table)
        .values((
            api_request::digest.eq(digest),
            api_request::fingerprint.eq(fingerprint),
            api_request::created_at.eq(now.micros()),
        ))
        .execute(tx.connection())
        .map_err(StoreError::from)
        .map_err(|error| match error {
            StoreError::Conflict => StoreError::Retry("api_request".to_owned()),
            other => other,
        })?;
    Ok(None)
}

/// Notes how a request was answered.
///
/// # Errors
/// A fault of the database.
pub fn finish(tx: &mut Tx<'_>, digest: &[u8], status: i64, answer: &[u8]) -> Result<(), StoreError> {
    diesel::update(api_request::table.find(digest))
        .set((api_request::status.eq(status), api_request::answer.eq(answer)))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets a request that came to nothing, so that it may be tried again.
///
/// # Errors
/// A fault of the database.
pub fn forget(tx: &mut Tx<'_>, digest: &[u8]) -> Result<(), StoreError> {
    diesel::delete(api_request::table.find(digest)).execute(tx.connection())?;
    Ok(())
}
