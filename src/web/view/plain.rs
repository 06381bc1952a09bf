//! Pages of one sentence: home, leaving, and back to the app.

use askama::Template;

use super::{Destination, Shell};

/// `GET` of the issuer itself, by a browser.
#[derive(Debug, Clone, Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// Frame of the page.
    pub shell: Shell,
    /// Host of the issuer.
    pub host: String,
    /// E-mail of the person who is signed in, if any.
    pub person: Option<String>,
    /// No user exists yet: say that the set-up link is in the server's output.
    pub fresh: bool,
}

/// `GET /account/security/idp/{id}`. Posts `csrf` to the same address.
#[derive(Debug, Clone, Template)]
#[template(path = "link.html")]
pub struct LinkPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Anti-forgery value.
    pub csrf: String,
    /// E-mail of the person.
    pub person: String,
    /// Short name of the identity provider.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// `GET /logout`: asks before it signs out, since a link must not do so by itself. Posts `csrf` to `/logout`.
#[derive(Debug, Clone, Template)]
#[template(path = "logout.html")]
pub struct LogoutPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Anti-forgery value.
    pub csrf: String,
    /// E-mail of the person.
    pub person: String,
}

/// After `POST /logout`.
#[derive(Debug, Clone, Template)]
#[template(path = "logged_out.html")]
pub struct LoggedOutPage {
    /// Frame of the page.
    pub shell: Shell,
}

/// After a decision, when the answer goes to something that takes no web page's place: the person can go back.
#[derive(Debug, Clone, Template)]
#[template(path = "done.html")]
pub struct DonePage {
    /// Frame of the page.
    pub shell: Shell,
    /// The app's name.
    pub app: String,
    /// What the person decided.
    pub outcome: Outcome,
    /// Where the answer goes, as on the consent page.
    pub destination: Destination,
    /// The complete redirect address. It holds the authorization code; its scheme has been checked.
    pub target: String,
    /// Follow `target` at once (a `refresh` of zero seconds), and leave the link for when that fails.
    pub follow: bool,
}

/// What the person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Allowed.
    Allowed,
    /// Denied.
    Denied,
}
