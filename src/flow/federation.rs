//! Signing in at an identity provider (OpenID Connect Core §3.1): out, and back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::login::{Elsewhere, Login, SignedIn, begin_session_from};
use super::people::{self, OrderError};
use super::providers::{redirect_uri, secret_of};
use super::{authorize::Resume, console, roles, upstream};
use crate::account::identity::{self as rules, Refusal, Verdict};
use crate::crypto::id_token::{self, Expected};
use crate::oauth::params::Params;
use crate::outbound::provider::{Metadata, ProviderError};
use crate::storage::{StoreError, audit, identities, steps, users};
use crate::types::audit::AuditKind;
use crate::types::id::{IdentityId, SessionId, UserId};
use crate::types::identity::{Asserted, Identity, Provider, ProviderId};
use crate::types::policy::{CLOCK_SKEW, MAX_CLAIMED_TEXT, MAX_CONTINUE, PROVIDER_SIGN_IN_TTL};
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenKind};
use crate::types::user::{Email, Role, User};

pub(super) const STEP: &str = "sign-in at an identity provider";

/// What is remembered of a sign-in that is under way elsewhere.
#[derive(Debug, Serialize, Deserialize)]
struct Outing {
    provider: ProviderId,
    /// The issuer that was asked: a provider that was removed and added anew is another one.
    issuer: String,
    nonce: String,
    verifier: String,
    /// The browser, by its mark.
    browser: String,
    /// Where to go afterwards.
    resume: String,
    started: Timestamp,
    /// Whether the person has to prove it anew.
    anew: bool,
    /// Whom to link, in which session; otherwise it is a sign-in.
    link: Option<(UserId, SessionId)>,
}

/// What a browser asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The browser, by its mark.
    pub browser: String,
    /// Where to go afterwards.
    pub resume: String,
    /// Whether to link the person who is signed in, instead of signing in.
    pub link: bool,
}

/// Why there is no sign-in.
#[derive(Debug)]
pub enum Denied {
    /// There is no such provider, or it is switched off.
    NoProvider,
    /// The sign-in is not under way in this browser: too old, used, or begun elsewhere.
    Stale,
    /// The person, or the provider, did not go through with it; where they wanted to go.
    Declined(String),
    /// The provider's answer proves nothing; the log says why.
    Unproven,
    /// The provider knows them, and here they are nobody.
    Stranger(Refusal),
    /// They were to prove it anew and did not.
    NotAnew,
    /// The link cannot be made: either side is linked already.
    Linked,
    /// The provider cannot be reached.
    Unreachable,
    /// Us.
    Fault(Fault),
}

super::failure::from_faults!(Denied);

/// How it ended.
pub enum Returned {
    /// Signed in, or on the way to a second step; and where to go.
    In(Login, String),
    /// Linked; and where to go.
    Linked(String),
}

/// The address at which a person signs in at a provider.
///
/// # Errors
/// See [`Denied`].
pub async fn depart(
    core: &Core,
    provider: &str,
    person: Option<&SignedIn>,
    wish: Wish,
) -> Result<String, Denied> {
    let now = core.now();
    let provider = offered(core, provider).await?;
    let metadata =
        core.providers.metadata(&provider, now).await.map_err(|error| unreachable(&provider, &error))?;
    if wish.resume.len() > MAX_CONTINUE || wish.browser.is_empty() {
        return Err(Denied::Stale);
    }
    let asked = Resume::open(core, &wish.resume, now);
    let asked = asked.and_then(|resume| Params::parse(&[resume.query.as_bytes()]).ok());
    let member =
        |name: &str| asked.as_ref().and_then(|params| params.value(name).ok().flatten().map(str::to_owned));
    let prompted = member("prompt").is_some_and(|prompt| prompt.split(' ').any(|one| one == "login"));
    // Who is signed in already and comes here all the same is to prove it anew.
    let anew = prompted || person.is_some();
    let hint = person.map(|person| person.user.email.clone()).or_else(|| member("login_hint"));
    let age = core.policy.session_max_ttl.as_secs();
    let age = member("max_age").and_then(|text| text.parse::<u32>().ok()).map_or(age, u64::from);
    let state = Token::generate(TokenKind::Step, core.rng.as_ref());
    let outing = Outing {
        provider: provider.id.clone(),
        issuer: provider.issuer.clone(),
        nonce: random(core),
        verifier: random(core),
        browser: wish.browser,
        resume: wish.resume,
        started: now,
        anew,
        link: person.filter(|_| wish.link).map(|person| (person.user.id, person.session.id)),
    };
    let text = serde_json::to_vec(&outing).map_err(|_| Fault::Bug("an outing does not serialise"))?;
    let digest = state.digest();
    let sealed = core.master.seal(STEP, &digest.hex(), &text, core.rng.as_ref());
    let until = now.plus(PROVIDER_SIGN_IN_TTL);
    core.store.write(move |tx| steps::insert(tx, &digest, None, &sealed, until)).await?;
    let mut to = url::Url::parse(&metadata.authorization_endpoint)
        .map_err(|_| Fault::Bug("an endpoint that was checked is no URL"))?;
    {
        let mut query = to.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &redirect_uri(core, &provider.id))
            .append_pair("scope", &scope(&provider, &metadata))
            .append_pair("state", state.expose())
            .append_pair("nonce", &outing.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&outing.verifier)))
            .append_pair("code_challenge_method", "S256")
            // With it, the provider has to say when the person proved it (OpenID Connect Core §2).
            .append_pair("max_age", &age.to_string());
        let prompts = [(anew, "login"), (wants_consent(&provider), "consent")];
        let prompts: Vec<&str> =
            prompts.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name).collect();
        if !prompts.is_empty() {
            query.append_pair("prompt", &prompts.join(" "));
        }
        if let Some(hint) = hint.filter(|hint| hint.len() <= MAX_CLAIMED_TEXT) {
            query.append_pair("login_hint", &hint);
        }
    }
    Ok(to.into())
}

/// OpenID Connect Core §11 gives `offline_access` only with `prompt=consent`; who lists it among the scopes of a provider
/// asks for that.
fn wants_consent(provider: &Provider) -> bool {
    provider.rules.scopes.iter().any(|scope| scope == "offline_access")
}

/// What is asked for: `offline_access` too where the provider knows it.
fn scope(provider: &Provider, metadata: &Metadata) -> String {
    let mut scopes = vec!["openid".to_owned()];
    scopes.extend(provider.rules.scopes.iter().cloned());
    let offline = "offline_access".to_owned();
    if metadata.scopes_supported.contains(&offline) {
        scopes.push(offline);
    }
    let mut seen = Vec::new();
    scopes.retain(|scope| {
        let new = !seen.contains(scope);
        seen.push(scope.clone());
        new
    });
    scopes.join(" ")
}

/// Takes an answer of a provider. `browser` is the mark of the browser that brings it.
///
/// # Errors
/// See [`Denied`].
pub async fn come_back(
    core: &Core,
    caller: &Caller,
    provider: &str,
    params: &Params,
    browser: &str,
    person: Option<&SignedIn>,
) -> Result<Returned, Denied> {
    let now = core.now();
    let provider = offered(core, provider).await?;
    let value = |name: &str| params.value(name).ok().flatten();
    let outing = take(core, &provider, value("state"), browser).await?;
    let metadata =
        core.providers.metadata(&provider, now).await.map_err(|error| unreachable(&provider, &error))?;
    // RFC 9207 §2.4: an answer of another provider is none, and neither is one that does not say whose it is although it could.
    let fits = match value("iss") {
        Some(iss) => iss == provider.issuer,
        None => !metadata.authorization_response_iss_parameter_supported,
    };
    if !fits {
        return Err(unproven(core, caller, &provider, "iss").await);
    }
    if value("error").is_some() {
        return Err(Denied::Declined(outing.resume));
    }
    let Some(code) = value("code") else {
        return Err(unproven(core, caller, &provider, "no code").await);
    };
    let secret = secret_of(core, &provider)?;
    let callback = redirect_uri(core, &provider.id);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("code_verifier", &outing.verifier),
    ];
    let given = match core.providers.token(&provider, &metadata, &secret, &form).await {
        Ok(given) => given,
        Err(error @ (ProviderError::Refused(_) | ProviderError::Unreadable)) => {
            return Err(unproven(core, caller, &provider, &error.to_string()).await);
        }
        Err(error) => return Err(unreachable(&provider, &error)),
    };
    let Some(token) = given.id_token else {
        return Err(unproven(core, caller, &provider, "no ID token").await);
    };
    let kid = id_token::key_id(&token);
    let keys = core.providers.keys(&provider, &metadata, kid.as_deref(), now).await;
    let keys = keys.map_err(|error| unreachable(&provider, &error))?;
    let expected = Expected {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &outing.nonce,
        algs: &metadata.id_token_signing_alg_values_supported,
        group_claim: &provider.rules.group_claim,
    };
    let asserted = match id_token::verify(&token, &keys, &expected, now) {
        Ok(asserted) => asserted,
        Err(error) => return Err(unproven(core, caller, &provider, &error.to_string()).await),
    };
    let asked = given.access_token.as_ref().zip(metadata.userinfo_endpoint.as_deref());
    let asserted = match asked.filter(|_| lacks(&provider, &asserted)) {
        None => asserted,
        Some((token, endpoint)) => {
            let said = match core.providers.userinfo(&provider, endpoint, token).await {
                Ok(said) => said,
                // With half of what it knows, somebody would be let in as less than they are, or kept out.
                Err(error) => return Err(unreachable(&provider, &error)),
            };
            match id_token::completed(asserted, &said, &provider.rules.group_claim) {
                Some(asserted) => asserted,
                None => return Err(unproven(core, caller, &provider, "userinfo of somebody else").await),
            }
        }
    };
    let auth_time = auth_time(core, &outing, &asserted, now);
    if outing.anew && auth_time < outing.started {
        return Err(Denied::NotAnew);
    }
    let back = (provider, asserted, given.refresh_token);
    if let Some(link) = outing.link {
        // The session that asked, and no other: a sign-out in between ends it.
        let same = person.is_some_and(|person| (person.user.id, person.session.id) == link);
        let Some(person) = person.filter(|_| same) else { return Err(Denied::Stale) };
        let (provider, asserted, _) = back;
        link_self(core, caller, &provider, &asserted, &person.user).await?;
        return Ok(Returned::Linked(outing.resume));
    }
    let (provider, asserted, refresh_token) = back;
    let (user, identity) = who(core, caller, &provider, &asserted).await?;
    let user = fit(core, caller, &provider, &asserted, user).await?;
    let upstream = refresh_token.map(|token| upstream::seal(core, identity.id, &token));
    let (noted, email) = (identity.clone(), asserted.email.clone());
    core.store
        .write(move |tx| identities::signed_in(tx, &noted, email.as_deref(), upstream.as_deref(), now))
        .await?;
    let methods = rules::methods(&provider.rules, &asserted);
    let replaces = person.map(|person| person.session.id);
    let elsewhere = Elsewhere { identity_id: identity.id, auth_time };
    let login = begin_session_from(core, caller, user, methods, replaces, elsewhere).await?;
    Ok(Returned::In(login, outing.resume))
}

/// Whether the ID token leaves out what is gone by here.
fn lacks(provider: &Provider, asserted: &Asserted) -> bool {
    let grouped = !(provider.rules.groups.is_empty() && provider.rules.roles.is_empty());
    asserted.email.is_none() || (grouped && asserted.groups.is_empty())
}

async fn offered(core: &Core, id: &str) -> Result<Provider, Denied> {
    let id = ProviderId::parse(id).ok_or(Denied::NoProvider)?;
    let found = core.store.lookup(move |tx| identities::provider(tx, &id)).await?;
    found.filter(|provider| provider.disabled_at.is_none()).ok_or(Denied::NoProvider)
}

/// Uses up what is remembered of a sign-in: once, in the browser that began it, at the provider that it went to.
async fn take(
    core: &Core,
    provider: &Provider,
    state: Option<&str>,
    browser: &str,
) -> Result<Outing, Denied> {
    let token = state.and_then(|text| Token::parse(TokenKind::Step, text)).ok_or(Denied::Stale)?;
    let (digest, now) = (token.digest(), core.now());
    let sealed = core.store.lookup(move |tx| steps::find(tx, &digest, now)).await?.ok_or(Denied::Stale)?;
    let opened = core.master.open(STEP, &digest.hex(), &sealed).ok_or(Denied::Stale)?;
    let outing: Outing = serde_json::from_slice(opened.expose()).map_err(|_| Denied::Stale)?;
    let ours: bool = outing.browser.as_bytes().ct_eq(browser.as_bytes()).into();
    if !ours || outing.provider != provider.id || outing.issuer != provider.issuer {
        return Err(Denied::Stale);
    }
    if !core.store.write(move |tx| steps::consume(tx, &digest, now)).await? {
        return Err(Denied::Stale);
    }
    Ok(outing)
}

/// When the person proved it. Within the clocks' difference of this sign-in's beginning it belongs to this sign-in; a
/// provider that does not say is taken to mean as long ago as a session may last, so that nothing that wants a fresh
/// sign-in is satisfied by it.
fn auth_time(core: &Core, outing: &Outing, asserted: &Asserted, now: Timestamp) -> Timestamp {
    let Some(said) = asserted.auth_time else { return now.minus(core.policy.session_max_ttl) };
    if said.plus(CLOCK_SKEW) >= outing.started { said.max(outing.started).min(now) } else { said }
}

/// Who they are here, linked or added where the rules say so.
async fn who(
    core: &Core,
    caller: &Caller,
    provider: &Provider,
    asserted: &Asserted,
) -> Result<(User, Identity), Denied> {
    let now = core.now();
    let (wanted, sub) = (provider.id.clone(), asserted.sub.clone());
    let email = asserted.email.as_deref().and_then(|text| Email::parse(text).ok());
    let settings = provider.rules.clone();
    let said = asserted.clone();
    let new_user = UserId::new(now, core.rng.as_ref());
    let new_identity = IdentityId::new(now, core.rng.as_ref());
    let mut linked_event = core.event(AuditKind::IdentityLinked, caller, now);
    linked_event.detail = serde_json::json!({ "provider": wanted, "sub": sub, "how": "verified e-mail" });
    let mut added_event = core.event(AuditKind::UserAdded, caller, now);
    added_event.user_id = Some(new_user);
    // Decided where it is written: of two sign-ins at once, the second sees what the first has made.
    let found = core
        .store
        .write(move |tx| {
            let identity = identities::find_by_sub(tx, &wanted, &sub)?;
            let linked = match &identity {
                Some(identity) => users::find(tx, identity.user_id)?,
                None => None,
            };
            let named = match &email {
                Some(email) if identity.is_none() => users::find_by_email(tx, email)?,
                _ => None,
            };
            let taken = match &named {
                Some(user) => identities::of_user(tx, user.id)?.iter().any(|one| one.provider_id == wanted),
                None => false,
            };
            let verdict = rules::whom(&settings, &said, linked.as_ref(), named.as_ref(), taken);
            let user = match verdict {
                Verdict::Refuse(why) => return Ok(Err(why)),
                Verdict::Known => match (linked, identity) {
                    (Some(user), Some(identity)) => return Ok(Ok((user, identity))),
                    _ => return Ok(Err(Refusal::Unknown)),
                },
                Verdict::Link => match named.map(|user| users::hold(tx, user.id)).transpose()?.flatten() {
                    // Held, and looked at once more: an administrator by now is none to be linked.
                    Some(user) if user.role == Role::Member && user.disabled_at.is_none() => user,
                    _ => return Ok(Err(Refusal::Privileged)),
                },
                Verdict::Create(email) => {
                    let user = User {
                        id: new_user,
                        email: email.as_str().to_owned(),
                        name: said.name.clone(),
                        role: Role::Member,
                        groups: Vec::new(),
                        password_hash: None,
                        second_factor_required: false,
                        created_at: now,
                        updated_at: now,
                        disabled_at: None,
                    };
                    users::insert(tx, &user, &email)?;
                    let mut event = added_event.clone();
                    event.detail =
                        serde_json::json!({ "email": user.email, "role": "member", "provider": wanted });
                    audit::append(tx, &event)?;
                    user
                }
            };
            let identity = new_link(new_identity, &wanted, &said, user.id, now);
            identities::insert(tx, &identity)?;
            let mut event = linked_event.clone();
            event.user_id = Some(user.id);
            audit::append(tx, &event)?;
            Ok(Ok((user, identity)))
        })
        .await;
    match found {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => {
            refused(core, caller, provider, why.as_str()).await?;
            Err(Denied::Stranger(why))
        }
        // Somebody has been added or linked at the same moment.
        Err(StoreError::Conflict) => Err(Denied::Stranger(Refusal::Taken)),
        Err(error) => Err(error.into()),
    }
}

fn new_link(
    id: IdentityId,
    provider: &ProviderId,
    asserted: &Asserted,
    user: UserId,
    now: Timestamp,
) -> Identity {
    Identity {
        id,
        provider_id: provider.clone(),
        sub: asserted.sub.clone(),
        user_id: user,
        email: asserted.email.clone(),
        upstream: None,
        created_at: now,
        last_sign_in_at: None,
        checked_at: None,
        checking_until: None,
    }
}

/// Links a person who is signed in and has asked for it.
async fn link_self(
    core: &Core,
    caller: &Caller,
    provider: &Provider,
    asserted: &Asserted,
    user: &User,
) -> Result<(), Denied> {
    let now = core.now();
    let id = IdentityId::new(now, core.rng.as_ref());
    let identity = new_link(id, &provider.id, asserted, user.id, now);
    let mut event = core.event(AuditKind::IdentityLinked, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "provider": provider.id, "sub": asserted.sub, "how": "signed in" });
    let done = core
        .store
        .write(move |tx| {
            identities::insert(tx, &identity)?;
            audit::append(tx, &event)
        })
        .await;
    match done {
        Ok(()) => Ok(()),
        Err(StoreError::Conflict) => Err(Denied::Linked),
        Err(error) => Err(error.into()),
    }
}

/// Gives a person the groups and the role that the provider's groups stand for, and takes those that it manages and does
/// not say any more, with what apps had through them.
async fn fit(
    core: &Core,
    caller: &Caller,
    provider: &Provider,
    asserted: &Asserted,
    mut user: User,
) -> Result<User, Denied> {
    let caller = Caller { by: Some(format!("identity provider {}", provider.id)), ..caller.clone() };
    let refuse = |error: OrderError| match error {
        OrderError::Fault(fault) => Denied::Fault(fault),
        _ => Denied::Stranger(Refusal::Unknown),
    };
    let groups = rules::groups_after(&provider.rules, asserted, &user.groups);
    if groups != user.groups {
        user = roles::set_groups(core, &caller, &user.email, groups).await.map_err(refuse)?;
    }
    let role = rules::role_after(&provider.rules, asserted, user.role);
    // Nobody is locked out of the console by what a provider forgets to say.
    let last = role < user.role && console::is_last_administrator(core, &user).await?;
    if role != user.role && !last {
        user = people::set_role(core, &caller, &user.email, role).await.map_err(refuse)?;
    }
    Ok(user)
}

pub(super) fn random(core: &Core) -> String {
    let mut bytes = [0u8; 32];
    core.rng.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unreachable(provider: &Provider, error: &ProviderError) -> Denied {
    tracing::warn!(provider = %provider.id, %error, "an identity provider cannot be asked");
    Denied::Unreachable
}

async fn unproven(core: &Core, caller: &Caller, provider: &Provider, why: &str) -> Denied {
    tracing::warn!(provider = %provider.id, why, "an answer of an identity provider proves nothing");
    match refused(core, caller, provider, why).await {
        Ok(()) => Denied::Unproven,
        Err(fault) => Denied::Fault(fault),
    }
}

async fn refused(core: &Core, caller: &Caller, provider: &Provider, why: &str) -> Result<(), Fault> {
    let mut event = core.event(AuditKind::IdentityRefused, caller, core.now());
    event.detail = serde_json::json!({ "provider": provider.id, "reason": why });
    Ok(core.store.write(move |tx| audit::append(tx, &event)).await?)
}
