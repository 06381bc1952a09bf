//! Token revocation (RFC 7009).

use super::clients;
use super::core::{Caller, Core};
use super::failure::Failure;
use super::{live, verify};
use crate::oauth::client_auth::Presented;
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::storage::{access_tokens, audit, families};
use crate::types::audit::AuditKind;
use crate::types::token::{Token, TokenKind};

/// Revokes a token: an access token alone, a refresh token with everything that descends from the same code. A token
/// that is unknown or already dead is no error (RFC 7009 §2.2); another client's is (§2.1), and stays alive.
///
/// # Errors
/// `invalid_client`, `invalid_request`, `invalid_grant`, or a fault.
pub async fn revoke(
    core: &Core,
    caller: &Caller,
    authorization: Option<&str>,
    params: &Params,
) -> Result<(), Failure> {
    params.no_repeats()?;
    let presented = Presented::read(authorization, params)?;
    let text = params.required("token")?;
    let now = core.now();
    let client = clients::authenticate(core, caller, &presented, now).await?;
    let mut event = core.event(AuditKind::TokenRevoked, caller, now);
    event.client_id = Some(client.id.clone());
    if let Some(token) = Token::parse(TokenKind::Refresh, text) {
        let digest = token.digest();
        let family = core
            .store
            .read(move |tx| {
                let Some(token) = families::find_refresh(tx, &digest)? else { return Ok(None) };
                families::find(tx, token.family_id)
            })
            .await?;
        let Some(family) = family else { return Ok(()) };
        if family.client_id != client.id {
            return Err(Reason::ForeignToken.into());
        }
        event.user_id = Some(family.user_id);
        event.detail = serde_json::json!({ "token": "refresh_token" });
        core.store
            .write(move |tx| {
                if families::revoke(tx, family.id, now)? {
                    audit::append(tx, &event)?;
                }
                Ok(())
            })
            .await?;
    } else {
        let Some(own) = verify::own(core, &core.live.view(), text, now) else { return Ok(()) };
        let (claims, index) = (&own.claims, own.index);
        if claims.client_id != client.id {
            return Err(Reason::ForeignToken.into());
        }
        event.grant_id = Some(claims.grant_id);
        event.detail = serde_json::json!({ "token": "access_token", "jti": claims.jti });
        core.store
            .write(move |tx| {
                if access_tokens::revoke(tx, index, now)? {
                    audit::append(tx, &event)?;
                }
                Ok(())
            })
            .await?;
    }
    live::refresh(core).await?;
    Ok(())
}
