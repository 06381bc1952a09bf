//! What this node keeps in memory of the database: keys, resources, revoked tokens. Reloaded when a counter has
//! moved, whoever moved it: this node, another node, or the command line.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::core::Core;
use super::failure::Fault;
use super::gateway::{Route, routes, upstream};
use super::roots;
use crate::account::cut::{kills_before, stops};
use crate::crypto::keyring::KeyRing;
use crate::oauth::metadata;
use crate::storage::generations::Generations;
use crate::storage::grant_tokens::GrantToken;
use crate::storage::{
    StoreError, Tx, access_tokens, cuts, generations, grant_tokens, keys, resources, roots as root_keys,
};
use crate::types::admin::ADMIN_API;
use crate::types::cut::{Cut, Kind};
use crate::types::id::ResourceId;
use crate::types::policy::{CHANGE_STALE, CUT_SETTLES, LOOKS_A_SECOND, MAX_GRANT_TOKEN_TTL};
use crate::types::resource::Resource;
use crate::types::resource_uri::ResourceUri;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// One consistent view.
pub struct View {
    /// The counters it was read at.
    pub generations: Generations,
    /// The signing keys.
    pub keys: Arc<KeyRing>,
    /// The key set, rendered, and until when it holds.
    jwks: (bytes::Bytes, Option<Timestamp>),
    /// The resources, by [`ResourceUri::key`].
    pub resources: Arc<HashMap<String, Resource>>,
    /// The servers behind the gateway, by slug.
    pub routes: Arc<HashMap<String, Arc<Route>>>,
    /// The metadata documents, rendered.
    pub documents: Arc<Documents>,
    /// Places of revoked tokens that would otherwise still work, with their ends.
    pub revoked: Arc<HashMap<i64, Timestamp>>,
    /// Tokens for clients without OAuth, by digest.
    pub grant_tokens: Arc<HashMap<TokenDigest, GrantToken>>,
    /// The cuts that are rules now; [`super::hold`] reads them.
    pub cuts: Arc<Vec<Cut>>,
    /// For each of them, the places of the tokens it holds.
    pub held: Arc<Vec<Held>>,
}

/// The tokens that one cut holds.
pub struct Held {
    /// Until when; an isolation ends by the clock.
    pub until: Option<Timestamp>,
    /// Their places in the status lists, with their ends.
    pub places: Vec<(i64, Timestamp)>,
}

/// The discovery documents as bytes.
pub struct Documents {
    /// RFC 8414.
    pub authorization_server: bytes::Bytes,
    /// OpenID Connect Discovery.
    pub openid_configuration: bytes::Bytes,
}

impl View {
    /// The key set (RFC 7517 §5): rendered when the keys change, and anew once one of them has had its time.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> bytes::Bytes {
        match &self.jwks {
            (rendered, until) if until.is_none_or(|until| now < until) => rendered.clone(),
            _ => self.keys.jwks(now).into(),
        }
    }

    /// The resource that `uri` means, whatever the case of its host (RFC 8707 §2).
    #[must_use]
    pub fn resource(&self, uri: &str) -> Option<&Resource> {
        // Most say it as it is kept, and need not be read.
        self.resources.get(uri).or_else(|| self.resources.get(&ResourceUri::key_of(uri).ok()?))
    }

    /// The resource with this id.
    #[must_use]
    pub fn resource_by_id(&self, id: ResourceId) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.id == id)
    }

    /// The resource that requests without `resource` mean.
    #[must_use]
    pub fn default_resource(&self) -> Option<&Resource> {
        self.resources.values().find(|resource| resource.is_default)
    }
}

/// The current view and when it was last confirmed.
pub struct Live {
    view: ArcSwap<View>,
    confirmed_at: AtomicI64,
    changes: tokio::sync::watch::Sender<()>,
    looks: Looks,
}

/// How often strangers make this node look for changes.
struct Looks(DefaultDirectRateLimiter);

impl Default for Looks {
    fn default() -> Self {
        Self(RateLimiter::direct(Quota::per_second(
            NonZeroU32::new(LOOKS_A_SECOND).unwrap_or(NonZeroU32::MIN),
        )))
    }
}

impl Live {
    /// Holds a first view.
    #[must_use]
    pub fn new(view: View, now: Timestamp) -> Self {
        let (changes, _) = tokio::sync::watch::channel(());
        let confirmed_at = AtomicI64::new(now.micros());
        Self { view: ArcSwap::from_pointee(view), confirmed_at, changes, looks: Looks::default() }
    }

    /// Tells whenever the view has changed.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// The current view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// The current view, unless the database has not confirmed it for too long: then nothing may be said to be
    /// unrevoked.
    ///
    /// # Errors
    /// [`Fault::Stale`].
    pub fn fresh_view(&self, now: Timestamp) -> Result<Arc<View>, Fault> {
        let confirmed = Timestamp::from_micros(self.confirmed_at.load(Ordering::Acquire));
        if now.since(confirmed) > CHANGE_STALE { Err(Fault::Stale) } else { Ok(self.view()) }
    }
}

/// Reads everything once, at start.
///
/// # Errors
/// A fault of the database, or keys that the master key does not open.
pub async fn load(
    store: &crate::storage::Store,
    master: &crate::crypto::roots::Roots,
    policy: &crate::types::policy::Policy,
    now: Timestamp,
) -> Result<View, Fault> {
    let oldest = oldest_cut(policy, now);
    let (generations, known, keys, list, behind, revoked, tokens, (cuts, held)) = store
        .read(move |tx| {
            Ok((
                generations::all(tx)?,
                root_keys::all(tx)?,
                keys::list(tx, now)?,
                resources::list(tx)?,
                upstream(tx)?,
                access_tokens::revoked(tx, now)?,
                grant_tokens::live(tx, now)?,
                rules(tx, oldest, now)?,
            ))
        })
        .await?;
    // Another process may have changed them since they were prepared.
    roots::follow(master, &known)?;
    let keys = Arc::new(KeyRing::open(&keys, master)?);
    Ok(View {
        generations,
        jwks: rendered(&keys, now),
        keys,
        documents: Arc::new(documents(policy, &list)),
        routes: Arc::new(routes(&list, behind, &HashMap::new())),
        resources: Arc::new(by_key(list)),
        revoked: Arc::new(revoked.into_iter().collect()),
        grant_tokens: Arc::new(by_digest(tokens)),
        cuts: Arc::new(cuts),
        held: Arc::new(held),
    })
}

/// Since when a cut may still be about something that lives.
fn oldest_cut(policy: &crate::types::policy::Policy, now: Timestamp) -> Timestamp {
    now.minus(policy.refresh_token_max_ttl.max(MAX_GRANT_TOKEN_TTL))
}

/// The cuts in force, and the tokens that they hold.
fn rules(tx: &mut Tx<'_>, oldest: Timestamp, now: Timestamp) -> Result<(Vec<Cut>, Vec<Held>), StoreError> {
    let mut cuts = cuts::in_force(tx, oldest, now)?;
    cuts.retain(|cut| cut.applied_at.is_none() || kills_before(cut, now).is_some());
    let mut held = Vec::new();
    for cut in &cuts {
        let before = if stops(cut, now) { None } else { kills_before(cut, now) };
        if before.is_some() || stops(cut, now) {
            let until = cut.until.filter(|_| matches!(cut.kind, Kind::Isolate(_)));
            held.push(Held { until, places: cuts::places(tx, cut, before, now)? });
        }
    }
    Ok((cuts, held))
}

/// Whether somebody may have been issuing at the moment of the newest cut: what they inserted is listed too.
fn is_settling(cuts: &[Cut], now: Timestamp) -> bool {
    cuts.iter().any(|cut| now.since(cut.at) <= CUT_SETTLES)
}

/// The view, brought up to date first if it has not been confirmed for too long.
///
/// # Errors
/// A fault of the database.
pub async fn current(core: &Core) -> Result<Arc<View>, Fault> {
    if let Ok(view) = core.live.fresh_view(core.now()) {
        return Ok(view);
    }
    refresh(core).await?;
    Ok(core.live.view())
}

/// The view after a look at what has changed in this very moment, for whoever comes with something that this node does not
/// know, perhaps because it was added just now; `None` when there were too many of them lately.
///
/// # Errors
/// A fault of the database.
pub async fn looked(core: &Core) -> Result<Option<Arc<View>>, Fault> {
    if core.live.looks.0.check().is_err() {
        return Ok(None);
    }
    refresh(core).await?;
    Ok(Some(core.live.view()))
}

/// The view, after such a look if it does not know one of these resources.
///
/// # Errors
/// A fault of the database.
pub async fn knowing(core: &Core, uris: &[String]) -> Result<Arc<View>, Fault> {
    let view = core.live.view();
    if uris.iter().all(|uri| view.resource(uri).is_some()) {
        return Ok(view);
    }
    Ok(looked(core).await?.unwrap_or(view))
}

/// Looks at the counters and reloads what has moved.
///
/// # Errors
/// A fault of the database; the old view stays until it is too old.
pub async fn refresh(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let old = core.live.view();
    let seen = old.generations;
    let settling = is_settling(&old.cuts, now);
    let oldest = oldest_cut(&core.policy, now);
    let news = core
        .store
        .read(move |tx| {
            let current = generations::all(tx)?;
            let known = if current.roots == seen.roots { None } else { Some(root_keys::all(tx)?) };
            let keys = if current.keys == seen.keys { None } else { Some(keys::list(tx, now)?) };
            let list = if current.resources == seen.resources {
                None
            } else {
                Some((resources::list(tx)?, upstream(tx)?))
            };
            let revoked = if current.revocations == seen.revocations {
                None
            } else {
                Some((access_tokens::revoked(tx, now)?, grant_tokens::live(tx, now)?))
            };
            let unmoved = current.revocations == seen.revocations && !settling;
            let rules = if unmoved { None } else { Some(rules(tx, oldest, now)?) };
            Ok((current, known, keys, list, revoked, rules))
        })
        .await?;
    let (current, known, keys, list, revoked, rules) = news;
    // First, because what follows may be sealed under a new one.
    if let Some(known) = known {
        roots::follow(&core.master, &known)?;
    }
    if current != seen || settling {
        let (cuts, held) = rules.map_or_else(
            || (Arc::clone(&old.cuts), Arc::clone(&old.held)),
            |(cuts, held)| (Arc::new(cuts), Arc::new(held)),
        );
        let documents = list.as_ref().map(|(list, ..)| Arc::new(documents(&core.policy, list)));
        let (resources, routes) = match list {
            None => (Arc::clone(&old.resources), Arc::clone(&old.routes)),
            Some((list, behind)) => {
                let routes = Arc::new(routes(&list, behind, &old.routes));
                (Arc::new(by_key(list)), routes)
            }
        };
        let keys = match keys {
            Some(records) => Arc::new(KeyRing::open(&records, &core.master)?),
            None => Arc::clone(&old.keys),
        };
        let (places, tokens): (Option<HashMap<_, _>>, _) = match revoked {
            None => (None, None),
            Some((places, tokens)) => (Some(places.into_iter().collect()), Some(by_digest(tokens))),
        };
        let next = Arc::new(View {
            generations: current,
            jwks: rendered(&keys, now),
            keys,
            documents: documents.unwrap_or_else(|| Arc::clone(&old.documents)),
            resources,
            routes,
            revoked: places.map_or_else(|| Arc::clone(&old.revoked), Arc::new),
            grant_tokens: tokens.map_or_else(|| Arc::clone(&old.grant_tokens), Arc::new),
            cuts,
            held,
        });
        // A slower reader must not put back an older view.
        core.live.view.rcu(|present| {
            let newer = !is_older(&next.generations, &present.generations);
            Arc::clone(if newer { &next } else { present })
        });
        core.live.changes.send_replace(());
    }
    // Not the greatest: when the clock is set back, an old confirmation must not count as a future one.
    core.live.confirmed_at.store(now.micros(), Ordering::Release);
    Ok(())
}

/// Counters only grow and are read in one transaction, so their sum orders two views.
const fn is_older(a: &Generations, b: &Generations) -> bool {
    a.keys + a.resources + a.revocations + a.roots < b.keys + b.resources + b.revocations + b.roots
}

fn rendered(keys: &KeyRing, now: Timestamp) -> (bytes::Bytes, Option<Timestamp>) {
    (keys.jwks(now).into(), keys.next_removal(now))
}

fn by_digest(tokens: Vec<GrantToken>) -> HashMap<TokenDigest, GrantToken> {
    tokens.into_iter().map(|token| (token.digest, token)).collect()
}

fn by_key(list: Vec<Resource>) -> HashMap<String, Resource> {
    list.into_iter().map(|resource| (resource.uri.key(), resource)).collect()
}

/// The admin API has a document of its own and is in none of these: clients that ask for every scope they see must not ask
/// a person for the whole console.
fn documents(policy: &crate::types::policy::Policy, list: &[Resource]) -> Documents {
    let own = ResourceUri::key_of(&policy.issuer.url(ADMIN_API)).unwrap_or_default();
    let list: Vec<Resource> = list.iter().filter(|resource| resource.uri.key() != own).cloned().collect();
    let list = list.as_slice();
    Documents {
        authorization_server: metadata::authorization_server(policy, list).to_string().into(),
        openid_configuration: metadata::openid_configuration(policy, list).to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cause_a_bounded_number_of_looks() {
        let looks = Looks::default();
        let allowed = (0..10_000).filter(|_| looks.0.check().is_ok()).count();
        assert!((20..200).contains(&allowed), "{allowed}");
    }
}
