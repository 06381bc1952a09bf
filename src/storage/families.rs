//! Token families and the chains of refresh tokens in them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use super::access_tokens;
use super::dialect::{self, on_either, prepared};
use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{digest as read_digest, json, moment, need, to_json};
use super::schema::{refresh_token, token_family};
use super::store::Tx;
use crate::types::client::ClientId;
use crate::types::factor::Methods;
use crate::types::grant::{RefreshToken, TokenFamily};
use crate::types::id::{FamilyId, IdentityId, UserId};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

#[derive(Queryable, Insertable)]
#[diesel(table_name = token_family, treat_none_as_default_value = false)]
struct Row {
    id: String,
    client_id: String,
    user_id: String,
    auth_time: i64,
    offline: bool,
    resources: String,
    created_at: i64,
    expires_at: i64,
    revoked_at: Option<i64>,
    methods: String,
    identity_id: Option<String>,
}

prepared! {
    Consume { digest: Vec<u8>, now: i64 }
    "UPDATE refresh_token SET used_at = " (now as BigInt)
    " WHERE digest = " (digest as Binary), " AND used_at IS NULL"
}

/// Begins a family.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &TokenFamily) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        client_id: new.client_id.as_str().to_owned(),
        user_id: new.user_id.to_string(),
        auth_time: new.auth_time.micros(),
        offline: new.offline,
        resources: to_json(&new.resources)?,
        created_at: new.created_at.micros(),
        expires_at: new.expires_at.micros(),
        revoked_at: None,
        methods: new.methods.stored(),
        identity_id: new.identity_id.map(|id| id.to_string()),
    };
    on_either!(tx, c => diesel::insert_into(token_family::table).values(&row).execute(c))?;
    Ok(())
}

/// The family with this id, ended or not.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: FamilyId) -> Result<Option<TokenFamily>, StoreError> {
    let row: Option<Row> =
        on_either!(tx, c => token_family::table.find(id.to_string()).get_result(c)).optional()?;
    row.map(|row| {
        Ok(TokenFamily {
            id: need(FamilyId::parse(&row.id), "token_family.id")?,
            client_id: need(ClientId::parse(&row.client_id), "token_family.client_id")?,
            user_id: need(UserId::parse(&row.user_id), "token_family.user_id")?,
            auth_time: Timestamp::from_micros(row.auth_time),
            methods: Methods::read(&row.methods),
            identity_id: row
                .identity_id
                .as_deref()
                .map(|id| need(IdentityId::parse(id), "token_family.identity_id"))
                .transpose()?,
            offline: row.offline,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            revoked_at: moment(row.revoked_at),
            resources: json(&row.resources, "token_family.resources")?,
        })
    })
    .transpose()
}

/// Whether a family still stands. Holds until the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn is_open(tx: &mut Tx<'_>, id: FamilyId, now: Timestamp) -> Result<bool, StoreError> {
    dialect::family_is_open(tx.connection(), &id.to_string(), now.micros())
}

/// Ends a family and revokes its access tokens; `false` when it had ended.
///
/// # Errors
/// A fault of the database.
pub fn revoke(tx: &mut Tx<'_>, id: FamilyId, now: Timestamp) -> Result<bool, StoreError> {
    let changed =
        diesel::update(token_family::table.find(id.to_string()).filter(token_family::revoked_at.is_null()))
            .set(token_family::revoked_at.eq(now.micros()))
            .execute(tx.connection())?;
    if let Some(family) = find(tx, id)? {
        for resource in &family.resources {
            access_tokens::revoke_by_family(tx, resource.grant_id, id, now)?;
        }
    }
    bump(tx, Topic::Revocations);
    Ok(changed == 1)
}

/// Ends every family of a person.
///
/// # Errors
/// A fault of the database.
pub fn revoke_by_user(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(
        token_family::table
            .filter(token_family::user_id.eq(user.to_string()))
            .filter(token_family::revoked_at.is_null()),
    )
    .set(token_family::revoked_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(())
}

/// Ends every family of a client.
///
/// # Errors
/// A fault of the database.
pub fn revoke_by_client(tx: &mut Tx<'_>, client: &ClientId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(
        token_family::table
            .filter(token_family::client_id.eq(client.as_str()))
            .filter(token_family::revoked_at.is_null()),
    )
    .set(token_family::revoked_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(())
}

/// Adds a refresh token to a chain. The schema has one place a generation: a second successor is
/// [`StoreError::Conflict`].
///
/// # Errors
/// A fault of the database.
pub fn insert_refresh(tx: &mut Tx<'_>, new: &RefreshToken) -> Result<(), StoreError> {
    on_either!(tx, c => diesel::insert_into(refresh_token::table)
        .values((
            refresh_token::digest.eq(new.digest.bytes().as_slice()),
            refresh_token::family_id.eq(new.family_id.to_string()),
            refresh_token::generation.eq(new.generation),
            refresh_token::created_at.eq(new.created_at.micros()),
            refresh_token::expires_at.eq(new.expires_at.micros()),
        ))
        .execute(c))?;
    Ok(())
}

type RefreshRow = (Vec<u8>, String, i64, i64, i64, Option<i64>);

/// The refresh token with this digest, used or not.
///
/// # Errors
/// A fault of the database.
pub fn find_refresh(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<RefreshToken>, StoreError> {
    let row: Option<RefreshRow> = on_either!(tx, c => refresh_token::table
        .find(digest.bytes().as_slice())
        .select(refresh_token::all_columns)
        .get_result(c))
    .optional()?;
    row.map(read_refresh).transpose()
}

/// The token that followed another in its chain, if it has been used.
///
/// # Errors
/// A fault of the database.
pub fn find_successor(tx: &mut Tx<'_>, token: &RefreshToken) -> Result<Option<RefreshToken>, StoreError> {
    let row: Option<RefreshRow> = on_either!(tx, c => refresh_token::table
        .filter(refresh_token::family_id.eq(token.family_id.to_string()))
        .filter(refresh_token::generation.eq(token.generation + 1))
        .select(refresh_token::all_columns)
        .get_result(c))
    .optional()?;
    row.map(read_refresh).transpose()
}

fn read_refresh(row: RefreshRow) -> Result<RefreshToken, StoreError> {
    let (digest, family_id, generation, created_at, expires_at, used_at) = row;
    Ok(RefreshToken {
        digest: read_digest(&digest, "refresh_token.digest")?,
        family_id: need(FamilyId::parse(&family_id), "refresh_token.family_id")?,
        generation,
        created_at: Timestamp::from_micros(created_at),
        expires_at: Timestamp::from_micros(expires_at),
        used_at: moment(used_at),
    })
}

/// Marks a refresh token as exchanged: `true` for exactly one caller, ever.
///
/// # Errors
/// A fault of the database.
pub fn consume_refresh(tx: &mut Tx<'_>, digest: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let consume = Consume { digest: digest.bytes().to_vec(), now: now.micros() };
    Ok(on_either!(tx, c => consume.execute(c))? == 1)
}
