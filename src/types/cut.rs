//! Cuts of access: whose, how, for how long, and what they hit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::client::ClientId;
use super::id::{CutHookId, CutId, GrantId, ResourceId, UserId};
use super::network::Network;
use super::time::Timestamp;

/// Every kind of target, by [`Target::kind`].
pub const TARGETS: [&str; 7] = ["person", "client", "domain", "resource", "grant", "network", "everything"];

/// A program that may cut access by a signed message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// Its handle, which is in its address.
    pub id: CutHookId,
    /// What it is called, for the list of cuts and the audit log.
    pub name: String,
    /// The kinds of target that it may cut, by [`Target::kind`].
    pub targets: Vec<String>,
    /// Its secret, sealed.
    pub sealed_secret: Vec<u8>,
    /// Since when.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it last cut anything.
    pub last_used_at: Option<Timestamp>,
}

/// Whose access is cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Everything of one person.
    Person(UserId),
    /// Everything of one client.
    Client(ClientId),
    /// Every client whose metadata document lives at this domain.
    Domain(String),
    /// Everything at one MCP server.
    Resource(ResourceId),
    /// One approval.
    Grant(GrantId),
    /// Everything that was last used from these addresses.
    Network(Network),
    /// Everything.
    Everything,
}

impl Target {
    /// The stored and printed name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Client(_) => "client",
            Self::Domain(_) => "domain",
            Self::Resource(_) => "resource",
            Self::Grant(_) => "grant",
            Self::Network(_) => "network",
            Self::Everything => "everything",
        }
    }

    /// What it names, as text.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Person(id) => id.to_string(),
            Self::Client(id) => id.to_string(),
            Self::Domain(domain) => domain.clone(),
            Self::Resource(id) => id.to_string(),
            Self::Grant(id) => id.to_string(),
            Self::Network(network) => network.to_string(),
            Self::Everything => String::new(),
        }
    }

    /// The inverse of [`Target::kind`] and [`Target::value`].
    #[must_use]
    pub fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "person" => UserId::parse(value).map(Self::Person),
            "client" => ClientId::parse(value).map(Self::Client),
            "domain" => domain(value).map(Self::Domain),
            "resource" => ResourceId::parse(value).map(Self::Resource),
            "grant" => GrantId::parse(value).map(Self::Grant),
            "network" => Network::parse(value).ok().map(Self::Network),
            "everything" if value.is_empty() => Some(Self::Everything),
            _ => None,
        }
    }
}

/// A host name, with a port where one is meant; lower case.
#[must_use]
pub fn domain(text: &str) -> Option<String> {
    let fine = (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'));
    fine.then(|| text.to_ascii_lowercase())
}

/// How access is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// For good: approvals, refresh tokens and sessions end.
    Revoke,
    /// Everything stops and comes back when the cut is undone. With a window it is a revocation that can be undone so
    /// long: afterwards it is one for good.
    Suspend(Option<Duration>),
    /// Everything stops for a time and comes back by itself.
    Isolate(Duration),
    /// The person has to approve again.
    Reconsent,
    /// The person has to sign in again.
    Reauthenticate,
}

impl Kind {
    /// The stored and printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Suspend(_) => "suspend",
            Self::Isolate(_) => "isolate",
            Self::Reconsent => "reconsent",
            Self::Reauthenticate => "reauthenticate",
        }
    }

    /// Its span, where it has one.
    #[must_use]
    pub const fn span(self) -> Option<Duration> {
        match self {
            Self::Suspend(span) => span,
            Self::Isolate(span) => Some(span),
            Self::Revoke | Self::Reconsent | Self::Reauthenticate => None,
        }
    }

    /// The inverse of [`Kind::as_str`] and [`Kind::span`].
    #[must_use]
    pub fn parse(name: &str, span: Option<Duration>) -> Option<Self> {
        match (name, span) {
            ("revoke", None) => Some(Self::Revoke),
            ("suspend", span) => Some(Self::Suspend(span)),
            ("isolate", Some(span)) => Some(Self::Isolate(span)),
            ("reconsent", None) => Some(Self::Reconsent),
            ("reauthenticate", None) => Some(Self::Reauthenticate),
            _ => None,
        }
    }
}

/// What a cut hits, in numbers and first names.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Impact {
    /// People.
    pub people: i64,
    /// Clients.
    pub clients: i64,
    /// MCP servers.
    pub resources: i64,
    /// Standing approvals.
    pub grants: i64,
    /// Browser sessions.
    pub sessions: i64,
    /// Access tokens that have not expired.
    pub live_tokens: i64,
    /// Chains of refresh tokens.
    pub families: i64,
    /// The first people, by e-mail.
    pub first_people: Vec<String>,
    /// The first clients, by id.
    pub first_clients: Vec<String>,
    /// The first MCP servers, by URL.
    pub first_resources: Vec<String>,
}

/// A cut as it is stored.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Its id.
    pub id: CutId,
    /// Whose access.
    pub target: Target,
    /// The target's name for people.
    pub label: String,
    /// How.
    pub kind: Kind,
    /// Why.
    pub reason: String,
    /// Who did it, when it was a person who is signed in.
    pub by_user_id: Option<UserId>,
    /// Who did it, in words.
    pub by_name: String,
    /// When.
    pub at: Timestamp,
    /// When an isolation ends, or a suspension can no longer be undone.
    pub until: Option<Timestamp>,
    /// When a revocation was written down with everything it hits; until then it holds like a suspension.
    pub applied_at: Option<Timestamp>,
    /// When it was undone.
    pub undone_at: Option<Timestamp>,
    /// Who undid it, in words.
    pub undone_by: Option<String>,
    /// For a network: the approvals it hit.
    pub grants: Vec<GrantId>,
    /// What it hit.
    pub impact: Impact,
}

impl Cut {
    /// What [`Cut::state`] may say.
    pub const STATES: [&'static str; 4] = ["in force", "done", "ended", "undone"];

    /// How it stands at `now`, in a word: `in force`, `ended`, `undone` or `done`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        let over = self.until.is_some_and(|until| until <= now);
        match self.kind {
            _ if self.undone_at.is_some() => "undone",
            _ if self.applied_at.is_some() => "done",
            Kind::Isolate(_) if over => "ended",
            _ => "in force",
        }
    }

    /// Whether it may still be undone at `now`.
    #[must_use]
    pub fn can_be_undone(&self, now: Timestamp) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        self.undone_at.is_none() && self.applied_at.is_none() && self.kind != Kind::Revoke && !over
    }
}
