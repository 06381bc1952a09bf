//! Cedar policies about calls through the gateway.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum CedarCommand {
    /// Set the policies of a server behind the gateway, in the place of those before. What scopes, classes and rules let through
    /// has to be permitted by one of them and forbidden by none.
    Set {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
        /// The file, or - for standard input.
        file: PathBuf,
    },
    /// Show the policies of a server, as they were written.
    Show {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
    },
    /// Remove the policies of a server: scopes, classes and rules decide alone again.
    Remove {
        /// The URL of the server, as in `postern resource list`.
        uri: String,
    },
    /// Say what is wrong with policies, without setting them. Needs no database.
    Check {
        /// The file, or - for standard input.
        file: PathBuf,
    },
    /// Print the schema that policies are checked against. Needs no database.
    Schema,
}
