//! The page that talks to a device: the only one with a script.

use askama::Template;

use super::Shell;

/// Makes or uses a passkey. Posts `ceremony`, `answer`, `csrf` and `continue` to `action`, a new one with its `name`.
#[derive(Debug, Clone, Template)]
#[template(path = "passkey.html")]
pub struct PasskeyPage {
    /// Frame of the page.
    pub shell: Shell,
    /// What it does.
    pub does: Does,
    /// Path the form posts to.
    pub action: String,
    /// Anti-forgery value.
    pub csrf: String,
    /// Where to go afterwards.
    pub continue_to: String,
    /// Which challenge it is.
    pub ceremony: String,
    /// The challenge, as JSON for the script.
    pub options: String,
    /// Whether it is the second step of a sign-in.
    pub second: bool,
    /// A name to begin with.
    pub name: String,
    /// Where *Go back* leads.
    pub back: String,
}

/// What the page does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Makes a passkey.
    Make,
    /// Uses one.
    Use,
}
