//! Where a server behind the gateway is.

use url::Url;

use super::stdio::CommandLine;
use super::upstream_mcp::Upstreams;

/// Where a server behind the gateway is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upstream {
    /// At a URL, over streamable HTTP.
    Http(Url),
    /// It is run here, for each person apart, and speaks over standard input and output.
    Stdio(CommandLine),
}

impl Upstream {
    /// Reads it: a URL as [`Upstreams::check`] takes it, or `stdio:` and a command.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if CommandLine::is_one(text) {
            return CommandLine::parse(text).map(Self::Stdio);
        }
        Upstreams::check(text).map(Self::Http)
    }
}
