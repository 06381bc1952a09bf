//! Signing keys as plain records.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// How tokens are signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SigningAlg {
    /// ECDSA on P-256; the default.
    ES256,
    /// RSA PKCS #1 v1.5, 2048 bit.
    RS256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EDDSA,
}

impl SigningAlg {
    /// Every algorithm we can sign with.
    pub const ALL: [Self; 3] = [Self::ES256, Self::RS256, Self::EDDSA];

    /// The registered `alg` value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES256 => "ES256",
            Self::RS256 => "RS256",
            Self::EDDSA => "EdDSA",
        }
    }

    /// The inverse of [`SigningAlg::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == text)
    }
}

/// A signing key as it is stored. It is published from creation, signs from `activates_at` until a younger key of
/// its algorithm does, and is published until `removed_at`.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its `kid`: the RFC 7638 thumbprint.
    pub kid: String,
    /// Its algorithm.
    pub alg: SigningAlg,
    /// The public JWK as JSON text, with `kid`, `alg` and `use`.
    pub public_jwk: String,
    /// The private JWK, sealed under the master key.
    pub sealed_private: Vec<u8>,
    /// When it was made and first published.
    pub created_at: Timestamp,
    /// From when it signs.
    pub activates_at: Timestamp,
    /// When it leaves the key set; absent while it signs or waits.
    pub removed_at: Option<Timestamp>,
}
