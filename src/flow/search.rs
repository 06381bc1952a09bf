//! One search for everything: people, apps, servers, approvals, sign-ins, cuts and audit records.

use super::core::Core;
use super::failure::Fault;
use crate::storage::audit::{self, AuditFilter};
use crate::storage::console::{AppFilter, PeopleFilter};
use crate::storage::{clients, console, cuts, grants, sessions, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{Client, ClientId};
use crate::types::cut::Cut;
use crate::types::grant::Grant;
use crate::types::id::{AuditId, CutId, GrantId, SessionId, UserId};
use crate::types::policy::{MAX_SEARCH, SEARCH_SHOWN};
use crate::types::resource::Resource;
use crate::types::session::Session;
use crate::types::user::User;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// People whose address begins so, or with this id.
    pub people: Vec<User>,
    /// Apps with this in their id, name or addresses.
    pub apps: Vec<Client>,
    /// Servers with this in their name or address, or with this id.
    pub servers: Vec<Resource>,
    /// The approval with this id.
    pub grant: Option<Grant>,
    /// The sign-in with this id, and whose it is.
    pub session: Option<(Session, Option<User>)>,
    /// The cut with this id.
    pub cut: Option<Cut>,
    /// The record with this id, or the records of the request with this id.
    pub records: Vec<AuditEvent>,
    /// A kind of audit record of this name.
    pub kind: Option<AuditKind>,
    /// A network address.
    pub address: Option<std::net::IpAddr>,
}

impl Found {
    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
            && self.apps.is_empty()
            && self.servers.is_empty()
            && self.grant.is_none()
            && self.session.is_none()
            && self.cut.is_none()
            && self.records.is_empty()
            && self.kind.is_none()
            && self.address.is_none()
    }
}

/// Searches for a text. An id is looked up wherever there are ids; anything else is a name or the beginning of an address.
///
/// # Errors
/// A fault.
pub async fn search(core: &Core, text: &str) -> Result<Found, Fault> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.len() > MAX_SEARCH || text.contains('\0') {
        return Ok(Found::default());
    }
    let lower = text.to_lowercase();
    let mut servers: Vec<Resource> = core
        .live
        .view()
        .resources
        .values()
        .filter(|server| {
            [server.name.as_str(), server.uri.as_str(), server.client_id.as_str()]
                .iter()
                .any(|known| known.to_lowercase().contains(&lower))
                || server.id.to_string() == lower
        })
        .cloned()
        .collect();
    servers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    servers.truncate(usize::try_from(SEARCH_SHOWN).unwrap_or_default());
    let (kind, address) = (AuditKind::parse(&text), text.parse().ok());
    let found = Found { servers, kind, address, ..Found::default() };
    let Some(user) = UserId::parse(&text) else {
        return Ok(core
            .store
            .read(move |tx| {
                let whose = PeopleFilter { prefix: text.clone(), ..PeopleFilter::default() };
                let which = AppFilter { part: text, ..AppFilter::default() };
                Ok(Found {
                    people: console::people(tx, &whose, "", SEARCH_SHOWN)?,
                    apps: console::apps(tx, &which, "", SEARCH_SHOWN)?,
                    ..found
                })
            })
            .await?);
    };
    Ok(core
        .store
        .read(move |tx| {
            let mut found = found;
            found.people.extend(users::find(tx, user)?);
            if let Some(id) = ClientId::parse(&text) {
                found.apps.extend(clients::find(tx, &id)?);
            }
            if let Some(id) = GrantId::parse(&text) {
                found.grant = grants::find(tx, id)?;
            }
            if let Some(id) = CutId::parse(&text) {
                found.cut = cuts::find(tx, id)?;
            }
            if let Some(session) =
                SessionId::parse(&text).map(|id| sessions::by_id(tx, id)).transpose()?.flatten()
            {
                let whose = users::find(tx, session.user_id)?;
                found.session = Some((session, whose));
            }
            if let Some(id) = AuditId::parse(&text) {
                found.records.extend(audit::by_id(tx, id)?);
            }
            if found.records.is_empty() {
                let filter = AuditFilter { request_id: Some(lower), ..AuditFilter::default() };
                found.records = audit::of_request(tx, &filter, SEARCH_SHOWN)?;
            }
            Ok(found)
        })
        .await?)
}
