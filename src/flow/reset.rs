//! A forgotten password: asking for a link, and setting a new password with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters::{self, Notice};
use super::outbox::{Content, count_mail, mail_keys, noticed, waiting, written};
use crate::account::password::{self, PasswordProblem};
use crate::storage::{audit, mail_links, outbox, throttles, users};
use crate::types::audit::AuditKind;
use crate::types::mail::{LinkPurpose, MailLink, Waiting};
use crate::types::policy::{MAIL_GIVE_UP, RESET_TTL};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::token::{Token, TokenDigest, TokenKind};
use crate::types::user::{Email, User};

/// What was asked for, and where.
#[derive(Serialize, Deserialize)]
pub(super) struct Asked {
    email: String,
    address: Option<String>,
    user_agent: Option<String>,
    request_id: Option<String>,
}

/// How asking ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// If there is an account, a mail is on its way.
    Done,
    /// No mail is sent here.
    Off,
    /// That is no address.
    BadEmail,
    /// Too many mails to this address or from this network.
    Wait(Duration),
}

/// Asks for a link. The same is read and written whether there is an account or not.
///
/// # Errors
/// A fault.
pub async fn ask(core: &Core, caller: &Caller, email: &str) -> Result<Asking, Fault> {
    if !core.policy.mail.is_on() {
        return Ok(Asking::Off);
    }
    let Ok(email) = Email::parse(email) else { return Ok(Asking::BadEmail) };
    let now = core.now();
    let keys = mail_keys(email.key(), caller);
    let asked = Asked {
        email: email.as_str().to_owned(),
        address: caller.address.clone(),
        user_agent: caller.user_agent.clone(),
        request_id: caller.request_id.clone(),
    };
    let mail = waiting(core, "password reset", None, &Content::Reset(asked), RESET_TTL)?;
    let wait = core
        .store
        .write(move |tx| {
            if let Some(left) = count_mail(tx, &keys, now)? {
                return Ok(Some(left));
            }
            outbox::insert(tx, &mail)?;
            Ok(None)
        })
        .await?;
    Ok(wait.map_or(Asking::Done, Asking::Wait))
}

/// The job's part: makes the link and writes the mail, when there is somebody to write to.
///
/// # Errors
/// A fault.
pub(super) async fn answer(core: &Core, mail: &Waiting, until: Timestamp, asked: Asked) -> Result<(), Fault> {
    let (id, now) = (mail.id, core.now());
    let caller = Caller {
        address: asked.address,
        user_agent: asked.user_agent,
        request_id: asked.request_id,
        by: None,
    };
    let found = match Email::parse(&asked.email) {
        Ok(email) => core.store.read(move |tx| users::find_by_email(tx, &email)).await?,
        Err(_) => None,
    };
    let Some(user) = found.filter(|user| user.disabled_at.is_none()) else {
        core.store.write(move |tx| outbox::remove(tx, id, until)).await?;
        return Ok(());
    };
    let origin = letters::origin(&caller);
    let mut event = core.event(AuditKind::PasswordResetAsked, &caller, now);
    event.user_id = Some(user.id);
    let (link, mails) = if user.password_hash.is_some() {
        let token = Token::generate(TokenKind::MailLink, core.rng.as_ref());
        let link = MailLink {
            digest: token.digest(),
            purpose: LinkPurpose::Reset,
            user_id: user.id,
            email: user.email.clone(),
            bound_to: state_of(&user),
            created_at: now,
            expires_at: now.plus(RESET_TTL),
        };
        let address = core.policy.issuer.url(&format!("/reset?token={}", token.expose()));
        let letter = letters::reset(core, &user.email, &origin, &address)?;
        (Some(link), written(core, "password reset", Some(user.id), letter, RESET_TTL)?)
    } else {
        let letter = letters::no_password(core, &user.email, &origin)?;
        (None, written(core, "password reset", Some(user.id), letter, MAIL_GIVE_UP)?)
    };
    Ok(core
        .store
        .write(move |tx| {
            if !outbox::remove(tx, id, until)? {
                return Ok(());
            }
            if let Some(link) = &link {
                mail_links::insert(tx, link)?;
            }
            outbox::insert_all(tx, &mails)?;
            audit::append(tx, &event)
        })
        .await?)
}

/// A digest of what a link rests on: once password or address have changed, it is dead.
pub(super) fn state_of(user: &User) -> TokenDigest {
    TokenDigest::of(&format!("{}\n{}", user.email, user.password_hash.as_deref().unwrap_or_default()))
}

/// Whose link this is, if it works still. It is not used up by looking.
///
/// # Errors
/// A fault.
pub async fn open(core: &Core, link: &str) -> Result<Option<User>, Fault> {
    let Some(token) = Token::parse(TokenKind::MailLink, link) else { return Ok(None) };
    let (digest, now) = (token.digest(), core.now());
    Ok(core
        .store
        .read(move |tx| {
            let Some(link) = mail_links::find(tx, &digest, LinkPurpose::Reset, now)? else { return Ok(None) };
            let user = users::find(tx, link.user_id)?;
            Ok(user.filter(|user| user.disabled_at.is_none() && state_of(user) == link.bound_to))
        })
        .await?)
}

/// How setting a new password ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// Done; every browser is signed out.
    Done,
    /// The link does not work (any more).
    BadLink,
    /// The password will not do.
    Bad(PasswordProblem),
}

/// Sets a new password and uses the link up. Nobody is signed in by it: a second factor is still asked for.
///
/// # Errors
/// A fault; [`Fault::Busy`] when too many hashes wait.
pub async fn complete(
    core: &Core,
    caller: &Caller,
    link: &str,
    secret: Secret<String>,
) -> Result<Reset, Fault> {
    let Some(user) = open(core, link).await? else { return Ok(Reset::BadLink) };
    let Some(token) = Token::parse(TokenKind::MailLink, link) else { return Ok(Reset::BadLink) };
    if let Err(why) = password::check(secret.expose(), &user.email) {
        return Ok(Reset::Bad(why));
    }
    let hash = core.hasher.hash(secret).await.map_err(|_| Fault::Busy)?;
    let (digest, now) = (token.digest(), core.now());
    let mut event = core.event(AuditKind::PasswordReset, caller, now);
    event.user_id = Some(user.id);
    let notice = noticed(core, caller, &user, Notice::PasswordReset)?;
    let account = Email::parse(&user.email).map(|email| email.key()).unwrap_or_default();
    let done = core
        .store
        .write(move |tx| {
            let Some(link) = mail_links::consume(tx, &digest, LinkPurpose::Reset, now)? else {
                return Ok(false);
            };
            let still = users::hold(tx, link.user_id)?
                .is_some_and(|user| user.disabled_at.is_none() && state_of(&user) == link.bound_to);
            if !still {
                return Ok(false);
            }
            users::set_password(tx, link.user_id, &hash, now)?;
            throttles::clear(tx, &format!("account {account}"))?;
            outbox::insert_all(tx, &notice)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    Ok(if done { Reset::Done } else { Reset::BadLink })
}
