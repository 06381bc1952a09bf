//! TLS to a server behind the gateway where it is not what it is everywhere: with a certificate of the gateway's own, or
//! with certificate authorities that are trusted there and nowhere else.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::ThreadId;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use super::upstream_mcp::{Connections, NoAnswer, Upstreams, client_with};
use crate::types::secret::Secret;

/// What the TLS of one server is made of.
pub struct TlsMaterial {
    /// The gateway's certificate and what leads from it to an authority, with its key as PEM.
    pub identity: Option<(Vec<CertificateDer<'static>>, Secret<String>)>,
    /// The only authorities that are trusted; those that everybody trusts when empty.
    pub cas: Vec<CertificateDer<'static>>,
}

/// Why nothing can be made of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadMaterial {
    /// There is no key, or none that can be used.
    #[error(
        "there is no private key in it that can be used (PKCS #8, PKCS #1 or SEC 1, as PEM, not encrypted)"
    )]
    Key,
    /// Key and certificate are not of each other.
    #[error("certificate and key do not belong together")]
    Mismatch,
    /// An authority that cannot be used.
    #[error("a certificate authority in it cannot be used")]
    Authority,
    /// Anything else. The library's own words are not repeated: they are about a key.
    #[error("the certificate cannot be used for TLS")]
    Unusable,
}

impl TlsMaterial {
    /// Whether something can be made of it.
    ///
    /// # Errors
    /// [`BadMaterial`].
    pub fn check(&self) -> Result<(), BadMaterial> {
        self.config().map(drop)
    }

    fn config(&self) -> Result<ClientConfig, BadMaterial> {
        let mut roots = RootCertStore::empty();
        if self.cas.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for ca in &self.cas {
            roots.add(ca.clone()).map_err(|_| BadMaterial::Authority)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| BadMaterial::Unusable)?
            .with_root_certificates(roots);
        let Some((chain, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| BadMaterial::Key)?;
        builder.with_client_auth_cert(chain.clone(), key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => BadMaterial::Mismatch,
            rustls::Error::InvalidCertificate(_) => BadMaterial::Unusable,
            _ => BadMaterial::Key,
        })
    }
}

/// The clients of one server with TLS of its own, one for each thread that serves (see [`Upstreams`]). They end with this:
/// another certificate is another value.
#[derive(Default)]
pub struct OwnClients(RwLock<HashMap<ThreadId, Connections>>);

impl OwnClients {
    /// This thread's, if it was made.
    #[must_use]
    pub fn here(&self) -> Option<Upstreams> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&std::thread::current().id()).cloned().map(Upstreams::exactly)
    }

    /// Makes this thread's.
    ///
    /// # Errors
    /// [`BadMaterial`].
    pub fn make(&self, material: &TlsMaterial) -> Result<Upstreams, BadMaterial> {
        let client = client_with(Arc::new(material.config()?), true);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(std::thread::current().id(), client.clone());
        Ok(Upstreams::exactly(client))
    }
}

/// What TLS had against a connection, where it was that.
pub(super) fn objection(error: &(dyn Error + 'static)) -> Option<NoAnswer> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An I/O error names what it holds as itself, and not as its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = held.and_then(|held| held.downcast_ref()).or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return judged(tls);
        }
        next = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    None
}

fn judged(error: &rustls::Error) -> Option<NoAnswer> {
    match error {
        rustls::Error::InvalidCertificate(why) => Some(NoAnswer::Untrusted(match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "it is for another name"
            }
            CertificateError::UnknownIssuer => "nobody who is trusted here has signed it",
            CertificateError::Revoked => "it is revoked",
            _ => "it cannot be verified",
        })),
        // What a server says about a client's certificate (RFC 8446 §6.2); the last one is how RFC 5246 servers say that they
        // wanted one.
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure,
        ) => Some(NoAnswer::Refused),
        _ => None,
    }
}
