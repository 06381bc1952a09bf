//! Tokens for machines (RFC 6749 §4.4).

use std::sync::Arc;

use super::clients;
use super::core::{Caller, Core};
use super::failure::{Failure, Fault};
use super::live::{self, View};
use super::mint::{Mint, Minted, mint};
use super::token::TokenResponse;
use crate::oauth::client_auth::{self, Presented, Verdict};
use crate::oauth::params::Params;
use crate::oauth::refusal::Reason;
use crate::oauth::scopes;
use crate::storage::{access_tokens, audit, clients as client_rows, grants};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientKind, GrantType};
use crate::types::factor::Methods;
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId};
use crate::types::policy::{GRANT_TRIES, MACHINE_MEMORY, MACHINE_SETTLES};
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

/// A machine as it was when it last got a token: that it asks again is the rule. Nothing is decided by it alone: the
/// secret is proved against it, and the write goes through only if client and approval are still what it says.
#[derive(Debug)]
pub struct Machine {
    client: Client,
    grant: Grant,
    kept_at: Timestamp,
}

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
    let mut view = core.live.view();
    let mut meant = meant_in(&view, &asked);
    if meant.is_none() && !asked.is_empty() {
        view = live::knowing(core, &asked).await?;
        meant = meant_in(&view, &asked);
    }
    if let Some(machine) = meant.and_then(|id| known(core, presented, id, now))
        && let Ok((resource, granted)) = wanted(&view, &machine.client, &asked, params)
    {
        let whose = Whose { client: &machine.client, unchanged: true };
        let standing = Some(machine.grant.clone());
        if let Some(minted) = try_once(core, caller, (&whose, resource, &granted), standing, now).await? {
            return Ok(TokenResponse::new(minted, &granted, None, false));
        }
        core.machines.remove(&(machine.client.id.clone(), resource.id));
    }
    let (client, mut standing) =
        clients::authenticate_with(core, caller, presented, now, move |tx, client| {
            let Some((client, resource)) = client.zip(meant) else { return Ok(None) };
            grants::find_standing(tx, None, &client.id, resource)
        })
        .await?;
    let (resource, granted) = wanted(&view, &client, &asked, params)?;
    let whose = Whose { client: &client, unchanged: false };
    // Another request of the same client may make or end the approval at the same moment; the next try sees it.
    for _ in 0..GRANT_TRIES {
        if let Some(minted) = try_once(core, caller, (&whose, resource, &granted), standing, now).await? {
            return Ok(TokenResponse::new(minted, &granted, None, false));
        }
        let (client_id, resource_id) = (client.id.clone(), resource.id);
        standing =
            core.store.lookup(move |tx| grants::find_standing(tx, None, &client_id, resource_id)).await?;
    }
    Err(Fault::Busy.into())
}

fn meant_in(view: &View, asked: &[String]) -> Option<ResourceId> {
    let meant = match asked {
        [] => view.default_resource(),
        [uri] => view.resource(uri),
        _ => None,
    };
    meant.map(|resource| resource.id)
}

/// The machine that has just proved its secret, if it is kept. An assertion is used up by its proof, so it is never
/// tried against what may have changed.
fn known(core: &Core, presented: &Presented, resource: ResourceId, now: Timestamp) -> Option<Arc<Machine>> {
    if matches!(presented, Presented::Assertion { .. }) {
        return None;
    }
    let machine = presented.candidates(None).into_iter().find_map(|id| core.machines.get(&(id, resource)))?;
    let known = now < machine.kept_at.plus(MACHINE_MEMORY)
        && client_auth::check(&machine.client, presented) == Ok(Verdict::Proven);
    known.then_some(machine)
}

/// What this client gets where, if it may have anything there.
fn wanted<'v>(
    view: &'v View,
    client: &Client,
    asked: &[String],
    params: &Params,
) -> Result<(&'v Resource, ScopeSet), Reason> {
    if client.is_public() || !client.may(GrantType::ClientCredentials) {
        return Err(Reason::GrantTypeNotAllowed(GrantType::ClientCredentials.as_str()));
    }
    if client.kind != ClientKind::PreRegistered
        && !view.resources.values().any(|resource| may_reach(client, resource))
    {
        return Err(Reason::NotVouchedFor);
    }
    let resource = match asked {
        [] => view.default_resource().ok_or(Reason::NoResource)?,
        [uri] => {
            let open = view.resource(uri).filter(|resource| may_reach(client, resource));
            open.ok_or_else(|| Reason::UnknownResource(uri.clone()))?
        }
        _ => return Err(Reason::AmbiguousResource),
    };
    if !may_reach(client, resource) {
        return Err(Reason::UnknownResource(resource.uri.to_string()));
    }
    let granted = granted_scopes(client, resource, params)?;
    Ok((resource, granted))
}

/// Who asks.
struct Whose<'a> {
    client: &'a Client,
    /// Whether the client was kept in memory, and has to be what it was then.
    unchanged: bool,
}

/// Mints under the client's approval as it stands; `None` when it is another one by the time of the write.
async fn try_once(
    core: &Core,
    caller: &Caller,
    (whose, resource, granted): (&Whose<'_>, &Resource, &ScopeSet),
    standing: Option<Grant>,
    now: Timestamp,
) -> Result<Option<Minted>, Failure> {
    let client = whose.client;
    let standing = standing.filter(|grant| grant.is_live(now));
    let fits = standing.as_ref().is_some_and(|grant| grant.scopes.includes(granted));
    if whose.unchanged && !fits {
        return Ok(None);
    }
    // Made only where it is needed: for a first token, and for more than was ever asked for.
    let fresh = (!fits).then(|| new_grant(core, client, resource, granted, now));
    let Some(grant) = standing.as_ref().or(fresh.as_ref()) else {
        return Err(Fault::Bug("there is an approval, or a fresh one").into());
    };
    super::hold::check(core, grant, None, now).await?;
    let unusual =
        standing.as_ref().map_or_else(Vec::new, |grant| super::usage::unusual(core, caller, grant, now));
    let note = !unusual.is_empty() || grants::is_worth_noting(grant.last_used_at, now);
    let what = Mint {
        resource,
        sub: client.id.as_str().to_owned(),
        client_id: &client.id,
        scopes: granted,
        grant_id: grant.id,
        family_id: None,
        auth_time: None,
        methods: &Methods::default(),
        not_after: grant.expires_at,
    };
    let minted = mint(core, what, now).await?;
    let mut issued = core.event(AuditKind::TokenIssued, caller, now);
    issued.client_id = Some(client.id.clone());
    issued.grant_id = Some(grant.id);
    issued.resource_id = Some(resource.id);
    issued.detail = serde_json::json!({
        "grant_type": GrantType::ClientCredentials.as_str(),
        "scope": granted,
        "jti": minted.record.id,
    });
    let (grant_id, old) = (grant.id, standing.as_ref().map(|grant| grant.scopes.clone()));
    let (record, address, asked) = (minted.record.clone(), caller.address.clone(), granted.clone());
    let as_it_was = whose.unchanged.then_some(client.updated_at);
    let committed = core
        .store
        .write(move |tx| {
            match (&fresh, &old) {
                (None, _) => {}
                (Some(fresh), None) => {
                    grants::expire_standing(tx, fresh, now)?;
                    let other = grants::find_standing(tx, None, &fresh.client_id, fresh.resource_id)?;
                    if other.is_some() {
                        return Ok(false);
                    }
                    grants::insert(tx, fresh)?;
                    client_rows::mark_granted(tx, &fresh.client_id, now)?;
                }
                (Some(fresh), Some(old)) => {
                    let scopes = old.union(&asked);
                    grants::renew(tx, grant_id, &scopes, &fresh.client_fingerprint, fresh.expires_at, now)?;
                }
            }
            if note {
                grants::mark_used(tx, grant_id, address.as_deref(), now)?;
            }
            let open = grants::open_with_client(tx, grant_id, now)?.filter(|(scopes, changed_at)| {
                as_it_was.is_none_or(|was| was == *changed_at && scopes.includes(&asked))
            });
            if open.is_none() {
                return Ok(false);
            }
            access_tokens::insert(tx, &record)?;
            audit::append(tx, &issued)?;
            unusual.iter().try_for_each(|event| audit::append(tx, event))?;
            Ok(true)
        })
        .await?;
    if committed
        && fits
        && let Some(mut grant) = standing
    {
        keep(core, whose, note.then_some(caller), &mut grant, now);
    }
    Ok(committed.then_some(minted))
}

/// Keeps a machine for its next request, with the use that was noted.
fn keep(core: &Core, whose: &Whose<'_>, noted: Option<&Caller>, grant: &mut Grant, now: Timestamp) {
    let settled = whose.client.updated_at < now.minus(MACHINE_SETTLES);
    if !settled || (whose.unchanged && noted.is_none()) {
        return;
    }
    if let Some(caller) = noted {
        grant.last_used_at = Some(now);
        grant.last_used_address.clone_from(&caller.address);
    }
    let key = (whose.client.id.clone(), grant.resource_id);
    core.machines
        .insert(key, Arc::new(Machine { client: whose.client.clone(), grant: grant.clone(), kept_at: now }));
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
    client.resources.iter().any(|uri| resource.uri.is_meant_by(uri))
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
        narrowed_at: None,
    }
}
