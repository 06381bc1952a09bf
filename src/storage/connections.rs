//! Credentials of each person's own at MCP servers behind the gateway: the way to them, what was given, and what has yet to
//! be given back.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{json, moment, need, to_json};
use super::schema::{upstream_auth as way, upstream_connection as table, upstream_revocation as revocation};
use super::store::Tx;
use crate::types::id::{ResourceId, TokenId, UserId};
use crate::types::time::Timestamp;
use crate::types::upstream_auth::{AuthKind, Connection, UpstreamAuth};

/// Every way that is set.
///
/// # Errors
/// A fault of the database.
pub fn ways(tx: &mut Tx<'_>) -> Result<Vec<UpstreamAuth>, StoreError> {
    type Columns = (String, String, String, Option<Vec<u8>>, i64);
    let rows: Vec<Columns> = way::table.load(tx.connection())?;
    rows.into_iter()
        .map(|(resource_id, kind, settings, sealed_secret, created_at)| {
            Ok(UpstreamAuth {
                resource_id: need(ResourceId::parse(&resource_id), "upstream_auth.resource_id")?,
                kind: need(AuthKind::parse(&kind), "upstream_auth.kind")?,
                settings: json(&settings, "upstream_auth.settings")?,
                sealed_secret,
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .collect()
}

/// Sets the way to a server's tokens; it takes the place of the one before it.
///
/// # Errors
/// A fault of the database.
pub fn put_way(tx: &mut Tx<'_>, new: &UpstreamAuth) -> Result<(), StoreError> {
    remove_way(tx, new.resource_id)?;
    diesel::insert_into(way::table)
        .values((
            way::resource_id.eq(new.resource_id.to_string()),
            way::kind.eq(new.kind.as_str()),
            way::settings.eq(to_json(&new.settings)?),
            way::sealed_secret.eq(&new.sealed_secret),
            way::created_at.eq(new.created_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets it; whether there was one.
///
/// # Errors
/// A fault of the database.
pub fn remove_way(tx: &mut Tx<'_>, resource: ResourceId) -> Result<bool, StoreError> {
    let gone = diesel::delete(way::table.find(resource.to_string())).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(gone == 1)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = table)]
struct Row {
    resource_id: String,
    user_id: String,
    sealed_key: Vec<u8>,
    sealed_tokens: Vec<u8>,
    expires_at: Option<i64>,
    scope: String,
    connected_at: i64,
    refreshed_at: i64,
    version: i64,
    ended_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<Connection, StoreError> {
        Ok(Connection {
            resource_id: need(ResourceId::parse(&self.resource_id), "upstream_connection.resource_id")?,
            user_id: need(UserId::parse(&self.user_id), "upstream_connection.user_id")?,
            sealed_key: self.sealed_key,
            sealed_tokens: self.sealed_tokens,
            expires_at: moment(self.expires_at),
            scope: self.scope,
            connected_at: Timestamp::from_micros(self.connected_at),
            refreshed_at: Timestamp::from_micros(self.refreshed_at),
            version: self.version,
            ended_at: moment(self.ended_at),
        })
    }
}

/// What a person has been given at a server.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, resource: ResourceId, user: UserId) -> Result<Option<Connection>, StoreError> {
    let row: Option<Row> = table::table
        .find((resource.to_string(), user.to_string()))
        .select(Row::as_select())
        .first(tx.connection())
        .optional()?;
    row.map(Row::read).transpose()
}

/// What a person has been given, everywhere.
///
/// # Errors
/// A fault of the database.
pub fn of_user(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Connection>, StoreError> {
    let rows: Vec<Row> = table::table
        .filter(table::user_id.eq(user.to_string()))
        .order(table::connected_at)
        .select(Row::as_select())
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// What everybody has been given at a server.
///
/// # Errors
/// A fault of the database.
pub fn of_resource(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Vec<Connection>, StoreError> {
    let rows: Vec<Row> = table::table
        .filter(table::resource_id.eq(resource.to_string()))
        .order((table::connected_at, table::user_id))
        .select(Row::as_select())
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Keeps what a person has been given, in the place of what was before. Every node hears of it.
///
/// # Errors
/// A fault of the database.
pub fn put(tx: &mut Tx<'_>, new: &Connection) -> Result<(), StoreError> {
    diesel::delete(table::table.find((new.resource_id.to_string(), new.user_id.to_string())))
        .execute(tx.connection())?;
    diesel::insert_into(table::table)
        .values((
            table::resource_id.eq(new.resource_id.to_string()),
            table::user_id.eq(new.user_id.to_string()),
            table::sealed_key.eq(&new.sealed_key),
            table::sealed_tokens.eq(&new.sealed_tokens),
            table::expires_at.eq(new.expires_at.map(Timestamp::micros)),
            table::scope.eq(&new.scope),
            table::connected_at.eq(new.connected_at.micros()),
            table::refreshed_at.eq(new.refreshed_at.micros()),
            table::version.eq(new.version),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Forgets it; what it was. Every node hears of it.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, resource: ResourceId, user: UserId) -> Result<Option<Connection>, StoreError> {
    let found = find(tx, resource, user)?;
    diesel::delete(table::table.find((resource.to_string(), user.to_string()))).execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(found)
}

/// Takes the right to renew these tokens, until `until`; `true` for one caller at a time, on any node.
///
/// # Errors
/// A fault of the database.
pub fn lease(tx: &mut Tx<'_>, of: &Connection, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
    let free = table::leased_until.is_null().or(table::leased_until.le(now.micros()));
    let taken = diesel::update(
        table::table
            .find((of.resource_id.to_string(), of.user_id.to_string()))
            .filter(table::version.eq(of.version))
            .filter(table::ended_at.is_null())
            .filter(free),
    )
    .set(table::leased_until.eq(Some(until.micros())))
    .execute(tx.connection())?;
    Ok(taken == 1)
}

/// Gives that right back.
///
/// # Errors
/// A fault of the database.
pub fn release(tx: &mut Tx<'_>, of: &Connection) -> Result<(), StoreError> {
    diesel::update(
        table::table
            .find((of.resource_id.to_string(), of.user_id.to_string()))
            .filter(table::version.eq(of.version)),
    )
    .set(table::leased_until.eq(None::<i64>))
    .execute(tx.connection())?;
    Ok(())
}

/// Keeps renewed tokens, whose version is one more than that of those they replace; `false` when those are gone: the person
/// has disconnected, or connected anew, meanwhile.
///
/// # Errors
/// A fault of the database.
pub fn renewed(tx: &mut Tx<'_>, new: &Connection) -> Result<bool, StoreError> {
    let changed = diesel::update(
        table::table
            .find((new.resource_id.to_string(), new.user_id.to_string()))
            .filter(table::version.eq(new.version - 1)),
    )
    .set((
        table::sealed_key.eq(&new.sealed_key),
        table::sealed_tokens.eq(&new.sealed_tokens),
        table::expires_at.eq(new.expires_at.map(Timestamp::micros)),
        table::scope.eq(&new.scope),
        table::refreshed_at.eq(new.refreshed_at.micros()),
        table::version.eq(new.version),
        table::leased_until.eq(None::<i64>),
    ))
    .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Notes that the other side knows nothing of it any more; `false` when it has been renewed or replaced meanwhile.
///
/// # Errors
/// A fault of the database.
pub fn end(tx: &mut Tx<'_>, of: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(
        table::table
            .find((of.resource_id.to_string(), of.user_id.to_string()))
            .filter(table::version.eq(of.version))
            .filter(table::ended_at.is_null()),
    )
    .set((table::ended_at.eq(Some(now.micros())), table::leased_until.eq(None::<i64>)))
    .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(changed == 1)
}

/// Something that has yet to be revoked at the other side.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its own id.
    pub id: TokenId,
    /// Of which server.
    pub resource_id: ResourceId,
    /// What to send, and to whom; sealed.
    pub sealed: Vec<u8>,
    /// How often it was tried.
    pub attempts: i64,
    /// When it may be tried again.
    pub next_at: Timestamp,
    /// Since when it waits.
    pub created_at: Timestamp,
}

/// Notes something to be revoked there.
///
/// # Errors
/// A fault of the database.
pub fn insert_pending(tx: &mut Tx<'_>, new: &Pending) -> Result<(), StoreError> {
    diesel::insert_into(revocation::table)
        .values((
            revocation::id.eq(new.id.to_string()),
            revocation::resource_id.eq(new.resource_id.to_string()),
            revocation::sealed.eq(&new.sealed),
            revocation::attempts.eq(new.attempts),
            revocation::next_at.eq(new.next_at.micros()),
            revocation::created_at.eq(new.created_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// What is due, the oldest first.
///
/// # Errors
/// A fault of the database.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, most: i64) -> Result<Vec<Pending>, StoreError> {
    type Columns = (String, String, Vec<u8>, i64, i64, i64);
    let rows: Vec<Columns> = revocation::table
        .filter(revocation::next_at.le(now.micros()))
        .order(revocation::next_at)
        .limit(most)
        .load(tx.connection())?;
    rows.into_iter()
        .map(|(id, resource_id, sealed, attempts, next_at, created_at)| {
            Ok(Pending {
                id: need(TokenId::parse(&id), "upstream_revocation.id")?,
                resource_id: need(ResourceId::parse(&resource_id), "upstream_revocation.resource_id")?,
                sealed,
                attempts,
                next_at: Timestamp::from_micros(next_at),
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .collect()
}

/// Takes one on until `until`; `true` for one node.
///
/// # Errors
/// A fault of the database.
pub fn take_on(tx: &mut Tx<'_>, of: &Pending, until: Timestamp) -> Result<bool, StoreError> {
    let taken = diesel::update(
        revocation::table
            .find(of.id.to_string())
            .filter(revocation::next_at.eq(of.next_at.micros()))
            .filter(revocation::attempts.eq(of.attempts)),
    )
    .set((revocation::next_at.eq(until.micros()), revocation::attempts.eq(revocation::attempts + 1)))
    .execute(tx.connection())?;
    Ok(taken == 1)
}

/// It is done, or given up.
///
/// # Errors
/// A fault of the database.
pub fn remove_pending(tx: &mut Tx<'_>, id: TokenId) -> Result<(), StoreError> {
    diesel::delete(revocation::table.find(id.to_string())).execute(tx.connection())?;
    Ok(())
}
