//! Client metadata documents, fetched but not judged: what they must say is decided in `oauth/client_document`.

use std::sync::Arc;

use super::fetch::{FetchError, Fetched, Fetcher, Validators};
use super::flight::Flights;

/// Fetches client metadata documents.
pub struct Documents {
    fetcher: Fetcher,
    flights: Flights<Result<Arc<Fetched>, FetchError>>,
}

impl Documents {
    /// Fetches within the limits of `fetcher`.
    #[must_use]
    pub fn new(fetcher: Fetcher) -> Self {
        Self { fetcher, flights: Flights::default() }
    }

    /// Fetches the document at a client's URL. Requests for the same document that arrive while one is under way share
    /// its answer, so a crowd at one client's sign-in costs that client's host a single fetch. Nothing is kept: the
    /// copy belongs in the store, and an error nowhere.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, url: &str, known: Option<&Validators>) -> Result<Arc<Fetched>, FetchError> {
        let validators = known.cloned().unwrap_or_default();
        let key = format!("{url} {:?} {:?}", validators.etag, validators.last_modified);
        let errand = || async {
            self.fetcher.fetch(url, "application/json, application/*+json;q=0.9", known).await.map(Arc::new)
        };
        self.flights.join(&key, errand).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::test_server::TestServer;

    #[tokio::test]
    async fn a_crowd_costs_one_fetch_and_nothing_is_kept() {
        let server = TestServer::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        let documents = Documents::new(Fetcher::new(true));
        let url = server.url("/client.json");
        let crowd = futures_util::future::join_all((0..20).map(|_| documents.fetch(&url, None))).await;
        assert!(crowd.iter().all(|answer| answer.as_ref().is_ok_and(|fetched| fetched.body == b"{}")));
        assert_eq!(server.requests().len(), 1);
        documents.fetch(&url, None).await.unwrap();
        assert_eq!(server.requests().len(), 2);
    }
}
