//! A person's second factors: adding, replacing and removing them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use url::form_urlencoded::byte_serialize;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters::Notice;
use super::login::{SignedIn, count_failure, longest_wait};
use super::outbox::noticed;
use crate::crypto::one_time::{self, SECRET_BYTES, base32};
use crate::storage::{StoreError, audit, factors, outbox, sessions, throttles};
use crate::types::audit::AuditKind;
use crate::types::factor::{Held, Method};
use crate::types::id::UserId;
use crate::types::policy::{RECOVERY_CODE_BYTES, RECOVERY_CODES, SIGN_IN_STEP_TTL};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;
use crate::types::user::User;

const OFFER: &str = "authenticator offer";
pub(super) const SECRET: &str = "one-time secret";

/// A secret that a person is shown, to set up an authenticator app with. Nothing is stored before they confirm it.
pub struct Offer {
    /// The secret.
    pub secret: Secret<[u8; SECRET_BYTES]>,
    /// The same for the form, sealed.
    pub sealed: String,
}

#[derive(Serialize, Deserialize)]
struct Offered {
    secret: [u8; SECRET_BYTES],
    user: UserId,
    at: Timestamp,
}

impl Offer {
    /// A fresh secret for this person. `bound_to` names the session or the sign-in that may confirm it.
    ///
    /// # Errors
    /// A fault.
    pub fn new(core: &Core, user: UserId, bound_to: &str) -> Result<Self, Fault> {
        let mut secret = [0u8; SECRET_BYTES];
        core.rng.fill(&mut secret);
        let text = serde_json::to_vec(&Offered { secret, user, at: core.now() })
            .map_err(|_| Fault::Bug("an offer does not serialise"))?;
        let sealed = core.master.seal(OFFER, bound_to, &text, core.rng.as_ref());
        Ok(Self { secret: Secret::new(secret), sealed: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// What a form brings back; `None` when it is old, or was made for somebody or somewhere else.
    #[must_use]
    pub fn open(core: &Core, user: UserId, bound_to: &str, sealed: &str) -> Option<Self> {
        let text = core.master.open(OFFER, bound_to, &URL_SAFE_NO_PAD.decode(sealed).ok()?)?;
        let offered: Offered = serde_json::from_slice(text.expose()).ok()?;
        let good = offered.user == user && core.now().since(offered.at) <= SIGN_IN_STEP_TTL * 2;
        good.then(|| Self { secret: Secret::new(offered.secret), sealed: sealed.to_owned() })
    }

    /// The secret as people type it.
    #[must_use]
    pub fn key(&self) -> String {
        grouped(&base32(self.secret.expose()))
    }

    /// The address that authenticator apps read from a picture.
    #[must_use]
    pub fn address(&self, brand: &str, email: &str) -> String {
        let plain = |text: &str| -> String {
            byte_serialize(text.replace(':', " ").as_bytes()).collect::<String>().replace('+', "%20")
        };
        let (brand, email) = (plain(brand), plain(email));
        let secret = base32(self.secret.expose());
        format!("otpauth://totp/{brand}:{email}?secret={secret}&issuer={brand}")
    }
}

fn grouped(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Seals the secret of an authenticator app for the database.
pub(super) fn seal(core: &Core, user: UserId, secret: &Secret<[u8; SECRET_BYTES]>) -> Vec<u8> {
    core.master.seal(SECRET, &user.to_string(), secret.expose(), core.rng.as_ref())
}

/// The inverse of [`seal`].
pub(super) fn open(core: &Core, user: UserId, sealed: &[u8]) -> Option<Secret<[u8; SECRET_BYTES]>> {
    let opened = core.master.open(SECRET, &user.to_string(), sealed)?;
    opened.expose().as_slice().try_into().ok().map(Secret::new)
}

/// Recovery codes to show once, and what is stored of them.
pub(super) fn new_recovery_codes(core: &Core, user: UserId) -> (Vec<String>, Vec<TokenDigest>) {
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| {
            let mut bytes = [0u8; RECOVERY_CODE_BYTES];
            core.rng.fill(&mut bytes);
            grouped(&base32(&bytes)).to_lowercase()
        })
        .collect();
    let digests = codes.iter().map(|code| recovery_digest(core, user, code)).collect();
    (codes, digests)
}

/// What is stored of a recovery code, however it is typed. It is short, so the digest is keyed.
pub(super) fn recovery_digest(core: &Core, user: UserId, code: &str) -> TokenDigest {
    let code: String = code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
    let mac = core.master.mac("recovery code", &[user.to_string().as_bytes(), code.as_bytes()]);
    TokenDigest::from_slice(&mac).unwrap_or_else(|| TokenDigest::of(&code))
}

/// Which second factors a person has.
///
/// # Errors
/// A fault.
pub async fn held(core: &Core, user: UserId) -> Result<Held, Fault> {
    Ok(core.store.read(move |tx| factors::held(tx, user)).await?)
}

/// How adding a factor ends.
pub enum Added {
    /// Done; with recovery codes to show once, when it is the first factor.
    Done(Vec<String>),
    /// The code does not fit.
    Mismatch,
    /// There is an authenticator app already.
    Exists,
    /// Too many codes that did not fit.
    Wait(std::time::Duration),
}

/// Adds an authenticator app whose code the person has just typed. Their other browsers that are signed in with one
/// factor only are signed out.
///
/// # Errors
/// A fault.
pub async fn add_authenticator(
    core: &Core,
    caller: &Caller,
    person: &SignedIn,
    offer: &Offer,
    code: &str,
) -> Result<Added, Fault> {
    let now = core.now();
    let (user, session) = (person.user.id, person.session.id);
    let keys = vec![format!("second {user}")];
    let step = one_time::step_of(&offer.secret, code, now);
    let (codes, digests) = new_recovery_codes(core, user);
    let sealed = seal(core, user, &offer.secret);
    let mut event = core.event(AuditKind::AuthenticatorAdded, caller, now);
    event.user_id = Some(user);
    let methods = person.session.methods.with(Method::OneTimeCode);
    let added = core
        .store
        .write(move |tx| {
            if let Some(left) = longest_wait(tx, &keys, now)? {
                return Ok(Added::Wait(left));
            }
            let Some(step) = step else {
                count_failure(tx, &keys, now)?;
                return Ok(Added::Mismatch);
            };
            let first = !factors::held(tx, user)?.any();
            factors::insert_secret(tx, user, &sealed, step, now)?;
            sessions::set_methods(tx, session, &methods)?;
            sessions::end_weak(tx, user)?;
            throttles::clear(tx, &format!("second {user}"))?;
            if first {
                factors::set_recovery_codes(tx, user, &digests, now)?;
            }
            audit::append(tx, &event)?;
            Ok(Added::Done(if first { codes.clone() } else { Vec::new() }))
        })
        .await;
    match added {
        Err(StoreError::Conflict) => Ok(Added::Exists),
        other => Ok(other?),
    }
}

/// Removes a person's authenticator app; with their last factor their recovery codes go too.
///
/// # Errors
/// A fault.
pub async fn remove_authenticator(core: &Core, caller: &Caller, user: &User) -> Result<bool, Fault> {
    let now = core.now();
    let mut event = core.event(AuditKind::AuthenticatorRemoved, caller, now);
    event.user_id = Some(user.id);
    let notice = noticed(core, caller, user, Notice::AuthenticatorRemoved)?;
    let id = user.id;
    Ok(core
        .store
        .write(move |tx| {
            if !factors::remove_secret(tx, id)? {
                return Ok(false);
            }
            if !factors::held(tx, id)?.any() {
                factors::set_recovery_codes(tx, id, &[], now)?;
            }
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?)
}

/// Makes new recovery codes, to be shown once; `None` for a person who has no factor that they could stand in for.
///
/// # Errors
/// A fault.
pub async fn renew_recovery_codes(
    core: &Core,
    caller: &Caller,
    user: &User,
) -> Result<Option<Vec<String>>, Fault> {
    let now = core.now();
    let (codes, digests) = new_recovery_codes(core, user.id);
    let mut event = core.event(AuditKind::RecoveryCodesMade, caller, now);
    event.user_id = Some(user.id);
    let id = user.id;
    let made = core
        .store
        .write(move |tx| {
            if !factors::held(tx, id)?.any() {
                return Ok(false);
            }
            factors::set_recovery_codes(tx, id, &digests, now)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    Ok(made.then_some(codes))
}
