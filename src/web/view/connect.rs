//! Servers behind the gateway that are used in a person's name: allowing it, and taking it back.

use askama::Template;

use super::{Moment, Shell};

/// `GET /account/connect/{slug}`, and what comes back from the other side.
#[derive(Debug, Clone, Template)]
#[template(path = "connect.html")]
pub struct ConnectPage {
    /// Frame of the page.
    pub shell: Shell,
    /// What it shows.
    pub stage: ConnectStage,
}

/// What it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each page")]
pub enum ConnectStage {
    /// Whether to go there.
    Ask {
        /// Anti-forgery value.
        csrf: String,
        /// Handle of the server.
        slug: String,
        /// Its name.
        server: String,
        /// The host where the person allows it.
        host: String,
        /// The person who is signed in here.
        person: String,
        /// What is asked for there, in that side's words.
        scopes: Vec<String>,
        /// Since when it is allowed already.
        since: Option<Moment>,
        /// Seals the authorization request that waits for it; empty when none does.
        resume: String,
        /// Goes on with that request without it.
        later: Option<String>,
        /// Whether the other side did not go through with it just now.
        declined: bool,
    },
    /// It is done.
    Done {
        /// The server.
        server: String,
    },
    /// The link was made for somebody else.
    SomebodyElse {
        /// The person who is signed in here.
        person: String,
        /// The server.
        server: String,
    },
    /// It was begun elsewhere, was used, or took too long.
    Stale,
    /// The other side's answer proves nothing.
    Unproven,
}

/// `GET /account/connections`.
#[derive(Debug, Clone, Template)]
#[template(path = "connections.html")]
pub struct ConnectionsPage {
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
    /// The server whose connection was taken back just now.
    pub removed: Option<String>,
    /// The servers.
    pub places: Vec<PlaceLine>,
}

/// A server that is used in a person's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceLine {
    /// Handle.
    pub slug: String,
    /// Its name.
    pub server: String,
    /// The host where the person allows it.
    pub host: String,
    /// What was granted there.
    pub scope: String,
    /// Since when.
    pub since: Option<Moment>,
    /// When the other side ended it.
    pub ended: Option<Moment>,
}
