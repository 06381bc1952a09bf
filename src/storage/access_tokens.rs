//! Access tokens: enough of each to know, and to publish, whether it has been revoked.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::dialect::{on_either, prepared};
use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{moment, need};
use super::schema::access_token as table;
use super::store::Tx;
use crate::types::grant::AccessToken;
use crate::types::id::{FamilyId, GrantId, TokenId};
use crate::types::time::Timestamp;

type Row = (i64, String, String, Option<String>, i64, Option<i64>);

prepared! {
    Insert { status_index: i64, id: String, grant_id: String, family_id: Option<String>, expires_at: i64 }
    "INSERT INTO access_token (status_index, id, grant_id, family_id, expires_at) VALUES (" (status_index as BigInt)
    ", " (id as Text)
    ", " (grant_id as Text)
    ", " (family_id as Nullable<Text>)
    ", " (expires_at as BigInt), ")"
}

/// Adds a token.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &AccessToken) -> Result<(), StoreError> {
    let insert = Insert {
        status_index: new.status_index,
        id: new.id.to_string(),
        grant_id: new.grant_id.to_string(),
        family_id: new.family_id.map(|id| id.to_string()),
        expires_at: new.expires_at.micros(),
    };
    on_either!(tx, c => insert.execute(c))?;
    Ok(())
}

/// The token at this place of the status lists.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, status_index: i64) -> Result<Option<AccessToken>, StoreError> {
    let row: Option<Row> = on_either!(tx, c => table::table
        .find(status_index)
        .select((
            table::status_index,
            table::id,
            table::grant_id,
            table::family_id,
            table::expires_at,
            table::revoked_at,
        ))
        .get_result(c))
    .optional()?;
    row.map(|(status_index, id, grant_id, family_id, expires_at, revoked_at)| {
        Ok(AccessToken {
            id: need(TokenId::parse(&id), "access_token.id")?,
            status_index,
            grant_id: need(GrantId::parse(&grant_id), "access_token.grant_id")?,
            family_id: family_id
                .map(|id| need(FamilyId::parse(&id), "access_token.family_id"))
                .transpose()?,
            expires_at: Timestamp::from_micros(expires_at),
            revoked_at: moment(revoked_at),
        })
    })
    .transpose()
}

/// Revokes one token; `false` when it was already.
///
/// # Errors
/// A fault of the database.
pub fn revoke(tx: &mut Tx<'_>, status_index: i64, now: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(table::table.find(status_index).filter(table::revoked_at.is_null()))
        .set(table::revoked_at.eq(now.micros()))
        .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(changed == 1)
}

/// Revokes every live token under a grant. The caller bumps [`Topic::Revocations`].
///
/// # Errors
/// A fault of the database.
pub(super) fn revoke_by_grant(tx: &mut Tx<'_>, grant: GrantId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(
        table::table
            .filter(table::grant_id.eq(grant.to_string()))
            .filter(table::expires_at.gt(now.micros()))
            .filter(table::revoked_at.is_null()),
    )
    .set(table::revoked_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(())
}

/// Revokes every live token of one family under a grant. The caller bumps [`Topic::Revocations`].
///
/// # Errors
/// A fault of the database.
pub(super) fn revoke_by_family(
    tx: &mut Tx<'_>,
    grant: GrantId,
    family: FamilyId,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(
        table::table
            .filter(table::grant_id.eq(grant.to_string()))
            .filter(table::family_id.eq(family.to_string()))
            .filter(table::revoked_at.is_null()),
    )
    .set(table::revoked_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(())
}

/// Places and ends of all revoked tokens that would otherwise still work.
///
/// # Errors
/// A fault of the database.
pub fn revoked(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    let rows: Vec<(i64, i64)> = table::table
        .filter(table::revoked_at.is_not_null())
        .filter(table::expires_at.gt(now.micros()))
        .select((table::status_index, table::expires_at))
        .load(tx.connection())?;
    Ok(rows.into_iter().map(|(index, expires_at)| (index, Timestamp::from_micros(expires_at))).collect())
}
