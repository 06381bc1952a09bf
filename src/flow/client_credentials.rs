//! Tokens for machines (RFC 6749 §4.4).

use super::clients;
use super::core::{Caller, Core};
use super::failure::{Failure, Fault};
use super::live;
use super::mint::{Mint, Minted, mint};
use super::token::TokenResponse;
use crate::oauth::client_auth::Presented;
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::oauth::scopes;
use crate::storage::{access_tokens, audit, clients as client_rows, grants};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientKind, GrantType};
use crate::types::factor::Methods;
use crate::types::grant::Grant;
use crate::types::id::GrantId;
use crate::types::policy::GRANT_TRIES;
use crate::types::resource::Resource;
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

/// Issues a token that stands for the client itself. No refresh token: it can ask again (RFC 6749 §4.4.3).
///
/// # Errors
/// A refusal of RFC 6749 §5.2, or a fault.
pub async fn issue(
    core: &Core,
    caller: &Caller,
    presented: &Presented,
    params: &Params,
    now: Timestamp,
) -> Result<TokenResponse, Failure> {
    let asked = params.resources()?;
    let view = live::knowing(core, &asked).await?;
    let meant = match asked.as_slice() {
        [] => view.default_resource(),
        [uri] => view.resource(uri),
        _ => None,
    };
    let meant = meant.map(|resource| resource.id);
    let (client, mut standing) =
        clients::authenticate_with(core, caller, presented, now, move |tx, client| {
            let Some((client, resource)) = client.zip(meant) else { return Ok(None) };
            grants::find_standing(tx, None, &client.id, resource)
        })
        .await?;
    if client.is_public() || !client.may(GrantType::ClientCredentials) {
        return Err(Reason::GrantTypeNotAllowed(GrantType::ClientCredentials.as_str()).into());
    }
    if client.kind != ClientKind::PreRegistered
        && !view.resources.values().any(|resource| may_reach(&client, resource))
    {
        return Err(Reason::NotVouchedFor.into());
    }
    let resource = match asked.as_slice() {
        [] => view.default_resource().ok_or(Reason::NoResource)?,
        [uri] => {
            let open = view.resource(uri).filter(|resource| may_reach(&client, resource));
            open.ok_or_else(|| Reason::UnknownResource(uri.clone()))?
        }
        _ => return Err(Reason::AmbiguousResource.into()),
    };
    if !may_reach(&client, resource) {
        return Err(Reason::UnknownResource(resource.uri.to_string()).into());
    }
    let granted = granted_scopes(&client, resource, params)?;
    // Another request of the same client may make or end the approval at the same moment; the next try sees it.
    for _ in 0..GRANT_TRIES {
        if let Some(minted) = try_once(core, caller, (&client, resource, &granted), standing, now).await? {
            return Ok(TokenResponse::new(minted, &granted, None, false));
        }
        let (client_id, resource_id) = (client.id.clone(), resource.id);
        standing =
            core.store.lookup(move |tx| grants::find_standing(tx, None, &client_id, resource_id)).await?;
    }
    Err(Fault::Busy.into())
}

/// Mints under the client's approval as it stands; `None` when it is another one by the time of the write.
async fn try_once(
    core: &Core,
    caller: &Caller,
    (client, resource, granted): (&Client, &Resource, &ScopeSet),
    standing: Option<Grant>,
    now: Timestamp,
) -> Result<Option<Minted>, Failure> {
    let fresh = new_grant(core, client, resource, granted, now);
    let standing = standing.filter(|grant| grant.is_live(now));
    super::hold::check(core, standing.as_ref().unwrap_or(&fresh), None, now).await?;
    let grant_id = standing.as_ref().map_or(fresh.id, |grant| grant.id);
    let not_after = standing.as_ref().map_or(fresh.expires_at, |grant| grant.expires_at);
    let noted = standing.as_ref().and_then(|grant| grant.last_used_at);
    let unusual =
        standing.as_ref().map_or_else(Vec::new, |grant| super::usage::unusual(core, caller, grant, now));
    let wider = standing.filter(|grant| !grant.scopes.includes(granted));
    let is_new = grant_id == fresh.id;
    let what = Mint {
        resource,
        sub: client.id.as_str().to_owned(),
        client_id: &client.id,
        scopes: granted,
        grant_id,
        family_id: None,
        auth_time: None,
        methods: &Methods::default(),
        not_after,
    };
    let minted = mint(core, what, now).await?;
    let mut issued = core.event(AuditKind::TokenIssued, caller, now);
    issued.client_id = Some(client.id.clone());
    issued.grant_id = Some(grant_id);
    issued.resource_id = Some(resource.id);
    issued.detail = serde_json::json!({
        "grant_type": GrantType::ClientCredentials.as_str(),
        "scope": granted,
        "jti": minted.record.id,
    });
    let (record, address, asked) = (minted.record.clone(), caller.address.clone(), granted.clone());
    let committed = core
        .store
        .write(move |tx| {
            if is_new {
                grants::expire_standing(tx, &fresh, now)?;
                let other = grants::find_standing(tx, None, &fresh.client_id, fresh.resource_id)?;
                if other.is_some() {
                    return Ok(false);
                }
                grants::insert(tx, &fresh)?;
                client_rows::mark_granted(tx, &fresh.client_id, now)?;
            }
            if let Some(grant) = &wider {
                let scopes = grant.scopes.union(&asked);
                grants::renew(tx, grant.id, &scopes, &fresh.client_fingerprint, fresh.expires_at, now)?;
            }
            if !unusual.is_empty() || grants::is_worth_noting(noted, now) {
                grants::mark_used(tx, grant_id, address.as_deref(), now)?;
            }
            if !grants::is_open(tx, grant_id, now)? {
                return Ok(false);
            }
            access_tokens::insert(tx, &record)?;
            audit::append(tx, &issued)?;
            unusual.iter().try_for_each(|event| audit::append(tx, event))?;
            Ok(true)
        })
        .await?;
    Ok(committed.then_some(minted))
}

/// An administrator's list with the client, when there is one; otherwise the resource's own rule. A client that
/// registered itself has been approved by nobody, so it reaches nothing unless a resource names it.
fn may_reach(client: &Client, resource: &Resource) -> bool {
    if client.resources.is_empty() {
        return match client.kind {
            ClientKind::PreRegistered => resource.client_rule.allows(client),
            ClientKind::Dynamic | ClientKind::MetadataDocument => {
                resource.client_rule != crate::types::resource::ClientRule::Anyone
                    && resource.client_rule.allows(client)
            }
        };
    }
    client.resources.iter().any(|uri| ResourceUri::key_of(uri).is_ok_and(|key| key == resource.uri.key()))
}

/// What the client asked for, within what the resource has and the administrator allowed the client.
fn granted_scopes(client: &Client, resource: &Resource, params: &Params) -> Result<ScopeSet, Reason> {
    let asked = scopes::resolve(params.value("scope")?, vec![resource.clone()])?;
    let scopes = asked.by_resource.into_iter().next().map(|(_, scopes)| scopes).unwrap_or_default();
    let Some(limit) = client.metadata.scope.as_deref().and_then(|text| ScopeSet::parse(text).ok()) else {
        return Ok(scopes);
    };
    let left = scopes.intersection(&limit);
    if left.is_empty() && !scopes.is_empty() { Err(Reason::NoScopeLeft) } else { Ok(left) }
}

fn new_grant(core: &Core, client: &Client, resource: &Resource, scopes: &ScopeSet, now: Timestamp) -> Grant {
    Grant {
        id: GrantId::new(now, core.rng.as_ref()),
        user_id: None,
        client_id: client.id.clone(),
        resource_id: resource.id,
        scopes: scopes.clone(),
        client_fingerprint: client.fingerprint(),
        created_at: now,
        updated_at: now,
        expires_at: now.plus(core.policy.refresh_token_max_ttl),
        last_used_at: None,
        last_used_address: None,
        revoked_at: None,
    }
}
