//! The second step of a sign-in: what is remembered between the two, and how the second is taken.

use serde::{Deserialize, Serialize};

use super::core::{Caller, Core};
use super::factors::{self as own, Offer};
use super::failure::Fault;
use super::login::{Login, SignedIn, count_failure, longest_wait, network_key, new_session};
use crate::crypto::one_time;
use crate::storage::{StoreError, Tx, audit, factors, sessions, steps, throttles, users};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::factor::{Held, Method, Methods};
use crate::types::id::{IdentityId, SessionId, UserId};
use crate::types::policy::SIGN_IN_STEP_TTL;
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};
use crate::types::user::User;

pub(super) const STEP: &str = "sign-in step";

/// What is remembered of a sign-in whose second step is due.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Who.
    pub user_id: UserId,
    /// What they have shown so far.
    pub methods: Methods,
    /// When that was.
    pub auth_time: Timestamp,
    /// Who they are at the identity provider where the first step was, if it was one.
    #[serde(default)]
    pub identity_id: Option<IdentityId>,
    /// The session in this browser that ends when a new one begins.
    pub replaces: Option<SessionId>,
    /// The session that is to become more: if it has ended, so has this.
    pub from: Option<SessionId>,
}

/// A second step that a browser is at.
pub struct Waiting {
    /// What is remembered.
    pub step: Step,
    /// Whose it is.
    pub user: User,
    /// What they can show.
    pub held: Held,
    digest: TokenDigest,
}

/// What a person shows.
pub enum Shown {
    /// The code of their authenticator app.
    Code(String),
    /// One of their recovery codes.
    RecoveryCode(String),
    /// A passkey of theirs.
    Passkey {
        /// Whether its answer holds.
        holds: bool,
    },
    /// The first code of an authenticator app that they are setting up on the way.
    NewAuthenticator {
        /// What they were offered.
        offer: Box<Offer>,
        /// The code.
        code: String,
    },
}

/// How a second step ends.
pub struct Ended {
    /// In which way.
    pub login: Login,
    /// New recovery codes to show once.
    pub recovery_codes: Vec<String>,
}

/// Remembers a sign-in until its second step. `keys` name whose failures hold it up, the account first.
///
/// # Errors
/// A fault.
pub(super) async fn begin(
    core: &Core,
    caller: &Caller,
    step: Step,
    keys: Vec<String>,
) -> Result<Login, Fault> {
    let now = core.now();
    let (token, sealed) = seal(core, &step)?;
    let digest = token.digest();
    let mut event = core.event(AuditKind::LoginHalfway, caller, now);
    event.user_id = Some(step.user_id);
    event.detail = serde_json::json!({ "amr": step.methods.names() });
    let waits = core
        .store
        .write(move |tx| {
            if let Some(left) = longest_wait(tx, &keys, now)? {
                return Ok(Some(left));
            }
            if let Some(key) = keys.first() {
                throttles::clear(tx, key)?;
            }
            steps::insert(tx, &digest, Some(step.user_id), &sealed, now.plus(SIGN_IN_STEP_TTL))?;
            audit::append(tx, &event)?;
            Ok(None)
        })
        .await?;
    Ok(waits.map_or(Login::SecondStep(token), Login::Wait))
}

/// Asks a person who is signed in for a second factor; the cookie's value.
///
/// # Errors
/// A fault.
pub async fn step_up(core: &Core, person: &SignedIn) -> Result<Token, Fault> {
    let now = core.now();
    let step = Step {
        user_id: person.user.id,
        methods: person.session.methods.clone(),
        auth_time: person.session.auth_time,
        identity_id: person.session.identity_id,
        replaces: Some(person.session.id),
        from: Some(person.session.id),
    };
    let (token, sealed) = seal(core, &step)?;
    let digest = token.digest();
    core.store
        .write(move |tx| steps::insert(tx, &digest, Some(step.user_id), &sealed, now.plus(SIGN_IN_STEP_TTL)))
        .await?;
    Ok(token)
}

fn seal(core: &Core, step: &Step) -> Result<(Token, Vec<u8>), Fault> {
    let token = Token::generate(TokenKind::Step, core.rng.as_ref());
    let text = serde_json::to_vec(step).map_err(|_| Fault::Bug("a step does not serialise"))?;
    let sealed = core.master.seal(STEP, &token.digest().hex(), &text, core.rng.as_ref());
    Ok((token, sealed))
}

/// The second step that this browser is at, if any.
///
/// # Errors
/// A fault.
pub async fn waiting(core: &Core, cookie: Option<&str>) -> Result<Option<Waiting>, Fault> {
    let Some(token) = cookie.and_then(|text| Token::parse(TokenKind::Step, text)) else { return Ok(None) };
    let (digest, now) = (token.digest(), core.now());
    let Some(sealed) = core.store.lookup(move |tx| steps::find(tx, &digest, now)).await? else {
        return Ok(None);
    };
    let opened = core.master.open(STEP, &digest.hex(), &sealed);
    let step = opened.and_then(|text| serde_json::from_slice::<Step>(text.expose()).ok());
    let Some(step) = step else { return Ok(None) };
    let user_id = step.user_id;
    let (user, held) =
        core.store.lookup(move |tx| Ok((users::find(tx, user_id)?, factors::held(tx, user_id)?))).await?;
    let user = user.filter(|user| user.disabled_at.is_none());
    Ok(user.map(|user| Waiting { step, user, held, digest }))
}

impl Waiting {
    /// The name to which an authenticator app that is offered here is bound.
    #[must_use]
    pub fn name(&self) -> String {
        self.digest.hex()
    }
}

/// What a proof has to do in the transaction that takes it.
enum Proof {
    Step(i64),
    Recovery(TokenDigest),
    Passkey,
    Enrol { sealed: Vec<u8>, step: i64, codes: Vec<TokenDigest>, added: Box<AuditEvent> },
}

/// Takes the second step: [`Login::Welcome`], [`Login::Wait`], or [`Login::Mismatch`] for a proof that does not hold,
/// was used before, or comes too late.
///
/// # Errors
/// A fault.
pub async fn take(core: &Core, caller: &Caller, waiting: &Waiting, shown: Shown) -> Result<Ended, Fault> {
    let now = core.now();
    let user = waiting.user.id;
    let keys: Vec<String> = std::iter::once(format!("second {user}")).chain(network_key(caller)).collect();
    let wanted = keys.clone();
    let (longest, secret) = core
        .store
        .lookup(move |tx| Ok((longest_wait(tx, &wanted, now)?, factors::find_secret(tx, user)?)))
        .await?;
    let plain = |login| Ok(Ended { login, recovery_codes: Vec::new() });
    if let Some(longest) = longest {
        let mut event = core.event(AuditKind::LoginThrottled, caller, now);
        event.user_id = Some(user);
        core.store.write(move |tx| audit::append(tx, &event)).await?;
        return plain(Login::Wait(longest));
    }
    let mut recovery_codes = Vec::new();
    let (method, proof) = match shown {
        Shown::Code(code) => {
            let secret = secret.and_then(|sealed| own::open(core, user, &sealed));
            let step = secret.and_then(|secret| one_time::step_of(&secret, &code, now));
            (Method::OneTimeCode, step.map(Proof::Step))
        }
        Shown::RecoveryCode(code) => {
            (Method::OneTimeCode, Some(Proof::Recovery(own::recovery_digest(core, user, &code))))
        }
        Shown::Passkey { holds } => (Method::Passkey, holds.then_some(Proof::Passkey)),
        Shown::NewAuthenticator { offer, code } => {
            let step = one_time::step_of(&offer.secret, &code, now);
            let proof = step.filter(|_| !waiting.held.any()).map(|step| {
                let digests;
                (recovery_codes, digests) = own::new_recovery_codes(core, user);
                let mut added = core.event(AuditKind::AuthenticatorAdded, caller, now);
                added.user_id = Some(user);
                Proof::Enrol {
                    sealed: own::seal(core, user, &offer.secret),
                    step,
                    codes: digests,
                    added: Box::new(added),
                }
            });
            (Method::OneTimeCode, proof)
        }
    };
    let mut failed = core.event(AuditKind::SecondFactorFailed, caller, now);
    failed.user_id = Some(user);
    let Some(proof) = proof else {
        core.store
            .write(move |tx| {
                count_failure(tx, &keys, now)?;
                audit::append(tx, &failed)
            })
            .await?;
        return plain(Login::Mismatch);
    };
    let methods = waiting.step.methods.with(method);
    let cookie = Token::generate(TokenKind::Session, core.rng.as_ref());
    // When the person proved it is when they began to: a second step later does not make the first one younger.
    let session = Session {
        auth_time: waiting.step.auth_time,
        identity_id: waiting.step.identity_id,
        ..new_session(core, caller, &waiting.user, &cookie, &methods)
    };
    let mut event = core.event(AuditKind::LoginSucceeded, caller, now);
    event.user_id = Some(user);
    event.detail = serde_json::json!({ "amr": methods.names() });
    let mut used = core.event(AuditKind::RecoveryCodeUsed, caller, now);
    used.user_id = Some(user);
    let taking =
        Taking { digest: waiting.digest, step: waiting.step.clone(), session, events: [event, used] };
    let outcome = core
        .store
        .write(move |tx| {
            if let Some(left) = longest_wait(tx, &keys, now)? {
                return Ok(Outcome::Wait(left));
            }
            let outcome = taking.commit(tx, &proof, now)?;
            match outcome {
                Outcome::In => {
                    if let Some(key) = keys.first() {
                        throttles::clear(tx, key)?;
                    }
                }
                _ => {
                    count_failure(tx, &keys, now)?;
                    audit::append(tx, &failed)?;
                }
            }
            Ok(outcome)
        })
        .await;
    match outcome {
        Ok(Outcome::In) => Ok(Ended { login: Login::Welcome(cookie), recovery_codes }),
        Ok(Outcome::Wait(left)) => plain(Login::Wait(left)),
        // Another browser has set one up in the meantime.
        Ok(Outcome::Out) | Err(StoreError::Conflict) => plain(Login::Mismatch),
        Err(error) => Err(error.into()),
    }
}

enum Outcome {
    In,
    Out,
    Wait(std::time::Duration),
}

struct Taking {
    digest: TokenDigest,
    step: Step,
    session: Session,
    events: [AuditEvent; 2],
}

impl Taking {
    /// The proof first, which is used up whatever comes of it; then the step; then the session.
    fn commit(&self, tx: &mut Tx<'_>, proof: &Proof, now: Timestamp) -> Result<Outcome, StoreError> {
        let user = self.step.user_id;
        let [event, used] = &self.events;
        let holds = match proof {
            Proof::Step(step) => factors::take_step(tx, user, *step, now)?,
            Proof::Recovery(code) => {
                let taken = factors::use_recovery_code(tx, user, code)?;
                if taken {
                    audit::append(tx, used)?;
                }
                taken
            }
            Proof::Passkey => true,
            Proof::Enrol { .. } => !factors::held(tx, user)?.any(),
        };
        if !holds || !steps::consume(tx, &self.digest, now)? {
            return Ok(Outcome::Out);
        }
        if let Some(from) = self.step.from
            && sessions::end(tx, user, Some(from), None)? != 1
        {
            return Ok(Outcome::Out);
        }
        if let Some(old) = self.step.replaces {
            sessions::delete(tx, old)?;
        }
        if let Proof::Enrol { sealed, step, codes, added } = proof {
            factors::insert_secret(tx, user, sealed, *step, now)?;
            factors::set_recovery_codes(tx, user, codes, now)?;
            sessions::end_weak(tx, user)?;
            audit::append(tx, added)?;
        }
        sessions::insert(tx, &self.session)?;
        audit::append(tx, event)?;
        Ok(Outcome::In)
    }
}
