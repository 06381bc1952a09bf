//! What the gateway shows in TLS to the MCP servers behind it, and whom it trusts there.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::need;
use super::schema::upstream_tls as tls;
use super::store::Tx;
use crate::types::certificate::TlsFacts;
use crate::types::id::ResourceId;
use crate::types::time::Timestamp;

/// An entry as it is kept.
#[derive(Clone, Debug)]
pub struct SealedTls {
    /// For which server.
    pub resource_id: ResourceId,
    /// What it is, for people.
    pub facts: TlsFacts,
    /// The same as it is written: both seals are about it.
    pub about: String,
    /// Its key, sealed under the master key. No two entries have the same.
    pub sealed_key: Vec<u8>,
    /// Certificates and key, sealed under that key.
    pub sealed_value: Vec<u8>,
    /// Since when it is used.
    pub created_at: Timestamp,
}

/// Every entry.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<SealedTls>, StoreError> {
    type Columns = (String, String, Vec<u8>, Vec<u8>, i64);
    let rows: Vec<Columns> = tls::table.load(tx.connection())?;
    rows.into_iter()
        .map(|(resource_id, about, sealed_key, sealed_value, created_at)| {
            Ok(SealedTls {
                resource_id: need(ResourceId::parse(&resource_id), "upstream_tls.resource_id")?,
                facts: need(serde_json::from_str(&about).ok(), "upstream_tls.about")?,
                about,
                sealed_key,
                sealed_value,
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .collect()
}

/// Keeps an entry; it takes the place of the one before it.
///
/// # Errors
/// A fault of the database.
pub fn put(tx: &mut Tx<'_>, new: &SealedTls) -> Result<(), StoreError> {
    remove(tx, new.resource_id)?;
    diesel::insert_into(tls::table)
        .values((
            tls::resource_id.eq(new.resource_id.to_string()),
            tls::about.eq(&new.about),
            tls::sealed_key.eq(&new.sealed_key),
            tls::sealed_value.eq(&new.sealed_value),
            tls::created_at.eq(new.created_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets an entry; whether there was one.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, resource: ResourceId) -> Result<bool, StoreError> {
    let gone = diesel::delete(tls::table.find(resource.to_string())).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(gone == 1)
}
