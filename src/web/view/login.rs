//! The sign-in page.

use askama::Template;

use super::Shell;

/// `GET /login`, and `POST /login` when it fails. Posts `email`, `password`, `csrf` and `continue` to `/login`.
#[derive(Debug, Clone, Template)]
#[template(path = "login.html")]
pub struct LoginPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Who sent the person here; absent when they came by themselves.
    pub asker: Option<Asker>,
    /// What was typed before, or the request's `login_hint`. The password is never given back.
    pub email: String,
    /// Why the last try failed.
    pub problem: Option<LoginProblem>,
    /// Anti-forgery value.
    pub csrf: String,
    /// Where to go afterwards: a path on this issuer that the handler has checked.
    pub continue_to: String,
    /// Whether passkeys can be used at this address.
    pub passkeys: bool,
    /// Whether a forgotten password can be set anew by mail.
    pub resets: bool,
    /// Identity providers where the person may sign in instead: short name and name.
    pub providers: Vec<(String, String)>,
}

/// The app on whose behalf the person is asked to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The app's name, as it calls itself.
    pub app: String,
    /// The MCP server's name and its host, path included where that tells servers apart; absent when unknown.
    pub server: Option<(String, String)>,
}

/// Why a sign-in failed, as far as the person may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProblem {
    /// No e-mail was typed.
    EmailMissing,
    /// No password was typed.
    PasswordMissing,
    /// No such pair: unknown e-mail, wrong password and disabled account look the same.
    Mismatch,
    /// Too many tries; the next is heard after this many seconds.
    Throttled {
        /// Whole seconds, at least one.
        seconds: u64,
    },
    /// The passkey is not known here, or did not hold.
    Passkey,
    /// Signing in at an identity provider came to nothing.
    Elsewhere {
        /// Why, and what to do, in words for the person.
        words: &'static str,
    },
    /// The form was too old, or not one that this browser was given.
    FormExpired,
    /// The request wants a fresh sign-in (`prompt=login` or `max_age`); no mistake of the person.
    Fresh,
    /// What the person is about to do wants a fresh sign-in; no mistake either.
    Confirm,
}

impl LoginPage {
    fn is_mistake(&self) -> bool {
        !matches!(self.problem, None | Some(LoginProblem::Fresh | LoginProblem::Confirm))
    }

    fn email_wrong(&self) -> bool {
        self.problem == Some(LoginProblem::EmailMissing)
    }

    fn password_wrong(&self) -> bool {
        matches!(self.problem, Some(LoginProblem::PasswordMissing | LoginProblem::Mismatch))
    }
}
