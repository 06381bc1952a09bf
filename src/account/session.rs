//! Whether a browser session still counts.

use std::time::Duration;

use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::user::User;

/// Whether the session and its person are good at `now`.
#[must_use]
pub fn is_live(session: &Session, user: &User, idle_ttl: Duration, now: Timestamp) -> bool {
    user.disabled_at.is_none() && now < session.expires_at && now.since(session.last_seen_at) < idle_ttl
}

/// Whether its last use should be noted; not at every click.
#[must_use]
pub fn wants_touch(session: &Session, idle_ttl: Duration, now: Timestamp) -> bool {
    now.since(session.last_seen_at) > (idle_ttl / 20).min(Duration::from_secs(60))
}
