//! Clients: the apps and agents that ask for access (RFC 6749 §2, RFC 7591 §2).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::random::Rng;
use super::redirect_uri::RedirectUri;
use super::time::Timestamp;
use super::token::TokenDigest;

/// A client identifier: a generated name, or the URL of a metadata document.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(String);

impl ClientId {
    /// A fresh id from `[A-Za-z0-9_]`, so that the raw and the form-encoded Basic credentials coincide.
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut bytes = [0u8; 16];
        rng.fill(&mut bytes);
        Self(format!("pst_client_{}", uuid::Builder::from_random_bytes(bytes).into_uuid().simple()))
    }

    /// Takes any presented text of sensible size: printable ASCII, 1 to 1024 characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = (1..=1_024).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b));
        fine.then(|| Self(text.to_owned()))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a metadata document. Generated ids never do.
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.0.starts_with("https://") || self.0.starts_with("http://")
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a client's record comes from, and so what its name is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Added by an administrator.
    PreRegistered,
    /// Registered itself (RFC 7591); its name proves nothing.
    Dynamic,
    /// Described by a document at its own URL; its domain is proven.
    MetadataDocument,
}

impl ClientKind {
    /// The stored and printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreRegistered => "pre_registered",
            Self::Dynamic => "dynamic",
            Self::MetadataDocument => "metadata_document",
        }
    }

    /// The inverse of [`ClientKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::PreRegistered, Self::Dynamic, Self::MetadataDocument].into_iter().find(|k| k.as_str() == text)
    }
}

/// How a client proves itself at the token endpoint (RFC 7591 §2, RFC 7523 §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client.
    None,
    /// HTTP Basic with a secret.
    ClientSecretBasic,
    /// A secret in the form.
    ClientSecretPost,
    /// A JWT signed with the client's own key.
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method that works here; the metadata documents list exactly these.
    pub const ALL: [Self; 4] =
        [Self::None, Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt];

    /// The registered name (IANA OAuth Token Endpoint Authentication Methods).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The inverse of [`AuthMethod::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == text)
    }

    /// Whether it rests on a shared secret.
    #[must_use]
    pub const fn uses_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// What a client may do at the token endpoint (RFC 6749 §1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl GrantType {
    /// Every grant type that works here; the metadata documents list exactly these.
    pub const ALL: [Self; 3] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
        }
    }

    /// The inverse of [`GrantType::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.as_str() == text)
    }
}

/// What a client says of itself, after everything we do not grant has been left out (RFC 7591 §2).
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ClientMetadata {
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where codes may go; each was accepted by [`RedirectUri::parse`].
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// What it may do at the token endpoint.
    #[serde(default)]
    pub grant_types: Vec<GrantType>,
    /// Always `code` where codes are used.
    #[serde(default)]
    pub response_types: Vec<String>,
    /// How it proves itself.
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// The one algorithm its assertions must have, when it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// Scopes it says it will ask for; informative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Logo; never loaded by the person's browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// People to write to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Its public keys, by value (RFC 7517 §5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// Its public keys, by reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Software it is an instance of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Version of that software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// `native` or `web`; echoed, not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
}

/// A client as it is stored.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// Where the record comes from.
    pub kind: ClientKind,
    /// What it says of itself.
    pub metadata: ClientMetadata,
    /// Digest of its secret, for the methods that use one.
    pub secret_digest: Option<TokenDigest>,
    /// Digest of its registration access token (RFC 7592 §3).
    pub registration_digest: Option<TokenDigest>,
    /// Resources that an administrator opened for its `client_credentials` (registered URIs); empty means those
    /// that are open to anyone.
    pub resources: Vec<String>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while an administrator has switched it off.
    pub disabled_at: Option<Timestamp>,
    /// When a person first approved it; a self-registered client without one is swept.
    pub first_granted_at: Option<Timestamp>,
    /// Until when the copy of its metadata document is fresh.
    pub document_fresh_until: Option<Timestamp>,
    /// The version of its metadata document, from 1.
    pub document_version: i64,
}

impl Client {
    /// How it must prove itself (RFC 7591 §2: the default is `client_secret_basic`).
    #[must_use]
    pub fn auth_method(&self) -> AuthMethod {
        self.metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic)
    }

    /// Whether it holds no credential.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.auth_method() == AuthMethod::None
    }

    /// Whether it may use this grant type.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.metadata.grant_types.contains(&grant)
    }

    /// Its name for people; the host of its document or its id when it gave none.
    #[must_use]
    pub fn display_name(&self) -> String {
        match &self.metadata.client_name {
            Some(name) if !name.trim().is_empty() => name.trim().to_owned(),
            _ => self.domain().unwrap_or_else(|| self.id.to_string()),
        }
    }

    /// The domain that its metadata document proves.
    #[must_use]
    pub fn domain(&self) -> Option<String> {
        if self.kind != ClientKind::MetadataDocument {
            return None;
        }
        let url = url::Url::parse(self.id.as_str()).ok()?;
        let host = url.host_str()?;
        Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }

    /// The registered redirect URI that `presented` matches.
    #[must_use]
    pub fn redirect_uri(&self, presented: &str, schemes: &[String]) -> Option<RedirectUri> {
        let registered = self
            .metadata
            .redirect_uris
            .iter()
            .filter_map(|uri| RedirectUri::parse(uri, schemes).ok())
            .any(|uri| uri.matches(presented));
        if registered { RedirectUri::parse(presented, schemes).ok() } else { None }
    }

    /// What a standing approval rests on, as it is kept with the approval.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        super::fingerprint::Fingerprint::of(self).to_string()
    }
}
