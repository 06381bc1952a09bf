//! Root keys, each sealed under a master key; under two while one takes the other's place.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{moment, need};
use super::schema::root_key as table;
use super::store::Tx;
use crate::types::root_key::{RootUse, WrappedRoot};
use crate::types::time::Timestamp;

type Row = (i64, String, String, i64, Vec<u8>, i64, Option<i64>);

/// Every root key under every master key, in order.
///
/// # Errors
/// A fault of the database.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<WrappedRoot>, StoreError> {
    let rows: Vec<Row> = table::table.order((table::turn.asc(), table::id.asc())).load(tx.connection())?;
    rows.into_iter()
        .map(|(id, kind, master, turn, sealed, created_at, seals_since)| {
            Ok(WrappedRoot {
                id: need(u32::try_from(id).ok(), "root_key.id")?,
                kind: need(RootUse::parse(&kind), "root_key.kind")?,
                master,
                turn,
                sealed,
                created_at: Timestamp::from_micros(created_at),
                seals_since: moment(seals_since),
            })
        })
        .collect()
}

/// The master keys that root keys are sealed under, by their turn.
#[must_use]
pub fn masters(rows: &[WrappedRoot]) -> BTreeMap<i64, String> {
    rows.iter().map(|row| (row.turn, row.master.clone())).collect()
}

/// Adds one.
///
/// # Errors
/// A fault of the database; [`StoreError::Conflict`] when it is there under that master key.
pub fn insert(tx: &mut Tx<'_>, row: &WrappedRoot) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::id.eq(i64::from(row.id)),
            table::kind.eq(row.kind.as_str()),
            table::master.eq(&row.master),
            table::turn.eq(row.turn),
            table::sealed.eq(&row.sealed),
            table::created_at.eq(row.created_at.micros()),
            table::seals_since.eq(row.seals_since.map(Timestamp::micros)),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Roots);
    Ok(())
}

/// Lets those that wait seal from now on; how many rows that were.
///
/// # Errors
/// A fault of the database.
pub fn begin(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let waiting =
        table::table.filter(table::kind.eq(RootUse::Seals.as_str())).filter(table::seals_since.is_null());
    let begun =
        diesel::update(waiting).set(table::seals_since.eq(Some(now.micros()))).execute(tx.connection())?;
    bump(tx, Topic::Roots);
    Ok(begun)
}

/// Forgets every root key as it is sealed under one master key.
///
/// # Errors
/// A fault of the database.
pub fn forget_master(tx: &mut Tx<'_>, master: &str) -> Result<(), StoreError> {
    diesel::delete(table::table.filter(table::master.eq(master))).execute(tx.connection())?;
    bump(tx, Topic::Roots);
    Ok(())
}

/// Forgets the root keys for sealing before this one.
///
/// # Errors
/// A fault of the database.
pub fn forget_before(tx: &mut Tx<'_>, id: u32) -> Result<usize, StoreError> {
    let older =
        table::table.filter(table::kind.eq(RootUse::Seals.as_str())).filter(table::id.lt(i64::from(id)));
    let gone = diesel::delete(older).execute(tx.connection())?;
    bump(tx, Topic::Roots);
    Ok(gone)
}
