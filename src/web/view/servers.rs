//! *Servers*: what a person may use, and what their client has to be told.

use askama::Template;

use super::Shell;

/// `GET /account/servers`.
#[derive(Debug, Clone, Template)]
#[template(path = "servers.html")]
pub struct ServersPage {
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
    /// The servers.
    pub servers: Vec<ServerLine>,
}

/// A server that the person may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLine {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// What each client is told: the client, where it goes, and what.
    pub snippets: Vec<(&'static str, &'static str, String)>,
}
