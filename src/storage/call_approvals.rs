//! Single calls that wait for a decision.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{digest, moment, need};
use super::schema::call_approval as table;
use super::store::Tx;
use crate::types::call_approval::CallApproval;
use crate::types::client::ClientId;
use crate::types::id::{CallApprovalId, CallRuleId, GrantId, ResourceId, UserId};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    rule_id: String,
    reason: String,
    resource_id: String,
    grant_id: String,
    user_id: Option<String>,
    client_id: String,
    method: String,
    name: String,
    digest: Vec<u8>,
    sealed: Vec<u8>,
    created_at: i64,
    expires_at: i64,
    decided_at: Option<i64>,
    decided_by: Option<String>,
    allowed: Option<bool>,
    used_at: Option<i64>,
}

impl Row {
    fn read(self) -> Result<CallApproval, StoreError> {
        let person = self.user_id.map(|id| need(UserId::parse(&id), "call_approval.user_id")).transpose()?;
        Ok(CallApproval {
            id: need(CallApprovalId::parse(&self.id), "call_approval.id")?,
            rule_id: need(CallRuleId::parse(&self.rule_id), "call_approval.rule_id")?,
            reason: self.reason,
            resource_id: need(ResourceId::parse(&self.resource_id), "call_approval.resource_id")?,
            grant_id: need(GrantId::parse(&self.grant_id), "call_approval.grant_id")?,
            user_id: person,
            client_id: need(ClientId::parse(&self.client_id), "call_approval.client_id")?,
            method: self.method,
            name: self.name,
            digest: digest(&self.digest, "call_approval.digest")?,
            sealed: self.sealed,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            decided_at: moment(self.decided_at),
            decided_by: self.decided_by,
            allowed: self.allowed,
            used_at: moment(self.used_at),
        })
    }
}

/// The newest of a call that still says something at `now`: it waits, may be made, or was refused.
///
/// # Errors
/// A fault of the database.
pub fn standing(
    tx: &mut Tx<'_>,
    grant: GrantId,
    call: &TokenDigest,
    now: Timestamp,
) -> Result<Option<CallApproval>, StoreError> {
    let row: Option<Row> = table::table
        .filter(table::grant_id.eq(grant.to_string()))
        .filter(table::digest.eq(call.bytes().as_slice()))
        .filter(table::used_at.is_null())
        .filter(table::expires_at.gt(now.micros()))
        .order(table::id.desc())
        .first(tx.connection())
        .optional()?;
    row.map(Row::read).transpose()
}

/// How many calls under one approval wait at `now`.
///
/// # Errors
/// A fault of the database.
pub fn waiting_under(tx: &mut Tx<'_>, grant: GrantId, now: Timestamp) -> Result<i64, StoreError> {
    Ok(table::table
        .filter(table::grant_id.eq(grant.to_string()))
        .filter(table::decided_at.is_null())
        .filter(table::expires_at.gt(now.micros()))
        .count()
        .get_result(tx.connection())?)
}

/// Adds one, in place of an earlier one of the same call about which nobody decided in time.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when the same call was asked for at the same moment.
pub fn insert(tx: &mut Tx<'_>, new: &CallApproval) -> Result<(), StoreError> {
    diesel::delete(
        table::table
            .filter(table::grant_id.eq(new.grant_id.to_string()))
            .filter(table::digest.eq(new.digest.bytes().as_slice()))
            .filter(table::decided_at.is_null())
            .filter(table::expires_at.le(new.created_at.micros())),
    )
    .execute(tx.connection())?;
    let row = Row {
        id: new.id.to_string(),
        rule_id: new.rule_id.to_string(),
        reason: new.reason.clone(),
        resource_id: new.resource_id.to_string(),
        grant_id: new.grant_id.to_string(),
        user_id: new.user_id.map(|id| id.to_string()),
        client_id: new.client_id.to_string(),
        method: new.method.clone(),
        name: new.name.clone(),
        digest: new.digest.bytes().to_vec(),
        sealed: new.sealed.clone(),
        created_at: new.created_at.micros(),
        expires_at: new.expires_at.micros(),
        decided_at: None,
        decided_by: None,
        allowed: None,
        used_at: None,
    };
    let done = diesel::insert_into(table::table).values(&row).execute(tx.connection());
    match done.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        Err(StoreError::Conflict) => Err(StoreError::Retry("call_approval".to_owned())),
        Err(other) => Err(other),
    }
}

/// One of them.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: CallApprovalId) -> Result<Option<CallApproval>, StoreError> {
    let row: Option<Row> = table::table.find(id.to_string()).first(tx.connection()).optional()?;
    row.map(Row::read).transpose()
}

/// Those that wait at `now`, oldest first; with `all`, every one that is kept, newest first; in that order those that come after
/// the one with `after`.
///
/// # Errors
/// A fault of the database.
pub fn list(
    tx: &mut Tx<'_>,
    all: bool,
    after: Option<CallApprovalId>,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<CallApproval>, StoreError> {
    let mut query = table::table.into_boxed().limit(limit);
    query = if all {
        query.order(table::id.desc())
    } else {
        query
            .filter(table::decided_at.is_null())
            .filter(table::expires_at.gt(now.micros()))
            .order(table::id.asc())
    };
    if let Some(id) = after.map(|id| id.to_string()) {
        query = if all { query.filter(table::id.lt(id)) } else { query.filter(table::id.gt(id)) };
    }
    let rows: Vec<Row> = query.load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// How many wait at `now`.
///
/// # Errors
/// A fault of the database.
pub fn count_waiting(tx: &mut Tx<'_>, now: Timestamp) -> Result<i64, StoreError> {
    Ok(table::table
        .filter(table::decided_at.is_null())
        .filter(table::expires_at.gt(now.micros()))
        .count()
        .get_result(tx.connection())?)
}

/// Decides about one that waits, once; what it is then, or nothing when it does not wait.
///
/// # Errors
/// A fault of the database.
pub fn decide(
    tx: &mut Tx<'_>,
    id: CallApprovalId,
    allowed: bool,
    by: Option<&str>,
    until: Timestamp,
    now: Timestamp,
) -> Result<Option<CallApproval>, StoreError> {
    let row: Option<Row> = diesel::update(
        table::table
            .filter(table::id.eq(id.to_string()))
            .filter(table::decided_at.is_null())
            .filter(table::expires_at.gt(now.micros())),
    )
    .set((
        table::decided_at.eq(now.micros()),
        table::decided_by.eq(by),
        table::allowed.eq(allowed),
        table::expires_at.eq(until.micros()),
    ))
    .returning(table::all_columns)
    .get_result(tx.connection())
    .optional()?;
    row.map(Row::read).transpose()
}

/// Takes the one use of an allowed call; `true` for exactly one caller.
///
/// # Errors
/// A fault of the database.
pub fn take(tx: &mut Tx<'_>, id: CallApprovalId, now: Timestamp) -> Result<bool, StoreError> {
    let taken = diesel::update(
        table::table
            .filter(table::id.eq(id.to_string()))
            .filter(table::allowed.eq(true))
            .filter(table::used_at.is_null())
            .filter(table::expires_at.gt(now.micros())),
    )
    .set(table::used_at.eq(now.micros()))
    .execute(tx.connection())?;
    Ok(taken == 1)
}
