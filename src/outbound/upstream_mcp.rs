//! The way to an MCP server behind the gateway: what it answers comes as it comes. Connections are kept, because an
//! administrator has named the server; a redirect is never followed, so that a credential goes to no other origin.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use url::{Host, Url};

use super::address::reach;
use super::fetch::WHO;
pub use super::headers::Headers;
pub use super::line::Body;
use super::line::{Hold, Lines};
use super::resolver::{SystemLookUp, VettedResolver};
use super::tls::for_everybody;
use super::upstream_tls::objection;
use crate::types::policy::{UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_IDLE_CONNECTIONS};
use crate::types::secret::Secret;

/// A silent connection is asked after this time whether it is still there, and given up when it does not answer.
const PROBE_AFTER: Duration = Duration::from_secs(15);
/// How long an idle connection is kept.
const KEPT_IDLE: Duration = Duration::from_secs(90);

/// A header that proves to the server behind the gateway who is asking. It is made from what the vault keeps and from
/// nothing else: there is no way from a caller's token to one.
pub struct UpstreamCredential {
    header: HeaderName,
    value: HeaderValue,
}

impl UpstreamCredential {
    /// From a header's name and what the vault has opened for it; `None` when they make no header.
    #[must_use]
    pub fn new(header: &str, value: &Secret<Vec<u8>>) -> Option<Self> {
        let header = HeaderName::from_bytes(header.as_bytes()).ok()?;
        let mut value = HeaderValue::from_bytes(value.expose()).ok()?;
        value.set_sensitive(true);
        Some(Self { header, value })
    }
}

/// A message to the server.
#[derive(Clone)]
pub struct Forward {
    /// `POST`, `GET` or `DELETE`.
    pub method: &'static str,
    /// Headers that go with it, already chosen.
    pub headers: Headers,
    /// The body, exactly as it was judged.
    pub body: Bytes,
    /// How long its first byte may take.
    pub patience: Duration,
}

/// An answer whose body is still to come. Dropping it ends the exchange, and with it, in the newest revision, the call.
pub struct Streamed {
    /// The status.
    pub status: u16,
    /// The headers, as sent.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

/// The answer broke off.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer broke off")]
pub struct Broken;

/// Why there was no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoAnswer {
    /// No connection.
    #[error("no connection to the server could be made")]
    Unreachable,
    /// It took too long.
    #[error("the server did not answer in time")]
    TimedOut,
    /// It broke off, or is no HTTP.
    #[error("the server broke off")]
    Broken,
    /// As many servers over stdio run as may, and all are in use.
    #[error("too many servers run already")]
    Full,
    /// Its certificate is not one that is trusted there.
    #[error("the certificate of the server is not trusted: {0}")]
    Untrusted(&'static str),
    /// It wants a client certificate, and does not take what it was shown.
    #[error("the server does not accept the client certificate, or the lack of one")]
    Refused,
    /// What was to be sent cannot be.
    #[error("the message cannot be sent")]
    Unsendable,
}

/// The client. A clone shares its connections. One with TLS of a server's own is used as it is, every other by the client of
/// the thread.
#[derive(Clone)]
pub struct Upstreams(Connections, Of);

/// Connections that are kept.
pub(super) type Connections = Client<Lines, Full<Bytes>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Everyone,
    OneServer,
}

thread_local! {
    /// The client of a thread that serves. What a connection brings is then read by the thread that waits for it; another
    /// one would have to be woken for every answer.
    static OWN: Connections = client_with(for_everybody(), false);
}

/// A client with this TLS that is everything that one must be here.
pub(super) fn client_with(tls: Arc<ClientConfig>, https_only: bool) -> Connections {
    let resolver = VettedResolver { source: Arc::new(SystemLookUp::default()), private_too: true };
    let mut tcp = HttpConnector::new_with_resolver(resolver);
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_AFTER));
    tcp.set_keepalive_retries(Some(3));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(2 * PROBE_AFTER));
    let mut connector = HttpsConnector::from((tcp, tls));
    if https_only {
        connector.enforce_https();
    }
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEPT_IDLE)
        .pool_max_idle_per_host(UPSTREAM_IDLE_CONNECTIONS)
        .build(Lines { connector, patience: UPSTREAM_CONNECT_TIMEOUT })
}

impl Default for Upstreams {
    fn default() -> Self {
        Self(client_with(for_everybody(), false), Of::Everyone)
    }
}

impl Upstreams {
    /// This client and no other.
    pub(super) const fn exactly(client: Connections) -> Self {
        Self(client, Of::OneServer)
    }

    /// Reads the URL of a server behind the gateway: `http` or `https`, also inside, but never a link-local address, where
    /// clouds keep their credentials.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check(text: &str) -> Result<Url, String> {
        let wrong = |what: &str| Err(format!("the upstream {text:?} {what}"));
        let Ok(url) = Url::parse(text) else { return wrong("is not a URL") };
        if !matches!(url.scheme(), "http" | "https") {
            return wrong("is neither http nor https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("has user information; keep it with `postern upstream set`");
        }
        if url.fragment().is_some() {
            return wrong("has a fragment");
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return wrong("has no host"),
        };
        if literal.is_some_and(|address| !reach(address).allowed(true)) {
            return wrong("has an address that is never connected to");
        }
        Ok(url)
    }

    /// Sends a message and returns as soon as status and headers are there.
    ///
    /// # Errors
    /// [`NoAnswer`].
    #[expect(
        clippy::disallowed_methods,
        reason = "the resolver of this client judges every address it connects to"
    )]
    pub async fn send(
        &self,
        url: &Url,
        forward: Forward,
        credential: Option<UpstreamCredential>,
    ) -> Result<Streamed, NoAnswer> {
        let method = Method::from_bytes(forward.method.as_bytes()).map_err(|_| NoAnswer::Unsendable)?;
        let mut headers = forward.headers.into_inner();
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(WHO));
        if let Some(UpstreamCredential { header, value }) = credential {
            headers.insert(header, value);
        }
        let client = if self.1 == Of::Everyone { OWN.with(Clone::clone) } else { self.0.clone() };
        let mut request = Request::new(Full::new(forward.body));
        *request.method_mut() = method;
        *request.uri_mut() = Uri::try_from(url.as_str()).map_err(|_| NoAnswer::Unsendable)?;
        *request.headers_mut() = headers;
        let (head, incoming) = match tokio::time::timeout(forward.patience, client.request(request)).await {
            Err(_) => return Err(NoAnswer::TimedOut),
            Ok(Err(error)) => return Err(why(&error)),
            Ok(Ok(response)) => response.into_parts(),
        };
        Ok(Streamed {
            status: head.status.as_u16(),
            headers: head.headers.into(),
            body: Body::http(incoming, head.extensions.get::<Hold>().cloned()),
        })
    }
}

fn why(error: &legacy::Error) -> NoAnswer {
    objection(error).unwrap_or(if error.is_connect() {
        NoAnswer::Unreachable
    } else if timed_out(error) {
        NoAnswer::TimedOut
    } else {
        NoAnswer::Broken
    })
}

/// Whether the operating system has given a connection up.
fn timed_out(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::TimedOut)
}
