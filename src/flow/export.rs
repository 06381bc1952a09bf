//! Lists of the console as rows for elsewhere, a few hundred at a time.

use serde_json::{Value, json};

use super::access_map::{self, Standing};
use super::console::{self, CutFilter, Names, SessionFilter};
use super::core::{Caller, Core};
use super::failure::Fault;
use super::keys::{self, KeyFilter, KeyState};
use super::resources::{self, ServerFilter};
use crate::storage::access_map::AccessFilter;
use crate::storage::alerts::AlertFilter;
use crate::storage::audit::{self, AuditFilter};
use crate::storage::console::{AppFilter, PeopleFilter};
use crate::types::audit::AuditKind;
use crate::types::client::Client;
use crate::types::hex::hex;
use crate::types::id::{AlertId, CutId, GrantId, SessionId, UserId};
use crate::types::key::SigningKey;
use crate::types::policy::EXPORT_STEP;
use crate::types::time::Timestamp;

/// A list, and what it is narrowed to.
#[derive(Clone, Debug)]
pub enum List {
    /// People.
    People(PeopleFilter),
    /// Apps.
    Apps(AppFilter),
    /// Approvals.
    Access(Box<AccessFilter>),
    /// Sign-ins.
    Sessions(SessionFilter),
    /// Audit records.
    Audit(Box<AuditFilter>),
    /// MCP servers.
    Servers(ServerFilter),
    /// Alerts.
    Alerts(AlertFilter),
    /// Cuts.
    Cuts(CutFilter),
    /// Signing keys.
    Keys(KeyFilter),
}

impl List {
    /// The names of its columns.
    #[must_use]
    pub const fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::People(_) => &[
                "id",
                "email",
                "name",
                "role",
                "groups",
                "second_factor_required",
                "created_at",
                "disabled_at",
            ],
            Self::Apps(_) => {
                &["id", "name", "kind", "redirect_uris", "created_at", "first_granted_at", "disabled_at"]
            }
            Self::Access(_) => &[
                "id",
                "person_id",
                "person",
                "client_id",
                "app",
                "server_id",
                "server",
                "scopes",
                "created_at",
                "last_used_at",
                "last_used_address",
                "expires_at",
                "revoked_at",
                "state",
            ],
            Self::Sessions(_) => {
                &["id", "person_id", "person", "address", "browser", "created_at", "last_seen_at"]
            }
            Self::Audit(_) => &[
                "id",
                "at",
                "kind",
                "person_id",
                "person",
                "client_id",
                "grant_id",
                "server_id",
                "address",
                "request_id",
                "detail",
                "lane",
                "position",
                "hash",
            ],
            Self::Servers(_) => &["id", "uri", "name", "scopes", "created_at"],
            Self::Alerts(_) => &[
                "id",
                "detector",
                "subject_kind",
                "subject",
                "count",
                "first_at",
                "last_at",
                "action",
                "outcome",
                "acknowledged_at",
                "acknowledged_by",
            ],
            Self::Cuts(_) => &[
                "id",
                "at",
                "target",
                "value",
                "name",
                "kind",
                "state",
                "reason",
                "by",
                "until",
                "undone_at",
                "undone_by",
            ],
            Self::Keys(_) => &["kid", "algorithm", "created_at", "activates_at", "removed_at"],
        }
    }
}

/// Notes that a list was exported, before anything of it leaves.
///
/// # Errors
/// A fault.
pub async fn record(core: &Core, caller: &Caller, list: &str, narrowed: &str) -> Result<(), Fault> {
    let mut event = core.event(AuditKind::ListExported, caller, core.now());
    event.detail = json!({ "list": list, "query": narrowed });
    Ok(core.store.write(move |tx| audit::append(tx, &event)).await?)
}

/// An export under way.
#[derive(Clone, Debug)]
pub struct Export {
    list: List,
    /// The key of the last row that was given; none before the first.
    after: Option<String>,
    ended: bool,
}

type Rows = (Vec<Vec<Value>>, Option<String>);

impl Export {
    /// One that has not begun.
    #[must_use]
    pub const fn of(list: List) -> Self {
        Self { list, after: None, ended: false }
    }

    /// The next rows, perhaps none; nothing at the end.
    ///
    /// # Errors
    /// A fault.
    pub async fn next(&mut self, core: &Core) -> Result<Option<Vec<Vec<Value>>>, Fault> {
        if self.ended {
            return Ok(None);
        }
        let after = self.after.take();
        let (rows, next) = match self.list.clone() {
            List::People(filter) => people(core, filter, after).await?,
            List::Apps(filter) => apps(core, filter, after).await?,
            List::Access(filter) => access(core, *filter, after).await?,
            List::Sessions(filter) => sessions(core, filter, after).await?,
            List::Audit(filter) => records(core, *filter, after).await?,
            List::Servers(filter) => (protected(core, &filter), None),
            List::Alerts(filter) => found(core, filter, after).await?,
            List::Cuts(filter) => cuts(core, filter, after).await?,
            List::Keys(filter) => (signing_keys(core, filter).await?, None),
        };
        self.ended = next.is_none();
        self.after = next;
        Ok(Some(rows))
    }
}

fn at(moment: Timestamp) -> Value {
    moment.rfc3339().into()
}

fn maybe(moment: Option<Timestamp>) -> Value {
    moment.map_or(Value::Null, at)
}

fn person(names: &Names, id: Option<UserId>) -> (Value, Value) {
    let email = id.and_then(|id| names.people.get(&id)).map(|user| user.email.clone());
    (json!(id.map(|id| id.to_string())), json!(email))
}

async fn people(core: &Core, filter: PeopleFilter, after: Option<String>) -> Result<Rows, Fault> {
    let page = console::people(core, filter, after.unwrap_or_default(), EXPORT_STEP).await?;
    let row = |user: &crate::types::user::User| {
        vec![
            json!(user.id.to_string()),
            json!(user.email),
            json!(user.name),
            json!(user.role.as_str()),
            json!(user.groups),
            json!(user.second_factor_required),
            at(user.created_at),
            maybe(user.disabled_at),
        ]
    };
    Ok((page.rows.iter().map(row).collect(), page.next))
}

async fn apps(core: &Core, filter: AppFilter, after: Option<String>) -> Result<Rows, Fault> {
    let page = console::apps(core, filter, after.unwrap_or_default(), EXPORT_STEP).await?;
    let row = |client: &Client| {
        vec![
            json!(client.id.as_str()),
            json!(client.display_name()),
            json!(client.kind.as_str()),
            json!(client.metadata.redirect_uris),
            at(client.created_at),
            maybe(client.first_granted_at),
            maybe(client.disabled_at),
        ]
    };
    Ok((page.rows.iter().map(row).collect(), page.next))
}

async fn access(core: &Core, filter: AccessFilter, after: Option<String>) -> Result<Rows, Fault> {
    let before = after.as_deref().and_then(GrantId::parse);
    let (page, names) = access_map::page(core, filter, before, EXPORT_STEP).await?;
    let view = core.live.view();
    let mut rows = Vec::with_capacity(page.rows.len());
    for Standing { grant, state } in &page.rows {
        let (id, email) = person(&names, grant.user_id);
        let server = view.resource_by_id(grant.resource_id).map(|server| server.uri.to_string());
        rows.push(vec![
            json!(grant.id.to_string()),
            id,
            email,
            json!(grant.client_id.as_str()),
            json!(names.apps.get(&grant.client_id).map(Client::display_name)),
            json!(grant.resource_id.to_string()),
            json!(server),
            json!(grant.scopes.iter().collect::<Vec<_>>()),
            at(grant.created_at),
            maybe(grant.last_used_at),
            json!(grant.last_used_address),
            at(grant.expires_at),
            maybe(grant.revoked_at),
            json!(state.as_str()),
        ]);
    }
    Ok((rows, page.next.map(|id| id.to_string())))
}

async fn sessions(core: &Core, filter: SessionFilter, after: Option<String>) -> Result<Rows, Fault> {
    let before = after.as_deref().and_then(SessionId::parse);
    let (page, names) = console::sessions(core, filter, before, EXPORT_STEP).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for session in &page.rows {
        let (id, email) = person(&names, Some(session.user_id));
        rows.push(vec![
            json!(session.id.to_string()),
            id,
            email,
            json!(session.address),
            json!(crate::account::browser::in_words(session.user_agent.as_deref())),
            at(session.created_at),
            at(session.last_seen_at),
        ]);
    }
    Ok((rows, page.next.map(|id| id.to_string())))
}

async fn records(core: &Core, filter: AuditFilter, after: Option<String>) -> Result<Rows, Fault> {
    let before = after.and_then(|place| place.parse().ok()).or(filter.before);
    let filter = AuditFilter { before, ..filter };
    let (page, names) = console::chained(core, filter, EXPORT_STEP).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for chained in &page.rows {
        let event = &chained.event;
        let (id, email) = person(&names, event.user_id);
        rows.push(vec![
            json!(event.id.to_string()),
            at(event.at),
            json!(event.kind.as_str()),
            id,
            email,
            json!(event.client_id.as_ref().map(ToString::to_string)),
            json!(event.grant_id.map(|id| id.to_string())),
            json!(event.resource_id.map(|id| id.to_string())),
            json!(event.address),
            json!(event.request_id),
            event.detail.clone(),
            json!(chained.lane),
            json!(chained.position),
            json!(hex(&chained.hash)),
        ]);
    }
    Ok((rows, page.next.map(|place| place.to_string())))
}

fn protected(core: &Core, filter: &ServerFilter) -> Vec<Vec<Value>> {
    resources::narrowed(&core.live.view(), filter)
        .into_iter()
        .map(|server| {
            let scopes: Vec<&str> = server.scopes.iter().map(|scope| scope.name.as_str()).collect();
            vec![
                json!(server.id.to_string()),
                json!(server.uri.as_str()),
                json!(server.name),
                json!(scopes),
                at(server.created_at),
            ]
        })
        .collect()
}

async fn found(core: &Core, filter: AlertFilter, after: Option<String>) -> Result<Rows, Fault> {
    let row = |alert: &crate::types::alert::Alert| {
        vec![
            json!(alert.id.to_string()),
            json!(alert.detector.as_str()),
            json!(alert.finding.subject.kind()),
            json!(alert.finding.subject.value()),
            json!(alert.finding.count),
            at(alert.finding.first_at),
            at(alert.finding.last_at),
            json!(alert.action.as_str()),
            json!(alert.outcome),
            maybe(alert.acknowledged_at),
            json!(alert.acknowledged_by),
        ]
    };
    let before = after.as_deref().and_then(AlertId::parse);
    let page = console::alerts(core, filter, before, EXPORT_STEP).await?;
    Ok((page.rows.iter().map(row).collect(), page.next.map(|id| id.to_string())))
}

async fn cuts(core: &Core, filter: CutFilter, after: Option<String>) -> Result<Rows, Fault> {
    let before = after.as_deref().and_then(CutId::parse);
    let page = console::cuts(core, filter, before, EXPORT_STEP).await?;
    let now = core.now();
    let row = |cut: &crate::types::cut::Cut| {
        vec![
            json!(cut.id.to_string()),
            at(cut.at),
            json!(cut.target.kind()),
            json!(cut.target.value()),
            json!(cut.label),
            json!(cut.kind.as_str()),
            json!(cut.state(now)),
            json!(cut.reason),
            json!(cut.by_name),
            maybe(cut.until),
            maybe(cut.undone_at),
            json!(cut.undone_by),
        ]
    };
    Ok((page.rows.iter().map(row).collect(), page.next.map(|id| id.to_string())))
}

async fn signing_keys(core: &Core, filter: KeyFilter) -> Result<Vec<Vec<Value>>, Fault> {
    let row = |(key, _): (SigningKey, KeyState)| {
        vec![
            json!(key.kid),
            json!(key.alg.as_str()),
            at(key.created_at),
            at(key.activates_at),
            maybe(key.removed_at),
        ]
    };
    Ok(keys::narrowed(core, filter).await?.into_iter().map(row).collect())
}
