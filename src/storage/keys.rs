//! Signing keys.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{moment, need};
use super::schema::signing_key;
use super::store::Tx;
use crate::types::key::{SigningAlg, SigningKey};
use crate::types::time::Timestamp;

type Row = (String, String, String, Vec<u8>, i64, i64, Option<i64>);

/// Every key that is still published at `now`, oldest activation first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<SigningKey>, StoreError> {
    let rows: Vec<Row> = signing_key::table
        .select((
            signing_key::kid,
            signing_key::alg,
            signing_key::public_jwk,
            signing_key::sealed_private,
            signing_key::created_at,
            signing_key::activates_at,
            signing_key::removed_at,
        ))
        .order((signing_key::activates_at.asc(), signing_key::kid.asc()))
        .load(tx.connection())?;
    rows.into_iter()
        .map(|(kid, alg, public_jwk, sealed_private, created_at, activates_at, removed_at)| {
            Ok(SigningKey {
                kid,
                alg: need(SigningAlg::parse(&alg), "signing_key.alg")?,
                public_jwk,
                sealed_private,
                created_at: Timestamp::from_micros(created_at),
                activates_at: Timestamp::from_micros(activates_at),
                removed_at: moment(removed_at),
            })
        })
        .filter(|key: &Result<SigningKey, StoreError>| {
            key.as_ref().map_or(true, |key| key.removed_at.is_none_or(|at| now < at))
        })
        .collect()
}

/// Adds a key.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, key: &SigningKey) -> Result<(), StoreError> {
    diesel::insert_into(signing_key::table)
        .values((
            signing_key::kid.eq(&key.kid),
            signing_key::alg.eq(key.alg.as_str()),
            signing_key::public_jwk.eq(&key.public_jwk),
            signing_key::sealed_private.eq(&key.sealed_private),
            signing_key::created_at.eq(key.created_at.micros()),
            signing_key::activates_at.eq(key.activates_at.micros()),
            signing_key::removed_at.eq(key.removed_at.map(Timestamp::micros)),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Keys);
    Ok(())
}

/// Lets a waiting key sign from `at`, if it was to begin later.
///
/// # Errors
/// A fault of the database.
pub fn activate(tx: &mut Tx<'_>, kid: &str, at: Timestamp) -> Result<(), StoreError> {
    diesel::update(signing_key::table.find(kid).filter(signing_key::activates_at.gt(at.micros())))
        .set(signing_key::activates_at.eq(at.micros()))
        .execute(tx.connection())?;
    bump(tx, Topic::Keys);
    Ok(())
}

/// Says when a key leaves the key set, if nothing was said before. `false` when something was.
///
/// # Errors
/// A fault of the database.
pub fn retire(tx: &mut Tx<'_>, kid: &str, removed_at: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(signing_key::table.find(kid).filter(signing_key::removed_at.is_null()))
        .set(signing_key::removed_at.eq(removed_at.micros()))
        .execute(tx.connection())?;
    bump(tx, Topic::Keys);
    Ok(changed == 1)
}
