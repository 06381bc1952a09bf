//! Signing in and out.

use std::time::Duration;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::second_step::{self, Step};
use crate::account::factor;
use crate::account::login::{Counted, Failures, blocked_until, network_of, wait};
use crate::account::session::{is_live, wants_touch};
use crate::storage::{StoreError, Tx, audit, factors, sessions, throttles, users};
use crate::types::audit::AuditKind;
use crate::types::factor::{Method, Methods};
use crate::types::id::{IdentityId, SessionId};
use crate::types::policy::{LOGIN_MEMORY, MAX_PASSWORD};
use crate::types::secret::Secret;
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenKind};
use crate::types::user::{Email, User};

/// A browser that is signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Its session.
    pub session: Session,
    /// Its person.
    pub user: User,
}

/// How a sign-in ends.
pub enum Login {
    /// Signed in; the cookie's value.
    Welcome(Token),
    /// So far so good, but a second factor is due; the value of the cookie that remembers it.
    SecondStep(Token),
    /// E-mail or password are wrong, or the person is switched off: which one is not said.
    Mismatch,
    /// Too many failures; not tried.
    Wait(Duration),
}

/// The person behind a session cookie, if it still counts.
///
/// # Errors
/// A fault.
pub async fn signed_in(core: &Core, cookie: Option<&str>) -> Result<Option<SignedIn>, Fault> {
    let Some(token) = cookie.and_then(|text| Token::parse(TokenKind::Session, text)) else { return Ok(None) };
    let now = core.now();
    let digest = token.digest();
    let found = core
        .store
        .lookup(move |tx| {
            let Some(session) = sessions::find(tx, &digest)? else { return Ok(None) };
            Ok(users::find(tx, session.user_id)?.map(|user| SignedIn { session, user }))
        })
        .await?;
    let idle = core.policy.session_idle_ttl;
    if let Some(person) = &found
        && super::hold::session_is_cut(core, &person.session, now).await?
    {
        return Ok(None);
    }
    let Some(person) = found.filter(|person| is_live(&person.session, &person.user, idle, now)) else {
        return Ok(None);
    };
    if wants_touch(&person.session, idle, now) {
        let id = person.session.id;
        core.store.write(move |tx| sessions::touch(tx, id, now)).await?;
    }
    Ok(Some(person))
}

/// Tries e-mail and password. An unknown e-mail costs the same hash as a known one.
///
/// # Errors
/// A fault; [`Fault::Busy`] when too many hashes wait.
pub async fn login(
    core: &Core,
    caller: &Caller,
    email: &str,
    password: Secret<String>,
    replaces: Option<SessionId>,
) -> Result<Login, Fault> {
    let now = core.now();
    let parsed = Email::parse(email).ok();
    let keys = throttle_keys(parsed.as_ref(), caller);
    let (wanted, wanted_keys) = (parsed.clone(), keys.clone());
    let (user, longest) = core
        .store
        .lookup(move |tx| {
            let user = wanted.as_ref().map_or(Ok(None), |email| users::find_by_email(tx, email))?;
            Ok((user, longest_wait(tx, &wanted_keys, now)?))
        })
        .await?;
    if let Some(longest) = longest {
        let mut event = core.event(AuditKind::LoginThrottled, caller, now);
        event.user_id = user.map(|user| user.id);
        core.store.write(move |tx| audit::append(tx, &event)).await?;
        return Ok(Login::Wait(longest));
    }
    let too_long = password.expose().len() > MAX_PASSWORD;
    let hash =
        user.as_ref().filter(|user| user.disabled_at.is_none()).and_then(|user| user.password_hash.clone());
    let fits = !too_long && core.hasher.verify(hash, password).await.map_err(|_| Fault::Busy)?;
    let named = user.as_ref().map(|user| user.id);
    let Some(user) = user.filter(|user| fits && user.disabled_at.is_none()) else {
        let mut event = core.event(AuditKind::LoginFailed, caller, now);
        // Whose account it was for is in the log alone; the page says nothing of it.
        event.user_id = named;
        core.store
            .write(move |tx| {
                count_failure(tx, &keys, now)?;
                audit::append(tx, &event)
            })
            .await?;
        return Ok(Login::Mismatch);
    };
    let methods = Methods::of(&[Method::Password]);
    enter(core, caller, Entry { user, methods, replaces, keys, elsewhere: None }).await
}

/// Begins a session for a person who has proved who they are by `methods`, here or elsewhere; the session that it
/// `replaces` in this browser ends. Never [`Login::Mismatch`] for a person who is not switched off.
///
/// # Errors
/// A fault.
pub async fn begin_session(
    core: &Core,
    caller: &Caller,
    user: User,
    methods: Methods,
    replaces: Option<SessionId>,
) -> Result<Login, Fault> {
    if user.disabled_at.is_some() {
        return Ok(Login::Mismatch);
    }
    enter(core, caller, Entry { user, methods, replaces, keys: Vec::new(), elsewhere: None }).await
}

/// The same for a person who has proved it to an identity provider, at a moment that it names.
///
/// # Errors
/// A fault.
pub(super) async fn begin_session_from(
    core: &Core,
    caller: &Caller,
    user: User,
    methods: Methods,
    replaces: Option<SessionId>,
    elsewhere: Elsewhere,
) -> Result<Login, Fault> {
    if user.disabled_at.is_some() {
        return Ok(Login::Mismatch);
    }
    enter(core, caller, Entry { user, methods, replaces, keys: Vec::new(), elsewhere: Some(elsewhere) }).await
}

/// A proof that was given elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere {
    /// Who they are there.
    pub(super) identity_id: IdentityId,
    /// When they proved it.
    pub(super) auth_time: Timestamp,
}

/// Somebody who has proved who they are.
struct Entry {
    user: User,
    methods: Methods,
    replaces: Option<SessionId>,
    /// Under which names their failures are counted, the account first.
    keys: Vec<String>,
    /// Where they proved it, if not here.
    elsewhere: Option<Elsewhere>,
}

async fn enter(core: &Core, caller: &Caller, entry: Entry) -> Result<Login, Fault> {
    let now = core.now();
    let (user, keys) = (entry.user.id, entry.keys.clone());
    let held = core.store.lookup(move |tx| factors::held(tx, user)).await?;
    if factor::second_is_due(&entry.user, &held, &entry.methods) {
        let step = Step {
            user_id: user,
            methods: entry.methods,
            auth_time: entry.elsewhere.map_or(now, |there| there.auth_time),
            identity_id: entry.elsewhere.map(|there| there.identity_id),
            replaces: entry.replaces,
            from: None,
        };
        return second_step::begin(core, caller, step, keys).await;
    }
    let cookie = Token::generate(TokenKind::Session, core.rng.as_ref());
    let session = Session {
        auth_time: entry.elsewhere.map_or(now, |there| there.auth_time),
        identity_id: entry.elsewhere.map(|there| there.identity_id),
        ..new_session(core, caller, &entry.user, &cookie, &entry.methods)
    };
    let mut event = core.event(AuditKind::LoginSucceeded, caller, now);
    event.user_id = Some(entry.user.id);
    event.detail = serde_json::json!({ "amr": entry.methods.names() });
    let waits = core
        .store
        .write(move |tx| {
            // Of a crowd that came in before the first failure was counted, nobody gets further than one by one.
            if let Some(left) = longest_wait(tx, &entry.keys, now)? {
                return Ok(Some(left));
            }
            // Whoever signs in anew must not keep the old session alive beside it.
            if let Some(old) = entry.replaces {
                sessions::delete(tx, old)?;
            }
            if let Some(key) = entry.keys.first() {
                throttles::clear(tx, key)?;
            }
            sessions::insert(tx, &session)?;
            audit::append(tx, &event)?;
            Ok(None)
        })
        .await?;
    Ok(waits.map_or(Login::Welcome(cookie), Login::Wait))
}

/// A session that begins now.
#[must_use]
pub fn new_session(core: &Core, caller: &Caller, user: &User, cookie: &Token, methods: &Methods) -> Session {
    let now = core.now();
    Session {
        id: SessionId::new(now, core.rng.as_ref()),
        digest: cookie.digest(),
        user_id: user.id,
        auth_time: now,
        methods: methods.clone(),
        identity_id: None,
        created_at: now,
        last_seen_at: now,
        expires_at: now.plus(core.policy.session_max_ttl),
        address: caller.address.clone(),
        user_agent: caller.user_agent.clone(),
    }
}

/// Ends a session.
///
/// # Errors
/// A fault.
pub async fn logout(core: &Core, caller: &Caller, person: &SignedIn) -> Result<(), Fault> {
    let now = core.now();
    let mut event = core.event(AuditKind::LoggedOut, caller, now);
    event.user_id = Some(person.user.id);
    let id = person.session.id;
    core.store
        .write(move |tx| {
            sessions::delete(tx, id)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(())
}

/// The account first, then the network. The account is counted by the name that was typed, in the form in which
/// names are looked up, so that neither case nor an unknown name escapes the count.
fn throttle_keys(email: Option<&Email>, caller: &Caller) -> Vec<String> {
    email.map(|email| format!("account {}", email.key())).into_iter().chain(network_key(caller)).collect()
}

/// How the name begins under which a network is counted.
const NETWORK: &str = "network ";

/// The name under which the failures of a caller's network are counted.
pub(super) fn network_key(caller: &Caller) -> Option<String> {
    caller.address.as_ref().map(|address| format!("{NETWORK}{}", network_of(address)))
}

/// How long whoever is counted under one of these names has to wait.
///
/// # Errors
/// A fault of the database.
pub(super) fn longest_wait(
    tx: &mut Tx<'_>,
    keys: &[String],
    now: Timestamp,
) -> Result<Option<Duration>, StoreError> {
    let mut longest = None;
    for key in keys {
        let known = throttles::find(tx, key)?;
        let failures =
            known.map(|known| Failures { count: known.failures, blocked_until: known.blocked_until });
        longest = longest.max(wait(failures, now));
    }
    Ok(longest)
}

/// Counts a failure under each of these names.
///
/// # Errors
/// A fault of the database.
pub(super) fn count_failure(tx: &mut Tx<'_>, keys: &[String], now: Timestamp) -> Result<(), StoreError> {
    for key in keys {
        let failures = throttles::count(tx, key, now.minus(LOGIN_MEMORY), now)?;
        let counted = if key.starts_with(NETWORK) { Counted::Network } else { Counted::Account };
        throttles::block(tx, key, blocked_until(counted, failures, now))?;
    }
    Ok(())
}
