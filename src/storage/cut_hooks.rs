//! Hooks by which access is cut.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{json, moment, need, to_json};
use super::schema::cut_hook as table;
use super::store::Tx;
use crate::types::cut_hook::CutHook;
use crate::types::id::CutHookId;
use crate::types::time::Timestamp;

type Row = (String, String, String, Vec<u8>, i64, Option<i64>);

fn read((id, name, may, sealed_secret, created_at, last_used_at): Row) -> Result<CutHook, StoreError> {
    Ok(CutHook {
        id: need(CutHookId::parse(&id), "cut_hook.id")?,
        name,
        may: json(&may, "cut_hook.may")?,
        sealed_secret,
        created_at: Timestamp::from_micros(created_at),
        last_used_at: moment(last_used_at),
    })
}

/// All of them.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<CutHook>, StoreError> {
    let rows: Vec<Row> = table::table.order(table::id.asc()).load(tx.connection())?;
    rows.into_iter().map(read).collect()
}

/// One of them.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: CutHookId) -> Result<Option<CutHook>, StoreError> {
    let row: Option<Row> = table::table.find(id.to_string()).get_result(tx.connection()).optional()?;
    row.map(read).transpose()
}

/// Adds one.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &CutHook) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::id.eq(new.id.to_string()),
            table::name.eq(&new.name),
            table::may.eq(to_json(&new.may)?),
            table::sealed_secret.eq(&new.sealed_secret),
            table::created_at.eq(new.created_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Removes one; whether there was such a one.
///
/// # Errors
/// A fault of the database.
pub fn delete(tx: &mut Tx<'_>, id: CutHookId) -> Result<bool, StoreError> {
    Ok(diesel::delete(table::table.find(id.to_string())).execute(tx.connection())? == 1)
}

/// Notes that it cut something; `false` when it is not there any more.
///
/// # Errors
/// A fault of the database.
pub fn used(tx: &mut Tx<'_>, id: CutHookId, now: Timestamp) -> Result<bool, StoreError> {
    let noted = diesel::update(table::table.find(id.to_string()))
        .set(table::last_used_at.eq(now.micros()))
        .execute(tx.connection())?;
    Ok(noted == 1)
}
