//! Identity providers as another server: their discovery document, their keys, and their token endpoint.

use std::sync::Arc;

use quick_cache::sync::Cache;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::authorization_server::{proof_among, proven};
use super::fetch::{FetchError, Fetcher};
use super::flight::Flights;
use super::key_set::{KeySetError, KeySets};
use crate::types::identity::Provider;
use crate::types::policy::{PROVIDER_CALLS_A_MINUTE, PROVIDER_METADATA_FRESH, PROVIDERS_KEPT};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// What a provider says of itself (OpenID Connect Discovery §3, RFC 8414 §2).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Metadata {
    /// Its issuer identifier.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where codes are exchanged.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where it says more of somebody (OpenID Connect Core §5.3).
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// The algorithms of its ID tokens.
    #[serde(default = "usual_algs")]
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// What may be asked for.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// How clients prove themselves.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Whether it names itself in the answer (RFC 9207 §3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

fn usual_algs() -> Vec<String> {
    vec!["RS256".to_owned()]
}

/// Why a provider did not help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be asked.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// Its keys cannot be had.
    #[error("its keys: {0}")]
    Keys(#[from] KeySetError),
    /// What it says of itself makes no sense.
    #[error("{0}")]
    Metadata(String),
    /// It refuses: its error code (RFC 6749 §5.2).
    #[error("it refuses: {0}")]
    Refused(String),
    /// Its answer cannot be read.
    #[error("its answer cannot be read")]
    Unreadable,
}

/// What a token endpoint gave.
#[derive(Clone, Debug)]
pub struct Given {
    /// The ID token.
    pub id_token: Option<String>,
    /// The access token, for its userinfo endpoint.
    pub access_token: Option<Secret<String>>,
    /// The refresh token.
    pub refresh_token: Option<Secret<String>>,
}

/// One side of the guard.
struct Way {
    fetcher: Fetcher,
    keys: KeySets,
}

impl Way {
    fn new(private_too: bool) -> Self {
        let fetcher = Fetcher::new(private_too).with_rate(PROVIDER_CALLS_A_MINUTE);
        Self { keys: KeySets::new(fetcher.clone()), fetcher }
    }
}

/// Asks identity providers.
pub struct Providers {
    public: Way,
    private: Way,
    http_too: bool,
    kept: Cache<String, (Arc<Metadata>, Timestamp)>,
    flights: Flights<Result<Arc<Metadata>, ProviderError>>,
}

impl Providers {
    /// Providers at public addresses over `https`; at private ones too where an administrator says so of one. `http`
    /// only with `allow_private_networks`, which is for tests.
    #[must_use]
    pub fn new(allow_private_networks: bool) -> Self {
        Self {
            public: Way::new(allow_private_networks),
            private: Way::new(true),
            http_too: allow_private_networks,
            kept: Cache::new(PROVIDERS_KEPT),
            flights: Flights::default(),
        }
    }

    fn way(&self, provider: &Provider) -> &Way {
        if provider.rules.private_network { &self.private } else { &self.public }
    }

    /// What the provider says of itself, at most [`PROVIDER_METADATA_FRESH`] ago.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn metadata(
        &self,
        provider: &Provider,
        now: Timestamp,
    ) -> Result<Arc<Metadata>, ProviderError> {
        let key = format!("{} {}", provider.rules.private_network, provider.issuer);
        if let Some((metadata, at)) = self.kept.get(&key)
            && now.since(at) < PROVIDER_METADATA_FRESH
        {
            return Ok(metadata);
        }
        let errand = || async {
            let metadata = Arc::new(self.discover(provider).await?);
            self.kept.insert(key.clone(), (Arc::clone(&metadata), now));
            Ok(metadata)
        };
        self.flights.join(&key, errand).await
    }

    /// Asks the provider what it says of itself, whatever is known.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn discover(&self, provider: &Provider) -> Result<Metadata, ProviderError> {
        let url = format!("{}/.well-known/openid-configuration", provider.issuer.trim_end_matches('/'));
        self.is_secure(&url)?;
        let fetched = self.way(provider).fetcher.fetch(&url, "application/json", None).await?;
        let metadata: Metadata = serde_json::from_slice(&fetched.body)
            .map_err(|error| ProviderError::Metadata(format!("its metadata cannot be read: {error}")))?;
        // OpenID Connect Discovery §4.3: byte for byte, or whoever controls one document speaks for another issuer.
        if metadata.issuer != provider.issuer {
            return Err(ProviderError::Metadata(format!(
                "its metadata names the issuer {:?} and not {:?}; they have to be the same",
                metadata.issuer, provider.issuer
            )));
        }
        let named = [&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        for endpoint in named.into_iter().chain(&metadata.userinfo_endpoint) {
            self.is_secure(endpoint)?;
        }
        Ok(metadata)
    }

    fn is_secure(&self, url: &str) -> Result<(), ProviderError> {
        let parsed = url::Url::parse(url).ok();
        let fine = parsed.is_some_and(|parsed| {
            let scheme = parsed.scheme() == "https" || (self.http_too && parsed.scheme() == "http");
            scheme && parsed.host().is_some() && parsed.fragment().is_none() && parsed.username().is_empty()
        });
        if fine { Ok(()) } else { Err(ProviderError::Metadata(format!("{url:?} is not an https address"))) }
    }

    /// The provider's public keys; fetched anew, at most once in ten seconds, when `kid` is not among them.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn keys(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Value>, ProviderError> {
        Ok(self.way(provider).keys.keys(&metadata.jwks_uri, kid, now).await?)
    }

    /// What the provider says of somebody at its userinfo endpoint (OpenID Connect Core §5.3). Whether it is about the person
    /// who signs in, its caller looks at.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn userinfo(
        &self,
        provider: &Provider,
        endpoint: &str,
        token: &Secret<String>,
    ) -> Result<Map<String, Value>, ProviderError> {
        let body = self.way(provider).fetcher.fetch_as(endpoint, token).await?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(ProviderError::Unreadable),
        }
    }

    /// Asks the token endpoint (RFC 6749 §3.2), proving who we are by the secret (§2.3.1).
    ///
    /// # Errors
    /// [`ProviderError`].
    pub async fn token(
        &self,
        provider: &Provider,
        metadata: &Metadata,
        secret: &Secret<String>,
        form: &[(&str, &str)],
    ) -> Result<Given, ProviderError> {
        let proves_by = proof_among(&metadata.token_endpoint_auth_methods_supported);
        let (body, basic) = proven(&provider.client_id, (proves_by, Some(secret)), form);
        let sent = self.way(provider).fetcher.post_form(&metadata.token_endpoint, body, basic).await?;
        let (status, body) = sent;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status == 200 {
            let member = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
            if !answer.is_object() {
                return Err(ProviderError::Unreadable);
            }
            return Ok(Given {
                id_token: member("id_token"),
                access_token: member("access_token").map(Secret::new),
                refresh_token: member("refresh_token").map(Secret::new),
            });
        }
        match answer.get("error").and_then(Value::as_str) {
            Some(error) if status < 500 => {
                Err(ProviderError::Refused(error.chars().filter(|c| !c.is_control()).take(64).collect()))
            }
            _ => Err(FetchError::Status(status).into()),
        }
    }
}
