//! The first administrator: a one-time link, printed while there is nobody.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::login::new_session;
use crate::account::password::{self, PasswordProblem};
use crate::storage::{audit, sessions, users};
use crate::types::audit::AuditKind;
use crate::types::factor::{Method, Methods};
use crate::types::id::UserId;
use crate::types::policy::SETUP_TTL;
use crate::types::secret::Secret;
use crate::types::token::{Token, TokenKind};
use crate::types::user::{Email, Role, User};

/// How setting up ends.
pub enum Setup {
    /// Done; the cookie's value.
    Done(Token),
    /// The e-mail is none.
    BadEmail,
    /// The password will not do.
    BadPassword(PasswordProblem),
    /// The link does not work (any more).
    BadLink,
}

/// A link for the first administrator; `None` when there is somebody already.
///
/// # Errors
/// A fault.
pub async fn offer(core: &Core) -> Result<Option<String>, Fault> {
    let now = core.now();
    let token = Token::generate(TokenKind::Setup, core.rng.as_ref());
    let digest = token.digest();
    let offered = core
        .store
        .write(move |tx| {
            if users::any(tx)? {
                return Ok(false);
            }
            sessions::insert_setup_link(tx, &digest, now, now.plus(SETUP_TTL))?;
            Ok(true)
        })
        .await?;
    Ok(offered.then(|| core.policy.issuer.url(&format!("/setup?token={}", token.expose()))))
}

/// Whether a link still works.
///
/// # Errors
/// A fault.
pub async fn is_open(core: &Core, link: &str) -> Result<bool, Fault> {
    let now = core.now();
    let Some(digest) = Token::parse(TokenKind::Setup, link).map(|token| token.digest()) else {
        return Ok(false);
    };
    Ok(core.store.read(move |tx| Ok(!users::any(tx)? && sessions::has_setup_link(tx, &digest, now)?)).await?)
}

/// Makes the first administrator and signs them in.
///
/// # Errors
/// A fault.
pub async fn complete(
    core: &Core,
    caller: &Caller,
    link: &str,
    email: &str,
    name: Option<String>,
    secret: Secret<String>,
) -> Result<Setup, Fault> {
    let now = core.now();
    if !is_open(core, link).await? {
        return Ok(Setup::BadLink);
    }
    let Some(digest) = Token::parse(TokenKind::Setup, link).map(|token| token.digest()) else {
        return Ok(Setup::BadLink);
    };
    let Ok(email) = Email::parse(email) else { return Ok(Setup::BadEmail) };
    if let Err(why) = password::check(secret.expose(), email.as_str()) {
        return Ok(Setup::BadPassword(why));
    }
    let hash = core.hasher.hash(secret).await.map_err(|_| Fault::Busy)?;
    let user = User {
        id: UserId::new(now, core.rng.as_ref()),
        email: email.as_str().to_owned(),
        name,
        role: Role::Admin,
        groups: Vec::new(),
        password_hash: Some(hash),
        second_factor_required: false,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let cookie = Token::generate(TokenKind::Session, core.rng.as_ref());
    let session = new_session(core, caller, &user, &cookie, &Methods::of(&[Method::Password]));
    let mut event = core.event(AuditKind::SetupCompleted, caller, now);
    event.user_id = Some(user.id);
    let done = core
        .store
        .write(move |tx| {
            if users::any(tx)? || !sessions::consume_setup_link(tx, &digest, now)? {
                return Ok(false);
            }
            users::insert(tx, &user, &email)?;
            sessions::insert(tx, &session)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    Ok(if done { Setup::Done(cookie) } else { Setup::BadLink })
}
