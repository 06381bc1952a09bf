//! Verifying an access token the way a protected server must (RFC 9068 §4), with revocation as this node knows it.

use std::sync::Arc;

use super::core::Core;
use super::failure::Fault;
use super::hold;
use super::live::View;
use crate::types::access_token::{ACCESS_TOKEN_TYPE, AccessTokenClaims, StatusReference};
use crate::types::policy::STATUS_LIST_SIZE;
use crate::types::resource_uri::ResourceUri;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// An access token of ours that is good as far as the token itself can say.
#[derive(Debug)]
pub struct OwnToken {
    /// What it says.
    pub claims: Arc<AccessTokenClaims>,
    /// Its index, counted over all status lists (Token Status List §6).
    pub index: i64,
    /// The key that has signed it.
    kid: String,
}

/// Reads one of our access tokens: signature, key, kind and time. What it says is kept by its digest, since servers ask
/// about the same token again and again, and clients come with it; its key and its time are looked at each time. Whether
/// it is for the one who asks, and was not taken back, is for the caller to find out. Nothing for any other text.
#[must_use]
pub fn own(core: &Core, view: &View, token: &str, now: Timestamp) -> Option<Arc<OwnToken>> {
    let digest = TokenDigest::of(token);
    if let Some(known) = core.verified.get(&digest) {
        let good = view.keys.publishes(&known.kid, now) && Timestamp::from_seconds(known.claims.exp) > now;
        return good.then_some(known);
    }
    let (kid, claims) = view.keys.verify_by(token, ACCESS_TOKEN_TYPE, now).ok()?;
    let claims = AccessTokenClaims::read(claims)?;
    let index = status_index(core, &claims.status.status_list)?;
    let own = Arc::new(OwnToken { claims: Arc::new(claims), index, kid });
    core.verified.insert(digest, Arc::clone(&own));
    Some(own)
}

fn status_index(core: &Core, at: &StatusReference) -> Option<i64> {
    let list = at.uri.strip_prefix(&core.policy.issuer.url("/status-lists/"))?.parse::<i64>().ok()?;
    list.checked_mul(STATUS_LIST_SIZE)?.checked_add(at.idx)
}

/// Why a token is not accepted.
#[derive(Debug)]
pub enum Unverified {
    /// It is not ours, not for this resource, not valid now, or revoked.
    Invalid,
    /// This node does not know what has been revoked.
    Fault(Fault),
}

/// The claims of a token that is good for `resource` at this moment. No database is read: the view of what has been
/// revoked is in memory, and too old a view accepts nothing.
///
/// # Errors
/// See [`Unverified`].
pub fn verify(
    core: &Core,
    token: &str,
    resource: &ResourceUri,
) -> Result<Arc<AccessTokenClaims>, Unverified> {
    let now = core.now();
    let view = core.live.fresh_view(now).map_err(Unverified::Fault)?;
    let own = own(core, &view, token, now).ok_or(Unverified::Invalid)?;
    let claims = &own.claims;
    super::usage::presented(core, &view, resource, claims, now);
    let good = claims.iss == core.policy.issuer.as_str()
        && claims.aud == resource.as_str()
        && !view.revoked.contains_key(&own.index)
        && !hold::is_cut(&view, claims, now);
    if good { Ok(Arc::clone(claims)) } else { Err(Unverified::Invalid) }
}
