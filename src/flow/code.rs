//! Redeeming an authorization code (RFC 6749 §4.1.3).

use super::clients;
use super::core::{Caller, Core};
use super::failure::{Failure, Fault};
use super::hold;
use super::live;
use super::mint::{Mint, mint};
use super::token::TokenResponse;
use crate::oauth::client_auth::Presented;
use crate::oauth::code::{CodeRefusal, redeem as decide};
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::storage::{StoreError, Tx, access_tokens, audit, codes, families, grants};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{Client, GrantType};
use crate::types::grant::{AuthorizationCode, Grant, GrantedResource, RefreshToken, TokenFamily};
use crate::types::resource_uri::ResourceUri;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};

/// How the race for a code ended.
enum Outcome {
    Won,
    Replayed,
    Expired,
    GrantEnded,
}

/// Redeems a code: at most once, ever, whatever runs beside it.
///
/// # Errors
/// A refusal of RFC 6749 §5.2, or a fault.
pub async fn redeem(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    params: &Params,
    now: Timestamp,
) -> Result<TokenResponse, Failure> {
    let text = params.required("code")?;
    let digest = Token::parse(TokenKind::AuthorizationCode, text).map(|code| code.digest());
    let (client, (record, approvals)) =
        clients::authenticate_with(core, caller, presented, now, move |tx, _| {
            digest.map_or_else(|| Ok((None, Vec::new())), |digest| load(tx, &digest))
        })
        .await?;
    let uris = registered_uris(core, record.as_ref());
    let redeemed = match decide(record.as_ref(), &client, params, &uris, now) {
        Ok(redeemed) => redeemed,
        Err(CodeRefusal::Plain(reason)) => return Err(reason.into()),
        Err(CodeRefusal::Replay) => {
            let record = record.ok_or(Fault::Bug("a replay without a record"))?;
            revoke_replayed(core, caller, record, now).await?;
            return Err(Reason::ReplayedCode.into());
        }
    };
    let record = record.ok_or(Fault::Bug("a redeemed code without a record"))?;
    let view = core.live.view();
    let resource = view.resource_by_id(redeemed.resource.resource_id).ok_or(Reason::GrantEnded)?;
    let family = TokenFamily {
        id: record.family_id,
        client_id: client.id.clone(),
        user_id: record.user_id,
        auth_time: record.auth_time,
        methods: record.methods.clone(),
        identity_id: record.identity_id,
        offline: record.offline,
        created_at: now,
        expires_at: now.plus(core.policy.refresh_token_max_ttl),
        revoked_at: None,
        resources: record.resources.clone(),
    };
    let approval = approvals.iter().find(|grant| grant.id == redeemed.resource.grant_id);
    if let Some(approval) = approval {
        hold::check(core, approval, Some(record.auth_time), now).await?;
    }
    let worth_noting = grants::is_worth_noting(approval.and_then(|grant| grant.last_used_at), now);
    let minted = mint(
        core,
        Mint {
            resource,
            sub: record.user_id.to_string(),
            client_id: &client.id,
            scopes: &redeemed.scopes,
            grant_id: redeemed.resource.grant_id,
            family_id: Some(family.id),
            auth_time: Some(record.auth_time),
            methods: &family.methods,
            not_after: approval.map_or(family.expires_at, |grant| grant.expires_at.min(family.expires_at)),
        },
        now,
    )
    .await?;
    let refresh =
        wants_refresh(&client, &record).then(|| Token::generate(TokenKind::Refresh, core.rng.as_ref()));
    let first = refresh.as_ref().map(|token| RefreshToken {
        digest: token.digest(),
        family_id: family.id,
        generation: 0,
        created_at: now,
        expires_at: now.plus(core.policy.refresh_token_idle_ttl),
        used_at: None,
    });
    let mut issued = core.event(AuditKind::TokenIssued, caller, now);
    issued.user_id = Some(record.user_id);
    issued.client_id = Some(client.id.clone());
    issued.grant_id = Some(redeemed.resource.grant_id);
    issued.resource_id = Some(resource.id);
    issued.detail = serde_json::json!({
        "grant_type": GrantType::AuthorizationCode.as_str(),
        "scope": redeemed.scopes,
        "jti": minted.record.id,
    });
    let replayed = replay_event(core, caller, &record, now);
    let offline = record.offline;
    let (token, address) = (minted.record.clone(), caller.address.clone());
    let scopes = redeemed.scopes.clone();
    let outcome = core
        .store
        .write(move |tx| {
            if !codes::consume(tx, &record.digest, now)? {
                let used = codes::find(tx, &record.digest)?.is_some_and(|code| code.consumed_at.is_some());
                if !used {
                    return Ok(Outcome::Expired);
                }
                families::revoke(tx, record.family_id, now)?;
                audit::append(tx, &replayed)?;
                return Ok(Outcome::Replayed);
            }
            if worth_noting {
                grants::mark_used(tx, token.grant_id, address.as_deref(), now)?;
            }
            // Narrowed since the code was issued, it has ended as far as this code goes.
            let open = grants::open_scopes(tx, token.grant_id, now)?;
            if !open.is_some_and(|open| open.includes(&scopes)) {
                return Ok(Outcome::GrantEnded);
            }
            families::insert(tx, &family)?;
            if let Some(first) = &first {
                families::insert_refresh(tx, first)?;
            }
            access_tokens::insert(tx, &token)?;
            audit::append(tx, &issued)?;
            Ok(Outcome::Won)
        })
        .await?;
    match outcome {
        Outcome::Won => Ok(TokenResponse::new(minted, &redeemed.scopes, refresh.as_ref(), offline)),
        Outcome::Replayed => {
            live::refresh(core).await?;
            Err(Reason::ReplayedCode.into())
        }
        Outcome::Expired => Err(Reason::BadCode.into()),
        Outcome::GrantEnded => Err(Reason::GrantEnded.into()),
    }
}

/// The code and the approvals it rests on.
fn load(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
) -> Result<(Option<AuthorizationCode>, Vec<Grant>), StoreError> {
    let Some(code) = codes::find(tx, digest)? else { return Ok((None, Vec::new())) };
    let mut approvals = Vec::with_capacity(code.resources.len());
    for granted in &code.resources {
        approvals.extend(grants::find(tx, granted.grant_id)?);
    }
    Ok((Some(code), approvals))
}

/// A refresh token is due when the client registered for it, or `offline_access` was granted.
fn wants_refresh(client: &Client, record: &AuthorizationCode) -> bool {
    client.may(GrantType::RefreshToken) || record.offline
}

/// The registered URI of every resource of a code that still exists.
fn registered_uris(core: &Core, record: Option<&AuthorizationCode>) -> Vec<(GrantedResource, ResourceUri)> {
    let view = core.live.view();
    record.map_or_else(Vec::new, |record| {
        record
            .resources
            .iter()
            .filter_map(|granted| {
                let resource = view.resource_by_id(granted.resource_id)?;
                Some((granted.clone(), resource.uri.clone()))
            })
            .collect()
    })
}

async fn revoke_replayed(
    core: &Core,
    caller: &Caller,
    record: AuthorizationCode,
    now: Timestamp,
) -> Result<(), Fault> {
    let event = replay_event(core, caller, &record, now);
    core.store
        .write(move |tx| {
            families::revoke(tx, record.family_id, now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await
}

fn replay_event(core: &Core, caller: &Caller, record: &AuthorizationCode, now: Timestamp) -> AuditEvent {
    let mut event = core.event(AuditKind::CodeReplayed, caller, now);
    event.user_id = Some(record.user_id);
    event.client_id = Some(record.client_id.clone());
    event.detail = serde_json::json!({ "revoked": true });
    event
}
