//! What the gateway asks of the house: which server is meant, who may pass, what it shows there, and the record of what
//! happened. Nothing on the way of a call that is allowed reads the database, and nothing of a call that is refused opens the
//! vault.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::hold::{self, is_cut};
use super::introspect::status_index;
use super::live::{self, View};
use crate::account::call::decide;
pub use crate::account::call::{Ask, Verdict};
use crate::account::cut::Hold;
use crate::crypto::access_token::{AccessTokenClaims, Status, StatusReference};
use crate::outbound::upstream_mcp::Upstreams;
use crate::storage::gateway::SealedCredential;
use crate::storage::{audit, grants};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::grant::Grant;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::policy::{
    CALLS_A_MINUTE, CALLS_AT_ONCE, NOTE_USE, UPSTREAM_FAILURES, UPSTREAM_REST, USAGE_ROOM,
};
use crate::types::resource::Resource;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};
use crate::types::tool::Tool;

/// A server behind the gateway, as this node knows it.
pub struct Route {
    /// The server.
    pub resource: Resource,
    /// Where it is.
    pub upstream: Url,
    /// Its tools, by name.
    pub tools: HashMap<String, Tool>,
    pub(super) credential: Option<SealedCredential>,
}

impl Route {
    /// What the server is shown: of which kind, and in which header. Never the secret.
    #[must_use]
    pub fn shows(&self) -> Option<(&str, &str)> {
        self.credential.as_ref().map(|sealed| (sealed.kind.as_str(), sealed.header.as_str()))
    }
}

/// The servers behind the gateway, by slug.
#[must_use]
pub fn routes(
    list: &[Resource],
    tools: Vec<(ResourceId, Tool)>,
    credentials: Vec<SealedCredential>,
) -> HashMap<String, Arc<Route>> {
    let mut by_server: HashMap<ResourceId, HashMap<String, Tool>> = HashMap::new();
    for (id, tool) in tools {
        by_server.entry(id).or_default().insert(tool.name.clone(), tool);
    }
    let mut credentials: HashMap<_, _> = credentials.into_iter().map(|one| (one.resource_id, one)).collect();
    list.iter()
        .filter_map(|resource| {
            let upstream = Upstreams::check(resource.upstream.as_deref()?).ok()?;
            let route = Route {
                resource: resource.clone(),
                upstream,
                tools: by_server.remove(&resource.id).unwrap_or_default(),
                credential: credentials.remove(&resource.id),
            };
            Some((resource.slug.clone()?, Arc::new(route)))
        })
        .collect()
}

/// The server of a slug.
#[must_use]
pub fn find(core: &Core, slug: &str) -> Option<Arc<Route>> {
    core.live.view().routes.get(slug).map(Arc::clone)
}

/// Somebody who was let in.
#[derive(Clone, Debug)]
pub struct Pass {
    /// What their token says.
    pub claims: AccessTokenClaims,
    /// The token's place in the status lists; one that is none for a grant token.
    index: i64,
    /// The grant token, where it is one.
    token: Option<TokenDigest>,
    /// The tools that it may call; all that its scopes allow when absent.
    tools: Option<Vec<String>>,
}

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Stop {
    /// The token is none of ours, is not for this server, or no longer counts.
    Invalid,
    /// A cut holds everything of this caller for a time.
    Stopped,
    /// Whether the token counts cannot be known now.
    Fault(Fault),
}

/// Lets somebody in by a token for this server. No database is read, but for a grant token that is not known: it may have
/// been made a moment ago.
///
/// # Errors
/// See [`Stop`].
pub async fn admit(core: &Core, route: &Route, token: &str) -> Result<Pass, Stop> {
    let first = admit_now(core, route, token);
    let unknown = || {
        let parsed = Token::parse(TokenKind::Grant, token);
        parsed.is_some_and(|token| !core.live.view().grant_tokens.contains_key(&token.digest()))
    };
    if !matches!(first, Err(Stop::Invalid)) || !unknown() {
        return first;
    }
    live::refresh(core).await.map_err(Stop::Fault)?;
    admit_now(core, route, token)
}

fn admit_now(core: &Core, route: &Route, token: &str) -> Result<Pass, Stop> {
    let now = core.now();
    let view = core.live.fresh_view(now).map_err(Stop::Fault)?;
    if let Some(token) = Token::parse(TokenKind::Grant, token) {
        return admit_grant_token(core, &view, route, token.digest(), now);
    }
    let claims = core.claims(&view, token, now).map_err(|_| Stop::Invalid)?;
    let claims = AccessTokenClaims::read(claims).map_err(|_| Stop::Invalid)?;
    super::usage::presented(core, &view, &route.resource.uri, &claims, now);
    let index = status_index(core, &claims).ok_or(Stop::Invalid)?;
    let pass = Pass { claims, index, token: None, tools: None };
    let meant =
        pass.claims.iss == core.policy.issuer.as_str() && pass.claims.aud == route.resource.uri.as_str();
    if !meant || view.revoked.contains_key(&index) {
        return Err(Stop::Invalid);
    }
    if is_cut(&view, &pass.claims, now) {
        let stopped = hold::is_stopped(&view, &pass.claims, now);
        return Err(if stopped { Stop::Stopped } else { Stop::Invalid });
    }
    Ok(pass)
}

fn admit_grant_token(
    core: &Core,
    view: &View,
    route: &Route,
    digest: TokenDigest,
    now: Timestamp,
) -> Result<Pass, Stop> {
    let known = view.grant_tokens.get(&digest).ok_or(Stop::Invalid)?;
    let grant = &known.grant;
    let person = grant.user_id.ok_or(Stop::Invalid)?;
    let claims = AccessTokenClaims {
        iss: core.policy.issuer.as_str().to_owned(),
        sub: person.to_string(),
        aud: route.resource.uri.to_string(),
        exp: grant.expires_at.seconds(),
        iat: grant.created_at.seconds(),
        jti: known.id,
        client_id: grant.client_id.clone(),
        scope: grant.scopes.clone(),
        grant_id: grant.id,
        auth_time: None,
        acr: None,
        amr: Vec::new(),
        status: Status { status_list: StatusReference { idx: NO_PLACE, uri: String::new() } },
    };
    if grant.resource_id != route.resource.id {
        core.usage.misdirected(
            route.resource.id,
            grant.id,
            (&claims.sub, &claims.client_id),
            "another server",
        );
        return Err(Stop::Invalid);
    }
    if now >= grant.expires_at {
        return Err(Stop::Invalid);
    }
    // Nobody signs in with it or approves it anew, so that what asks for either ends it.
    match hold::hold_on(view, grant, Some(grant.created_at), now) {
        None => {}
        Some(_) if hold::is_stopped(view, &claims, now) => return Err(Stop::Stopped),
        Some(_) => return Err(Stop::Invalid),
    }
    core.usage.checked(grant.id, &claims.sub, &claims.client_id, now);
    Ok(Pass { claims, index: NO_PLACE, token: Some(digest), tools: known.tools.clone() })
}

/// Notes that a grant token is used, now and then: nothing is ever issued under it that would tell.
///
/// # Errors
/// A fault.
pub async fn note_use(core: &Core, caller: &Caller, pass: &Pass) -> Result<(), Fault> {
    let now = core.now();
    let view = core.live.view();
    let known = pass.token.as_ref().and_then(|digest| view.grant_tokens.get(digest));
    if !known.is_some_and(|known| core.traffic.is_worth_noting(known.grant.id, now)) {
        return Ok(());
    }
    let (id, address) = (pass.claims.grant_id, caller.address.clone());
    Ok(core.store.write(move |tx| grants::mark_used(tx, id, address.as_deref(), now)).await?)
}

/// No token of ours has this place.
const NO_PLACE: i64 = -1;

/// Whether somebody who was let in still counts, as this node knows it: nothing of theirs was cut since. A token that has had
/// its time is not asked for again while a call runs; [`stands`] is.
#[must_use]
pub fn is_held(core: &Core, pass: &Pass) -> bool {
    let now = core.now();
    let Ok(view) = core.live.fresh_view(now) else { return false };
    if let Some(digest) = &pass.token {
        return view.grant_tokens.get(digest).is_some_and(|known| {
            hold::hold_on(&view, &known.grant, Some(known.grant.created_at), now).is_none()
        });
    }
    !view.revoked.contains_key(&pass.index) && !is_cut(&view, &pass.claims, now)
}

/// Whether a token has had its time.
#[must_use]
pub fn is_over(core: &Core, pass: &Pass) -> bool {
    core.now() >= Timestamp::from_seconds(pass.claims.exp)
}

/// Whether the approval still stands, by the database: for calls that run longer than their token.
pub async fn stands(core: &Core, pass: &Pass) -> bool {
    let (id, now) = (pass.claims.grant_id, core.now());
    let found = core.store.lookup(move |tx| grants::find(tx, id)).await;
    let standing = |view: &View, grant: &Grant| hold::hold_on(view, grant, None, now) != Some(Hold::Stopped);
    match found {
        Ok(Some(grant)) => {
            grant.is_live(now) && core.live.fresh_view(now).is_ok_and(|view| standing(&view, &grant))
        }
        _ => false,
    }
}

/// Decides about what somebody who was let in asks for. The same answers whether a tool stands in their list.
#[must_use]
pub fn judge(pass: &Pass, route: &Route, ask: Ask<'_>) -> Verdict {
    let tool = if let Ask::Tool(name) = ask { route.tools.get(name) } else { None };
    if let (Ask::Tool(name), Some(tools)) = (ask, &pass.tools)
        && !tools.iter().any(|tool| tool == name)
    {
        return Verdict::NotForThisToken;
    }
    decide(ask, &pass.claims.scope, &route.resource.scopes, tool)
}

const SESSION: &str = "gateway session";

fn session_of(pass: &Pass, route: &Route) -> String {
    format!("{}\n{}\n{}", pass.claims.sub, pass.claims.grant_id, route.resource.id)
}

/// A session id of the server's, as its client gets to see it: sealed for this person, approval and server. It is bound to no
/// token, so that a refresh does not end it.
#[must_use]
pub fn session_out(core: &Core, pass: &Pass, route: &Route, id: &str) -> String {
    let sealed = core.master.seal(SESSION, &session_of(pass, route), id.as_bytes(), core.rng.as_ref());
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The inverse of [`session_out`]; nothing for an id of somebody else's.
#[must_use]
pub fn session_in(core: &Core, pass: &Pass, route: &Route, id: &str) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(id).ok()?;
    let opened = core.master.open(SESSION, &session_of(pass, route), &sealed)?;
    String::from_utf8(opened.expose().clone()).ok()
}

/// A keyed digest of arguments: equal ones can be told, and nobody without the key can guess them.
#[must_use]
pub fn digest_of_arguments(core: &Core, route: &Route, text: &str) -> String {
    let digest =
        core.master.mac("call arguments", &[route.resource.id.to_string().as_bytes(), text.as_bytes()]);
    super::audit_chain::hex(&digest)
}

/// A record of something that somebody who was let in does at this server.
#[must_use]
pub fn event(core: &Core, kind: AuditKind, caller: &Caller, pass: &Pass, route: &Route) -> AuditEvent {
    let mut event = core.event(kind, caller, core.now());
    event.user_id = UserId::parse(&pass.claims.sub);
    event.client_id = Some(pass.claims.client_id.clone());
    event.grant_id = Some(pass.claims.grant_id);
    event.resource_id = Some(route.resource.id);
    event
}

/// Writes a record down.
///
/// # Errors
/// A fault; then nothing may be forwarded that had to be recorded first.
pub async fn record(core: &Core, event: AuditEvent) -> Result<(), Fault> {
    Ok(core.store.write(move |tx| audit::append(tx, &event)).await?)
}

/// What goes through now, and what has failed lately; of this node.
#[derive(Debug, Default)]
pub struct Traffic {
    grants: Mutex<HashMap<GrantId, Flow>>,
    noted: Mutex<HashMap<GrantId, Timestamp>>,
    servers: Mutex<HashMap<ResourceId, Health>>,
}

impl Traffic {
    fn is_worth_noting(&self, grant: GrantId, now: Timestamp) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= USAGE_ROOM {
            noted.retain(|_, at| now.since(*at) < NOTE_USE);
        }
        let worth = noted.get(&grant).is_none_or(|at| now.since(*at) >= NOTE_USE);
        if worth {
            noted.insert(grant, now);
        }
        worth
    }
}

#[derive(Debug)]
struct Flow {
    since: Timestamp,
    count: usize,
    open: usize,
    told: bool,
}

#[derive(Debug, Default)]
struct Health {
    failures: usize,
    rests_until: Option<Timestamp>,
}

/// A place among what goes through; given back when dropped.
pub struct Place {
    core: Arc<Core>,
    grant: GrantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut grants = self.core.traffic.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flow) = grants.get_mut(&self.grant) {
            flow.open = flow.open.saturating_sub(1);
        }
    }
}

/// Why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Which limit.
    pub rule: &'static str,
    /// After how many seconds to try again.
    pub wait: u64,
    /// Whether it is the first time within the minute: that one is recorded.
    pub first: bool,
}

/// A place for one more message under an approval.
///
/// # Errors
/// When there are too many at once, or within the minute.
pub fn place(core: &Arc<Core>, pass: &Pass) -> Result<Place, Refused> {
    let (now, grant) = (core.now(), pass.claims.grant_id);
    let minute = std::time::Duration::from_secs(60);
    let mut grants = core.traffic.grants.lock().unwrap_or_else(PoisonError::into_inner);
    if grants.len() >= USAGE_ROOM {
        grants.retain(|_, flow| flow.open > 0 || now.since(flow.since) < minute);
    }
    let flow = grants.entry(grant).or_insert(Flow { since: now, count: 0, open: 0, told: false });
    if now.since(flow.since) >= minute {
        (flow.since, flow.count, flow.told) = (now, 0, false);
    }
    let refused = if flow.count >= CALLS_A_MINUTE {
        Some(("rate", minute.saturating_sub(now.since(flow.since)).as_secs().max(1)))
    } else {
        (flow.open >= CALLS_AT_ONCE).then_some(("concurrency", 1))
    };
    if let Some((rule, wait)) = refused {
        let first = !std::mem::replace(&mut flow.told, true);
        return Err(Refused { rule, wait, first });
    }
    flow.count += 1;
    flow.open += 1;
    drop(grants);
    Ok(Place { core: Arc::clone(core), grant })
}

/// Whether a server that has failed again and again is left alone now.
#[must_use]
pub fn rests(core: &Core, route: &Route) -> bool {
    let servers = core.traffic.servers.lock().unwrap_or_else(PoisonError::into_inner);
    let until = servers.get(&route.resource.id).and_then(|health| health.rests_until);
    until.is_some_and(|until| core.now() < until)
}

/// Notes whether a server could be reached.
pub fn reached(core: &Core, route: &Route, well: bool) {
    let now = core.now();
    let mut servers = core.traffic.servers.lock().unwrap_or_else(PoisonError::into_inner);
    if well {
        servers.remove(&route.resource.id);
        return;
    }
    let health = servers.entry(route.resource.id).or_default();
    health.failures += 1;
    if health.failures >= UPSTREAM_FAILURES {
        health.rests_until = Some(now.plus(UPSTREAM_REST));
    }
}
