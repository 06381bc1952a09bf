//! Small values that the server keeps for itself.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::setting;
use super::store::Tx;

/// Reads a value.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(setting::table.find(name).select(setting::value).get_result(tx.connection()).optional()?)
}

/// Sets a value.
///
/// # Errors
/// A fault of the database.
pub fn put(tx: &mut Tx<'_>, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let changed =
        diesel::update(setting::table.find(name)).set(setting::value.eq(value)).execute(tx.connection())?;
    if changed == 0 {
        diesel::insert_into(setting::table)
            .values((setting::name.eq(name), setting::value.eq(value)))
            .execute(tx.connection())?;
    }
    Ok(())
}
