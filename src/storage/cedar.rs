//! Policies in Cedar about calls to the servers behind the gateway.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::need;
use super::schema::cedar_policies as table;
use super::store::Tx;
use crate::types::id::ResourceId;
use crate::types::time::Timestamp;

/// The policies of each server that has any, as they were written.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<(ResourceId, String)>, StoreError> {
    let rows: Vec<(String, String)> =
        table::table.select((table::resource_id, table::policies)).load(tx.connection())?;
    rows.into_iter()
        .map(|(id, text)| Ok((need(ResourceId::parse(&id), "cedar_policies.resource_id")?, text)))
        .collect()
}

/// A server's policies, and since when they are these.
///
/// # Errors
/// A fault of the database.
pub fn of(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Option<(String, Timestamp)>, StoreError> {
    let found: Option<(String, i64)> = table::table
        .find(resource.to_string())
        .select((table::policies, table::changed_at))
        .get_result(tx.connection())
        .optional()?;
    Ok(found.map(|(text, at)| (text, Timestamp::from_micros(at))))
}

/// Keeps a server's policies; they take the place of those before.
///
/// # Errors
/// A fault of the database.
pub fn put(tx: &mut Tx<'_>, resource: ResourceId, text: &str, now: Timestamp) -> Result<(), StoreError> {
    remove(tx, resource)?;
    diesel::insert_into(table::table)
        .values((
            table::resource_id.eq(resource.to_string()),
            table::policies.eq(text),
            table::changed_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets a server's policies; whether there were any.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, resource: ResourceId) -> Result<bool, StoreError> {
    let gone = diesel::delete(table::table.find(resource.to_string())).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(gone == 1)
}
