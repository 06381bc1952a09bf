//! What the console shows: lists with the names that belong to them, and how often things have happened lately.

use std::collections::HashMap;

use super::call_approvals::{self, Shown};
use super::core::{Caller, Core};
use super::failure::Fault;
use crate::storage::access_map::{self, Whose};
use crate::storage::alerts::{self, AlertFilter};
use crate::storage::audit::{self, AuditFilter};
use crate::storage::audit_chain::Chained;
use crate::storage::console::{AppFilter, PeopleFilter};
use crate::storage::{StoreError, Tx, call_approvals as call_rows, clients, console, cuts, sessions, users};
use crate::types::alert::Alert;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::call_approval::{CallApproval, Stage};
use crate::types::client::{Client, ClientId};
use crate::types::cut::Cut;
use crate::types::id::{AlertId, CallApprovalId, CutId, ResourceId, SessionId, UserId};
use crate::types::network::Network;
use crate::types::policy::{CONSOLE_LOOK, CONSOLE_PAGE, CONSOLE_STRIDE};
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

/// What one step of [`scan`] gives: every row that was looked at by its key, and the row itself where it is meant.
pub(super) type Looked<T, K> = Vec<(K, Option<T>)>;

/// Reads on, in strides that grow, until a page is full or [`CONSOLE_LOOK`] rows were looked at: then it has fewer, and
/// says where to go on.
pub(super) fn scan<T, K: Clone>(
    tx: &mut Tx<'_>,
    limit: i64,
    from: Option<K>,
    mut step: impl FnMut(&mut Tx<'_>, Option<K>, i64) -> Result<Looked<T, K>, StoreError>,
) -> Result<Page<T, K>, StoreError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut rows, mut last, mut place, mut looked) = (Vec::new(), None, from, 0);
    // One is enough where everything that is read is meant.
    let mut stride = limit + 1;
    loop {
        let read = step(tx, place.clone(), stride)?;
        let whole = i64::try_from(read.len()).is_ok_and(|count| count < stride);
        for (key, row) in read {
            if let Some(row) = row {
                if rows.len() == most {
                    return Ok(Page { rows, next: last });
                }
                rows.push(row);
                last = Some(key.clone());
            }
            place = Some(key);
        }
        looked += stride;
        stride = CONSOLE_STRIDE.max(stride);
        if whole {
            return Ok(Page { rows, next: None });
        }
        if looked >= CONSOLE_LOOK {
            return Ok(Page { rows, next: place });
        }
    }
}

/// People by address.
///
/// # Errors
/// A fault.
pub async fn people(
    core: &Core,
    filter: PeopleFilter,
    after: String,
    limit: i64,
) -> Result<Page<User, String>, Fault> {
    let rows = core.store.read(move |tx| console::people(tx, &filter, &after, limit + 1)).await?;
    Ok(Page::of(rows, limit, |user| user.email.to_lowercase()))
}

/// Apps by id.
///
/// # Errors
/// A fault.
pub async fn apps(
    core: &Core,
    filter: AppFilter,
    after: String,
    limit: i64,
) -> Result<Page<Client, String>, Fault> {
    let rows = core.store.read(move |tx| console::apps(tx, &filter, &after, limit + 1)).await?;
    Ok(Page::of(rows, limit, |client| client.id.as_str().to_owned()))
}

/// Which sign-ins are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct SessionFilter {
    /// Of people whose e-mail address begins so.
    pub people: Option<String>,
    /// Of this person.
    pub user_id: Option<UserId>,
    /// From there.
    pub network: Option<Network>,
}

/// Sessions, newest first. Where they are narrowed to a network, a page may be short and yet not the last.
///
/// # Errors
/// A fault.
pub async fn sessions(
    core: &Core,
    filter: SessionFilter,
    before: Option<SessionId>,
    limit: i64,
) -> Result<(Page<Session, SessionId>, Names), Fault> {
    Ok(core
        .store
        .read(move |tx| {
            let people = match (&filter.people, filter.user_id) {
                (_, Some(id)) => Some(Whose::These(vec![id.to_string()])),
                (Some(prefix), None) => Some(access_map::whose(tx, prefix)?),
                (None, None) => None,
            };
            let page = scan(tx, limit, before, |tx, place, stride| {
                let rows = console::sessions(tx, people.as_ref(), place, stride)?;
                let ids: Vec<UserId> = rows.iter().map(|session| session.user_id).collect();
                let of = people.as_ref().map_or(Ok(None), |whose| whose.among(tx, &ids))?;
                let from_there = |session: &Session| {
                    let address = session.address.as_deref().and_then(|text| text.parse().ok());
                    let within = |network: &Network| address.is_some_and(|address| network.contains(address));
                    filter.network.as_ref().is_none_or(within)
                        && of.as_ref().is_none_or(|of| of.contains(&session.user_id))
                };
                Ok(rows.into_iter().map(|row| (row.id, Some(row).filter(from_there))).collect())
            })?;
            let names = names(tx, page.rows.iter().map(|session| session.user_id), [].into_iter())?;
            Ok((page, names))
        })
        .await?)
}

/// Which cuts are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct CutFilter {
    /// With this in the target's name, the reason or the name of who cut, whatever its case.
    pub part: Option<String>,
    /// Of this kind of target, by [`crate::types::cut::Target::kind`].
    pub target: Option<String>,
    /// That stand so, by [`Cut::state`].
    pub state: Option<String>,
}

/// Cuts, newest first.
///
/// # Errors
/// A fault.
pub async fn cuts(
    core: &Core,
    filter: CutFilter,
    before: Option<CutId>,
    limit: i64,
) -> Result<Page<Cut, CutId>, Fault> {
    let now = core.now();
    let part = filter.part.map(|part| part.to_lowercase());
    let meant = move |cut: &Cut| {
        let has = |part: &String| {
            let words = [&cut.label, &cut.reason, &cut.by_name];
            words.iter().any(|text| text.to_lowercase().contains(part))
        };
        part.as_ref().is_none_or(has)
            && filter.target.as_ref().is_none_or(|kind| kind == cut.target.kind())
            && filter.state.as_ref().is_none_or(|state| state == cut.state(now))
    };
    Ok(core
        .store
        .read(move |tx| {
            scan(tx, limit, before, |tx, place, stride| {
                let rows = cuts::list(tx, place, stride)?;
                Ok(rows.into_iter().map(|row| (row.id, Some(row).filter(&meant))).collect())
            })
        })
        .await?)
}

/// Alerts, newest first.
///
/// # Errors
/// A fault.
pub async fn alerts(
    core: &Core,
    filter: AlertFilter,
    before: Option<AlertId>,
    limit: i64,
) -> Result<Page<Alert, AlertId>, Fault> {
    let rows = core.store.read(move |tx| alerts::list(tx, &filter, before, limit + 1)).await?;
    Ok(Page::of(rows, limit, |alert| alert.id))
}

/// Which calls are meant that wait or have waited; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of a tool, prompt or resource with this in its name, whatever its case.
    pub part: Option<String>,
    /// At these servers.
    pub servers: Option<Vec<ResourceId>>,
    /// That have come so far.
    pub stage: Option<Stage>,
}

/// Calls that wait, oldest first, or those that do not wait any more, newest first.
///
/// # Errors
/// A fault.
pub async fn calls(
    core: &Core,
    waiting: bool,
    filter: CallFilter,
    after: Option<CallApprovalId>,
    limit: i64,
) -> Result<Page<Shown, CallApprovalId>, Fault> {
    let now = core.now();
    let part = filter.part.map(|part| part.to_lowercase());
    let meant = move |call: &CallApproval| {
        let stage = call.stage(now);
        (waiting || stage != Stage::Waiting)
            && part.as_ref().is_none_or(|part| call.name.to_lowercase().contains(part))
            && filter.servers.as_ref().is_none_or(|servers| servers.contains(&call.resource_id))
            && filter.stage.is_none_or(|wanted| wanted == stage)
    };
    let page = core
        .store
        .read(move |tx| {
            let page = scan(tx, limit, after, |tx, place, stride| {
                let rows = call_rows::list(tx, !waiting, place, stride, now)?;
                Ok(rows.into_iter().map(|row| (row.id, Some(row).filter(&meant))).collect())
            })?;
            let rows = page.rows.into_iter().map(|one| call_approvals::named(tx, one));
            Ok(Page { rows: rows.collect::<Result<Vec<_>, _>>()?, next: page.next })
        })
        .await?;
    let rows = page.rows.into_iter().map(|named| call_approvals::shown(core, named, now)).collect();
    Ok(Page { rows, next: page.next })
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

pub(super) fn names(
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
