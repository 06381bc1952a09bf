//! The page on which a person allows an app to use a server, or does not.

use askama::Template;

use super::{Moment, Shell};

/// The consent page. Posts `decision` (`allow` or `deny`), `scope` once per ticked permission, `request` and `csrf`
/// to `action`.
///
/// What it posts is a wish: the handler takes the intersection with the stored request, which alone is trusted.
#[derive(Debug, Clone, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// Frame of the page.
    pub shell: Shell,
    /// Path the form posts to, `base` included.
    pub action: String,
    /// Anti-forgery value.
    pub csrf: String,
    /// Handle of the stored authorization request.
    pub request: String,
    /// E-mail of the person who is signed in.
    pub person: String,
    /// Where to come back to after *Not you?*: the path and query of this authorization request.
    pub here: String,
    /// The app that asks.
    pub app: App,
    /// What is asked, by server; what concerns the person rather than a server in a group of its own.
    pub groups: Vec<Group>,
    /// Where the answer will be sent.
    pub destination: Destination,
    /// How long the approval lasts.
    pub duration: Duration,
    /// What changed about the app since this person last allowed it; not empty means: this is why we ask again.
    pub changes: Vec<Change>,
    /// When all of this was allowed before, that day: the page shrinks to one click with the permissions folded.
    pub approved_before: Option<Moment>,
}

/// An app, as the person should see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// What it calls itself, cleaned of control characters by the caller.
    pub name: String,
    /// Who vouches for the name.
    pub provenance: Provenance,
}

/// Who vouches for an app's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Its metadata document was fetched from this host.
    VerifiedDomain {
        /// Host of the client id.
        host: String,
    },
    /// An administrator registered it.
    Administrator,
    /// It registered itself; the name is its own claim.
    Unverified,
}

/// Permissions that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What they give access to.
    pub subject: Subject,
    /// The permissions, in the operator's order.
    pub permissions: Vec<Permission>,
}

/// What a group of permissions gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An MCP server.
    Server {
        /// The operator's name for it.
        name: String,
        /// Host, and path if there is one, of its URI: `mcp.example.com/notes`.
        location: String,
    },
    /// The person's own account here (`openid`, `profile`, `email`, `offline_access`).
    Person,
}

/// One permission that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Value of the check box.
    pub value: String,
    /// What it allows, in the operator's words.
    pub words: String,
    /// What the app can do with it, if the operator said so.
    pub risk: Option<Risk>,
    /// Whether the person gave it before.
    pub held: Held,
    /// Whether the box is ticked.
    pub checked: bool,
}

/// How far a permission reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// Looks, and leaves everything as it is.
    Reads,
    /// Makes or changes things.
    Changes,
    /// Can destroy things.
    Deletes,
}

/// What the person said about a permission before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Never asked, or never given.
    New,
    /// Given, and in force.
    Already,
}

/// Where the answer is sent: the redirect URI, as a person can judge it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A web address.
    Web {
        /// Host of the redirect URI.
        host: String,
    },
    /// A port on the person's own computer (RFC 8252 §7.3).
    Loopback {
        /// Host and port of the redirect URI.
        host: String,
    },
    /// An app that opens links of its own kind (RFC 8252 §7.1).
    PrivateScheme {
        /// Scheme of the redirect URI, without the colon.
        scheme: String,
    },
}

/// How long an approval lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duration {
    /// The end, whatever happens: a day (`21 November 2027`) or, when short, a time (`12:40 today`).
    pub until: Moment,
    /// It ends earlier after this long without use: `30 days`.
    pub idle: Option<String>,
    /// Whether the app stays connected while the person is away (it may refresh); the page says so.
    pub renews: bool,
}

/// Something about an app that differs from when it was last allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its name.
    Name,
    /// Where answers may be sent.
    ReturnAddress,
    /// The keys by which it proves itself.
    Keys,
}

impl ConsentPage {
    /// Names of the servers asked for, in order.
    fn servers(&self) -> Vec<(&str, &str)> {
        self.groups
            .iter()
            .filter_map(|group| match &group.subject {
                Subject::Server { name, location } => Some((name.as_str(), location.as_str())),
                Subject::Person => None,
            })
            .collect()
    }

    /// Only a difference is worth marking: when nothing was given before, nothing is called new.
    fn marks_new(&self) -> bool {
        self.permissions().any(|permission| permission.held == Held::Already)
    }

    fn count(&self) -> usize {
        self.permissions().count()
    }

    fn permissions(&self) -> impl Iterator<Item = &Permission> {
        self.groups.iter().flat_map(|group| &group.permissions)
    }
}

impl Permission {
    fn is_new(&self) -> bool {
        self.held == Held::New
    }
}
