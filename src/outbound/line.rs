//! A connection to a server behind the gateway. The HTTP library holds two buffers for as long as an answer lasts; an event
//! stream that lasts is taken off it, together with its socket, and goes on without them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream};
use hyper::Uri;
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;

use super::framing::{Framing, Watch};
use super::resolver::VettedResolver;
use super::upstream_mcp::Broken;

/// How much is read at once of a stream that was taken off.
const AT_ONCE: usize = 8 * 1024;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Socket = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// What connects: with TLS where the URL says so, and within a time.
#[derive(Clone)]
pub(super) struct Lines {
    pub(super) connector: HttpsConnector<HttpConnector<VettedResolver>>,
    pub(super) patience: Duration,
}

impl Service<Uri> for Lines {
    type Response = TokioIo<Line>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.patience, self.connector.call(to));
        Box::pin(async move {
            let socket = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let shared = Shared { socket: Some(TokioIo::new(socket)), watch: Watch::new() };
            Ok(TokioIo::new(Line(Arc::new(Mutex::new(shared)))))
        })
    }
}

struct Shared {
    /// Until a stream takes it.
    socket: Option<Socket>,
    watch: Watch,
}

/// A connection, as the HTTP library sees it. Without its socket it has ended.
pub(super) struct Line(Arc<Mutex<Shared>>);

impl Line {
    fn with_socket<T>(
        &self,
        ended: T,
        work: impl FnOnce(Pin<&mut Socket>, &mut Watch) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Shared { socket, watch } = &mut *locked(&self.0);
        match socket {
            Some(socket) => work(Pin::new(socket), watch),
            None => Poll::Ready(Ok(ended)),
        }
    }

    /// A request that is written after an answer was read is the next one.
    fn write(watch: &mut Watch, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if watch.has_begun() {
            *watch = Watch::new();
        }
        written
    }
}

fn locked(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with_socket((), |socket, watch| {
            let before = buffer.filled().len();
            ready!(socket.poll_read(context, buffer))?;
            watch.read(buffer.filled().get(before..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with_socket(0, |socket, watch| Self::write(watch, socket.poll_write(context, bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with_socket(0, |socket, watch| Self::write(watch, socket.poll_write_vectored(context, parts)))
    }

    fn is_write_vectored(&self) -> bool {
        locked(&self.0).socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_socket((), |socket, _| socket.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with_socket((), |socket, _| socket.poll_shutdown(context))
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new().extra(Hold(Arc::downgrade(&self.0)))
    }
}

/// The connection that an answer comes over, found among the answer's extensions.
#[derive(Clone)]
pub(super) struct Hold(Weak<Mutex<Shared>>);

impl Hold {
    /// Takes the stream off, if its body is an event stream of which all that was read has been handed on, so many bytes.
    fn take(&self, handed_on: u64) -> Option<Direct> {
        let shared = self.0.upgrade()?;
        let mut shared = locked(&shared);
        let Watch::Events(framing, read) = &shared.watch else { return None };
        if *read != handed_on || framing.is_over(false) {
            return None;
        }
        let framing = framing.clone();
        let socket = match shared.socket.take()?.into_inner() {
            MaybeHttpsStream::Http(tcp) => Taken::Plain(tcp.into_inner()),
            tls @ MaybeHttpsStream::Https(_) => Taken::Tls(Box::new(TokioIo::new(tls))),
        };
        Some(Direct { socket, framing })
    }
}

/// The socket of a stream that was taken off.
enum Taken {
    Plain(TcpStream),
    Tls(Box<Socket>),
}

/// An event stream without the HTTP library.
struct Direct {
    socket: Taken,
    framing: Framing,
}

impl Direct {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        // On the stack, because most of the time there is nothing.
        let mut space = [MaybeUninit::<u8>::uninit(); AT_ONCE];
        let mut out = BytesMut::new();
        while !self.framing.is_over(false) {
            let mut buffer = ReadBuf::uninit(&mut space);
            let read = match &mut self.socket {
                Taken::Plain(tcp) => Pin::new(tcp).poll_read(context, &mut buffer),
                Taken::Tls(tls) => Pin::new(tls).poll_read(context, &mut buffer),
            };
            if ready!(read).is_err() {
                return Poll::Ready(Some(Err(Broken)));
            }
            let mut read = buffer.filled();
            if read.is_empty() {
                return Poll::Ready(if self.framing.is_over(true) { None } else { Some(Err(Broken)) });
            }
            while !self.framing.is_over(false)
                && let Some(data) = self.framing.next(&mut read)?
            {
                out.extend_from_slice(data);
            }
            // A size or an end alone is nothing to tell.
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.freeze())));
            }
        }
        Poll::Ready(None)
    }
}

/// The body of an answer, as it comes.
pub struct Body(Source);

enum Source {
    Http { incoming: Incoming, hold: Option<Hold>, handed_on: u64 },
    Direct(Direct),
    Other(BoxStream<'static, Result<Bytes, Broken>>),
}

impl Body {
    pub(super) const fn http(incoming: Incoming, hold: Option<Hold>) -> Self {
        Self(Source::Http { incoming, hold, handed_on: 0 })
    }

    /// Its length, where the server has said it.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Http { incoming, .. } => incoming.size_hint().exact(),
            _ => None,
        }
    }

    /// An event stream that lasts needs no more than its socket from now on, where that can be. Its connection is for nothing
    /// else afterwards, so this is not for one that is soon over. Whoever waits for the next part has to ask for it again.
    pub fn rest(&mut self) {
        if let Source::Http { hold: Some(hold), handed_on, .. } = &self.0
            && let Some(direct) = hold.take(*handed_on)
        {
            self.0 = Source::Direct(direct);
        }
    }
}

impl From<BoxStream<'static, Result<Bytes, Broken>>> for Body {
    fn from(stream: BoxStream<'static, Result<Bytes, Broken>>) -> Self {
        Self(Source::Other(stream))
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Broken>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Source::Direct(direct) => direct.poll_next(context),
            Source::Other(stream) => stream.as_mut().poll_next(context),
            Source::Http { incoming, handed_on, .. } => loop {
                return Poll::Ready(match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
                    None => None,
                    Some(Err(_)) => Some(Err(Broken)),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            *handed_on += data.len() as u64;
                            Some(Ok(data))
                        }
                        // Trailers.
                        Err(_) => continue,
                    },
                });
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::X509;
    use openssl::x509::extension::SubjectAlternativeName;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream;
    use url::Url;

    use super::super::upstream_mcp::{Forward, Headers, Upstreams, client_with};
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

    /// A request that is under way, and its server.
    async fn exchange(head: &str) -> (Body, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
        let server = async { answering(listener.accept().await.unwrap().0, head).await };
        tokio::join!(asking(Upstreams::default(), url), server)
    }

    /// The same over TLS.
    async fn exchange_over_tls(head: &str) -> (Body, TlsStream<TcpStream>) {
        let (cert, key) = self_signed();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(cert.clone()).unwrap();
        let trusting = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let trusting = trusting.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let client = Upstreams::exactly(client_with(Arc::new(trusting.with_no_client_auth()), true));
        let server =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![cert], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("https://{}/mcp", listener.local_addr().unwrap())).unwrap();
        let server = async {
            let tcp = listener.accept().await.unwrap().0;
            answering(TlsAcceptor::from(Arc::new(server)).accept(tcp).await.unwrap(), head).await
        };
        tokio::join!(asking(client, url), server)
    }

    async fn asking(client: Upstreams, url: Url) -> Body {
        let forward = Forward {
            method: "GET",
            headers: Headers::default(),
            body: Bytes::new(),
            patience: Duration::from_secs(10),
        };
        client.send(&url, forward, None).await.unwrap().body
    }

    async fn answering<S: AsyncRead + AsyncWrite + Unpin>(mut server: S, head: &str) -> S {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            seen.push(server.read_u8().await.unwrap());
        }
        server.write_all(head.as_bytes()).await.unwrap();
        server.flush().await.unwrap();
        server
    }

    /// Of 127.0.0.1, for a day.
    fn self_signed() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut cert = X509::builder().unwrap();
        cert.set_version(2).unwrap();
        cert.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        cert.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        let name =
            SubjectAlternativeName::new().ip("127.0.0.1").build(&cert.x509v3_context(None, None)).unwrap();
        cert.append_extension(name).unwrap();
        cert.set_pubkey(&key).unwrap();
        cert.sign(&key, MessageDigest::sha256()).unwrap();
        let private = PrivateKeyDer::try_from(key.private_key_to_pkcs8().unwrap()).unwrap();
        (CertificateDer::from(cert.build().to_der().unwrap()), private)
    }

    impl Body {
        async fn reads(&mut self, text: &str) {
            let mut seen = Vec::new();
            while seen.len() < text.len() {
                seen.extend_from_slice(&self.next().await.unwrap().unwrap());
            }
            assert_eq!(seen, text.as_bytes());
        }

        fn is_direct(&self) -> bool {
            matches!(self.0, Source::Direct(_))
        }
    }

    #[tokio::test]
    async fn a_stream_in_chunks_goes_on_without_the_library() {
        let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n1\r\na\r\n5\r\nbc");
        let (mut body, mut server) = exchange(&chunked).await;
        body.rest();
        assert!(!body.is_direct(), "not all of it was handed on");
        body.reads("abc").await;
        body.rest();
        assert!(body.is_direct());
        server.write_all(b"def\r").await.unwrap();
        body.reads("def").await;
        server.write_all(b"\n000003\r\nghi\r\n0\r\nx: y\r\n\r\n").await.unwrap();
        body.reads("ghi").await;
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn over_tls_too_and_nothing_that_was_already_deciphered_is_lost() {
        let chunked = format!("{HEAD}transfer-encoding: chunked\r\n\r\n1\r\na\r\n5\r\nbc");
        let (mut body, mut server) = exchange_over_tls(&chunked).await;
        body.rest();
        assert!(!body.is_direct(), "not all of it was handed on");
        body.reads("abc").await;
        body.rest();
        assert!(body.is_direct());
        server.write_all(b"def\r\n").await.unwrap();
        server.flush().await.unwrap();
        body.reads("def").await;
        // One record of TLS that is deciphered at once and read in several pieces.
        let long = "x".repeat(3 * AT_ONCE + 1);
        server.write_all(format!("{:x}\r\n{long}\r\n", long.len()).as_bytes()).await.unwrap();
        server.flush().await.unwrap();
        body.reads(&long).await;
        server.write_all(b"0\r\n\r\n").await.unwrap();
        server.flush().await.unwrap();
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn over_tls_what_breaks_off_is_no_end_and_whoever_drops_it_hangs_up() {
        let begun = format!("{HEAD}transfer-encoding: chunked\r\n\r\n1\r\na\r\n");
        let (mut body, server) = exchange_over_tls(&begun).await;
        body.reads("a").await;
        body.rest();
        assert!(body.is_direct());
        drop(server);
        assert!(body.next().await.unwrap().is_err());

        let (mut body, mut server) = exchange_over_tls(&begun).await;
        body.reads("a").await;
        body.rest();
        assert!(body.is_direct());
        drop(body);
        // The end of the connection, said or not.
        assert!(matches!(server.read(&mut [0]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn so_does_one_that_ends_with_its_connection() {
        let (mut body, mut server) = exchange(&format!("{HEAD}\r\nab")).await;
        body.reads("ab").await;
        body.rest();
        assert!(body.is_direct());
        server.write_all(b"cd").await.unwrap();
        body.reads("cd").await;
        drop(server);
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn what_breaks_off_is_no_end() {
        let (mut body, mut server) =
            exchange(&format!("{HEAD}transfer-encoding: chunked\r\n\r\n1\r\na\r\n")).await;
        body.reads("a").await;
        body.rest();
        assert!(body.is_direct());
        server.write_all(b"9\r\nbc").await.unwrap();
        body.reads("bc").await;
        drop(server);
        assert!(body.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn whoever_drops_it_hangs_up() {
        let (mut body, mut server) = exchange(&format!("{HEAD}\r\nab")).await;
        body.reads("ab").await;
        body.rest();
        drop(body);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_answer_of_a_known_length_stays_with_the_library() {
        let (mut body, mut server) = exchange(&format!("{HEAD}content-length: 4\r\n\r\nab")).await;
        body.reads("ab").await;
        body.rest();
        assert!(!body.is_direct());
        server.write_all(b"cd").await.unwrap();
        body.reads("cd").await;
        assert!(body.next().await.is_none());
    }
}
