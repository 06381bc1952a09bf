//! Whom we tell what happens here: webhooks, receivers of shared signals, streams of the audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::types::key::SigningAlg;
use crate::types::signal::SubjectFormat;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum WebhookCommand {
    /// Add a webhook (Standard Webhooks). Its signing secret is printed once.
    Add {
        /// Where messages are posted to.
        url: String,
        /// Which events, by name or pattern: alert.raised, access.cut, user.disabled, 'alert.*'; may be repeated.
        #[arg(long = "event", value_name = "EVENT", required = true)]
        events: Vec<String>,
    },
    /// Make a new signing secret, printed once; the one before it keeps signing beside it for a day.
    RotateSecret {
        /// Its id.
        id: String,
    },
    #[command(flatten)]
    Any(EndpointCommand),
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ReceiverCommand {
    /// Add a receiver of shared signals (CAEP session-revoked and credential-change, pushed as RFC 8935 says).
    Add(ReceiverArgs),
    #[command(flatten)]
    Any(EndpointCommand),
}

/// A receiver to be added.
#[derive(Args, Debug)]
pub(in crate::cli) struct ReceiverArgs {
    /// Where tokens are posted to.
    pub(in crate::cli) url: String,
    /// Its name for itself, the `aud` of its tokens.
    #[arg(long)]
    pub(in crate::cli) audience: String,
    /// How it knows people: `iss_sub` (this issuer and the `sub` of its tokens) or `email`.
    #[arg(long, value_name = "FORMAT", default_value = "iss_sub", value_parser = subject)]
    pub(in crate::cli) subject: SubjectFormat,
    /// How its tokens are signed: ES256, RS256 or EdDSA.
    #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = alg)]
    pub(in crate::cli) signing_alg: SigningAlg,
    /// Read what goes into the Authorization header from standard input, such as `Bearer …`.
    #[arg(long)]
    pub(in crate::cli) authorization_stdin: bool,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum StreamCommand {
    /// Send every record of the audit log somewhere, at least once and in the order of each lane.
    Add(StreamArgs),
    /// Make a new signing secret for a stream of signed batches, printed once.
    RotateSecret {
        /// Its id.
        id: String,
    },
    #[command(flatten)]
    Any(EndpointCommand),
}

/// A stream to be added.
#[derive(Args, Debug)]
pub(in crate::cli) struct StreamArgs {
    /// Where: syslog+tls://HOST:PORT, syslog+tcp://…, syslog+udp://… (RFC 5424), otlp+https://HOST/v1/logs (OTLP/HTTP, JSON), or
    /// https://… for signed batches.
    pub(in crate::cli) url: String,
    /// Begin with the oldest record there is, not with the next one.
    #[arg(long)]
    pub(in crate::cli) from_beginning: bool,
    /// Read what goes into the Authorization header from standard input.
    #[arg(long)]
    pub(in crate::cli) authorization_stdin: bool,
    /// Certificates (PEM) of the authority that a syslog+tls collector's certificate is from; the public ones unless given.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
}

/// What can be done with each kind.
#[derive(Subcommand, Debug)]
pub(in crate::cli) enum EndpointCommand {
    /// List them, and how they stand.
    List,
    /// Send one message at once, and say what came of it.
    Test {
        /// Its id.
        id: String,
    },
    /// List the newest messages to one, and what became of them.
    Deliveries {
        /// Its id.
        id: String,
    },
    /// Switch one on again that was switched off because it did not answer.
    Enable {
        /// Its id.
        id: String,
    },
    /// Remove one, with what waits for it.
    Remove {
        /// Its id.
        id: String,
    },
}

fn subject(text: &str) -> Result<SubjectFormat, String> {
    SubjectFormat::parse(text).ok_or_else(|| "expected iss_sub or email".to_owned())
}

fn alg(text: &str) -> Result<SigningAlg, String> {
    SigningAlg::parse(text).ok_or_else(|| "expected ES256, RS256 or EdDSA".to_owned())
}
