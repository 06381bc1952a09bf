//! TLS in front of an MCP server, as the gateway finds it where a client has to show a certificate.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, Stream};
use sha2::{Digest as _, Sha256};

use super::certificates::Made;

/// The front. Its threads end with the test.
pub struct TlsFront {
    pub url: String,
    shown: Arc<Mutex<Vec<String>>>,
}

impl TlsFront {
    /// In front of a server at `behind`, with this certificate; lets in whom `clients` has signed, or everybody.
    pub fn start(behind: &str, own: &Made, clients: Option<&Made>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from(ca.der())).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(own.key_der()).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![CertificateDer::from(own.der())], key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}/mcp", listener.local_addr().unwrap());
        let behind = behind.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&shown);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, behind, notes) = (Arc::clone(&config), behind.clone(), Arc::clone(&notes));
                std::thread::spawn(move || carry(stream, config, &behind, &notes));
            }
        });
        Self { url, shown }
    }

    /// The fingerprints of the certificates that were shown, one for each request; empty where none was.
    pub fn shown(&self) -> Vec<String> {
        self.shown.lock().unwrap().clone()
    }
}

fn carry(mut stream: TcpStream, config: Arc<ServerConfig>, behind: &str, notes: &Mutex<Vec<String>>) {
    let mut connection = ServerConnection::new(config).unwrap();
    if connection.complete_io(&mut stream).is_err() {
        // What it has against the client is heard only if the client is heard out.
        let _ = connection.write_tls(&mut stream);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
        return;
    }
    let peer = connection.peer_certificates().and_then(|chain| chain.first());
    let print =
        peer.map(|der| postern::types::token::TokenDigest::from_slice(&Sha256::digest(der)).unwrap().hex());
    let mut tls = Stream::new(&mut connection, &mut stream);
    let Some(request) = request(&mut tls) else { return };
    notes.lock().unwrap().push(print.unwrap_or_default());
    let mut to = TcpStream::connect(behind).unwrap();
    to.write_all(&request).unwrap();
    let mut answer = Vec::new();
    let _ = to.read_to_end(&mut answer);
    let _ = tls.write_all(&answer);
    connection.send_close_notify();
    let _ = connection.write_tls(&mut stream);
}

/// One whole request.
fn request(from: &mut impl std::io::Read) -> Option<Vec<u8>> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = from.read(&mut chunk).ok().filter(|read| *read > 0)?;
        all.extend_from_slice(&chunk[..read]);
        let Some(head) = all.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if all.len() >= head + 4 + length.unwrap_or(0) {
            return Some(all);
        }
    }
}
