//! The audit log.

use diesel::prelude::*;

use super::dialect::on_either;
use super::error::StoreError;
use super::row::{json, need, to_json};
use super::schema::audit_event as table;
use super::store::Tx;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::{AuditId, GrantId, ResourceId, UserId};
use crate::types::tally::Tally;
use crate::types::time::Timestamp;

#[derive(Queryable)]
struct Row {
    _seq: i64,
    id: String,
    at: i64,
    kind: String,
    user_id: Option<String>,
    client_id: Option<String>,
    grant_id: Option<String>,
    resource_id: Option<String>,
    address: Option<String>,
    request_id: Option<String>,
    detail: String,
}

/// Which records are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Not before.
    pub since: Option<Timestamp>,
    /// Concerning this person.
    pub user_id: Option<UserId>,
    /// Concerning this client.
    pub client_id: Option<ClientId>,
    /// Of this kind.
    pub kind: Option<AuditKind>,
    /// At most so many, the newest.
    pub limit: Option<i64>,
}

/// How many records of each kind this process has appended, for the metrics. One that is rolled back later counts.
pub static RECORDED: Tally = Tally::new();

/// Appends a record, in the transaction of what it records.
///
/// # Errors
/// A fault of the database.
pub fn append(tx: &mut Tx<'_>, event: &AuditEvent) -> Result<(), StoreError> {
    RECORDED.count(event.kind);
    on_either!(tx, c => diesel::insert_into(table::table)
        .values((
            table::id.eq(event.id.to_string()),
            table::at.eq(event.at.micros()),
            table::kind.eq(event.kind.as_str()),
            table::user_id.eq(event.user_id.map(|id| id.to_string())),
            table::client_id.eq(event.client_id.as_ref().map(ClientId::as_str)),
            table::grant_id.eq(event.grant_id.map(|id| id.to_string())),
            table::resource_id.eq(event.resource_id.map(|id| id.to_string())),
            table::address.eq(event.address.as_deref()),
            table::request_id.eq(event.request_id.as_deref()),
            table::detail.eq(to_json(&event.detail)?),
        ))
        .execute(c))?;
    Ok(())
}

/// The records that are meant, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, filter: &AuditFilter) -> Result<Vec<AuditEvent>, StoreError> {
    let mut query = table::table.order(table::seq.desc()).into_boxed();
    if let Some(since) = filter.since {
        query = query.filter(table::at.ge(since.micros()));
    }
    if let Some(id) = filter.user_id {
        query = query.filter(table::user_id.eq(id.to_string()));
    }
    if let Some(id) = &filter.client_id {
        query = query.filter(table::client_id.eq(id.as_str().to_owned()));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(table::kind.eq(kind.as_str()));
    }
    if let Some(limit) = filter.limit {
        query = query.limit(limit);
    }
    let mut rows = query.load::<Row>(tx.connection())?;
    rows.reverse();
    rows.into_iter().map(read).collect()
}

fn read(row: Row) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        id: need(AuditId::parse(&row.id), "audit_event.id")?,
        at: Timestamp::from_micros(row.at),
        kind: need(AuditKind::parse(&row.kind), "audit_event.kind")?,
        user_id: row.user_id.map(|id| need(UserId::parse(&id), "audit_event.user_id")).transpose()?,
        client_id: row.client_id.map(|id| need(ClientId::parse(&id), "audit_event.client_id")).transpose()?,
        grant_id: row.grant_id.map(|id| need(GrantId::parse(&id), "audit_event.grant_id")).transpose()?,
        resource_id: row
            .resource_id
            .map(|id| need(ResourceId::parse(&id), "audit_event.resource_id"))
            .transpose()?,
        address: row.address,
        request_id: row.request_id,
        detail: json(&row.detail, "audit_event.detail")?,
    })
}
