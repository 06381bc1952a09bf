//! Verifying an access token the way a protected server must (RFC 9068 §4), with revocation as this node knows it.

use super::core::Core;
use super::failure::Fault;
use super::hold;
use super::introspect::status_index;
use crate::crypto::access_token::AccessTokenClaims;
use crate::types::resource_uri::ResourceUri;

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
pub fn verify(core: &Core, token: &str, resource: &ResourceUri) -> Result<AccessTokenClaims, Unverified> {
    let now = core.now();
    let view = core.live.fresh_view(now).map_err(Unverified::Fault)?;
    let claims = core.claims(&view, token, now).map_err(|_| Unverified::Invalid)?;
    let claims = AccessTokenClaims::read(claims).map_err(|_| Unverified::Invalid)?;
    super::usage::presented(core, &view, resource, &claims, now);
    let index = status_index(core, &claims).ok_or(Unverified::Invalid)?;
    let good = claims.iss == core.policy.issuer.as_str()
        && claims.aud == resource.as_str()
        && !view.revoked.contains_key(&index)
        && !hold::is_cut(&view, &claims, now);
    if good { Ok(claims) } else { Err(Unverified::Invalid) }
}
