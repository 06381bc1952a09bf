//! Status list tokens (Token Status List §5): how a server that only verifies JWTs learns of a revocation.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::core::Core;
use super::failure::{Failure, Fault};
use super::live::{Held, View};
use crate::storage::generations;
use crate::types::access_token::STATUS_LIST_TYPE;
use crate::types::key::SigningAlg;
use crate::types::policy::{CHANGE_POLL, STATUS_LIST_SIZE, STATUS_LIST_TTL};
use crate::types::time::Timestamp;

/// A signed status list and a tag that changes when what it says does.
pub struct StatusList {
    /// The compact JWT.
    pub jwt: String,
    /// For `ETag`.
    pub tag: String,
}

/// How many lists there are: those in which a place has been given away, and at least one.
///
/// # Errors
/// A fault.
pub async fn count(core: &Core) -> Result<i64, Fault> {
    let given = core.store.read(generations::status_indexes).await?;
    Ok((given + STATUS_LIST_SIZE - 1).div_euclid(STATUS_LIST_SIZE).max(1))
}

/// The list with this number, signed once for each change of what it says and each minute. One bit a token: 1 means
/// revoked (§7.1, `INVALID`).
///
/// # Errors
/// A fault; [`Fault::Stale`] when this node does not know what has been revoked.
pub fn status_list(core: &Core, number: i64) -> Result<Arc<StatusList>, Failure> {
    let now = core.now();
    let view = core.live.fresh_view(now)?;
    // What a cut holds may grow while it settles, and an isolation ends by the clock.
    let held: usize =
        view.held.iter().filter(|held| is_in_force(held, now)).map(|held| held.places.len() + 1).sum();
    let tag = format!("\"{}-{held}-{}\"", view.generations.revocations, now.seconds().div_euclid(60));
    if let Some(list) = core.status_lists.get(&number).filter(|list| list.tag == tag) {
        return Ok(list);
    }
    let list = Arc::new(StatusList { jwt: sign(core, &view, number, now)?, tag });
    core.status_lists.insert(number, Arc::clone(&list));
    Ok(list)
}

fn sign(core: &Core, view: &View, number: i64, now: Timestamp) -> Result<String, Fault> {
    let first = number * STATUS_LIST_SIZE;
    let mut bits = vec![0u8; usize::try_from(STATUS_LIST_SIZE / 8).unwrap_or(0)];
    let held = view.held.iter().filter(|held| is_in_force(held, now)).flat_map(|held| &held.places);
    let held = held.map(|(index, ends_at)| (index, ends_at));
    for (index, ends_at) in view.revoked.iter().chain(held) {
        let place = index - first;
        if (0..STATUS_LIST_SIZE).contains(&place) && now < *ends_at {
            // The first token is the least significant bit of the first byte (§4.1).
            if let Some(byte) = usize::try_from(place / 8).ok().and_then(|at| bits.get_mut(at)) {
                *byte |= 1 << (place % 8);
            }
        }
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(&bits).and_then(|()| encoder.finish());
    let packed = packed.map_err(|_| Fault::Bug("a status list does not compress"))?;
    let iat = now.seconds();
    let claims = serde_json::json!({
        "iss": core.policy.issuer.as_str(),
        "sub": core.policy.issuer.url(&format!("/status-lists/{number}")),
        "iat": iat,
        "exp": iat + i64::try_from(STATUS_LIST_TTL.as_secs()).unwrap_or(0),
        "ttl": CHANGE_POLL.as_secs().max(1),
        "status_list": { "bits": 1, "lst": URL_SAFE_NO_PAD.encode(packed) },
    });
    Ok(view.keys.sign(SigningAlg::ES256, STATUS_LIST_TYPE, &claims, now)?)
}

fn is_in_force(held: &Held, now: Timestamp) -> bool {
    held.until.is_none_or(|until| now < until)
}
