//! The one way by which this server asks others for something: guarded against private addresses, redirects, endless
//! bodies, slow servers and floods.

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, USER_AGENT, WWW_AUTHENTICATE,
};
use hyper::http::request;
use hyper::{Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::address::reach;
use super::freshness::freshness;
use super::resolver::{LookUp, NoAddress, SystemLookUp, VettedResolver};
use super::tls::for_everybody;
use crate::types::policy::{
    FETCH_TIMEOUT, FETCHES_AT_ONCE, FETCHES_PER_HOST_A_MINUTE, HOSTS_REMEMBERED, MAX_FETCH, MAX_FETCHED_URL,
};
use crate::types::secret::Secret;

/// Who is asking.
pub(super) const WHO: &str = concat!("postern/", env!("CARGO_PKG_VERSION"));

/// Fetches small documents. A clone shares the limits.
#[derive(Clone)]
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector<VettedResolver>>, Full<Bytes>>,
    private_too: bool,
    pub(super) timeout: Duration,
    slots: Arc<Semaphore>,
    hosts: Arc<DefaultKeyedRateLimiter<String>>,
}

/// What an earlier answer said of itself, so that the next may be "not modified" (RFC 9110 §13.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Validators {
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
}

/// An answer with status 200, or 304 where validators were sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// Whether the earlier copy still holds; the body is then empty.
    pub status_not_modified: bool,
    /// At most [`MAX_FETCH`] bytes.
    pub body: Vec<u8>,
    /// As sent.
    pub content_type: Option<String>,
    /// How long it holds, when its server says so.
    pub max_age: Option<Duration>,
    /// Whether its server asks not to keep it.
    pub no_store: bool,
    /// For the next fetch.
    pub validators: Validators,
}

/// Why nothing was fetched. Every sentence may be shown to the person who named the URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL is not one that is fetched.
    #[error("the URL {0}")]
    Url(&'static str),
    /// The port belongs to something else than a web server.
    #[error("port {0} is not fetched from; use 443 or one from 1024 up")]
    Port(u16),
    /// The host is, or resolves to, private or special addresses only (RFC 6890).
    #[error("the host {0} has no public address")]
    PrivateAddress(String),
    /// The host name does not resolve.
    #[error("the host name {0} does not resolve")]
    Unresolved(String),
    /// Nobody listens there, or the way there is cut.
    #[error("{0} cannot be reached: no connection could be made")]
    Unreachable(String),
    /// A connection, but none that is secure: no valid certificate, say.
    #[error("no secure connection to {0} could be made")]
    Connect(String),
    /// It took longer than allowed.
    #[error("{host} did not answer within {} seconds", .limit.as_secs_f32())]
    TimedOut {
        /// Who was asked.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// It answered with a redirect; those are not followed.
    #[error("the server answered with a redirect ({0}), which is not followed; give the final URL")]
    Redirect(u16),
    /// It answered with another status than 200.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// The body is too large.
    #[error("the answer is larger than {MAX_FETCH} bytes")]
    TooLarge,
    /// The body is compressed, which was not asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    /// The answer broke off or is not HTTP.
    #[error("the answer from {0} broke off")]
    Broken(String),
    /// This host was asked too often.
    #[error("{0} was asked too often within a minute; try again later")]
    RateLimited(String),
}

impl FetchError {
    /// Whether the same fetch may succeed later: the server's or the network's trouble, or our own limits, and not a
    /// fault of the URL or of what it serves.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unresolved(_)
            | Self::Unreachable(_)
            | Self::Connect(_)
            | Self::TimedOut { .. }
            | Self::Broken(_)
            | Self::RateLimited(_) => true,
            Self::Status(status) => *status >= 500 || *status == 429 || *status == 408,
            Self::Url(_)
            | Self::Port(_)
            | Self::PrivateAddress(_)
            | Self::Redirect(_)
            | Self::TooLarge
            | Self::Encoded => false,
        }
    }
}

impl Fetcher {
    /// A fetcher over `https` from public addresses; with `allow_private_networks` also over `http` and from private
    /// ones. Link-local addresses, where clouds keep their credentials, are never fetched from.
    #[must_use]
    pub fn new(allow_private_networks: bool) -> Self {
        Self::with_lookup(allow_private_networks, Arc::new(SystemLookUp::default()))
    }

    /// The same with another source of addresses.
    #[must_use]
    pub fn with_lookup(allow_private_networks: bool, source: Arc<dyn LookUp>) -> Self {
        let resolver = VettedResolver { source, private_too: allow_private_networks };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let mut connector = HttpsConnector::from((tcp, for_everybody()));
        if !allow_private_networks {
            connector.enforce_https();
        }
        // A connection that is kept would outlive the judgement on its address.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let rate = NonZeroU32::new(FETCHES_PER_HOST_A_MINUTE).unwrap_or(NonZeroU32::MIN);
        Self {
            client,
            private_too: allow_private_networks,
            timeout: FETCH_TIMEOUT,
            slots: Arc::new(Semaphore::new(FETCHES_AT_ONCE)),
            hosts: Arc::new(RateLimiter::keyed(Quota::per_minute(rate))),
        }
    }

    /// The same with another time for a whole fetch, from the wait for a place to the last byte.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with other limits, for servers that an administrator has named: so many requests to one host a minute.
    #[must_use]
    pub fn with_rate(mut self, a_minute: u32) -> Self {
        let rate = NonZeroU32::new(a_minute).unwrap_or(NonZeroU32::MIN);
        self.hosts = Arc::new(RateLimiter::keyed(Quota::per_minute(rate)));
        self
    }

    /// The same with limits for what we send rather than fetch: so many at once, so many to one host a minute.
    #[must_use]
    pub fn with_limits(mut self, at_once: usize, a_minute: u32) -> Self {
        let rate = NonZeroU32::new(a_minute).unwrap_or(NonZeroU32::MIN);
        self.slots = Arc::new(Semaphore::new(at_once));
        self.hosts = Arc::new(RateLimiter::keyed(Quota::per_minute(rate)));
        self
    }

    /// Sends a form, with our name and secret if given, and returns status and body of the answer.
    ///
    /// # Errors
    /// [`FetchError`]; every status but a redirect is a success.
    pub(super) async fn post_form(
        &self,
        url: &str,
        body: String,
        basic: Option<(String, Secret<String>)>,
    ) -> Result<(u16, Vec<u8>), FetchError> {
        let url = self.check(url)?;
        let host = host_of(&url);
        let mut request = Request::post(url.as_str()).header(ACCEPT, "application/json");
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some((name, secret)) = basic {
            let pair = Secret::new(STANDARD.encode(format!("{name}:{}", secret.expose())));
            request = request.header(AUTHORIZATION, sensitive(format!("Basic {}", pair.expose()))?);
        }
        self.within(&host, async {
            let response = self.send(request, body.into(), &host).await?;
            let status = response.status();
            if status.is_redirection() {
                return Err(FetchError::Redirect(status.as_u16()));
            }
            Ok((status.as_u16(), read(response, &host).await?.body))
        })
        .await
    }

    /// Fetches what is shown to whoever holds a token (RFC 6750 §2.1).
    ///
    /// # Errors
    /// [`FetchError`]; no answer but 200 is a success.
    pub(super) async fn fetch_as(&self, url: &str, token: &Secret<String>) -> Result<Vec<u8>, FetchError> {
        let url = self.check(url)?;
        let host = host_of(&url);
        let request = Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, sensitive(format!("Bearer {}", token.expose()))?);
        self.within(&host, async {
            let response = self.send(request, Bytes::new(), &host).await?;
            match response.status() {
                StatusCode::OK => Ok(read(response, &host).await?.body),
                status if status.is_redirection() => Err(FetchError::Redirect(status.as_u16())),
                status => Err(FetchError::Status(status.as_u16())),
            }
        })
        .await
    }

    /// Fetches one document.
    ///
    /// # Errors
    /// [`FetchError`]; no answer but 200, or 304 where `conditional` is given, is a success.
    pub async fn fetch(
        &self,
        url: &str,
        accept: &str,
        conditional: Option<&Validators>,
    ) -> Result<Fetched, FetchError> {
        let url = self.check(url)?;
        let host = host_of(&url);
        let mut request = Request::get(url.as_str()).header(ACCEPT, accept);
        let mut asked = false;
        if let Some(validators) = conditional {
            for (name, value) in
                [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)]
            {
                if let Some(value) = value {
                    request = request.header(name, value);
                    asked = true;
                }
            }
        }
        self.within(&host, async {
            let response = self.send(request, Bytes::new(), &host).await?;
            match response.status() {
                StatusCode::OK => read(response, &host).await,
                StatusCode::NOT_MODIFIED if asked => Ok(outline(response.headers(), true)),
                status if status.is_redirection() => Err(FetchError::Redirect(status.as_u16())),
                status => Err(FetchError::Status(status.as_u16())),
            }
        })
        .await
    }

    /// Asks for something protected without a token, and returns status and `WWW-Authenticate` headers of the answer
    /// (RFC 9110 §11.6.1). The body is not read.
    ///
    /// # Errors
    /// [`FetchError`]; every status is a success.
    pub(super) async fn challenge(&self, url: &str, accept: &str) -> Result<(u16, Vec<String>), FetchError> {
        let url = self.check(url)?;
        let host = host_of(&url);
        let request = Request::get(url.as_str()).header(ACCEPT, accept);
        self.within(&host, async {
            let response = self.send(request, Bytes::new(), &host).await?;
            let challenges = response.headers().get_all(WWW_AUTHENTICATE);
            let challenges =
                challenges.iter().filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
            Ok((response.status().as_u16(), challenges))
        })
        .await
    }

    /// Everything that can be said of a URL before a name is looked up.
    pub(super) fn check(&self, text: &str) -> Result<Url, FetchError> {
        if text.len() > MAX_FETCHED_URL {
            return Err(FetchError::Url("is too long"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(FetchError::Url("has a character that a URL cannot have"));
        }
        let url = Url::parse(text).map_err(|_| FetchError::Url("is not a URL"))?;
        if url.scheme() != "https" && !(self.private_too && url.scheme() == "http") {
            return Err(FetchError::Url("is not https"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(FetchError::Url("has user information or a fragment"));
        }
        // A port below 1024 is some other service's by convention, and our hello is not for it to read. From 1024 up
        // anything may be a web server, and on a public address nothing there is ours to protect.
        let port = url.port_or_known_default().unwrap_or(0);
        let web = port >= 1_024 || port == 443 || (port == 80 && self.private_too);
        if !web {
            return Err(FetchError::Port(port));
        }
        // A name is judged when it is resolved. An address is not resolved, so it is judged here, after the parser has
        // made one of whatever way of writing it was used (`2130706433`, `0x7f.1`).
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return Err(FetchError::Url("has no host")),
        };
        if literal.is_some_and(|address| !reach(address).allowed(self.private_too)) {
            return Err(FetchError::PrivateAddress(host_of(&url)));
        }
        Ok(url)
    }

    /// Runs a fetch within the limits: rate of the host, places, time.
    pub(super) async fn within<T>(
        &self,
        host: &str,
        fetch: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        if self.hosts.len() > HOSTS_REMEMBERED {
            self.hosts.retain_recent();
        }
        self.hosts.check_key(&host.to_owned()).map_err(|_| FetchError::RateLimited(host.to_owned()))?;
        let late = || FetchError::TimedOut { host: host.to_owned(), limit: self.timeout };
        let guarded = async {
            let _slot = self.slots.acquire().await.map_err(|_| late())?;
            fetch.await
        };
        tokio::time::timeout(self.timeout, guarded).await.unwrap_or_else(|_| Err(late()))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where a request leaves this server")]
    pub(super) async fn send(
        &self,
        request: request::Builder,
        body: Bytes,
        host: &str,
    ) -> Result<Response<Incoming>, FetchError> {
        let request = request
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, WHO)
            .body(Full::new(body))
            .map_err(|_| FetchError::Url("goes with something that cannot be sent"))?;
        let secure = request.uri().scheme_str() == Some("https");
        let response = self.client.request(request).await.map_err(|error| refusal(&error, secure, host))?;
        // The last word belongs to the connection that was really made.
        match response.extensions().get::<HttpInfo>().map(HttpInfo::remote_addr) {
            Some(peer) if reach(peer.ip()).allowed(self.private_too) => Ok(response),
            _ => Err(FetchError::PrivateAddress(host.to_owned())),
        }
    }
}

/// A header's value that no debug output shows.
pub(super) fn sensitive(value: String) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| FetchError::Url("goes with a header that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").field("private_too", &self.private_too).finish_non_exhaustive()
    }
}

/// Reads a body up to the limit, and stops at the first byte too many.
pub(super) async fn read(response: Response<Incoming>, host: &str) -> Result<Fetched, FetchError> {
    let encoded = response.headers().get(CONTENT_ENCODING);
    if encoded.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Encoded);
    }
    let mut fetched = outline(response.headers(), false);
    let mut body = response.into_body();
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > MAX_FETCH {
        return Err(FetchError::TooLarge);
    }
    while let Some(frame) = body.frame().await {
        // Trailers are nothing that is asked for here.
        let Ok(chunk) = frame.map_err(|_| FetchError::Broken(host.to_owned()))?.into_data() else { continue };
        if fetched.body.len() + chunk.len() > MAX_FETCH {
            return Err(FetchError::TooLarge);
        }
        fetched.body.extend_from_slice(&chunk);
    }
    Ok(fetched)
}

/// An answer without its body.
fn outline(headers: &HeaderMap, status_not_modified: bool) -> Fetched {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let freshness = freshness(headers);
    Fetched {
        status_not_modified,
        body: Vec::new(),
        content_type: text(CONTENT_TYPE),
        max_age: freshness.max_age,
        no_store: freshness.no_store,
        validators: Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) },
    }
}

/// What the system says when there is nobody to speak TLS with.
const NOBODY: [io::ErrorKind; 4] = [
    io::ErrorKind::ConnectionRefused,
    io::ErrorKind::HostUnreachable,
    io::ErrorKind::NetworkUnreachable,
    io::ErrorKind::TimedOut,
];

fn refusal(error: &legacy::Error, secure: bool, host: &str) -> FetchError {
    let mut cause = std::error::Error::source(error);
    let mut reached = secure;
    while let Some(inner) = cause {
        match inner.downcast_ref::<NoAddress>() {
            Some(NoAddress::Private) => return FetchError::PrivateAddress(host.to_owned()),
            Some(NoAddress::Unknown) => return FetchError::Unresolved(host.to_owned()),
            None => cause = inner.source(),
        }
        reached &= !inner.downcast_ref::<io::Error>().is_some_and(|error| NOBODY.contains(&error.kind()));
    }
    if error.is_connect() && !reached {
        FetchError::Unreachable(host.to_owned())
    } else if error.is_connect() {
        FetchError::Connect(host.to_owned())
    } else {
        FetchError::Broken(host.to_owned())
    }
}

pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
