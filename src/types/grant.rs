//! Standing approvals, and the codes and token families that rest on them.

use serde::{Deserialize, Serialize};

use super::client::ClientId;
use super::factor::Methods;
use super::id::{FamilyId, GrantId, IdentityId, ResourceId, TokenId, UserId};
use super::pkce::CodeChallenge;
use super::scope::ScopeSet;
use super::time::Timestamp;
use super::token::TokenDigest;

/// A standing approval: this person (or nobody, for a machine) lets this client do this at this resource.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id; the `grant_id` claim of every token under it.
    pub id: GrantId,
    /// The person; absent for `client_credentials`.
    pub user_id: Option<UserId>,
    /// The client.
    pub client_id: ClientId,
    /// The resource.
    pub resource_id: ResourceId,
    /// What was allowed.
    pub scopes: ScopeSet,
    /// [`super::client::Client::fingerprint`] at the moment of approval.
    pub client_fingerprint: String,
    /// When it was first given.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Until when it lasts.
    pub expires_at: Timestamp,
    /// When a token was last issued under it.
    pub last_used_at: Option<Timestamp>,
    /// From which network address that was.
    pub last_used_address: Option<String>,
    /// When it ended.
    pub revoked_at: Option<Timestamp>,
    /// When it last lost permissions without being approved anew since.
    pub narrowed_at: Option<Timestamp>,
}

/// How an approval stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantState {
    /// Tokens are issued and accepted for all that was approved.
    Active,
    /// The same, for what has been left of it.
    Narrowed,
    /// A cut that may be undone, or ends by the clock, holds it.
    Stopped,
    /// The person has to approve again: a cut asks for it, or the app is not what was approved.
    ConsentDue,
    /// The person has to sign in again.
    SignInDue,
    /// Its time is over.
    Expired,
    /// It was taken back or cut.
    Ended,
}

impl GrantState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Active,
        Self::Narrowed,
        Self::Stopped,
        Self::ConsentDue,
        Self::SignInDue,
        Self::Expired,
        Self::Ended,
    ];

    /// The name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Narrowed => "narrowed",
            Self::Stopped => "stopped",
            Self::ConsentDue => "consent_due",
            Self::SignInDue => "sign_in_due",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// The inverse of [`GrantState::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it is over for good.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Ended)
    }
}

impl Grant {
    /// Whether tokens may still be issued and accepted under it.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// What one code or family may reach at one resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GrantedResource {
    /// The resource.
    pub resource_id: ResourceId,
    /// The standing approval it rests on.
    pub grant_id: GrantId,
    /// What was allowed there.
    pub scopes: ScopeSet,
}

/// An authorization code (RFC 6749 §4.1.2) as it is stored.
#[derive(Clone, Debug)]
pub struct AuthorizationCode {
    /// Digest of the code.
    pub digest: TokenDigest,
    /// The family its tokens will form.
    pub family_id: FamilyId,
    /// Who approved.
    pub user_id: UserId,
    /// For which client.
    pub client_id: ClientId,
    /// The redirect URI of the authorization request, byte for byte.
    pub redirect_uri: String,
    /// The PKCE challenge.
    pub code_challenge: CodeChallenge,
    /// What was allowed where.
    pub resources: Vec<GrantedResource>,
    /// Whether `offline_access` was granted.
    pub offline: bool,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// And how.
    pub methods: Methods,
    /// Who they are at the identity provider where they did, if it was one.
    pub identity_id: Option<IdentityId>,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was redeemed.
    pub consumed_at: Option<Timestamp>,
}

/// The tokens that descend from one code (RFC 9700 §4.14.2).
#[derive(Clone, Debug)]
pub struct TokenFamily {
    /// Its id.
    pub id: FamilyId,
    /// The client.
    pub client_id: ClientId,
    /// The person.
    pub user_id: UserId,
    /// When the person signed in.
    pub auth_time: Timestamp,
    /// And how.
    pub methods: Methods,
    /// Who they are at the identity provider where they did, if it was one.
    pub identity_id: Option<IdentityId>,
    /// Whether `offline_access` was granted.
    pub offline: bool,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
    /// What it may reach, each with its standing approval.
    pub resources: Vec<GrantedResource>,
}

/// One refresh token (RFC 6749 §6) as it is stored: a link of its family's chain.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// Digest of the token.
    pub digest: TokenDigest,
    /// Its family.
    pub family_id: FamilyId,
    /// Its place in the chain, from 0. A family has one token a generation: the schema forbids a fork.
    pub generation: i64,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working if unused.
    pub expires_at: Timestamp,
    /// When it was exchanged for its successor.
    pub used_at: Option<Timestamp>,
}

/// An access token as it is stored: enough to know and to publish whether it has been revoked.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Its `jti`.
    pub id: TokenId,
    /// Its place in the status lists; unique.
    pub status_index: i64,
    /// The standing approval it rests on.
    pub grant_id: GrantId,
    /// The family it belongs to; absent for `client_credentials`.
    pub family_id: Option<FamilyId>,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
