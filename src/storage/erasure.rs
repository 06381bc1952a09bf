//! Erasing a person: their rows go, and what others' rows say of them by name.

use diesel::prelude::*;

use super::audit::{ChainedRow, read_chained};
use super::error::StoreError;
use super::inactivity;
use super::row::{need, to_json};
use super::schema::{
    access_cut, access_grant, alert, audit_event, authorization_code, call_approval, call_rule, cedar,
    consent_request, invitation, login_throttle, mail_link, mail_outbox, one_time_secret, passkey,
    recovery_code, refresh_token, session, sign_in_step, token_family, tool, upstream_connection, users,
};
use super::store::Tx;
use crate::types::audit_chain::{AuditKey, ERASED, Hash, Head, Mark};
use crate::types::id::UserId;
use crate::types::inactivity::Silent;
use crate::types::mention;
use crate::types::user::User;

diesel::define_sql_function! {
    /// Small letters.
    fn lower(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// What there is of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Traces {
    /// Approvals, those that have ended included.
    pub grants: i64,
    /// Browsers in which they are signed in.
    pub sessions: i64,
    /// Passkeys.
    pub passkeys: i64,
    /// Audit records that concern them.
    pub records: i64,
}

/// Counts what there is of a person.
///
/// # Errors
/// A fault of the database.
pub fn traces(tx: &mut Tx<'_>, user: UserId) -> Result<Traces, StoreError> {
    let id = user.to_string();
    let c = tx.connection();
    Ok(Traces {
        grants: access_grant::table.filter(access_grant::user_id.eq(&id)).count().get_result(c)?,
        sessions: session::table.filter(session::user_id.eq(&id)).count().get_result(c)?,
        passkeys: passkey::table.filter(passkey::user_id.eq(&id)).count().get_result(c)?,
        records: audit_event::table.filter(audit_event::user_id.eq(&id)).count().get_result(c)?,
    })
}

/// The administrators who can sign in; none of them becomes another thing until the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn hold_administrators(tx: &mut Tx<'_>) -> Result<Vec<UserId>, StoreError> {
    let able = || users::table.filter(users::role.eq("admin")).filter(users::disabled_at.is_null());
    let ids: Vec<String> = able().select(users::id).order(users::id).load(tx.connection())?;
    for id in &ids {
        diesel::update(users::table.find(id))
            .set(users::updated_at.eq(users::updated_at))
            .execute(tx.connection())?;
    }
    let ids: Vec<String> = able().select(users::id).order(users::id).load(tx.connection())?;
    ids.iter().map(|id| need(UserId::parse(id), "users.id")).collect()
}

/// The last place in the order of arrival.
///
/// # Errors
/// A fault of the database.
pub fn last_place(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let last: Option<i64> =
        audit_event::table.select(diesel::dsl::max(audit_event::seq)).get_result(tx.connection())?;
    Ok(last.unwrap_or(0))
}

/// Erases address, detail and salt of the records in `(from, to]`, by order of arrival, that concern a person or name
/// them, and authenticates that this was done by right; returns how many.
///
/// # Errors
/// A fault of the database.
pub fn scrub_records(
    tx: &mut Tx<'_>,
    key: &AuditKey,
    user: &User,
    (from, to): (i64, i64),
) -> Result<u64, StoreError> {
    let id = user.id.to_string();
    // As it stands in JSON.
    let quoted = to_json(&user.email)?.trim_matches('"').to_lowercase();
    let escaped = quoted.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows: Vec<ChainedRow> = audit_event::table
        .filter(audit_event::seq.gt(from))
        .filter(audit_event::seq.le(to))
        .filter(audit_event::erased.is_null())
        .filter(
            lower(audit_event::detail)
                .like(format!("%{escaped}%"))
                .escape('\\')
                .or(audit_event::user_id.eq(Some(id))),
        )
        .load(tx.connection())?;
    let mut erased = 0;
    for row in rows {
        let seq = row.0;
        let record = read_chained(row)?;
        let detail = record.opening.as_ref().map_or("", |opening| opening.detail.as_str());
        if record.event.user_id != Some(user.id) && !mention::names(detail, &quoted) {
            continue;
        }
        // One that is broken already stays for `audit verify` to find.
        let Ok(hash) = Hash::try_from(record.hash.as_slice()) else { continue };
        let mac = key.mac(Mark::Erasure, &Head { lane: record.lane, count: record.position, hash });
        diesel::update(audit_event::table.find(seq))
            .set((
                audit_event::address.eq(None::<String>),
                audit_event::detail.eq(ERASED),
                audit_event::salt.eq(None::<Vec<u8>>),
                audit_event::erased.eq(Some(mac.to_vec())),
            ))
            .execute(tx.connection())?;
        erased += 1;
    }
    Ok(erased)
}

/// Removes every row of a person, and their address from the rows of others. What is left are ids that lead to nothing,
/// and the places of tokens in the status lists, which stay until those tokens have expired.
///
/// # Errors
/// A fault of the database.
pub fn forget(tx: &mut Tx<'_>, user: &User, instead: &str) -> Result<(), StoreError> {
    let id = user.id.to_string();
    let key = user.email.to_lowercase();
    name_no_more(tx, user, instead)?;
    inactivity::forget(tx, &Silent::Person(user.id))?;
    let c = tx.connection();
    let sessions: Vec<String> =
        session::table.filter(session::user_id.eq(&id)).select(session::id).load(c)?;
    diesel::delete(consent_request::table.filter(consent_request::session_id.eq_any(sessions))).execute(c)?;
    diesel::delete(session::table.filter(session::user_id.eq(&id))).execute(c)?;
    diesel::delete(call_approval::table.filter(call_approval::user_id.eq(&id))).execute(c)?;
    diesel::delete(invitation::table.filter(invitation::email_key.eq(&key))).execute(c)?;
    diesel::delete(upstream_connection::table.filter(upstream_connection::user_id.eq(&id))).execute(c)?;
    diesel::delete(mail_link::table.filter(mail_link::user_id.eq(&id))).execute(c)?;
    diesel::delete(sign_in_step::table.filter(sign_in_step::user_id.eq(&id))).execute(c)?;
    diesel::delete(one_time_secret::table.find(&id)).execute(c)?;
    diesel::delete(recovery_code::table.filter(recovery_code::user_id.eq(&id))).execute(c)?;
    diesel::delete(passkey::table.filter(passkey::user_id.eq(&id))).execute(c)?;
    // Grants first, then families: the order in which everyone locks them.
    diesel::delete(access_grant::table.filter(access_grant::user_id.eq(&id))).execute(c)?;
    diesel::delete(authorization_code::table.filter(authorization_code::user_id.eq(&id))).execute(c)?;
    let families: Vec<String> =
        token_family::table.filter(token_family::user_id.eq(&id)).select(token_family::id).load(c)?;
    for family in families {
        diesel::delete(refresh_token::table.filter(refresh_token::family_id.eq(&family))).execute(c)?;
        diesel::delete(token_family::table.find(&family)).execute(c)?;
    }
    diesel::delete(mail_outbox::table.filter(mail_outbox::user_id.eq(&id))).execute(c)?;
    diesel::delete(login_throttle::table.find(format!("account {key}"))).execute(c)?;
    diesel::delete(users::table.find(&id)).execute(c)?;
    Ok(())
}

type CutRow = (String, String, String, String, Option<String>, String);

fn name_no_more(tx: &mut Tx<'_>, user: &User, instead: &str) -> Result<(), StoreError> {
    let (c, email) = (tx.connection(), &user.email);
    diesel::update(invitation::table.filter(invitation::invited_by.eq(email)))
        .set(invitation::invited_by.eq(instead))
        .execute(c)?;
    diesel::update(call_rule::table.filter(call_rule::created_by.eq(email)))
        .set(call_rule::created_by.eq(instead))
        .execute(c)?;
    diesel::update(cedar::table.filter(cedar::set_by.eq(email))).set(cedar::set_by.eq(instead)).execute(c)?;
    diesel::update(call_approval::table.filter(call_approval::decided_by.eq(email)))
        .set(call_approval::decided_by.eq(instead))
        .execute(c)?;
    diesel::update(tool::table.filter(tool::approved_by.eq(email)))
        .set(tool::approved_by.eq(instead))
        .execute(c)?;
    let cut = |text: &str| mention::without(text, &user.email, instead);
    let cuts: Vec<CutRow> = access_cut::table
        .select((
            access_cut::id,
            access_cut::label,
            access_cut::reason,
            access_cut::by_name,
            access_cut::undone_by,
            access_cut::impact,
        ))
        .load(tx.connection())?;
    for (id, label, reason, by_name, undone_by, impact) in cuts {
        let named = [&label, &reason, &by_name, &impact].into_iter().chain(undone_by.as_ref());
        if !named.into_iter().any(|text| mention::names(text, &user.email)) {
            continue;
        }
        diesel::update(access_cut::table.find(id))
            .set((
                access_cut::label.eq(cut(&label)),
                access_cut::reason.eq(cut(&reason)),
                access_cut::by_name.eq(cut(&by_name)),
                access_cut::undone_by.eq(undone_by.as_deref().map(cut)),
                access_cut::impact.eq(cut(&impact)),
            ))
            .execute(tx.connection())?;
    }
    let alerts: Vec<(String, String, Option<String>)> =
        alert::table.select((alert::id, alert::outcome, alert::acknowledged_by)).load(tx.connection())?;
    for (id, outcome, by) in alerts {
        if !std::iter::once(&outcome).chain(by.as_ref()).any(|text| mention::names(text, &user.email)) {
            continue;
        }
        diesel::update(alert::table.find(id))
            .set((alert::outcome.eq(cut(&outcome)), alert::acknowledged_by.eq(by.as_deref().map(cut))))
            .execute(tx.connection())?;
    }
    Ok(())
}
