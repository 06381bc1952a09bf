//! *Sign-in and security*: how a person proves who they are, and what has happened to their account.

use askama::Template;

use super::{Moment, Shell};

/// `GET /account/security`.
#[derive(Debug, Clone, Template)]
#[template(path = "security.html")]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one part of the page is there")]
pub struct SecurityPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Anti-forgery value.
    pub csrf: String,
    /// E-mail of the person.
    pub email: String,
    /// Name of the person, if they have one here.
    pub name: Option<String>,
    /// Whether to show the way to the console.
    pub administers: bool,
    /// Whether to show the way to servers that are used in the person's name.
    pub connects: bool,
    /// What was done just now.
    pub done: Option<SecurityDone>,
    /// Why a change of password failed.
    pub problem: Option<PasswordFault>,
    /// Least characters of a password.
    pub password_min: usize,
    /// Whether the address can be changed: mail is sent here.
    pub mails: bool,
    /// Whether the person has a password.
    pub has_password: bool,
    /// Whether the person may not do without a second factor.
    pub must: bool,
    /// Their authenticator app: when it was added and last used.
    pub authenticator: Option<(Moment, Option<Moment>)>,
    /// Recovery codes left; absent when there is nothing that they could stand in for.
    pub recovery_codes: Option<i64>,
    /// Their passkeys.
    pub passkeys: Vec<PasskeyLine>,
    /// Whether passkeys can be used at this address.
    pub passkeys_work: bool,
    /// Identity providers: short name, name, and whether the person is linked there.
    pub providers: Vec<(String, String, bool)>,
    /// What happened, newest first.
    pub events: Vec<EventLine>,
    /// Where older events begin.
    pub older: Option<i64>,
    /// Whether this is not the first page of events.
    pub later: bool,
}

/// A passkey of the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyLine {
    /// Handle that *Remove* posts.
    pub id: String,
    /// What its person calls it.
    pub name: String,
    /// When it was added.
    pub added: Moment,
    /// When it was last used.
    pub used: Option<Moment>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// Its name in the log; the template has the words.
    pub kind: &'static str,
    /// Which app it was about.
    pub app: Option<String>,
    /// When.
    pub at: Moment,
    /// From where.
    pub from: Option<String>,
}

/// What was done just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityDone {
    /// The password was changed.
    Password,
    /// The authenticator app was added.
    AuthenticatorAdded,
    /// The authenticator app was removed.
    AuthenticatorRemoved,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
}

/// Why a change of password failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordFault {
    /// The old one is wrong.
    Mismatch,
    /// The new one is too short.
    Short,
    /// The new one is too long.
    Long,
    /// The new one is among the first that are tried.
    Guessable,
    /// Too many tries; the next is heard after this many seconds.
    Throttled {
        /// Whole seconds, at least one.
        seconds: u64,
    },
}

impl SecurityPage {
    fn old_wrong(&self) -> bool {
        self.problem == Some(PasswordFault::Mismatch)
    }

    fn new_wrong(&self) -> bool {
        matches!(self.problem, Some(PasswordFault::Short | PasswordFault::Long | PasswordFault::Guessable))
    }
}
