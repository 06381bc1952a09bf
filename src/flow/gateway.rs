//! What the gateway asks of the house: which server is meant, who may pass, what it shows there, and the record of what
//! happened. Nothing on the way of a call that is allowed reads the database, and nothing of a call that is refused opens the
//! vault.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

pub use super::call_approvals::{Decided, HeldBack, ask_for};
use super::client_certificate::Gate;
use super::core::{Caller, Core};
pub use super::ended::note as note_end;
use super::failure::Fault;
use super::hold::{self, is_cut};
use super::kept_lists::KeptLists;
use super::live::{self, View};
pub use super::traffic::{Place, Refused, place, reached, rests};
use super::upstream_tls::Tls;
use super::verify;
pub use crate::account::call::{Ask, Verdict};
use crate::account::call::{By, Known, decide};
use crate::account::cedar::Policies;
use crate::account::cut::Hold;
use crate::account::permission;
use crate::crypto::seal::Opener;
use crate::outbound::upstream::Upstream;
use crate::storage::cedar::{self, StoredCedar};
use crate::storage::gateway::{self as rows, SealedCredential};
use crate::storage::upstream_tls::{self, SealedTls};
use crate::storage::{StoreError, Tx, audit, call_rules, connections, grants, users};
use crate::types::access_token::{AccessTokenClaims, Status, StatusReference};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::call_limit::CallLimit;
use crate::types::call_rule::CallRule;
use crate::types::callers::{CallerFacts, Standing};
use crate::types::grant::Grant;
use crate::types::hex::hex;
use crate::types::id::{ResourceId, UserId};
use crate::types::resource::{PassKind, Resource};
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};
use crate::types::tool::{Tool, canonical};
use crate::types::upstream_auth::UpstreamAuth;

/// A server behind the gateway, as this node knows it.
pub struct Route {
    /// The server.
    pub resource: Resource,
    /// Where it is.
    pub upstream: Upstream,
    /// Its tools, by name.
    pub tools: HashMap<String, Tool>,
    /// Their definitions as they were seen last, by name: to be compared with what is listed.
    definitions: HashMap<String, Value>,
    /// Its rules about calls, oldest first.
    pub rules: Vec<CallRule>,
    /// How much may go through to it.
    pub(super) limits: Vec<CallLimit>,
    /// Its Cedar policies, where it has any.
    pub cedar: Option<Arc<Policies>>,
    pub(super) credential: Option<SealedCredential>,
    /// What opens it, once it was needed.
    pub(super) opener: OnceLock<Opener>,
    /// How each person comes to a credential of their own there, where they do.
    pub auth: Option<UpstreamAuth>,
    /// The client certificates with which one comes, where one is wanted.
    pub(super) gate: Option<Gate>,
    /// TLS of its own, where it has any.
    pub tls: Option<Tls>,
    /// Its lists, as they were judged while all of the above is as it is.
    lists: KeptLists,
    /// Whether a rule asks who somebody is; Cedar policies may.
    asks_who: bool,
    /// Whether a rule is about some callers and not about others: their lists may differ then.
    tells_apart: bool,
}

impl Route {
    /// Whether a definition of a tool of this name is the one that was seen last.
    #[must_use]
    pub fn has_seen(&self, name: &str, definition: &Value) -> bool {
        // The text decides: reading a number back may lose its last digit.
        self.definitions.get(name) == Some(definition)
            || self.tools.get(name).is_some_and(|tool| tool.seen == canonical(definition))
    }

    /// The definition of a tool, as it was seen last.
    #[must_use]
    pub fn definition(&self, tool: &str) -> Option<&Value> {
        self.definitions.get(tool)
    }

    /// What a list that came for this caller became before; `id` is the request's, as JSON.
    #[must_use]
    pub fn known_list(&self, pass: &Pass, text: &[u8], id: &str) -> Option<String> {
        if self.tells_apart {
            return None;
        }
        self.lists.find((&pass.claims.scope, pass.tools.as_ref()), text, id)
    }

    /// Keeps what a list of which nothing was new became for this caller.
    pub fn keep_list(&self, pass: &Pass, came: &[u8], went: &str, id: &str) {
        if !self.tells_apart {
            self.lists.keep((&pass.claims.scope, pass.tools.as_ref()), came, went, id);
        }
    }

    /// What is known here, by which what is asked for is decided.
    #[must_use]
    pub fn known(&self, ask: Ask<'_>) -> Known<'_> {
        let tool = if let Ask::Tool(name) = ask { self.tools.get(name) } else { None };
        Known { scopes: &self.resource.scopes, rules: &self.rules, cedar: self.cedar.as_deref(), tool }
    }

    /// What the server is shown: of which kind, and in which header. Never the secret.
    #[must_use]
    pub fn shows(&self) -> Option<(&str, &str)> {
        let auth = self.auth.as_ref().map(|auth| (auth.kind.as_str(), "authorization"));
        auth.or_else(|| self.credential.as_ref().map(|sealed| (sealed.kind.as_str(), sealed.header.as_str())))
    }
}

impl Route {
    /// Which secrets a process of it has in its environment: another text for each time that they were set.
    pub(super) fn secrets_of(&self) -> &[u8] {
        self.credential.as_ref().map_or(&[], |sealed| &sealed.sealed_value)
    }
}

/// What the database has on the servers behind the gateway.
pub(super) struct Behind {
    tools: Vec<(ResourceId, Tool)>,
    credentials: Vec<SealedCredential>,
    tls: Vec<SealedTls>,
    ways: Vec<UpstreamAuth>,
    rules: Vec<CallRule>,
    cedar: Vec<StoredCedar>,
}

/// Reads it.
pub(super) fn upstream(tx: &mut Tx<'_>) -> Result<Behind, StoreError> {
    Ok(Behind {
        tools: rows::tools(tx)?,
        credentials: rows::credentials(tx)?,
        tls: upstream_tls::list(tx)?,
        ways: connections::ways(tx)?,
        rules: call_rules::list(tx)?,
        cedar: cedar::list(tx)?,
    })
}

/// The servers behind the gateway, by slug; with what is still good of those that were there before.
#[must_use]
pub(super) fn routes(
    list: &[Resource],
    Behind { tools, credentials, tls, ways, rules, cedar }: Behind,
    before: &HashMap<String, Arc<Route>>,
) -> HashMap<String, Arc<Route>> {
    let mut by_server: HashMap<ResourceId, HashMap<String, Tool>> = HashMap::new();
    for (id, tool) in tools {
        by_server.entry(id).or_default().insert(tool.name.clone(), tool);
    }
    let mut ruled: HashMap<ResourceId, Vec<CallRule>> = HashMap::new();
    for rule in rules {
        ruled.entry(rule.resource_id).or_default().push(rule);
    }
    let mut cedar: HashMap<_, _> = cedar.into_iter().map(|one| (one.resource_id, one.policies)).collect();
    let mut ways: HashMap<_, _> = ways.into_iter().map(|one| (one.resource_id, one)).collect();
    let mut tls: HashMap<_, _> = tls.into_iter().map(|one| (one.resource_id, one)).collect();
    let mut credentials: HashMap<_, _> = credentials.into_iter().map(|one| (one.resource_id, one)).collect();
    list.iter()
        .filter_map(|resource| {
            let upstream = Upstream::parse(resource.upstream.as_deref()?).ok()?;
            let tools = by_server.remove(&resource.id).unwrap_or_default();
            let read = |tool: &Tool| serde_json::from_str(&tool.seen).unwrap_or_default();
            let rules = ruled.remove(&resource.id).unwrap_or_default();
            let slug = resource.slug.clone()?;
            let before = before.get(&slug);
            let was = before.and_then(|route| route.tls.as_ref());
            let cedar = cedar.remove(&resource.id).map(|text| policies(resource, text, before));
            let route = Route {
                asks_who: cedar.is_some() || rules.iter().any(|rule| rule.callers.is_about_people()),
                tells_apart: cedar.is_some() || rules.iter().any(|rule| !rule.callers.is_everybody()),
                resource: resource.clone(),
                upstream,
                definitions: tools.iter().map(|(name, tool)| (name.clone(), read(tool))).collect(),
                tools,
                rules,
                cedar,
                credential: credentials.remove(&resource.id),
                opener: OnceLock::new(),
                auth: ways.remove(&resource.id),
                limits: resource.gateway.all_limits(),
                gate: Gate::of(&resource.gateway.client_certificate),
                tls: tls.remove(&resource.id).map(|sealed| Tls::of(sealed, was)),
                lists: KeptLists::default(),
            };
            Some((slug, Arc::new(route)))
        })
        .collect()
}

/// The policies of a server, read once for as long as they are as they are.
fn policies(resource: &Resource, text: String, before: Option<&Arc<Route>>) -> Arc<Policies> {
    let uri = resource.uri.as_str();
    let known = before.filter(|route| route.resource.uri.as_str() == uri);
    if let Some(known) = known.and_then(|route| route.cedar.as_ref()).filter(|known| known.text() == text) {
        return Arc::clone(known);
    }
    let read = Policies::stored(uri, text);
    if let Some(problem) = read.problem() {
        tracing::error!(server = uri, problem, "the Cedar policies cannot be read: every call is refused");
    }
    Arc::new(read)
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
    pub claims: Arc<AccessTokenClaims>,
    /// The token's place in the status lists; one that is none for a grant token.
    index: i64,
    /// The grant token, where it is one.
    pub(super) token: Option<TokenDigest>,
    /// The tools that it may call; all that its scopes allow when absent.
    tools: Option<Vec<String>>,
    /// What they are there, where a rule asks for it.
    standing: Option<Arc<Standing>>,
}

impl Pass {
    /// What was shown.
    #[must_use]
    pub fn kind(&self) -> PassKind {
        match (&self.token, UserId::parse(&self.claims.sub)) {
            (Some(_), _) => PassKind::GrantToken,
            (None, Some(_)) => PassKind::App,
            (None, None) => PassKind::Machine,
        }
    }

    /// The tools that the token is for, where it is not for all that its scopes allow.
    #[must_use]
    pub fn reaches(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.iter().any(|known| known == tool))
    }
}

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Stop {
    /// The token is none of ours, is not for this server, or no longer counts.
    Invalid,
    /// A cut holds everything of this caller for a time.
    Stopped,
    /// The server takes no callers of this kind.
    WrongKind(PassKind),
    /// Whether the token counts cannot be known now.
    Fault(Fault),
}

/// Lets somebody in by a token for this server. No database is read, but for a grant token that is not known: it may have
/// been made a moment ago.
///
/// # Errors
/// See [`Stop`].
pub async fn admit(core: &Core, route: &Route, token: &str) -> Result<Pass, Stop> {
    let mut pass = admit_any(core, route, token).await?;
    let kind = pass.kind();
    if !route.resource.gateway.lets_in(kind) {
        return Err(Stop::WrongKind(kind));
    }
    if route.asks_who
        && let Some(person) = UserId::parse(&pass.claims.sub)
    {
        pass.standing = standing(core, route, person).await.map_err(Stop::Fault)?;
    }
    Ok(pass)
}

/// What a person is at a server. It is read once, and again when groups, roles or servers have changed.
async fn standing(core: &Core, route: &Route, person: UserId) -> Result<Option<Arc<Standing>>, Fault> {
    let key = (route.resource.id, person);
    // The server as of the same view: one that is older would be remembered as what holds now.
    let view = core.live.view();
    let generation = view.generations.resources;
    if let Some((at, standing)) = core.standings.get(&key)
        && at == generation
    {
        return Ok(Some(standing));
    }
    let Some(user) = core.store.lookup(move |tx| users::find(tx, person)).await? else { return Ok(None) };
    let Some(resource) = view.resource_by_id(route.resource.id) else { return Ok(None) };
    let standing = Arc::new(permission::standing(resource, &user));
    core.standings.insert(key, (generation, Arc::clone(&standing)));
    Ok(Some(standing))
}

async fn admit_any(core: &Core, route: &Route, token: &str) -> Result<Pass, Stop> {
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
    let own = verify::own(core, &view, token, now).ok_or(Stop::Invalid)?;
    super::usage::presented(core, &view, &route.resource.uri, &own.claims, now);
    let index = own.index;
    let pass = Pass { claims: Arc::clone(&own.claims), index, token: None, tools: None, standing: None };
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
    let tools = known.tools.clone();
    Ok(Pass { claims: Arc::new(claims), index: NO_PLACE, token: Some(digest), tools, standing: None })
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

/// Decides about what somebody who was let in asks for. The same answers, without arguments, whether a tool stands in their list.
#[must_use]
pub fn judge(pass: &Pass, route: &Route, ask: Ask<'_>, arguments: Option<&Value>) -> Verdict {
    if let Ask::Tool(name) = ask
        && !pass.reaches(name)
    {
        return Verdict::NotForThisToken;
    }
    let client = pass.claims.client_id.as_str();
    let facts = CallerFacts { kind: pass.kind(), client, standing: pass.standing.as_deref() };
    decide(ask, By { held: &pass.claims.scope, facts }, route.known(ask), arguments)
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
    hex(&digest)
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
    let event = Arc::new(event);
    Ok(core.store.write(move |tx| audit::append_shared(tx, &event)).await?)
}
