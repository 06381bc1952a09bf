//! Signing keys and the master key.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum KeyCommand {
    /// List signing keys.
    List,
    /// Let the waiting keys take over and publish new ones to wait.
    Rotate,
    /// Prepare another master key to take the place of the configured one, while servers run: everything is sealed anew, and
    /// both master keys work until retire-master. Interrupted, run it again with --new-key-file.
    RotateMaster(RotateMasterArgs),
    /// Forget the master key before the configured one, when every server runs with the new one.
    RetireMaster {
        /// Retire although some things open under no key there is; they are lost already.
        #[arg(long)]
        lose_unreadable: bool,
    },
}

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("next").required(true).args(["generate", "new_key_file", "new_key_stdin"]))]
pub(in crate::cli) struct RotateMasterArgs {
    /// Make the new master key and write it to this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) generate: Option<PathBuf>,
    /// Read the new master key from this file: 32 bytes in base64.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) new_key_file: Option<PathBuf>,
    /// Read the new master key from stdin.
    #[arg(long)]
    pub(in crate::cli) new_key_stdin: bool,
    /// Put aside a rotation to another key that has begun, because that key is lost.
    #[arg(long)]
    pub(in crate::cli) instead: bool,
}
