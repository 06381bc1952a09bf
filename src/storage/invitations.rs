//! Invitations.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{digest, json, moment, need, to_json};
use super::schema::invitation as table;
use super::store::Tx;
use crate::types::id::InvitationId;
use crate::types::mail::Invitation;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;
use crate::types::user::{Email, Role};

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    digest: Vec<u8>,
    email: String,
    email_key: String,
    name: Option<String>,
    role: String,
    groups: String,
    invited_by: String,
    created_at: i64,
    expires_at: i64,
    accepted_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Invitation, StoreError> {
        Ok(Invitation {
            id: need(InvitationId::parse(&self.id), "invitation.id")?,
            digest: digest(&self.digest, "invitation.digest")?,
            email: self.email,
            name: self.name,
            role: need(Role::parse(&self.role), "invitation.role")?,
            groups: json(&self.groups, "invitation.groups")?,
            invited_by: self.invited_by,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            accepted_at: moment(self.accepted_at),
            revoked_at: moment(self.revoked_at),
        })
    }
}

/// Adds an invitation in place of an earlier one for the same address.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when somebody else invited the same person at the same moment.
pub fn insert(tx: &mut Tx<'_>, new: &Invitation, email: &Email) -> Result<(), StoreError> {
    diesel::update(
        table::table
            .filter(table::email_key.eq(email.key()))
            .filter(table::accepted_at.is_null())
            .filter(table::revoked_at.is_null()),
    )
    .set(table::revoked_at.eq(new.created_at.micros()))
    .execute(tx.connection())?;
    let row = Row {
        id: new.id.to_string(),
        digest: new.digest.bytes().to_vec(),
        email: new.email.clone(),
        email_key: email.key(),
        name: new.name.clone(),
        role: new.role.as_str().to_owned(),
        groups: to_json(&new.groups)?,
        invited_by: new.invited_by.clone(),
        created_at: new.created_at.micros(),
        expires_at: new.expires_at.micros(),
        accepted_at: None,
        revoked_at: None,
    };
    diesel::insert_into(table::table)
        .values(&row)
        .execute(tx.connection())
        .map_err(StoreError::from)
        .map_err(|error| match error {
            StoreError::Conflict => StoreError::Retry("invitation".to_owned()),
            other => other,
        })?;
    Ok(())
}

/// Invitations, newest first, before the one with `before`.
///
/// # Errors
/// A fault of the database.
pub fn list(
    tx: &mut Tx<'_>,
    before: Option<InvitationId>,
    limit: i64,
) -> Result<Vec<Invitation>, StoreError> {
    let mut query = table::table.order(table::id.desc()).limit(limit).into_boxed();
    if let Some(id) = before {
        query = query.filter(table::id.lt(id.to_string()));
    }
    query.load::<Row>(tx.connection())?.into_iter().map(Row::read).collect()
}

/// The invitation of a link, if it is open.
///
/// # Errors
/// A fault of the database.
pub fn find_open(
    tx: &mut Tx<'_>,
    link: &TokenDigest,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    table::table
        .filter(table::digest.eq(link.bytes().as_slice()))
        .filter(table::accepted_at.is_null())
        .filter(table::revoked_at.is_null())
        .filter(table::expires_at.gt(now.micros()))
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Accepts an invitation; `true` for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn accept(tx: &mut Tx<'_>, link: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let done = diesel::update(
        table::table
            .filter(table::digest.eq(link.bytes().as_slice()))
            .filter(table::accepted_at.is_null())
            .filter(table::revoked_at.is_null())
            .filter(table::expires_at.gt(now.micros())),
    )
    .set(table::accepted_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(done == 1)
}

/// Takes an open invitation back; whose it was.
///
/// # Errors
/// A fault of the database.
pub fn revoke(tx: &mut Tx<'_>, id: InvitationId, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
    diesel::update(
        table::table
            .filter(table::id.eq(id.to_string()))
            .filter(table::accepted_at.is_null())
            .filter(table::revoked_at.is_null()),
    )
    .set(table::revoked_at.eq(now.micros()))
    .returning(table::all_columns)
    .get_result::<Row>(tx.connection())
    .optional()?
    .map(Row::read)
    .transpose()
}
