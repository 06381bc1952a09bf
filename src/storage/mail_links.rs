//! Links that were mailed.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{digest, need};
use super::schema::mail_link as table;
use super::store::Tx;
use crate::types::id::UserId;
use crate::types::mail::{LinkPurpose, MailLink};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    digest: Vec<u8>,
    purpose: String,
    user_id: String,
    email: String,
    bound_to: Vec<u8>,
    created_at: i64,
    expires_at: i64,
}

/// Adds a link; an earlier one of the same person for the same purpose ends, unless it is one that takes something back.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, link: &MailLink) -> Result<(), StoreError> {
    if link.purpose != LinkPurpose::UndoEmail {
        diesel::delete(
            table::table
                .filter(table::user_id.eq(link.user_id.to_string()))
                .filter(table::purpose.eq(link.purpose.as_str())),
        )
        .execute(tx.connection())?;
    }
    let row = Row {
        digest: link.digest.bytes().to_vec(),
        purpose: link.purpose.as_str().to_owned(),
        user_id: link.user_id.to_string(),
        email: link.email.clone(),
        bound_to: link.bound_to.bytes().to_vec(),
        created_at: link.created_at.micros(),
        expires_at: link.expires_at.micros(),
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// A link that works still.
///
/// # Errors
/// A fault of the database.
pub fn find(
    tx: &mut Tx<'_>,
    link: &TokenDigest,
    purpose: LinkPurpose,
    now: Timestamp,
) -> Result<Option<MailLink>, StoreError> {
    let row: Option<Row> = table::table
        .find(link.bytes().as_slice())
        .filter(table::purpose.eq(purpose.as_str()))
        .filter(table::expires_at.gt(now.micros()))
        .get_result(tx.connection())
        .optional()?;
    row.map(|row| read(row, purpose)).transpose()
}

/// Uses a link up; what it was, for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn consume(
    tx: &mut Tx<'_>,
    link: &TokenDigest,
    purpose: LinkPurpose,
    now: Timestamp,
) -> Result<Option<MailLink>, StoreError> {
    let row: Option<Row> = diesel::delete(
        table::table
            .filter(table::digest.eq(link.bytes().as_slice()))
            .filter(table::purpose.eq(purpose.as_str()))
            .filter(table::expires_at.gt(now.micros())),
    )
    .returning(table::all_columns)
    .get_result(tx.connection())
    .optional()?;
    row.map(|row| read(row, purpose)).transpose()
}

/// Ends the links of a person that were made at `since` or later.
///
/// # Errors
/// A fault of the database.
pub fn end_since(tx: &mut Tx<'_>, user: UserId, since: Timestamp) -> Result<(), StoreError> {
    diesel::delete(
        table::table.filter(table::user_id.eq(user.to_string())).filter(table::created_at.ge(since.micros())),
    )
    .execute(tx.connection())?;
    Ok(())
}

fn read(row: Row, purpose: LinkPurpose) -> Result<MailLink, StoreError> {
    Ok(MailLink {
        digest: digest(&row.digest, "mail_link.digest")?,
        purpose,
        user_id: need(UserId::parse(&row.user_id), "mail_link.user_id")?,
        email: row.email,
        bound_to: digest(&row.bound_to, "mail_link.bound_to")?,
        created_at: Timestamp::from_micros(row.created_at),
        expires_at: Timestamp::from_micros(row.expires_at),
    })
}
