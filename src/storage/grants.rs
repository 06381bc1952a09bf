//! Standing approvals.

use diesel::prelude::*;

use super::access_tokens;
use super::dialect::{self, on_either};
use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{moment, need, scopes};
use super::schema::access_grant as table;
use super::store::Tx;
use crate::types::client::ClientId;
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::policy::NOTE_USE;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table, treat_none_as_default_value = false)]
pub(super) struct Row {
    id: String,
    user_id: Option<String>,
    client_id: String,
    resource_id: String,
    scopes: String,
    client_fingerprint: String,
    created_at: i64,
    updated_at: i64,
    expires_at: i64,
    last_used_at: Option<i64>,
    last_used_address: Option<String>,
    revoked_at: Option<i64>,
    revoked_reason: Option<String>,
    narrowed_at: Option<i64>,
}

impl Row {
    pub(super) fn read(self) -> Result<Grant, StoreError> {
        let user_id = self.user_id.map(|id| need(UserId::parse(&id), "access_grant.user_id")).transpose()?;
        Ok(Grant {
            id: need(GrantId::parse(&self.id), "access_grant.id")?,
            user_id,
            client_id: need(ClientId::parse(&self.client_id), "access_grant.client_id")?,
            resource_id: need(ResourceId::parse(&self.resource_id), "access_grant.resource_id")?,
            scopes: scopes(&self.scopes, "access_grant.scopes")?,
            client_fingerprint: self.client_fingerprint,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            last_used_at: moment(self.last_used_at),
            last_used_address: self.last_used_address,
            revoked_at: moment(self.revoked_at),
            narrowed_at: moment(self.narrowed_at),
        })
    }
}

/// Which grants are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct GrantFilter {
    /// One grant.
    pub id: Option<GrantId>,
    /// Of this person.
    pub user_id: Option<UserId>,
    /// Of this client.
    pub client_id: Option<ClientId>,
    /// At this resource.
    pub resource_id: Option<ResourceId>,
    /// Also those that have ended.
    pub ended_too: bool,
}

/// Adds a grant; [`StoreError::Retry`] when the same person, client and resource have one already.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Grant) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        user_id: new.user_id.map(|id| id.to_string()),
        client_id: new.client_id.as_str().to_owned(),
        resource_id: new.resource_id.to_string(),
        scopes: new.scopes.to_string(),
        client_fingerprint: new.client_fingerprint.clone(),
        created_at: new.created_at.micros(),
        updated_at: new.updated_at.micros(),
        expires_at: new.expires_at.micros(),
        last_used_at: new.last_used_at.map(Timestamp::micros),
        last_used_address: new.last_used_address.clone(),
        revoked_at: None,
        revoked_reason: None,
        narrowed_at: None,
    };
    diesel::insert_into(table::table)
        .values(&row)
        .execute(tx.connection())
        .map_err(StoreError::from)
        .map_err(|error| match error {
            StoreError::Conflict => StoreError::Retry("access_grant".to_owned()),
            other => other,
        })?;
    Ok(())
}

/// The grant with this id, ended or not.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: GrantId) -> Result<Option<Grant>, StoreError> {
    on_either!(tx, c => table::table.find(id.to_string()).get_result::<Row>(c))
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The standing grant of this person (or of nobody), client and resource.
///
/// # Errors
/// A fault of the database.
pub fn find_standing(
    tx: &mut Tx<'_>,
    user_id: Option<UserId>,
    client_id: &ClientId,
    resource_id: ResourceId,
) -> Result<Option<Grant>, StoreError> {
    let standing = table::table
        .filter(table::client_id.eq(client_id.as_str()))
        .filter(table::resource_id.eq(resource_id.to_string()))
        .filter(table::revoked_at.is_null());
    let found = match user_id.map(|id| id.to_string()) {
        Some(id) => on_either!(tx, c => standing.filter(table::user_id.eq(id)).get_result::<Row>(c)),
        None => on_either!(tx, c => standing.filter(table::user_id.is_null()).get_result::<Row>(c)),
    };
    found.optional()?.map(Row::read).transpose()
}

/// Sets what a standing grant allows, for how long, and for which shape of the client.
///
/// # Errors
/// A fault of the database.
pub fn renew(
    tx: &mut Tx<'_>,
    id: GrantId,
    scopes: &ScopeSet,
    client_fingerprint: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = diesel::update(table::table.find(id.to_string()).filter(table::revoked_at.is_null()))
        .set((
            table::scopes.eq(scopes.to_string()),
            table::client_fingerprint.eq(client_fingerprint),
            table::expires_at.eq(expires_at.micros()),
            table::updated_at.eq(now.micros()),
            table::narrowed_at.eq(None::<i64>),
        ))
        .execute(tx.connection())?;
    Ok(changed == 1)
}

/// Whether tokens may be issued under it now: it stands, and neither person nor client is switched off. Holds until
/// the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn is_open(tx: &mut Tx<'_>, id: GrantId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(open_scopes(tx, id, now)?.is_some())
}

/// Whether the use of a grant that was last noted at `noted` is worth a row: at most once a minute.
#[must_use]
pub fn is_worth_noting(noted: Option<Timestamp>, now: Timestamp) -> bool {
    noted.is_none_or(|at| at < now.minus(NOTE_USE))
}

/// What tokens may be issued for under it now, if [`is_open`]. Holds until the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn open_scopes(tx: &mut Tx<'_>, id: GrantId, now: Timestamp) -> Result<Option<ScopeSet>, StoreError> {
    Ok(open_with_client(tx, id, now)?.map(|(scopes, _)| scopes))
}

/// The same, and when its client last changed.
///
/// # Errors
/// A fault of the database.
pub fn open_with_client(
    tx: &mut Tx<'_>,
    id: GrantId,
    now: Timestamp,
) -> Result<Option<(ScopeSet, Timestamp)>, StoreError> {
    dialect::grant_is_open(tx.connection(), &id.to_string(), now.micros())?
        .map(|(text, at)| Ok((scopes(&text, "access_grant.scopes")?, Timestamp::from_micros(at))))
        .transpose()
}

/// Leaves a standing grant nothing but `kept`, if it is still what was read, and revokes every token under it.
///
/// # Errors
/// A fault of the database; [`StoreError::Retry`] when it has changed meanwhile.
pub fn narrow(tx: &mut Tx<'_>, grant: &Grant, kept: &ScopeSet, now: Timestamp) -> Result<(), StoreError> {
    let standing = table::table
        .find(grant.id.to_string())
        .filter(table::revoked_at.is_null())
        .filter(table::scopes.eq(grant.scopes.to_string()));
    let changed = diesel::update(standing)
        // The moment of the approval stays: nothing was approved anew.
        .set((table::scopes.eq(kept.to_string()), table::narrowed_at.eq(now.micros())))
        .execute(tx.connection())?;
    if changed != 1 {
        return Err(StoreError::Retry("access_grant changed meanwhile".to_owned()));
    }
    access_tokens::revoke_by_grant(tx, grant.id, now)?;
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Notes the use of a grant, at most once a minute unless the address is another. Call it before [`is_open`]: a shared lock that is to become an
/// exclusive one would wait for its neighbour, which waits for it.
///
/// # Errors
/// A fault of the database.
pub fn mark_used(
    tx: &mut Tx<'_>,
    id: GrantId,
    address: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let minute_ago = now.minus(NOTE_USE).micros();
    on_either!(tx, c => diesel::update(
        table::table
            .find(id.to_string())
            .filter(table::revoked_at.is_null())
            .filter(
                table::last_used_at
                    .is_null()
                    .or(table::last_used_at.lt(minute_ago))
                    .or(table::last_used_address.ne(address)),
            ),
    )
    .set((table::last_used_at.eq(now.micros()), table::last_used_address.eq(address)))
    .execute(c))?;
    Ok(())
}

/// The grants that are meant, newest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, filter: &GrantFilter) -> Result<Vec<Grant>, StoreError> {
    let mut query = table::table.order((table::created_at.desc(), table::id.desc())).into_boxed();
    if let Some(id) = filter.id {
        query = query.filter(table::id.eq(id.to_string()));
    }
    if let Some(id) = filter.user_id {
        query = query.filter(table::user_id.eq(id.to_string()));
    }
    if let Some(id) = &filter.client_id {
        query = query.filter(table::client_id.eq(id.as_str().to_owned()));
    }
    if let Some(id) = filter.resource_id {
        query = query.filter(table::resource_id.eq(id.to_string()));
    }
    if !filter.ended_too {
        query = query.filter(table::revoked_at.is_null());
    }
    query.load::<Row>(tx.connection())?.into_iter().map(Row::read).collect()
}

/// Ends the standing grants that are meant and revokes every token under them; returns those it ended.
///
/// # Errors
/// A fault of the database.
pub fn revoke(
    tx: &mut Tx<'_>,
    filter: &GrantFilter,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<Grant>, StoreError> {
    let mut ended = Vec::new();
    for grant in list(tx, &GrantFilter { ended_too: false, ..filter.clone() })? {
        let changed =
            diesel::update(table::table.find(grant.id.to_string()).filter(table::revoked_at.is_null()))
                .set((table::revoked_at.eq(now.micros()), table::revoked_reason.eq(reason)))
                .execute(tx.connection())?;
        if changed == 1 {
            access_tokens::revoke_by_grant(tx, grant.id, now)?;
            ended.push(grant);
        }
    }
    bump(tx, Topic::Revocations);
    Ok(ended)
}

/// Revokes every token under the grants that are meant and leaves the grants: for a person or a client that is
/// switched off and may come back.
///
/// # Errors
/// A fault of the database.
pub fn revoke_tokens(tx: &mut Tx<'_>, filter: &GrantFilter, now: Timestamp) -> Result<(), StoreError> {
    for grant in list(tx, &GrantFilter { ended_too: false, ..filter.clone() })? {
        // Waits for whoever is issuing under this grant, so that the next statement sees what they inserted. The moment
        // of the approval itself stays: a cut may want it given anew.
        diesel::update(table::table.find(grant.id.to_string()))
            .set(table::updated_at.eq(table::updated_at))
            .execute(tx.connection())?;
        access_tokens::revoke_by_grant(tx, grant.id, now)?;
    }
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Ends the standing grant of the same person, client and resource if its time is over, to make room for `next`.
///
/// # Errors
/// A fault of the database.
pub fn expire_standing(tx: &mut Tx<'_>, next: &Grant, now: Timestamp) -> Result<(), StoreError> {
    let old = find_standing(tx, next.user_id, &next.client_id, next.resource_id)?;
    if let Some(old) = old.filter(|grant| !grant.is_live(now)) {
        diesel::update(table::table.find(old.id.to_string()).filter(table::revoked_at.is_null()))
            .set((table::revoked_at.eq(now.micros()), table::revoked_reason.eq("expired")))
            .execute(tx.connection())?;
    }
    Ok(())
}

/// Ends the grants whose time is over.
///
/// # Errors
/// A fault of the database.
pub(super) fn expire(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    Ok(diesel::update(
        table::table.filter(table::revoked_at.is_null()).filter(table::expires_at.le(now.micros())),
    )
    .set((table::revoked_at.eq(now.micros()), table::revoked_reason.eq("expired")))
    .execute(tx.connection())?)
}
