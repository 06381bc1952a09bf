//! Deleting what has had its time. Every table with an end has its line here; `docs/STORAGE.md` lists the lifetimes.

use std::time::Duration;

use diesel::prelude::*;

use super::error::StoreError;
use super::grants;
use super::schema::{
    access_grant, access_token, api_request, assertion_seen, authorization_code, call_approval, client,
    consent_request, delivery, inactivity, initial_access_token, invitation, login_throttle, mail_link,
    mail_outbox, refresh_token, session, setup_link, sign_in_step, signing_key, token_family,
};
use super::store::Tx;
use crate::types::policy::{
    CALL_APPROVAL_KEPT, CODE_MEMORY, DELIVERY_MEMORY, ENDED_MEMORY, IDEMPOTENCY_MEMORY, INVITATION_MEMORY,
    LOGIN_MEMORY, MAIL_GIVE_UP, SWEEP_BATCH, UNUSED_CLIENT_TTL,
};
use crate::types::time::Timestamp;

/// Deletes the rows of one table whose column lies before `$before`, at most [`SWEEP_BATCH`] of them.
macro_rules! sweep {
    ($tx:expr, $table:ident, $key:ident: $type:ty, $condition:expr) => {{
        let keys: Vec<$type> = $table::table
            .filter($condition)
            .select($table::$key)
            .limit(SWEEP_BATCH)
            .load($tx.connection())?;
        for key in &keys {
            diesel::delete($table::table.filter($table::$key.eq(key))).execute($tx.connection())?;
        }
        keys.len()
    }};
}

/// Deletes a batch of every kind of expired row and returns how many went; call it again until that is zero.
///
/// # Errors
/// A fault of the database.
pub fn run(tx: &mut Tx<'_>, now: Timestamp, session_idle_ttl: Duration) -> Result<usize, StoreError> {
    let before = |memory: Duration| now.minus(memory).micros();
    let present = now.micros();
    let ended = before(ENDED_MEMORY);
    let unused = before(UNUSED_CLIENT_TTL);
    let mut swept = grants::expire(tx, now)?;
    swept += sweep!(tx, access_token, status_index: i64, access_token::expires_at.lt(before(Duration::from_secs(60))));
    swept += sweep!(tx, consent_request, digest: Vec<u8>, consent_request::expires_at.lt(present));
    swept += sweep!(
        tx,
        initial_access_token,
        id: String,
        initial_access_token::expires_at.lt(ended).or(initial_access_token::remaining.le(0))
    );
    swept += sweep!(tx, setup_link, digest: Vec<u8>, setup_link::expires_at.lt(present));
    swept += sweep!(tx, sign_in_step, digest: Vec<u8>, sign_in_step::expires_at.lt(present));
    // The job gives up in time and says so; this is for what it left when mail was switched off.
    swept += sweep!(tx, mail_outbox, id: String, mail_outbox::give_up_at.lt(before(MAIL_GIVE_UP)));
    swept += sweep!(tx, invitation, id: String, invitation::expires_at.lt(before(INVITATION_MEMORY)));
    swept += sweep!(tx, mail_link, digest: Vec<u8>, mail_link::expires_at.lt(present));
    swept += sweep!(tx, api_request, digest: Vec<u8>, api_request::created_at.lt(before(IDEMPOTENCY_MEMORY)));
    swept += sweep!(tx, call_approval, id: String, call_approval::expires_at.lt(before(CALL_APPROVAL_KEPT)));
    swept += sweep!(tx, delivery, id: String, delivery::created_at.lt(before(DELIVERY_MEMORY)));
    swept += sweep!(tx, assertion_seen, digest: Vec<u8>, assertion_seen::expires_at.lt(present));
    swept += sweep!(tx, authorization_code, digest: Vec<u8>, authorization_code::expires_at.lt(before(CODE_MEMORY)));
    swept +=
        sweep!(tx, login_throttle, throttle_key: String, login_throttle::updated_at.lt(before(LOGIN_MEMORY)));
    swept += sweep!(
        tx,
        session,
        id: String,
        session::expires_at.lt(present).or(session::last_seen_at.lt(before(session_idle_ttl)))
    );
    swept += sweep!(
        tx,
        refresh_token,
        digest: Vec<u8>,
        refresh_token::expires_at.lt(before(Duration::from_secs(86_400))).and(refresh_token::used_at.is_not_null())
    );
    swept += sweep!(
        tx,
        token_family,
        id: String,
        token_family::expires_at.lt(ended).or(token_family::revoked_at.lt(ended))
    );
    swept += sweep!(tx, access_grant, id: String, access_grant::revoked_at.lt(ended));
    swept +=
        sweep!(tx, signing_key, kid: String, signing_key::removed_at.lt(before(Duration::from_secs(86_400))));
    swept += sweep!(tx, inactivity, subject: String, inactivity::revoked_at.lt(ended));
    let idle: Vec<String> = client::table
        .filter(client::first_granted_at.is_null())
        .filter(client::kind.ne("pre_registered"))
        .filter(client::created_at.lt(unused))
        .select(client::id)
        .limit(SWEEP_BATCH)
        .load(tx.connection())?;
    for id in &idle {
        // Unless it was approved in the meantime. The versions of its document go with it.
        diesel::delete(client::table.find(id).filter(client::first_granted_at.is_null()))
            .execute(tx.connection())?;
    }
    Ok(swept + idle.len())
}
