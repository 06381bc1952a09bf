//! Appending to the hash chain of the audit log, walking it, and trimming its beginning.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::audit::{ChainedRow, read_chained};
use super::dialect::{AnyConnection, on_either, prepared};
use super::error::StoreError;
use super::row::to_json;
use super::schema::{audit_anchor, audit_checkpoint, audit_event, audit_head, checkpoint_key};
use super::store::Tx;
use crate::types::audit::AuditEvent;
use crate::types::audit_chain::{AuditKey, Hash, Head, Mark, SALT, commitment, link};
use crate::types::time::Timestamp;

/// A record with its place in the chain.
#[derive(Clone, Debug)]
pub struct Chained {
    /// The record.
    pub event: AuditEvent,
    /// Its lane.
    pub lane: i64,
    /// Its position there.
    pub position: i64,
    /// Salt, address and detail as they went into the commitment; absent after an erasure.
    pub opening: Option<Opening>,
    /// The commitment to them.
    pub commitment: Vec<u8>,
    /// Its own hash.
    pub hash: Vec<u8>,
    /// What authenticates that address and detail were erased by right; absent unless they were.
    pub erased: Option<Vec<u8>>,
}

/// What opens a commitment.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The salt.
    pub salt: Vec<u8>,
    /// The detail, as the text that was committed to.
    pub detail: String,
}

/// A place in the chain as it is stored, with what authenticates it.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The place.
    pub head: Head,
    /// Its authentication; absent before a lane's first record.
    pub mac: Option<Vec<u8>>,
}

/// A signed statement of where a lane stood.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Where it stood.
    pub marked: Marked,
    /// When.
    pub at: Timestamp,
    /// The signed statement, a compact JWS over all lanes.
    pub statement: String,
}

type HeadRow = (i64, i64, Vec<u8>, Option<Vec<u8>>);

prepared! {
    Advance { count: i64, hash: Vec<u8>, mac: Vec<u8>, lane: i64 }
    "UPDATE audit_head SET count = " (count as BigInt)
    ", hash = " (hash as Binary)
    ", mac = " (mac as Binary)
    " WHERE lane = " (lane as BigInt)
}

prepared! {
    Insert {
        lane: i64, position: i64, id: String, at: i64, kind: String, user_id: Option<String>,
        client_id: Option<String>, grant_id: Option<String>, resource_id: Option<String>, address: Option<String>,
        request_id: Option<String>, detail: String, salt: Vec<u8>, commitment: Vec<u8>, hash: Vec<u8>,
    }
    "INSERT INTO audit_event (lane, position, id, at, kind, user_id, client_id, grant_id, resource_id, address, \
     request_id, detail, salt, commitment, hash) VALUES (" (lane as BigInt)
    ", " (position as BigInt)
    ", " (id as Text)
    ", " (at as BigInt)
    ", " (kind as Text)
    ", " (user_id as Nullable<Text>)
    ", " (client_id as Nullable<Text>)
    ", " (grant_id as Nullable<Text>)
    ", " (resource_id as Nullable<Text>)
    ", " (address as Nullable<Text>)
    ", " (request_id as Nullable<Text>)
    ", " (detail as Text)
    ", " (salt as Binary)
    ", " (commitment as Binary)
    ", " (hash as Binary), ")"
}

/// Chains records at the end of the transaction that they belong to: whoever comes next waits for its commit.
pub(super) fn append(
    connection: &mut AnyConnection,
    key: &AuditKey,
    events: &[Arc<AuditEvent>],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let (lane, mut count, hash, mac) = hold_lane(connection)?;
    let mut hash = hash_of(&hash)?;
    let found = Head { lane, count, hash };
    let whole = mac.map_or(count == 0, |mac| key.verifies(Mark::Head, &found, &mac));
    if !whole {
        // What is appended to a broken end must not mend it: the break stays, and `audit verify` finds it there.
        tracing::error!(
            lane,
            count,
            "the end of the audit log is not what was written last; see postern audit verify"
        );
        hash = broken(&hash);
    }
    for event in events {
        let detail = to_json(&event.detail)?;
        let salt = salt_of(event);
        let committed = commitment(&salt, event.address.as_deref(), &detail);
        hash = link(&hash, lane, count, event, &committed);
        let insert = Insert {
            lane,
            position: count,
            id: event.id.to_string(),
            at: event.at.micros(),
            kind: event.kind.as_str().to_owned(),
            user_id: event.user_id.map(|id| id.to_string()),
            client_id: event.client_id.as_ref().map(|id| id.as_str().to_owned()),
            grant_id: event.grant_id.map(|id| id.to_string()),
            resource_id: event.resource_id.map(|id| id.to_string()),
            address: event.address.clone(),
            request_id: event.request_id.clone(),
            detail,
            salt: salt.to_vec(),
            commitment: committed.to_vec(),
            hash: hash.to_vec(),
        };
        match connection {
            AnyConnection::Sqlite(inner) => insert.execute(inner)?,
            AnyConnection::Postgres(inner) => insert.execute(inner)?,
        };
        count += 1;
    }
    let mac = key.mac(Mark::Head, &Head { lane, count, hash });
    let advance = Advance { count, hash: hash.to_vec(), mac: mac.to_vec(), lane };
    match connection {
        AnyConnection::Sqlite(inner) => advance.execute(inner)?,
        AnyConnection::Postgres(inner) => advance.execute(inner)?,
    };
    Ok(())
}

/// Takes the end of a lane that nobody else holds. SQLite has one lane and one writer.
fn hold_lane(connection: &mut AnyConnection) -> Result<HeadRow, StoreError> {
    match connection {
        AnyConnection::Sqlite(inner) => Ok(audit_head::table.find(0_i64).get_result(inner)?),
        AnyConnection::Postgres(inner) => {
            let lanes = audit_head::table.order(audit_head::lane.asc()).limit(1);
            let free = lanes.for_update().skip_locked().get_result(inner).optional()?;
            match free {
                Some(row) => Ok(row),
                None => Ok(audit_head::table.find(0_i64).for_update().get_result(inner)?),
            }
        }
    }
}

/// A record of its own salt, also where one event was made into several.
fn salt_of(event: &AuditEvent) -> [u8; SALT] {
    let mixed = commitment(&event.salt, None, &event.id.to_string());
    let mut salt = [0; SALT];
    for (to, from) in salt.iter_mut().zip(mixed) {
        *to = from;
    }
    salt
}

fn broken(hash: &Hash) -> Hash {
    commitment(hash, None, "broken")
}

fn hash_of(bytes: &[u8]) -> Result<Hash, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Database("audit_head.hash is not a hash".to_owned()))
}

/// The end of every lane.
///
/// # Errors
/// A fault of the database.
pub fn heads(tx: &mut Tx<'_>) -> Result<Vec<Marked>, StoreError> {
    let rows: Vec<HeadRow> = audit_head::table.order(audit_head::lane.asc()).load(tx.connection())?;
    rows.into_iter().map(marked).collect()
}

/// Up to where retention has removed the beginnings.
///
/// # Errors
/// A fault of the database.
pub fn anchors(tx: &mut Tx<'_>) -> Result<Vec<Marked>, StoreError> {
    let rows: Vec<(i64, i64, Vec<u8>, Vec<u8>)> = audit_anchor::table.load(tx.connection())?;
    rows.into_iter().map(|(lane, count, hash, mac)| marked((lane, count, hash, Some(mac)))).collect()
}

fn marked((lane, count, hash, mac): HeadRow) -> Result<Marked, StoreError> {
    Ok(Marked { head: Head { lane, count, hash: hash_of(&hash)? }, mac })
}

/// The next records of a lane from a position on, in order.
///
/// # Errors
/// A fault of the database.
pub fn walk(tx: &mut Tx<'_>, lane: i64, from: i64, limit: i64) -> Result<Vec<Chained>, StoreError> {
    let next = audit_event::table
        .filter(audit_event::lane.eq(lane))
        .filter(audit_event::position.ge(from))
        .order(audit_event::position.asc())
        .limit(limit);
    let rows: Vec<ChainedRow> = on_either!(tx, c => next.load(c))?;
    rows.into_iter().map(read_chained).collect()
}

/// A record that no walk along the lanes comes to: of a lane that has no end, or from before its beginning.
///
/// # Errors
/// A fault of the database.
pub fn stray(tx: &mut Tx<'_>) -> Result<Option<(i64, i64)>, StoreError> {
    let lanes: Vec<i64> = audit_head::table.select(audit_head::lane).load(tx.connection())?;
    let outside: Option<(i64, i64)> = audit_event::table
        .filter(audit_event::lane.ne_all(&lanes))
        .select((audit_event::lane, audit_event::position))
        .limit(1)
        .get_result(tx.connection())
        .optional()?;
    if outside.is_some() {
        return Ok(outside);
    }
    let begins = anchors(tx)?;
    for lane in lanes {
        let from =
            begins.iter().find(|anchor| anchor.head.lane == lane).map_or(0, |anchor| anchor.head.count);
        let before: Option<i64> = audit_event::table
            .filter(audit_event::lane.eq(lane))
            .filter(audit_event::position.lt(from))
            .select(audit_event::position)
            .limit(1)
            .get_result(tx.connection())
            .optional()?;
        if let Some(position) = before {
            return Ok(Some((lane, position)));
        }
    }
    Ok(None)
}

/// The count of the last checkpoint of a lane that was made up to `at`.
///
/// # Errors
/// A fault of the database.
pub fn checkpoint_before(tx: &mut Tx<'_>, lane: i64, at: Timestamp) -> Result<Option<i64>, StoreError> {
    Ok(audit_checkpoint::table
        .filter(audit_checkpoint::lane.eq(lane))
        .filter(audit_checkpoint::at.le(at.micros()))
        .select(diesel::dsl::max(audit_checkpoint::count))
        .get_result(tx.connection())?)
}

/// The count of the first checkpoint of a lane that was made from `at` on and has at least this count.
///
/// # Errors
/// A fault of the database.
pub fn checkpoint_after(
    tx: &mut Tx<'_>,
    lane: i64,
    at: Timestamp,
    count: i64,
) -> Result<Option<i64>, StoreError> {
    Ok(audit_checkpoint::table
        .filter(audit_checkpoint::lane.eq(lane))
        .filter(audit_checkpoint::at.ge(at.micros()))
        .filter(audit_checkpoint::count.ge(count))
        .select(diesel::dsl::min(audit_checkpoint::count))
        .get_result(tx.connection())?)
}

/// Keeps the public half of a key that signs checkpoints.
///
/// # Errors
/// A fault of the database.
pub fn keep_key(tx: &mut Tx<'_>, kid: &str, public_jwk: &str, now: Timestamp) -> Result<(), StoreError> {
    let known: Option<String> =
        checkpoint_key::table.find(kid).select(checkpoint_key::kid).get_result(tx.connection()).optional()?;
    if known.is_none() {
        diesel::insert_into(checkpoint_key::table)
            .values((
                checkpoint_key::kid.eq(kid),
                checkpoint_key::public_jwk.eq(public_jwk),
                checkpoint_key::first_used_at.eq(now.micros()),
            ))
            .execute(tx.connection())?;
    }
    Ok(())
}

/// The public halves of the keys that have signed checkpoints, as JSON texts.
///
/// # Errors
/// A fault of the database.
pub fn kept_keys(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
    Ok(checkpoint_key::table
        .select(checkpoint_key::public_jwk)
        .order(checkpoint_key::first_used_at)
        .load(tx.connection())?)
}

/// Keeps a signed statement of where the lanes stand.
///
/// # Errors
/// A fault of the database; [`StoreError::Conflict`] when another node was faster.
pub fn insert_checkpoint(tx: &mut Tx<'_>, new: &Checkpoint) -> Result<(), StoreError> {
    diesel::insert_into(audit_checkpoint::table)
        .values((
            audit_checkpoint::lane.eq(new.marked.head.lane),
            audit_checkpoint::count.eq(new.marked.head.count),
            audit_checkpoint::hash.eq(new.marked.head.hash.as_slice()),
            audit_checkpoint::mac.eq(new.marked.mac.clone().unwrap_or_default()),
            audit_checkpoint::at.eq(new.at.micros()),
            audit_checkpoint::statement.eq(&new.statement),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// A lane's checkpoints from a count on, in order.
///
/// # Errors
/// A fault of the database.
pub fn checkpoints(tx: &mut Tx<'_>, lane: i64, from: i64, limit: i64) -> Result<Vec<Checkpoint>, StoreError> {
    type Row = (i64, i64, Vec<u8>, Vec<u8>, i64, String);
    let rows: Vec<Row> = audit_checkpoint::table
        .filter(audit_checkpoint::lane.eq(lane))
        .filter(audit_checkpoint::count.ge(from))
        .order(audit_checkpoint::count.asc())
        .limit(limit)
        .load(tx.connection())?;
    rows.into_iter()
        .map(|(lane, count, hash, mac, at, statement)| {
            let marked = marked((lane, count, hash, Some(mac)))?;
            Ok(Checkpoint { marked, at: Timestamp::from_micros(at), statement })
        })
        .collect()
}

/// The newest checkpoint of any lane.
///
/// # Errors
/// A fault of the database.
pub fn newest_checkpoint(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let newest: Option<i64> =
        audit_checkpoint::table.select(diesel::dsl::max(audit_checkpoint::at)).get_result(tx.connection())?;
    Ok(newest.map(Timestamp::from_micros))
}

/// The counts up to which each lane has a checkpoint.
///
/// # Errors
/// A fault of the database.
pub fn checkpointed(tx: &mut Tx<'_>, lane: i64) -> Result<i64, StoreError> {
    let newest: Option<i64> = audit_checkpoint::table
        .filter(audit_checkpoint::lane.eq(lane))
        .select(diesel::dsl::max(audit_checkpoint::count))
        .get_result(tx.connection())?;
    Ok(newest.unwrap_or(0))
}

/// Removes the beginning of a lane, at most `limit` records that happened before `before`, and anchors the rest; returns
/// how many went.
///
/// # Errors
/// A fault of the database.
pub fn trim(
    tx: &mut Tx<'_>,
    key: &AuditKey,
    lane: i64,
    before: Timestamp,
    limit: i64,
) -> Result<usize, StoreError> {
    let from =
        anchors(tx)?.iter().find(|anchor| anchor.head.lane == lane).map_or(0, |anchor| anchor.head.count);
    let oldest = walk(tx, lane, from, limit)?;
    let old: Vec<&Chained> = oldest.iter().take_while(|record| record.event.at < before).collect();
    let Some(last) = old.last() else { return Ok(0) };
    let head = Head { lane, count: last.position + 1, hash: hash_of(&last.hash)? };
    let mac = key.mac(Mark::Anchor, &head);
    diesel::delete(audit_anchor::table.find(lane)).execute(tx.connection())?;
    diesel::insert_into(audit_anchor::table)
        .values((
            audit_anchor::lane.eq(lane),
            audit_anchor::count.eq(head.count),
            audit_anchor::hash.eq(head.hash.as_slice()),
            audit_anchor::mac.eq(mac.as_slice()),
        ))
        .execute(tx.connection())?;
    diesel::delete(
        audit_checkpoint::table
            .filter(audit_checkpoint::lane.eq(lane))
            .filter(audit_checkpoint::count.lt(head.count)),
    )
    .execute(tx.connection())?;
    let gone =
        audit_event::table.filter(audit_event::lane.eq(lane)).filter(audit_event::position.lt(head.count));
    Ok(diesel::delete(gone).execute(tx.connection())?)
}
