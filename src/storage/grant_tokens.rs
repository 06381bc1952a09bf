//! Tokens for clients without OAuth.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::grants::Row as GrantRow;
use super::row::{digest, json, need, to_json};
use super::schema::{access_grant, client, grant_token as table, users};
use super::store::Tx;
use crate::types::grant::Grant;
use crate::types::id::TokenId;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// A token as it is kept.
#[derive(Clone, Debug)]
pub struct GrantToken {
    /// Its id, which tells when it was made.
    pub id: TokenId,
    /// Its digest.
    pub digest: TokenDigest,
    /// The approval it rests on; ends when that does.
    pub grant: Grant,
    /// The tools that it may call, of those that the approval allows; all of them when absent.
    pub tools: Option<Vec<String>>,
}

/// Adds one, whose approval is there already.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &GrantToken, now: Timestamp) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::grant_id.eq(new.grant.id.to_string()),
            table::id.eq(new.id.to_string()),
            table::digest.eq(new.digest.bytes().to_vec()),
            table::tools.eq(new.tools.as_ref().map(to_json).transpose()?),
            table::created_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Every token that counts at `now`: its approval stands, and neither its person nor its client is switched off.
///
/// # Errors
/// A fault of the database.
pub fn live(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<GrantToken>, StoreError> {
    type Columns = (String, Vec<u8>, Option<String>, GrantRow);
    let rows: Vec<Columns> = table::table
        .inner_join(access_grant::table.on(access_grant::id.eq(table::grant_id)))
        .inner_join(users::table.on(users::id.nullable().eq(access_grant::user_id)))
        .inner_join(client::table.on(client::id.eq(access_grant::client_id)))
        .filter(access_grant::revoked_at.is_null())
        .filter(access_grant::expires_at.gt(now.micros()))
        .filter(users::disabled_at.is_null())
        .filter(client::disabled_at.is_null())
        .select((table::id, table::digest, table::tools, access_grant::all_columns))
        .load(tx.connection())?;
    rows.into_iter()
        .map(|(id, bytes, tools, grant)| {
            Ok(GrantToken {
                id: need(TokenId::parse(&id), "grant_token.id")?,
                digest: digest(&bytes, "grant_token.digest")?,
                grant: grant.read()?,
                tools: tools.map(|tools| json(&tools, "grant_token.tools")).transpose()?,
            })
        })
        .collect()
}
