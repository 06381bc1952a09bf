//! Alerts, and the rules of the detectors that somebody has set.

use std::time::Duration;

use diesel::prelude::*;

use super::access_map::escaped;
use super::audit::{ChainedRow, by_kind, read_chained};
use super::error::StoreError;
use super::row::{moment, need};
use super::schema::{alert, audit_event, detector_rule};
use super::store::Tx;
use crate::types::alert::{Action, Alert, Detector, Finding, Rule, Subject};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::{AlertId, CutId};
use crate::types::policy::DETECTOR_READ;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = alert)]
struct Row {
    id: String,
    detector: String,
    subject_kind: String,
    subject: String,
    first_at: i64,
    last_at: i64,
    occurrences: i64,
    raised_at: i64,
    action: String,
    isolate_for: Option<i64>,
    cut_id: Option<String>,
    outcome: String,
    acknowledged_at: Option<i64>,
    acknowledged_by: Option<String>,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = detector_rule, treat_none_as_null = true)]
struct RuleRow {
    detector: String,
    is_on: bool,
    threshold: i64,
    window_seconds: i64,
    action: String,
    isolate_for: Option<i64>,
}

fn span(seconds: Option<i64>) -> Option<Duration> {
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs)
}

fn seconds(span: Option<Duration>) -> Option<i64> {
    span.and_then(|span| i64::try_from(span.as_secs()).ok())
}

impl Row {
    fn read(self) -> Result<Alert, StoreError> {
        let action = Action::parse(&self.action, span(self.isolate_for));
        Ok(Alert {
            id: need(AlertId::parse(&self.id), "alert.id")?,
            detector: need(Detector::parse(&self.detector), "alert.detector")?,
            finding: Finding {
                subject: need(Subject::parse(&self.subject_kind, &self.subject), "alert.subject")?,
                first_at: Timestamp::from_micros(self.first_at),
                last_at: Timestamp::from_micros(self.last_at),
                count: usize::try_from(self.occurrences).unwrap_or_default(),
            },
            raised_at: Timestamp::from_micros(self.raised_at),
            action: need(action, "alert.action")?,
            cut_id: self.cut_id.map(|id| need(CutId::parse(&id), "alert.cut_id")).transpose()?,
            outcome: self.outcome,
            acknowledged_at: moment(self.acknowledged_at),
            acknowledged_by: self.acknowledged_by,
        })
    }
}

/// The rules that somebody has set.
///
/// # Errors
/// A fault of the database.
pub fn rules(tx: &mut Tx<'_>) -> Result<Vec<Rule>, StoreError> {
    let rows: Vec<RuleRow> = detector_rule::table.load(tx.connection())?;
    rows.into_iter()
        .map(|row| {
            Ok(Rule {
                detector: need(Detector::parse(&row.detector), "detector_rule.detector")?,
                on: row.is_on,
                threshold: usize::try_from(row.threshold).unwrap_or(1),
                window: need(span(Some(row.window_seconds)), "detector_rule.window_seconds")?,
                action: need(Action::parse(&row.action, span(row.isolate_for)), "detector_rule.action")?,
            })
        })
        .collect()
}

/// Sets the rule of a detector.
///
/// # Errors
/// A fault of the database.
pub fn set_rule(tx: &mut Tx<'_>, rule: &Rule) -> Result<(), StoreError> {
    let row = RuleRow {
        detector: rule.detector.as_str().to_owned(),
        is_on: rule.on,
        threshold: i64::try_from(rule.threshold).unwrap_or(i64::MAX),
        window_seconds: seconds(Some(rule.window)).unwrap_or(i64::MAX),
        action: rule.action.as_str().to_owned(),
        isolate_for: seconds(rule.action.span()),
    };
    diesel::delete(detector_rule::table.find(&row.detector)).execute(tx.connection())?;
    diesel::insert_into(detector_rule::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The records of these kinds from a moment on, oldest first, at most [`DETECTOR_READ`], of one subject if one is given.
///
/// # Errors
/// A fault of the database.
pub fn records(
    tx: &mut Tx<'_>,
    kinds: &[AuditKind],
    since: Timestamp,
    of: Option<&Subject>,
) -> Result<Vec<AuditEvent>, StoreError> {
    let mut query = audit_event::table
        .filter(audit_event::kind.eq_any(kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()))
        .filter(audit_event::at.ge(since.micros()))
        .order((audit_event::at.asc(), audit_event::seq.asc()))
        .limit(DETECTOR_READ)
        .into_boxed();
    if let Some(said) = by_kind(kinds) {
        query = query.filter(said);
    }
    query = match of {
        None => query,
        Some(Subject::Person(id)) => query.filter(audit_event::user_id.eq(id.to_string())),
        Some(Subject::Client(id)) => query.filter(audit_event::client_id.eq(id.as_str().to_owned())),
        Some(Subject::Grant(id)) => query.filter(audit_event::grant_id.eq(id.to_string())),
        Some(Subject::Address(address)) => query.filter(audit_event::address.eq(address.clone())),
    };
    let rows: Vec<ChainedRow> = query.load(tx.connection())?;
    rows.into_iter().map(|row| Ok(read_chained(row)?.event)).collect()
}

/// The newest alert of a detector about a subject.
///
/// # Errors
/// A fault of the database.
pub fn newest(tx: &mut Tx<'_>, detector: Detector, subject: &Subject) -> Result<Option<Alert>, StoreError> {
    let row: Option<Row> = alert::table
        .filter(alert::detector.eq(detector.as_str()))
        .filter(alert::subject_kind.eq(subject.kind()))
        .filter(alert::subject.eq(subject.value()))
        .order(alert::raised_at.desc())
        .first(tx.connection())
        .optional()?;
    row.map(Row::read).transpose()
}

/// Writes an alert down; [`StoreError::Conflict`] when one of the same detector about the same subject is open.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Alert) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        detector: new.detector.as_str().to_owned(),
        subject_kind: new.finding.subject.kind().to_owned(),
        subject: new.finding.subject.value(),
        first_at: new.finding.first_at.micros(),
        last_at: new.finding.last_at.micros(),
        occurrences: i64::try_from(new.finding.count).unwrap_or(i64::MAX),
        raised_at: new.raised_at.micros(),
        action: new.action.as_str().to_owned(),
        isolate_for: seconds(new.action.span()),
        cut_id: new.cut_id.map(|id| id.to_string()),
        outcome: new.outcome.clone(),
        acknowledged_at: new.acknowledged_at.map(Timestamp::micros),
        acknowledged_by: new.acknowledged_by.clone(),
    };
    diesel::insert_into(alert::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// Lets an open alert grow by more of the same, if nobody else has done it.
///
/// # Errors
/// A fault of the database.
pub fn grow(tx: &mut Tx<'_>, known: &Alert, last_at: Timestamp, more: usize) -> Result<(), StoreError> {
    let more = i64::try_from(more).unwrap_or(i64::MAX);
    diesel::update(
        alert::table
            .find(known.id.to_string())
            .filter(alert::last_at.eq(known.finding.last_at.micros()))
            .filter(alert::acknowledged_at.is_null()),
    )
    .set((alert::last_at.eq(last_at.micros()), alert::occurrences.eq(alert::occurrences + more)))
    .execute(tx.connection())?;
    Ok(())
}

/// Notes what came of an alert's action.
///
/// # Errors
/// A fault of the database.
pub fn acted(tx: &mut Tx<'_>, id: AlertId, cut: Option<CutId>, outcome: &str) -> Result<(), StoreError> {
    diesel::update(alert::table.find(id.to_string()))
        .set((alert::cut_id.eq(cut.map(|id| id.to_string())), alert::outcome.eq(outcome)))
        .execute(tx.connection())?;
    Ok(())
}

/// Takes note of an open alert; whether it was open.
///
/// # Errors
/// A fault of the database.
pub fn acknowledge(tx: &mut Tx<'_>, id: AlertId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let open = alert::table.find(id.to_string()).filter(alert::acknowledged_at.is_null());
    let changed = diesel::update(open)
        .set((alert::acknowledged_at.eq(now.micros()), alert::acknowledged_by.eq(by)))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// The alert with this id.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: AlertId) -> Result<Option<Alert>, StoreError> {
    let row: Option<Row> = alert::table.find(id.to_string()).get_result(tx.connection()).optional()?;
    row.map(Row::read).transpose()
}

/// Which alerts are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// Whether somebody has yet to take note of them.
    pub open: Option<bool>,
    /// Of this detector.
    pub detector: Option<Detector>,
    /// About something with this in its id or address.
    pub subject: Option<String>,
}

/// Alerts, newest first: only the open ones, or all; at most `limit`.
///
/// # Errors
/// A fault of the database.
pub fn list(
    tx: &mut Tx<'_>,
    filter: &AlertFilter,
    before: Option<AlertId>,
    limit: i64,
) -> Result<Vec<Alert>, StoreError> {
    // An id begins with its moment, so this is the order of time.
    let mut query = alert::table.order(alert::id.desc()).limit(limit).into_boxed();
    if let Some(id) = before {
        query = query.filter(alert::id.lt(id.to_string()));
    }
    query = match filter.open {
        None => query,
        Some(true) => query.filter(alert::acknowledged_at.is_null()),
        Some(false) => query.filter(alert::acknowledged_at.is_not_null()),
    };
    if let Some(detector) = filter.detector {
        query = query.filter(alert::detector.eq(detector.as_str()));
    }
    if let Some(part) = &filter.subject {
        query = query.filter(alert::subject.like(format!("%{}%", escaped(part))).escape('\\'));
    }
    let rows: Vec<Row> = query.load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Alerts whose action has not come to anything yet, raised before a moment: whoever raised them was interrupted.
///
/// # Errors
/// A fault of the database.
pub fn unfinished(tx: &mut Tx<'_>, before: Timestamp) -> Result<Vec<Alert>, StoreError> {
    let rows: Vec<Row> = alert::table
        .filter(alert::outcome.eq(""))
        .filter(alert::raised_at.lt(before.micros()))
        .limit(DETECTOR_READ)
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}
