//! The access map: approvals narrowed along any axis, newest first.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::cuts;
use super::error::StoreError;
use super::grants::{self, GrantFilter};
use super::schema::{access_grant as table, client, token_family, users};
use super::store::Tx;
use crate::types::client::ClientId;
use crate::types::cut::Target;
use crate::types::grant::{Grant, GrantState};
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::network::Network;
use crate::types::policy::NAMED_AT_ONCE;
use crate::types::time::Timestamp;

/// Which approvals are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct AccessFilter {
    /// One person, app or server, and whether what has ended is meant too.
    pub grants: GrantFilter,
    /// Of people whose e-mail address begins so.
    pub people: Option<String>,
    /// Of apps that have this in their id, name or addresses.
    pub apps: Option<String>,
    /// At these servers.
    pub servers: Option<Vec<ResourceId>>,
    /// Of apps whose metadata document lives at this domain.
    pub domain: Option<String>,
    /// Last used from there.
    pub network: Option<Network>,
    /// By when they were last used.
    pub used: Option<Used>,
    /// That stand so.
    pub state: Option<GrantState>,
}

/// When an approval was last used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Used {
    /// At this moment or later.
    Since(Timestamp),
    /// Before it, or never.
    NotSince(Timestamp),
    /// Never.
    Never,
}

impl From<GrantFilter> for AccessFilter {
    fn from(grants: GrantFilter) -> Self {
        Self { grants, ..Self::default() }
    }
}

/// What is due under an approval beside what cuts say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Among {
    /// What this target is about; for a network, these approvals.
    Of(Target, Vec<GrantId>),
    /// What was approved before the app last changed.
    OfChangedApps,
}

type Query = table::BoxedQuery<'static, <super::dialect::AnyConnection as diesel::Connection>::Backend>;

/// The people whose e-mail address begins so.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Their ids, where they are few.
    These(Vec<String>),
    /// The beginning, where they are many: then rows are read as they come, and [`Whose::among`] says whose are meant.
    Beginning(String),
}

impl Whose {
    /// Those of these people who are meant, where that is not known before.
    ///
    /// # Errors
    /// A fault of the database.
    pub fn among(&self, tx: &mut Tx<'_>, people: &[UserId]) -> Result<Option<HashSet<UserId>>, StoreError> {
        let Self::Beginning(prefix) = self else { return Ok(None) };
        let (from, to) = prefix_range(prefix);
        let ids: Vec<String> = people.iter().map(ToString::to_string).collect();
        let found: Vec<String> = users::table
            .filter(users::id.eq_any(ids))
            .filter(users::email_key.ge(from))
            .filter(users::email_key.lt(to))
            .select(users::id)
            .load(tx.connection())?;
        Ok(Some(found.iter().filter_map(|id| UserId::parse(id)).collect()))
    }
}

/// Looks people up by the beginning of their address.
///
/// # Errors
/// A fault of the database.
pub fn whose(tx: &mut Tx<'_>, prefix: &str) -> Result<Whose, StoreError> {
    let (from, to) = prefix_range(prefix);
    let ids: Vec<String> = users::table
        .filter(users::email_key.ge(from))
        .filter(users::email_key.lt(to))
        .select(users::id)
        .limit(NAMED_AT_ONCE + 1)
        .load(tx.connection())?;
    Ok(if few(&ids) { Whose::These(ids) } else { Whose::Beginning(prefix.to_owned()) })
}

fn few(ids: &[String]) -> bool {
    i64::try_from(ids.len()).is_ok_and(|count| count <= NAMED_AT_ONCE)
}

/// The condition that a client's id is an address at this domain.
macro_rules! at_domain {
    ($column:expr, $domain:expr) => {{
        let at = |scheme: &str, end: &str| format!("{scheme}://{}{end}%", $domain);
        let https = $column.like(at("https", "/")).or($column.like(at("https", ":")));
        https.or($column.like(at("http", "/"))).or($column.like(at("http", ":")))
    }};
}

/// Whom and what the words of a filter name, looked up once for all pages of a list.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The people.
    pub people: Option<Whose>,
    apps: Option<Vec<String>>,
    of_domain: Option<Vec<String>>,
    addresses: Option<Vec<String>>,
}

/// Looks up what a filter names. Where it is more than [`NAMED_AT_ONCE`], the list itself is narrowed by the words.
///
/// # Errors
/// A fault of the database.
pub fn named(tx: &mut Tx<'_>, filter: &AccessFilter) -> Result<Named, StoreError> {
    let mut named = Named::default();
    if let Some(prefix) = &filter.people {
        named.people = Some(whose(tx, prefix)?);
    }
    if let Some(part) = &filter.apps {
        let exact = client::table.find(part).select(client::id);
        let exact: Option<String> = exact.get_result(tx.connection()).optional()?;
        let found = client::table
            .filter(client::search_key.like(contained(part)).escape('\\'))
            .select(client::id)
            .limit(NAMED_AT_ONCE + 1);
        let ids = match exact {
            Some(id) => vec![id],
            None => found.load(tx.connection())?,
        };
        named.apps = Some(ids).filter(|ids| few(ids));
    }
    if let Some(domain) = &filter.domain {
        let ids: Vec<String> = client::table
            .filter(at_domain!(client::id, domain))
            .select(client::id)
            .limit(NAMED_AT_ONCE + 1)
            .load(tx.connection())?;
        named.of_domain = Some(ids).filter(|ids| few(ids));
    }
    if let Some(network) = &filter.network {
        named.addresses = Some(cuts::addresses_in(tx, network)?);
    }
    Ok(named)
}

/// The approvals that are meant among others, newest first, before the one with `before`. How they stand is for the
/// caller to look at, as far as time and the approval itself do not tell.
///
/// # Errors
/// A fault of the database.
pub fn page(
    tx: &mut Tx<'_>,
    (filter, named): (&AccessFilter, &Named),
    among: Option<&Among>,
    before: Option<GrantId>,
    (limit, now): (i64, Timestamp),
) -> Result<Vec<Grant>, StoreError> {
    let mut query = narrowed(filter, named, now).order(table::id.desc()).limit(limit);
    if let Some(id) = before {
        query = query.filter(table::id.lt(id.to_string()));
    }
    query = match among {
        None => query,
        Some(Among::Of(target, ids)) => of_target(query, target, ids),
        Some(Among::OfChangedApps) => query.filter(sql::<Bool>(
            "EXISTS (SELECT 1 FROM client WHERE client.id = access_grant.client_id \
             AND client.updated_at > access_grant.updated_at)",
        )),
    };
    let rows: Vec<grants::Row> = query.load(tx.connection())?;
    rows.into_iter().map(grants::Row::read).collect()
}

fn narrowed(filter: &AccessFilter, named: &Named, now: Timestamp) -> Query {
    let mut query = table::table.into_boxed();
    let of = &filter.grants;
    if let Some(id) = of.id {
        query = query.filter(table::id.eq(id.to_string()));
    }
    if let Some(id) = of.user_id {
        query = query.filter(table::user_id.eq(id.to_string()));
    }
    if let Some(id) = &of.client_id {
        query = query.filter(table::client_id.eq(id.as_str().to_owned()));
    }
    if let Some(id) = of.resource_id {
        query = query.filter(table::resource_id.eq(id.to_string()));
    }
    if let Some(servers) = &filter.servers {
        let ids: Vec<String> = servers.iter().map(ToString::to_string).collect();
        query = query.filter(table::resource_id.eq_any(ids));
    }
    query = match &named.people {
        None => query,
        Some(Whose::These(ids)) => query.filter(table::user_id.eq_any(ids.clone())),
        Some(Whose::Beginning(_)) => query,
    };
    query = match (&filter.apps, &named.apps) {
        (None, _) => query,
        (Some(_), Some(ids)) => query.filter(table::client_id.eq_any(ids.clone())),
        (Some(part), None) => query.filter(
            sql::<Bool>("client_id IN (SELECT id FROM client WHERE search_key LIKE ")
                .bind::<Text, _>(contained(part))
                .sql(" ESCAPE '\\')"),
        ),
    };
    if let Some(addresses) = &named.addresses {
        query = query.filter(table::last_used_address.eq_any(addresses.clone()));
    }
    query = match (&filter.domain, &named.of_domain) {
        (None, _) => query,
        (Some(_), Some(ids)) => query.filter(table::client_id.eq_any(ids.clone())),
        (Some(domain), None) => query.filter(at_domain!(table::client_id, domain)),
    };
    query = match filter.used {
        None => query,
        Some(Used::Since(at)) => query.filter(table::last_used_at.ge(at.micros())),
        Some(Used::NotSince(at)) => {
            query.filter(table::last_used_at.is_null().or(table::last_used_at.lt(at.micros())))
        }
        Some(Used::Never) => query.filter(table::last_used_at.is_null()),
    };
    let standing = !of.ended_too && !filter.state.is_some_and(GrantState::is_over);
    if standing {
        query = query.filter(table::revoked_at.is_null());
    }
    match filter.state {
        None => query,
        Some(GrantState::Ended) => query.filter(table::revoked_at.is_not_null()),
        Some(GrantState::Expired) => {
            query.filter(table::revoked_at.is_null()).filter(table::expires_at.le(now.micros()))
        }
        Some(GrantState::Narrowed) => {
            query.filter(table::narrowed_at.is_not_null()).filter(table::expires_at.gt(now.micros()))
        }
        Some(_) => query.filter(table::revoked_at.is_null()).filter(table::expires_at.gt(now.micros())),
    }
}

fn of_target(query: Query, target: &Target, ids: &[GrantId]) -> Query {
    match target {
        Target::Person(id) => query.filter(table::user_id.eq(id.to_string())),
        Target::Client(id) => query.filter(table::client_id.eq(id.as_str().to_owned())),
        Target::Resource(id) => query.filter(table::resource_id.eq(id.to_string())),
        Target::Grant(id) => query.filter(table::id.eq(id.to_string())),
        Target::Network(_) => {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            query.filter(table::id.eq_any(ids))
        }
        Target::Domain(domain) => query.filter(at_domain!(table::client_id, domain)),
        Target::Everything => query,
    }
}

/// When these people last signed in for an app that still has a chain of refresh tokens, by person and app.
///
/// # Errors
/// A fault of the database.
pub fn sign_ins(
    tx: &mut Tx<'_>,
    people: &[UserId],
) -> Result<Vec<(UserId, ClientId, Timestamp)>, StoreError> {
    let ids: Vec<String> = people.iter().map(ToString::to_string).collect();
    let rows: Vec<(String, String, i64)> = token_family::table
        .filter(token_family::user_id.eq_any(ids))
        .filter(token_family::revoked_at.is_null())
        .select((token_family::user_id, token_family::client_id, token_family::auth_time))
        .load(tx.connection())?;
    let read = |(user, client, at): (String, String, i64)| {
        Some((UserId::parse(&user)?, ClientId::parse(&client)?, Timestamp::from_micros(at)))
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

/// A range, which an index serves on both databases, where LIKE would depend on the collation.
pub(super) fn prefix_range(prefix: &str) -> (String, String) {
    let from = prefix.to_lowercase();
    let to = format!("{from}\u{10ffff}");
    (from, to)
}

/// A pattern of LIKE for what contains `part`, in small letters, with `\` to escape.
pub(super) fn contained(part: &str) -> String {
    format!("%{}%", escaped(&part.to_lowercase()))
}

/// A text in a pattern of LIKE, with `\` to escape.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
