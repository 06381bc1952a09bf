//! Initial access tokens (RFC 7591 §3).

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{moment, need};
use super::schema::initial_access_token as table;
use super::store::Tx;
use crate::types::id::InitialAccessTokenId;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// An initial access token as administrators see it.
#[derive(Clone, Debug)]
pub struct InitialAccessToken {
    /// Its id.
    pub id: InitialAccessTokenId,
    /// What it was made for.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// How many registrations are left.
    pub remaining: Option<i64>,
}

/// Adds one.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, token: &InitialAccessToken, digest: &TokenDigest) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::id.eq(token.id.to_string()),
            table::digest.eq(digest.bytes().as_slice()),
            table::name.eq(&token.name),
            table::created_at.eq(token.created_at.micros()),
            table::expires_at.eq(token.expires_at.map(Timestamp::micros)),
            table::remaining.eq(token.remaining),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Uses one registration of a token; `false` when it does not exist, has expired or is used up.
///
/// # Errors
/// A fault of the database.
pub fn spend(tx: &mut Tx<'_>, digest: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let live = table::table
        .filter(table::digest.eq(digest.bytes().as_slice()))
        .filter(table::expires_at.is_null().or(table::expires_at.gt(now.micros())));
    let limited = diesel::update(live.filter(table::remaining.gt(0)))
        .set(table::remaining.eq(table::remaining - 1))
        .execute(tx.connection())?;
    if limited == 1 {
        return Ok(true);
    }
    let open: Option<String> =
        live.filter(table::remaining.is_null()).select(table::id).get_result(tx.connection()).optional()?;
    Ok(open.is_some())
}

/// All of them, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<InitialAccessToken>, StoreError> {
    let rows: Vec<(String, String, i64, Option<i64>, Option<i64>)> = table::table
        .select((table::id, table::name, table::created_at, table::expires_at, table::remaining))
        .order(table::created_at.asc())
        .load(tx.connection())?;
    rows.into_iter()
        .map(|(id, name, created_at, expires_at, remaining)| {
            Ok(InitialAccessToken {
                id: need(InitialAccessTokenId::parse(&id), "initial_access_token.id")?,
                name,
                created_at: Timestamp::from_micros(created_at),
                expires_at: moment(expires_at),
                remaining,
            })
        })
        .collect()
}

/// Removes one; `false` when there is none of that id.
///
/// # Errors
/// A fault of the database.
pub fn delete(tx: &mut Tx<'_>, id: InitialAccessTokenId) -> Result<bool, StoreError> {
    Ok(diesel::delete(table::table.find(id.to_string())).execute(tx.connection())? == 1)
}
