//! What the tests stand on: a node with its database, a browser, apps, and an independent reader of tokens.

mod app;
mod browser;
mod certificates;
mod database;
mod guarded;
mod host;
mod idp;
mod jwt;
mod mcp;
mod node;
mod smtp;
mod tls_front;

pub use app::{App, Ask, VERIFIER, challenge_of};
pub use browser::{Browser, Form, Page};
pub use certificates::{Made, OVER};
pub use database::Database;
pub use guarded::Guarded;
pub use host::{Host, Served};
pub use idp::{Idp, Refreshes, Signs};
pub use jwt::{claims_of, header_of, verified};
pub use mcp::{Mcp, tool};
pub use node::{Answer, MASTER, Node};
pub use smtp::MailServer;
pub use tls_front::TlsFront;

/// The person of every test.
pub const EMAIL: &str = "ana@example.com";
/// Her password.
pub const PASSWORD: &str = "seven green umbrellas";
/// The MCP server of every test, with the scopes `notes:read` (given by default) and `notes:write`.
pub const NOTES: &str = "https://notes.example/mcp";
/// The state that apps send: characters that a careless echo would change.
pub const STATE: &str = "s+t/a=t&e %7E ü\"<>";
