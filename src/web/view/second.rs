//! The second step of signing in, setting up an authenticator app, and recovery codes.

use askama::Template;

use super::Shell;

/// `GET|POST /login/second`. Posts `code` or `recovery`, with `csrf` and `continue`.
#[derive(Debug, Clone, Template)]
#[template(path = "second.html")]
#[expect(clippy::struct_excessive_bools, reason = "each says whether one part of the page is there")]
pub struct SecondPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Anti-forgery value.
    pub csrf: String,
    /// Where to go afterwards.
    pub continue_to: String,
    /// Who is signing in.
    pub email: String,
    /// Whether they have an authenticator app.
    pub authenticator: bool,
    /// Whether they have a passkey that can be used here.
    pub passkey: bool,
    /// Whether they have recovery codes left.
    pub recovery: bool,
    /// Whether they are signed in and what they want to do asks for more.
    pub more: bool,
    /// Why the last try failed.
    pub problem: Option<SecondProblem>,
}

/// Why a second step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecondProblem {
    /// The code does not hold.
    Code,
    /// The recovery code does not hold.
    Recovery,
    /// The passkey does not hold.
    Passkey,
    /// Too many tries; the next is heard after this many seconds.
    Throttled {
        /// Whole seconds, at least one.
        seconds: u64,
    },
    /// The form was too old, or not one that this browser was given.
    FormExpired,
}

impl SecondPage {
    fn code_wrong(&self) -> bool {
        self.problem == Some(SecondProblem::Code)
    }

    fn recovery_wrong(&self) -> bool {
        self.problem == Some(SecondProblem::Recovery)
    }
}

/// Setting up an authenticator app. Posts `offer`, `code`, `csrf` and `continue` to `action`.
#[derive(Debug, Clone, Template)]
#[template(path = "enrol.html")]
pub struct EnrolPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Path the form posts to.
    pub action: String,
    /// Anti-forgery value.
    pub csrf: String,
    /// Where to go afterwards.
    pub continue_to: String,
    /// What is offered, sealed.
    pub offer: String,
    /// The same to type.
    pub key: String,
    /// The same to photograph.
    pub picture: Picture,
    /// Who sets it up.
    pub email: String,
    /// Whether it is needed to go on, rather than wished for.
    pub needed: bool,
    /// Why the last try failed.
    pub problem: Option<SecondProblem>,
}

/// A QR code: the side in modules, and the dark ones as the path of an SVG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Modules of a side, the quiet zone included.
    pub side: usize,
    /// Path data.
    pub path: String,
}

/// Recovery codes, shown once.
#[derive(Debug, Clone, Template)]
#[template(path = "recovery.html")]
pub struct RecoveryPage {
    /// Frame of the page.
    pub shell: Shell,
    /// The codes.
    pub codes: Vec<String>,
    /// Where to go afterwards.
    pub onward: String,
    /// Whether a second factor has just been added, rather than the codes made anew.
    pub first: bool,
}
