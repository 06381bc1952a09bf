//! The token endpoint (RFC 6749 §3.2): which grant, which client, and the answer's shape.

use serde::Serialize;

use super::client_credentials;
use super::code;
use super::core::{Caller, Core};
use super::failure::Failure;
use super::mint::Minted;
use super::refresh;
use crate::oauth::client_auth::Presented;
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::types::client::GrantType;
use crate::types::scope::{OFFLINE_ACCESS, ScopeSet};
use crate::types::token::Token;

/// A successful answer (RFC 6749 §5.1).
#[derive(Debug, Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: i64,
    /// The refresh token, when one is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What was granted; always said.
    pub scope: String,
}

impl TokenResponse {
    pub(super) fn new(minted: Minted, scopes: &ScopeSet, refresh: Option<&Token>, offline: bool) -> Self {
        let mut said = scopes.clone();
        if offline {
            said.insert(OFFLINE_ACCESS);
        }
        Self {
            access_token: minted.jwt,
            token_type: "Bearer",
            expires_in: minted.expires_in,
            refresh_token: refresh.map(|token| token.expose().to_owned()),
            scope: said.to_string(),
        }
    }
}

/// Answers a token request.
///
/// # Errors
/// A refusal of RFC 6749 §5.2, or a fault.
pub async fn token(
    core: &Core,
    caller: &Caller,
    authorization: Option<&str>,
    params: &Params,
) -> Result<TokenResponse, Failure> {
    params.no_repeats()?;
    let grant = params.required("grant_type")?;
    let grant = GrantType::parse(grant).ok_or(Reason::UnsupportedGrantType)?;
    let presented = Presented::read(authorization, params)?;
    let now = core.now();
    let answer = match grant {
        GrantType::AuthorizationCode => code::redeem(core, caller, &presented, params, now).await,
        GrantType::RefreshToken => refresh::refresh(core, caller, &presented, params, now).await,
        GrantType::ClientCredentials => {
            client_credentials::issue(core, caller, &presented, params, now).await
        }
    };
    if answer.is_ok() {
        core.issued.count(grant as usize);
    }
    answer
}
