//! Token introspection (RFC 7662): who may ask, and what is said.

use serde_json::{Map, Value, json};

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
pub fn access_token(asker: &Asker, claims: &Map<String, Value>, record: Option<&AccessToken>) -> Value {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let meant = match asker {
        Asker::Resource(resource) => text("aud") == resource.uri.as_str(),
        Asker::Client(client) => text("client_id") == client.id.as_str(),
    };
    let live = record.is_some_and(|token| token.revoked_at.is_none() && token.id.to_string() == text("jti"));
    if !meant || !live {
        return inactive();
    }
    let mut answer = Map::new();
    answer.insert("active".to_owned(), Value::Bool(true));
    answer.insert("token_type".to_owned(), Value::String("Bearer".to_owned()));
    for (name, value) in claims {
        if name != "status" {
            answer.insert(name.clone(), value.clone());
        }
    }
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
