//! Browser sessions and the one-time links of the first administrator.

use diesel::prelude::*;

use super::error::StoreError;
use super::row::{digest, need};
use super::schema::{session, setup_link};
use super::store::Tx;
use crate::types::factor::Methods;
use crate::types::id::{IdentityId, SessionId, UserId};
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

#[derive(Queryable, Insertable)]
#[diesel(table_name = session, treat_none_as_default_value = false)]
pub(super) struct Row {
    id: String,
    digest: Vec<u8>,
    user_id: String,
    auth_time: i64,
    created_at: i64,
    last_seen_at: i64,
    expires_at: i64,
    address: Option<String>,
    user_agent: Option<String>,
    methods: String,
    identity_id: Option<String>,
}

impl Row {
    pub(super) fn read(self) -> Result<Session, StoreError> {
        Ok(Session {
            id: need(SessionId::parse(&self.id), "session.id")?,
            digest: digest(&self.digest, "session.digest")?,
            user_id: need(UserId::parse(&self.user_id), "session.user_id")?,
            auth_time: Timestamp::from_micros(self.auth_time),
            methods: Methods::read(&self.methods),
            identity_id: self
                .identity_id
                .as_deref()
                .map(|id| need(IdentityId::parse(id), "session.identity_id"))
                .transpose()?,
            created_at: Timestamp::from_micros(self.created_at),
            last_seen_at: Timestamp::from_micros(self.last_seen_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            address: self.address,
            user_agent: self.user_agent,
        })
    }
}

/// Begins a session.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Session) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        digest: new.digest.bytes().to_vec(),
        user_id: new.user_id.to_string(),
        auth_time: new.auth_time.micros(),
        created_at: new.created_at.micros(),
        last_seen_at: new.last_seen_at.micros(),
        expires_at: new.expires_at.micros(),
        address: new.address.clone(),
        user_agent: new.user_agent.clone(),
        methods: new.methods.stored(),
        identity_id: new.identity_id.map(|id| id.to_string()),
    };
    diesel::insert_into(session::table).values(&row).execute(tx.connection())?;
    Ok(())
}

/// The session of this cookie.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, cookie: &TokenDigest) -> Result<Option<Session>, StoreError> {
    session::table
        .filter(session::digest.eq(cookie.bytes().as_slice()))
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The session with this id.
///
/// # Errors
/// A fault of the database.
pub fn by_id(tx: &mut Tx<'_>, id: SessionId) -> Result<Option<Session>, StoreError> {
    session::table
        .find(id.to_string())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The sessions of a person, the one used last first.
///
/// # Errors
/// A fault of the database.
pub fn list_by_user(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Session>, StoreError> {
    session::table
        .filter(session::user_id.eq(user.to_string()))
        .order((session::last_seen_at.desc(), session::id.desc()))
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Ends sessions of a person: this one, or all but the one to keep. Returns how many ended.
///
/// # Errors
/// A fault of the database.
pub fn end(
    tx: &mut Tx<'_>,
    user: UserId,
    only: Option<SessionId>,
    keep: Option<SessionId>,
) -> Result<usize, StoreError> {
    let mut doomed =
        diesel::delete(session::table).filter(session::user_id.eq(user.to_string())).into_boxed();
    if let Some(id) = only {
        doomed = doomed.filter(session::id.eq(id.to_string()));
    }
    if let Some(id) = keep {
        doomed = doomed.filter(session::id.ne(id.to_string()));
    }
    Ok(doomed.execute(tx.connection())?)
}

/// Notes that a session is in use.
///
/// # Errors
/// A fault of the database.
pub fn touch(tx: &mut Tx<'_>, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(session::table.find(id.to_string()))
        .set(session::last_seen_at.eq(now.micros()))
        .execute(tx.connection())?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// A fault of the database.
pub fn delete(tx: &mut Tx<'_>, id: SessionId) -> Result<(), StoreError> {
    diesel::delete(session::table.find(id.to_string())).execute(tx.connection())?;
    Ok(())
}

/// Ends the sessions of a person that rest on one factor.
///
/// # Errors
/// A fault of the database.
pub fn end_weak(tx: &mut Tx<'_>, user: UserId) -> Result<usize, StoreError> {
    let weak = session::table
        .filter(session::user_id.eq(user.to_string()))
        .filter(session::methods.not_like("%mfa%"));
    Ok(diesel::delete(weak).execute(tx.connection())?)
}

/// Notes how the person of a session has proved who they are, when that has become more.
///
/// # Errors
/// A fault of the database.
pub fn set_methods(tx: &mut Tx<'_>, id: SessionId, methods: &Methods) -> Result<(), StoreError> {
    diesel::update(session::table.find(id.to_string()))
        .set(session::methods.eq(methods.stored()))
        .execute(tx.connection())?;
    Ok(())
}

/// Adds a one-time link for the first administrator.
///
/// # Errors
/// A fault of the database.
pub fn insert_setup_link(
    tx: &mut Tx<'_>,
    link: &TokenDigest,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    diesel::insert_into(setup_link::table)
        .values((
            setup_link::digest.eq(link.bytes().as_slice()),
            setup_link::created_at.eq(now.micros()),
            setup_link::expires_at.eq(expires_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Whether a one-time link still works.
///
/// # Errors
/// A fault of the database.
pub fn has_setup_link(tx: &mut Tx<'_>, link: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let found: Option<i64> = setup_link::table
        .find(link.bytes().as_slice())
        .select(setup_link::expires_at)
        .get_result(tx.connection())
        .optional()?;
    Ok(found.is_some_and(|expires_at| now.micros() < expires_at))
}

/// Uses up every one-time link; `true` for the one caller whose link worked.
///
/// # Errors
/// A fault of the database.
pub fn consume_setup_link(tx: &mut Tx<'_>, link: &TokenDigest, now: Timestamp) -> Result<bool, StoreError> {
    let used = diesel::delete(
        setup_link::table
            .filter(setup_link::digest.eq(link.bytes().as_slice()))
            .filter(setup_link::expires_at.gt(now.micros())),
    )
    .execute(tx.connection())?;
    if used == 1 {
        diesel::delete(setup_link::table).execute(tx.connection())?;
    }
    Ok(used == 1)
}
