//! The audit log: reading it, proving it, and erasing a person from it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::endpoints::StreamCommand;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum AuditCommand {
    /// List records, oldest first; each option narrows.
    List {
        /// Not before: a moment (2026-11-21T08:00:00Z), a day (2026-11-21), or a span back from now (12h).
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// About these people, by e-mail; may be repeated.
        #[arg(long = "user", value_name = "EMAIL")]
        users: Vec<String>,
        /// About this client.
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Of this kind, such as login.failed.
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// The newest so many.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
        limit: Option<i64>,
    },
    /// Write records, oldest first, each with its place in the chain. With --json on standard output: one array of them.
    Export {
        /// JSON Lines (one object a line), or comma-separated values.
        #[arg(long, value_enum, default_value = "jsonl")]
        format: ExportFormat,
        /// Not before, as for `audit list`.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Before, in the same forms.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// About this person, by e-mail.
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// About this client.
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Into this file, which must not exist; standard output unless given.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Send the log somewhere as it grows.
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Check the whole log; exits 1 and names the first record at which the chain does not hold.
    Verify,
    /// Write evidence of one incident that anybody can verify with this issuer's public keys alone.
    Evidence(EvidenceArgs),
    /// Verify such a file, without a database or a secret; exits 1 and names the first line at which it does not hold.
    VerifyEvidence {
        /// The file.
        file: PathBuf,
        /// The issuer's key set as you fetched it, from ISSUER/jwks.json; without it the file only vouches for itself.
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
    },
}

/// How records are exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(in crate::cli) enum ExportFormat {
    /// JSON Lines.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv,
}

/// What evidence is about.
#[derive(Args, Debug)]
pub(in crate::cli) struct EvidenceArgs {
    /// Not before: a moment (2026-11-21T08:00:00Z), a day (2026-11-21), or a span back from now (12h).
    #[arg(long, value_name = "TIME", required_unless_present = "cut")]
    pub(in crate::cli) since: Option<String>,
    /// Before, in the same forms; now unless given.
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) until: Option<String>,
    /// About this person, by e-mail.
    #[arg(long, value_name = "EMAIL")]
    pub(in crate::cli) user: Option<String>,
    /// About this client.
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) client: Option<String>,
    /// About this MCP server.
    #[arg(long, value_name = "URI")]
    pub(in crate::cli) server: Option<String>,
    /// About what this cut hit; from a day before it to now unless said otherwise.
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "client", "server"])]
    pub(in crate::cli) cut: Option<String>,
    /// Into this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) out: PathBuf,
}

/// Whom to erase.
#[derive(Args, Debug)]
pub(in crate::cli) struct EraseArgs {
    /// E-mail address.
    pub(in crate::cli) email: String,
    /// The address once more, to do it: there is no way back.
    #[arg(long, value_name = "EMAIL")]
    pub(in crate::cli) confirm: Option<String>,
}
