//! Dynamic registration: who may register (RFC 7591 §3), what is registered, and how it may change (RFC 7592 §2.2).

use serde_json::{Map, Value, json};

use crate::oauth::client_json;
use crate::oauth::client_metadata::{self, MetadataError, Note, Origin};
use crate::types::client::{Client, ClientId, ClientMetadata};
use crate::types::policy::{Policy, RegistrationMode};

/// What the caller of the registration endpoint showed of an initial access token (RFC 7591 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialAccess {
    /// No token.
    Absent,
    /// A token that is stored here and valid now.
    Valid,
    /// Any other token.
    Invalid,
}

/// A registration that may be stored.
#[derive(Clone, PartialEq, Debug)]
pub struct Registration {
    /// What the client gets.
    pub metadata: ClientMetadata,
    /// What happens to its secret.
    pub secret: SecretPlan,
    /// What was left out or replaced; the answer carries it as `warnings`.
    pub notes: Vec<Note>,
}

/// What happens to a client's secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretPlan {
    /// It has none, and one that it had is forgotten.
    None,
    /// One is made and shown once.
    Issue,
    /// The one it has stays.
    Keep,
}

/// Why a registration is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistrationError {
    /// What it says of itself cannot be accepted (RFC 7591 §3.2.2).
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// No initial access token, or no registration access token, was shown at all. The challenge then carries no error
    /// (RFC 6750 §3.1).
    #[error("{0}")]
    NoToken(&'static str),
    /// No valid initial access token, or no valid registration access token (RFC 6750 §3.1).
    #[error("{0}")]
    InvalidToken(&'static str),
    /// Only administrators add clients here.
    #[error("this server does not let clients register themselves; ask its administrator")]
    Closed,
}

impl RegistrationError {
    /// The error code of the answer.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Metadata(error) => error.code(),
            Self::NoToken(_) | Self::InvalidToken(_) => "invalid_token",
            Self::Closed => "access_denied",
        }
    }

    /// The HTTP status of the answer. With 401 goes a `WWW-Authenticate: Bearer` header (RFC 6750 §3).
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Metadata(_) => 400,
            Self::NoToken(_) | Self::InvalidToken(_) => 401,
            Self::Closed => 403,
        }
    }
}

/// Decides whether the caller may register at all.
///
/// # Errors
/// [`RegistrationError::Closed`], [`RegistrationError::NoToken`] or [`RegistrationError::InvalidToken`]. A token that is shown although none is
/// needed does no harm.
pub const fn may_register(mode: RegistrationMode, access: InitialAccess) -> Result<(), RegistrationError> {
    match (mode, access) {
        (RegistrationMode::Open, _) | (RegistrationMode::InitialAccessToken, InitialAccess::Valid) => Ok(()),
        (RegistrationMode::InitialAccessToken, InitialAccess::Absent) => Err(RegistrationError::NoToken(
            "registering here needs an initial access token from the administrator",
        )),
        (RegistrationMode::InitialAccessToken, InitialAccess::Invalid) => {
            Err(RegistrationError::InvalidToken("the initial access token is unknown, used up or expired"))
        }
        (RegistrationMode::Closed, _) => Err(RegistrationError::Closed),
    }
}

/// Reads a registration request (RFC 7591 §3.1). A `software_statement` is ignored, as §2.3 allows.
///
/// # Errors
/// [`RegistrationError::Metadata`].
pub fn register(body: &[u8], policy: &Policy) -> Result<Registration, RegistrationError> {
    let members = client_json::members(body)?;
    let reading = client_metadata::read(&members, Origin::Registration, policy)?;
    let secret = if uses_secret(&reading.metadata) { SecretPlan::Issue } else { SecretPlan::None };
    Ok(Registration { metadata: reading.metadata, secret, notes: reading.notes })
}

/// Reads an update request (RFC 7592 §2.2). It replaces everything: what it does not name goes back to the default.
///
/// # Errors
/// [`RegistrationError::Metadata`], also when `client_id` is missing or another one, when a member is there that only
/// the server sets, or when `client_secret` is not the client's.
pub fn update(client: &Client, body: &[u8], policy: &Policy) -> Result<Registration, RegistrationError> {
    let members = client_json::members(body)?;
    check_update(client, &members)?;
    let reading = client_metadata::read(&members, Origin::Registration, policy)?;
    let secret = match (uses_secret(&reading.metadata), client.secret_digest) {
        (false, _) => SecretPlan::None,
        (true, Some(_)) => SecretPlan::Keep,
        (true, None) => SecretPlan::Issue,
    };
    Ok(Registration { metadata: reading.metadata, secret, notes: reading.notes })
}

/// The secrets of an answer, in the clear. They are stored as digests only, so a later answer can repeat none but what
/// the caller has just shown.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// The secret, when it was made just now.
    pub client_secret: Option<&'a str>,
    /// The registration access token: made just now, or the one the caller showed (RFC 7592 §3).
    pub registration_access_token: Option<&'a str>,
}

/// The body of an answer (RFC 7591 §3.2.1, RFC 7592 §3): all that is registered, nothing that is absent, never `null`.
#[must_use]
pub fn response(client: &Client, shown: Shown<'_>, notes: &[Note], policy: &Policy) -> Value {
    let mut body = Map::new();
    body.insert("client_id".to_owned(), json!(client.id));
    body.insert("client_id_issued_at".to_owned(), json!(client.created_at.seconds()));
    if let Ok(Value::Object(members)) = serde_json::to_value(&client.metadata) {
        body.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
    }
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    put("token_endpoint_auth_method", json!(client.auth_method().as_str()));
    if let Some(secret) = shown.client_secret {
        put("client_secret", json!(secret));
        put("client_secret_expires_at", json!(0));
    }
    if let Some(token) = shown.registration_access_token {
        put("registration_access_token", json!(token));
        put("registration_client_uri", json!(client_uri(&client.id, policy)));
    }
    if !notes.is_empty() {
        put("warnings", notes.iter().map(|note| json!(note.to_string())).collect());
    }
    Value::Object(body)
}

/// Where a client manages its registration (RFC 7592 §3). Generated ids need no escaping in a path.
#[must_use]
pub fn client_uri(id: &ClientId, policy: &Policy) -> String {
    policy.issuer.url(&format!("/register/{id}"))
}

/// Members that only the server sets (RFC 7592 §2.2).
const SERVER_SETS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

fn uses_secret(metadata: &ClientMetadata) -> bool {
    metadata.token_endpoint_auth_method.is_some_and(crate::types::client::AuthMethod::uses_secret)
}

fn check_update(client: &Client, members: &Map<String, Value>) -> Result<(), MetadataError> {
    let value = |name: &str| members.get(name).filter(|value| !value.is_null());
    let wrong = |text: String| Err(MetadataError::Metadata(text));
    match value("client_id") {
        Some(Value::String(id)) if id == client.id.as_str() => {}
        Some(_) => return wrong("client_id is not the one of this registration".to_owned()),
        None => return wrong("client_id is required in an update".to_owned()),
    }
    if let Some(name) = SERVER_SETS.into_iter().find(|name| value(name).is_some()) {
        return wrong(format!("{name} must not be part of an update"));
    }
    match value("client_secret") {
        None => Ok(()),
        Some(Value::String(secret)) if client.secret_digest.is_some_and(|digest| digest.matches(secret)) => {
            Ok(())
        }
        Some(_) => wrong("client_secret is not the one of this registration".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::client::{AuthMethod, ClientKind, GrantType};
    use crate::types::issuer::Issuer;
    use crate::types::time::Timestamp;
    use crate::types::token::TokenDigest;

    fn policy() -> Policy {
        Policy::new(Issuer::parse("https://auth.example.com/t1").unwrap())
    }

    fn client(metadata: ClientMetadata) -> Client {
        Client {
            id: ClientId::parse("pst_client_1").unwrap(),
            kind: ClientKind::Dynamic,
            metadata,
            secret_digest: None,
            registration_digest: None,
            resources: Vec::new(),
            created_at: Timestamp::from_seconds(1_790_000_000),
            updated_at: Timestamp::from_seconds(1_790_000_000),
            disabled_at: None,
            first_granted_at: None,
            document_fresh_until: None,
            document_version: 0,
        }
    }

    #[test]
    fn who_may_register() {
        use InitialAccess::{Absent, Invalid, Valid};
        for access in [Absent, Invalid, Valid] {
            assert_eq!(may_register(RegistrationMode::Open, access), Ok(()));
            let closed = may_register(RegistrationMode::Closed, access).unwrap_err();
            assert_eq!((closed.code(), closed.status()), ("access_denied", 403));
        }
        assert_eq!(may_register(RegistrationMode::InitialAccessToken, Valid), Ok(()));
        for access in [Absent, Invalid] {
            let refused = may_register(RegistrationMode::InitialAccessToken, access).unwrap_err();
            assert_eq!((refused.code(), refused.status()), ("invalid_token", 401));
        }
    }

    #[test]
    fn a_secret_is_issued_exactly_for_methods_that_use_one() {
        for (method, plan) in [
            ("none", SecretPlan::None),
            ("client_secret_basic", SecretPlan::Issue),
            ("client_secret_post", SecretPlan::Issue),
        ] {
            let body = json!({"redirect_uris": ["https://h/cb"], "token_endpoint_auth_method": method});
            let registration = register(body.to_string().as_bytes(), &policy()).unwrap();
            assert_eq!(registration.secret, plan, "{method}");
        }
        let body = br#"{"redirect_uris": ["https://h/cb"]}"#;
        assert_eq!(register(body, &policy()).unwrap().secret, SecretPlan::Issue);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in [&b""[..], b"[]", b"null", b"{", b"\"x\"", b"{} {}", b"{\"a\":1,\"a\":2}", b"\xff"] {
            assert_eq!(register(bad, &policy()).unwrap_err().code(), "invalid_client_metadata");
        }
        let twice = br#"{"redirect_uris":["https://a/"],"redirect_uris":["https://b/"]}"#;
        assert!(
            register(twice, &policy()).unwrap_err().to_string().contains("\"redirect_uris\" is there twice")
        );
    }

    #[test]
    fn the_answer_says_everything_once_and_nothing_absent() {
        let body = json!({
            "client_name": "Cursor",
            "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback", "javascript:alert(1)"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "logo_uri": null,
        });
        let registration = register(body.to_string().as_bytes(), &policy()).unwrap();
        let client = client(registration.metadata);
        let shown = Shown { client_secret: None, registration_access_token: Some("pst_rat_x") };
        let answer = response(&client, shown, &registration.notes, &policy());
        let expected = json!({
            "client_id": "pst_client_1",
            "client_id_issued_at": 1_790_000_000,
            "client_name": "Cursor",
            "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "registration_access_token": "pst_rat_x",
            "registration_client_uri": "https://auth.example.com/t1/register/pst_client_1",
            "warnings": [
                "redirect_uris: the redirect URI \"javascript:alert(1)\" has a scheme that is not allowed here \
                 (see registration.redirect_schemes)"
            ],
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_secret_comes_with_its_expiry_and_only_then() {
        let client = client(ClientMetadata::default());
        let with = response(&client, Shown { client_secret: Some("s"), ..Shown::default() }, &[], &policy());
        assert_eq!((&with["client_secret"], &with["client_secret_expires_at"]), (&json!("s"), &json!(0)));
        assert_eq!(with["token_endpoint_auth_method"], "client_secret_basic");
        let without = response(&client, Shown::default(), &[], &policy());
        for name in
            ["client_secret", "client_secret_expires_at", "registration_client_uri", "warnings", "contacts"]
        {
            assert!(without.get(name).is_none(), "{name}");
        }
        for name in ["grant_types", "response_types", "redirect_uris"] {
            assert!(without[name].is_array(), "{name}");
        }
    }

    #[test]
    fn an_update_names_its_client_and_nothing_that_the_server_sets() {
        let mut client = client(ClientMetadata::default());
        client.secret_digest = Some(TokenDigest::of("right"));
        let with = |extra: Value| {
            let mut body = json!({"client_id": "pst_client_1", "redirect_uris": ["https://h/cb"]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            update(&client, body.to_string().as_bytes(), &policy())
        };
        assert_eq!(with(json!({})).unwrap().secret, SecretPlan::Keep);
        assert_eq!(with(json!({"client_secret": "right"})).unwrap().secret, SecretPlan::Keep);
        assert_eq!(with(json!({"token_endpoint_auth_method": "none"})).unwrap().secret, SecretPlan::None);
        assert!(with(json!({"registration_access_token": null})).is_ok());
        for bad in [
            json!({"client_id": "other"}),
            json!({"client_id": null}),
            json!({"client_id": 1}),
            json!({"client_secret": "wrong"}),
            json!({"client_secret": 1}),
            json!({"registration_access_token": "t"}),
            json!({"registration_client_uri": "https://h"}),
            json!({"client_secret_expires_at": 0}),
            json!({"client_id_issued_at": 0}),
        ] {
            assert_eq!(with(bad.clone()).unwrap_err().code(), "invalid_client_metadata", "{bad}");
        }
        client.secret_digest = None;
        let body = br#"{"client_id": "pst_client_1", "redirect_uris": ["https://h/cb"]}"#;
        assert_eq!(update(&client, body, &policy()).unwrap().secret, SecretPlan::Issue);
    }

    #[test]
    fn an_update_replaces_everything() {
        let metadata = ClientMetadata {
            client_name: Some("Old".to_owned()),
            grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken],
            token_endpoint_auth_method: Some(AuthMethod::None),
            ..ClientMetadata::default()
        };
        let body = br#"{"client_id": "pst_client_1", "redirect_uris": ["https://h/cb"]}"#;
        let updated = update(&client(metadata), body, &policy()).unwrap().metadata;
        assert_eq!(updated.client_name, None);
        assert_eq!(updated.grant_types, [GrantType::AuthorizationCode]);
        assert_eq!(updated.token_endpoint_auth_method, Some(AuthMethod::ClientSecretBasic));
    }
}
