//! Passkeys.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{moment, need};
use super::schema::passkey as table;
use super::store::Tx;
use crate::types::id::{PasskeyId, UserId};
use crate::types::passkey::Passkey;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    credential_id: Vec<u8>,
    user_id: String,
    name: String,
    credential: String,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Passkey, StoreError> {
        Ok(Passkey {
            id: need(PasskeyId::parse(&self.id), "passkey.id")?,
            credential_id: self.credential_id,
            user_id: need(UserId::parse(&self.user_id), "passkey.user_id")?,
            name: self.name,
            credential: self.credential,
            created_at: Timestamp::from_micros(self.created_at),
            last_used_at: moment(self.last_used_at),
        })
    }
}

/// Adds a passkey; [`StoreError::Conflict`] when it is known already, whoever has it.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Passkey) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        credential_id: new.credential_id.clone(),
        user_id: new.user_id.to_string(),
        name: new.name.clone(),
        credential: new.credential.clone(),
        created_at: new.created_at.micros(),
        last_used_at: None,
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The passkeys of a person, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Passkey>, StoreError> {
    table::table
        .filter(table::user_id.eq(user.to_string()))
        .order((table::created_at.asc(), table::id.asc()))
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// The passkey of this name on the wire.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError> {
    table::table
        .filter(table::credential_id.eq(credential_id))
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Notes the use of a passkey and what it has become, if it is still as it was read; `false` when it is not.
///
/// # Errors
/// A fault of the database.
pub fn mark_used(
    tx: &mut Tx<'_>,
    seen: &Passkey,
    becomes: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let row = table::table.find(seen.id.to_string()).filter(table::credential.eq(&seen.credential));
    let changed = diesel::update(row)
        .set((
            table::credential.eq(becomes.unwrap_or(&seen.credential)),
            table::last_used_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Removes a passkey of this person; `false` when they have none of this id.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, user: UserId, id: PasskeyId) -> Result<bool, StoreError> {
    let row = table::table.find(id.to_string()).filter(table::user_id.eq(user.to_string()));
    Ok(diesel::delete(row).execute(tx.connection())? == 1)
}
