//! The way to an MCP server behind the gateway: what it answers comes as it comes. Connections are kept, because an
//! administrator has named the server; a redirect is never followed, so that a credential goes to no other origin.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, ClientBuilder, Method, redirect};
use url::{Host, Url};

use super::address::reach;
use super::resolver::{SystemLookUp, VettedResolver};
use super::upstream_tls::objection;
use crate::types::policy::{UPSTREAM_CONNECT_TIMEOUT, UPSTREAM_IDLE_CONNECTIONS};
use crate::types::secret::Secret;

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
    pub headers: Vec<(String, Vec<u8>)>,
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
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: BoxStream<'static, Result<Bytes, Broken>>,
}

impl Streamed {
    /// The first header of this name, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(&found.1).ok()
    }
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
pub struct Upstreams(Client, Of);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Everyone,
    OneServer,
}

thread_local! {
    /// The client of a thread that serves. What a connection brings is then read by the thread that waits for it; another
    /// one would have to be woken for every answer.
    static OWN: Option<Client> = client().ok();
}

fn client() -> reqwest::Result<Client> {
    client_with::<Infallible>(Ok).unwrap_or_else(|never| match never {})
}

/// A client that is everything that one must be here, and what is added.
pub(super) fn client_with<E>(
    add: impl FnOnce(ClientBuilder) -> Result<ClientBuilder, E>,
) -> Result<reqwest::Result<Client>, E> {
    let source = Arc::new(SystemLookUp::default());
    let builder = Client::builder()
        .dns_resolver(Arc::new(VettedResolver { source, private_too: true }))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .user_agent(concat!("postern/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(UPSTREAM_CONNECT_TIMEOUT)
        .pool_max_idle_per_host(UPSTREAM_IDLE_CONNECTIONS);
    Ok(add(builder)?.build())
}

impl Default for Upstreams {
    #[expect(
        clippy::expect_used,
        reason = "without its TLS set-up the program is broken at the start, not later"
    )]
    fn default() -> Self {
        Self(client().expect("the TLS set-up of the HTTP client is complete"), Of::Everyone)
    }
}

impl Upstreams {
    /// This client and no other.
    pub(super) const fn exactly(client: Client) -> Self {
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
        let mut headers = HeaderMap::new();
        for (name, value) in forward.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NoAnswer::Unsendable)?;
            let value = HeaderValue::from_bytes(&value).map_err(|_| NoAnswer::Unsendable)?;
            headers.append(name, value);
        }
        if let Some(UpstreamCredential { header, value }) = credential {
            headers.insert(header, value);
        }
        let own = if self.1 == Of::Everyone { OWN.with(Clone::clone) } else { None };
        let client = own.unwrap_or_else(|| self.0.clone());
        let mut request = client.request(method, url.clone()).headers(headers);
        if !forward.body.is_empty() {
            request = request.body(forward.body);
        }
        let response = match tokio::time::timeout(forward.patience, request.send()).await {
            Err(_) => return Err(NoAnswer::TimedOut),
            Ok(Err(error)) => return Err(why(&error)),
            Ok(Ok(response)) => response,
        };
        let headers = response.headers().iter();
        Ok(Streamed {
            status: response.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: response.bytes_stream().map_err(|_| Broken).boxed(),
        })
    }
}

fn why(error: &reqwest::Error) -> NoAnswer {
    objection(error).unwrap_or(if error.is_connect() {
        NoAnswer::Unreachable
    } else if error.is_timeout() {
        NoAnswer::TimedOut
    } else {
        NoAnswer::Broken
    })
}
