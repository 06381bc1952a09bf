//! How a person comes to a credential of their own at an MCP server behind the gateway, and what they have been given there.

use serde::{Deserialize, Serialize};

use super::id::{ResourceId, UserId};
use super::time::Timestamp;

/// By which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthKind {
    /// Each person allows it there, in their browser (OAuth 2.1, authorization code with PKCE).
    OAuth,
    /// This issuer vouches for the person, and its word is exchanged there (RFC 8693).
    Exchange,
    /// The same by an identity assertion grant (ID-JAG), whose end is a grant of RFC 7523.
    IdJag,
}

impl AuthKind {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::OAuth, Self::Exchange, Self::IdJag];

    /// The name in commands and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OAuth => "oauth",
            Self::Exchange => "exchange",
            Self::IdJag => "id_jag",
        }
    }

    /// The inverse of [`AuthKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How the gateway proves itself at a token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProvesBy {
    /// Not at all: a public client.
    None,
    /// A secret in `Authorization: Basic`.
    ClientSecretBasic,
    /// A secret in the body.
    ClientSecretPost,
}

impl ProvesBy {
    /// The name in metadata (RFC 7591 §2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}

/// How the gateway became a client there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// An administrator has the client's id from that side.
    Given,
    /// Its id is the URL of a metadata document that is served here.
    Document,
    /// It registered itself (RFC 7591).
    Dynamic,
}

/// What is known of the authorization server in front of an MCP server, and of the gateway as its client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuthSettings {
    /// Its issuer identifier, byte for byte.
    pub issuer: String,
    /// Where people allow it; absent where nobody is asked.
    pub authorization_endpoint: Option<String>,
    /// Where tokens are had.
    pub token_endpoint: String,
    /// Where they are given back (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Whether it names itself in its answers (RFC 9207 §3).
    pub names_itself: bool,
    /// The gateway's client id there.
    pub client_id: String,
    /// How it proves itself.
    pub proves_by: ProvesBy,
    /// How it became a client.
    pub registration: Registration,
    /// The server as its own tokens name it (RFC 8707).
    pub resource: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Whether it may be at a private address: an administrator has named it, and no document of somebody else's.
    pub private_network: bool,
}

/// The way to a server's tokens, as an administrator has set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpstreamAuth {
    /// Of which server.
    pub resource_id: ResourceId,
    /// Which way.
    pub kind: AuthKind,
    /// The other side.
    pub settings: AuthSettings,
    /// The gateway's client secret there, sealed.
    pub sealed_secret: Option<Vec<u8>>,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a person has been given at a server, sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// At which server.
    pub resource_id: ResourceId,
    /// Who.
    pub user_id: UserId,
    /// The key of the tokens, sealed under the master key.
    pub sealed_key: Vec<u8>,
    /// The tokens, sealed under that key.
    pub sealed_tokens: Vec<u8>,
    /// When the access token ends, where the other side has said so.
    pub expires_at: Option<Timestamp>,
    /// What was granted there, as it was said.
    pub scope: String,
    /// When the person allowed it.
    pub connected_at: Timestamp,
    /// When the tokens were last renewed.
    pub refreshed_at: Timestamp,
    /// Counts every change of the tokens.
    pub version: i64,
    /// Since when the other side knows nothing of it any more; the person has to allow it anew.
    pub ended_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_has_a_name_of_its_own() {
        for kind in AuthKind::ALL {
            assert_eq!(AuthKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(AuthKind::parse("OAuth"), None);
    }
}
