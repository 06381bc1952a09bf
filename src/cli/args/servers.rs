//! MCP servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::types::call_limit::CallLimit;
use crate::types::duration;
use crate::types::kept_argument::KeptArgument;
use crate::types::key::SigningAlg;
use crate::types::page_origin::PageOrigin;
use crate::types::resource::PassKind;

#[derive(Subcommand, Debug)]
pub(in crate::cli) enum ResourceCommand {
    /// Add an MCP server; prints, once, the credentials with which it may call /introspect. The server is asked for
    /// its protected-resource metadata, which fills in what is not given here.
    Add(NewResourceArgs),
    /// List MCP servers.
    List,
    /// Change the settings of an MCP server; what is not given stays. Approvals of clients that may not ask any more end.
    Set(ResourceChangeArgs),
    /// Remove an MCP server; every approval and token for it ends.
    Remove {
        /// Its URL.
        uri: String,
    },
}

#[derive(Args, Debug)]
pub(in crate::cli) struct NewResourceArgs {
    /// Its URL; the `aud` of its tokens.
    pub(in crate::cli) uri: String,
    /// Its name for people; from its metadata unless given.
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// A scope and what it allows in words, as NAME=WORDS; may be repeated. From its metadata unless given.
    #[arg(long = "scope", value_name = "NAME=WORDS")]
    pub(in crate::cli) scopes: Vec<String>,
    /// A scope that is granted to requests that name none; may be repeated. All of them unless given.
    #[arg(long = "default-scope", value_name = "NAME")]
    pub(in crate::cli) default_scopes: Vec<String>,
    /// Life of its access tokens, 1s to 1h.
    #[arg(long, value_name = "SPAN", value_parser = duration::parse)]
    pub(in crate::cli) access_token_ttl: Option<Duration>,
    /// How its tokens are signed: ES256, RS256 or EdDSA.
    #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = super::signing_alg)]
    pub(in crate::cli) signing_alg: SigningAlg,
    /// Requests without `resource` mean this one.
    #[arg(long)]
    pub(in crate::cli) default: bool,
    /// Let only listed clients ask, this one among them, by id; may be repeated.
    #[arg(long = "allow-client", value_name = "ID")]
    pub(in crate::cli) allow_clients: Vec<String>,
    /// Let only listed clients ask, among them those whose metadata document lives at this domain; may be repeated.
    #[arg(long = "allow-domain", value_name = "DOMAIN")]
    pub(in crate::cli) allow_domains: Vec<String>,
    /// Let nobody allow access here without a second factor.
    #[arg(long)]
    pub(in crate::cli) require_second_factor: bool,
    /// Do not ask the server for its metadata.
    #[arg(long)]
    pub(in crate::cli) no_look: bool,
    /// Its path segment at the gateway.
    #[arg(long, requires = "upstream")]
    pub(in crate::cli) slug: Option<String>,
    /// Where the gateway forwards to.
    #[arg(long, value_name = "URL", requires = "slug")]
    pub(in crate::cli) upstream: Option<String>,
}

#[expect(clippy::struct_excessive_bools, reason = "one switch an option of the command line")]
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(in crate::cli) struct ResourceChangeArgs {
    /// Its URL.
    pub(in crate::cli) uri: String,
    /// Its name for people.
    #[arg(long, group = "change")]
    pub(in crate::cli) name: Option<String>,
    /// Whether nobody allows access here without a second factor: required, or optional.
    #[arg(long, value_name = "RULE", value_parser = required, group = "change")]
    pub(in crate::cli) second_factor: Option<bool>,
    /// Let any client ask, after a person's consent.
    #[arg(long, group = "change", conflicts_with_all = ["only_added_clients", "allow_clients", "allow_domains"])]
    pub(in crate::cli) allow_any_client: bool,
    /// Let only clients ask that an administrator has added.
    #[arg(long, group = "change", conflicts_with_all = ["allow_clients", "allow_domains"])]
    pub(in crate::cli) only_added_clients: bool,
    /// Let only listed clients ask, this one among them, by id; may be repeated. Takes the place of the old list.
    #[arg(long = "allow-client", value_name = "ID", group = "change")]
    pub(in crate::cli) allow_clients: Vec<String>,
    /// Let only listed clients ask, among them those whose metadata document lives at this domain; may be repeated.
    #[arg(long = "allow-domain", value_name = "DOMAIN", group = "change")]
    pub(in crate::cli) allow_domains: Vec<String>,
    /// At the gateway: whether every call has to be on record before it goes out, also one that only reads: required, or
    /// optional.
    #[arg(long, value_name = "RULE", value_parser = required, group = "change")]
    pub(in crate::cli) record_first: Option<bool>,
    /// At the gateway: let only listed kinds of callers in, this one among them: app, grant_token or machine; may be
    /// repeated. Takes the place of the old list.
    #[arg(long, value_name = "KIND", value_parser = kind, group = "change")]
    pub(in crate::cli) accept: Vec<PassKind>,
    /// At the gateway: let every kind of caller in.
    #[arg(long, group = "change", conflicts_with = "accept")]
    pub(in crate::cli) accept_any: bool,
    /// At the gateway: most messages of one person or machine a minute, or none for no limit.
    #[arg(long, value_name = "N", value_parser = limit::<u32>, group = "change")]
    pub(in crate::cli) calls_per_minute: Option<Limit<u32>>,
    /// At the gateway: most bytes that go out to one person or machine an hour, or none for no limit.
    #[arg(long, value_name = "BYTES", value_parser = limit::<u64>, group = "change")]
    pub(in crate::cli) bytes_per_hour: Option<Limit<u64>>,
    /// At the gateway: let only callers in with a listed client certificate, this one among them, by its SHA-256 fingerprint;
    /// may be repeated. With --client-cert-ca, takes the place of the old rule.
    #[arg(long, value_name = "HEX", group = "change")]
    pub(in crate::cli) client_cert_sha256: Vec<String>,
    /// At the gateway: let only callers in with a client certificate that one of these authorities has signed, or one that is
    /// listed; a file, as PEM.
    #[arg(long, value_name = "FILE", group = "change")]
    pub(in crate::cli) client_cert_ca: Option<PathBuf>,
    /// At the gateway: let callers in without a client certificate.
    #[arg(long, group = "change", conflicts_with_all = ["client_cert_sha256", "client_cert_ca"])]
    pub(in crate::cli) no_client_cert: bool,
    /// At the gateway: how much may go through, such as 'everybody at-once 20', 'approval bytes 50MiB/1h' or
    /// 'person calls 5/1d tool wipe'; may be repeated, and takes the place of the old ones.
    #[arg(long, value_name = "LIMIT", value_parser = CallLimit::parse, group = "change")]
    pub(in crate::cli) limit: Vec<CallLimit>,
    /// At the gateway: none of these limits.
    #[arg(long, group = "change", conflicts_with = "limit")]
    pub(in crate::cli) no_limits: bool,
    /// At the gateway: an argument of calls that stands in the audit log as it is, such as 'amount tool transfer'; of all others
    /// it holds a keyed digest. May be repeated, and takes the place of the old ones.
    #[arg(long, value_name = "ARGUMENT", value_parser = KeptArgument::parse, group = "change")]
    pub(in crate::cli) keep_argument: Vec<KeptArgument>,
    /// At the gateway: keep a keyed digest of every argument.
    #[arg(long, group = "change", conflicts_with = "keep_argument")]
    pub(in crate::cli) no_kept_arguments: bool,
    /// At the gateway: let pages of this origin call, such as https://app.example; may be repeated, and takes the place of the
    /// old ones. The issuer's own pages always may.
    #[arg(long, value_name = "ORIGIN", value_parser = PageOrigin::parse, group = "change")]
    pub(in crate::cli) allow_origin: Vec<PageOrigin>,
    /// At the gateway: let no pages but the issuer's own call.
    #[arg(long, group = "change", conflicts_with = "allow_origin")]
    pub(in crate::cli) no_origins: bool,
}

/// A limit that is set, or taken away.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Limit<T>(pub(in crate::cli) Option<T>);

fn limit<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<Limit<T>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let number = text.parse().ok().filter(|number: &T| *number >= T::from(1));
    number.map(|number| Limit(Some(number))).ok_or_else(|| "expected a number from 1 on, or none".to_owned())
}

fn kind(text: &str) -> Result<PassKind, String> {
    PassKind::parse(text).ok_or_else(|| "expected app, grant_token or machine".to_owned())
}

fn required(text: &str) -> Result<bool, String> {
    match text {
        "required" => Ok(true),
        "optional" => Ok(false),
        _ => Err("expected required or optional".to_owned()),
    }
}
