//! Redirect URIs (RFC 6749 §3.1.2, RFC 8252 §7): compared as text, never after a URL library has tidied them.

use std::fmt;

/// Where an authorization response may go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedirectUri {
    text: String,
    kind: RedirectKind,
}

/// What kind of place a redirect URI names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedirectKind {
    /// A web address; matched exactly.
    Https,
    /// A program on the person's own machine; the port is free (RFC 8252 §7.3).
    Loopback,
    /// An app that owns a URI scheme (RFC 8252 §7.1); matched exactly.
    PrivateUse,
}

impl RedirectUri {
    /// Reads a redirect URI. `schemes` are the private-use schemes that may be registered.
    ///
    /// # Errors
    /// A sentence that says why it is refused.
    pub fn parse(text: &str, schemes: &[String]) -> Result<Self, String> {
        let wrong = |what: &str| Err(format!("the redirect URI {text:?} {what}"));
        if text.len() > 2_048 {
            return Err("a redirect URI is longer than 2048 characters".to_owned());
        }
        if !text.bytes().all(|b| {
            b.is_ascii_graphic()
                && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
        }) {
            return wrong("has a character that a URL cannot have");
        }
        if text.contains('#') {
            return wrong("has a fragment");
        }
        let Some((scheme, after)) = text.split_once(':') else { return wrong("is not an absolute URL") };
        if url::Url::parse(text).is_err() {
            return wrong("is not a URL");
        }
        let authority = after.strip_prefix("//").map(authority_of);
        if authority.is_some_and(|a| a.contains('@')) {
            return wrong("has user information");
        }
        let kind = match scheme {
            "https" => match authority {
                Some(authority) if usable_authority(authority) => RedirectKind::Https,
                _ => return wrong("has no host"),
            },
            "http" => match loopback(text) {
                Some(_) => RedirectKind::Loopback,
                None => return wrong("is http and not on this computer; use https"),
            },
            other if schemes.iter().any(|allowed| allowed == other) => RedirectKind::PrivateUse,
            _ => return wrong("has a scheme that is not allowed here (see registration.redirect_schemes)"),
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// As registered or presented, byte for byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What kind of place it names.
    #[must_use]
    pub const fn kind(&self) -> RedirectKind {
        self.kind
    }

    /// Whether `presented` is this registered URI: equal byte for byte, but that the port of a loopback address
    /// is free, whatever port was registered (RFC 8252 §7.3). `localhost`, `127.0.0.1` and `[::1]` stay different.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        match self.kind {
            RedirectKind::Loopback => match (loopback(&self.text), loopback(presented)) {
                (Some(registered), Some(presented)) => registered == presented,
                _ => false,
            },
            RedirectKind::Https | RedirectKind::PrivateUse => self.text == presented,
        }
    }

    /// The part a person should look at: host for a web address, host and port on this machine, scheme for an app.
    #[must_use]
    pub fn place(&self) -> &str {
        match self.kind {
            RedirectKind::PrivateUse => self.text.split_once(':').map_or("", |(scheme, _)| scheme),
            _ => self.text.split_once("://").map_or("", |(_, after)| authority_of(after)),
        }
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn authority_of(after_slashes: &str) -> &str {
    let end = after_slashes.find(['/', '?']).unwrap_or(after_slashes.len());
    after_slashes.get(..end).unwrap_or_default()
}

fn usable_authority(authority: &str) -> bool {
    let host = split_port(authority).map_or("", |(host, _)| host);
    !host.is_empty() && !host.contains('%') && (host.starts_with('[') || !host.contains([':', '[', ']']))
}

/// Host and port text; `None` when the port is not a number from 1 to 65535.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port = if digits { port.parse::<u16>().ok().filter(|p| *p > 0) } else { None };
            port.map(|port| (host, Some(port)))
        }
        _ => Some((authority, None)),
    }
}

/// Host and everything after the authority of a loopback `http` URL.
fn loopback(text: &str) -> Option<(&str, &str)> {
    let after = text.strip_prefix("http://")?;
    let authority = authority_of(after);
    let (host, _) = split_port(authority)?;
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
        .then(|| (host, after.get(authority.len()..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<RedirectUri, String> {
        RedirectUri::parse(text, &["cursor".to_owned()])
    }

    #[test]
    fn refuses_what_could_go_astray() {
        for bad in [
            "",
            "callback",
            "/callback",
            "//evil",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "http://example.com/cb",
            "http://localhost.evil.com/cb",
            "http://127.0.0.1.evil.com/",
            "http://127.1/cb",
            "http://0x7f.1/cb",
            "http://127.0.0.2/cb",
            "https://u:p@h/cb",
            "http://localhost@evil.com/",
            "https://h/cb#x",
            "https://h\\@evil/",
            "https://h/c b",
            "https://h/\ncb",
            "https:///cb",
            "https:h/cb",
            "https://",
            "HTTPS://h/cb",
            "vscode://x/cb",
            "cursor://u@x/cb",
            "https://h:0/",
            "https://h:99999/",
            "http://localhost:/cb",
            "http://LOCALHOST/cb",
            "https://ｅvil/",
            "https://%65vil/",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_loopback_port_is_free() {
        let loopback = parse("http://127.0.0.1:33418/cb?a=b").unwrap();
        assert!(loopback.matches("http://127.0.0.1/cb?a=b") && loopback.matches("http://127.0.0.1:9/cb?a=b"));
        for other in [
            "http://localhost:33418/cb?a=b",
            "http://[::1]:33418/cb?a=b",
            "https://127.0.0.1:33418/cb?a=b",
            "http://127.0.0.1:33418/cb",
            "http://127.0.0.1:33418/cb?a=b&c",
            "http://127.0.0.1:33418/CB?a=b",
            "http://127.0.0.1:33418/x/../cb?a=b",
            "http://127.0.0.1:33418@evil/cb?a=b",
            "http://127.0.0.1:33418/cb?a=b#f",
        ] {
            assert!(!loopback.matches(other), "{other}");
        }
        let web = parse("https://h:8443/cb").unwrap();
        assert!(
            web.matches("https://h:8443/cb")
                && !web.matches("https://h/cb")
                && !web.matches("https://h:8444/cb")
        );
        assert!(parse("cursor://anysphere.cursor-mcp/oauth/callback").is_ok());
    }

    proptest! {
        #[test]
        fn parsing_and_matching_never_panic(text in "\\PC{0,60}", other in "\\PC{0,60}") {
            if let Ok(uri) = parse(&text) {
                prop_assert!(uri.matches(&text));
                let _ = uri.matches(&other);
                let _ = uri.place();
            }
        }
    }
}
