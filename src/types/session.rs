//! Browser sessions.

use super::factor::Methods;
use super::id::{IdentityId, SessionId, UserId};
use super::time::Timestamp;
use super::token::TokenDigest;

/// A signed-in browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Digest of the cookie.
    pub digest: TokenDigest,
    /// Who is signed in.
    pub user_id: UserId,
    /// When they proved it.
    pub auth_time: Timestamp,
    /// And how.
    pub methods: Methods,
    /// Who they are at the identity provider where they did, if it was one.
    pub identity_id: Option<IdentityId>,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last seen.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// From where.
    pub address: Option<String>,
    /// With which browser.
    pub user_agent: Option<String>,
}
