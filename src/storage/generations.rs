//! Change counters: a writer bumps a topic, every node polls them and reloads what has moved.

use diesel::prelude::*;

use super::error::StoreError;
use super::schema::generation;
use super::store::Tx;

/// What can change behind a running node's back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Topic {
    /// Signing keys.
    Keys,
    /// Resources, and so the scopes of the metadata documents.
    Resources,
    /// Revoked tokens.
    Revocations,
    /// Root keys.
    Roots,
}

impl Topic {
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Resources => "resources",
            Self::Revocations => "revocations",
            Self::Roots => "roots",
        }
    }
}

/// The counters as one node last saw them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Generations {
    /// Of [`Topic::Keys`].
    pub keys: i64,
    /// Of [`Topic::Resources`].
    pub resources: i64,
    /// Of [`Topic::Revocations`].
    pub revocations: i64,
    /// Of [`Topic::Roots`].
    pub roots: i64,
}

/// Counts a topic up when the transaction that changed it ends.
pub(super) fn bump(tx: &mut Tx<'_>, topic: Topic) {
    tx.note(topic);
}

pub(super) fn count_up(tx: &mut Tx<'_>, topic: Topic) -> Result<(), StoreError> {
    diesel::update(generation::table.find(topic.name()))
        .set(generation::value.eq(generation::value + 1))
        .execute(tx.connection())?;
    Ok(())
}

/// Lets nobody else change a topic until this transaction ends: what is read afterwards stays true. Everyone who
/// decides from what is there what to add calls it first.
///
/// # Errors
/// A fault of the database.
pub fn hold(tx: &mut Tx<'_>, topic: Topic) -> Result<(), StoreError> {
    diesel::update(generation::table.find(topic.name()))
        .set(generation::value.eq(generation::value))
        .execute(tx.connection())?;
    Ok(())
}

/// All counters.
///
/// # Errors
/// A fault of the database.
pub fn all(tx: &mut Tx<'_>) -> Result<Generations, StoreError> {
    let rows: Vec<(String, i64)> =
        generation::table.select((generation::topic, generation::value)).load(tx.connection())?;
    let of = |name: &str| rows.iter().find(|(topic, _)| topic == name).map_or(0, |(_, value)| *value);
    Ok(Generations {
        keys: of("keys"),
        resources: of("resources"),
        revocations: of("revocations"),
        roots: of("roots"),
    })
}

/// Reserves `count` places in the status lists for one node and returns the first.
///
/// # Errors
/// A fault of the database.
pub fn reserve_status_indexes(tx: &mut Tx<'_>, count: i64) -> Result<i64, StoreError> {
    let after: i64 = diesel::update(generation::table.find("status_index"))
        .set(generation::value.eq(generation::value + count))
        .returning(generation::value)
        .get_result(tx.connection())?;
    Ok(after - count)
}

/// How many places of the status lists have been reserved.
///
/// # Errors
/// A fault of the database.
pub fn status_indexes(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    Ok(generation::table.find("status_index").select(generation::value).get_result(tx.connection())?)
}
