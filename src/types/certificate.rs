//! What there is to say of an X.509 certificate (RFC 5280); never of its key.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// A certificate, as it is shown to people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// Whom it names.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// SHA-256 of its DER form, in hex.
    pub sha256: String,
    /// Since when it is valid, in seconds.
    pub not_before: i64,
    /// Until when, in seconds; this second included.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Whether its time has come and is not over (RFC 5280 §4.1.2.5).
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.seconds())
    }

    /// When it begins.
    #[must_use]
    pub const fn begins_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.not_before)
    }

    /// When it ends.
    #[must_use]
    pub const fn ends_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.not_after)
    }
}

/// What the gateway shows to a server in TLS, and whom it trusts there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TlsFacts {
    /// The client certificate, where there is one.
    pub client: Option<CertificateFacts>,
    /// The only certificate authorities that are trusted there; those that everybody trusts when empty.
    pub cas: Vec<CertificateFacts>,
}

/// The client certificates with which one comes to a server: those that are named, and those that one of the authorities has
/// signed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientCertificateRule {
    /// SHA-256 of their DER forms, in hex.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sha256: Vec<String>,
    /// The authorities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cas: Vec<ListedAuthority>,
}

/// An authority that signs certificates of clients.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListedAuthority {
    /// What its certificate says.
    pub facts: CertificateFacts,
    /// The certificate: DER, in base64.
    pub der: String,
}

impl ClientCertificateRule {
    /// Whether no certificate is wanted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sha256.is_empty() && self.cas.is_empty()
    }
}

/// Reads a fingerprint: 64 digits in hex, with or without colons, as every tool prints it.
///
/// # Errors
/// A sentence that says what was expected.
pub fn fingerprint(text: &str) -> Result<String, String> {
    let plain: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let fits = plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { Ok(plain) } else { Err(format!("expected a SHA-256 fingerprint in hex, found {text:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let plain = "ab".repeat(32);
        assert_eq!(fingerprint(&plain), Ok(plain.clone()));
        assert_eq!(fingerprint(&["AB"; 32].join(":")), Ok(plain.clone()));
        for bad in
            ["", "ab", &plain[1..], &format!("{plain}a"), &"zz".repeat(32), &format!("0x{}", &plain[2..])]
        {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_second_to_its_last() {
        let facts = CertificateFacts {
            subject: String::new(),
            issuer: String::new(),
            sha256: String::new(),
            not_before: 10,
            not_after: 20,
        };
        for (second, valid) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(facts.is_valid_at(Timestamp::from_seconds(second)), valid, "{second}");
        }
    }
}
