//! Signing in and out.

use std::time::Duration;

use super::core::{Caller, Core};
use super::failure::Fault;
use crate::account::login::{Failures, after_failure, network_of, wait};
use crate::account::session::{is_live, wants_touch};
use crate::storage::throttles::Throttle;
use crate::storage::{StoreError, Tx, audit, sessions, throttles, users};
use crate::types::audit::AuditKind;
use crate::types::factor::{Method, Methods};
use crate::types::id::SessionId;
use crate::types::policy::MAX_PASSWORD;
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
    let (user, failures) = core
        .store
        .lookup(move |tx| {
            let user = wanted.as_ref().map_or(Ok(None), |email| users::find_by_email(tx, email))?;
            let mut failures = Vec::new();
            for key in &wanted_keys {
                failures.push(throttles::find(tx, key)?);
            }
            Ok((user, failures))
        })
        .await?;
    let longest = failures.iter().flatten().filter_map(|throttle| wait(Some(of(throttle)), now)).max();
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
    let Some(user) = user.filter(|user| fits && user.disabled_at.is_none()) else {
        let mut event = core.event(AuditKind::LoginFailed, caller, now);
        event.user_id = None;
        core.store
            .write(move |tx| {
                for key in &keys {
                    count_failure(tx, key, now)?;
                }
                audit::append(tx, &event)
            })
            .await?;
        return Ok(Login::Mismatch);
    };
    enter(core, caller, Entry { user, methods: Methods::of(&[Method::Password]), replaces, keys }).await
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
    enter(core, caller, Entry { user, methods, replaces, keys: Vec::new() }).await
}

/// Somebody who has proved who they are.
struct Entry {
    user: User,
    methods: Methods,
    replaces: Option<SessionId>,
    /// Under which names their failures are counted, the account first.
    keys: Vec<String>,
}

async fn enter(core: &Core, caller: &Caller, entry: Entry) -> Result<Login, Fault> {
    let now = core.now();
    let cookie = Token::generate(TokenKind::Session, core.rng.as_ref());
    let session = new_session(core, caller, &entry.user, &cookie, &entry.methods);
    let mut event = core.event(AuditKind::LoginSucceeded, caller, now);
    event.user_id = Some(entry.user.id);
    event.detail = serde_json::json!({ "amr": entry.methods.names() });
    let waits = core
        .store
        .write(move |tx| {
            // Of a crowd that came in before the first failure was counted, nobody gets further than one by one.
            for key in &entry.keys {
                if let Some(left) = wait(throttles::find(tx, key)?.as_ref().map(of), now) {
                    return Ok(Some(left));
                }
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
    let mut keys = Vec::new();
    if let Some(email) = email {
        keys.push(format!("account {}", email.key()));
    }
    if let Some(address) = &caller.address {
        keys.push(format!("network {}", network_of(address)));
    }
    keys
}

const fn of(throttle: &Throttle) -> Failures {
    Failures { count: throttle.failures, blocked_until: throttle.blocked_until }
}

fn count_failure(tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<(), StoreError> {
    let known = throttles::find(tx, key)?;
    let next = after_failure(
        known.map_or(0, |throttle| throttle.failures),
        known.map_or(now, |throttle| throttle.updated_at),
        now,
    );
    let next = Throttle { failures: next.count, blocked_until: next.blocked_until, updated_at: now };
    throttles::put(tx, key, next)
}
