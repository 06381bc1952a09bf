//! What a client says of itself (RFC 7591 §2), read by the same rules whether it registers or publishes a document.
//!
//! What we do not grant is left out and named, not refused (RFC 7591 §3.2.1): a client that lists a grant type
//! unknown here still works with the others. What is refused is what would make the rest unsafe or useless.

use std::fmt;

use serde_json::{Map, Value};

use crate::oauth::client_keys::{self, Keys};
use crate::oauth::client_text;
use crate::types::client::{AuthMethod, ClientMetadata, GrantType};
use crate::types::policy::{MAX_CLIENT_SCOPE, MAX_REDIRECT_URIS, MAX_REGISTRATION_NOTES, Policy};
use crate::types::redirect_uri::RedirectUri;
use crate::types::scope::is_scope;

/// Where the metadata was found; a few rules differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Sent to the registration endpoint (RFC 7591), or written by an administrator.
    Registration,
    /// Published at the client's own URL (Client ID Metadata Documents).
    Document,
}

/// Metadata that may be stored, and what was left out of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// What the client may have.
    pub metadata: ClientMetadata,
    /// What was left out or replaced, and why; at most a screenful.
    pub notes: Vec<Note>,
}

/// One thing that was left out or replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// The member concerned.
    pub member: &'static str,
    /// A sentence for the client's developer.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.member, self.text)
    }
}

/// Why metadata is refused (RFC 7591 §3.2.2).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MetadataError {
    /// No redirect URI is left.
    #[error("{0}")]
    RedirectUri(String),
    /// Anything else.
    #[error("{0}")]
    Metadata(String),
}

impl MetadataError {
    /// The registered error code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri(_) => "invalid_redirect_uri",
            Self::Metadata(_) => "invalid_client_metadata",
        }
    }
}

/// Reads client metadata. Members we do not know are passed over; `null` counts as absent.
///
/// # Errors
/// [`MetadataError`] when a member has the wrong JSON type, when no redirect URI is left though codes are used,
/// when no usable grant type or authentication method is left, or when its keys are not public keys.
pub fn read(members: &Map<String, Value>, origin: Origin, policy: &Policy) -> Result<Reading, MetadataError> {
    let mut reader = Reader { members, origin, policy, notes: Vec::new() };
    let keys = client_keys::read(&mut reader)?;
    let method = reader.auth_method(&keys)?;
    let grant_types = reader.grant_types(method)?;
    let uses_code = grant_types.contains(&GrantType::AuthorizationCode);
    let signing_alg = reader.signing_alg(method)?;
    let metadata = ClientMetadata {
        redirect_uris: reader.redirect_uris(uses_code)?,
        response_types: reader.response_types(uses_code)?,
        grant_types,
        token_endpoint_auth_method: Some(method),
        token_endpoint_auth_signing_alg: signing_alg,
        scope: reader.scope()?,
        client_name: client_text::name(&mut reader)?,
        client_uri: client_text::web_page(&mut reader, "client_uri")?,
        logo_uri: client_text::web_page(&mut reader, "logo_uri")?,
        tos_uri: client_text::web_page(&mut reader, "tos_uri")?,
        policy_uri: client_text::web_page(&mut reader, "policy_uri")?,
        contacts: client_text::contacts(&mut reader)?,
        software_id: client_text::short(&mut reader, "software_id")?,
        software_version: client_text::short(&mut reader, "software_version")?,
        application_type: reader.application_type()?,
        jwks: keys.jwks,
        jwks_uri: keys.jwks_uri,
    };
    Ok(Reading { metadata, notes: reader.notes })
}

/// The members of one client, and the remarks made while reading them.
pub(super) struct Reader<'a> {
    members: &'a Map<String, Value>,
    origin: Origin,
    pub(super) policy: &'a Policy,
    notes: Vec<Note>,
}

impl<'a> Reader<'a> {
    /// A member's value; `null` is absent.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    /// A text member; an empty text is absent, as several clients send for what they do not have.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, MetadataError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong_type(name, "a string")),
        }
    }

    /// A list member.
    pub(super) fn list(&self, name: &'static str) -> Result<Option<&'a [Value]>, MetadataError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list.as_slice())),
            Some(_) => Err(wrong_type(name, "an array of strings")),
        }
    }

    /// A list of texts; anything else in it is refused.
    fn texts(&self, name: &'static str) -> Result<Vec<&'a str>, MetadataError> {
        let list = self.list(name)?.unwrap_or_default();
        list.iter().map(|item| item.as_str().ok_or_else(|| wrong_type(name, "an array of strings"))).collect()
    }

    /// Remembers that something was left out or replaced.
    pub(super) fn note(&mut self, member: &'static str, text: impl Into<String>) {
        if self.notes.len() < MAX_REGISTRATION_NOTES {
            self.notes.push(Note { member, text: text.into() });
        }
    }

    /// RFC 7591 §2: what the client declares. Where that cannot be had, the strongest of what else it offers
    /// (`token_endpoint_auth_methods_supported`, as ChatGPT publishes it). A registration that asks for a method
    /// unknown here gets `client_secret_basic` instead (RFC 7591 §3.2.1 lets us replace a value), the one that every
    /// client which reads its answer can use; a document has no secret and is refused.
    fn auth_method(&mut self, keys: &Keys) -> Result<AuthMethod, MetadataError> {
        const MEMBER: &str = "token_endpoint_auth_method";
        let declared = self.text(MEMBER)?;
        let offered = self.texts("token_endpoint_auth_methods_supported")?;
        let known =
            |name: &str| self.policy.auth_methods().into_iter().find(|method| method.as_str() == name);
        let usable = |method: &AuthMethod| match method {
            AuthMethod::PrivateKeyJwt => keys.any(),
            method => self.origin == Origin::Registration || !method.uses_secret(),
        };
        if self.origin == Origin::Document && declared.is_some_and(is_symmetric) {
            return Err(MetadataError::Metadata(format!(
                "{MEMBER}: a metadata document is public and cannot use a shared secret; use none or private_key_jwt"
            )));
        }
        let fallback = match self.origin {
            Origin::Registration => AuthMethod::ClientSecretBasic,
            Origin::Document => AuthMethod::None,
        };
        let best = STRONGEST_FIRST.into_iter().find(|method| {
            offered.contains(&method.as_str()) && known(method.as_str()).is_some() && usable(method)
        });
        let Some(name) = declared else {
            return match best {
                Some(method) => Ok(method),
                None if offered.is_empty() || self.origin == Origin::Registration => Ok(fallback),
                None => Err(no_method("token_endpoint_auth_methods_supported", self.policy)),
            };
        };
        let declared = known(name);
        if let Some(method) = declared.filter(usable) {
            return Ok(method);
        }
        let text = match declared {
            Some(_) => "private_key_jwt needs jwks or a usable jwks_uri".to_owned(),
            None => format!("{} is not available here", client_text::quoted(name)),
        };
        match (best, declared, self.origin) {
            (Some(method), _, _) => {
                self.note(MEMBER, format!("{text}; {} is used instead", method.as_str()));
                Ok(method)
            }
            (None, None, Origin::Registration) => {
                self.note(MEMBER, format!("{text}; {} is used instead", fallback.as_str()));
                Ok(fallback)
            }
            (None, Some(_), _) => Err(MetadataError::Metadata(format!("{MEMBER}: {text}"))),
            (None, None, Origin::Document) => Err(no_method(MEMBER, self.policy)),
        }
    }

    /// The one algorithm of its assertions (OpenID Connect Registration §2).
    fn signing_alg(&mut self, method: AuthMethod) -> Result<Option<String>, MetadataError> {
        const MEMBER: &str = "token_endpoint_auth_signing_alg";
        let algs = crate::types::policy::ASSERTION_ALGS;
        match self.text(MEMBER)? {
            None => Ok(None),
            Some(alg) if algs.contains(&alg) => Ok(Some(alg.to_owned())),
            Some(alg) => {
                let text = format!("{} is not one of {}", client_text::quoted(alg), algs.join(", "));
                if method == AuthMethod::PrivateKeyJwt {
                    return Err(MetadataError::Metadata(format!("{MEMBER}: {text}")));
                }
                self.note(MEMBER, text);
                Ok(None)
            }
        }
    }

    /// RFC 7591 §2: `authorization_code` when the client does not say.
    fn grant_types(&mut self, method: AuthMethod) -> Result<Vec<GrantType>, MetadataError> {
        const MEMBER: &str = "grant_types";
        let asked = self.texts(MEMBER)?;
        let mut kept = Vec::new();
        for name in &asked {
            match self.policy.grant_types().into_iter().find(|grant| grant.as_str() == *name) {
                // RFC 6749 §4.4: confidential clients only.
                Some(GrantType::ClientCredentials) if method == AuthMethod::None => {
                    self.note(
                        MEMBER,
                        "client_credentials needs a client that can authenticate, not method none",
                    );
                }
                Some(grant) if kept.contains(&grant) => {}
                Some(grant) => kept.push(grant),
                None => self.note(MEMBER, format!("{} is not available here", client_text::quoted(name))),
            }
        }
        if asked.is_empty() {
            kept.push(GrantType::AuthorizationCode);
        }
        if kept.is_empty() && method == AuthMethod::None && asked.contains(&"client_credentials") {
            return Err(MetadataError::Metadata(format!(
                "{MEMBER}: client_credentials is for clients that can authenticate, and method none cannot (RFC 6749 section 4.4)"
            )));
        }
        // A refresh token alone leads nowhere: something else has to give the first one.
        if kept.iter().all(|grant| *grant == GrantType::RefreshToken) {
            let names: Vec<_> = self.policy.grant_types().iter().map(|grant| grant.as_str()).collect();
            return Err(MetadataError::Metadata(format!(
                "{MEMBER}: none of these gives this client a first token; available are {}",
                names.join(", ")
            )));
        }
        Ok(kept)
    }

    /// `code` exactly when codes are used (RFC 7591 §2.1).
    fn response_types(&mut self, uses_code: bool) -> Result<Vec<String>, MetadataError> {
        for name in self.texts("response_types")? {
            if name != "code" || !uses_code {
                self.note("response_types", format!("{} is not available here", client_text::quoted(name)));
            }
        }
        Ok(if uses_code { vec!["code".to_owned()] } else { Vec::new() })
    }

    /// Keeps the good ones and names the rest; none left while codes are used is an error (RFC 7591 §3.2.2).
    fn redirect_uris(&mut self, uses_code: bool) -> Result<Vec<String>, MetadataError> {
        const MEMBER: &str = "redirect_uris";
        let (mut kept, mut complaints, mut surplus) = (Vec::<String>::new(), Vec::new(), 0usize);
        for item in self.list(MEMBER)?.unwrap_or_default() {
            let parsed = item
                .as_str()
                .ok_or_else(|| "a redirect URI is not a string".to_owned())
                .and_then(|text| RedirectUri::parse(text, &self.policy.redirect_schemes));
            match parsed {
                Ok(uri) if kept.iter().any(|known| known == uri.as_str()) => {}
                Ok(_) if kept.len() >= MAX_REDIRECT_URIS => surplus += 1,
                Ok(uri) => kept.push(uri.as_str().to_owned()),
                Err(complaint) => complaints.push(complaint),
            }
        }
        if kept.is_empty() && uses_code {
            let why = complaints.first().cloned().unwrap_or_else(|| {
                "redirect_uris is required for a client that uses authorization_code".to_owned()
            });
            return Err(MetadataError::RedirectUri(why));
        }
        for complaint in complaints {
            self.note(MEMBER, complaint);
        }
        if surplus > 0 {
            self.note(
                MEMBER,
                format!("only the first {MAX_REDIRECT_URIS} are kept; {surplus} more are left out"),
            );
        }
        Ok(kept)
    }

    /// A text or, as some clients send it, a list; tokens outside the grammar are left out (RFC 6749 §3.3).
    fn scope(&mut self) -> Result<Option<String>, MetadataError> {
        const MEMBER: &str = "scope";
        let asked = match self.value(MEMBER) {
            Some(Value::Array(_)) => self.texts(MEMBER)?,
            _ => self.text(MEMBER)?.into_iter().collect(),
        };
        let mut kept: Vec<&str> = Vec::new();
        let mut length = 0;
        for token in asked.into_iter().flat_map(str::split_ascii_whitespace) {
            if kept.contains(&token) {
                continue;
            }
            if !is_scope(token) || length + token.len() > MAX_CLIENT_SCOPE || kept.len() >= 256 {
                self.note(MEMBER, format!("{} is left out", client_text::quoted(token)));
                continue;
            }
            length += token.len() + 1;
            kept.push(token);
        }
        Ok(if kept.is_empty() { None } else { Some(kept.join(" ")) })
    }

    /// OpenID Connect Registration §2; echoed, never believed: Cursor says `web` with a private-use scheme.
    fn application_type(&mut self) -> Result<Option<String>, MetadataError> {
        match self.text("application_type")? {
            None => Ok(None),
            Some(kind @ ("native" | "web")) => Ok(Some(kind.to_owned())),
            Some(kind) => {
                let text = format!("{} is neither native nor web", client_text::quoted(kind));
                self.note("application_type", text);
                Ok(None)
            }
        }
    }
}

/// The order in which a client's own offers are taken.
const STRONGEST_FIRST: [AuthMethod; 4] = [
    AuthMethod::PrivateKeyJwt,
    AuthMethod::ClientSecretBasic,
    AuthMethod::ClientSecretPost,
    AuthMethod::None,
];

/// The registered methods that rest on a shared secret, ours or not.
fn is_symmetric(name: &str) -> bool {
    name.starts_with("client_secret_")
}

pub(super) fn wrong_type(member: &str, expected: &str) -> MetadataError {
    MetadataError::Metadata(format!("{member} must be {expected}"))
}

fn no_method(member: &str, policy: &Policy) -> MetadataError {
    let names: Vec<_> = policy
        .auth_methods()
        .iter()
        .filter(|method| !method.uses_secret())
        .map(|method| method.as_str())
        .collect();
    MetadataError::Metadata(format!(
        "{member}: nothing of it is available to a metadata document here; available are {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::types::issuer::Issuer;

    fn policy() -> Policy {
        Policy::new(Issuer::parse("https://auth.example.com").unwrap())
    }

    fn read_as(origin: Origin, value: &Value) -> Result<Reading, MetadataError> {
        read(value.as_object().unwrap(), origin, &policy())
    }

    /// A registration with one good redirect URI and these members.
    fn with(extra: Value) -> Result<Reading, MetadataError> {
        read_as(Origin::Registration, &merged(extra))
    }

    /// A document with one good redirect URI and these members.
    fn document(extra: Value) -> Result<Reading, MetadataError> {
        read_as(Origin::Document, &merged(extra))
    }

    fn merged(extra: Value) -> Value {
        let mut body = json!({"redirect_uris": ["https://h/cb"]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    }

    #[test]
    fn what_is_not_said_has_the_default_of_the_rfc() {
        let registered = with(json!({})).unwrap();
        assert!(registered.notes.is_empty());
        assert_eq!(registered.metadata.grant_types, [GrantType::AuthorizationCode]);
        assert_eq!(registered.metadata.response_types, ["code"]);
        assert_eq!(registered.metadata.token_endpoint_auth_method, Some(AuthMethod::ClientSecretBasic));
        let published = document(json!({})).unwrap();
        assert_eq!(published.metadata.token_endpoint_auth_method, Some(AuthMethod::None));
    }

    #[test]
    fn null_and_empty_texts_are_absent_and_unknown_members_do_not_matter() {
        let plain = with(json!({})).unwrap();
        let noisy = with(json!({
            "client_name": null, "logo_uri": "", "jwks": null, "jwks_uri": "", "scope": "", "grant_types": null,
            "response_types": null, "contacts": null, "token_endpoint_auth_method": null,
            "resource": "https://x", "frontchannel_logout_uri": 7, "client_name#ja": "x", "software_statement": "ey",
        }));
        assert_eq!(noisy.unwrap(), plain);
    }

    #[test]
    fn a_wrong_json_type_is_refused_and_named() {
        for (name, value) in [
            ("redirect_uris", json!("https://h/cb")),
            ("redirect_uris", json!({})),
            ("client_name", json!(1)),
            ("client_uri", json!([])),
            ("logo_uri", json!({})),
            ("tos_uri", json!(true)),
            ("policy_uri", json!(0)),
            ("grant_types", json!("authorization_code")),
            ("grant_types", json!([1])),
            ("response_types", json!("code")),
            ("response_types", json!([null])),
            ("token_endpoint_auth_method", json!(["none"])),
            ("token_endpoint_auth_methods_supported", json!("none")),
            ("token_endpoint_auth_signing_alg", json!(256)),
            ("contacts", json!("a@b")),
            ("scope", json!(1)),
            ("scope", json!([1])),
            ("jwks", json!("{}")),
            ("jwks_uri", json!(1)),
            ("software_id", json!(1)),
            ("software_version", json!(1.5)),
            ("application_type", json!([])),
        ] {
            let error = with(json!({ name: value })).unwrap_err();
            assert_eq!(error.code(), "invalid_client_metadata", "{name}");
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn good_redirect_uris_stay_and_bad_ones_are_named() {
        let reading = with(json!({"redirect_uris": [
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "https://www.cursor.com/agents/mcp/oauth/callback",
            "http://localhost:8787/callback",
            "http://evil.example/cb",
            17,
            "http://localhost:8787/callback",
        ]}))
        .unwrap();
        assert_eq!(reading.metadata.redirect_uris.len(), 3);
        assert_eq!(reading.notes.len(), 2);
        assert!(reading.notes.iter().all(|note| note.member == "redirect_uris"));
        assert!(reading.notes[0].text.contains("http://evil.example/cb"));
    }

    #[test]
    fn no_redirect_uri_left_is_refused_exactly_where_codes_are_used() {
        for uris in
            [json!([]), json!(null), json!(["javascript:alert(1)"]), json!([1, "http://evil.example"])]
        {
            let error = with(json!({"redirect_uris": uris})).unwrap_err();
            assert_eq!(error.code(), "invalid_redirect_uri", "{uris}");
            let machine =
                with(json!({"redirect_uris": uris, "grant_types": ["client_credentials"]})).unwrap();
            assert!(machine.metadata.redirect_uris.is_empty() && machine.metadata.response_types.is_empty());
        }
    }

    #[test]
    fn too_many_redirect_uris_are_cut() {
        let uris: Vec<String> = (0..100).map(|n| format!("https://h/cb/{n}")).collect();
        let reading = with(json!({ "redirect_uris": uris })).unwrap();
        assert_eq!(reading.metadata.redirect_uris.len(), MAX_REDIRECT_URIS);
        assert!(reading.notes[0].text.contains("68 more"));
        let bad: Vec<String> =
            (0..100).map(|n| format!("http://h{n}/")).chain(["https://h/".to_owned()]).collect();
        assert_eq!(with(json!({ "redirect_uris": bad })).unwrap().notes.len(), MAX_REGISTRATION_NOTES);
    }

    #[test]
    fn grant_and_response_types_unknown_here_are_left_out() {
        let reading = with(json!({
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer", "refresh_token",
                            "implicit", "authorization_code"],
            "response_types": ["code", "token"],
        }))
        .unwrap();
        assert_eq!(reading.metadata.grant_types, [GrantType::AuthorizationCode, GrantType::RefreshToken]);
        assert_eq!(reading.metadata.response_types, ["code"]);
        assert_eq!(reading.notes.len(), 3);
        let only_token = with(json!({"response_types": ["token"]})).unwrap();
        assert_eq!(
            (only_token.metadata.response_types, only_token.notes.len()),
            (vec!["code".to_owned()], 1)
        );
    }

    #[test]
    fn a_client_without_a_way_to_a_first_token_is_refused() {
        for grants in [json!(["implicit"]), json!(["refresh_token"]), json!(["password", "refresh_token"])] {
            assert_eq!(with(json!({"grant_types": grants})).unwrap_err().code(), "invalid_client_metadata");
        }
        let public = json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"});
        assert!(with(public).is_err());
        let mixed = json!({"grant_types": ["client_credentials", "authorization_code"],
                           "token_endpoint_auth_method": "none"});
        let reading = with(mixed).unwrap();
        assert_eq!(reading.metadata.grant_types, [GrantType::AuthorizationCode]);
        assert_eq!(reading.notes[0].member, "grant_types");
    }

    #[test]
    fn a_registration_with_a_method_unknown_here_gets_a_secret() {
        for method in ["tls_client_auth", "client_secret_jwt", "bogus"] {
            let reading = with(json!({"token_endpoint_auth_method": method})).unwrap();
            assert_eq!(
                reading.metadata.token_endpoint_auth_method,
                Some(AuthMethod::ClientSecretBasic),
                "{method}"
            );
            assert!(reading.notes[0].text.contains(method));
        }
        assert!(with(json!({"token_endpoint_auth_method": "private_key_jwt"})).is_err());
    }

    #[test]
    fn a_document_may_not_use_a_secret_and_is_never_weakened() {
        for method in [
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
            "tls_client_auth",
            "private_key_jwt",
            "bogus",
        ] {
            assert!(document(json!({"token_endpoint_auth_method": method})).is_err(), "{method}");
        }
        let symmetric = json!({"token_endpoint_auth_method": "client_secret_jwt",
                               "token_endpoint_auth_methods_supported": ["none"]});
        assert!(document(symmetric).is_err());
    }

    #[test]
    fn of_several_methods_the_declared_one_holds_and_then_the_strongest() {
        let keys = "https://chatgpt.com/oauth/jwks.json";
        for (body, method) in [
            (
                json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": keys,
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
                AuthMethod::PrivateKeyJwt,
            ),
            (
                json!({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"], "jwks_uri": keys}),
                AuthMethod::PrivateKeyJwt,
            ),
            (json!({"token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}), AuthMethod::None),
            (
                json!({"token_endpoint_auth_method": "tls_client_auth",
                    "token_endpoint_auth_methods_supported": ["tls_client_auth", "none"]}),
                AuthMethod::None,
            ),
            (
                json!({"token_endpoint_auth_method": "none", "jwks_uri": keys,
                    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
                AuthMethod::None,
            ),
        ] {
            let reading = document(body.clone()).unwrap();
            assert_eq!(reading.metadata.token_endpoint_auth_method, Some(method), "{body}");
        }
        assert!(document(json!({"token_endpoint_auth_methods_supported": ["client_secret_basic"]})).is_err());
    }

    #[test]
    fn keys_are_public_and_in_one_place() {
        let key = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "x"}]});
        let reading = with(json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": key})).unwrap();
        assert_eq!(reading.metadata.jwks, Some(key.clone()));
        for bad in [
            json!({"jwks": key, "jwks_uri": "https://h/jwks"}),
            json!({"jwks": {"keys": [{"kty": "oct", "k": "x"}]}}),
            json!({"jwks": {"keys": [{"kty": "EC", "d": "x"}]}}),
            json!({"jwks": {"keys": []}, "token_endpoint_auth_method": "private_key_jwt"}),
            json!({"jwks_uri": "http://h/jwks", "token_endpoint_auth_method": "private_key_jwt"}),
        ] {
            assert_eq!(with(bad.clone()).unwrap_err().code(), "invalid_client_metadata", "{bad}");
        }
        assert_eq!(with(json!({"jwks_uri": "file:///etc/passwd"})).unwrap().metadata.jwks_uri, None);
    }

    #[test]
    fn the_algorithm_of_assertions_is_one_we_verify() {
        let asked = |alg: &str, method: &str| {
            with(json!({"token_endpoint_auth_signing_alg": alg, "token_endpoint_auth_method": method,
                        "jwks_uri": "https://h/jwks"}))
        };
        for alg in crate::types::policy::ASSERTION_ALGS {
            let metadata = asked(alg, "private_key_jwt").unwrap().metadata;
            assert_eq!(metadata.token_endpoint_auth_signing_alg.as_deref(), Some(alg));
        }
        for alg in ["none", "HS256", "rs256", "ES512"] {
            assert!(asked(alg, "private_key_jwt").is_err(), "{alg}");
            assert_eq!(asked(alg, "none").unwrap().metadata.token_endpoint_auth_signing_alg, None, "{alg}");
        }
    }

    #[test]
    fn names_do_not_deceive() {
        for (given, kept) in [
            ("Claude", Some("Claude")),
            ("  Clau\nde\t Code ", Some("Clau de Code")),
            ("Claude\u{202e}moc.live", Some("Claudemoc.live")),
            ("\u{200b}\u{0}\u{feff}", None),
            ("日本語 👩\u{200d}💻", Some("日本語 👩\u{200d}💻")),
        ] {
            assert_eq!(
                with(json!({"client_name": given})).unwrap().metadata.client_name.as_deref(),
                kept,
                "{given:?}"
            );
        }
        let long = with(json!({"client_name": "é".repeat(500)})).unwrap();
        assert_eq!(long.metadata.client_name.unwrap().chars().count(), 128);
        assert_eq!(long.notes.len(), 1);
    }

    #[test]
    fn addresses_that_are_no_web_pages_are_left_out() {
        let reading = with(json!({
            "client_uri": "javascript:alert(1)", "logo_uri": "data:image/svg+xml,x", "tos_uri": "https://h/tos",
            "policy_uri": format!("https://h/{}", "x".repeat(3_000)),
        }))
        .unwrap();
        let metadata = reading.metadata;
        assert_eq!((metadata.client_uri, metadata.logo_uri, metadata.policy_uri), (None, None, None));
        assert_eq!(metadata.tos_uri.as_deref(), Some("https://h/tos"));
        assert_eq!(reading.notes.len(), 3);
    }

    #[test]
    fn scope_is_read_kindly() {
        for (given, kept) in [
            (json!("b  a\tb\n"), Some("b a")),
            (json!(["a", "b c"]), Some("a b c")),
            (json!("a \"x\" b"), Some("a b")),
            (json!("   "), None),
            (json!([]), None),
        ] {
            assert_eq!(with(json!({"scope": given})).unwrap().metadata.scope.as_deref(), kept, "{given}");
        }
        let long = with(json!({"scope": (0..5_000).map(|n| format!("s{n}")).collect::<Vec<_>>()})).unwrap();
        assert!(long.metadata.scope.unwrap().len() <= MAX_CLIENT_SCOPE);
    }

    #[test]
    fn informative_members_are_bounded() {
        let reading = with(json!({
            "contacts": ["a@example.com", 1, "x".repeat(999), "b\nc"], "software_id": "x".repeat(999),
            "software_version": "1.0", "application_type": "desktop",
        }))
        .unwrap();
        assert_eq!(reading.metadata.contacts, ["a@example.com"]);
        assert_eq!((reading.metadata.software_id, reading.metadata.application_type), (None, None));
        assert_eq!(reading.metadata.software_version.as_deref(), Some("1.0"));
        for kind in ["native", "web"] {
            let echoed = with(json!({"application_type": kind})).unwrap().metadata.application_type;
            assert_eq!(echoed.as_deref(), Some(kind));
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "\\PC{0,12}",
            Just("https://h/cb".to_owned()),
            Just("http://127.0.0.1/cb".to_owned()),
            Just("authorization_code".to_owned()),
            Just("client_credentials".to_owned()),
            Just("private_key_jwt".to_owned()),
            Just("none".to_owned()),
            Just("EC".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(
                    (prop_oneof![Just("keys".to_owned()), Just("kty".to_owned())], inner),
                    0..3
                )
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    fn any_member() -> impl Strategy<Value = (String, Value)> {
        let known = prop::sample::select(vec![
            "redirect_uris",
            "client_name",
            "client_uri",
            "logo_uri",
            "tos_uri",
            "policy_uri",
            "grant_types",
            "response_types",
            "token_endpoint_auth_method",
            "token_endpoint_auth_methods_supported",
            "token_endpoint_auth_signing_alg",
            "contacts",
            "scope",
            "jwks",
            "jwks_uri",
            "software_id",
            "application_type",
            "unknown",
        ]);
        (known.prop_map(str::to_owned), any_json())
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_valid_and_reads_back_the_same(
            extra in prop::collection::vec(any_member(), 0..6), published in any::<bool>()
        ) {
            let origin = if published { Origin::Document } else { Origin::Registration };
            let body = merged(Value::Object(extra.into_iter().collect()));
            if let Ok(reading) = read_as(origin, &body) {
                let metadata = reading.metadata;
                let policy = policy();
                let method = metadata.token_endpoint_auth_method.unwrap();
                prop_assert!(metadata.redirect_uris.iter().all(|uri| RedirectUri::parse(uri, &policy.redirect_schemes).is_ok()));
                prop_assert!(!metadata.grant_types.is_empty());
                prop_assert!(!(metadata.grant_types.contains(&GrantType::AuthorizationCode) && metadata.redirect_uris.is_empty()));
                prop_assert!(!(published && method.uses_secret()));
                prop_assert!(method != AuthMethod::PrivateKeyJwt || metadata.jwks.is_some() != metadata.jwks_uri.is_some());
                prop_assert!(reading.notes.len() <= MAX_REGISTRATION_NOTES);
                let again = read_as(origin, &serde_json::to_value(&metadata).unwrap()).unwrap();
                prop_assert_eq!(again.metadata, metadata);
                prop_assert!(again.notes.is_empty());
            }
        }
    }
}
