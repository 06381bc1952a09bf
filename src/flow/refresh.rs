//! Refreshing (RFC 6749 §6): the same successor for a repeat, no fork ever, and reuse ends the grant.

use super::clients;
use super::core::{Caller, Core};
use super::failure::{Failure, Fault};
use super::hold;
use super::live;
use super::mint::{Mint, mint};
use super::token::TokenResponse;
use super::upstream;
use super::usage;
use crate::oauth::client_auth::Presented;
use crate::oauth::code::choose;
use crate::oauth::params::Params;
use crate::oauth::refresh::{Cause, Rotation, rotate};
use crate::oauth::refusal::Reason;
use crate::oauth::scopes::narrow;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, Tx, access_tokens, audit, families, grants};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{Client, GrantType};
use crate::types::grant::{AccessToken, Grant, GrantedResource, RefreshToken, TokenFamily};
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};

/// What is known before anything is decided.
struct Loaded {
    token: RefreshToken,
    successor: Option<RefreshToken>,
    family: TokenFamily,
    /// The family's resources whose approval still stands.
    open: Vec<Open>,
}

/// A resource that a family may still reach.
struct Open {
    /// Narrowed to what the approval allows now.
    granted: GrantedResource,
    /// When the approval ends.
    ends: Timestamp,
    /// The approval itself.
    grant: Grant,
}

/// Everything the write needs, made before it.
struct Step {
    judged: Rotation,
    digest: TokenDigest,
    client: Client,
    next: RefreshToken,
    access: AccessToken,
    issued: AuditEvent,
    repeated: AuditEvent,
    reused: AuditEvent,
    retry_window: std::time::Duration,
    address: Option<String>,
    worth_noting: bool,
    unusual: Vec<AuditEvent>,
    scopes: ScopeSet,
}

enum Outcome {
    /// And the successor that was given before, if this is a repeat.
    Answered(Rotation, Option<TokenDigest>),
    Refused(Reason),
}

/// Exchanges a refresh token.
///
/// # Errors
/// A refusal of RFC 6749 §5.2, or a fault.
pub async fn refresh(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    params: &Params,
    now: Timestamp,
) -> Result<TokenResponse, Failure> {
    let text = params.required("refresh_token")?;
    let token = Token::parse(TokenKind::Refresh, text);
    let digest = token.as_ref().map(Token::digest);
    let (client, loaded) = clients::authenticate_with(core, caller, presented, now, move |tx, _| {
        digest.map_or(Ok(None), |digest| load(tx, &digest, now))
    })
    .await?;
    let (Some(token), Some(loaded)) = (token, loaded) else { return Err(Reason::BadRefreshToken.into()) };
    // `offline_access` was granted, or the client registered for it when the family began; either holds for its life.
    let window = core.policy.refresh_retry_window;
    let verdict = rotate(&loaded.token, loaded.successor.as_ref(), &loaded.family, &client, window, now)?;
    if verdict == Rotation::Reuse {
        revoke_reused(core, caller, loaded.family, now).await?;
        return Err(Reason::ReusedRefreshToken.into());
    }
    if let Some(identity) = loaded.family.identity_id {
        upstream::check(core, caller, identity, now).await?;
    }
    let view = core.live.view();
    let uris: Vec<_> = loaded
        .open
        .iter()
        .filter_map(|open| {
            let resource = view.resource_by_id(open.granted.resource_id)?;
            Some((open.granted.clone(), resource.uri.clone()))
        })
        .collect();
    let granted = choose(params, &uris)?;
    let scopes = narrow(params.value("scope")?, &granted.scopes)?;
    let resource = view.resource_by_id(granted.resource_id).ok_or(Fault::Bug("a chosen resource is gone"))?;
    let open = loaded.open.iter().find(|open| open.granted.grant_id == granted.grant_id);
    let ends = open.map(|open| open.ends);
    if let Some(open) = open {
        hold::check(core, &open.grant, Some(loaded.family.auth_time), now).await?;
    }
    let unusual = open.map_or_else(Vec::new, |open| usage::unusual(core, caller, &open.grant, now));
    let noted = open.and_then(|open| open.grant.last_used_at);
    let worth_noting = !unusual.is_empty() || grants::is_worth_noting(noted, now);
    let family = loaded.family;
    let minted = mint(
        core,
        Mint {
            resource,
            sub: family.user_id.to_string(),
            client_id: &client.id,
            scopes: &scopes,
            grant_id: granted.grant_id,
            family_id: Some(family.id),
            auth_time: Some(family.auth_time),
            methods: &family.methods,
            not_after: ends.map_or(family.expires_at, |at| at.min(family.expires_at)),
        },
        now,
    )
    .await?;
    let successors = successors_of(core, &token, &family);
    let successor = successors.first().ok_or(Fault::Bug("a code is missing"))?;
    let event = |kind, cause: Option<Cause>| {
        let mut event = core.event(kind, caller, now);
        event.user_id = Some(family.user_id);
        event.client_id = Some(client.id.clone());
        event.grant_id = Some(granted.grant_id);
        event.resource_id = Some(granted.resource_id);
        event.detail = match cause {
            Some(cause) => serde_json::json!({ "cause": cause.as_str() }),
            None => serde_json::json!({
                "grant_type": GrantType::RefreshToken.as_str(),
                "scope": scopes,
                "jti": minted.record.id,
            }),
        };
        event
    };
    let step = Step {
        judged: verdict,
        scopes: scopes.clone(),
        digest: token.digest(),
        client: client.clone(),
        next: RefreshToken {
            digest: successor.digest(),
            family_id: family.id,
            generation: loaded.token.generation + 1,
            created_at: now,
            expires_at: now.plus(core.policy.refresh_token_idle_ttl).min(family.expires_at),
            used_at: None,
        },
        access: minted.record.clone(),
        issued: event(AuditKind::TokenIssued, None),
        repeated: event(AuditKind::RefreshRepeated, Some(Cause::Concurrent)),
        reused: event(AuditKind::RefreshReused, Some(Cause::Reuse)),
        retry_window: window,
        address: caller.address.clone(),
        worth_noting,
        unusual,
    };
    let offline = family.offline;
    match core.store.write(move |tx| commit(tx, &step, &family, now)).await? {
        Outcome::Answered(Rotation::Reuse, _) => {
            core.repeated.count(Cause::Reuse as usize);
            live::refresh(core).await?;
            Err(Reason::ReusedRefreshToken.into())
        }
        Outcome::Answered(rotation, given) => {
            // What was given before may have been computed with an earlier root key.
            let is_given = |one: &&Token| given.is_none_or(|digest| one.digest() == digest);
            let successor =
                successors.iter().find(is_given).ok_or(Fault::Bug("a successor cannot be computed again"))?;
            if let Rotation::Repeat(cause) = rotation {
                core.repeated.count(cause as usize);
            }
            Ok(TokenResponse::new(minted, &scopes, Some(successor), offline))
        }
        Outcome::Refused(reason) => Err(reason.into()),
    }
}

/// The successor is computed from the token itself: whoever presents it again within the window gets the same one,
/// and nobody who holds only the database can compute it. The first is the one to give now, the others are those that may
/// have been given while an earlier root key was the newest.
fn successors_of(core: &Core, token: &Token, family: &TokenFamily) -> Vec<Token> {
    let family = family.id.to_string();
    let codes = core.master.macs("refresh successor", &[token.expose().as_bytes(), family.as_bytes()]);
    codes.iter().map(|bytes| Token::from_bytes(TokenKind::Refresh, bytes)).collect()
}

fn load(tx: &mut Tx<'_>, digest: &TokenDigest, now: Timestamp) -> Result<Option<Loaded>, StoreError> {
    let Some(token) = families::find_refresh(tx, digest)? else { return Ok(None) };
    let Some(family) = families::find(tx, token.family_id)? else { return Ok(None) };
    let successor = given_before(tx, &token)?;
    let mut open = Vec::new();
    for granted in &family.resources {
        if let Some(grant) = grants::find(tx, granted.grant_id)?.filter(|grant| grant.is_live(now)) {
            let scopes = granted.scopes.intersection(&grant.scopes);
            open.push(Open {
                granted: GrantedResource { scopes, ..granted.clone() },
                ends: grant.expires_at,
                grant,
            });
        }
    }
    Ok(Some(Loaded { token, successor, family, open }))
}

/// What a token was exchanged for, if it was.
fn given_before(tx: &mut Tx<'_>, token: &RefreshToken) -> Result<Option<RefreshToken>, StoreError> {
    if token.used_at.is_some() { families::find_successor(tx, token) } else { Ok(None) }
}

/// Decides again inside the transaction, where nothing can change any more, and does it. Grant before family, family
/// before token: the order in which everyone locks them. The token is used up last, so that a refusal costs the client
/// nothing but the refusal. Of a token that was unused when it was read, that it still is shows in its being used up.
fn commit(tx: &mut Tx<'_>, step: &Step, family: &TokenFamily, now: Timestamp) -> Result<Outcome, StoreError> {
    let (mut verdict, mut given) = match step.judged {
        Rotation::Advance => (Ok(Rotation::Advance), None),
        Rotation::Repeat(_) | Rotation::Reuse => look(tx, step, now)?,
    };
    if matches!(verdict, Ok(Rotation::Advance | Rotation::Repeat(_))) {
        if step.worth_noting {
            grants::mark_used(tx, step.access.grant_id, step.address.as_deref(), now)?;
        }
        match grants::open_scopes(tx, step.access.grant_id, now)? {
            None => return Ok(Outcome::Refused(Reason::GrantEnded)),
            Some(open) if !open.includes(&step.scopes) => {
                // The person has just narrowed it: what was signed says too much, and the next try says what is left.
                return Err(StoreError::Retry("access_grant was narrowed".to_owned()));
            }
            Some(_) => {}
        }
        if !families::is_open(tx, family.id, now)? {
            return Ok(Outcome::Refused(Reason::BadRefreshToken));
        }
    }
    if verdict == Ok(Rotation::Advance) && !families::consume_refresh(tx, &step.digest, now)? {
        (verdict, given) = look(tx, step, now)?;
    }
    let rotation = match verdict {
        Ok(rotation) => rotation,
        Err(reason) => return Ok(Outcome::Refused(reason)),
    };
    match rotation {
        Rotation::Reuse => {
            end(tx, family, &step.reused, now)?;
            return Ok(Outcome::Answered(rotation, None));
        }
        Rotation::Repeat(cause) => {
            let mut repeated = step.repeated.clone();
            repeated.detail = serde_json::json!({ "cause": cause.as_str() });
            audit::append(tx, &repeated)?;
        }
        Rotation::Advance => families::insert_refresh(tx, &step.next)?,
    }
    access_tokens::insert(tx, &step.access)?;
    audit::append(tx, &step.issued)?;
    step.unusual.iter().try_for_each(|event| audit::append(tx, event))?;
    Ok(Outcome::Answered(rotation, given.filter(|_| rotation != Rotation::Advance)))
}

type Looked = (Result<Rotation, Reason>, Option<TokenDigest>);

fn look(tx: &mut Tx<'_>, step: &Step, now: Timestamp) -> Result<Looked, StoreError> {
    let unknown = (Err(Reason::BadRefreshToken), None);
    let Some(token) = families::find_refresh(tx, &step.digest)? else { return Ok(unknown) };
    let Some(family) = families::find(tx, token.family_id)? else { return Ok(unknown) };
    let successor = given_before(tx, &token)?;
    let verdict = rotate(&token, successor.as_ref(), &family, &step.client, step.retry_window, now);
    Ok((verdict, successor.map(|successor| successor.digest)))
}

async fn revoke_reused(
    core: &Core,
    caller: &Caller,
    family: TokenFamily,
    now: Timestamp,
) -> Result<(), Fault> {
    let mut event = core.event(AuditKind::RefreshReused, caller, now);
    event.user_id = Some(family.user_id);
    event.client_id = Some(family.client_id.clone());
    event.grant_id = family.resources.first().map(|granted| granted.grant_id);
    event.resource_id = family.resources.first().map(|granted| granted.resource_id);
    event.detail = serde_json::json!({ "cause": Cause::Reuse.as_str() });
    core.store.write(move |tx| end(tx, &family, &event, now)).await?;
    core.repeated.count(Cause::Reuse as usize);
    live::refresh(core).await
}

/// Ends the family and every grant it rests on (RFC 9700 §4.14.2).
fn end(tx: &mut Tx<'_>, family: &TokenFamily, event: &AuditEvent, now: Timestamp) -> Result<(), StoreError> {
    for granted in &family.resources {
        let filter = GrantFilter { id: Some(granted.grant_id), ..GrantFilter::default() };
        grants::revoke(tx, &filter, "refresh token reused", now)?;
    }
    families::revoke(tx, family.id, now)?;
    audit::append(tx, event)
}
