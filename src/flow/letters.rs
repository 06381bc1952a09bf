//! What the mails say. Each is short and says who asked, from where, and what to do if that was not you. The texts are in
//! `templates/mail/`; nothing that a stranger has written stands in them unbounded or on more than one line.

use askama::Template;

use super::core::{Caller, Core};
use super::failure::Fault;
use crate::account::browser;
use crate::types::duration;
use crate::types::mail::Letter;
use crate::types::policy::{ALERT_MAIL_WINDOW, ALERTS_IN_A_MAIL};
use crate::types::time::Timestamp;
use crate::types::user::User;

/// Longest piece of a mail that comes from outside, in characters.
const MAX_PIECE: usize = 200;

#[derive(Template)]
#[template(path = "mail/reset.txt")]
struct ResetText<'a> {
    issuer: &'a str,
    origin: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/confirm_email.txt")]
struct ConfirmEmailText<'a> {
    issuer: &'a str,
    origin: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/email_taken.txt")]
struct EmailTakenText<'a> {
    issuer: &'a str,
    origin: &'a str,
}

#[derive(Template)]
#[template(path = "mail/email_changed.txt")]
struct EmailChangedText<'a> {
    issuer: &'a str,
    origin: &'a str,
    email: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/invitation.txt")]
struct InvitationText<'a> {
    issuer: &'a str,
    inviter: &'a str,
    link: &'a str,
}

#[derive(Template)]
#[template(path = "mail/no_password.txt")]
struct NoPasswordText<'a> {
    issuer: &'a str,
    origin: &'a str,
}

#[derive(Template)]
#[template(path = "mail/notice.txt")]
struct NoticeText<'a> {
    what: &'a str,
    email: &'a str,
    issuer: &'a str,
    when: &'a str,
    origin: &'a str,
    security: &'a str,
}

#[derive(Template)]
#[template(path = "mail/alert.txt")]
struct AlertText<'a> {
    what: &'a str,
    alerts: &'a [String],
    more: usize,
    console: &'a str,
    window: &'a str,
}

/// What a person is told of without having asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// They changed their password.
    PasswordChanged,
    /// An administrator set it.
    PasswordSet,
    /// It was set with a mailed link.
    PasswordReset,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
    /// The authenticator app was removed.
    AuthenticatorRemoved,
}

impl Notice {
    /// The subject, and what happened in one sentence.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::PasswordChanged => {
                ("Your password was changed", "the password of your account was changed.")
            }
            Self::PasswordSet => {
                ("Your password was set", "an administrator has set the password of your account.")
            }
            Self::PasswordReset => (
                "Your password was changed",
                "a new password was set for your account with a link that we had mailed to you. Every browser was signed out.",
            ),
            Self::PasskeyAdded => ("A passkey was added", "a passkey was added to your account."),
            Self::PasskeyRemoved => ("A passkey was removed", "a passkey was removed from your account."),
            Self::AuthenticatorRemoved => {
                ("Your authenticator app was removed", "the authenticator app of your account was removed.")
            }
        }
    }
}

/// Something that a person is told of without having asked.
///
/// # Errors
/// Never in practice.
pub fn notice(
    core: &Core,
    user: &User,
    notice: Notice,
    caller: &Caller,
    now: Timestamp,
) -> Result<Letter, Fault> {
    let (subject, what) = notice.words();
    let text = NoticeText {
        what,
        email: &plain(&user.email),
        issuer: core.policy.issuer.as_str(),
        when: &now.rfc3339(),
        origin: &origin(caller),
        security: &core.policy.issuer.url("/account/security"),
    };
    letter(&user.email, subject, &text)
}

/// The way to a new password.
///
/// # Errors
/// Never in practice.
pub fn reset(core: &Core, to: &str, origin: &str, link: &str) -> Result<Letter, Fault> {
    let issuer = core.policy.issuer.as_str();
    letter(to, "Set a new password", &ResetText { issuer, origin, link })
}

/// Asks whether this address is to be the new one.
///
/// # Errors
/// Never in practice.
pub fn confirm_email(core: &Core, to: &str, origin: &str, link: &str) -> Result<Letter, Fault> {
    let issuer = core.policy.issuer.as_str();
    letter(to, "Confirm your new e-mail address", &ConfirmEmailText { issuer, origin, link })
}

/// That this address has an account already.
///
/// # Errors
/// Never in practice.
pub fn email_taken(core: &Core, to: &str, origin: &str) -> Result<Letter, Fault> {
    let issuer = core.policy.issuer.as_str();
    letter(to, "This address has an account already", &EmailTakenText { issuer, origin })
}

/// That the account has another address, with the way back.
///
/// # Errors
/// Never in practice.
pub fn email_changed(core: &Core, to: &str, email: &str, origin: &str, link: &str) -> Result<Letter, Fault> {
    let (issuer, email) = (core.policy.issuer.as_str(), &plain(email));
    letter(to, "Your e-mail address was changed", &EmailChangedText { issuer, origin, email, link })
}

/// An invitation.
///
/// # Errors
/// Never in practice.
pub fn invitation(core: &Core, to: &str, inviter: &str, link: &str) -> Result<Letter, Fault> {
    let issuer = core.policy.issuer.as_str();
    letter(to, "You are invited", &InvitationText { issuer, inviter: &plain(inviter), link })
}

/// That there is no password to reset.
///
/// # Errors
/// Never in practice.
pub fn no_password(core: &Core, to: &str, origin: &str) -> Result<Letter, Fault> {
    let issuer = core.policy.issuer.as_str();
    letter(to, "Your account has no password here", &NoPasswordText { issuer, origin })
}

/// Alerts of one kind; `lines` says one each.
///
/// # Errors
/// Never in practice.
pub fn alerts(core: &Core, to: &str, what: &str, lines: &[String]) -> Result<Letter, Fault> {
    let shown: Vec<String> = lines.iter().take(ALERTS_IN_A_MAIL).map(|line| plain(line)).collect();
    let text = AlertText {
        what,
        more: lines.len() - shown.len(),
        alerts: &shown,
        console: &core.policy.issuer.url("/admin/alerts"),
        window: &duration::format(ALERT_MAIL_WINDOW),
    };
    letter(to, &format!("Alert: {what}"), &text)
}

/// Where somebody is, in words.
#[must_use]
pub fn origin(caller: &Caller) -> String {
    let browser = caller.user_agent.as_deref().map(|agent| plain(&browser::in_words(Some(agent))));
    match (&caller.address, browser, &caller.by) {
        (_, _, Some(_)) => "the administration of this server".to_owned(),
        (Some(address), Some(browser), None) => format!("the network address {} ({browser})", plain(address)),
        (Some(address), None, None) => format!("the network address {}", plain(address)),
        (None, _, None) => "an unknown place".to_owned(),
    }
}

/// One line without anything that is not to be seen.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_PIECE).collect()
}

fn letter<T: Template>(to: &str, subject: &str, text: &T) -> Result<Letter, Fault> {
    let text = text.render().map_err(|_| Fault::Bug("a mail does not render"))?;
    Ok(Letter { to: to.to_owned(), subject: subject.to_owned(), text })
}
