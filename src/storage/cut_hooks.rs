//! Programs that may cut access by a signed message.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{json, moment, need, to_json};
use super::schema::cut_hook as table;
use super::store::Tx;
use crate::types::cut::Hook;
use crate::types::id::CutHookId;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table, treat_none_as_default_value = false)]
struct Row {
    id: String,
    name: String,
    targets: String,
    sealed_secret: Vec<u8>,
    created_at: i64,
    created_by: String,
    last_used_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Hook, StoreError> {
        Ok(Hook {
            id: need(CutHookId::parse(&self.id), "cut_hook.id")?,
            name: self.name,
            targets: json(&self.targets, "cut_hook.targets")?,
            sealed_secret: self.sealed_secret,
            created_at: Timestamp::from_micros(self.created_at),
            created_by: self.created_by,
            last_used_at: moment(self.last_used_at),
        })
    }
}

/// Adds one.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Hook) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        name: new.name.clone(),
        targets: to_json(&new.targets)?,
        sealed_secret: new.sealed_secret.clone(),
        created_at: new.created_at.micros(),
        created_by: new.created_by.clone(),
        last_used_at: None,
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// One of them.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: CutHookId) -> Result<Option<Hook>, StoreError> {
    let row: Option<Row> = table::table.find(id.to_string()).first(tx.connection()).optional()?;
    row.map(Row::read).transpose()
}

/// All of them, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Hook>, StoreError> {
    let rows: Vec<Row> = table::table.order(table::id).load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Notes that one was used.
///
/// # Errors
/// A fault of the database.
pub fn used(tx: &mut Tx<'_>, id: CutHookId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(table::table.find(id.to_string()))
        .set(table::last_used_at.eq(Some(now.micros())))
        .execute(tx.connection())?;
    Ok(())
}

/// Removes one; whether there was one.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, id: CutHookId) -> Result<bool, StoreError> {
    Ok(diesel::delete(table::table.find(id.to_string())).execute(tx.connection())? == 1)
}
