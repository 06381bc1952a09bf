//! What a cut means for one token, one approval, one sign-in. A cut that is in force is a rule: nothing of what it hits
//! is changed, so that undoing it, or its end by the clock, gives back exactly what it took.

use std::net::IpAddr;

use crate::types::client::ClientId;
use crate::types::cut::{Cut, Kind, Target};
use crate::types::id::{GrantId, ResourceId, TokenId, UserId};
use crate::types::policy::{CUT_AT_ONCE, MAX_ACCESS_TOKEN_TTL};
use crate::types::time::Timestamp;

/// What somebody wants to use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use<'a> {
    /// On behalf of whom.
    pub user: Option<UserId>,
    /// By which client.
    pub client: Option<&'a ClientId>,
    /// Where.
    pub resource: Option<ResourceId>,
    /// Under which approval.
    pub grant: Option<GrantId>,
}

/// What stands in the way of issuing something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hold {
    /// The person has to approve again.
    ConsentDue,
    /// The person has to sign in again.
    SignInDue,
    /// Nothing goes.
    Stopped,
}

/// Whether `cut` is about `what`.
#[must_use]
pub fn hits(cut: &Cut, what: &Use<'_>) -> bool {
    match &cut.target {
        Target::Person(id) => what.user == Some(*id),
        Target::Client(id) => what.client == Some(id),
        Target::Domain(domain) => what.client.is_some_and(|client| lives_at(client, domain)),
        Target::Resource(id) => what.resource == Some(*id),
        Target::Grant(id) => what.grant == Some(*id),
        Target::Network(_) => what.grant.is_some_and(|id| cut.grants.contains(&id)),
        Target::Everything => true,
    }
}

/// Whether a client's metadata document lives at this domain; without a port every port of it is meant.
#[must_use]
pub fn lives_at(client: &ClientId, domain: &str) -> bool {
    let Some(host) = client.is_url().then(|| host_of(client)).flatten() else { return false };
    let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.eq_ignore_ascii_case(domain) || bare.eq_ignore_ascii_case(domain)
}

fn host_of(client: &ClientId) -> Option<&str> {
    client.as_str().split_once("://")?.1.split('/').next()
}

/// Whether everything that `cut` hits stands still at `now`. A suspension does so until it is undone or has been
/// turned into a revocation; an isolation ends by the clock.
#[must_use]
pub fn stops(cut: &Cut, now: Timestamp) -> bool {
    if cut.undone_at.is_some() || cut.applied_at.is_some() {
        return false;
    }
    match cut.kind {
        Kind::Revoke | Kind::Suspend(_) => true,
        Kind::Isolate(_) => cut.until.is_some_and(|until| now < until),
        Kind::Reconsent | Kind::Reauthenticate => false,
    }
}

/// Whether `cut` kills an access token. What it stopped is dead as long as it does; what was issued before the person
/// had to answer again, or before a revocation was through, is dead for good.
#[must_use]
pub fn kills(cut: &Cut, what: &Use<'_>, token: TokenId, now: Timestamp) -> bool {
    if !hits(cut, what) {
        return false;
    }
    stops(cut, now) || kills_before(cut, now).is_some_and(|at| token.is_not_after(at))
}

/// The moment before which everything that was issued is dead, for the kinds of cut that have one.
#[must_use]
pub fn kills_before(cut: &Cut, now: Timestamp) -> Option<Timestamp> {
    let recent = |at: Timestamp| now.since(at) <= MAX_ACCESS_TOKEN_TTL;
    if cut.undone_at.is_some() {
        return None;
    }
    match cut.kind {
        Kind::Reconsent | Kind::Reauthenticate => Some(cut.at).filter(|at| recent(*at)),
        // A small one has marked each token, and needs no rule.
        Kind::Revoke | Kind::Suspend(_) if cut.impact.grants <= CUT_AT_ONCE => None,
        Kind::Revoke | Kind::Suspend(_) => cut.applied_at.filter(|at| recent(*at)),
        Kind::Isolate(_) => None,
    }
}

/// What stands in the way of a new token under an approval that was last given at `approved` by a person who signed in at
/// `signed_in`. Nobody can be asked about a machine's own access, so nothing is ever due from it.
#[must_use]
pub fn holds<'c>(
    cuts: impl IntoIterator<Item = &'c Cut>,
    what: &Use<'_>,
    approved: Option<Timestamp>,
    signed_in: Option<Timestamp>,
    now: Timestamp,
) -> Option<Hold> {
    let hold = |cut: &Cut| {
        let due = |answered: Option<Timestamp>| {
            cut.undone_at.is_none() && answered.is_some_and(|answered| answered <= cut.at)
        };
        match cut.kind {
            _ if stops(cut, now) => Some(Hold::Stopped),
            Kind::Reconsent if due(approved) => Some(Hold::ConsentDue),
            Kind::Reauthenticate if due(signed_in) => Some(Hold::SignInDue),
            _ => None,
        }
    };
    cuts.into_iter().filter(|cut| hits(cut, what)).filter_map(hold).max()
}

/// Whether a browser session still counts: its person is not stopped, nor the network it began in, and they have signed
/// in since that was asked of them.
#[must_use]
pub fn ends_session<'c>(
    cuts: impl IntoIterator<Item = &'c Cut>,
    user: UserId,
    address: Option<&str>,
    signed_in: Timestamp,
    now: Timestamp,
) -> bool {
    let address: Option<IpAddr> = address.and_then(|text| text.parse().ok());
    cuts.into_iter().any(|cut| {
        let meant = match &cut.target {
            Target::Person(id) => *id == user,
            Target::Network(network) => address.is_some_and(|address| network.contains(address)),
            Target::Everything => cut.by_user_id != Some(user),
            Target::Client(_) | Target::Domain(_) | Target::Resource(_) | Target::Grant(_) => false,
        };
        let due = cut.kind == Kind::Reauthenticate && cut.undone_at.is_none() && signed_in <= cut.at;
        meant && (stops(cut, now) || due)
    })
}
