//! Token introspection (RFC 7662): who may ask, and what is said.

use serde_json::{Value, json};

use crate::types::access_token::AccessTokenClaims;
use crate::types::client::Client;
use crate::types::grant::{AccessToken, RefreshToken, TokenFamily};
use crate::types::resource::Resource;
use crate::types::time::Timestamp;

/// Who asks.
#[derive(Clone, Debug)]
pub enum Asker {
    /// An MCP server with its own credentials.
    Resource(Box<Resource>),
    /// A client that can keep a secret.
    Client(Box<Client>),
}

/// All that is said of a token that does not work, or is none of the asker's business (RFC 7662 §2.2).
#[must_use]
pub fn inactive() -> Value {
    json!({ "active": false })
}

/// What is said of one of our access tokens whose signature and time have been verified.
#[must_use]
pub fn access_token(asker: &Asker, claims: &AccessTokenClaims, record: Option<&AccessToken>) -> Value {
    let meant = match asker {
        Asker::Resource(resource) => claims.aud == resource.uri.as_str(),
        Asker::Client(client) => claims.client_id == client.id,
    };
    let live = record.is_some_and(|token| token.revoked_at.is_none() && token.id == claims.jti);
    if !meant || !live {
        return inactive();
    }
    let Ok(Value::Object(mut answer)) = serde_json::to_value(claims) else { return inactive() };
    // Where its state is published is for those who do not ask.
    answer.remove("status");
    answer.insert("active".to_owned(), Value::Bool(true));
    answer.insert("token_type".to_owned(), Value::String("Bearer".to_owned()));
    Value::Object(answer)
}

/// What is said of one of our refresh tokens: only its own client may know.
#[must_use]
pub fn refresh_token(
    asker: &Asker,
    token: &RefreshToken,
    family: &TokenFamily,
    issuer: &str,
    now: Timestamp,
) -> Value {
    let Asker::Client(client) = asker else { return inactive() };
    let live = family.client_id == client.id
        && family.revoked_at.is_none()
        && now < family.expires_at
        && token.used_at.is_none()
        && now < token.expires_at;
    if !live {
        return inactive();
    }
    json!({
        "active": true,
        "token_type": "refresh_token",
        "iss": issuer,
        "client_id": family.client_id.as_str(),
        "sub": family.user_id.to_string(),
        "iat": token.created_at.seconds(),
        "exp": token.expires_at.seconds().min(family.expires_at.seconds()),
    })
}
