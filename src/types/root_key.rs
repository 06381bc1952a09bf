//! Root keys: what is sealed is sealed under one of them, and the master key seals nothing but them.

use super::time::Timestamp;

/// What a root key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootUse {
    /// Sealing. The newest seals, those before it open what they have sealed until nothing of it is left.
    Seals,
    /// Authenticating what is kept and cannot be made anew: the audit log and recovery codes. There is one, and it stays.
    Records,
}

impl RootUse {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seals => "seals",
            Self::Records => "records",
        }
    }

    /// The inverse of [`RootUse::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Seals, Self::Records].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A root key as it is stored: sealed under one master key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedRoot {
    /// Its number. Zero is the root of databases from before there were root keys: the master key of then.
    pub id: u32,
    /// What it is for.
    pub kind: RootUse,
    /// Which master key it is sealed under, by fingerprint.
    pub master: String,
    /// Which one that is in the order of master keys.
    pub turn: i64,
    /// The key, sealed.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when new things are sealed under it; absent while the nodes get to know it.
    pub seals_since: Option<Timestamp>,
}
