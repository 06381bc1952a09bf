//! Composing the parts.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use quick_cache::sync::Cache;

use crate::crypto::passkey::Passkeys;
use crate::crypto::password::PasswordHasher;
use crate::crypto::roots::Roots;
use crate::crypto::seal::MasterKey;
use crate::flow::core::Core;
use crate::flow::ended::Ended;
use crate::flow::failure::Fault;
use crate::flow::live::{self, Live};
use crate::flow::stdio::{Place, Stdio};
use crate::flow::traffic::Traffic;
use crate::flow::{keys, register::RegistrationLimiter, roots};
use crate::outbound::authorization_server::AuthorizationServers;
use crate::outbound::document::Documents;
use crate::outbound::fetch::Fetcher;
use crate::outbound::flight::Flights;
use crate::outbound::key_set::KeySets;
use crate::outbound::mail::Mailer;
use crate::outbound::provider::Providers;
use crate::outbound::syslog::Syslog;
use crate::outbound::upstream_mcp::Upstreams;
use crate::storage::{DatabaseUrl, Store};
use crate::types::audit_chain::AuditKey;
use crate::types::id::TokenId;
use crate::types::key::SigningAlg;
use crate::types::policy::{
    MACHINES, OUTGOING_AT_ONCE, OUTGOING_PER_HOST_A_MINUTE, OUTGOING_TIMEOUT, Policy, STANDINGS,
    STATUS_LISTS, UPSTREAM_TOKENS, VERIFIED_TOKENS,
};
use crate::types::random::Rng;
use crate::types::tally::Counters;
use crate::types::time::{Clock, Timestamp};
use crate::types::usage::Usage;

/// What the parts are composed from.
pub struct Parts {
    /// Which database.
    pub database: DatabaseUrl,
    /// What an operator has set.
    pub policy: Policy,
    /// The key under which secrets are sealed.
    pub master: MasterKey,
    /// Where servers over stdio run.
    pub stdio: Place,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
}

/// What authenticates the audit log's chain.
#[must_use]
pub fn audit_key(roots: &Roots) -> AuditKey {
    AuditKey::new(roots.derive("audit chain"))
}

/// Opens the database, brings it up to date, and takes in its root keys; a new one gets its first. Says which migrations ran.
///
/// # Errors
/// A database that cannot be opened, or another master key than its own.
pub fn open(
    database: &DatabaseUrl,
    master: MasterKey,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(Store, Roots, Vec<String>), Fault> {
    let held = Roots::of(master);
    let refused = Cell::new(None);
    let (store, ran) = Store::open_with(database, |tx| {
        refused.set(roots::prepare(tx, &held, rng, now)?.err());
        Ok(audit_key(&held))
    })?;
    match refused.into_inner() {
        Some(wrong) => Err(wrong.into()),
        None => Ok((store, held, ran)),
    }
}

/// Opens the database, brings it up to date, makes the first keys, and composes the rest.
///
/// # Errors
/// A database that cannot be opened, or keys that the master key does not open.
pub async fn compose(parts: Parts) -> Result<Core, Fault> {
    let Parts { database, policy, master, stdio, clock, rng } = parts;
    let now = clock.now();
    let (store, master, ran) = open(&database, master, rng.as_ref(), now)?;
    for name in ran {
        tracing::info!(migration = name, "schema brought up to date");
    }
    keys::ensure_in(&store, &master, rng.as_ref(), SigningAlg::ES256, now).await?;
    let view = live::load(&store, &master, &policy, now).await?;
    let fetcher = Fetcher::new(policy.allow_private_networks);
    let mailer =
        Mailer::new(&policy.mail).map_err(|_| Fault::Bug("the mail server is not what was checked"))?;
    let outgoing = Fetcher::new(policy.outgoing_private)
        .with_timeout(OUTGOING_TIMEOUT)
        .with_limits(OUTGOING_AT_ONCE, OUTGOING_PER_HOST_A_MINUTE);
    Ok(Core {
        mailer,
        passkeys: Passkeys::new(&policy.issuer),
        store,
        key_sets: KeySets::new(fetcher.clone()),
        documents: Documents::new(fetcher),
        providers: Providers::new(policy.allow_private_networks),
        authorization_servers: AuthorizationServers::new(policy.allow_private_networks),
        upstream_tokens: Cache::new(UPSTREAM_TOKENS),
        vouched: Flights::default(),
        standings: Cache::new(STANDINGS),
        outgoing,
        syslog: Syslog::new(policy.outgoing_private, OUTGOING_TIMEOUT),
        upstreams: Upstreams::default(),
        stdio: Stdio::new(stdio, TokenId::new(now, rng.as_ref()).to_string()),
        traffic: Traffic::default(),
        ended: Ended::default(),
        outgoing_state: Mutex::default(),
        node: TokenId::new(now, rng.as_ref()).to_string(),
        policy,
        clock,
        rng,
        master,
        hasher: PasswordHasher::new(),
        live: Live::new(view, now),
        registrations: RegistrationLimiter::default(),
        first_sights: RegistrationLimiter::default(),
        hook_failures: RegistrationLimiter::default(),
        machines: Cache::new(MACHINES),
        status_lists: Cache::new(STATUS_LISTS),
        verified: Cache::new(VERIFIED_TOKENS),
        issued: Counters::new(),
        repeated: Counters::new(),
        usage: Usage::default(),
        watched: Mutex::new(None),
        course: Mutex::default(),
        status_indexes: Mutex::new(Vec::new()),
    })
}
