//! Roles, alerts and detectors.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::types::duration;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum AlertCommand {
    /// List open alerts, newest first.
    List {
        /// Also those that somebody has taken note of.
        #[arg(long)]
        all: bool,
    },
    /// Take note of an open alert, which closes it.
    Acknowledge {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum DetectorCommand {
    /// List the detectors and their rules.
    List,
    /// Change a detector's rule; what is not given stays.
    Set(RuleArgs),
    /// Show what a rule would have raised in the past; nothing is raised and nothing done.
    DryRun {
        #[command(flatten)]
        rule: RuleArgs,
        /// How far back.
        #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = duration::parse)]
        since: Duration,
    },
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RuleArgs {
    /// The detector; see `postern detector list`.
    pub(in crate::cli) detector: String,
    /// How many are too many.
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) threshold: Option<usize>,
    /// Within how long.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    pub(in crate::cli) window: Option<Duration>,
    /// alert, isolate or revoke.
    #[arg(long, value_name = "ACTION")]
    pub(in crate::cli) action: Option<String>,
    /// How long isolate lasts.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    pub(in crate::cli) isolate_for: Option<Duration>,
    /// Switch it on.
    #[arg(long, conflicts_with = "off")]
    pub(in crate::cli) on: bool,
    /// Switch it off.
    #[arg(long)]
    pub(in crate::cli) off: bool,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum RoleCommand {
    /// List the roles of a server and who has them.
    List {
        /// The server's URL.
        uri: String,
    },
    /// Define a role of a server, or change one. reader, injector and maintainer are there from the start.
    Define {
        /// The server's URL.
        uri: String,
        /// The role's name.
        name: String,
        /// A permission it allows; may be repeated.
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
    },
    /// Remove a role of a server; whoever had it has it no more.
    Remove {
        /// The server's URL.
        uri: String,
        /// The role's name.
        name: String,
    },
    /// Give a role. The first one given at a server closes it to everyone who has none.
    Give(RoleHolderArgs),
    /// Take a role back. With the last one taken, the server is open to everyone again.
    Take(RoleHolderArgs),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct RoleHolderArgs {
    /// The server's URL.
    pub(in crate::cli) uri: String,
    /// The role's name.
    pub(in crate::cli) role: String,
    #[command(flatten)]
    pub(in crate::cli) who: WhoArgs,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(in crate::cli) struct WhoArgs {
    /// The people of a group.
    #[arg(long, value_name = "GROUP")]
    pub(in crate::cli) group: Option<String>,
    /// One person.
    #[arg(long, value_name = "EMAIL")]
    pub(in crate::cli) user: Option<String>,
    /// Everyone who can sign in.
    #[arg(long)]
    pub(in crate::cli) everyone: bool,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum HookCommand {
    /// Let a program cut access by a signed message (Standard Webhooks). Its secret is printed once.
    Add {
        /// What it is called in the list of cuts.
        name: String,
        /// What it may cut: person, client, domain, resource, grant, network or everything; may be repeated. All but everything
        /// unless given.
        #[arg(long = "target", value_name = "KIND")]
        targets: Vec<String>,
    },
    /// List them.
    List,
    /// Take that back.
    Remove {
        /// Its id.
        id: String,
    },
}
