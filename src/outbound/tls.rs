//! TLS as it is for everybody whom this server asks for something.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, RootCertStore};

/// Made once: its roots and its sessions are shared by all clients.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(make);

/// TLS 1.2 and 1.3 with the certificate authorities that browsers trust, for HTTP/1.1.
pub(super) fn for_everybody() -> Arc<ClientConfig> {
    Arc::clone(&TLS)
}

#[expect(
    clippy::expect_used,
    reason = "without its TLS set-up the program is broken at the start, not later"
)]
fn make() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions that are safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}
