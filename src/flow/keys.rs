//! Signing keys: made at first start, published before they sign, kept until their last token has expired.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use crate::crypto::keyring;
use crate::crypto::roots::Roots;
use crate::storage::generations::{self, Topic};
use crate::storage::{Store, StoreError, Tx, audit, keys};
use crate::types::audit::AuditKind;
use crate::types::key::{SigningAlg, SigningKey};
use crate::types::policy::{JWKS_MAX_AGE, KEY_ROTATION, MAX_ACCESS_TOKEN_TTL, STATUS_LIST_TTL};
use crate::types::random::Rng;
use crate::types::time::Timestamp;

/// What a key is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyState {
    /// Published, waiting to sign.
    Next,
    /// Signing.
    Current,
    /// No longer signing, published until its last token has expired.
    Previous,
}

/// What each of these keys is doing at `now`.
#[must_use]
pub fn states(keys: &[SigningKey], now: Timestamp) -> Vec<(SigningKey, KeyState)> {
    keys.iter()
        .map(|key| {
            // One that already has its end signs on until its successor begins.
            let state = if signing(keys, key.alg, now).is_some_and(|current| current.kid == key.kid) {
                KeyState::Current
            } else if key.activates_at > now {
                KeyState::Next
            } else {
                KeyState::Previous
            };
            (key.clone(), state)
        })
        .collect()
}

/// The key that signs at `now`: the youngest that is active.
fn signing(keys: &[SigningKey], alg: SigningAlg, now: Timestamp) -> Option<&SigningKey> {
    keys.iter().filter(|key| key.alg == alg && key.activates_at <= now).max_by_key(|key| key.activates_at)
}

/// Makes the first keys of an algorithm, if it has none: one that signs and one that waits. Used before there is a
/// [`Core`], too.
///
/// # Errors
/// A fault.
pub async fn ensure_in(
    store: &Store,
    master: &Roots,
    rng: &dyn Rng,
    alg: SigningAlg,
    now: Timestamp,
) -> Result<bool, Fault> {
    let known = store.read(move |tx| keys::list(tx, now)).await?;
    if known.iter().any(|key| key.alg == alg) {
        return Ok(false);
    }
    let first = keyring::generate(alg, now, now, master, rng)?;
    let next = keyring::generate(alg, now, now.plus(KEY_ROTATION), master, rng)?;
    Ok(store
        .write(move |tx| {
            // Another node may have been first.
            generations::hold(tx, Topic::Keys)?;
            if keys::list(tx, now)?.iter().any(|key| key.alg == alg) {
                return Ok(false);
            }
            keys::insert(tx, &first)?;
            keys::insert(tx, &next)?;
            Ok(true)
        })
        .await?)
}

/// Makes the first keys of an algorithm, if it has none.
///
/// # Errors
/// A fault.
pub async fn ensure(core: &Core, alg: SigningAlg) -> Result<(), Fault> {
    let now = core.now();
    if ensure_in(&core.store, &core.master, core.rng.as_ref(), alg, now).await? {
        live::refresh(core).await?;
    }
    Ok(())
}

/// Which signing keys are meant; every member that is set narrows.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFilter {
    /// Of this algorithm.
    pub alg: Option<SigningAlg>,
    /// That do this now.
    pub state: Option<KeyState>,
}

/// The signing keys that are meant.
///
/// # Errors
/// A fault.
pub async fn narrowed(core: &Core, filter: KeyFilter) -> Result<Vec<(SigningKey, KeyState)>, Fault> {
    let mut all = list(core).await?;
    all.retain(|(key, state)| {
        filter.alg.is_none_or(|alg| alg == key.alg) && filter.state.is_none_or(|wanted| wanted == *state)
    });
    Ok(all)
}

/// The published keys.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<(SigningKey, KeyState)>, Fault> {
    let now = core.now();
    let keys = core.store.read(move |tx| keys::list(tx, now)).await?;
    Ok(states(&keys, now))
}

/// The keys that a rotation by hand lets take over a little later, when they have been published for as long as others may
/// keep the key set.
#[must_use]
pub fn takeovers(keys: &[(SigningKey, KeyState)], now: Timestamp) -> Vec<&SigningKey> {
    let soon = now.plus(JWKS_MAX_AGE);
    let waits = |(key, state): &&(SigningKey, KeyState)| *state == KeyState::Next && key.activates_at <= soon;
    keys.iter().filter(waits).map(|(key, _)| key).collect()
}

/// Rotates by hand: the waiting key of every algorithm takes over and a new one is published to wait. A key that
/// has not been published for as long as others may keep the key set takes over when it has.
///
/// # Errors
/// A fault.
pub async fn rotate(core: &Core, caller: &Caller) -> Result<Vec<(SigningKey, KeyState)>, Fault> {
    let now = core.now();
    let known = core.store.read(move |tx| keys::list(tx, now)).await?;
    let mut algs: Vec<SigningAlg> = known.iter().map(|key| key.alg).collect();
    algs.sort();
    algs.dedup();
    let mut fresh = Vec::new();
    for alg in algs {
        let takes_over = takeover(&known, alg, now);
        fresh.push(keyring::generate(
            alg,
            now,
            takes_over.plus(KEY_ROTATION),
            &core.master,
            core.rng.as_ref(),
        )?);
    }
    let mut event = core.event(AuditKind::KeyRotated, caller, now);
    event.detail = serde_json::json!({ "by": "hand" });
    core.store
        .write(move |tx| {
            generations::hold(tx, Topic::Keys)?;
            let known = keys::list(tx, now)?;
            for next in &fresh {
                hand_over(tx, &known, next, takeover(&known, next.alg, now))?;
            }
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    list(core).await
}

/// Rotates by timer: where the waiting key has begun to sign, the old one gets its end and a new one is published.
///
/// # Errors
/// A fault.
pub async fn rotate_due(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    let known = core.store.read(move |tx| keys::list(tx, now)).await?;
    for alg in SigningAlg::ALL {
        let has_keys = known.iter().any(|key| key.alg == alg);
        let waits =
            known.iter().any(|key| key.alg == alg && key.activates_at > now && key.removed_at.is_none());
        if !has_keys || waits {
            continue;
        }
        let next = keyring::generate(alg, now, now.plus(KEY_ROTATION), &core.master, core.rng.as_ref())?;
        let mut event = core.event(AuditKind::KeyRotated, &Caller::job(), now);
        event.detail = serde_json::json!({ "by": "timer", "alg": alg.as_str() });
        core.store
            .write(move |tx| {
                generations::hold(tx, Topic::Keys)?;
                let known = keys::list(tx, now)?;
                let waits = known
                    .iter()
                    .any(|key| key.alg == alg && key.activates_at > now && key.removed_at.is_none());
                if waits {
                    return Ok(());
                }
                hand_over(tx, &known, &next, now)?;
                audit::append(tx, &event)
            })
            .await?;
        live::refresh(core).await?;
    }
    Ok(())
}

/// When the waiting key may take over: now, unless it has not been published for long enough.
fn takeover(known: &[SigningKey], alg: SigningAlg, now: Timestamp) -> Timestamp {
    known
        .iter()
        .filter(|key| key.alg == alg && key.activates_at > now && key.removed_at.is_none())
        .map(|key| key.created_at.plus(JWKS_MAX_AGE).max(now).min(key.activates_at))
        .min()
        .unwrap_or(now)
}

/// Lets the waiting key sign from `at`, ends those before it when their last token has expired, and publishes `next`.
fn hand_over(
    tx: &mut Tx<'_>,
    known: &[SigningKey],
    next: &SigningKey,
    at: Timestamp,
) -> Result<(), StoreError> {
    let last_token = at.plus(MAX_ACCESS_TOKEN_TTL.max(STATUS_LIST_TTL)).plus(JWKS_MAX_AGE);
    let same: Vec<_> = known.iter().filter(|key| key.alg == next.alg && key.removed_at.is_none()).collect();
    // The same one as in `takeover`: also when it is about to begin anyway.
    let waiting = same.iter().filter(|key| key.activates_at >= at).min_by_key(|key| key.activates_at);
    let successor =
        waiting.or_else(|| same.iter().max_by_key(|key| key.activates_at)).map(|key| key.kid.clone());
    let mut waits = false;
    for key in &same {
        if Some(&key.kid) == successor.as_ref() {
            keys::activate(tx, &key.kid, at)?;
        } else if key.activates_at <= at {
            keys::retire(tx, &key.kid, last_token)?;
        } else {
            waits = true;
        }
    }
    // Rotating again before the successor has begun adds nothing.
    if waits { Ok(()) } else { keys::insert(tx, next) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(kid: &str, activates_at: i64, removed_at: Option<i64>) -> SigningKey {
        SigningKey {
            kid: kid.to_owned(),
            alg: SigningAlg::ES256,
            public_jwk: String::new(),
            sealed_private: Vec::new(),
            created_at: Timestamp::from_seconds(0),
            activates_at: Timestamp::from_seconds(activates_at),
            removed_at: removed_at.map(Timestamp::from_seconds),
        }
    }

    #[test]
    fn one_key_signs_one_waits() {
        let keys = [key("old", 0, Some(900)), key("now", 100, None), key("next", 500, None)];
        let at = |seconds| {
            states(&keys, Timestamp::from_seconds(seconds)).iter().map(|(_, s)| *s).collect::<Vec<_>>()
        };
        assert_eq!(at(200), [KeyState::Previous, KeyState::Current, KeyState::Next]);
        let ending = [key("old", 0, Some(9_000)), key("now", 100, None)];
        let states_of: Vec<_> =
            states(&ending, Timestamp::from_seconds(50)).iter().map(|(_, s)| *s).collect();
        assert_eq!(states_of, [KeyState::Current, KeyState::Next]);
        assert_eq!(at(600), [KeyState::Previous, KeyState::Previous, KeyState::Current]);
    }

    #[test]
    fn a_key_is_published_before_it_signs() {
        let keys = [key("now", 0, None), key("next", 10_000_000, None)];
        let soon = Timestamp::from_seconds(10);
        assert_eq!(takeover(&keys, SigningAlg::ES256, soon), Timestamp::from_seconds(0).plus(JWKS_MAX_AGE));
        let later = soon.plus(JWKS_MAX_AGE).plus(Duration::from_secs(1));
        assert_eq!(takeover(&keys, SigningAlg::ES256, later), later);
    }
}
