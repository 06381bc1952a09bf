//! Tokens for clients without OAuth.

use std::collections::HashSet;

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
    type Columns = (String, String, Vec<u8>, Option<String>);
    let tokens: Vec<Columns> = table::table
        .select((table::grant_id, table::id, table::digest, table::tools))
        .load(tx.connection())?;
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&String> = tokens.iter().map(|token| &token.0).collect();
    let grants: Vec<GrantRow> = access_grant::table
        .filter(access_grant::id.eq_any(ids))
        .filter(access_grant::revoked_at.is_null())
        .filter(access_grant::expires_at.gt(now.micros()))
        .load(tx.connection())?;
    let grants: Vec<Grant> = grants.into_iter().map(GrantRow::read).collect::<Result<_, _>>()?;
    let people: Vec<String> =
        grants.iter().filter_map(|grant| grant.user_id).map(|id| id.to_string()).collect();
    let people: HashSet<String> = users::table
        .filter(users::id.eq_any(people))
        .filter(users::disabled_at.is_null())
        .select(users::id)
        .load(tx.connection())?
        .into_iter()
        .collect();
    let clients: Vec<&str> = grants.iter().map(|grant| grant.client_id.as_str()).collect();
    let clients: HashSet<String> = client::table
        .filter(client::id.eq_any(clients))
        .filter(client::disabled_at.is_null())
        .select(client::id)
        .load(tx.connection())?
        .into_iter()
        .collect();
    let counts = |grant: &&Grant| {
        grant.user_id.is_some_and(|id| people.contains(&id.to_string()))
            && clients.contains(grant.client_id.as_str())
    };
    let mut found = Vec::new();
    for (grant_id, id, bytes, tools) in tokens {
        let Some(grant) = grants.iter().find(|grant| grant.id.to_string() == grant_id).filter(counts) else {
            continue;
        };
        found.push(GrantToken {
            id: need(TokenId::parse(&id), "grant_token.id")?,
            digest: digest(&bytes, "grant_token.digest")?,
            grant: grant.clone(),
            tools: tools.map(|tools| json(&tools, "grant_token.tools")).transpose()?,
        });
    }
    Ok(found)
}
