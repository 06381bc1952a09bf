//! The audit log as a person reads it: what concerns the safety of their own account.

use diesel::prelude::*;

use super::dialect::on_either;
use super::error::StoreError;
use super::row::{json, need};
use super::schema::audit_event as table;
use super::store::Tx;
use crate::types::audit::AuditKind;
use crate::types::id::UserId;
use crate::types::time::Timestamp;

/// One record, as far as its person may know.
#[derive(Clone, Debug)]
pub struct OwnEvent {
    /// Its place in the log.
    pub place: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: AuditKind,
    /// Through which client.
    pub client_id: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// What else there is to say.
    pub detail: serde_json::Value,
}

type Row = (i64, i64, String, Option<String>, Option<String>, String);

/// The records of these kinds that concern a person, newest first, from before a place in the log.
///
/// # Errors
/// A fault of the database.
pub fn list(
    tx: &mut Tx<'_>,
    user: UserId,
    kinds: &[AuditKind],
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<OwnEvent>, StoreError> {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let query = table::table
        .filter(table::user_id.eq(user.to_string()))
        .filter(table::seq.lt(before.unwrap_or(i64::MAX)))
        .filter(table::kind.eq_any(kinds))
        .order(table::seq.desc())
        .limit(limit)
        .select((table::seq, table::at, table::kind, table::client_id, table::address, table::detail));
    let rows: Vec<Row> = on_either!(tx, c => query.load(c))?;
    rows.into_iter()
        .map(|(place, at, kind, client_id, address, detail)| {
            Ok(OwnEvent {
                place,
                at: Timestamp::from_micros(at),
                kind: need(AuditKind::parse(&kind), "audit_event.kind")?,
                client_id,
                address,
                detail: json(&detail, "audit_event.detail")?,
            })
        })
        .collect()
}
