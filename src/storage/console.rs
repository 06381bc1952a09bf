//! Pages of the console's lists. Every one goes on from a key, so that the hundredth page costs what the first does.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::access_map::{Whose, contained, escaped, prefix_range};
use super::error::StoreError;
use super::row::to_json;
use super::schema::{access_grant, client, session, users};
use super::store::Tx;
use super::{clients, dialect, grants, sessions, users as people};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientId, ClientKind};
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId, SessionId};
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::user::{Role, User};

/// Which people are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// Whose e-mail address begins so.
    pub prefix: String,
    /// With this role in the console.
    pub role: Option<Role>,
    /// Whether they are switched off.
    pub off: Option<bool>,
    /// In this group.
    pub group: Option<String>,
}

/// Which apps are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct AppFilter {
    /// With this in id, name or addresses, whatever its case.
    pub part: String,
    /// Whose identity comes from there.
    pub kind: Option<ClientKind>,
    /// Whether they are switched off.
    pub off: Option<bool>,
    /// Whether anybody has ever let them in.
    pub approved: Option<bool>,
}

/// People by address, after the one with `after`.
///
/// # Errors
/// A fault of the database.
pub fn people(
    tx: &mut Tx<'_>,
    filter: &PeopleFilter,
    after: &str,
    limit: i64,
) -> Result<Vec<User>, StoreError> {
    let (from, to) = prefix_range(&filter.prefix);
    let mut query = users::table
        .filter(users::email_key.gt(after.to_owned()))
        .filter(users::email_key.ge(from))
        .filter(users::email_key.lt(to))
        .order(users::email_key.asc())
        .limit(limit)
        .into_boxed();
    if let Some(role) = filter.role {
        query = query.filter(users::role.eq(role.as_str()));
    }
    query = match filter.off {
        None => query,
        Some(true) => query.filter(users::disabled_at.is_not_null()),
        Some(false) => query.filter(users::disabled_at.is_null()),
    };
    if let Some(group) = &filter.group {
        let found = dialect::found_in_groups(tx.connection());
        query = query.filter(sql::<Bool>(found).bind::<Text, _>(to_json(group)?).sql(") > 0"));
    }
    let rows: Vec<people::Row> = query.load(tx.connection())?;
    rows.into_iter().map(people::Row::read).collect()
}

/// Apps by id, after the one with `after`.
///
/// # Errors
/// A fault of the database.
pub fn apps(tx: &mut Tx<'_>, filter: &AppFilter, after: &str, limit: i64) -> Result<Vec<Client>, StoreError> {
    let mut query = client::table.order(client::id.asc()).limit(limit).into_boxed();
    query = query.filter(client::id.gt(after.to_owned()));
    if !filter.part.is_empty() {
        query = query.filter(client::search_key.like(contained(&filter.part)).escape('\\'));
    }
    if let Some(kind) = filter.kind {
        query = query.filter(client::kind.eq(kind.as_str()));
    }
    query = match filter.off {
        None => query,
        Some(true) => query.filter(client::disabled_at.is_not_null()),
        Some(false) => query.filter(client::disabled_at.is_null()),
    };
    query = match filter.approved {
        None => query,
        Some(true) => query.filter(client::first_granted_at.is_not_null()),
        Some(false) => query.filter(client::first_granted_at.is_null()),
    };
    let rows: Vec<clients::Row> = query.load(tx.connection())?;
    rows.into_iter().map(clients::Row::read).collect()
}

/// The live grants at a resource that hold `scope`, newest first, before the one with `before`.
///
/// # Errors
/// A fault of the database.
pub fn holding(
    tx: &mut Tx<'_>,
    resource: ResourceId,
    scope: &str,
    before: Option<GrantId>,
    (limit, now): (i64, Timestamp),
) -> Result<Vec<Grant>, StoreError> {
    // Scopes stand with one space between them, in which no scope has one.
    let escaped = escaped(scope);
    let scopes = access_grant::scopes;
    let held = scopes
        .eq(scope.to_owned())
        .or(scopes.like(format!("{escaped} %")).escape('\\'))
        .or(scopes.like(format!("% {escaped}")).escape('\\'))
        .or(scopes.like(format!("% {escaped} %")).escape('\\'));
    let mut query = access_grant::table
        .filter(access_grant::resource_id.eq(resource.to_string()))
        .filter(access_grant::revoked_at.is_null())
        .filter(access_grant::expires_at.gt(now.micros()))
        .filter(held)
        .order(access_grant::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(id) = before {
        query = query.filter(access_grant::id.lt(id.to_string()));
    }
    let rows: Vec<grants::Row> = query.load(tx.connection())?;
    let mut found: Vec<Grant> = rows.into_iter().map(grants::Row::read).collect::<Result<_, _>>()?;
    // LIKE knows no case on one of the databases.
    found.retain(|grant| grant.scopes.contains(scope));
    Ok(found)
}

/// Sessions, newest first, before the one with `before`; perhaps only those of these people, where they are few.
///
/// # Errors
/// A fault of the database.
pub fn sessions(
    tx: &mut Tx<'_>,
    people: Option<&Whose>,
    before: Option<SessionId>,
    limit: i64,
) -> Result<Vec<Session>, StoreError> {
    let mut query = session::table.order(session::id.desc()).limit(limit).into_boxed();
    if let Some(id) = before {
        query = query.filter(session::id.lt(id.to_string()));
    }
    query = match people {
        None => query,
        Some(Whose::These(ids)) => query.filter(session::user_id.eq_any(ids.clone())),
        Some(Whose::Beginning(_)) => query,
    };
    let rows: Vec<sessions::Row> = query.load(tx.connection())?;
    rows.into_iter().map(sessions::Row::read).collect()
}

/// How many sessions have been seen since a moment.
///
/// # Errors
/// A fault of the database.
pub fn sessions_seen(tx: &mut Tx<'_>, since: Timestamp) -> Result<i64, StoreError> {
    Ok(session::table.filter(session::last_seen_at.ge(since.micros())).count().get_result(tx.connection())?)
}

/// How often these things have happened since a moment, by steps of so many microseconds: what, the number of the step since
/// the epoch, and how often.
///
/// # Errors
/// A fault of the database.
pub fn happened(
    tx: &mut Tx<'_>,
    kinds: &[AuditKind],
    from: Timestamp,
    step: i64,
) -> Result<Vec<(AuditKind, i64, i64)>, StoreError> {
    let mut all = Vec::new();
    for kind in kinds {
        let rows = tx.connection().counts(kind.as_str(), from.micros(), step)?;
        all.extend(rows.into_iter().map(|(place, count)| (*kind, place, count)));
    }
    Ok(all)
}

/// How many administrators could sign in.
///
/// # Errors
/// A fault of the database.
pub fn administrators(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    Ok(users::table
        .filter(users::role.eq("admin"))
        .filter(users::disabled_at.is_null())
        .count()
        .get_result(tx.connection())?)
}

/// The names of apps, for a page that shows many; those that are gone are left out.
///
/// # Errors
/// A fault of the database.
pub fn apps_of(tx: &mut Tx<'_>, ids: &[ClientId]) -> Result<Vec<Client>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(ClientId::as_str).collect();
    let rows: Vec<clients::Row> = client::table.filter(client::id.eq_any(ids)).load(tx.connection())?;
    rows.into_iter().map(clients::Row::read).collect()
}

/// People by their ids, for a page that shows many.
///
/// # Errors
/// A fault of the database.
pub fn people_of(tx: &mut Tx<'_>, ids: &[crate::types::id::UserId]) -> Result<Vec<User>, StoreError> {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let rows: Vec<people::Row> = users::table.filter(users::id.eq_any(ids)).load(tx.connection())?;
    rows.into_iter().map(people::Row::read).collect()
}
