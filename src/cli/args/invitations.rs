//! Invitations.

use clap::Args;

use crate::types::user::Role;

/// Somebody to be invited.
#[derive(Args, Debug)]
pub(in crate::cli) struct InviteArgs {
    /// E-mail address; the name to sign in with.
    pub(in crate::cli) email: String,
    /// Name to begin with.
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// What they may do in the console.
    #[arg(long, default_value = "member", value_parser = super::role)]
    pub(in crate::cli) role: Role,
    /// A group they will belong to; may be repeated.
    #[arg(long = "group", value_name = "GROUP")]
    pub(in crate::cli) groups: Vec<String>,
}
