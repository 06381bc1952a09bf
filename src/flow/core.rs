//! What every use case works with, composed once at start.

use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;

use super::client_credentials::Machine;
use super::ended::Ended;
use super::failure::Fault;
use super::live::Live;
use super::overview::Course;
use super::register::RegistrationLimiter;
use super::status_list::StatusList;
use super::stdio::Stdio;
use super::stream::OutgoingState;
use super::traffic::Traffic;
use super::upstream_tokens::{Known, Vouched};
use super::verify::OwnToken;
use crate::crypto::passkey::Passkeys;
use crate::crypto::password::PasswordHasher;
use crate::crypto::roots::Roots;
use crate::outbound::authorization_server::AuthorizationServers;
use crate::outbound::document::Documents;
use crate::outbound::fetch::Fetcher;
use crate::outbound::flight::Flights;
use crate::outbound::key_set::KeySets;
use crate::outbound::mail::Mailer;
use crate::outbound::provider::Providers;
use crate::outbound::syslog::Syslog;
use crate::outbound::upstream_mcp::Upstreams;
use crate::storage::{Store, generations};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::audit_chain::SALT;
use crate::types::callers::Standing;
use crate::types::client::ClientId;
use crate::types::id::{AuditId, ResourceId, UserId};
use crate::types::policy::{Policy, STATUS_BLOCK, STATUS_SHUFFLE};
use crate::types::random::Rng;
use crate::types::tally::Counters;
use crate::types::time::{Clock, Timestamp};
use crate::types::token::TokenDigest;
use crate::types::usage::Usage;

/// Store, keys, clock and the rest.
pub struct Core {
    /// The database.
    pub store: Store,
    /// What an operator has set.
    pub policy: Policy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The keys under which secrets are sealed.
    pub master: Roots,
    /// Passkeys.
    pub passkeys: Passkeys,
    /// Password hashing, bounded.
    pub hasher: PasswordHasher,
    /// Metadata documents of clients.
    pub documents: Documents,
    /// Key sets of clients.
    pub key_sets: KeySets,
    /// Identity providers.
    pub providers: Providers,
    /// Authorization servers in front of servers behind the gateway.
    pub authorization_servers: AuthorizationServers,
    /// Tokens of people's own for those servers, as this node knows them.
    pub upstream_tokens: Cache<(ResourceId, UserId), Arc<Known>>,
    /// Tokens that are being asked for in a person's name, by server, person, way and revocations.
    pub vouched: Flights<Vouched>,
    /// What people are at servers whose rules ask for it, with the state of groups, roles and servers that it is of.
    pub standings: Cache<(ResourceId, UserId), (i64, Arc<Standing>)>,
    /// Machines as they were when they last got a token, see [`super::client_credentials`].
    pub machines: Cache<(ClientId, ResourceId), Arc<Machine>>,
    /// What carries mail away.
    pub mailer: Mailer,
    /// Sends to webhooks, receivers and streams.
    pub outgoing: Fetcher,
    /// Sends to collectors of syslog.
    pub syslog: Syslog,
    /// The way to MCP servers behind the gateway.
    pub upstreams: Upstreams,
    /// Servers behind the gateway that are run here.
    pub stdio: Stdio,
    /// What goes through the gateway now.
    pub traffic: Traffic,
    /// Ends of calls that are not recorded yet.
    pub ended: Ended,
    /// How what is sent stands.
    pub outgoing_state: Mutex<OutgoingState>,
    /// This node's name, for what one node does at a time.
    pub node: String,
    /// Keys, resources and revocations as this node knows them.
    pub live: Live,
    /// Who registers too often.
    pub registrations: RegistrationLimiter,
    /// Who comes with too many clients that were never seen before.
    pub first_sights: RegistrationLimiter,
    /// Who sends messages to cut access whose signature does not fit.
    pub hook_failures: RegistrationLimiter,
    /// Signed status lists, by number.
    pub status_lists: Cache<i64, Arc<StatusList>>,
    /// Access tokens that have been verified, by digest; see [`super::verify::own`].
    pub verified: Cache<TokenDigest, Arc<OwnToken>>,
    /// Token answers given, by [`crate::types::client::GrantType::ALL`].
    pub issued: Counters<3>,
    /// Used refresh tokens that came again, by [`crate::oauth::refresh::Cause::ALL`].
    pub repeated: Counters<3>,
    /// How much approvals are used, between two looks of the detectors.
    pub usage: Usage,
    /// Up to when this node's detectors have looked; none before their first look.
    pub watched: Mutex<Option<Timestamp>>,
    /// What this node has counted for the overview.
    pub course: Mutex<Course>,
    /// Places in the status lists that this node has reserved and not used.
    pub status_indexes: Mutex<Vec<i64>>,
}

impl Core {
    /// The present moment; a use case asks once.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A place in the status lists that no other token has. Places are reserved in blocks and used in random order,
    /// so that neighbours in the list say nothing about each other.
    ///
    /// # Errors
    /// A fault of the database.
    pub async fn next_status_index(&self) -> Result<i64, Fault> {
        if let Some(index) = self.status_indexes.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(index);
        }
        let first = self.store.write(|tx| generations::reserve_status_indexes(tx, STATUS_BLOCK)).await?;
        // Taken from the end, so that the database adds its rows nearly in order: a commit then writes fewer pages.
        let mut block: Vec<i64> = (first..first + STATUS_BLOCK).rev().collect();
        for some in block.chunks_mut(STATUS_SHUFFLE) {
            shuffle(some, self.rng.as_ref());
        }
        let mut indexes = self.status_indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.append(&mut block);
        indexes.pop().ok_or(Fault::Bug("a reserved block is empty"))
    }

    /// An audit record with nothing but what happened, when and from where; the caller fills in the rest.
    #[must_use]
    pub fn event(&self, kind: AuditKind, caller: &Caller, now: Timestamp) -> AuditEvent {
        let mut salt = [0; SALT];
        self.rng.fill(&mut salt);
        AuditEvent {
            by: caller.by.clone(),
            salt,
            id: AuditId::new(now, self.rng.as_ref()),
            at: now,
            kind,
            user_id: None,
            client_id: None,
            grant_id: None,
            resource_id: None,
            address: caller.address.clone(),
            request_id: caller.request_id.clone(),
            detail: serde_json::Value::Object(serde_json::Map::new()),
        }
    }
}

/// Where a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Network address; absent for the command line.
    pub address: Option<String>,
    /// Browser or program.
    pub user_agent: Option<String>,
    /// As in the log and on error pages.
    pub request_id: Option<String>,
    /// An administrator, or a program, that acts on others: by name, for the audit log.
    pub by: Option<String>,
}

impl Caller {
    /// The command line of an administrator.
    #[must_use]
    pub fn command_line() -> Self {
        Self { by: Some("command line".to_owned()), ..Self::default() }
    }

    /// A job of ours.
    #[must_use]
    pub fn job() -> Self {
        Self::default()
    }
}

fn shuffle(items: &mut [i64], rng: &dyn Rng) {
    let mut bytes = vec![0u8; items.len() * 4];
    rng.fill(&mut bytes);
    for (at, chunk) in bytes.chunks_exact(4).enumerate().skip(1) {
        let random = chunk.iter().fold(0usize, |number, byte| (number << 8) | usize::from(*byte));
        items.swap(at, random % (at + 1));
    }
}
