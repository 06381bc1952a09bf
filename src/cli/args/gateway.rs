//! The gateway: what it shows to the servers behind it, and their tools.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::types::duration;
use crate::types::tool::ToolClass;
use crate::types::upstream_auth::AuthKind;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum UpstreamCommand {
    /// Keep, encrypted, what the gateway shows to a server behind it. It is read from standard input.
    Set(CredentialArgs),
    /// Use a server in each person's own name, by the authorization server in front of it.
    PerPerson(PerPersonArgs),
    /// Keep, encrypted, what the gateway shows to a server in TLS, or whom it trusts there; beside what it shows in a
    /// header. It takes the place of what was kept before. Without options, says what is kept.
    Tls(TlsArgs),
    /// List who has connected a server, and since when.
    Connections {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
    },
    /// Forget what a person was given at a server, and revoke it there.
    Disconnect {
        /// The URL of the server.
        uri: String,
        /// Whose, by e-mail.
        #[arg(long, value_name = "EMAIL")]
        user: String,
    },
    /// Forget what is shown; the gateway then shows nothing.
    Clear {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
    },
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("kind").required(true))]
pub(in crate::cli) struct CredentialArgs {
    /// The URL of the server, as in `postern resource list`.
    pub(in crate::cli) uri: String,
    /// Read a token; it goes into `Authorization: Bearer …`.
    #[arg(long, group = "kind")]
    pub(in crate::cli) bearer_stdin: bool,
    /// Read a password; it goes with this name into `Authorization: Basic …`.
    #[arg(long, value_name = "NAME", group = "kind")]
    pub(in crate::cli) basic: Option<String>,
    /// Read a value; it goes into the header of this name, such as X-Api-Key.
    #[arg(long, value_name = "NAME", group = "kind")]
    pub(in crate::cli) header: Option<String>,
    /// Read a value for the variable of this name in the environment of a server over stdio; may be repeated, a line each.
    #[arg(long, value_name = "NAME", group = "kind")]
    pub(in crate::cli) env: Vec<String>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct TlsArgs {
    /// The URL of the server, as in `postern resource list`.
    pub(in crate::cli) uri: String,
    /// The gateway's certificate there, and what leads from it to an authority, as PEM.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(in crate::cli) client_cert: Option<PathBuf>,
    /// Its private key, as PEM, not encrypted.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(in crate::cli) client_key: Option<PathBuf>,
    /// The certificate authorities that are trusted there, and no others, as PEM.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Forget it; the gateway then shows no certificate, and trusts whom everybody trusts.
    #[arg(long, conflicts_with_all = ["client_cert", "client_key", "ca"])]
    pub(in crate::cli) clear: bool,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct PerPersonArgs {
    /// The URL of the server, as in `postern resource list`.
    pub(in crate::cli) uri: String,
    /// How: each person allows it there in their browser (oauth), or this issuer vouches for them and its word is exchanged
    /// there (exchange: RFC 8693, id_jag: an identity assertion grant).
    #[arg(long, value_name = "WAY", default_value = "oauth", value_parser = kind)]
    pub(in crate::cli) by: AuthKind,
    /// The issuer of the tokens that the server takes. What the server says unless given.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) issuer: Option<String>,
    /// The gateway's client id there. Without it the gateway registers itself, or shows its metadata document.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) client_id: Option<String>,
    /// Read the gateway's client secret there from standard input.
    #[arg(long, requires = "client_id")]
    pub(in crate::cli) client_secret_stdin: bool,
    /// What to ask for there; may be repeated. What the server says unless given.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(in crate::cli) scopes: Vec<String>,
}

fn kind(text: &str) -> Result<AuthKind, String> {
    AuthKind::parse(text).ok_or_else(|| "expected oauth, exchange or id_jag".to_owned())
}

/// A token to be made for a client without OAuth.
#[derive(Args, Debug)]
pub(in crate::cli) struct GrantTokenArgs {
    /// For whom, by e-mail.
    #[arg(long, value_name = "EMAIL")]
    pub(in crate::cli) user: String,
    /// At which server behind the gateway.
    #[arg(long, value_name = "URI")]
    pub(in crate::cli) resource: String,
    /// What it is for: the name of a client or of a machine.
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// What it allows; may be repeated. What the server gives by default unless given.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(in crate::cli) scopes: Vec<String>,
    /// A tool that it may call; may be repeated. All that its scopes allow unless given.
    #[arg(long = "tool", value_name = "NAME")]
    pub(in crate::cli) tools: Vec<String>,
    /// How long it lives, such as 30d.
    #[arg(long, value_name = "SPAN", default_value = "90d", value_parser = duration::parse)]
    pub(in crate::cli) ttl: Duration,
}

/// A client's configuration to be moved behind the gateway.
#[derive(Args, Debug)]
pub(in crate::cli) struct ImportArgs {
    /// The configuration of Claude Code, Cursor or VS Code (JSON), or of Codex (TOML).
    pub(in crate::cli) file: PathBuf,
    /// Do it, and write the configuration without its keys here. Without this nothing is changed.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Servers over stdio, too: they run on the machine of this issuer then, and not on that of whoever uses them.
    #[arg(long)]
    pub(in crate::cli) stdio: bool,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ToolCommand {
    /// List the tools that a server behind the gateway has shown, and which may be called.
    List {
        /// The URL of the server.
        uri: String,
    },
    /// Let tools be called as they are now; with no name, all that wait.
    Approve {
        /// The URL of the server.
        uri: String,
        /// Their names.
        names: Vec<String>,
        /// What they can do: read, write, destructive or admin. What they say themselves unless given.
        #[arg(long, value_name = "CLASS", value_parser = class)]
        class: Option<ToolClass>,
    },
    /// Let nobody call tools, however they change.
    Block {
        /// The URL of the server.
        uri: String,
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(super) fn class(text: &str) -> Result<ToolClass, String> {
    ToolClass::parse(text).ok_or_else(|| "expected read, write, destructive or admin".to_owned())
}
