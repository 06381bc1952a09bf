//! Telling a syslog collector: a connection or datagrams to an address that may be told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;

use super::address::reach;
use super::resolver::{LookUp, SystemLookUp};
use crate::types::policy::SYSLOG_CLOSE;
use crate::types::signal::Transport;

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Collector {
    /// How.
    pub over: Transport,
    /// To whom.
    pub host: String,
    /// At which port.
    pub port: u16,
    /// Whose certificates it has, as PEM; those of the public authorities when absent.
    pub ca: Option<String>,
}

/// Why messages did not arrive.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SyslogError {
    /// The name does not resolve.
    #[error("the host name {0} does not resolve")]
    Unresolved(String),
    /// It has no address that may be told.
    #[error("the host {0} has no public address; see outgoing.allow_private_networks")]
    PrivateAddress(String),
    /// No connection.
    #[error("no connection to {0} could be made")]
    Connect(String),
    /// No valid certificate.
    #[error("{0} has no certificate that can be believed")]
    Tls(String),
    /// The certificates of its authority do not read.
    #[error("the file with the certificates of its authority holds none")]
    Ca,
    /// The connection broke while messages were under way.
    #[error("the connection to {0} broke")]
    Broken(String),
    /// It took too long.
    #[error("{0} took too long")]
    TimedOut(String),
}

/// Sends to collectors.
#[derive(Clone)]
pub struct Syslog {
    source: Arc<dyn LookUp>,
    private_too: bool,
    timeout: Duration,
}

impl Syslog {
    /// Sends to public addresses; with `allow_private_networks` also to private ones, but never to link-local ones.
    #[must_use]
    pub fn new(allow_private_networks: bool, timeout: Duration) -> Self {
        Self { source: Arc::new(SystemLookUp::default()), private_too: allow_private_networks, timeout }
    }

    /// Sends messages in order. On a connection, `Ok` means: all of them were written and flushed, we closed our end, and
    /// the collector closed its own without an error, or kept it open without one for [`SYSLOG_CLOSE`]. Syslog has no
    /// acknowledgement of its own. For datagrams it means that the operating system took them, and nothing more.
    ///
    /// # Errors
    /// [`SyslogError`]; some of the messages may have arrived.
    pub async fn send(&self, to: &Collector, messages: &[Vec<u8>]) -> Result<(), SyslogError> {
        let late = || SyslogError::TimedOut(to.host.clone());
        tokio::time::timeout(self.timeout, self.attempt(to, messages)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn attempt(&self, to: &Collector, messages: &[Vec<u8>]) -> Result<(), SyslogError> {
        let addresses = self.vetted(to).await?;
        match to.over {
            Transport::Udp => datagrams(to, &addresses, messages).await,
            Transport::Tcp => deliver(connect(to, &addresses).await?, &to.host, messages).await,
            Transport::Tls => {
                let config = tls(to.ca.as_deref())?;
                let refused = || SyslogError::Tls(to.host.clone());
                let name = ServerName::try_from(to.host.clone()).map_err(|_| refused())?;
                let plain = connect(to, &addresses).await?;
                let stream = TlsConnector::from(config).connect(name, plain).await.map_err(|_| refused())?;
                deliver(stream, &to.host, messages).await
            }
        }
    }

    /// The addresses of a collector that may be told.
    async fn vetted(&self, to: &Collector) -> Result<Vec<SocketAddr>, SyslogError> {
        let found = match to.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self
                .source
                .look_up(to.host.clone())
                .await
                .map_err(|_| SyslogError::Unresolved(to.host.clone()))?,
        };
        if found.is_empty() {
            return Err(SyslogError::Unresolved(to.host.clone()));
        }
        let vetted: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| reach(*address).allowed(self.private_too))
            .map(|address| SocketAddr::new(address, to.port))
            .collect();
        if vetted.is_empty() { Err(SyslogError::PrivateAddress(to.host.clone())) } else { Ok(vetted) }
    }
}

async fn connect(to: &Collector, addresses: &[SocketAddr]) -> Result<TcpStream, SyslogError> {
    TcpStream::connect(addresses).await.map_err(|_| SyslogError::Connect(to.host.clone()))
}

async fn deliver(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: &str,
    messages: &[Vec<u8>],
) -> Result<(), SyslogError> {
    let broken = || SyslogError::Broken(host.to_owned());
    for message in messages {
        stream.write_all(message).await.map_err(|_| broken())?;
    }
    stream.flush().await.map_err(|_| broken())?;
    stream.shutdown().await.map_err(|_| broken())?;
    // Whoever has read to our end closes theirs. A reset here means that something was not read.
    let mut ignored = [0u8; 256];
    let closing = async {
        loop {
            match stream.read(&mut ignored).await {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                // Many end a TLS connection without saying so; that is no reset.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(_) => return Err(broken()),
            }
        }
    };
    tokio::time::timeout(SYSLOG_CLOSE, closing).await.unwrap_or(Ok(()))
}

async fn datagrams(
    to: &Collector,
    addresses: &[SocketAddr],
    messages: &[Vec<u8>],
) -> Result<(), SyslogError> {
    let broken = || SyslogError::Connect(to.host.clone());
    let target = addresses.first().ok_or_else(broken)?;
    let own: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(own).await.map_err(|_| broken())?;
    socket.connect(target).await.map_err(|_| broken())?;
    for message in messages {
        socket.send(message).await.map_err(|_| broken())?;
    }
    Ok(())
}

/// Whether `pem` holds certificates.
///
/// # Errors
/// [`SyslogError::Ca`].
pub fn check_ca(pem: &str) -> Result<(), SyslogError> {
    tls(Some(pem)).map(drop)
}

fn tls(ca: Option<&str>) -> Result<Arc<ClientConfig>, SyslogError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|_| SyslogError::Ca)?;
                roots.add(certificate).map_err(|_| SyslogError::Ca)?;
            }
            if roots.is_empty() {
                return Err(SyslogError::Ca);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| SyslogError::Ca)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
