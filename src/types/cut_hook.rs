//! Hooks by which access is cut from outside, for the night when the console is out of reach.

use super::id::CutHookId;
use super::time::Timestamp;

/// What a hook may be allowed to cut, by [`super::cut::Target::kind`].
pub const TARGETS: [&str; 7] = ["person", "client", "domain", "resource", "grant", "network", "everything"];

/// Somebody who may cut access with a signed request.
#[derive(Clone, Debug)]
pub struct CutHook {
    /// Its id, a part of its address.
    pub id: CutHookId,
    /// Its name for people and the audit log.
    pub name: String,
    /// Which kinds of targets it may cut.
    pub may: Vec<String>,
    /// What its requests are signed with.
    pub sealed_secret: Vec<u8>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last cut something.
    pub last_used_at: Option<Timestamp>,
}
