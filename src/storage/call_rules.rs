//! Rules about calls through the gateway.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{json, need, to_json};
use super::schema::call_rule as table;
use super::store::Tx;
use crate::types::call_rule::{CallRule, Condition, Effect, Subject};
use crate::types::id::{CallRuleId, ResourceId};
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    resource_id: String,
    subject_kind: String,
    subject: String,
    conditions: String,
    effect: String,
    reason: String,
    created_at: i64,
    created_by: Option<String>,
    callers: String,
}

impl Row {
    fn read(self) -> Result<CallRule, StoreError> {
        let conditions: Vec<String> = json(&self.conditions, "call_rule.conditions")?;
        let conditions: Result<Vec<_>, _> = conditions.iter().map(|text| Condition::parse(text)).collect();
        Ok(CallRule {
            id: need(CallRuleId::parse(&self.id), "call_rule.id")?,
            resource_id: need(ResourceId::parse(&self.resource_id), "call_rule.resource_id")?,
            subject: need(Subject::of(&self.subject_kind, &self.subject), "call_rule.subject")?,
            conditions: need(conditions.ok(), "call_rule.conditions")?,
            callers: json(&self.callers, "call_rule.callers")?,
            effect: need(Effect::parse(&self.effect), "call_rule.effect")?,
            reason: self.reason,
            created_at: Timestamp::from_micros(self.created_at),
            created_by: self.created_by,
        })
    }
}

/// Every rule of every server, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<CallRule>, StoreError> {
    let rows: Vec<Row> = table::table.order(table::id).load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// The rules of one server, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn of(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Vec<CallRule>, StoreError> {
    let rows: Vec<Row> = table::table
        .filter(table::resource_id.eq(resource.to_string()))
        .order(table::id)
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Adds a rule.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &CallRule) -> Result<(), StoreError> {
    let (kind, subject) = new.subject.parts();
    let conditions: Vec<&str> = new.conditions.iter().map(Condition::as_str).collect();
    let row = Row {
        id: new.id.to_string(),
        resource_id: new.resource_id.to_string(),
        subject_kind: kind.to_owned(),
        subject: subject.to_owned(),
        conditions: to_json(&conditions)?,
        effect: new.effect.as_str().to_owned(),
        reason: new.reason.clone(),
        created_at: new.created_at.micros(),
        created_by: new.created_by.clone(),
        callers: to_json(&new.callers)?,
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}

/// Removes a rule; what it was.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, id: CallRuleId) -> Result<Option<CallRule>, StoreError> {
    let row: Option<Row> = diesel::delete(table::table.find(id.to_string()))
        .returning(table::all_columns)
        .get_result(tx.connection())
        .optional()?;
    bump(tx, Topic::Resources);
    row.map(Row::read).transpose()
}
