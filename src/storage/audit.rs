//! The audit log.

use std::sync::Arc;

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::audit_chain::{Chained, Opening};
use super::error::StoreError;
use super::grants;
use super::row::{json, need};
use super::schema::audit_event as table;
use super::store::Tx;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::audit_chain::SALT;
use crate::types::client::ClientId;
use crate::types::id::{AuditId, GrantId, ResourceId, UserId, made_at};
use crate::types::policy::{AUDIT_LOOK, ID_MARGIN};
use crate::types::tally::Tally;
use crate::types::time::Timestamp;

/// A row with everything that the chain covers.
pub(super) type ChainedRow = (
    i64,
    i64,
    i64,
    String,
    i64,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<Vec<u8>>,
    Vec<u8>,
    Vec<u8>,
    Option<Vec<u8>>,
);

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
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// Concerning this grant.
    pub grant_id: Option<GrantId>,
    /// Concerning this resource.
    pub resource_id: Option<ResourceId>,
    /// From this network address.
    pub address: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Older than the record with this place in the order of arrival; see [`page`].
    pub before: Option<i64>,
    /// At most so many, the newest.
    pub limit: Option<i64>,
}

impl AuditFilter {
    /// Whether an index serves the whole of it. A person has few records enough to look through.
    fn is_indexed(&self) -> bool {
        let others = self.grant_id.is_some()
            || self.resource_id.is_some()
            || self.address.is_some()
            || self.request_id.is_some()
            || self.kind.is_some_and(|kind| by_kind(&[kind]).is_none());
        self.user_id.is_some() || !(others || (self.client_id.is_some() && self.kind.is_some()))
    }
}

/// The kinds that most records are of. They are not in the index on kinds, see migration `audit_kinds`.
const MOST: [AuditKind; 2] = [AuditKind::CallBegun, AuditKind::CallEnded];

/// What a query has to say, beside its kinds, for a database to see that the index on kinds serves it; nothing where it does
/// not.
pub(super) fn by_kind(kinds: &[AuditKind]) -> Option<SqlLiteral<Bool>> {
    let served = kinds.iter().all(|kind| !MOST.contains(kind));
    served.then(|| sql(SERVED))
}

/// As the index says it.
const SERVED: &str = "audit_event.kind NOT IN ('call.begun', 'call.ended')";

/// How many records of each kind this process has appended, for the metrics. One that is rolled back later counts.
pub static RECORDED: Tally = Tally::new();

/// Appends a record, in the transaction of what it records: it is chained to those before it when the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn append(tx: &mut Tx<'_>, event: &AuditEvent) -> Result<(), StoreError> {
    append_shared(tx, &Arc::new(event.clone()))
}

/// [`append`] of a record that is there already to be shared: many of them are written together, and perhaps again.
///
/// # Errors
/// A fault of the database.
pub fn append_shared(tx: &mut Tx<'_>, event: &Arc<AuditEvent>) -> Result<(), StoreError> {
    RECORDED.count(event.kind);
    let mut event = Arc::clone(event);
    if event.by.is_some() {
        let own = Arc::make_mut(&mut event);
        if let (Some(by), Some(detail)) = (own.by.take(), own.detail.as_object_mut()) {
            detail.entry("by").or_insert_with(|| by.into());
        }
    }
    tx.record(event);
    Ok(())
}

/// The records that are meant, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, filter: &AuditFilter) -> Result<Vec<AuditEvent>, StoreError> {
    let mut found: Vec<AuditEvent> = page(tx, filter)?.into_iter().map(|(_, event)| event).collect();
    found.reverse();
    Ok(found)
}

/// The records that are meant, newest first, each with its place in the order of arrival, from which a next page goes on.
///
/// # Errors
/// A fault of the database.
pub fn page(tx: &mut Tx<'_>, filter: &AuditFilter) -> Result<Vec<(i64, AuditEvent)>, StoreError> {
    let rows = rows(tx, filter)?;
    rows.into_iter().map(|row| Ok((row.0, read_chained(row)?.event))).collect()
}

/// What a look at the log found, newest first, and the place from which the next look goes on.
pub type Looked = (Vec<(i64, AuditEvent)>, Option<i64>);

/// Like [`page`], at most `limit` records, and within bounds: where no index serves the whole filter, it looks through
/// [`AUDIT_LOOK`] records and then says where to go on, however few it has found.
///
/// # Errors
/// A fault of the database.
pub fn look(tx: &mut Tx<'_>, filter: &AuditFilter, limit: i64) -> Result<Looked, StoreError> {
    let rows = look_chained(tx, filter, limit)?;
    Ok((rows.0.into_iter().map(|(place, chained)| (place, chained.event)).collect(), rows.1))
}

/// [`look`] for records with their places in the chain.
///
/// # Errors
/// A fault of the database.
pub fn look_chained(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    limit: i64,
) -> Result<(Vec<(i64, Chained)>, Option<i64>), StoreError> {
    let mut filter = filter.clone();
    // An approval names its person and app, by which its records are found; none is older than it.
    if let Some(id) = filter.grant_id {
        if let Some(grant) = grants::find(tx, id)? {
            filter.user_id = filter.user_id.or(grant.user_id);
            filter.client_id = filter.client_id.or(Some(grant.client_id));
        }
        filter.since = filter.since.max(made_at(&id.to_string()).map(|at| at.minus(ID_MARGIN)));
    }
    if filter.request_id.is_some() && filter.before.is_none() {
        let found = near(tx, &filter, limit)?;
        if !found.is_empty() {
            return Ok((found, None));
        }
    }
    let asked = AuditFilter { limit: Some(limit + 1), ..filter.clone() };
    let mut bound = None;
    let mut found = if filter.is_indexed() {
        rows(tx, &asked)?
    } else {
        let walked = AuditFilter {
            since: filter.since,
            until: filter.until,
            client_id: filter.client_id.clone(),
            kind: filter.kind.filter(|kind| filter.client_id.is_none() && by_kind(&[*kind]).is_some()),
            ..AuditFilter::default()
        };
        let mut moments = narrowed(&walked).select(table::at).order(table::at.desc());
        if let Some(at) = filter.before.map(|before| moment_of(tx, before)).transpose()?.flatten() {
            moments = moments.filter(table::at.le(at));
        }
        let oldest: Option<i64> =
            moments.offset(AUDIT_LOOK).limit(1).get_result(tx.connection()).optional()?;
        bound = oldest;
        let since = oldest.map(Timestamp::from_micros).max(filter.since);
        rows(tx, &AuditFilter { since, ..asked })?
    };
    let full = i64::try_from(found.len()).unwrap_or(i64::MAX) > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next = match bound {
        _ if full => found.last().map(|row| row.0),
        Some(at) => table::table
            .filter(table::at.eq(at))
            .select(diesel::dsl::min(table::seq))
            .get_result(tx.connection())?,
        None => None,
    };
    let found: Result<Vec<_>, StoreError> =
        found.into_iter().map(|row| Ok((row.0, read_chained(row)?))).collect();
    Ok((found?, next))
}

/// The record with this id, whose moment its id tells.
///
/// # Errors
/// A fault of the database.
pub fn by_id(tx: &mut Tx<'_>, id: AuditId) -> Result<Option<AuditEvent>, StoreError> {
    let text = id.to_string();
    let Some(at) = made_at(&text) else { return Ok(None) };
    let filter = AuditFilter {
        since: Some(at.minus(ID_MARGIN)),
        until: Some(at.plus(ID_MARGIN)),
        ..AuditFilter::default()
    };
    let row: Option<ChainedRow> =
        narrowed(&filter).filter(table::id.eq(text)).limit(1).get_result(tx.connection()).optional()?;
    Ok(row.map(read_chained).transpose()?.map(|found| found.event))
}

/// The first records of a request, whose moment its id tells.
///
/// # Errors
/// A fault of the database.
pub fn of_request(tx: &mut Tx<'_>, filter: &AuditFilter, limit: i64) -> Result<Vec<AuditEvent>, StoreError> {
    Ok(near(tx, filter, limit)?.into_iter().map(|(_, chained)| chained.event).collect())
}

fn near(tx: &mut Tx<'_>, filter: &AuditFilter, limit: i64) -> Result<Vec<(i64, Chained)>, StoreError> {
    let Some(at) = filter.request_id.as_deref().and_then(made_at) else { return Ok(Vec::new()) };
    let near = AuditFilter {
        since: filter.since.max(Some(at.minus(ID_MARGIN))),
        until: Some(filter.until.map_or(at.plus(ID_MARGIN), |until| until.min(at.plus(ID_MARGIN)))),
        limit: Some(limit),
        ..filter.clone()
    };
    rows(tx, &near)?.into_iter().map(|row| Ok((row.0, read_chained(row)?))).collect()
}

/// The next records that are meant after a place in the order of arrival, oldest first, with their places in the chain.
///
/// # Errors
/// A fault of the database.
pub fn after(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Chained)>, StoreError> {
    let query = narrowed(filter).filter(table::seq.gt(after)).order(table::seq.asc()).limit(limit);
    let rows: Vec<ChainedRow> = query.load(tx.connection())?;
    rows.into_iter().map(|row| Ok((row.0, read_chained(row)?))).collect()
}

fn rows(tx: &mut Tx<'_>, filter: &AuditFilter) -> Result<Vec<ChainedRow>, StoreError> {
    let mut query = narrowed(filter).order((table::at.desc(), table::seq.desc()));
    if let Some(before) = filter.before {
        let Some(at) = moment_of(tx, before)? else { return Ok(Vec::new()) };
        // Said twice, so that an index begins there.
        query = query.filter(table::at.le(at)).filter(table::at.lt(at).or(table::seq.lt(before)));
    }
    if let Some(limit) = filter.limit {
        query = query.limit(limit);
    }
    Ok(query.load(tx.connection())?)
}

/// What both databases can be asked.
type Narrowed = table::BoxedQuery<'static, <super::dialect::AnyConnection as diesel::Connection>::Backend>;

fn narrowed(filter: &AuditFilter) -> Narrowed {
    let mut query = table::table.into_boxed();
    if let Some(since) = filter.since {
        query = query.filter(table::at.ge(since.micros()));
    }
    if let Some(until) = filter.until {
        query = query.filter(table::at.lt(until.micros()));
    }
    if let Some(id) = filter.user_id {
        query = query.filter(table::user_id.eq(id.to_string()));
    }
    if let Some(id) = &filter.client_id {
        query = query.filter(table::client_id.eq(id.as_str().to_owned()));
    }
    if let Some(id) = filter.grant_id {
        query = query.filter(table::grant_id.eq(id.to_string()));
    }
    if let Some(id) = filter.resource_id {
        query = query.filter(table::resource_id.eq(id.to_string()));
    }
    if let Some(address) = &filter.address {
        query = query.filter(table::address.eq(address.clone()));
    }
    if let Some(id) = &filter.request_id {
        query = query.filter(table::request_id.eq(id.clone()));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(table::kind.eq(kind.as_str()));
        if let Some(said) = by_kind(&[kind]) {
            query = query.filter(said);
        }
    }
    query
}

fn moment_of(tx: &mut Tx<'_>, seq: i64) -> Result<Option<i64>, StoreError> {
    Ok(table::table.find(seq).select(table::at).get_result(tx.connection()).optional()?)
}

pub(super) fn read_chained(row: ChainedRow) -> Result<Chained, StoreError> {
    let (
        _,
        lane,
        position,
        id,
        at,
        kind,
        user,
        client,
        grant,
        resource,
        address,
        request_id,
        detail,
        salt,
        commitment,
        hash,
        erased,
    ) = row;
    let event = AuditEvent {
        by: None,
        id: need(AuditId::parse(&id), "audit_event.id")?,
        at: Timestamp::from_micros(at),
        kind: need(AuditKind::parse(&kind), "audit_event.kind")?,
        user_id: user.map(|id| need(UserId::parse(&id), "audit_event.user_id")).transpose()?,
        client_id: client.map(|id| need(ClientId::parse(&id), "audit_event.client_id")).transpose()?,
        grant_id: grant.map(|id| need(GrantId::parse(&id), "audit_event.grant_id")).transpose()?,
        resource_id: resource
            .map(|id| need(ResourceId::parse(&id), "audit_event.resource_id"))
            .transpose()?,
        address,
        request_id,
        detail: json(&detail, "audit_event.detail")?,
        salt: [0; SALT],
    };
    let opening = salt.map(|salt| Opening { salt, detail });
    Ok(Chained { event, lane, position, opening, commitment, hash, erased })
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection as _;
    use diesel::sqlite::SqliteConnection;

    use super::*;

    #[test]
    fn the_index_on_kinds_serves_what_it_is_said_to_serve() {
        let quoted = MOST.map(|kind| format!("'{}'", kind.as_str())).join(", ");
        let said = format!("kind NOT IN ({quoted})");
        assert!(SERVED.ends_with(&said), "{SERVED}");
        let migrations = [
            include_str!("../../migrations/sqlite/2026-11-28-000090_audit_kinds/up.sql"),
            include_str!("../../migrations/postgres/2026-11-28-000090_audit_kinds/up.sql"),
        ];
        assert!(migrations.iter().all(|text| text.contains(&said)));
        let mut database = SqliteConnection::establish(":memory:").unwrap();
        let (_, index) = migrations[0].split_once(';').unwrap();
        database
            .batch_execute(&format!(
                "CREATE TABLE audit_event (kind TEXT NOT NULL, at BIGINT NOT NULL);{index}"
            ))
            .unwrap();
        let found = "SELECT 1 FROM audit_event INDEXED BY audit_event_by_kind WHERE kind = 'x'";
        assert!(database.batch_execute(found).is_err(), "the index would serve anything");
        database.batch_execute(&format!("{found} AND {SERVED}")).unwrap();
    }
}
