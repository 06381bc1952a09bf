//! MCP servers, as administrators manage them.

use super::client_certificate;
use super::core::{Caller, Core};
use super::failure::Fault;
use super::keys;
use super::live::{self, View};
use super::people::OrderError;
use super::upstream_auth;
use crate::account::permission::permitted;
use crate::outbound::upstream::Upstream;
use crate::storage::grants::GrantFilter;
use crate::storage::{StoreError, audit, cedar, clients, gateway, grants, resources, upstream_tls};
use crate::types::access_rule::AccessRule;
use crate::types::admin::ADMIN_API;
use crate::types::audit::AuditKind;
use crate::types::call_limit::CallLimit;
use crate::types::certificate::ClientCertificateRule;
use crate::types::client::ClientId;
use crate::types::id::{AuditId, ResourceId};
use crate::types::kept_argument::KeptArgument;
use crate::types::key::SigningAlg;
use crate::types::page_origin::PageOrigin;
use crate::types::policy::{
    MAX_ACCESS_TOKEN_TTL, MAX_CALL_LIMITS, MAX_KEPT_ARGUMENTS, MAX_LISTED_CLIENTS, MAX_PAGE_ORIGINS,
};
use crate::types::resource::{ClientRule, GatewayRule, PassKind, Resource, ResourceScope, Risk};
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::{OFFLINE_ACCESS, is_scope};
use crate::types::token::{Token, TokenKind};
use crate::types::user::User;

/// An MCP server to be added.
#[derive(Clone, Debug)]
pub struct NewResource {
    /// Its URL.
    pub uri: String,
    /// Its name for people.
    pub name: String,
    /// Its permissions.
    pub scopes: Vec<ResourceScope>,
    /// Life of its access tokens, when it differs from the server's.
    pub access_token_ttl: Option<std::time::Duration>,
    /// How its tokens are signed.
    pub signing_alg: SigningAlg,
    /// Whether requests without `resource` mean this one.
    pub is_default: bool,
    /// Which clients may ask.
    pub client_rule: ClientRule,
    /// Whether nobody allows access here without a second factor.
    pub second_factor_required: bool,
    /// Its path segment at the gateway.
    pub slug: Option<String>,
    /// Where the gateway forwards to.
    pub upstream: Option<String>,
}

/// Adds an MCP server and makes the credentials with which it may call `/introspect`; the secret is in the answer
/// and nowhere else.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(core: &Core, caller: &Caller, new: NewResource) -> Result<(Resource, Token), OrderError> {
    let now = core.now();
    let uri = ResourceUri::parse(&new.uri).map_err(OrderError::Bad)?;
    check(&new)?;
    keys::ensure(core, new.signing_alg).await?;
    let secret = Token::generate(TokenKind::ClientSecret, core.rng.as_ref());
    let id = ResourceId::new(now, core.rng.as_ref());
    let resource = Resource {
        id,
        uri,
        name: new.name,
        scopes: new.scopes,
        access_token_ttl: new.access_token_ttl.map(|ttl| i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
        signing_alg: new.signing_alg,
        is_default: new.is_default,
        client_rule: new.client_rule,
        access_rule: AccessRule::default(),
        second_factor_required: new.second_factor_required,
        client_id: format!("pst_resource_{}", id.to_string().replace('-', "")),
        secret_digest: secret.digest(),
        slug: new.slug,
        upstream: new.upstream,
        gateway: GatewayRule::default(),
        created_at: now,
        updated_at: now,
        removed_at: None,
    };
    let mut event = core.event(AuditKind::ResourceAdded, caller, now);
    event.resource_id = Some(resource.id);
    event.detail = serde_json::json!({ "uri": resource.uri.as_str(), "name": resource.name });
    let stored = resource.clone();
    let added = core
        .store
        .write(move |tx| {
            resources::insert(tx, &stored)?;
            audit::append(tx, &event)
        })
        .await;
    match added {
        Ok(()) => {
            live::refresh(core).await?;
            Ok((resource, secret))
        }
        Err(StoreError::Conflict) => Err(OrderError::Exists(format!(
            "there is a resource {} (or one of that slug) already; see `postern resource list`",
            resource.uri
        ))),
        Err(error) => Err(error.into()),
    }
}

fn check(new: &NewResource) -> Result<(), OrderError> {
    check_name(&new.name)?;
    for (index, scope) in new.scopes.iter().enumerate() {
        if !is_scope(&scope.name) || scope.name == OFFLINE_ACCESS {
            return Err(OrderError::Bad(format!("{:?} cannot be the name of a scope", scope.name)));
        }
        if new.scopes.iter().skip(index + 1).any(|other| other.name == scope.name) {
            return Err(OrderError::Bad(format!("the scope {:?} is named twice", scope.name)));
        }
    }
    if new.access_token_ttl.is_some_and(|ttl| ttl.is_zero() || ttl > MAX_ACCESS_TOKEN_TTL) {
        return Err(OrderError::Bad("an access token lives from 1s to 1h".to_owned()));
    }
    let plain = |slug: &str| {
        (1..=64).contains(&slug.len())
            && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if let Some(upstream) = &new.upstream {
        Upstream::parse(upstream).map_err(OrderError::Bad)?;
    }
    if new.slug.is_some() != new.upstream.is_some() {
        return Err(OrderError::Bad(
            "a slug and an upstream go together: either is nothing without the other".to_owned(),
        ));
    }
    if new.slug.as_deref().is_some_and(|slug| !plain(slug)) {
        return Err(OrderError::Bad("a slug has 1 to 64 of a-z, 0-9 and -".to_owned()));
    }
    Ok(())
}

/// The permissions of a server behind the gateway, unless others are given: one for each class of tools, and the one that
/// only reads is what clients get that ask for none.
#[must_use]
pub fn gated_scopes() -> Vec<ResourceScope> {
    let scope = |name: &str, description: &str, risk| ResourceScope {
        name: name.to_owned(),
        description: description.to_owned(),
        risk,
        default: risk == Risk::Reads,
    };
    vec![
        scope("tools:read", "Look things up with its tools", Risk::Reads),
        scope("tools:write", "Change things with its tools", Risk::Changes),
        scope("tools:delete", "Delete things with its tools", Risk::Deletes),
    ]
}

fn check_name(name: &str) -> Result<(), OrderError> {
    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
        return Err(OrderError::Bad("a name has 1 to 200 characters and no control characters".to_owned()));
    }
    Ok(())
}

/// What is to change of an MCP server; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ResourceChange {
    /// Its name for people.
    pub name: Option<String>,
    /// Whether nobody allows access there without a second factor.
    pub second_factor_required: Option<bool>,
    /// Which clients may ask.
    pub client_rule: Option<ClientRule>,
    /// What holds at the gateway, each part as it stands here.
    pub gateway: GatewayChange,
}

/// What is to change at the gateway; what is absent stays, and a limit of nothing goes.
#[derive(Clone, Debug, Default)]
pub struct GatewayChange {
    /// Whether every call has to be on record first.
    pub record_first: Option<bool>,
    /// Who may come; everybody when empty.
    pub accepts: Option<Vec<PassKind>>,
    /// Most messages of one person or machine a minute.
    pub calls_a_minute: Option<Option<u32>>,
    /// Most bytes that go out to one person or machine an hour.
    pub bytes_an_hour: Option<Option<u64>>,
    /// With which client certificates one comes; none is wanted when it names none.
    pub client_certificate: Option<ClientCertificateRule>,
    /// The origins whose pages may call.
    pub origins: Option<Vec<PageOrigin>>,
    /// How much may go through, beyond the two limits above.
    pub limits: Option<Vec<CallLimit>>,
    /// Which arguments stand in the audit log as they are.
    pub kept_arguments: Option<Vec<KeptArgument>>,
}

impl GatewayChange {
    fn is_empty(&self) -> bool {
        let Self {
            record_first,
            accepts,
            calls_a_minute,
            bytes_an_hour,
            client_certificate,
            origins,
            limits,
            kept_arguments,
        } = self;
        record_first.is_none()
            && accepts.is_none()
            && calls_a_minute.is_none()
            && bytes_an_hour.is_none()
            && client_certificate.is_none()
            && origins.is_none()
            && limits.is_none()
            && kept_arguments.is_none()
    }

    fn of(self, was: GatewayRule) -> GatewayRule {
        GatewayRule {
            record_first: self.record_first.unwrap_or(was.record_first),
            accepts: self.accepts.unwrap_or(was.accepts),
            calls_a_minute: self.calls_a_minute.unwrap_or(was.calls_a_minute),
            bytes_an_hour: self.bytes_an_hour.unwrap_or(was.bytes_an_hour),
            client_certificate: self.client_certificate.unwrap_or(was.client_certificate),
            origins: self.origins.unwrap_or(was.origins),
            limits: self.limits.unwrap_or(was.limits),
            kept_arguments: self.kept_arguments.unwrap_or(was.kept_arguments),
        }
    }
}

/// What a change has done.
#[derive(Clone, Debug)]
pub struct ResourceChanged {
    /// The server as it is now.
    pub resource: Resource,
    /// Approvals that ended, because their clients may not ask any more.
    pub ended: usize,
}

/// Changes the settings of an MCP server. Approvals of clients that may not ask any more end, and every token under them is
/// dead when this returns. A second factor is asked for from the next approval on.
///
/// # Errors
/// See [`OrderError`].
pub async fn set(
    core: &Core,
    caller: &Caller,
    uri: &str,
    change: ResourceChange,
) -> Result<ResourceChanged, OrderError> {
    let found = find(core, uri).await?;
    let own = found.uri.is_meant_by(&core.policy.issuer.url(ADMIN_API));
    if own && (change.client_rule.is_some() || change.name.is_some()) {
        return Err(OrderError::Bad(
            "the admin API is part of the issuer: only its second-factor rule can be changed".to_owned(),
        ));
    }
    change.name.as_deref().map_or(Ok(()), check_name)?;
    if !change.gateway.is_empty() && found.upstream.is_none() {
        return Err(OrderError::Bad("the server is not behind the gateway: it has no upstream".to_owned()));
    }
    if let Some(ClientRule::Only { clients, domains }) = &change.client_rule {
        check_clients(clients, domains)?;
    }
    if change.gateway.origins.as_ref().is_some_and(|origins| origins.len() > MAX_PAGE_ORIGINS) {
        return Err(OrderError::Bad(format!("at most {MAX_PAGE_ORIGINS} origins are named")));
    }
    if change.gateway.limits.as_ref().is_some_and(|limits| limits.len() > MAX_CALL_LIMITS) {
        return Err(OrderError::Bad(format!("a server has at most {MAX_CALL_LIMITS} limits")));
    }
    if change.gateway.kept_arguments.as_ref().is_some_and(|kept| kept.len() > MAX_KEPT_ARGUMENTS) {
        return Err(OrderError::Bad(format!("at most {MAX_KEPT_ARGUMENTS} arguments are kept")));
    }
    let (id, now) = (found.id, core.now());
    let mut event = core.event(AuditKind::ResourceChanged, caller, now);
    event.resource_id = Some(id);
    let ending = core.event(AuditKind::GrantRevoked, caller, now);
    let rng = std::sync::Arc::clone(&core.rng);
    let done = core
        .store
        .write(move |tx| {
            let Some(was) = resources::hold(tx, id)?.filter(|resource| resource.removed_at.is_none()) else {
                return Ok(Err(OrderError::NotFound("the server has just been removed".to_owned())));
            };
            let resource = Resource {
                name: change.name.clone().unwrap_or_else(|| was.name.clone()),
                second_factor_required: change.second_factor_required.unwrap_or(was.second_factor_required),
                client_rule: change.client_rule.clone().unwrap_or_else(|| was.client_rule.clone()),
                gateway: change.gateway.clone().of(was.gateway.clone()),
                ..was.clone()
            };
            resources::set(tx, &resource, now)?;
            let mut event = event.clone();
            let told = |of: &Resource| {
                serde_json::json!({
                    "name": of.name,
                    "second_factor_required": of.second_factor_required,
                    "client_rule": of.client_rule,
                    "gateway": client_certificate::told(&of.gateway),
                })
            };
            event.detail = serde_json::json!({
                "uri": resource.uri.as_str(), "settings": told(&resource), "was": told(&was),
            });
            audit::append(tx, &event)?;
            let mut ended = 0;
            if resource.client_rule != was.client_rule {
                let filter = GrantFilter { resource_id: Some(id), ..GrantFilter::default() };
                for grant in grants::list(tx, &filter)? {
                    let client = clients::find(tx, &grant.client_id)?;
                    // What an administrator has listed with a client itself does not go by the server's rule.
                    let stays = client.as_ref().is_some_and(|client| {
                        resource.client_rule.allows(client)
                            || (grant.user_id.is_none() && !client.resources.is_empty())
                    });
                    if stays {
                        continue;
                    }
                    let filter = GrantFilter { id: Some(grant.id), ..GrantFilter::default() };
                    grants::revoke(tx, &filter, "the server's client rule", now)?;
                    let mut event = ending.clone();
                    event.id = AuditId::new(now, rng.as_ref());
                    event.user_id = grant.user_id;
                    event.client_id = Some(grant.client_id.clone());
                    event.grant_id = Some(grant.id);
                    event.resource_id = Some(id);
                    event.detail = serde_json::json!({ "reason": "the server's client rule" });
                    audit::append(tx, &event)?;
                    ended += 1;
                }
            }
            Ok(Ok(ResourceChanged { resource, ended }))
        })
        .await??;
    live::refresh(core).await?;
    Ok(done)
}

/// Reads the origins whose pages may call.
///
/// # Errors
/// [`OrderError::Bad`] on the first that is none.
pub fn origins(texts: &[String]) -> Result<Vec<PageOrigin>, OrderError> {
    texts.iter().map(|text| PageOrigin::parse(text).map_err(OrderError::Bad)).collect()
}

/// Reads limits.
///
/// # Errors
/// [`OrderError::Bad`] on the first that is none.
pub fn limits(texts: &[String]) -> Result<Vec<CallLimit>, OrderError> {
    texts.iter().map(|text| CallLimit::parse(text).map_err(OrderError::Bad)).collect()
}

/// Reads which arguments are kept.
///
/// # Errors
/// [`OrderError::Bad`] on the first that is none.
pub fn kept_arguments(texts: &[String]) -> Result<Vec<KeptArgument>, OrderError> {
    texts.iter().map(|text| KeptArgument::parse(text).map_err(OrderError::Bad)).collect()
}

/// Whether a list of clients makes sense.
fn check_clients(listed: &[String], domains: &[String]) -> Result<(), OrderError> {
    if listed.is_empty() && domains.is_empty() {
        return Err(OrderError::Bad("a list of clients names at least one client or domain".to_owned()));
    }
    if listed.len() + domains.len() > MAX_LISTED_CLIENTS {
        return Err(OrderError::Bad(format!("a list has at most {MAX_LISTED_CLIENTS} clients and domains")));
    }
    if let Some(bad) = listed.iter().find(|id| ClientId::parse(id).is_none()) {
        return Err(OrderError::Bad(format!("{bad:?} cannot be the id of a client")));
    }
    let domain = |name: &str| {
        (1..=253).contains(&name.len())
            && name.contains('.')
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    };
    if let Some(bad) = domains.iter().find(|name| !domain(name)) {
        return Err(OrderError::Bad(format!("{bad:?} is no domain in lower case, such as example.com")));
    }
    Ok(())
}

/// Which servers are meant; every member that is set narrows.
#[derive(Clone, Debug, Default)]
pub struct ServerFilter {
    /// With this in name or address, whatever its case.
    pub part: String,
    /// Whether they are behind the gateway.
    pub gateway: Option<bool>,
}

/// The servers that are meant, by name.
#[must_use]
pub fn narrowed<'v>(view: &'v View, filter: &ServerFilter) -> Vec<&'v Resource> {
    let part = filter.part.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&part);
    let meant = |one: &&Resource| {
        (has(&one.name) || has(one.uri.as_str()))
            && filter.gateway.is_none_or(|gateway| gateway == one.upstream.is_some())
    };
    let mut all: Vec<&Resource> = view.resources.values().filter(meant).collect();
    all.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Every MCP server; the admin API is none.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<Resource>, Fault> {
    let own = ResourceUri::key_of(&core.policy.issuer.url(ADMIN_API)).unwrap_or_default();
    let mut all = core.store.read(resources::list).await?;
    all.retain(|resource| resource.uri.key() != own);
    Ok(all)
}

/// The MCP server with this URL.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, uri: &str) -> Result<Resource, OrderError> {
    let key = ResourceUri::key_of(uri).map_err(OrderError::Bad)?;
    let found = core.store.read(move |tx| resources::find_by_key(tx, &key)).await?;
    found.ok_or_else(|| {
        OrderError::NotFound(format!("there is no resource {uri}; see `postern resource list`"))
    })
}

/// The servers that a person may use, by name; the admin API is none of them.
#[must_use]
pub fn usable(core: &Core, person: &User) -> Vec<Resource> {
    let own = ResourceUri::key_of(&core.policy.issuer.url(ADMIN_API)).unwrap_or_default();
    let view = core.live.view();
    let all =
        view.resources.iter().filter(|(key, resource)| **key != own && permitted(resource, person).at_all);
    let mut all: Vec<Resource> = all.map(|(_, resource)| resource.clone()).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// Removes an MCP server: every approval and every token for it ends.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, uri: &str) -> Result<Resource, OrderError> {
    let resource = find(core, uri).await?;
    if resource.uri.is_meant_by(&core.policy.issuer.url(ADMIN_API)) {
        return Err(OrderError::Bad(
            "the admin API is part of the issuer and stays; to let nobody in, remove its clients".to_owned(),
        ));
    }
    let now = core.now();
    let mut event = core.event(AuditKind::ResourceRemoved, caller, now);
    event.resource_id = Some(resource.id);
    event.detail = serde_json::json!({ "uri": resource.uri.as_str() });
    let id = resource.id;
    upstream_auth::clear(core, caller, &resource).await?;
    core.store
        .write(move |tx| {
            let filter = GrantFilter { resource_id: Some(id), ..GrantFilter::default() };
            grants::revoke(tx, &filter, "resource removed", now)?;
            resources::remove(tx, id, now)?;
            gateway::remove_credential(tx, id)?;
            upstream_tls::remove(tx, id)?;
            cedar::remove(tx, id)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(resource)
}
