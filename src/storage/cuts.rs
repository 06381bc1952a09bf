//! Cuts of access. What a cut hits is said once, as a condition on approvals, and everything is counted and changed by
//! sets: a cut of a million approvals is a handful of statements.

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Text};

use super::dialect::{self, on_either};
use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{json, moment, need, to_json};
use super::schema::{access_cut as table, session};
use super::store::Tx;
use crate::types::cut::{Cut, Impact, Kind, Target};
use crate::types::id::{CutId, GrantId, TokenId, UserId};
use crate::types::network::Network;
use crate::types::policy::{CUT_FIRST_NAMES, MAX_ACCESS_TOKEN_TTL};
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = table)]
struct Row {
    id: String,
    target_kind: String,
    target: String,
    label: String,
    kind: String,
    reason: String,
    by_user_id: Option<String>,
    by_name: String,
    at: i64,
    until_at: Option<i64>,
    applied_at: Option<i64>,
    undone_at: Option<i64>,
    undone_by: Option<String>,
    grants: String,
    impact: String,
}

impl Row {
    fn read(self) -> Result<Cut, StoreError> {
        let (at, until) = (Timestamp::from_micros(self.at), moment(self.until_at));
        let kind = Kind::parse(&self.kind, until.map(|until| until.since(at)));
        Ok(Cut {
            id: need(CutId::parse(&self.id), "access_cut.id")?,
            target: need(Target::parse(&self.target_kind, &self.target), "access_cut.target")?,
            label: self.label,
            kind: need(kind, "access_cut.kind")?,
            reason: self.reason,
            by_user_id: self
                .by_user_id
                .map(|id| need(UserId::parse(&id), "access_cut.by_user_id"))
                .transpose()?,
            by_name: self.by_name,
            at,
            until,
            applied_at: moment(self.applied_at),
            undone_at: moment(self.undone_at),
            undone_by: self.undone_by,
            grants: json(&self.grants, "access_cut.grants")?,
            impact: json(&self.impact, "access_cut.impact")?,
        })
    }
}

/// Writes a cut down; every node hears of it at once.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Cut) -> Result<(), StoreError> {
    let row = Row {
        id: new.id.to_string(),
        target_kind: new.target.kind().to_owned(),
        target: new.target.value(),
        label: new.label.clone(),
        kind: new.kind.as_str().to_owned(),
        reason: new.reason.clone(),
        by_user_id: new.by_user_id.map(|id| id.to_string()),
        by_name: new.by_name.clone(),
        at: new.at.micros(),
        until_at: new.until.map(Timestamp::micros),
        applied_at: new.applied_at.map(Timestamp::micros),
        undone_at: new.undone_at.map(Timestamp::micros),
        undone_by: new.undone_by.clone(),
        grants: to_json(&new.grants)?,
        impact: to_json(&new.impact)?,
    };
    diesel::insert_into(table::table).values(&row).execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(())
}

/// The cut with this id.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: CutId) -> Result<Option<Cut>, StoreError> {
    let row: Option<Row> = table::table.find(id.to_string()).get_result(tx.connection()).optional()?;
    row.map(Row::read).transpose()
}

/// The newest cuts, newest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>, before: Option<CutId>, limit: i64) -> Result<Vec<Cut>, StoreError> {
    // An id begins with its moment, so this is the order of time.
    let mut query = table::table.order(table::id.desc()).limit(limit).into_boxed();
    if let Some(id) = before {
        query = query.filter(table::id.lt(id.to_string()));
    }
    let rows: Vec<Row> = query.load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// The newest cuts that name this target, newest first.
///
/// # Errors
/// A fault of the database.
pub fn list_of(tx: &mut Tx<'_>, target: &Target, limit: i64) -> Result<Vec<Cut>, StoreError> {
    let rows: Vec<Row> = table::table
        .filter(table::target_kind.eq(target.kind()))
        .filter(table::target.eq(target.value()))
        .order((table::at.desc(), table::id.desc()))
        .limit(limit)
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// The cuts that are rules at `now`: suspensions, isolations that have not ended, everything that is due since
/// `oldest`, and revocations that are not through or were so recently that tokens of before may still run.
///
/// # Errors
/// A fault of the database.
pub fn in_force(tx: &mut Tx<'_>, oldest: Timestamp, now: Timestamp) -> Result<Vec<Cut>, StoreError> {
    let recent = now.minus(MAX_ACCESS_TOKEN_TTL).micros();
    let rows: Vec<Row> = table::table
        .filter(table::undone_at.is_null())
        .filter(table::applied_at.is_null().or(table::applied_at.gt(recent)))
        .filter(table::kind.ne("isolate").or(table::until_at.gt(now.micros())))
        .filter(table::kind.eq_any(["revoke", "suspend"]).or(table::at.gt(oldest.micros())))
        .order(table::at)
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Revocations that are written down and have yet to be carried out: those that began big, and suspensions whose window
/// is over.
///
/// # Errors
/// A fault of the database.
pub fn unfinished(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<Cut>, StoreError> {
    let over = table::kind.eq("suspend").and(table::until_at.le(now.micros()).assume_not_null());
    let rows: Vec<Row> = table::table
        .filter(table::undone_at.is_null())
        .filter(table::applied_at.is_null())
        .filter(table::kind.eq("revoke").or(over))
        .order(table::at)
        .load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// Undoes a cut; `false` when it was undone or carried out already.
///
/// # Errors
/// A fault of the database.
pub fn undo(tx: &mut Tx<'_>, id: CutId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(
        table::table
            .find(id.to_string())
            .filter(table::undone_at.is_null())
            .filter(table::applied_at.is_null())
            .filter(table::kind.ne("revoke"))
            .filter(table::until_at.is_null().or(table::until_at.gt(now.micros()))),
    )
    .set((table::undone_at.eq(now.micros()), table::undone_by.eq(by)))
    .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(changed == 1)
}

/// Notes that a revocation has been carried out; `false` when somebody else did so or it was undone.
///
/// # Errors
/// A fault of the database.
pub fn set_applied(tx: &mut Tx<'_>, id: CutId, now: Timestamp) -> Result<bool, StoreError> {
    let changed = diesel::update(
        table::table
            .find(id.to_string())
            .filter(table::undone_at.is_null())
            .filter(table::applied_at.is_null()),
    )
    .set(table::applied_at.eq(now.micros()))
    .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(changed == 1)
}

/// What a cut is about, for the statements here: `$1` is the target's value. It stands first in each of them.
struct Scope {
    /// On the columns of `access_grant`.
    grants: &'static str,
    /// On the columns of `token_family`; absent where a family may also rest on what is not hit.
    families: Option<&'static str>,
    value: String,
}

const DOMAIN: &str = "(client_id LIKE 'https://' || $1 || '/%' OR client_id LIKE 'https://' || $1 || ':%' \
    OR client_id LIKE 'http://' || $1 || '/%' OR client_id LIKE 'http://' || $1 || ':%')";

impl Scope {
    fn of(tx: &mut Tx<'_>, target: &Target, ids: &[GrantId]) -> Result<Self, StoreError> {
        let (grants, families) = match target {
            Target::Person(_) => ("user_id = $1", Some("user_id = $1")),
            Target::Client(_) => ("client_id = $1", Some("client_id = $1")),
            Target::Domain(_) => (DOMAIN, Some(DOMAIN)),
            Target::Resource(_) => ("resource_id = $1", None),
            Target::Grant(_) => ("id = $1", None),
            Target::Network(_) => (dialect::in_json_list(tx.connection()), None),
            Target::Everything => ("$1 = ''", Some("$1 = ''")),
        };
        let value = if matches!(target, Target::Network(_)) { to_json(&ids)? } else { target.value() };
        Ok(Self { grants, families, value })
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Totals {
    #[diesel(sql_type = BigInt)]
    people: i64,
    #[diesel(sql_type = BigInt)]
    clients: i64,
    #[diesel(sql_type = BigInt)]
    resources: i64,
    #[diesel(sql_type = BigInt)]
    grants: i64,
}

fn count(tx: &mut Tx<'_>, sql: &str, value: &str, now: Timestamp) -> Result<i64, StoreError> {
    let counted: Count = on_either!(tx, c => sql_query(sql)
        .bind::<Text, _>(value)
        .bind::<BigInt, _>(now.micros())
        .get_result(c))?;
    Ok(counted.count)
}

/// Up to [`CUT_FIRST_NAMES`] names that a statement about `$1` and `$2`, the moment, gives.
fn names(tx: &mut Tx<'_>, sql: &str, value: &str, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let sql = format!("{sql} LIMIT {CUT_FIRST_NAMES}");
    let rows: Vec<Name> = on_either!(tx, c => sql_query(&sql)
        .bind::<Text, _>(value)
        .bind::<BigInt, _>(now.micros())
        .load(c))?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// What a cut of this target hits now; for a network, the approvals that [`used_from`] found.
///
/// # Errors
/// A fault of the database.
pub fn preview(
    tx: &mut Tx<'_>,
    target: &Target,
    ids: &[GrantId],
    now: Timestamp,
) -> Result<Impact, StoreError> {
    let scope = Scope::of(tx, target, ids)?;
    let (value, now_live) = (scope.value.as_str(), "revoked_at IS NULL AND expires_at > $2");
    let hit = format!("FROM access_grant WHERE {} AND {now_live}", scope.grants);
    let totals_sql = format!(
        "SELECT count(DISTINCT user_id) AS people, count(DISTINCT client_id) AS clients, \
         count(DISTINCT resource_id) AS resources, count(*) AS grants {hit}"
    );
    let totals: Totals = on_either!(tx, c => sql_query(&totals_sql)
        .bind::<Text, _>(value)
        .bind::<BigInt, _>(now.micros())
        .get_result(c))?;
    let tokens = format!(
        "SELECT count(*) AS count FROM access_token WHERE grant_id IN (SELECT id {hit}) \
         AND expires_at > $2 AND revoked_at IS NULL"
    );
    let families = match scope.families {
        Some(condition) => {
            format!("SELECT count(*) AS count FROM token_family WHERE {condition} AND {now_live}")
        }
        None => format!(
            "SELECT count(DISTINCT family_id) AS count FROM access_token WHERE grant_id IN (SELECT id {hit}) \
             AND expires_at > $2 AND revoked_at IS NULL"
        ),
    };
    Ok(Impact {
        people: totals.people,
        clients: totals.clients,
        resources: totals.resources,
        grants: totals.grants,
        sessions: i64::try_from(sessions(tx, target)?.len()).unwrap_or(i64::MAX),
        live_tokens: count(tx, &tokens, value, now)?,
        families: count(tx, &families, value, now)?,
        first_people: names(
            tx,
            &format!("SELECT email AS name FROM users WHERE id IN (SELECT user_id {hit}) ORDER BY email"),
            value,
            now,
        )?,
        first_clients: names(
            tx,
            &format!("SELECT DISTINCT client_id AS name {hit} ORDER BY client_id"),
            value,
            now,
        )?,
        first_resources: names(
            tx,
            &format!("SELECT uri AS name FROM resource WHERE id IN (SELECT resource_id {hit}) ORDER BY uri"),
            value,
            now,
        )?,
    })
}

/// The addresses of a network from which standing approvals were last used.
///
/// # Errors
/// A fault of the database.
pub(super) fn addresses_in(tx: &mut Tx<'_>, network: &Network) -> Result<Vec<String>, StoreError> {
    use super::schema::access_grant as grant;
    // An address is kept as it is written here, so that one alone needs no look at the others.
    let one = network.to_string();
    if one.parse::<std::net::IpAddr>().is_ok() {
        return Ok(vec![one]);
    }
    let addresses: Vec<Option<String>> = grant::table
        .filter(grant::revoked_at.is_null())
        .filter(grant::last_used_address.is_not_null())
        .select(grant::last_used_address)
        .distinct()
        .load(tx.connection())?;
    Ok(addresses.into_iter().flatten().filter(|text| within(network, text)).collect())
}

/// The standing approvals that were last used from these addresses.
///
/// # Errors
/// A fault of the database.
pub fn used_from(tx: &mut Tx<'_>, network: &Network) -> Result<Vec<GrantId>, StoreError> {
    use super::schema::access_grant as grant;
    let mut found = Vec::new();
    for address in addresses_in(tx, network)? {
        let ids: Vec<String> = grant::table
            .filter(grant::revoked_at.is_null())
            .filter(grant::last_used_address.eq(&address))
            .select(grant::id)
            .load(tx.connection())?;
        for id in ids {
            found.push(need(GrantId::parse(&id), "access_grant.id")?);
        }
    }
    Ok(found)
}

fn within(network: &Network, address: &str) -> bool {
    address.parse().is_ok_and(|address| network.contains(address))
}

/// The browser sessions that a revocation of this target ends.
fn sessions(tx: &mut Tx<'_>, target: &Target) -> Result<Vec<String>, StoreError> {
    let all = session::table.select((session::id, session::address));
    match target {
        Target::Person(id) => Ok(session::table
            .filter(session::user_id.eq(id.to_string()))
            .select(session::id)
            .load(tx.connection())?),
        Target::Network(network) => {
            let rows: Vec<(String, Option<String>)> = all.load(tx.connection())?;
            let here = rows
                .into_iter()
                .filter(|(_, address)| address.as_deref().is_some_and(|address| within(network, address)));
            Ok(here.map(|(id, _)| id).collect())
        }
        Target::Everything => Ok(session::table.select(session::id).load(tx.connection())?),
        Target::Client(_) | Target::Domain(_) | Target::Resource(_) | Target::Grant(_) => Ok(Vec::new()),
    }
}

/// Ends every approval, family and session that the cut hits, and, where `tokens_too`, every access token; without
/// that their end is the cut's own rule, and the list of revoked tokens stays short.
///
/// # Errors
/// A fault of the database.
pub fn revoke(tx: &mut Tx<'_>, cut: &Cut, tokens_too: bool, now: Timestamp) -> Result<(), StoreError> {
    if !tokens_too {
        dialect::take_your_time(tx.connection())?;
    }
    let scope = Scope::of(tx, &cut.target, &cut.grants)?;
    let (value, at) = (scope.value.as_str(), now.micros());
    // Grants first, then families: the order in which everyone locks them. Whoever is issuing is waited for, and the
    // next statement sees what they inserted.
    let grants = ordered(&format!(
        "UPDATE access_grant SET revoked_at = $2, revoked_reason = $3 WHERE {} AND revoked_at IS NULL",
        scope.grants
    ));
    on_either!(tx, c => sql_query(&grants)
        .bind::<Text, _>(value)
        .bind::<BigInt, _>(at)
        .bind::<Text, _>(cut.reason.as_str())
        .execute(c))?;
    if tokens_too {
        let tokens = ordered(&format!(
            "UPDATE access_token SET revoked_at = $2 WHERE grant_id IN (SELECT id FROM access_grant WHERE {}) \
             AND expires_at > $2 AND revoked_at IS NULL",
            scope.grants
        ));
        on_either!(tx, c => sql_query(&tokens)
            .bind::<Text, _>(value)
            .bind::<BigInt, _>(at)
            .execute(c))?;
    }
    if let Some(condition) = scope.families {
        let families = ordered(&format!(
            "UPDATE token_family SET revoked_at = $2 WHERE {condition} AND revoked_at IS NULL"
        ));
        on_either!(tx, c => sql_query(&families)
            .bind::<Text, _>(value)
            .bind::<BigInt, _>(at)
            .execute(c))?;
    }
    // Who cuts everything stays signed in: somebody has to see what came of it.
    let keeper = cut.by_user_id.map(|id| id.to_string()).unwrap_or_default();
    for id in sessions(tx, &cut.target)? {
        let one = session::table.find(&id);
        if cut.target == Target::Everything {
            diesel::delete(one.filter(session::user_id.ne(&keeper))).execute(tx.connection())?;
        } else {
            diesel::delete(one).execute(tx.connection())?;
        }
    }
    bump(tx, Topic::Revocations);
    Ok(())
}

/// SQLite counts `$1`, `$2`, … in the order in which they first appear, PostgreSQL by their number; the statements here
/// name them so that both agree.
fn ordered(sql: &str) -> String {
    format!("WITH target (value) AS (SELECT $1) {}", sql.replace("$1", "(SELECT value FROM target)"))
}

/// A standing approval as an audit record of its end names it.
pub struct Ended {
    /// The approval.
    pub grant: GrantId,
    /// Its person.
    pub user: Option<UserId>,
    /// Its client.
    pub client: String,
    /// Its resource.
    pub resource: String,
}

/// The standing approvals that the cut hits, at most `limit` of them.
///
/// # Errors
/// A fault of the database.
pub fn standing(tx: &mut Tx<'_>, cut: &Cut, limit: i64) -> Result<Vec<Ended>, StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        id: String,
        #[diesel(sql_type = Text)]
        user_id: String,
        #[diesel(sql_type = Text)]
        client_id: String,
        #[diesel(sql_type = Text)]
        resource_id: String,
    }
    let scope = Scope::of(tx, &cut.target, &cut.grants)?;
    let sql = format!(
        "SELECT id, coalesce(user_id, '') AS user_id, client_id, resource_id FROM access_grant \
         WHERE {} AND revoked_at IS NULL LIMIT $2",
        scope.grants
    );
    let rows: Vec<Found> = on_either!(tx, c => sql_query(&sql)
        .bind::<Text, _>(scope.value.as_str())
        .bind::<BigInt, _>(limit)
        .load(c))?;
    let read = |row: Found| {
        Ok(Ended {
            grant: need(GrantId::parse(&row.id), "access_grant.id")?,
            user: UserId::parse(&row.user_id),
            client: row.client_id,
            resource: row.resource_id,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Places and ends of the access tokens that a cut holds: all that run, or those issued up to `before`.
///
/// # Errors
/// A fault of the database.
pub fn places(
    tx: &mut Tx<'_>,
    cut: &Cut,
    before: Option<Timestamp>,
    now: Timestamp,
) -> Result<Vec<(i64, Timestamp)>, StoreError> {
    #[derive(QueryableByName)]
    struct Place {
        #[diesel(sql_type = BigInt)]
        status_index: i64,
        #[diesel(sql_type = BigInt)]
        expires_at: i64,
    }
    let scope = Scope::of(tx, &cut.target, &cut.grants)?;
    // Nothing that is made of hexadecimal digits sorts after it.
    let bound = before.map_or_else(|| "z".to_owned(), TokenId::text_after);
    let condition = match cut.target {
        Target::Everything => "$1 = ''".to_owned(),
        _ => format!("grant_id IN (SELECT id FROM access_grant WHERE {})", scope.grants),
    };
    let sql = format!(
        "SELECT status_index, expires_at FROM access_token WHERE {condition} AND expires_at > $2 AND id < $3"
    );
    let rows: Vec<Place> = on_either!(tx, c => sql_query(&sql)
        .bind::<Text, _>(scope.value.as_str())
        .bind::<BigInt, _>(now.micros())
        .bind::<Text, _>(bound)
        .load(c))?;
    Ok(rows.into_iter().map(|row| (row.status_index, Timestamp::from_micros(row.expires_at))).collect())
}

/// When anything that the target names was last used: what "last accepted" can say.
///
/// # Errors
/// A fault of the database.
pub fn last_used(tx: &mut Tx<'_>, target: &Target, ids: &[GrantId]) -> Result<Option<Timestamp>, StoreError> {
    let scope = Scope::of(tx, target, ids)?;
    let sql =
        format!("SELECT coalesce(max(last_used_at), 0) AS count FROM access_grant WHERE {}", scope.grants);
    let found: Count =
        on_either!(tx, c => sql_query(&sql).bind::<Text, _>(scope.value.as_str()).get_result(c))?;
    Ok((found.count > 0).then(|| Timestamp::from_micros(found.count)))
}
