//! Everything this server asks of other servers, behind one guard.

pub mod address;
pub mod authorization_server;
pub mod document;
pub mod fetch;
pub mod flight;
mod framing;
pub mod freshness;
mod headers;
pub mod key_set;
mod line;
pub mod mail;
pub mod post;
pub mod provider;
pub mod resolver;
pub mod resource_metadata;
pub mod stdio;
pub mod syslog;
#[cfg(test)]
mod test_server;
mod tls;
pub mod upstream;
pub mod upstream_mcp;
pub mod upstream_tls;
