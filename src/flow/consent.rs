//! Asking a person, and what their answer makes (RFC 6749 §4.1.1; the rules are in `account::consent`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::authorize::{code_redirect, error_redirect};
use super::core::{Caller, Core};
use super::failure::Fault;
use super::hold::hold_on;
use super::live::{self, View};
use super::login::SignedIn;
use crate::account::consent::{Ask, Question, merge};
use crate::account::factor::level_due;
use crate::account::permission::permitted;
use crate::oauth::authorize::{AuthorizeRequest, ReturnAddress};
use crate::oauth::refusal::Reason;
use crate::storage::{StoreError, Tx, audit, clients, codes, consents, grants, resources, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::{Client, ClientId};
use crate::types::factor::Methods;
use crate::types::fingerprint::Fingerprint;
use crate::types::grant::{AuthorizationCode, Grant, GrantedResource};
use crate::types::id::{FamilyId, GrantId, IdentityId, ResourceId, UserId};
use crate::types::pkce::CodeChallenge;
use crate::types::policy::CONSENT_TTL;
use crate::types::redirect_uri::RedirectUri;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenKind};

/// A consent page that is about to be shown.
pub struct Pending {
    /// What the form sends back.
    pub request: Token,
    /// Who asks, and where the answer goes.
    pub client: Client,
    /// Where the answer goes.
    pub redirect_uri: RedirectUri,
    /// What is asked.
    pub questions: Vec<Question>,
    /// Which page.
    pub ask: Ask,
    /// Whether access is asked for beyond the visit.
    pub lasting: bool,
    /// Until when the approval will last.
    pub until: Timestamp,
}

/// What the database remembers of a page: everything that the answer acts on. The form brings back nothing but the
/// page's name, the decision and the ticks.
#[derive(Serialize, Deserialize)]
struct Remembered {
    user_id: UserId,
    client_id: ClientId,
    client_fingerprint: String,
    redirect_uri: String,
    state: Option<String>,
    code_challenge: CodeChallenge,
    offline: bool,
    auth_time: Timestamp,
    #[serde(default)]
    methods: Methods,
    #[serde(default)]
    identity_id: Option<IdentityId>,
    asked: Vec<(ResourceId, ScopeSet)>,
}

/// Remembers what a page will ask, bound to the session that sees it.
///
/// # Errors
/// A fault.
pub async fn prepare(
    core: &Core,
    request: &AuthorizeRequest,
    questions: Vec<Question>,
    person: &SignedIn,
    ask: Ask,
    now: Timestamp,
) -> Result<Pending, Fault> {
    let token = Token::generate(TokenKind::ConsentRequest, core.rng.as_ref());
    let remembered = Remembered {
        user_id: person.user.id,
        client_id: request.client.id.clone(),
        client_fingerprint: request.client.fingerprint(),
        redirect_uri: request.back.redirect_uri.as_str().to_owned(),
        state: request.back.state.clone(),
        code_challenge: request.code_challenge.clone(),
        offline: request.asked.offline,
        auth_time: person.session.auth_time,
        methods: person.session.methods.clone(),
        identity_id: person.session.identity_id,
        asked: questions.iter().map(|question| (question.resource.id, question.asked.clone())).collect(),
    };
    let text = serde_json::to_string(&remembered).map_err(|_| Fault::Bug("a consent does not serialise"))?;
    let (digest, session) = (token.digest(), person.session.id);
    let expires_at = now.plus(CONSENT_TTL);
    core.store.write(move |tx| consents::insert(tx, &digest, session, &text, expires_at)).await?;
    Ok(Pending {
        request: token,
        client: request.client.clone(),
        redirect_uri: request.back.redirect_uri.clone(),
        questions,
        ask,
        lasting: request.asked.offline || request.client.may(crate::types::client::GrantType::RefreshToken),
        until: now.plus(core.policy.refresh_token_max_ttl),
    })
}

/// What a person answered.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Allowed, with these values of the check boxes.
    Allow(Vec<String>),
    /// Refused.
    Deny,
}

/// How an answer ends.
pub enum Decided {
    /// The browser goes back to the app.
    Back(Box<Back>),
    /// The page had expired, was answered before, or belongs to another session.
    Gone,
}

/// The way back to the app.
pub struct Back {
    /// The redirect address, with the answer in it.
    pub to: String,
    /// Whose address it is.
    pub redirect_uri: RedirectUri,
    /// The app.
    pub client: Client,
    /// Whether anything was allowed.
    pub allowed: bool,
}

/// The value of a check box: the scope, for a second resource and further with the resource's place before it.
#[must_use]
pub fn tick_value(place: usize, scope: &str) -> String {
    if place == 0 { scope.to_owned() } else { format!("{place} {scope}") }
}

/// Acts on an answer, once.
///
/// # Errors
/// A fault.
pub async fn decide(
    core: &Core,
    caller: &Caller,
    request: &str,
    decision: Decision,
    person: &SignedIn,
) -> Result<Decided, Fault> {
    let now = core.now();
    let Some(digest) = Token::parse(TokenKind::ConsentRequest, request).map(|token| token.digest()) else {
        return Ok(Decided::Gone);
    };
    let session = person.session.id;
    let found = core
        .store
        .read(move |tx| {
            let Some(text) = consents::find(tx, &digest, session, now)? else { return Ok(None) };
            let remembered: Remembered =
                serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("consent_request.request"))?;
            let client = clients::find(tx, &remembered.client_id)?;
            let mut asked = Vec::new();
            for (id, scopes) in &remembered.asked {
                if let Some(resource) =
                    resources::find(tx, *id)?.filter(|resource| resource.removed_at.is_none())
                {
                    asked.push((resource, scopes.clone()));
                }
            }
            Ok(Some((remembered, client, asked)))
        })
        .await?;
    let Some((remembered, Some(client), asked)) = found else { return Ok(Decided::Gone) };
    if remembered.user_id != person.user.id || remembered.client_fingerprint != client.fingerprint() {
        return Ok(Decided::Gone);
    }
    let Ok(redirect_uri) = RedirectUri::parse(&remembered.redirect_uri, &core.policy.redirect_schemes) else {
        return Ok(Decided::Gone);
    };
    // The rule may have come while the page was open.
    let demanded = asked.iter().any(|(resource, _)| resource.second_factor_required);
    if !person.session.methods.reach(level_due(None, &person.user, demanded)) {
        return Ok(Decided::Gone);
    }
    let back = ReturnAddress { redirect_uri, state: remembered.state.clone() };
    let ticked = match decision {
        Decision::Deny => Vec::new(),
        Decision::Allow(ticks) => ticked_scopes(&remembered, &ticks),
    };
    let allowed: Vec<_> = asked
        .into_iter()
        .filter_map(|(resource, shown)| {
            let (_, scopes) = ticked.iter().find(|(id, _)| *id == resource.id)?;
            (!scopes.is_empty() || resource.scopes.is_empty()).then(|| (resource.id, shown, scopes.clone()))
        })
        .collect();
    let mut event = core.event(AuditKind::ConsentDenied, caller, now);
    event.user_id = Some(person.user.id);
    event.client_id = Some(client.id.clone());
    if allowed.is_empty() {
        let consumed = core
            .store
            .write(move |tx| {
                let consumed = consents::consume(tx, &digest, session, now)?;
                if consumed {
                    audit::append(tx, &event)?;
                }
                Ok(consumed)
            })
            .await?;
        return Ok(if consumed {
            let to = error_redirect(core, &back, &Reason::Denied);
            Decided::Back(Box::new(Back { to, redirect_uri: back.redirect_uri, client, allowed: false }))
        } else {
            Decided::Gone
        });
    }
    event.kind = AuditKind::ConsentAllowed;
    let approval = Approval {
        user_id: person.user.id,
        client: client.clone(),
        fingerprint: remembered.client_fingerprint,
        redirect_uri: remembered.redirect_uri,
        code_challenge: remembered.code_challenge,
        offline: remembered.offline,
        auth_time: remembered.auth_time,
        methods: remembered.methods,
        identity_id: remembered.identity_id,
        silent: false,
        granted: allowed,
    };
    let issue = approval.mint(core, caller, now);
    let code = issue.code.clone();
    let outcome = core
        .store
        .write(move |tx| {
            if !consents::consume(tx, &digest, session, now)? {
                return Ok(None);
            }
            let Some(granted) = issue.commit(tx, now)? else { return Ok(None) };
            for one in &granted {
                let mut event = event.clone();
                event.id = one.event_id;
                event.grant_id = Some(one.granted.grant_id);
                event.resource_id = Some(one.granted.resource_id);
                event.detail = serde_json::json!({ "scope": one.granted.scopes });
                audit::append(tx, &event)?;
            }
            Ok(Some(()))
        })
        .await?;
    Ok(outcome.map_or(Decided::Gone, |()| {
        let to = code_redirect(core, &back, code.expose());
        Decided::Back(Box::new(Back { to, redirect_uri: back.redirect_uri, client, allowed: true }))
    }))
}

fn ticked_scopes(remembered: &Remembered, ticks: &[String]) -> Vec<(ResourceId, ScopeSet)> {
    remembered
        .asked
        .iter()
        .enumerate()
        .map(|(place, (id, shown))| {
            let scopes = shown.iter().filter(|scope| ticks.contains(&tick_value(place, scope))).collect();
            (*id, scopes)
        })
        .collect()
}

/// Issues a code under approvals that stand already.
///
/// # Errors
/// A fault; a refusal when an approval has ended meanwhile.
pub async fn issue_remembered(
    core: &Core,
    caller: &Caller,
    request: &AuthorizeRequest,
    questions: &[Question],
    person: &SignedIn,
    now: Timestamp,
) -> Result<Result<String, Reason>, Fault> {
    let approval = Approval {
        user_id: person.user.id,
        client: request.client.clone(),
        fingerprint: request.client.fingerprint(),
        redirect_uri: request.back.redirect_uri.as_str().to_owned(),
        code_challenge: request.code_challenge.clone(),
        offline: request.asked.offline,
        auth_time: person.session.auth_time,
        methods: person.session.methods.clone(),
        identity_id: person.session.identity_id,
        silent: true,
        granted: questions
            .iter()
            .map(|question| (question.resource.id, ScopeSet::default(), question.asked.clone()))
            .collect(),
    };
    let expected: Vec<(ResourceId, ScopeSet)> =
        questions.iter().map(|question| (question.resource.id, question.asked.clone())).collect();
    let issue = approval.mint(core, caller, now);
    let code = issue.code.clone();
    let (user, client) = (person.user.id, request.client.clone());
    let view = live::current(core).await?;
    let issued = core
        .store
        .write(move |tx| {
            for (resource, asked) in &expected {
                let standing = grants::find_standing(tx, Some(user), &client.id, *resource)?;
                let settled = standing.is_some_and(|grant| {
                    grant.is_live(now)
                        && hold_on(&view, &grant, None, now).is_none()
                        && grant.scopes.includes(asked)
                        && Fingerprint::read(&grant.client_fingerprint).rests_on(&client)
                });
                if !settled {
                    return Ok(false);
                }
            }
            Ok(issue.commit(tx, now)?.is_some())
        })
        .await?;
    Ok(if issued { Ok(code.expose().to_owned()) } else { Err(Reason::ConsentRequired) })
}

/// An approval that is about to be written down.
struct Approval {
    user_id: UserId,
    client: Client,
    fingerprint: String,
    redirect_uri: String,
    code_challenge: CodeChallenge,
    offline: bool,
    auth_time: Timestamp,
    methods: Methods,
    identity_id: Option<IdentityId>,
    /// Whether it rests on what was approved before, without a page.
    silent: bool,
    /// Resource, what was shown, what was allowed.
    granted: Vec<(ResourceId, ScopeSet, ScopeSet)>,
}

/// Everything that writing an approval down needs, made beforehand.
struct Issue {
    approval: Approval,
    code: Token,
    family_id: FamilyId,
    /// An id for each grant, in case there is none yet, and one for its audit record.
    ids: Vec<(GrantId, crate::types::id::AuditId)>,
    code_expires_at: Timestamp,
    grant_expires_at: Timestamp,
    issued: AuditEvent,
    /// What has been cut.
    view: Arc<View>,
}

struct Written {
    granted: GrantedResource,
    event_id: crate::types::id::AuditId,
}

impl Approval {
    fn mint(self, core: &Core, caller: &Caller, now: Timestamp) -> Issue {
        let rng = core.rng.as_ref();
        let mut issued = core.event(AuditKind::CodeIssued, caller, now);
        issued.user_id = Some(self.user_id);
        issued.client_id = Some(self.client.id.clone());
        Issue {
            code: Token::generate(TokenKind::AuthorizationCode, rng),
            family_id: FamilyId::new(now, rng),
            ids: self
                .granted
                .iter()
                .map(|_| (GrantId::new(now, rng), crate::types::id::AuditId::new(now, rng)))
                .collect(),
            code_expires_at: now.plus(core.policy.authorization_code_ttl),
            grant_expires_at: now.plus(core.policy.refresh_token_max_ttl),
            issued,
            view: core.live.view(),
            approval: self,
        }
    }
}

impl Issue {
    /// Makes or merges the grants and inserts the code; `None` when a role that allowed it has just gone.
    fn commit(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Vec<Written>>, StoreError> {
        let approval = &self.approval;
        let mut written = Vec::new();
        for ((resource_id, shown, allowed), (fresh_id, event_id)) in approval.granted.iter().zip(&self.ids) {
            if !approval.silent && !may_be_granted(tx, approval.user_id, *resource_id, allowed)? {
                return Ok(None);
            }
            let standing =
                grants::find_standing(tx, Some(approval.user_id), &approval.client.id, *resource_id)?;
            let grant_id = match standing.filter(|grant| grant.is_live(now)) {
                // Nobody was asked, so nothing is prolonged.
                Some(grant) if approval.silent => grant.id,
                Some(grant) => {
                    // What an app was allowed before it changed does not pass to what it has become, unless shown again.
                    // Nor what is due again.
                    let due = hold_on(&self.view, &grant, None, now).is_some();
                    let same =
                        !due && Fingerprint::read(&grant.client_fingerprint).rests_on(&approval.client);
                    let kept = if same { grant.scopes.clone() } else { ScopeSet::default() };
                    let scopes = merge(&kept, shown, allowed);
                    let ends = self.grant_expires_at;
                    if !grants::renew(tx, grant.id, &scopes, &approval.fingerprint, ends, now)? {
                        return Err(StoreError::Retry("access_grant ended meanwhile".to_owned()));
                    }
                    grant.id
                }
                None => {
                    let grant = Grant {
                        id: *fresh_id,
                        user_id: Some(approval.user_id),
                        client_id: approval.client.id.clone(),
                        resource_id: *resource_id,
                        scopes: allowed.clone(),
                        client_fingerprint: approval.fingerprint.clone(),
                        created_at: now,
                        updated_at: now,
                        expires_at: self.grant_expires_at,
                        last_used_at: None,
                        last_used_address: None,
                        revoked_at: None,
                        narrowed_at: None,
                    };
                    grants::expire_standing(tx, &grant, now)?;
                    grants::insert(tx, &grant)?;
                    grant.id
                }
            };
            let granted = GrantedResource { resource_id: *resource_id, grant_id, scopes: allowed.clone() };
            written.push(Written { granted, event_id: *event_id });
        }
        codes::insert(
            tx,
            &AuthorizationCode {
                digest: self.code.digest(),
                family_id: self.family_id,
                user_id: approval.user_id,
                client_id: approval.client.id.clone(),
                redirect_uri: approval.redirect_uri.clone(),
                code_challenge: approval.code_challenge.clone(),
                resources: written.iter().map(|one| one.granted.clone()).collect(),
                offline: approval.offline,
                auth_time: approval.auth_time,
                methods: approval.methods.clone(),
                identity_id: approval.identity_id,
                created_at: now,
                expires_at: self.code_expires_at,
                consumed_at: None,
            },
        )?;
        clients::mark_granted(tx, &approval.client.id, now)?;
        audit::append(tx, &self.issued)?;
        Ok(Some(written))
    }
}

/// Whether roles allow it. Server and person are held, so that whoever changes a role waits and then sees the grant.
fn may_be_granted(
    tx: &mut Tx<'_>,
    user: UserId,
    resource: ResourceId,
    scopes: &ScopeSet,
) -> Result<bool, StoreError> {
    let Some(resource) = resources::hold(tx, resource)? else { return Ok(false) };
    let Some(user) = users::hold(tx, user)? else { return Ok(false) };
    Ok(permitted(&resource, &user).left_of(scopes).as_ref() == Some(scopes))
}
