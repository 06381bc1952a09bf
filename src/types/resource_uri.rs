//! Resource identifiers (RFC 8707 §2): the URL of an MCP server.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An MCP server's URL as its owner registered it. Compared by [`ResourceUri::key`], shown as registered.
#[derive(Clone, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceUri(String);

impl ResourceUri {
    /// Reads an absolute `http` or `https` URL without fragment or user information (RFC 8707 §2).
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        split(text).map(|_| Self(text.to_owned()))
    }

    /// As registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which two identifiers are compared: scheme and host in lower case, no default port, no lone
    /// trailing slash. Nothing else is folded: what a URL library would normalise stays different here.
    #[must_use]
    pub fn key(&self) -> String {
        Self::key_of(&self.0).unwrap_or_else(|_| self.0.clone())
    }

    /// [`ResourceUri::key`] of a presented value.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn key_of(text: &str) -> Result<String, String> {
        let parts = split(text)?;
        let rest = match parts.rest.strip_suffix('/') {
            Some(head) if !head.ends_with('/') && !head.contains('?') => head,
            _ => parts.rest,
        };
        Ok(match parts.port {
            Some(port) => format!("{}://{}:{port}{rest}", parts.scheme, parts.host),
            None => format!("{}://{}{rest}", parts.scheme, parts.host),
        })
    }

    /// Whether a presented value means this resource: the same text, or the same [`ResourceUri::key`].
    #[must_use]
    pub fn is_meant_by(&self, text: &str) -> bool {
        text == self.0 || Self::key_of(text).is_ok_and(|key| key == self.key())
    }

    /// Host and, when it is not the scheme's own, port: for people.
    #[must_use]
    pub fn host(&self) -> String {
        split(&self.0).map_or_else(
            |_| self.0.clone(),
            |parts| match parts.port {
                Some(port) => format!("{}:{port}", parts.host),
                None => parts.host,
            },
        )
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> String {
        split(&self.0).map_or_else(|_| self.0.clone(), |parts| format!("{}://{}", parts.scheme, self.host()))
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Parts<'a> {
    scheme: &'static str,
    host: String,
    /// Absent when it is the scheme's default.
    port: Option<u16>,
    /// Path and query, byte for byte.
    rest: &'a str,
}

fn split(text: &str) -> Result<Parts<'_>, String> {
    let wrong = |what: &str| format!("the resource {text:?} {what}");
    if text.len() > 2_048 {
        return Err("the resource is longer than 2048 characters".to_owned());
    }
    if !text.bytes().all(|b| {
        b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    }) {
        return Err(wrong("has a character that a URL cannot have"));
    }
    let (scheme, after) = text.split_once("://").ok_or_else(|| wrong("is not an absolute URL"))?;
    let (scheme, default_port) = match scheme.to_ascii_lowercase().as_str() {
        "https" => ("https", 443),
        "http" => ("http", 80),
        _ => return Err(wrong("is neither https nor http")),
    };
    if after.contains('#') {
        return Err(wrong("has a fragment, which RFC 8707 §2 forbids"));
    }
    let end = after.find(['/', '?']).unwrap_or(after.len());
    let (authority, rest) = after.split_at(end);
    if authority.contains('@') {
        return Err(wrong("has user information"));
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let plain = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port = if plain { port.parse::<u16>().ok() } else { None };
            (host, Some(port.filter(|p| *p > 0).ok_or_else(|| wrong("has a bad port"))?))
        }
        _ => (authority, None),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || host.contains('%') || (host.contains([':', '[', ']']) && !bracketed) {
        return Err(wrong("has no usable host"));
    }
    if url::Url::parse(text).is_err() {
        return Err(wrong("is not a URL"));
    }
    Ok(Parts { scheme, host: host.to_ascii_lowercase(), port: port.filter(|p| *p != default_port), rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_meant_by_what_has_its_key_and_by_nothing_else() {
        let uri = ResourceUri::parse("https://Mcp.example.com/notes").unwrap();
        for meant in ["https://Mcp.example.com/notes", "HTTPS://mcp.EXAMPLE.com:443/notes/"] {
            assert!(uri.is_meant_by(meant), "{meant}");
        }
        for other in [
            "https://mcp.example.com/Notes",
            "http://mcp.example.com/notes",
            "https://mcp.example.com/notes#a",
            "",
        ] {
            assert!(!uri.is_meant_by(other), "{other}");
        }
    }

    #[test]
    fn what_does_not_count_does_not_count() {
        let key = ResourceUri::key_of("https://mcp.example.com/mcp").unwrap();
        for same in
            ["HTTPS://MCP.Example.COM/mcp", "https://mcp.example.com:443/mcp", "https://mcp.example.com/mcp/"]
        {
            assert_eq!(ResourceUri::key_of(same).unwrap(), key, "{same}");
        }
        assert_eq!(ResourceUri::key_of("https://h/").unwrap(), ResourceUri::key_of("https://h").unwrap());
        assert_eq!(ResourceUri::key_of("http://h:80").unwrap(), ResourceUri::key_of("http://h").unwrap());
    }

    #[test]
    fn what_counts_counts() {
        let key = ResourceUri::key_of("https://mcp.example.com/mcp").unwrap();
        for other in [
            "http://mcp.example.com/mcp",
            "https://mcp.example.com:8443/mcp",
            "https://mcp.example.com/MCP",
            "https://mcp.example.com/mcp//",
            "https://mcp.example.com/x/../mcp",
            "https://mcp.example.com/%6dcp",
            "https://mcp.example.com/mcp?x=1",
            "https://mcp.example.com./mcp",
        ] {
            assert_ne!(ResourceUri::key_of(other).unwrap(), key, "{other}");
        }
    }

    #[test]
    fn refuses_what_is_no_resource() {
        for bad in [
            "",
            "mcp",
            "/mcp",
            "ftp://h/",
            "https://",
            "https:///x",
            "https://u@h/",
            "https://h/#f",
            "https://h:0/",
            "https://h:99999/",
            "https://h:/",
            "https://h /",
            "https://h\\x",
            "https://h/\u{0}",
            "javascript:alert(1)",
            "https://ｈ/",
            "https://a:b:c/",
        ] {
            assert!(ResourceUri::parse(bad).is_err(), "{bad:?}");
        }
    }
}
