//! Another e-mail address: asking for it, confirming it from there, and taking it back from the old one.

use std::time::Duration;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters;
use super::login::SignedIn;
use super::outbox::{count_mail, mail_keys, written};
use super::reset::state_of;
use crate::storage::{StoreError, audit, factors, mail_links, outbox, users};
use crate::types::audit::AuditKind;
use crate::types::mail::{LinkPurpose, MailLink};
use crate::types::policy::{EMAIL_CONFIRM_TTL, EMAIL_UNDO_TTL, MAIL_GIVE_UP, MAILS_PER_ACCOUNT};
use crate::types::secret::Secret;
use crate::types::token::{Token, TokenDigest, TokenKind};
use crate::types::user::{Email, User};

/// How asking ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// A mail is on its way to the new address.
    Done,
    /// No mail is sent here.
    Off,
    /// That is no address.
    BadEmail,
    /// That is the address which the account has.
    Same,
    /// Too many mails.
    Wait(Duration),
}

/// Asks to move a person's account to another address. Whether that one is taken is told to its owner alone.
///
/// # Errors
/// A fault.
pub async fn ask(core: &Core, caller: &Caller, person: &SignedIn, email: &str) -> Result<Asking, Fault> {
    if !core.policy.mail.is_on() {
        return Ok(Asking::Off);
    }
    let Ok(email) = Email::parse(email) else { return Ok(Asking::BadEmail) };
    let (user, now) = (&person.user, core.now());
    if email.as_str() == user.email {
        return Ok(Asking::Same);
    }
    let mut keys = mail_keys(email.key(), caller);
    keys.push((format!("mail for {}", user.id), MAILS_PER_ACCOUNT));
    let wanted = email.clone();
    let owner = core.store.read(move |tx| users::find_by_email(tx, &wanted)).await?;
    let token = Token::generate(TokenKind::MailLink, core.rng.as_ref());
    let origin = letters::origin(caller);
    let to = email.as_str();
    let letter = if owner.is_some_and(|owner| owner.id != user.id) {
        letters::email_taken(core, to, &origin)?
    } else {
        let address = core.policy.issuer.url(&format!("/email/confirm?token={}", token.expose()));
        letters::confirm_email(core, to, &origin, &address)?
    };
    let mails = written(core, "change of address", Some(user.id), letter, EMAIL_CONFIRM_TTL)?;
    // Made in either case, so that the same is written; the secret of one for a taken address goes nowhere.
    let link = MailLink {
        digest: token.digest(),
        purpose: LinkPurpose::ConfirmEmail,
        user_id: user.id,
        email: to.to_owned(),
        bound_to: state_of(user),
        created_at: now,
        expires_at: now.plus(EMAIL_CONFIRM_TTL),
    };
    let mut event = core.event(AuditKind::EmailChangeAsked, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": to });
    let wait = core
        .store
        .write(move |tx| {
            if let Some(left) = count_mail(tx, &keys, now)? {
                return Ok(Some(left));
            }
            mail_links::insert(tx, &link)?;
            outbox::insert_all(tx, &mails)?;
            audit::append(tx, &event)?;
            Ok(None)
        })
        .await?;
    Ok(wait.map_or(Asking::Done, Asking::Wait))
}

/// What a link would do, if it works still: the address, and whose account it is. It is not used up by looking.
///
/// # Errors
/// A fault.
pub async fn open(core: &Core, purpose: LinkPurpose, link: &str) -> Result<Option<(String, User)>, Fault> {
    let Some(token) = Token::parse(TokenKind::MailLink, link) else { return Ok(None) };
    let (digest, now) = (token.digest(), core.now());
    Ok(core
        .store
        .read(move |tx| {
            let Some(link) = mail_links::find(tx, &digest, purpose, now)? else { return Ok(None) };
            let user = users::find(tx, link.user_id)?.filter(|user| works(&link, user));
            Ok(user.map(|user| (link.email, user)))
        })
        .await?)
}

/// A confirmation rests on address and password as they were; the way back rests on nothing, since whoever has taken an
/// account over may have changed both.
fn works(link: &MailLink, user: &User) -> bool {
    link.purpose == LinkPurpose::UndoEmail || (user.disabled_at.is_none() && state_of(user) == link.bound_to)
}

/// How following a link ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moved {
    /// The account has this address now.
    Done(String),
    /// The link does not work (any more).
    BadLink,
    /// Another account has got the address in the meantime.
    Taken,
}

/// Moves an account to the address whose owner confirms it, and tells the one of before how to take it back.
///
/// # Errors
/// A fault.
pub async fn confirm(core: &Core, caller: &Caller, link: &str) -> Result<Moved, Fault> {
    let Some(token) = Token::parse(TokenKind::MailLink, link) else { return Ok(Moved::BadLink) };
    let Some((to, user)) = open(core, LinkPurpose::ConfirmEmail, link).await? else {
        return Ok(Moved::BadLink);
    };
    let Ok(email) = Email::parse(&to) else { return Ok(Moved::BadLink) };
    let now = core.now();
    let back = Token::generate(TokenKind::MailLink, core.rng.as_ref());
    let undo = MailLink {
        digest: back.digest(),
        purpose: LinkPurpose::UndoEmail,
        user_id: user.id,
        email: user.email.clone(),
        bound_to: TokenDigest::of(&user.email),
        created_at: now,
        expires_at: now.plus(EMAIL_UNDO_TTL),
    };
    let address = core.policy.issuer.url(&format!("/email/undo?token={}", back.expose()));
    let letter = letters::email_changed(core, &user.email, &to, &letters::origin(caller), &address)?;
    let mails = written(core, "change of address", Some(user.id), letter, MAIL_GIVE_UP)?;
    let mut event = core.event(AuditKind::EmailChanged, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": to, "was": user.email });
    let digest = token.digest();
    let moved = core
        .store
        .write(move |tx| {
            let Some(link) = mail_links::consume(tx, &digest, LinkPurpose::ConfirmEmail, now)? else {
                return Ok(false);
            };
            let Some(user) = users::hold(tx, link.user_id)?.filter(|user| works(&link, user)) else {
                return Ok(false);
            };
            if !users::set_email(tx, user.id, &user.email, &email, now)? {
                return Ok(false);
            }
            mail_links::insert(tx, &undo)?;
            outbox::insert_all(tx, &mails)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await;
    ended(moved, to)
}

/// Gives an account the address of before back. Whoever changed it may have changed everything else: every browser is signed
/// out, the password opens nothing any more, what was added since to sign in with is gone, and what was set going from the
/// new address ends. The owner sets a new password with a link that is mailed to them.
///
/// # Errors
/// A fault; [`Fault::Busy`] when too many hashes wait.
pub async fn undo(core: &Core, caller: &Caller, link: &str) -> Result<Moved, Fault> {
    let Some(token) = Token::parse(TokenKind::MailLink, link) else { return Ok(Moved::BadLink) };
    let Some((to, user)) = open(core, LinkPurpose::UndoEmail, link).await? else {
        return Ok(Moved::BadLink);
    };
    let Ok(email) = Email::parse(&to) else { return Ok(Moved::BadLink) };
    let now = core.now();
    let mut event = core.event(AuditKind::EmailChangeUndone, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "email": to, "was": user.email });
    let digest = token.digest();
    let nobodys = Token::generate(TokenKind::MailLink, core.rng.as_ref()).expose().to_owned();
    let hash = core.hasher.hash(Secret::new(nobodys)).await.map_err(|_| Fault::Busy)?;
    let moved = core
        .store
        .write(move |tx| {
            let Some(link) = mail_links::consume(tx, &digest, LinkPurpose::UndoEmail, now)? else {
                return Ok(false);
            };
            let Some(user) = users::hold(tx, link.user_id)? else { return Ok(false) };
            if !users::set_email(tx, user.id, &user.email, &email, now)? {
                return Ok(false);
            }
            mail_links::end_since(tx, user.id, link.created_at)?;
            // Ends every session and sign-in under way, too.
            users::set_password(tx, user.id, &hash, now)?;
            factors::forget_since(tx, user.id, link.created_at)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await;
    ended(moved, to)
}

fn ended(moved: Result<bool, StoreError>, to: String) -> Result<Moved, Fault> {
    match moved {
        Ok(true) => Ok(Moved::Done(to)),
        Ok(false) => Ok(Moved::BadLink),
        Err(StoreError::Conflict) => Ok(Moved::Taken),
        Err(error) => Err(error.into()),
    }
}
