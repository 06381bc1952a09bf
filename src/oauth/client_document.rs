//! Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): which URLs may be client ids, what a
//! document must say, how long it holds, and what a new version changes.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::oauth::client_json;
use crate::oauth::client_metadata::{self, MetadataError, Origin, Reading};
use crate::oauth::client_text::quoted;
use crate::types::client::{ClientId, ClientMetadata};
use crate::types::policy::{DOCUMENT_DEFAULT_FRESH, DOCUMENT_MAX_FRESH, DOCUMENT_MIN_FRESH, Policy};

/// A client id that may be fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentUrl(ClientId);

impl DocumentUrl {
    /// Checks a client id before anything is fetched, on its raw text: what a URL library would tidy away is exactly
    /// what must not be there ("Client Identifier" of the draft). A query and a port are allowed. A root path is
    /// refused like an empty one: client libraries hold it for none, and a bare origin names a site, not a client.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, DocumentError> {
        check_url(text, policy.allow_private_networks)?;
        ClientId::parse(text).map(Self).ok_or(DocumentError::Url("is longer than 1024 characters"))
    }

    /// The client id.
    #[must_use]
    pub const fn client_id(&self) -> &ClientId {
        &self.0
    }

    /// The URL, byte for byte as it was presented.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Why a client id or its document is refused. Nothing of it may be cached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The client id is not the URL of a metadata document.
    #[error("the client id {0}")]
    Url(&'static str),
    /// The answer is not declared as JSON.
    #[error("the metadata document is served as {0}, not as application/json")]
    ContentType(String),
    /// The document is about another client.
    #[error(
        "the metadata document at {url} says its client_id is {found}; the two must be equal, byte for byte"
    )]
    OtherClient {
        /// Where it was found.
        url: String,
        /// What it says.
        found: String,
    },
    /// A required member is missing.
    #[error("the metadata document has no {0}")]
    Missing(&'static str),
    /// A member that no public document may have.
    #[error("the metadata document has a {0}, which has no place in a public document")]
    Forbidden(&'static str),
    /// The metadata in it cannot be accepted.
    #[error("the metadata document cannot be accepted: {0}")]
    Metadata(#[from] MetadataError),
}

/// Reads a fetched document.
///
/// # Errors
/// Any [`DocumentError`] but [`DocumentError::Url`].
pub fn read(
    url: &DocumentUrl,
    content_type: Option<&str>,
    body: &[u8],
    policy: &Policy,
) -> Result<Reading, DocumentError> {
    if !content_type.is_some_and(is_json) {
        return Err(DocumentError::ContentType(content_type.map_or_else(|| "nothing".to_owned(), quoted)));
    }
    let members = client_json::members(body)?;
    let value = |name: &str| members.get(name).filter(|value| !value.is_null());
    match value("client_id") {
        None => return Err(DocumentError::Missing("client_id")),
        Some(Value::String(id)) if id == url.as_str() => {}
        Some(other) => {
            let found = other.as_str().map_or_else(|| "not a string".to_owned(), quoted);
            return Err(DocumentError::OtherClient { url: url.as_str().to_owned(), found });
        }
    }
    for name in ["client_secret", "client_secret_expires_at"] {
        if value(name).is_some() {
            return Err(DocumentError::Forbidden(name));
        }
    }
    if value("redirect_uris").is_none() {
        return Err(DocumentError::Missing("redirect_uris"));
    }
    let reading = client_metadata::read(&members, Origin::Document, policy)?;
    if reading.metadata.client_name.is_none() {
        return Err(DocumentError::Missing("client_name"));
    }
    Ok(reading)
}

/// How long a document counts as fresh: what its server says, within bounds. `no-store` gives the shortest time and
/// not none, or every request of every person would be a fetch.
#[must_use]
pub fn freshness(max_age: Option<Duration>, no_store: bool) -> Duration {
    if no_store {
        return DOCUMENT_MIN_FRESH;
    }
    max_age.unwrap_or(DOCUMENT_DEFAULT_FRESH).clamp(DOCUMENT_MIN_FRESH, DOCUMENT_MAX_FRESH)
}

/// One member that differs between two versions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// Its name.
    pub member: String,
    /// Its value in the older version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value in the newer version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Change {
    /// Whether approvals rest on it: where codes go, and how the client proves itself. The same members that
    /// [`crate::types::fingerprint::Fingerprint::rests_on`] compares.
    #[must_use]
    pub fn sensitive(&self) -> bool {
        matches!(self.member.as_str(), "redirect_uris" | "jwks" | "jwks_uri" | "token_endpoint_auth_method")
    }
}

/// What a new version of a document changes, by member. The order of redirect URIs, grant types and contacts says
/// nothing and does not count.
#[must_use]
pub fn difference(old: &ClientMetadata, new: &ClientMetadata) -> Vec<Change> {
    let (Ok(Value::Object(mut before)), Ok(Value::Object(mut after))) =
        (serde_json::to_value(old), serde_json::to_value(new))
    else {
        return Vec::new();
    };
    before.retain(|_, value| !value.is_null());
    after.retain(|_, value| !value.is_null());
    let mut names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|member| Change { before: before.remove(&member), after: after.remove(&member), member })
        .filter(|change| unordered(change.before.as_ref()) != unordered(change.after.as_ref()))
        .collect()
}

/// A value in which the order of a list of texts does not count.
fn unordered(value: Option<&Value>) -> Option<Value> {
    let mut value = value?.clone();
    if let Value::Array(items) = &mut value {
        items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    Some(value)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || essence
            .strip_prefix("application/")
            .and_then(|s| s.strip_suffix("+json"))
            .is_some_and(|s| !s.is_empty())
}

fn check_url(text: &str, http_too: bool) -> Result<(), DocumentError> {
    let wrong = |what| Err(DocumentError::Url(what));
    let plain = |b: u8| {
        b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if !text.bytes().all(plain) {
        return wrong("has a character that a URL cannot have");
    }
    let after = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(after), _) => after,
        (None, Some(after)) if http_too => after,
        _ => return wrong("is not an https URL"),
    };
    if after.contains('#') {
        return wrong("has a fragment");
    }
    let (place, _query) = after.split_once('?').unwrap_or((after, ""));
    let (authority, path) = place.split_once('/').unwrap_or((place, ""));
    if authority.contains('@') {
        return wrong("has user information");
    }
    if authority.is_empty() || authority.contains('%') {
        return wrong("has no usable host");
    }
    if path.is_empty() {
        return wrong("has no path; the URL of a metadata document needs one");
    }
    if path.split('/').any(is_dot_segment) {
        return wrong("has a . or .. segment in its path");
    }
    let usable = url::Url::parse(text).is_ok_and(|url| url.has_host() && url.port() != Some(0));
    if usable { Ok(()) } else { wrong("is not a URL") }
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::types::client::{AuthMethod, Client, ClientKind, GrantType};
    use crate::types::fingerprint::Fingerprint;
    use crate::types::issuer::Issuer;
    use crate::types::time::Timestamp;

    const URL: &str = "https://app.example.com/client.json";

    fn policy() -> Policy {
        Policy::new(Issuer::parse("https://auth.example.com").unwrap())
    }

    fn read_at(url: &str, body: &Value) -> Result<Reading, DocumentError> {
        let url = DocumentUrl::parse(url, &policy()).unwrap();
        read(&url, Some("application/json"), body.to_string().as_bytes(), &policy())
    }

    fn good() -> Value {
        json!({"client_id": URL, "client_name": "App", "redirect_uris": ["https://app.example.com/cb"]})
    }

    fn with(extra: Value) -> Result<Reading, DocumentError> {
        let mut body = good();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        read_at(URL, &body)
    }

    #[test]
    fn urls_that_may_be_client_ids() {
        for good in [
            "https://claude.ai/oauth/claude-code-client-metadata",
            "https://vscode.dev/oauth/client-metadata.json",
            "https://h:8443/c",
            "https://h/c?x=1",
            "https://h/c/",
            "https://h/a..b/.well-known/c",
            "https://h/%2e%2e%2e",
            "https://[2001:db8::1]/c",
        ] {
            assert_eq!(DocumentUrl::parse(good, &policy()).unwrap().as_str(), good);
        }
    }

    #[test]
    fn urls_that_may_not() {
        for bad in [
            "",
            "client",
            "http://h/c",
            "HTTPS://h/c",
            "https:/h/c",
            "https:h/c",
            "https://",
            "https:///c",
            "https://h",
            "https://h/",
            "https://h/?x",
            "https://h?x/c",
            "https://h/c#f",
            "https://h/c#",
            "https://u@h/c",
            "https://u:p@h/c",
            "https://@h/c",
            "https://h/./c",
            "https://h/a/../c",
            "https://h/a/..",
            "https://h/.",
            "https://h/%2e/c",
            "https://h/a/%2E%2e/c",
            "https://h/a/.%2E/c",
            "https://h\\c",
            "https://h/c d",
            "https://h/\tc",
            "https://h/c\n",
            "https://ｈ/c",
            "https://h/é",
            "https://%68/c",
            "https://h:0/c",
            "https://h:99999/c",
            "https://h:x/c",
            "ftp://h/c",
            "javascript:alert(1)",
        ] {
            assert!(DocumentUrl::parse(bad, &policy()).is_err(), "{bad:?}");
        }
        assert!(DocumentUrl::parse(&format!("https://h/{}", "x".repeat(1_024)), &policy()).is_err());
        let mut private = policy();
        private.allow_private_networks = true;
        assert!(DocumentUrl::parse("http://127.0.0.1:9000/c", &private).is_ok());
        assert!(DocumentUrl::parse("http://127.0.0.1:9000/", &private).is_err());
    }

    #[test]
    fn the_document_is_json_and_says_so() {
        let url = DocumentUrl::parse(URL, &policy()).unwrap();
        let body = good().to_string();
        for fine in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/ld+json",
            "application/x+json ;a=b",
        ] {
            assert!(read(&url, Some(fine), body.as_bytes(), &policy()).is_ok(), "{fine}");
        }
        for bad in [
            None,
            Some("text/html"),
            Some("text/plain"),
            Some("text/json"),
            Some("application/+json"),
            Some("application/jsonp"),
            Some("image/svg+json"),
            Some(""),
        ] {
            let error = read(&url, bad, body.as_bytes(), &policy()).unwrap_err();
            assert!(matches!(error, DocumentError::ContentType(_)), "{bad:?}");
        }
        for bad in ["", "[]", "null", "<html>", "{\"client_id\":1,\"client_id\":2}"] {
            assert!(read(&url, Some("application/json"), bad.as_bytes(), &policy()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_document_names_itself_byte_for_byte() {
        for other in [
            json!("https://app.example.com/client.json/"),
            json!("https://APP.example.com/client.json"),
            json!("https://app.example.com:443/client.json"),
            json!("https://app.example.com/./client.json"),
            json!("https://other.example/client.json"),
            json!(1),
        ] {
            assert!(
                matches!(with(json!({"client_id": other})), Err(DocumentError::OtherClient { .. })),
                "{other}"
            );
        }
    }

    #[test]
    fn required_members_are_required_and_secrets_forbidden() {
        for name in ["client_id", "client_name", "redirect_uris"] {
            assert_eq!(with(json!({name: null})), Err(DocumentError::Missing(name)));
        }
        assert_eq!(with(json!({"client_name": " \u{200b}"})), Err(DocumentError::Missing("client_name")));
        assert!(
            with(json!({"client_secret": "s"})).is_err()
                && with(json!({"client_secret_expires_at": 0})).is_err()
        );
        assert!(with(json!({"token_endpoint_auth_method": "client_secret_basic"})).is_err());
        assert!(with(json!({"redirect_uris": ["http://evil.example/"]})).is_err());
    }

    #[test]
    fn claude_code_and_claude_ai() {
        let id = "https://claude.ai/oauth/claude-code-client-metadata";
        let reading = read_at(
            id,
            &json!({
                "client_id": id,
                "client_name": "Claude Code",
                "client_uri": "https://claude.ai",
                "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
            }),
        )
        .unwrap();
        assert!(reading.notes.is_empty());
        assert_eq!(reading.metadata.redirect_uris.len(), 2);
        let id = "https://claude.ai/oauth/mcp-oauth-client-metadata";
        let reading = read_at(id, &json!({
            "client_id": id,
            "client_name": "Claude",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "token_endpoint_auth_method": "none",
        }))
        .unwrap();
        assert_eq!(reading.metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
        assert_eq!(reading.notes.len(), 1);
    }

    #[test]
    fn chatgpt_proves_itself_with_its_key() {
        let id = "https://chatgpt.com/oauth/abc123/client.json";
        let reading = read_at(
            id,
            &json!({
                "client_id": id,
                "client_name": "ChatGPT",
                "redirect_uris": ["https://chatgpt.com/connector/oauth/abc123"],
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                "token_endpoint_auth_signing_alg": "RS256",
                "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
            }),
        )
        .unwrap();
        assert!(reading.notes.is_empty());
        assert_eq!(reading.metadata.token_endpoint_auth_method, Some(AuthMethod::PrivateKeyJwt));
        assert_eq!(reading.metadata.token_endpoint_auth_signing_alg.as_deref(), Some("RS256"));
    }

    #[test]
    fn vs_code_keeps_its_loopback_addresses() {
        let id = "https://vscode.dev/oauth/client-metadata.json";
        let reading = read_at(
            id,
            &json!({
                "client_id": id,
                "client_name": "Visual Studio Code",
                "logo_uri": "https://vscode.dev/logo.png",
                "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
                "token_endpoint_auth_method": "none",
                "application_type": "native",
            }),
        )
        .unwrap();
        assert!(reading.notes.is_empty());
        assert_eq!(reading.metadata.redirect_uris.len(), 2);
    }

    #[test]
    fn freshness_stays_within_bounds() {
        let seconds = |s| Some(Duration::from_secs(s));
        for (max_age, no_store, fresh) in [
            (None, false, DOCUMENT_DEFAULT_FRESH),
            (seconds(0), false, DOCUMENT_MIN_FRESH),
            (seconds(3_600), false, Duration::from_secs(3_600)),
            (seconds(u64::MAX), false, DOCUMENT_MAX_FRESH),
            (seconds(3_600), true, DOCUMENT_MIN_FRESH),
            (None, true, DOCUMENT_MIN_FRESH),
        ] {
            assert_eq!(freshness(max_age, no_store), fresh, "{max_age:?} {no_store}");
        }
    }

    #[test]
    fn a_difference_names_members_and_says_what_is_sensitive() {
        let old = with(json!({"client_name": "Old", "logo_uri": "https://h/logo"})).unwrap().metadata;
        let new = with(json!({"client_name": "New", "redirect_uris": ["https://evil.example/cb"]}))
            .unwrap()
            .metadata;
        let changes = difference(&old, &new);
        let names: Vec<_> =
            changes.iter().map(|change| (change.member.as_str(), change.sensitive())).collect();
        assert_eq!(names, [("client_name", false), ("logo_uri", false), ("redirect_uris", true)]);
        assert_eq!(
            (changes[0].before.clone(), changes[0].after.clone()),
            (Some(json!("Old")), Some(json!("New")))
        );
        assert_eq!(
            (changes[1].before.clone(), changes[1].after.clone()),
            (Some(json!("https://h/logo")), None)
        );
    }

    fn any_metadata() -> impl Strategy<Value = ClientMetadata> {
        let uris =
            prop::sample::subsequence(vec!["https://a/", "https://b/", "https://c/"], 0..3).prop_shuffle();
        let keys = prop::option::of(prop::sample::select(vec![1, 2]));
        let method = prop::option::of(prop::sample::select(AuthMethod::ALL.to_vec()));
        (uris, keys.clone(), keys, method, prop::option::of("[ab]")).prop_map(
            |(uris, jwks, uri, method, name)| ClientMetadata {
                redirect_uris: uris.into_iter().map(str::to_owned).collect(),
                jwks: jwks.map(|n| json!({"keys": [{"kty": "EC", "kid": n}]})),
                jwks_uri: uri.map(|n| format!("https://h/{n}")),
                token_endpoint_auth_method: method,
                client_name: name,
                ..ClientMetadata::default()
            },
        )
    }

    fn client(metadata: &ClientMetadata) -> Client {
        let now = Timestamp::from_seconds(0);
        Client {
            id: ClientId::parse(URL).unwrap(),
            kind: ClientKind::MetadataDocument,
            metadata: metadata.clone(),
            secret_digest: None,
            registration_digest: None,
            resources: Vec::new(),
            created_at: now,
            updated_at: now,
            disabled_at: None,
            first_granted_at: None,
            document_fresh_until: None,
            document_version: 1,
        }
    }

    proptest! {
        #[test]
        fn a_change_is_sensitive_exactly_when_approvals_do_not_survive_it(
            old in any_metadata(), new in any_metadata()
        ) {
            let sensitive = difference(&old, &new).iter().any(Change::sensitive);
            prop_assert_eq!(sensitive, !Fingerprint::of(&client(&old)).rests_on(&client(&new)));
        }

        #[test]
        fn nothing_differs_from_itself(metadata in any_metadata()) {
            prop_assert!(difference(&metadata, &metadata).is_empty());
        }

        #[test]
        fn an_accepted_url_is_fetched_as_it_is_written(text in "https://[a-z.]{1,8}(:[0-9]{1,5})?/[a-z./%2eE?#@]{0,12}") {
            if DocumentUrl::parse(&text, &policy()).is_ok() {
                let fetched = url::Url::parse(&text).unwrap();
                let path = text.trim_start_matches("https://").split_once('/').unwrap().1.split('?').next().unwrap();
                prop_assert_eq!(fetched.path().trim_start_matches('/'), path.trim_start_matches('/'));
                prop_assert_eq!(fetched.fragment(), None);
            }
        }
    }
}
