//! The page on which the first administrator is made.

use askama::Template;

use super::Shell;

/// `GET /setup?…`, and `POST /setup` when it fails. Posts `email`, `name`, `password`, `setup` and `csrf` to `/setup`.
#[derive(Debug, Clone, Template)]
#[template(path = "setup.html")]
pub struct SetupPage {
    /// Frame of the page.
    pub shell: Shell,
    /// What was typed before.
    pub email: String,
    /// What was typed before.
    pub name: String,
    /// Least length of a password, in characters.
    pub password_min: usize,
    /// Why the last try failed.
    pub problem: Option<SetupProblem>,
    /// The one-time secret of the link.
    pub setup: String,
    /// Anti-forgery value.
    pub csrf: String,
}

/// Why the first administrator could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupProblem {
    /// Not an e-mail address.
    Email,
    /// The password is shorter than the least length.
    PasswordShort,
    /// The password is longer than can be taken.
    PasswordLong {
        /// Most characters taken.
        most: usize,
    },
    /// The password is one that attackers try first, or is the e-mail address.
    PasswordGuessable,
    /// The form was too old, or not one that this browser was given.
    FormExpired,
}

impl SetupPage {
    fn email_wrong(&self) -> bool {
        self.problem == Some(SetupProblem::Email)
    }

    fn password_wrong(&self) -> bool {
        matches!(
            self.problem,
            Some(
                SetupProblem::PasswordShort
                    | SetupProblem::PasswordLong { .. }
                    | SetupProblem::PasswordGuessable
            )
        )
    }
}
