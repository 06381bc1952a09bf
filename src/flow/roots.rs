//! The root keys of this database: found at start, made where there are none, and followed while they change.

use crate::crypto::CryptoError;
use crate::crypto::keyring::KeyRing;
use crate::crypto::roots::Roots;
use crate::storage::generations::{self, Topic};
use crate::storage::{StoreError, Tx, keys, roots as rows};
use crate::types::random::Rng;
use crate::types::root_key::WrappedRoot;
use crate::types::time::Timestamp;

/// Takes in the root keys of the database. One without any gets new ones, and one from before there were root keys goes on
/// with its master key as the first: nothing in it has to change for that.
///
/// # Errors
/// A fault of the database; inside, that the master key is not the one.
pub fn prepare(
    tx: &mut Tx<'_>,
    roots: &Roots,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<Result<(), CryptoError>, StoreError> {
    // Of nodes that start at once, one makes them.
    generations::hold(tx, Topic::Roots)?;
    let known = rows::all(tx)?;
    if !known.is_empty() {
        return Ok(roots.take_in(&known));
    }
    let signing = keys::list(tx, now)?;
    let made = if signing.is_empty() {
        roots.fresh(rng)
    } else if let Err(wrong) = KeyRing::open(&signing, roots) {
        return Ok(Err(wrong));
    } else {
        roots.inherited(rng)
    };
    let made = made.map(|(id, kind, sealed)| WrappedRoot {
        id,
        kind,
        master: roots.fingerprint().to_owned(),
        turn: 1,
        sealed,
        created_at: now,
        seals_since: Some(now),
    });
    made.iter().try_for_each(|row| rows::insert(tx, row))?;
    Ok(roots.take_in(&made))
}

/// Takes in what another process has changed. A node whose master key was retired goes on with the root keys it has; it
/// cannot start again.
///
/// # Errors
/// A root key that does not open.
pub(super) fn follow(roots: &Roots, rows: &[WrappedRoot]) -> Result<(), CryptoError> {
    match roots.take_in(rows) {
        Err(CryptoError::UnknownMasterKey) => {
            tracing::error!(
                "the master key of this node has been retired: start it again with the one that took its place"
            );
            Ok(())
        }
        other => other,
    }
}
