//! Mail that waits to be sent, and alerts that wait to be told.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::need;
use super::schema::{alert_notice, mail_outbox as table};
use super::store::Tx;
use crate::types::alert::Detector;
use crate::types::id::{AlertId, MailId, UserId};
use crate::types::mail::Waiting;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    kind: String,
    user_id: Option<String>,
    sealed: Vec<u8>,
    created_at: i64,
    due_at: i64,
    tries: i64,
    give_up_at: i64,
}

impl Row {
    fn read(self) -> Result<Waiting, StoreError> {
        let user = self.user_id.map(|id| need(UserId::parse(&id), "mail_outbox.user_id")).transpose()?;
        Ok(Waiting {
            id: need(MailId::parse(&self.id), "mail_outbox.id")?,
            kind: self.kind,
            user_id: user,
            sealed: self.sealed,
            created_at: Timestamp::from_micros(self.created_at),
            due_at: Timestamp::from_micros(self.due_at),
            tries: self.tries,
            give_up_at: Timestamp::from_micros(self.give_up_at),
        })
    }
}

/// Adds a mail.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, mail: &Waiting) -> Result<(), StoreError> {
    let row = Row {
        id: mail.id.to_string(),
        kind: mail.kind.clone(),
        user_id: mail.user_id.map(|id| id.to_string()),
        sealed: mail.sealed.clone(),
        created_at: mail.created_at.micros(),
        due_at: mail.due_at.micros(),
        tries: mail.tries,
        give_up_at: mail.give_up_at.micros(),
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// Adds mails.
///
/// # Errors
/// A fault of the database.
pub fn insert_all(tx: &mut Tx<'_>, mails: &[Waiting]) -> Result<(), StoreError> {
    mails.iter().try_for_each(|mail| insert(tx, mail))
}

/// Mails that are due, the longest waiting first.
///
/// # Errors
/// A fault of the database.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<Waiting>, StoreError> {
    table::table
        .filter(table::due_at.le(now.micros()))
        .order((table::due_at.asc(), table::id.asc()))
        .limit(limit)
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Takes a mail on until `until`; `true` for exactly one of those who saw it due at the same moment.
///
/// # Errors
/// A fault of the database.
pub fn lease(tx: &mut Tx<'_>, mail: &Waiting, until: Timestamp) -> Result<bool, StoreError> {
    let taken =
        diesel::update(table::table.find(mail.id.to_string()).filter(table::due_at.eq(mail.due_at.micros())))
            .set((table::due_at.eq(until.micros()), table::tries.eq(table::tries + 1)))
            .execute(tx.connection())?;
    Ok(taken == 1)
}

/// Lets a mail that was taken on until `until` be tried again at `next`.
///
/// # Errors
/// A fault of the database.
pub fn put_off(tx: &mut Tx<'_>, id: MailId, until: Timestamp, next: Timestamp) -> Result<(), StoreError> {
    diesel::update(table::table.find(id.to_string()).filter(table::due_at.eq(until.micros())))
        .set(table::due_at.eq(next.micros()))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets a mail that was taken on until `until`; `true` when it was still ours.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, id: MailId, until: Timestamp) -> Result<bool, StoreError> {
    let mine = table::table.find(id.to_string()).filter(table::due_at.eq(until.micros()));
    Ok(diesel::delete(mine).execute(tx.connection())? == 1)
}

/// How many mails wait.
///
/// # Errors
/// A fault of the database.
pub fn count(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    Ok(table::table.count().get_result(tx.connection())?)
}

/// Notes that an alert has yet to be told.
///
/// # Errors
/// A fault of the database.
pub fn note_alert(tx: &mut Tx<'_>, alert: AlertId, detector: Detector) -> Result<(), StoreError> {
    diesel::insert_into(alert_notice::table)
        .values((alert_notice::alert_id.eq(alert.to_string()), alert_notice::detector.eq(detector.as_str())))
        .execute(tx.connection())?;
    Ok(())
}

/// The alerts that have yet to be told, the oldest first.
///
/// # Errors
/// A fault of the database.
pub fn untold(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<(Detector, AlertId)>, StoreError> {
    let rows: Vec<(String, String)> = alert_notice::table
        .select((alert_notice::detector, alert_notice::alert_id))
        .order(alert_notice::alert_id.asc())
        .limit(limit)
        .load(tx.connection())?;
    let read =
        |(detector, alert): &(String, String)| Some((Detector::parse(detector)?, AlertId::parse(alert)?));
    Ok(rows.iter().filter_map(read).collect())
}

/// Takes alerts that have yet to be told; `true` when nobody else has taken one of them.
///
/// # Errors
/// A fault of the database.
pub fn take_untold(tx: &mut Tx<'_>, alerts: &[AlertId]) -> Result<bool, StoreError> {
    let ids: Vec<String> = alerts.iter().map(ToString::to_string).collect();
    let taken = diesel::delete(alert_notice::table.filter(alert_notice::alert_id.eq_any(ids)))
        .execute(tx.connection())?;
    Ok(taken == alerts.len())
}
