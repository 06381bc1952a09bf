//! An authorization server in front of an MCP server, asked as its client: what it says of itself, registration, tokens,
//! and giving them back.

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::fetch::{FetchError, Fetcher};
use super::post::Post;
use crate::types::policy::{MAX_PARAMETER, MAX_UPSTREAM_TOKEN, PROVIDER_CALLS_A_MINUTE};
use crate::types::secret::Secret;
use crate::types::upstream_auth::{AuthSettings, ProvesBy};

/// What an authorization server says of itself (RFC 8414 §2), as far as it is used here.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ServerMetadata {
    /// Its issuer identifier.
    pub issuer: String,
    /// Where people allow it.
    pub authorization_endpoint: Option<String>,
    /// Where tokens are had.
    pub token_endpoint: String,
    /// Where they are given back (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// Where clients register themselves (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// How clients prove themselves; by Basic where nothing is said.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// Which ways of PKCE it knows.
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// Which scopes it knows.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
    /// Which grants it knows.
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
    /// Whether a client's id may be the URL of its metadata document.
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// Whether it names itself in its answers (RFC 9207 §3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl ServerMetadata {
    /// How a client with a secret proves itself there: by Basic unless it knows only the other way.
    #[must_use]
    pub fn proof(&self) -> ProvesBy {
        proof_among(&self.token_endpoint_auth_methods_supported)
    }
}

/// What a token endpoint gave (RFC 6749 §5.1).
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: Secret<String>,
    /// The refresh token.
    pub refresh: Option<Secret<String>>,
    /// Seconds until the access token ends, where it is said.
    pub expires_in: Option<u64>,
    /// What was granted, where it differs from what was asked.
    pub scope: Option<String>,
}

/// A client that has registered itself.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its id.
    pub client_id: String,
    /// Its secret, where it has one.
    pub secret: Option<Secret<String>>,
    /// How it proves itself.
    pub proves_by: ProvesBy,
}

/// Why it did not help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot be asked.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// What it says of itself makes no sense.
    #[error("{0}")]
    Metadata(String),
    /// It refuses: its error code, and its own words where there are any (RFC 6749 §5.2).
    #[error("it refuses: {code}{words}")]
    Refused {
        /// The code.
        code: String,
        /// Its words, after a colon; empty where there are none.
        words: String,
    },
    /// Its answer cannot be used.
    #[error("its answer cannot be used: {0}")]
    Unusable(&'static str),
}

impl ServerError {
    /// Whether it says that what was shown is worth nothing any more.
    #[must_use]
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }
}

/// Asks authorization servers. A clone shares the limits.
#[derive(Clone)]
pub struct AuthorizationServers {
    public: Fetcher,
    private: Fetcher,
}

impl AuthorizationServers {
    /// Servers at public addresses over `https`; at private ones, and over `http`, where an administrator has named the
    /// server, or with `allow_private_networks`.
    #[must_use]
    pub fn new(allow_private_networks: bool) -> Self {
        Self {
            public: Fetcher::new(allow_private_networks).with_rate(PROVIDER_CALLS_A_MINUTE),
            private: Fetcher::new(true).with_rate(PROVIDER_CALLS_A_MINUTE),
        }
    }

    fn way(&self, private: bool) -> &Fetcher {
        if private { &self.private } else { &self.public }
    }

    /// Asks an issuer what it says of itself: at the well-known addresses of RFC 8414 §3.1 and §5, then at that of OpenID
    /// Connect Discovery, in the order of MCP.
    ///
    /// # Errors
    /// [`ServerError`], about the last address that was asked.
    pub async fn discover(&self, issuer: &str, private: bool) -> Result<ServerMetadata, ServerError> {
        let fetcher = self.way(private);
        let mut last = ServerError::Metadata(format!("{issuer:?} is not a URL"));
        for address in well_known(issuer) {
            let fetched = match fetcher.fetch(&address, "application/json", None).await {
                Ok(fetched) => fetched,
                Err(error) => {
                    last = error.into();
                    continue;
                }
            };
            let metadata: ServerMetadata = match serde_json::from_slice(&fetched.body) {
                Ok(metadata) => metadata,
                Err(error) => {
                    last =
                        ServerError::Metadata(format!("the metadata at {address} cannot be read: {error}"));
                    continue;
                }
            };
            // RFC 8414 §3.3: byte for byte, or whoever controls one document speaks for another issuer.
            if metadata.issuer != issuer {
                return Err(ServerError::Metadata(format!(
                    "the metadata at {address} names the issuer {:?} and not {issuer:?}; they have to be the same",
                    metadata.issuer
                )));
            }
            let endpoints = [
                Some(&metadata.token_endpoint),
                metadata.authorization_endpoint.as_ref(),
                metadata.revocation_endpoint.as_ref(),
                metadata.registration_endpoint.as_ref(),
            ];
            for endpoint in endpoints.into_iter().flatten() {
                fetcher.could_send(endpoint).map_err(|error| {
                    ServerError::Metadata(format!("its endpoint {endpoint:?} cannot be used: {error}"))
                })?;
            }
            return Ok(metadata);
        }
        Err(last)
    }

    /// Registers the gateway as a client (RFC 7591 §3).
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn register(
        &self,
        endpoint: &str,
        private: bool,
        client: &Value,
    ) -> Result<Registered, ServerError> {
        let post = Post {
            url: endpoint.to_owned(),
            content_type: "application/json",
            headers: Vec::new(),
            body: client.to_string().into_bytes(),
        };
        let reply = self.way(private).post(post).await?;
        let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if !matches!(reply.status, 200 | 201) {
            return Err(refusal(reply.status, &answer));
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
        let client_id = text("client_id").filter(|id| !id.is_empty() && id.len() <= MAX_PARAMETER);
        let client_id = client_id.ok_or(ServerError::Unusable("it names no client_id"))?;
        let secret = text("client_secret").filter(|secret| !secret.is_empty()).map(Secret::new);
        let proves_by = match (&secret, text("token_endpoint_auth_method").as_deref()) {
            (None, _) | (Some(_), Some("none")) => ProvesBy::None,
            (Some(_), Some("client_secret_post")) => ProvesBy::ClientSecretPost,
            (Some(_), None | Some("client_secret_basic")) => ProvesBy::ClientSecretBasic,
            (Some(_), Some(_)) => {
                return Err(ServerError::Unusable("it wants a way of proof that the gateway does not have"));
            }
        };
        let secret = secret.filter(|_| proves_by != ProvesBy::None);
        Ok(Registered { client_id, secret, proves_by })
    }

    /// Asks the token endpoint (RFC 6749 §3.2).
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn token(
        &self,
        settings: &AuthSettings,
        secret: Option<&Secret<String>>,
        form: &[(&str, &str)],
    ) -> Result<Tokens, ServerError> {
        let (status, body) = self.form(&settings.token_endpoint, settings, secret, form).await?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        if status != 200 {
            return Err(refusal(status, &answer));
        }
        // Some answer 200 and an error.
        if text("access_token").is_none() && text("error").is_some() {
            return Err(refusal(400, &answer));
        }
        let fits = |text: &&str| {
            !text.is_empty() && text.len() <= MAX_UPSTREAM_TOKEN && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let access = text("access_token").filter(fits);
        let access = access.ok_or(ServerError::Unusable("it holds no access token that fits a header"))?;
        // RFC 6749 §7.1: a token of a kind that is not known must not be used. ID-JAG's exchange says N_A of what is no access token.
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(ServerError::Unusable("the token is not a bearer token"));
        }
        Ok(Tokens {
            access: Secret::new(access.to_owned()),
            refresh: text("refresh_token").filter(fits).map(|token| Secret::new(token.to_owned())),
            // A number that some write as text.
            expires_in: answer.get("expires_in").and_then(|value| {
                value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
            }),
            scope: text("scope").map(str::to_owned),
        })
    }

    /// Gives a token back (RFC 7009 §2.1). One that is not known there any more is given back (§2.2).
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn revoke(
        &self,
        settings: &AuthSettings,
        secret: Option<&Secret<String>>,
        (token, hint): (&str, &str),
    ) -> Result<(), ServerError> {
        let Some(endpoint) = &settings.revocation_endpoint else { return Ok(()) };
        let form = [("token", token), ("token_type_hint", hint)];
        let (status, body) = self.form(endpoint, settings, secret, &form).await?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        Err(refusal(status, &serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn form(
        &self,
        endpoint: &str,
        settings: &AuthSettings,
        secret: Option<&Secret<String>>,
        form: &[(&str, &str)],
    ) -> Result<(u16, Vec<u8>), FetchError> {
        let (body, basic) = proven(&settings.client_id, (settings.proves_by, secret), form);
        self.way(settings.private_network).post_form(endpoint, body, basic).await
    }
}

/// A form, and the header beside it, by which a client of ours proves itself (RFC 6749 §2.3.1).
pub(super) fn proven(
    client_id: &str,
    (proves_by, secret): (ProvesBy, Option<&Secret<String>>),
    form: &[(&str, &str)],
) -> (String, Option<(String, Secret<String>)>) {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(form);
    let mut basic = None;
    match (proves_by, secret) {
        (ProvesBy::ClientSecretBasic, Some(secret)) => {
            // Each is form-encoded before the two are joined.
            let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let pair: (String, Secret<String>) = (encoded(client_id), Secret::new(encoded(secret.expose())));
            basic = Some(pair);
        }
        (ProvesBy::ClientSecretPost, Some(secret)) => {
            body.append_pair("client_id", client_id).append_pair("client_secret", secret.expose());
        }
        _ => {
            body.append_pair("client_id", client_id);
        }
    }
    (body.finish(), basic)
}

/// How a client with a secret proves itself where these ways are known: by Basic unless only the other way is.
pub(super) fn proof_among(methods: &[String]) -> ProvesBy {
    let says = |name: &str| methods.iter().any(|one| one == name);
    if says("client_secret_post") && !says("client_secret_basic") {
        ProvesBy::ClientSecretPost
    } else {
        ProvesBy::ClientSecretBasic
    }
}

/// What stands in the metadata document of the gateway as a client, and in its registration.
#[must_use]
pub fn client_of(name: &str, redirect_uri: &str, scopes: &[String]) -> Value {
    let mut client = json!({
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "web",
    });
    if let Some(members) = client.as_object_mut().filter(|_| !scopes.is_empty()) {
        members.insert("scope".to_owned(), scopes.join(" ").into());
    }
    client
}

fn refusal(status: u16, answer: &Value) -> ServerError {
    let plain = |name: &str, most: usize| -> Option<String> {
        let text = answer.get(name).and_then(Value::as_str)?;
        Some(text.chars().filter(|c| !c.is_control()).take(most).collect())
    };
    match plain("error", 64) {
        Some(code) if status < 500 => {
            let words =
                plain("error_description", 200).map_or_else(String::new, |words| format!(": {words}"));
            ServerError::Refused { code, words }
        }
        _ => FetchError::Status(status).into(),
    }
}

/// The addresses at which an issuer may say what it is.
fn well_known(issuer: &str) -> Vec<String> {
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    if url.query().is_some() || url.fragment().is_some() || url.host().is_none() {
        return Vec::new();
    }
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let (oauth, openid) = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration");
    let mut all = vec![format!("{origin}{oauth}{path}"), format!("{origin}{openid}{path}")];
    if !path.is_empty() {
        all.push(format!("{origin}{path}{openid}"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_looked_for_where_mcp_says() {
        assert_eq!(
            well_known("https://as.example/tenant/"),
            [
                "https://as.example/.well-known/oauth-authorization-server/tenant",
                "https://as.example/.well-known/openid-configuration/tenant",
                "https://as.example/tenant/.well-known/openid-configuration",
            ]
        );
        assert_eq!(well_known("https://as.example").len(), 2);
        assert!(well_known("https://as.example?x=1").is_empty() && well_known("as").is_empty());
    }

    #[test]
    fn a_refusal_keeps_its_words_and_no_control_characters() {
        let answer = json!({ "error": "invalid_grant", "error_description": "gone\u{1b}[2J" });
        assert_eq!(refusal(400, &answer).to_string(), "it refuses: invalid_grant: gone[2J");
        assert!(refusal(400, &answer).is_invalid_grant());
        // A server in trouble says nothing about a grant, whatever it says.
        assert!(!refusal(503, &answer).is_invalid_grant());
    }
}
