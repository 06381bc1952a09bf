//! What an access token says (RFC 9068 §2.2, Token Status List §6).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::ClientId;
use super::id::{GrantId, TokenId};
use super::scope::ScopeSet;

/// The header `typ` of an access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The header `typ` of a status list token (Token Status List §5.1).
pub const STATUS_LIST_TYPE: &str = "statuslist+jwt";

/// The claims of an access token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// The issuer.
    pub iss: String,
    /// The person's id; the client id for `client_credentials`.
    pub sub: String,
    /// The one resource it is for, as registered.
    pub aud: String,
    /// When it stops working, in seconds.
    pub exp: i64,
    /// When it was issued, in seconds.
    pub iat: i64,
    /// Its id.
    pub jti: TokenId,
    /// The client it was issued to.
    pub client_id: ClientId,
    /// What it allows.
    pub scope: ScopeSet,
    /// The standing approval it rests on.
    pub grant_id: GrantId,
    /// When the person signed in, in seconds; absent when nobody did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub auth_time: Option<i64>,
    /// How sure we are of the person (RFC 9470 §6.2).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acr: Option<String>,
    /// How the person has proved who they are (RFC 8176).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub amr: Vec<String>,
    /// Where its state is published.
    pub status: Status,
}

/// The `status` claim (Token Status List §6.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// A place in a status list.
    pub status_list: StatusReference,
}

/// A place in a status list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusReference {
    /// The position in the list, from 0.
    pub idx: i64,
    /// The URL of the list.
    pub uri: String,
}

impl AccessTokenClaims {
    /// Reads the claims of a token that has been verified; nothing when one is missing or of another kind.
    #[must_use]
    pub fn read(claims: Map<String, Value>) -> Option<Self> {
        let claims: Self = serde_json::from_value(Value::Object(claims)).ok()?;
        let whole = claims.status.status_list.idx >= 0 && !claims.sub.is_empty() && !claims.aud.is_empty();
        whole.then_some(claims)
    }
}
