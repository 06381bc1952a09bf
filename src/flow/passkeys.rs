//! Passkeys: adding and removing them, signing in with one, and showing one as a second factor.

use serde::{Deserialize, Serialize};

use super::core::{Caller, Core};
use super::factors::new_recovery_codes;
use super::failure::Fault;
use super::letters::Notice;
use super::login::{Login, SignedIn, begin_session, count_failure, longest_wait, network_key};
use super::outbox::noticed;
use super::second_step::{self, Ended, Shown, Waiting};
use crate::crypto::passkey::{Passkeys, Proof, State};
use crate::storage::{StoreError, audit, factors, outbox, passkeys, sessions, steps, users};
use crate::types::audit::AuditKind;
use crate::types::factor::{Method, Methods};
use crate::types::id::{PasskeyId, SessionId, UserId};
use crate::types::passkey::Passkey;
use crate::types::policy::{MAX_PASSKEY_NAME, MAX_PASSKEYS, SIGN_IN_STEP_TTL};
use crate::types::token::{Token, TokenKind};
use crate::types::user::User;

pub(super) const CEREMONY: &str = "passkey challenge";

/// A challenge that a page carries to the device.
pub struct Asked {
    /// What the form brings back.
    pub ceremony: Token,
    /// For the browser, as JSON.
    pub options: String,
}

/// What is remembered of a challenge.
#[derive(Serialize, Deserialize)]
struct Remembered {
    /// Whose passkey it has to be; anybody's when absent.
    user_id: Option<UserId>,
    /// In which browser, session or sign-in it was asked.
    bound_to: String,
    state: State,
}

/// The passkeys of a person.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, user: UserId) -> Result<Vec<Passkey>, Fault> {
    Ok(core.store.read(move |tx| passkeys::list(tx, user)).await?)
}

/// Asks a device for a new passkey; `None` when there cannot be one (more).
///
/// # Errors
/// A fault.
pub async fn ask_for_new(core: &Core, person: &SignedIn, browser: &str) -> Result<Option<Asked>, Fault> {
    let known = list(core, person.user.id).await?;
    if known.len() >= MAX_PASSKEYS {
        return Ok(None);
    }
    let credentials: Vec<String> = known.into_iter().map(|passkey| passkey.credential).collect();
    let name = person.user.name.as_deref().unwrap_or(&person.user.email);
    let asked = core.passkeys.ask_for_new(person.user.id, &person.user.email, name, &credentials);
    let Some(challenge) = asked else { return Ok(None) };
    let bound_to = format!("{browser} {}", person.session.id);
    let remembered = Remembered { user_id: Some(person.user.id), bound_to, state: challenge.state };
    remember(core, remembered, challenge.options).await.map(Some)
}

/// Asks for any passkey of anybody, or at the second step for one of the person's.
///
/// # Errors
/// A fault.
pub async fn ask(core: &Core, waiting: Option<&Waiting>, browser: &str) -> Result<Option<Asked>, Fault> {
    let (user_id, bound_to) = match waiting {
        Some(waiting) => (Some(waiting.user.id), format!("{browser} {}", waiting.name())),
        None => (None, browser.to_owned()),
    };
    let known: Vec<String> = match user_id {
        Some(user) => list(core, user).await?.into_iter().map(|passkey| passkey.credential).collect(),
        None => Vec::new(),
    };
    if user_id.is_some() && known.is_empty() {
        return Ok(None);
    }
    let Some(challenge) = core.passkeys.ask(&known) else { return Ok(None) };
    let remembered = Remembered { user_id, bound_to, state: challenge.state };
    remember(core, remembered, challenge.options).await.map(Some)
}

async fn remember(core: &Core, what: Remembered, options: String) -> Result<Asked, Fault> {
    let ceremony = Token::generate(TokenKind::Step, core.rng.as_ref());
    let text = serde_json::to_vec(&what).map_err(|_| Fault::Bug("a challenge does not serialise"))?;
    let digest = ceremony.digest();
    let sealed = core.master.seal(CEREMONY, &digest.hex(), &text, core.rng.as_ref());
    let expires_at = core.now().plus(SIGN_IN_STEP_TTL);
    core.store.write(move |tx| steps::insert(tx, &digest, what.user_id, &sealed, expires_at)).await?;
    Ok(Asked { ceremony, options })
}

/// Uses up a challenge, whatever comes of it: an answer is heard once, in the browser and by whom it was asked.
async fn recall(
    core: &Core,
    ceremony: &str,
    user: Option<UserId>,
    bound_to: &str,
) -> Result<Option<State>, Fault> {
    let Some(token) = Token::parse(TokenKind::Step, ceremony) else { return Ok(None) };
    let (digest, now) = (token.digest(), core.now());
    let sealed = core
        .store
        .write(move |tx| {
            let sealed = steps::find(tx, &digest, now)?;
            Ok(if steps::consume(tx, &digest, now)? { sealed } else { None })
        })
        .await?;
    let opened = sealed.and_then(|sealed| core.master.open(CEREMONY, &digest.hex(), &sealed));
    let found = opened.and_then(|text| serde_json::from_slice::<Remembered>(text.expose()).ok());
    Ok(found.filter(|one| one.user_id == user && one.bound_to == bound_to).map(|one| one.state))
}

/// How adding a passkey ends.
pub enum Added {
    /// Done; with recovery codes to show once, when it is the first factor.
    Done(Vec<String>),
    /// The answer does not hold, or comes too late, or the passkey is known already.
    Refused,
}

/// Adds a passkey. The person's other browsers that are signed in with one factor only are signed out.
///
/// # Errors
/// A fault.
pub async fn add(
    core: &Core,
    caller: &Caller,
    person: &SignedIn,
    browser: &str,
    answer: Answer<'_>,
    name: &str,
) -> Result<Added, Fault> {
    let now = core.now();
    let (user, session) = (person.user.id, person.session.id);
    let bound_to = format!("{browser} {session}");
    let Some(state) = recall(core, answer.ceremony, Some(user), &bound_to).await? else {
        return Ok(Added::Refused);
    };
    let Some(made) = core.passkeys.verify_new(&state, answer.text) else { return Ok(Added::Refused) };
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(MAX_PASSKEY_NAME).collect();
    let passkey = Passkey {
        id: PasskeyId::new(now, core.rng.as_ref()),
        credential_id: made.credential_id,
        user_id: user,
        name: if name.is_empty() { "Passkey".to_owned() } else { name },
        credential: made.credential,
        created_at: now,
        last_used_at: None,
    };
    let (codes, digests) = new_recovery_codes(core, user);
    let mut event = core.event(AuditKind::PasskeyAdded, caller, now);
    event.user_id = Some(user);
    event.detail = serde_json::json!({ "passkey": passkey.id, "name": passkey.name });
    let notice = noticed(core, caller, &person.user, Notice::PasskeyAdded)?;
    let methods = person.session.methods.with(Method::Passkey);
    let added = core
        .store
        .write(move |tx| {
            let first = !factors::held(tx, user)?.any();
            passkeys::insert(tx, &passkey)?;
            sessions::set_methods(tx, session, &methods)?;
            sessions::end_weak(tx, user)?;
            if first {
                factors::set_recovery_codes(tx, user, &digests, now)?;
            }
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)?;
            Ok(first)
        })
        .await;
    match added {
        Ok(first) => Ok(Added::Done(if first { codes } else { Vec::new() })),
        Err(StoreError::Conflict) => Ok(Added::Refused),
        Err(error) => Err(error.into()),
    }
}

/// Removes a passkey of this person; with their last factor their recovery codes go too.
///
/// # Errors
/// A fault.
pub async fn remove(core: &Core, caller: &Caller, owner: &User, id: PasskeyId) -> Result<bool, Fault> {
    let user = owner.id;
    let now = core.now();
    let mut event = core.event(AuditKind::PasskeyRemoved, caller, now);
    event.user_id = Some(user);
    event.detail = serde_json::json!({ "passkey": id });
    let notice = noticed(core, caller, owner, Notice::PasskeyRemoved)?;
    Ok(core
        .store
        .write(move |tx| {
            if !passkeys::remove(tx, user, id)? {
                return Ok(false);
            }
            if !factors::held(tx, user)?.any() {
                factors::set_recovery_codes(tx, user, &[], now)?;
            }
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?)
}

/// What a form brings back.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Which challenge it answers.
    pub ceremony: &'a str,
    /// What the device said, as JSON.
    pub text: &'a str,
}

/// Signs in with nothing but a passkey.
///
/// # Errors
/// A fault.
pub async fn enter(
    core: &Core,
    caller: &Caller,
    browser: &str,
    answer: Answer<'_>,
    replaces: Option<SessionId>,
) -> Result<Login, Fault> {
    let now = core.now();
    let keys: Vec<String> = network_key(caller).into_iter().collect();
    let wanted = keys.clone();
    if let Some(left) = core.store.lookup(move |tx| longest_wait(tx, &wanted, now)).await? {
        return Ok(Login::Wait(left));
    }
    if let Some(user) = prove(core, caller, None, browser, answer).await?
        && let Some(user) = core.store.lookup(move |tx| users::find(tx, user)).await?
    {
        return begin_session(core, caller, user, Methods::of(&[Method::Passkey]), replaces).await;
    }
    let mut event = core.event(AuditKind::LoginFailed, caller, now);
    event.detail = serde_json::json!({ "amr": [Method::Passkey.as_str()] });
    core.store
        .write(move |tx| {
            count_failure(tx, &keys, now)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(Login::Mismatch)
}

/// Takes a passkey as the second step.
///
/// # Errors
/// A fault.
pub async fn second(
    core: &Core,
    caller: &Caller,
    waiting: &Waiting,
    browser: &str,
    answer: Answer<'_>,
) -> Result<Ended, Fault> {
    let bound_to = format!("{browser} {}", waiting.name());
    let proven = prove(core, caller, Some(waiting.user.id), &bound_to, answer).await?;
    second_step::take(core, caller, waiting, Shown::Passkey { holds: proven.is_some() }).await
}

/// Whose passkey an answer proves, if it is one that may answer.
async fn prove(
    core: &Core,
    caller: &Caller,
    of: Option<UserId>,
    bound_to: &str,
    answer: Answer<'_>,
) -> Result<Option<UserId>, Fault> {
    let now = core.now();
    let Some(state) = recall(core, answer.ceremony, of, bound_to).await? else { return Ok(None) };
    let Some(named) = Passkeys::named(answer.text) else { return Ok(None) };
    let found = core.store.lookup(move |tx| passkeys::find(tx, &named)).await?;
    let Some(passkey) = found.filter(|passkey| of.is_none_or(|user| passkey.user_id == user)) else {
        return Ok(None);
    };
    let user = passkey.user_id;
    if !Passkeys::may_be_of(answer.text, user) {
        return Ok(None);
    }
    match core.passkeys.verify(state, answer.text, &passkey.credential) {
        Proof::Holds(becomes) => {
            let used = core
                .store
                .write(move |tx| passkeys::mark_used(tx, &passkey, becomes.as_deref(), now))
                .await?;
            Ok(used.then_some(user))
        }
        Proof::Copied => {
            let mut event = core.event(AuditKind::PasskeyCounter, caller, now);
            event.user_id = Some(user);
            event.detail = serde_json::json!({ "passkey": passkey.id, "name": passkey.name });
            core.store.write(move |tx| audit::append(tx, &event)).await?;
            Ok(None)
        }
        Proof::Nothing => Ok(None),
    }
}
