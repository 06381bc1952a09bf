//! Clients, and the tokens with which they may register themselves.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::types::duration;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ClientCommand {
    /// Add a client; prints its registration (RFC 7591), with the secret that is shown once.
    Add(NewClientArgs),
    /// List clients.
    List,
    /// Switch a client off; its tokens end at once.
    Disable {
        /// Its id.
        id: String,
    },
    /// Switch a client on again.
    Enable {
        /// Its id.
        id: String,
    },
    /// Remove a client and everything that rests on it.
    Remove {
        /// Its id.
        id: String,
    },
}

#[derive(Args, Debug)]
pub(in crate::cli) struct NewClientArgs {
    /// Its name for people.
    #[arg(long)]
    pub(in crate::cli) name: String,
    /// Where authorization codes may go; may be repeated.
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub(in crate::cli) redirect_uris: Vec<String>,
    /// What it may do at the token endpoint; may be repeated. authorization_code and refresh_token with a redirect
    /// URI, else client_credentials, unless given.
    #[arg(long = "grant-type", value_name = "TYPE")]
    pub(in crate::cli) grant_types: Vec<String>,
    /// How it proves itself: none, client_secret_basic, client_secret_post or private_key_jwt.
    #[arg(long, value_name = "METHOD", default_value = "client_secret_basic")]
    pub(in crate::cli) auth: String,
    /// A file with its public keys as a JWK set.
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    pub(in crate::cli) jwks: Option<PathBuf>,
    /// The URL of its public keys.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) jwks_uri: Option<String>,
    /// A resource that its client_credentials may reach; may be repeated.
    #[arg(long = "resource", value_name = "URI")]
    pub(in crate::cli) resources: Vec<String>,
    /// A scope it will ask for; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(in crate::cli) scopes: Vec<String>,
}

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum InitialAccessTokenCommand {
    /// Make a token; it is shown once.
    Add {
        /// What it is for, in words.
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// How long it works; without end unless given.
        #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
        ttl: Option<Duration>,
        /// How many registrations it allows; any number unless given.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
        uses: Option<i64>,
    },
    /// List tokens.
    List,
    /// Remove a token; what was registered with it stays.
    Remove {
        /// Its id.
        id: String,
    },
}
