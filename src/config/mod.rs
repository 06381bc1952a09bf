//! The configuration: one TOML file, the environment over it, and nothing that is not known by name.

mod brand;
mod command;
pub mod docs;
mod given;
mod keys;
mod load;
mod mail;
pub mod master_key;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

pub use brand::{Brand, Colour};
pub use load::Setting;

use crate::storage::DatabaseUrl;
use crate::types::network::TrustedProxies;
use crate::types::policy::Policy;
use crate::types::secret::Secret;

/// Everything an operator may set, read and checked.
#[derive(Clone)]
pub struct Config {
    /// What the decisions need.
    pub policy: Policy,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// The folder for the database and the master key, unless those are elsewhere.
    pub data_dir: PathBuf,
    /// Where the programs of servers over stdio are looked for: `PATH` of this process.
    pub search_path: String,
    /// The database.
    pub database_url: DatabaseUrl,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// Where metrics are served; absent when they are not.
    pub metrics_listen: Option<SocketAddr>,
    /// Whose word about the caller's address is taken.
    pub trusted_proxies: TrustedProxies,
    /// Name, logo and colour of the pages.
    pub brand: Brand,
    /// How and what is logged.
    pub log: LogConfig,
    /// Every key with its value and where that comes from, for `check-config`. Secrets are not in it.
    pub settings: Vec<Setting>,
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum MasterKeySource {
    /// The configuration itself.
    Given(Secret<String>),
    /// A file that an operator made.
    File(PathBuf),
    /// What a command prints: the program and its arguments.
    Command(Vec<String>),
    /// A file in the data folder, made when it is missing.
    DataDir,
}

/// How and what is logged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogConfig {
    /// The shape of a line.
    pub format: LogFormat,
    /// Which lines: `info`, `debug`, `warn,postern=debug` (directives of tracing-subscriber).
    pub level: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What is wrong with the configuration: one sentence each, naming the file (or variable), the key and what was
/// expected.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct ConfigError {
    /// The sentences; at least one.
    pub problems: Vec<String>,
}

impl ConfigError {
    pub(crate) fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }
}
