//! X.509 certificates (RFC 5280): reading them, and saying what they are.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest as _, Sha256};
use x509_parser::parse_x509_certificate;

use crate::types::certificate::CertificateFacts;
use crate::types::policy::{MAX_CERTIFICATES, MAX_PEM};
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Longest name of a subject or issuer that is shown, in characters.
const NAME: usize = 300;

/// What a certificate says; nothing when it is none, or is followed by something else.
#[must_use]
pub fn facts(der: &[u8]) -> Option<CertificateFacts> {
    let (rest, parsed) = parse_x509_certificate(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    Some(CertificateFacts {
        subject: shown(&parsed.subject().to_string()),
        issuer: shown(&parsed.issuer().to_string()),
        sha256: TokenDigest::from_slice(&Sha256::digest(der)).map(|digest| digest.hex()).unwrap_or_default(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

/// Whether a certificate may sign others (RFC 5280 §4.2.1.9).
#[must_use]
pub fn is_authority(der: &[u8]) -> bool {
    parse_x509_certificate(der).is_ok_and(|(_, parsed)| parsed.is_ca())
}

/// An authority that signs certificates of clients.
pub struct Authority {
    facts: CertificateFacts,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Authority {
    /// From its certificate; nothing when it cannot be one.
    #[must_use]
    pub fn new(der: Vec<u8>) -> Option<Self> {
        let facts = facts(&der)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(der)).ok()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        Some(Self { facts, verifier })
    }

    /// Whether it has signed this certificate, directly and for a client (RFC 5280 §6.1, §4.2.1.12), and both are valid.
    #[must_use]
    pub fn vouches_for(&self, der: &[u8], now: Timestamp) -> bool {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds().try_into().unwrap_or(0)));
        let der = CertificateDer::from(der);
        self.facts.is_valid_at(now) && self.verifier.verify_client_cert(&der, &[], at).is_ok()
    }
}

/// Names come from whoever made the certificate.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME).collect()
}

/// The certificates of a PEM text (RFC 7468), in their order, with what each says.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn read(pem: &str) -> Result<Vec<(CertificateDer<'static>, CertificateFacts)>, String> {
    if pem.len() > MAX_PEM {
        return Err(format!("longer than {MAX_PEM} bytes"));
    }
    let mut all = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let der = der.map_err(|_| "no PEM that can be read".to_owned())?;
        let facts = facts(&der).ok_or_else(|| "a certificate in it cannot be read".to_owned())?;
        if all.len() == MAX_CERTIFICATES {
            return Err(format!("more than {MAX_CERTIFICATES} certificates"));
        }
        all.push((der, facts));
    }
    if all.is_empty() { Err("there is no certificate in it, as PEM".to_owned()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        for bad in [
            "",
            "words",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(facts(&[0x30, 0x80]).is_none());
    }
}
