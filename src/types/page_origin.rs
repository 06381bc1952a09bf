//! Whose pages may call, written as a browser writes it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An origin (RFC 6454 §6.2) whose pages may call a server behind the gateway: `https://app.example`, with a port where it is
/// not the scheme's own. `http` only on this machine, where nobody can put pages of theirs in between.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageOrigin(String);

/// How it is written, for messages and documents.
pub const PAGE_ORIGIN_FORM: &str = "https://HOST[:PORT], or http://localhost:PORT";

impl PageOrigin {
    /// Reads it, in whatever case; a path, a query and `null` are none.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no origin of pages; expected {PAGE_ORIGIN_FORM}");
        let url = url::Url::parse(text).map_err(|_| bad())?;
        let is_bare = text.matches('/').count() == 2 && url.query().is_none() && url.fragment().is_none();
        let is_safe = match url.scheme() {
            "https" => true,
            "http" => url.host_str().is_some_and(is_here),
            _ => false,
        };
        let has_user = !url.username().is_empty() || url.password().is_some();
        if !is_bare || !is_safe || has_user || text.contains('*') {
            return Err(bad());
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// As a browser sends it in `Origin`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a URL's host is this very machine.
#[must_use]
pub fn is_here(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

impl TryFrom<String> for PageOrigin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<PageOrigin> for String {
    fn from(origin: PageOrigin) -> Self {
        origin.0
    }
}

impl fmt::Display for PageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_a_browser_writes_it() {
        for (text, origin) in [
            ("https://app.example", "https://app.example"),
            ("HTTPS://App.Example:443", "https://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://localhost:6274", "http://localhost:6274"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(PageOrigin::parse(text).unwrap().as_str(), origin);
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example",
            "https://*.example",
            "https://app.example/",
            "https://app.example/path",
            "https://app.example?q",
            "https://app.example#f",
            "https://me@app.example",
            "http://app.example",
            "file:///tmp",
            "chrome-extension://abc",
        ] {
            assert!(PageOrigin::parse(bad).is_err(), "{bad}");
        }
    }
}
