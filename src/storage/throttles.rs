//! Failed sign-ins, counted per account and per address, for all nodes and across restarts.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::login_throttle;
use super::store::Tx;
use crate::types::time::Timestamp;

/// What is known of one account or address.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Failures in a row.
    pub failures: i64,
    /// Until when nothing is tried.
    pub blocked_until: Timestamp,
    /// When the last failure was.
    pub updated_at: Timestamp,
}

/// What is known of `key`.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, key: &str) -> Result<Option<Throttle>, StoreError> {
    let row: Option<(i64, i64, i64)> = login_throttle::table
        .find(key)
        .select((login_throttle::failures, login_throttle::blocked_until, login_throttle::updated_at))
        .get_result(tx.connection())
        .optional()?;
    Ok(row.map(|(failures, blocked_until, updated_at)| Throttle {
        failures,
        blocked_until: Timestamp::from_micros(blocked_until),
        updated_at: Timestamp::from_micros(updated_at),
    }))
}

/// Sets what is known of `key`.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when another node was first.
pub fn put(tx: &mut Tx<'_>, key: &str, throttle: Throttle) -> Result<(), StoreError> {
    let values = (
        login_throttle::failures.eq(throttle.failures),
        login_throttle::blocked_until.eq(throttle.blocked_until.micros()),
        login_throttle::updated_at.eq(throttle.updated_at.micros()),
    );
    let changed = diesel::update(login_throttle::table.find(key)).set(values).execute(tx.connection())?;
    if changed == 0 {
        diesel::insert_into(login_throttle::table)
            .values((login_throttle::throttle_key.eq(key), values.0, values.1, values.2))
            .execute(tx.connection())
            .map_err(StoreError::from)
            .map_err(|error| match error {
                StoreError::Conflict => StoreError::Retry("login_throttle".to_owned()),
                other => other,
            })?;
    }
    Ok(())
}

/// Forgets the failures of `key`.
///
/// # Errors
/// A fault of the database.
pub fn clear(tx: &mut Tx<'_>, key: &str) -> Result<(), StoreError> {
    diesel::delete(login_throttle::table.find(key)).execute(tx.connection())?;
    Ok(())
}
