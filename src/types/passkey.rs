//! Passkeys.

use super::id::{PasskeyId, UserId};
use super::time::Timestamp;

/// A passkey as stored.
#[derive(Clone, Debug)]
pub struct Passkey {
    /// Its id.
    pub id: PasskeyId,
    /// Its name on the wire.
    pub credential_id: Vec<u8>,
    /// Whose it is.
    pub user_id: UserId,
    /// What its person calls it.
    pub name: String,
    /// Public key, counter and the rest, as JSON.
    pub credential: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
}
