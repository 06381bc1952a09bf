//! People and apps that nothing is heard of.

use std::time::Duration;

use clap::Subcommand;

use crate::types::duration;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum InactivityCommand {
    /// Show whom the rule of the configuration, or another, would warn, switch off and take approvals from, and when;
    /// nothing is done.
    Preview {
        /// Try this instead of inactivity.warn_after; the two others are then off unless given.
        #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
        warn_after: Option<Duration>,
        /// Try this instead of inactivity.disable_after.
        #[arg(long, value_name = "SPAN", value_parser = duration::parse, requires = "warn_after")]
        disable_after: Option<Duration>,
        /// Try this instead of inactivity.revoke_after.
        #[arg(long, value_name = "SPAN", value_parser = duration::parse, requires = "disable_after")]
        revoke_after: Option<Duration>,
    },
}
