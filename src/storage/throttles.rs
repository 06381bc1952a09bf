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
}

/// What is known of `key`.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, key: &str) -> Result<Option<Throttle>, StoreError> {
    let row: Option<(i64, i64)> = login_throttle::table
        .find(key)
        .select((login_throttle::failures, login_throttle::blocked_until))
        .get_result(tx.connection())
        .optional()?;
    Ok(row.map(|(failures, blocked_until)| Throttle {
        failures,
        blocked_until: Timestamp::from_micros(blocked_until),
    }))
}

/// Counts one more failure of `key` and returns how many there are now; those last seen before `forgotten` do not count
/// any more. Whoever counts the same key at the same time waits until this transaction ends.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when another node was first.
pub fn count(tx: &mut Tx<'_>, key: &str, forgotten: Timestamp, now: Timestamp) -> Result<i64, StoreError> {
    let row = || login_throttle::table.find(key);
    diesel::update(row().filter(login_throttle::updated_at.lt(forgotten.micros())))
        .set(login_throttle::failures.eq(0))
        .execute(tx.connection())?;
    let counted: Option<i64> = diesel::update(row())
        .set((
            login_throttle::failures.eq(login_throttle::failures + 1),
            login_throttle::updated_at.eq(now.micros()),
        ))
        .returning(login_throttle::failures)
        .get_result(tx.connection())
        .optional()?;
    if let Some(failures) = counted {
        return Ok(failures);
    }
    diesel::insert_into(login_throttle::table)
        .values((
            login_throttle::throttle_key.eq(key),
            login_throttle::failures.eq(1),
            login_throttle::blocked_until.eq(0),
            login_throttle::updated_at.eq(now.micros()),
        ))
        .execute(tx.connection())
        .map_err(StoreError::from)
        .map_err(|error| match error {
            StoreError::Conflict => StoreError::Retry("login_throttle".to_owned()),
            other => other,
        })?;
    Ok(1)
}

/// Lets nothing be tried for `key` until then.
///
/// # Errors
/// A fault of the database.
pub fn block(tx: &mut Tx<'_>, key: &str, until: Timestamp) -> Result<(), StoreError> {
    diesel::update(login_throttle::table.find(key))
        .set(login_throttle::blocked_until.eq(until.micros()))
        .execute(tx.connection())?;
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
