//! Authorization codes. Redeemed ones are remembered for a day, so that a replay is recognised.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};

use super::dialect::{on_either, prepared};
use super::error::StoreError;
use super::row::{digest as read_digest, json, moment, need, to_json};
use super::schema::authorization_code as table;
use super::store::Tx;
use crate::types::client::ClientId;
use crate::types::factor::Methods;
use crate::types::grant::AuthorizationCode;
use crate::types::id::{FamilyId, IdentityId, UserId};
use crate::types::pkce::CodeChallenge;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table, treat_none_as_default_value = false)]
struct Row {
    digest: Vec<u8>,
    family_id: String,
    user_id: String,
    client_id: String,
    redirect_uri: String,
    code_challenge: String,
    resources: String,
    offline: bool,
    auth_time: i64,
    created_at: i64,
    expires_at: i64,
    consumed_at: Option<i64>,
    methods: String,
    identity_id: Option<String>,
}

prepared! {
    Consume { digest: Vec<u8>, now: i64 }
    "UPDATE authorization_code SET consumed_at = " (now as BigInt)
    " WHERE digest = " (digest as Binary)
    " AND consumed_at IS NULL AND expires_at > " (now as BigInt)
}

/// Adds a code.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &AuthorizationCode) -> Result<(), StoreError> {
    let row = Row {
        digest: new.digest.bytes().to_vec(),
        family_id: new.family_id.to_string(),
        user_id: new.user_id.to_string(),
        client_id: new.client_id.as_str().to_owned(),
        redirect_uri: new.redirect_uri.clone(),
        code_challenge: new.code_challenge.as_str().to_owned(),
        resources: to_json(&new.resources)?,
        offline: new.offline,
        auth_time: new.auth_time.micros(),
        created_at: new.created_at.micros(),
        expires_at: new.expires_at.micros(),
        consumed_at: None,
        methods: new.methods.stored(),
        identity_id: new.identity_id.map(|id| id.to_string()),
    };
    on_either!(tx, c => diesel::insert_into(table::table).values(&row).execute(c))?;
    Ok(())
}

/// The code with this digest, redeemed or not.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<AuthorizationCode>, StoreError> {
    let row: Option<Row> =
        on_either!(tx, c => table::table.find(digest.bytes().as_slice()).get_result(c)).optional()?;
    row.map(|row| {
        Ok(AuthorizationCode {
            digest: read_digest(&row.digest, "authorization_code.digest")?,
            family_id: need(FamilyId::parse(&row.family_id), "authorization_code.family_id")?,
            user_id: need(UserId::parse(&row.user_id), "authorization_code.user_id")?,
            client_id: need(ClientId::parse(&row.client_id), "authorization_code.client_id")?,
            redirect_uri: row.redirect_uri,
            code_challenge: need(
                CodeChallenge::parse(&row.code_challenge),
                "authorization_code.code_challenge",
            )?,
            resources: json(&row.resources, "authorization_code.resources")?,
            offline: row.offline,
            auth_time: Timestamp::from_micros(row.auth_time),
            methods: Methods::read(&row.methods),
            identity_id: row
                .identity_id
                .as_deref()
                .map(|id| need(IdentityId::parse(id), "authorization_code.identity_id"))
                .transpose()?,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            consumed_at: moment(row.consumed_at),
        })
    })
    .transpose()
}

/// Redeems a code: `true` for exactly one caller, ever.
///
/// # Errors
/// A fault of the database.
pub fn consume(tx: &mut Tx<'_>, digest: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let consume = Consume { digest: digest.bytes().to_vec(), now: now.micros() };
    Ok(on_either!(tx, c => consume.execute(c))? == 1)
}
