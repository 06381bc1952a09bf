//! The pages of a forgotten password.

use askama::Template;

use super::{PasswordFault, Shell};

/// `GET|POST /reset`. Posts `email`, or `token` and `password`, with `csrf`, to `/reset`.
#[derive(Debug, Clone, Template)]
#[template(path = "reset.html")]
pub struct ResetPage {
    /// Frame of the page.
    pub shell: Shell,
    /// How far it is.
    pub stage: ResetStage,
    /// Least length of a password, in characters.
    pub password_min: usize,
    /// Anti-forgery value.
    pub csrf: String,
}

/// How far somebody is who has forgotten a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResetStage {
    /// They say who they are.
    Ask {
        /// What was typed before.
        email: String,
        /// Why it did not do.
        problem: Option<AskProblem>,
    },
    /// If there is such an account, a mail is on its way.
    Sent {
        /// Minutes that its link works.
        minutes: u64,
    },
    /// They have followed the link.
    Choose {
        /// Its secret.
        token: String,
        /// Whose account it is.
        email: String,
        /// Why it was not set.
        problem: Option<ChooseProblem>,
    },
    /// The link does not work (any more).
    Dead,
    /// The new password is set.
    Done,
}

/// Why a mail could not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskProblem {
    /// That is no address.
    Email,
    /// There were too many; the next is heard after this many minutes.
    Throttled {
        /// Whole minutes, at least one.
        minutes: u64,
    },
    /// The form was too old, or not one that this browser was given.
    FormExpired,
}

/// Why a new password was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChooseProblem {
    /// The password will not do.
    Password(PasswordFault),
    /// The form was too old, or not one that this browser was given.
    FormExpired,
}
