//! Who nothing is heard of: found in the audit log and among the sessions, so that no request has to note anything.

use diesel::dsl::{exists, not};
use diesel::prelude::*;

use super::error::StoreError;
use super::row::{moment, need};
use super::schema::{audit_event, client, inactivity as table, session, users};
use super::store::Tx;
use super::{clients, users as people};
use crate::types::audit::AuditKind;
use crate::types::client::Client;
use crate::types::id::UserId;
use crate::types::inactivity::{Note, Silent};
use crate::types::time::Timestamp;
use crate::types::user::User;

/// Signs of life of a person: they signed in, let an app in, or an app acted for them; or they were switched on.
const PERSON: [AuditKind; 4] =
    [AuditKind::LoginSucceeded, AuditKind::ConsentAllowed, AuditKind::TokenIssued, AuditKind::UserEnabled];
/// Signs of life of a client: it got a token, somebody let it in, or somebody changed it or switched it on.
const CLIENT: [AuditKind; 4] =
    [AuditKind::TokenIssued, AuditKind::ConsentAllowed, AuditKind::ClientUpdated, AuditKind::ClientEnabled];

fn names(kinds: [AuditKind; 4]) -> [&'static str; 4] {
    kinds.map(AuditKind::as_str)
}

type Row = (String, String, i64, Option<i64>, Option<i64>);

fn read((kind, subject, warned_at, disabled_at, revoked_at): Row) -> Result<Note, StoreError> {
    Ok(Note {
        who: need(Silent::parse(&kind, &subject), "inactivity.subject")?,
        warned_at: Timestamp::from_micros(warned_at),
        disabled_at: moment(disabled_at),
        revoked_at: moment(revoked_at),
    })
}

/// People who are switched on and have shown no sign of life since a moment, by id, after the one with `after`; without
/// those of whom there is a note.
///
/// # Errors
/// A fault of the database.
pub fn silent_people(
    tx: &mut Tx<'_>,
    since: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<User>, StoreError> {
    let heard = audit_event::table
        .filter(audit_event::user_id.eq(users::id.nullable()))
        .filter(audit_event::at.ge(since.micros()))
        .filter(audit_event::kind.eq_any(names(PERSON)));
    let seen = session::table
        .filter(session::user_id.eq(users::id))
        .filter(session::last_seen_at.ge(since.micros()));
    let noted = table::table.filter(table::subject_kind.eq("person")).filter(table::subject.eq(users::id));
    let rows: Vec<people::Row> = users::table
        .filter(users::id.gt(after.to_owned()))
        .filter(users::disabled_at.is_null())
        .filter(users::created_at.lt(since.micros()))
        .filter(not(exists(heard)))
        .filter(not(exists(seen)))
        .filter(not(exists(noted)))
        .order(users::id.asc())
        .limit(limit)
        .select(users::all_columns)
        .load(tx.connection())?;
    rows.into_iter().map(people::Row::read).collect()
}

/// The same for clients.
///
/// # Errors
/// A fault of the database.
pub fn silent_clients(
    tx: &mut Tx<'_>,
    since: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<Client>, StoreError> {
    let heard = audit_event::table
        .filter(audit_event::client_id.eq(client::id.nullable()))
        .filter(audit_event::at.ge(since.micros()))
        .filter(audit_event::kind.eq_any(names(CLIENT)));
    let noted = table::table.filter(table::subject_kind.eq("client")).filter(table::subject.eq(client::id));
    let rows: Vec<clients::Row> = client::table
        .filter(client::id.gt(after.to_owned()))
        .filter(client::disabled_at.is_null())
        .filter(client::created_at.lt(since.micros()))
        .filter(not(exists(heard)))
        .filter(not(exists(noted)))
        .order(client::id.asc())
        .limit(limit)
        .select(client::all_columns)
        .load(tx.connection())?;
    rows.into_iter().map(clients::Row::read).collect()
}

/// When there was the last sign of life; `None` when there was none that is still known.
///
/// # Errors
/// A fault of the database.
pub fn last_heard(tx: &mut Tx<'_>, who: &Silent) -> Result<Option<Timestamp>, StoreError> {
    let mut query = audit_event::table.select(audit_event::at).order(audit_event::at.desc()).into_boxed();
    query = match who {
        Silent::Person(id) => query
            .filter(audit_event::user_id.eq(id.to_string()))
            .filter(audit_event::kind.eq_any(names(PERSON))),
        Silent::Client(id) => query
            .filter(audit_event::client_id.eq(id.as_str().to_owned()))
            .filter(audit_event::kind.eq_any(names(CLIENT))),
    };
    let heard: Option<i64> = query.first(tx.connection()).optional()?;
    let seen: Option<i64> = match who {
        Silent::Person(id) => session::table
            .filter(session::user_id.eq(id.to_string()))
            .select(diesel::dsl::max(session::last_seen_at))
            .get_result(tx.connection())?,
        Silent::Client(_) => None,
    };
    Ok(moment(heard.max(seen)))
}

/// Whether an administrator other than this one is switched on and has shown a sign of life since a moment.
///
/// # Errors
/// A fault of the database.
pub fn another_administrator(tx: &mut Tx<'_>, than: UserId, since: Timestamp) -> Result<bool, StoreError> {
    let heard = audit_event::table
        .filter(audit_event::user_id.eq(users::id.nullable()))
        .filter(audit_event::at.ge(since.micros()))
        .filter(audit_event::kind.eq_any(names(PERSON)));
    let seen = session::table
        .filter(session::user_id.eq(users::id))
        .filter(session::last_seen_at.ge(since.micros()));
    let found: i64 = users::table
        .filter(users::role.eq("admin"))
        .filter(users::disabled_at.is_null())
        .filter(users::id.ne(than.to_string()))
        .filter(users::created_at.ge(since.micros()).or(exists(heard)).or(exists(seen)))
        .count()
        .get_result(tx.connection())?;
    Ok(found > 0)
}

/// Notes, by kind and subject, after the one of `after`.
///
/// # Errors
/// A fault of the database.
pub fn notes(tx: &mut Tx<'_>, after: Option<&Silent>, limit: i64) -> Result<Vec<Note>, StoreError> {
    let mut query =
        table::table.order((table::subject_kind.asc(), table::subject.asc())).limit(limit).into_boxed();
    if let Some(after) = after {
        query = query.filter(
            table::subject_kind
                .gt(after.kind())
                .or(table::subject_kind.eq(after.kind()).and(table::subject.gt(after.value()))),
        );
    }
    query.load::<Row>(tx.connection())?.into_iter().map(read).collect()
}

/// The note of one.
///
/// # Errors
/// A fault of the database.
pub fn note(tx: &mut Tx<'_>, who: &Silent) -> Result<Option<Note>, StoreError> {
    let row: Option<Row> =
        table::table.find((who.kind(), who.value())).get_result(tx.connection()).optional()?;
    row.map(read).transpose()
}

/// Notes a warning; [`StoreError::Conflict`] when there is a note already.
///
/// # Errors
/// A fault of the database.
pub fn warn(tx: &mut Tx<'_>, who: &Silent, now: Timestamp) -> Result<(), StoreError> {
    diesel::insert_into(table::table)
        .values((
            table::subject_kind.eq(who.kind()),
            table::subject.eq(who.value()),
            table::warned_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Notes that somebody is switched off for it; whether this is news.
///
/// # Errors
/// A fault of the database.
pub fn disabled(tx: &mut Tx<'_>, who: &Silent, now: Timestamp) -> Result<bool, StoreError> {
    let row = table::table.find((who.kind(), who.value())).filter(table::disabled_at.is_null());
    Ok(diesel::update(row).set(table::disabled_at.eq(now.micros())).execute(tx.connection())? == 1)
}

/// Notes that their approvals have ended for it; whether this is news.
///
/// # Errors
/// A fault of the database.
pub fn revoked(tx: &mut Tx<'_>, who: &Silent, now: Timestamp) -> Result<bool, StoreError> {
    let row = table::table.find((who.kind(), who.value())).filter(table::revoked_at.is_null());
    Ok(diesel::update(row).set(table::revoked_at.eq(now.micros())).execute(tx.connection())? == 1)
}

/// Forgets a note: somebody was heard of, or is gone.
///
/// # Errors
/// A fault of the database.
pub fn forget(tx: &mut Tx<'_>, who: &Silent) -> Result<(), StoreError> {
    diesel::delete(table::table.find((who.kind(), who.value()))).execute(tx.connection())?;
    Ok(())
}

/// Forgets every warning that has come to nothing: the rule is off.
///
/// # Errors
/// A fault of the database.
pub fn forget_warnings(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    diesel::delete(table::table.filter(table::disabled_at.is_null())).execute(tx.connection())?;
    Ok(())
}
