//! The issuer identifier (RFC 8414 §2): one string, used byte for byte everywhere.

use std::fmt;

/// The issuer: `https`, or `http` on a loopback host; no query, no fragment, no trailing slash, and nothing percent-encoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuer {
    text: String,
    path_at: usize,
}

impl Issuer {
    /// Reads an issuer.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("the issuer {text:?} {what}"));
        if text.ends_with('/') {
            return wrong("ends in a slash; clients compare it byte for byte, so write it without");
        }
        let Ok(url) = url::Url::parse(text) else { return wrong("is not a URL") };
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment, which RFC 8414 §2 forbids");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("has user information");
        }
        if url.path().contains('%') {
            return wrong(
                "has a percent-encoded character in its path; the same path has several spellings then, and clients compare it byte for byte, so use letters, digits, - . _ and ~",
            );
        }
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
            return wrong("is neither https nor http on this computer (localhost, 127.0.0.1, [::1])");
        }
        let tidy = url.as_str().strip_suffix('/').unwrap_or(url.as_str());
        if tidy != text {
            return Err(format!("the issuer {text:?} is not in its simplest form; write {tidy:?}"));
        }
        let path_at = text.find("://").map_or(0, |at| at + 3);
        let path_at =
            text.get(path_at..).and_then(|rest| rest.find('/')).map_or(text.len(), |at| path_at + at);
        Ok(Self { text: text.to_owned(), path_at })
    }

    /// The identifier itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path without a trailing slash: empty, or `/t1`. Every endpoint lives under it.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or_default()
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.path_at).unwrap_or_default()
    }

    /// The absolute URL of an endpoint; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Whether browsers reach it over TLS, so that cookies are `Secure` and carry the `__Host-` prefix.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_https_and_loopback() {
        for (good, path) in [
            ("https://auth.example.com", ""),
            ("https://auth.example.com:8443/t1", "/t1"),
            ("http://localhost:8080", ""),
            ("http://127.0.0.1:8080/a/b", "/a/b"),
            ("http://[::1]:8080", ""),
        ] {
            let issuer = Issuer::parse(good).unwrap();
            assert_eq!((issuer.as_str(), issuer.path()), (good, path));
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in [
            "",
            "auth.example.com",
            "http://auth.example.com",
            "https://auth.example.com/",
            "https://h/t1/",
            "https://h?x",
            "https://h#x",
            "https://u@h",
            "https://H",
            "https://h:443",
            "https://h/a/../b",
            "https://h/%61",
            "https://h/a%20b",
            "https://h/a b",
            "https://h/%C3%A9",
            "https://h/é",
            "https://h/a%2fb",
            "https://h/a%",
            "ftp://h",
            "http://localhost.evil.com",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }
}
