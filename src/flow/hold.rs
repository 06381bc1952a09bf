//! Cuts at the places where something is used or issued: every node holds the rules in memory and follows them as it
//! follows revocations.

use super::core::Core;
use super::failure::{Failure, Fault};
use super::live::{self, View};
use crate::account::cut::{Hold, Use, ends_session, hits, holds, kills, stops};
use crate::oauth::refusal::Reason;
use crate::types::access_token::AccessTokenClaims;
use crate::types::cut::{Cut, Kind};
use crate::types::grant::Grant;
use crate::types::id::UserId;
use crate::types::session::Session;
use crate::types::time::Timestamp;

/// Whether a cut kills this token.
#[must_use]
pub fn is_cut(view: &View, claims: &AccessTokenClaims, now: Timestamp) -> bool {
    if view.cuts.is_empty() {
        return false;
    }
    let what = use_of(view, claims);
    view.cuts.iter().any(|cut| kills(cut, &what, claims.jti, now))
}

/// Whether a cut that may be undone, or ends by the clock, holds this token now: no new one would help.
#[must_use]
pub fn is_stopped(view: &View, claims: &AccessTokenClaims, now: Timestamp) -> bool {
    let what = use_of(view, claims);
    let passing = |cut: &&Cut| matches!(cut.kind, Kind::Isolate(_) | Kind::Suspend(_));
    view.cuts.iter().filter(passing).any(|cut| hits(cut, &what) && stops(cut, now))
}

fn use_of<'a>(view: &View, claims: &'a AccessTokenClaims) -> Use<'a> {
    Use {
        user: UserId::parse(&claims.sub),
        client: Some(&claims.client_id),
        resource: view.resource(&claims.aud).map(|resource| resource.id),
        grant: Some(claims.grant_id),
    }
}

/// Refuses a new token under an approval that a cut holds, with the challenge that tells the client what to do.
///
/// # Errors
/// The refusal, or a fault when this node does not know what has been cut.
pub async fn check(
    core: &Core,
    grant: &Grant,
    signed_in: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Failure> {
    let view = live::current(core).await?;
    match hold_on(&view, grant, signed_in, now) {
        None => Ok(()),
        Some(Hold::Stopped) => Err(Reason::AccessStopped.into()),
        Some(Hold::ConsentDue) => Err(Reason::ConsentDue.into()),
        Some(Hold::SignInDue) => Err(Reason::SignInDue.into()),
    }
}

/// What stands in the way under this approval.
#[must_use]
pub fn hold_on(view: &View, grant: &Grant, signed_in: Option<Timestamp>, now: Timestamp) -> Option<Hold> {
    let what = Use {
        user: grant.user_id,
        client: Some(&grant.client_id),
        resource: Some(grant.resource_id),
        grant: Some(grant.id),
    };
    let approved = grant.user_id.map(|_| grant.updated_at);
    holds(view.cuts.iter(), &what, approved, signed_in, now)
}

/// Whether a cut ends this browser session.
///
/// # Errors
/// A fault when this node does not know what has been cut.
pub async fn session_is_cut(core: &Core, session: &Session, now: Timestamp) -> Result<bool, Fault> {
    let view = live::current(core).await?;
    let address = session.address.as_deref();
    Ok(ends_session(view.cuts.iter(), session.user_id, address, session.auth_time, now))
}
