//! A small but real MCP server that `postern quickstart` protects: three tools over a person's notes, guarded by access
//! tokens as MCP's authorization pages ask of every server. It issues nothing and believes nothing: who calls is decided
//! by the [`TokenVerifier`] that it is given.

mod challenge;
mod door;
mod message;
mod metadata;
mod notes;
pub mod quickstart;
mod serve;
mod tools;

use std::path::PathBuf;
use std::sync::Arc;

pub use serve::serve;

use crate::types::issuer::Issuer;
use crate::types::resource_uri::ResourceUri;
use crate::types::scope::ScopeSet;
use crate::types::time::Clock;

/// The path of the MCP endpoint; the protected resource's URL ends in it.
pub const PATH: &str = "/mcp";

/// The name that people see for this server: `resource_name` (RFC 9728 §2).
pub const NAME: &str = "Notes";

/// The scopes of this server, each with what it allows, in the words of a consent page.
pub const SCOPES: [(&str, &str); 2] =
    [(READ, "Read your notes and see who you are signed in as"), (WRITE, "Add notes in your name")];

/// The scope that reading needs.
pub const READ: &str = "notes:read";

/// The scope that writing needs.
pub const WRITE: &str = "notes:write";

/// Most notes that one person keeps.
pub const MAX_NOTES: usize = 1_000;

/// Longest note in bytes.
pub const MAX_NOTE: usize = 4 * 1024;

/// Largest file of notes in bytes, everybody's together.
pub const MAX_NOTES_FILE: u64 = 64 * 1024 * 1024;

/// Notes that one answer of `note_list` holds at most.
pub const NOTES_A_PAGE: usize = 50;

/// Who is behind an access token that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// The person's id, or the client's own when it acts for itself (RFC 9068 §2.2).
    pub sub: String,
    /// The client that holds the token (RFC 8693 §4.3).
    pub client_id: String,
    /// What the token allows.
    pub scopes: ScopeSet,
    /// The standing approval that the token rests on.
    pub grant_id: Option<String>,
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Malformed, expired, revoked, of another issuer or for another server: 401.
    Invalid,
    /// It cannot be known now, for example because the revocations are not fresh: 503, never a guess.
    Unavailable,
}

/// Decides about access tokens: signature, issuer, `aud` = this server's URL, lifetime, and that it is not revoked.
pub trait TokenVerifier: Send + Sync {
    /// Who is behind `token`. Called once for every request, on the server's thread: it may take microseconds, not I/O.
    ///
    /// # Errors
    /// [`Refused::Invalid`] when the token does not hold, [`Refused::Unavailable`] when that cannot be known.
    fn verify(&self, token: &str) -> Result<Caller, Refused>;
}

/// What the server needs to know.
#[derive(Clone)]
pub struct DemoSettings {
    /// The issuer of the tokens, byte for byte as its metadata says (RFC 8414 §2).
    pub issuer: Issuer,
    /// This server's URL as people type it, ending in [`PATH`]: the `aud` of its tokens.
    pub resource: ResourceUri,
    /// The file that keeps the notes; its folder exists.
    pub notes_file: PathBuf,
    /// Where the time of a note comes from.
    pub clock: Arc<dyn Clock>,
}
