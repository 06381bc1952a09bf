//! Introspection (RFC 7662): the truth of the database, at the moment of asking.

use serde_json::Value;

use super::clients;
use super::core::{Caller, Core};
use super::failure::Failure;
use super::live::{self, View};
use super::verify;
use crate::oauth::client_auth::Presented;
use crate::oauth::introspect::{self, Asker};
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::storage::{access_tokens, families};
use crate::types::client::ClientId;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenKind};

/// Answers an introspection request.
///
/// # Errors
/// `invalid_client`, `invalid_request`, or a fault.
pub async fn introspect(
    core: &Core,
    caller: &Caller,
    authorization: Option<&str>,
    params: &Params,
) -> Result<Value, Failure> {
    params.no_repeats()?;
    let presented = Presented::read(authorization, params)?;
    let token = params.required("token")?;
    let now = core.now();
    let asker = asker(core, caller, &presented, now).await?;
    if let Some(refresh) = Token::parse(TokenKind::Refresh, token) {
        let digest = refresh.digest();
        let found = core
            .store
            .lookup(move |tx| {
                let Some(token) = families::find_refresh(tx, &digest)? else { return Ok(None) };
                Ok(families::find(tx, token.family_id)?.map(|family| (token, family)))
            })
            .await?;
        return Ok(found.map_or_else(introspect::inactive, |(token, family)| {
            introspect::refresh_token(&asker, &token, &family, core.policy.issuer.as_str(), now)
        }));
    }
    let Some(own) = verify::own(core, &core.live.view(), token, now) else {
        return Ok(introspect::inactive());
    };
    super::usage::asked(core, &asker, &own.claims, now);
    if super::hold::is_cut(live::current(core).await?.as_ref(), &own.claims, now) {
        return Ok(introspect::inactive());
    }
    let index = own.index;
    let record = core.store.lookup(move |tx| access_tokens::find(tx, index)).await?;
    Ok(introspect::access_token(&asker, &own.claims, record.as_ref()))
}

/// An MCP server with its own credentials, or a client that can keep a secret. Anyone else is refused.
async fn asker(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    now: Timestamp,
) -> Result<Asker, Failure> {
    let pairs = match presented {
        Presented::Basic(pairs) => pairs.clone(),
        Presented::Post(id, secret) => vec![(id.clone(), secret.clone())],
        Presented::Nothing(_) | Presented::Assertion { .. } => Vec::new(),
    };
    if let Some(server) = server(&core.live.view(), &pairs) {
        return Ok(server?);
    }
    let client = match clients::authenticate(core, caller, presented, now).await {
        Err(Failure::Refused(Reason::UnknownClient)) if !pairs.is_empty() => {
            // A server that was added just now asks at once, and this node may not have heard of it.
            let found = live::looked(core).await?.and_then(|view| server(&view, &pairs));
            return Ok(found.ok_or(Reason::UnknownClient)??);
        }
        other => other?,
    };
    if client.is_public() {
        return Err(Reason::WrongAuthMethod("a secret or a key; public clients may not introspect").into());
    }
    Ok(Asker::Client(Box::new(client)))
}

/// The MCP server that these credentials name, if it is known, and has proven itself.
fn server(view: &View, pairs: &[(ClientId, String)]) -> Option<Result<Asker, Reason>> {
    let (resource, secret) = pairs.iter().find_map(|(id, secret)| {
        let found = view.resources.values().find(|resource| resource.client_id == id.as_str())?;
        Some((found, secret))
    })?;
    Some(if resource.secret_digest.matches(secret) {
        Ok(Asker::Resource(Box::new(resource.clone())))
    } else {
        Err(Reason::WrongSecret)
    })
}
