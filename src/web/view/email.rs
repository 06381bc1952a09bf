//! The pages on which somebody gives their account another address, and takes that back.

use askama::Template;

use super::Shell;

/// `GET|POST /account/email`, `/email/confirm` and `/email/undo`. Posts `email`, or `token`, with `csrf`, to where it stands.
#[derive(Debug, Clone, Template)]
#[template(path = "email.html")]
pub struct EmailPage {
    /// Frame of the page.
    pub shell: Shell,
    /// How far it is.
    pub stage: EmailStage,
    /// Anti-forgery value.
    pub csrf: String,
}

/// How far somebody is who changes their address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailStage {
    /// They say which one they want.
    Ask {
        /// The one they have.
        now: String,
        /// What was typed before.
        wanted: String,
        /// Why it did not do.
        problem: Option<EmailProblem>,
    },
    /// A mail is on its way there.
    Sent {
        /// Where.
        to: String,
    },
    /// They have followed the link that went to the new address.
    Confirm {
        /// Its secret.
        token: String,
        /// The one they have.
        now: String,
        /// The one they will have.
        to: String,
    },
    /// They have it.
    Confirmed {
        /// The one they have now.
        to: String,
    },
    /// They have followed the link that went to the old address.
    Undo {
        /// Its secret.
        token: String,
        /// The one they have.
        now: String,
        /// The one they will have again.
        to: String,
    },
    /// They have the old one again.
    Undone {
        /// Which.
        to: String,
    },
    /// The link does not work (any more).
    Dead,
    /// Another account has got the address in the meantime.
    Taken,
}

/// Why a mail could not be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailProblem {
    /// That is no address.
    NoAddress,
    /// That is the one they have.
    Same,
    /// There were too many; the next is heard after this many minutes.
    Throttled {
        /// Whole minutes, at least one.
        minutes: u64,
    },
}
