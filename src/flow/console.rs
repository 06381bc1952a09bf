//! What the console shows: lists with the names that belong to them, and how often things have happened lately.

use std::collections::HashMap;

use super::core::{Caller, Core};
use super::failure::Fault;
use crate::storage::audit::{self, AuditFilter};
use crate::storage::audit_chain::Chained;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, Tx, clients, console, sessions, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{Client, ClientId};
use crate::types::grant::Grant;
use crate::types::id::{GrantId, SessionId, UserId};
use crate::types::policy::CONSOLE_PAGE;
use crate::types::session::Session;
use crate::types::user::User;

/// The people and apps that the rows of a page name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// People by id.
    pub people: HashMap<UserId, User>,
    /// Apps by id.
    pub apps: HashMap<ClientId, Client>,
}

/// One list of one page, and from where the next goes on.
#[derive(Clone, Debug)]
pub struct Page<T, K> {
    /// What it shows.
    pub rows: Vec<T>,
    /// The key of the last row, when there is more.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    fn of(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let full = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| full).map(key);
        Self { rows, next }
    }
}

/// People by address.
///
/// # Errors
/// A fault.
pub async fn people(
    core: &Core,
    prefix: String,
    after: String,
    limit: i64,
) -> Result<Page<User, String>, Fault> {
    let rows = core.store.read(move |tx| console::people(tx, &prefix, &after, limit + 1)).await?;
    Ok(Page::of(rows, limit, |user| user.email.to_lowercase()))
}

/// Apps by id.
///
/// # Errors
/// A fault.
pub async fn apps(
    core: &Core,
    part: String,
    after: String,
    limit: i64,
) -> Result<Page<Client, String>, Fault> {
    let rows = core.store.read(move |tx| console::apps(tx, &part, &after, limit + 1)).await?;
    Ok(Page::of(rows, limit, |client| client.id.as_str().to_owned()))
}

/// The access map: who lets what app do what where, newest first.
///
/// # Errors
/// A fault.
pub async fn access(
    core: &Core,
    filter: GrantFilter,
    before: Option<GrantId>,
    limit: i64,
) -> Result<(Page<Grant, GrantId>, Names), Fault> {
    let (rows, names) = core
        .store
        .read(move |tx| {
            let rows = console::access(tx, &filter, before, limit + 1)?;
            let people = rows.iter().filter_map(|grant| grant.user_id);
            let apps = rows.iter().map(|grant| grant.client_id.clone());
            let names = names(tx, people, apps)?;
            Ok((rows, names))
        })
        .await?;
    Ok((Page::of(rows, limit, |grant| grant.id), names))
}

/// Sessions, newest first.
///
/// # Errors
/// A fault.
pub async fn sessions(
    core: &Core,
    before: Option<SessionId>,
    limit: i64,
) -> Result<(Page<Session, SessionId>, Names), Fault> {
    let (rows, names) = core
        .store
        .read(move |tx| {
            let rows = console::sessions(tx, before, limit + 1)?;
            let names = names(tx, rows.iter().map(|session| session.user_id), [].into_iter())?;
            Ok((rows, names))
        })
        .await?;
    Ok((Page::of(rows, limit, |session| session.id), names))
}

/// Signs a browser out; whether there was such a one.
///
/// # Errors
/// A fault.
pub async fn end_session(core: &Core, caller: &Caller, id: SessionId) -> Result<bool, Fault> {
    let event = core.event(AuditKind::SessionsEnded, caller, core.now());
    Ok(core
        .store
        .write(move |tx| {
            let Some(session) = sessions::by_id(tx, id)? else { return Ok(false) };
            sessions::delete(tx, id)?;
            let mut event = event.clone();
            event.user_id = Some(session.user_id);
            event.detail = serde_json::json!({ "sessions": 1 });
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?)
}

/// Audit records, newest first; as many as the filter says, or one page. Where there is more to look through than one page
/// may, it has fewer, and says where to go on.
///
/// # Errors
/// A fault.
pub async fn events(core: &Core, filter: AuditFilter) -> Result<(Page<AuditEvent, i64>, Names), Fault> {
    let limit = filter.limit.unwrap_or(CONSOLE_PAGE);
    let (rows, next, names) = core
        .store
        .read(move |tx| {
            let (rows, next) = audit::look(tx, &filter, limit)?;
            let people = rows.iter().filter_map(|(_, event)| event.user_id);
            let apps = rows.iter().filter_map(|(_, event)| event.client_id.clone());
            let names = names(tx, people, apps)?;
            Ok((rows, next, names))
        })
        .await?;
    Ok((Page { rows: rows.into_iter().map(|(_, event)| event).collect(), next }, names))
}

/// [`events`] with their places in the chain.
///
/// # Errors
/// A fault.
pub async fn chained(
    core: &Core,
    filter: AuditFilter,
    limit: i64,
) -> Result<(Page<Chained, i64>, Names), Fault> {
    Ok(core
        .store
        .read(move |tx| {
            let (rows, next) = audit::look_chained(tx, &filter, limit)?;
            let rows: Vec<Chained> = rows.into_iter().map(|(_, record)| record).collect();
            let people = rows.iter().filter_map(|record| record.event.user_id);
            let names = names(tx, people, std::iter::empty())?;
            Ok((Page { rows, next }, names))
        })
        .await?)
}

fn names(
    tx: &mut Tx<'_>,
    people: impl Iterator<Item = UserId>,
    apps: impl Iterator<Item = ClientId>,
) -> Result<Names, StoreError> {
    let mut people: Vec<UserId> = people.collect();
    people.sort_unstable();
    people.dedup();
    let mut apps: Vec<ClientId> = apps.collect();
    apps.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    apps.dedup();
    Ok(Names {
        people: console::people_of(tx, &people)?.into_iter().map(|user| (user.id, user)).collect(),
        apps: console::apps_of(tx, &apps)?.into_iter().map(|client| (client.id.clone(), client)).collect(),
    })
}

/// The people and apps that some approvals name.
///
/// # Errors
/// A fault.
pub async fn names_for(core: &Core, rows: &[Grant]) -> Result<Names, Fault> {
    let people: Vec<UserId> = rows.iter().filter_map(|grant| grant.user_id).collect();
    let apps: Vec<ClientId> = rows.iter().map(|grant| grant.client_id.clone()).collect();
    Ok(core.store.read(move |tx| names(tx, people.into_iter(), apps.into_iter())).await?)
}

/// These people, by id.
///
/// # Errors
/// A fault.
pub async fn names_of(core: &Core, ids: Vec<UserId>) -> Result<HashMap<UserId, User>, Fault> {
    Ok(core.store.read(move |tx| Ok(names(tx, ids.into_iter(), std::iter::empty())?.people)).await?)
}

/// One person and their sign-ins.
///
/// # Errors
/// A fault.
pub async fn person(core: &Core, id: UserId) -> Result<Option<(User, Vec<Session>)>, Fault> {
    Ok(core
        .store
        .read(move |tx| {
            let Some(user) = users::find(tx, id)? else { return Ok(None) };
            Ok(Some((user, sessions::list_by_user(tx, id)?)))
        })
        .await?)
}

/// One app and the versions of its metadata document, newest first.
///
/// # Errors
/// A fault.
pub async fn app(
    core: &Core,
    id: ClientId,
) -> Result<Option<(Client, Vec<clients::DocumentVersion>)>, Fault> {
    Ok(core
        .store
        .read(move |tx| {
            let Some(client) = clients::find(tx, &id)? else { return Ok(None) };
            Ok(Some((client, clients::documents(tx, &id, CONSOLE_PAGE)?)))
        })
        .await?)
}

/// Whether this person is the only administrator who could still sign in.
///
/// # Errors
/// A fault.
pub async fn is_last_administrator(core: &Core, user: &User) -> Result<bool, Fault> {
    if user.role != crate::types::user::Role::Admin || user.disabled_at.is_some() {
        return Ok(false);
    }
    Ok(core.store.read(console::administrators).await? <= 1)
}
