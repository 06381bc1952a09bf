//! Cedar policies about calls to the servers behind the gateway.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::need;
use super::schema::cedar as table;
use super::store::Tx;
use crate::types::id::ResourceId;
use crate::types::time::Timestamp;

/// The policies of one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCedar {
    /// Which.
    pub resource_id: ResourceId,
    /// As they were written; whether they can be read is for whoever evaluates them.
    pub policies: String,
    /// Since when.
    pub set_at: Timestamp,
    /// Who set them, where that was a person.
    pub set_by: Option<String>,
}

type Columns = (String, String, i64, Option<String>);

fn read((resource_id, policies, set_at, set_by): Columns) -> Result<StoredCedar, StoreError> {
    Ok(StoredCedar {
        resource_id: need(ResourceId::parse(&resource_id), "cedar.resource_id")?,
        policies,
        set_at: Timestamp::from_micros(set_at),
        set_by,
    })
}

/// Those of every server.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<StoredCedar>, StoreError> {
    let rows: Vec<Columns> = table::table.load(tx.connection())?;
    rows.into_iter().map(read).collect()
}

/// Those of one server, where it has any.
///
/// # Errors
/// A fault of the database.
pub fn of(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Option<StoredCedar>, StoreError> {
    let row: Option<Columns> = table::table.find(resource.to_string()).first(tx.connection()).optional()?;
    row.map(read).transpose()
}

/// Keeps them, in the place of those before.
///
/// # Errors
/// A fault of the database.
pub fn put(tx: &mut Tx<'_>, new: &StoredCedar) -> Result<(), StoreError> {
    remove(tx, new.resource_id)?;
    diesel::insert_into(table::table)
        .values((
            table::resource_id.eq(new.resource_id.to_string()),
            table::policies.eq(&new.policies),
            table::set_at.eq(new.set_at.micros()),
            table::set_by.eq(&new.set_by),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets them; what they were.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Option<StoredCedar>, StoreError> {
    let gone: Option<Columns> = diesel::delete(table::table.find(resource.to_string()))
        .returning(table::all_columns)
        .get_result(tx.connection())
        .optional()?;
    bump(tx, Topic::Resources);
    gone.map(read).transpose()
}
