//! Telling others: one POST through the same guard as every fetch. Redirects are not followed, and of the answer no more is
//! read than a document may have.

use std::time::Duration;

use hyper::Request;
use hyper::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};

use super::fetch::{FetchError, Fetcher, host_of, read, sensitive};

/// What is sent.
#[derive(Clone, Debug)]
pub struct Post {
    /// To whom.
    pub url: String,
    /// Of which type.
    pub content_type: &'static str,
    /// With which further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The status; every one is an answer.
    pub status: u16,
    /// After how many seconds the server wants to be asked again (RFC 9110 §10.2.3).
    pub retry_after: Option<u64>,
    /// The body of a success or a refusal; empty when it is too large or compressed, for nothing hangs on it.
    pub body: Vec<u8>,
}

impl Fetcher {
    /// Whether something could be sent to a URL, as far as can be said before its name is looked up.
    ///
    /// # Errors
    /// Why not.
    pub fn could_send(&self, url: &str) -> Result<(), FetchError> {
        self.check(url).map(drop)
    }

    /// How long one exchange may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.timeout
    }

    /// Sends one message.
    ///
    /// # Errors
    /// [`FetchError`] when there was no answer.
    pub async fn post(&self, post: Post) -> Result<Reply, FetchError> {
        let url = self.check(&post.url)?;
        let host = host_of(&url);
        let mut request = Request::post(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, post.content_type);
        for (name, value) in post.headers {
            request = request.header(name, sensitive(value)?);
        }
        self.within(&host, async {
            let response = self.send(request, post.body.into(), &host).await?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get(RETRY_AFTER);
            let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let body = if response.status().is_success() || response.status().is_client_error() {
                read(response, &host).await.map(|fetched| fetched.body).unwrap_or_default()
            } else {
                Vec::new()
            };
            Ok(Reply { status, retry_after, body })
        })
        .await
    }
}
