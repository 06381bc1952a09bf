//! *Your access*: which apps may do what in a person's name.

use askama::Template;

use super::{Moment, Permission, Provenance, Risk, Shell};

/// `GET /account`. *Remove* posts `access` and `csrf` to `/account/remove`; *Sign out* of another browser posts
/// `session` and `csrf` to `/account/sessions/end`.
#[derive(Debug, Clone, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
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
    /// What was removed just now: said once, after the redirect.
    pub removed: Option<Removed>,
    /// An app whose permissions were narrowed just now.
    pub narrowed: Option<String>,
    /// How many browsers were signed out just now.
    pub signed_out: usize,
    /// Standing approvals, the one used last first.
    pub accesses: Vec<Access>,
    /// Browsers in which the person is signed in, this one first; empty hides the section.
    pub sessions: Vec<Session>,
}

/// One approval: an app, a server, what it may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Handle that *Remove* posts.
    pub id: String,
    /// The app's name.
    pub app: String,
    /// Who vouches for that name.
    pub provenance: Provenance,
    /// Name and location of each server, as on the consent page.
    pub servers: Vec<(String, String)>,
    /// What it may do: words, and risk if known.
    pub permissions: Vec<(String, Option<Risk>)>,
    /// The same as boxes to tick off: value and words. One alone is removed, not narrowed.
    pub boxes: Vec<(String, String)>,
    /// When the person allowed it.
    pub allowed: Moment,
    /// When it was last used; absent when never.
    pub last_used: Option<LastUse>,
    /// When it ends by itself.
    pub until: Moment,
}

/// When and from where an approval was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Moment,
    /// From where: an address, or a place if one is known. Absent when not known.
    pub from: Option<String>,
}

/// An approval that was just taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The app's name.
    pub app: String,
    /// The servers' names.
    pub servers: Vec<String>,
}

/// A browser in which the person is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Handle that *Sign out* posts.
    pub id: String,
    /// The browser in words: `Firefox on Linux`.
    pub browser: String,
    /// Since when.
    pub since: Moment,
    /// When it was last seen.
    pub seen: Moment,
    /// From where the sign-in came.
    pub from: String,
    /// Whether it is the one that shows this page.
    pub this: bool,
}

impl Permission {
    /// The same permission as a line of *Your access*.
    #[must_use]
    pub fn line(&self) -> (String, Option<Risk>) {
        (self.words.clone(), self.risk)
    }
}
