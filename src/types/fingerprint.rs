//! What an approval rests on besides its words: where a client's answers go and how it proves itself, kept as digests
//! beside the approval, so that a later change is seen and can be named.

use super::client::Client;
use super::token::TokenDigest;

/// Digests of the parts of a client's metadata that a person has relied on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fingerprint {
    redirect_uris: String,
    keys: String,
    name: String,
}

/// Something about a client that differs from when it was approved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Difference {
    /// Where its answers go.
    RedirectUris,
    /// How it proves itself: keys or method.
    Keys,
    /// What it is called. Told, but no reason to ask again.
    Name,
}

impl Fingerprint {
    /// Of a client as it is now. The order of redirect URIs says nothing.
    #[must_use]
    pub fn of(client: &Client) -> Self {
        let metadata = &client.metadata;
        let mut uris: Vec<&str> = metadata.redirect_uris.iter().map(String::as_str).collect();
        uris.sort_unstable();
        let digest = |basis: serde_json::Value| TokenDigest::of(&basis.to_string()).hex();
        Self {
            redirect_uris: digest(serde_json::json!(uris)),
            keys: digest(serde_json::json!([
                metadata.jwks,
                metadata.jwks_uri,
                metadata.token_endpoint_auth_method
            ])),
            name: digest(serde_json::json!(metadata.client_name)),
        }
    }

    /// Reads what [`Fingerprint`]'s `Display` wrote. A text of another form has nothing in common with any client.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut parts = text.split('.').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(redirect_uris), Some(keys), Some(name), None) => Self { redirect_uris, keys, name },
            _ => Self::default(),
        }
    }

    /// Whether an approval with this fingerprint still rests on what `client` is.
    #[must_use]
    pub fn rests_on(&self, client: &Client) -> bool {
        let now = Self::of(client);
        self.redirect_uris == now.redirect_uris && self.keys == now.keys
    }

    /// What is different about `client` now.
    #[must_use]
    pub fn differences(&self, client: &Client) -> Vec<Difference> {
        let now = Self::of(client);
        let mut found = Vec::new();
        for (differs, what) in [
            (self.name != now.name, Difference::Name),
            (self.redirect_uris != now.redirect_uris, Difference::RedirectUris),
            (self.keys != now.keys, Difference::Keys),
        ] {
            if differs {
                found.push(what);
            }
        }
        found
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.redirect_uris, self.keys, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::client::{AuthMethod, ClientId, ClientKind, ClientMetadata};
    use crate::types::time::Timestamp;

    fn client(change: impl FnOnce(&mut ClientMetadata)) -> Client {
        let mut metadata = ClientMetadata {
            client_name: Some("App".to_owned()),
            redirect_uris: vec!["https://a/cb".to_owned(), "https://b/cb".to_owned()],
            token_endpoint_auth_method: Some(AuthMethod::None),
            ..ClientMetadata::default()
        };
        change(&mut metadata);
        Client {
            id: ClientId::parse("https://app.example/client.json").unwrap(),
            kind: ClientKind::MetadataDocument,
            metadata,
            secret_digest: None,
            registration_digest: None,
            resources: Vec::new(),
            created_at: Timestamp::from_seconds(0),
            updated_at: Timestamp::from_seconds(0),
            disabled_at: None,
            first_granted_at: None,
            document_fresh_until: None,
            document_version: 1,
        }
    }

    #[test]
    fn a_change_is_seen_and_named() {
        let then = Fingerprint::read(&Fingerprint::of(&client(|_| ())).to_string());
        let told = |change: fn(&mut ClientMetadata)| {
            let now = client(change);
            (then.rests_on(&now), then.differences(&now))
        };
        assert_eq!(told(|_| ()), (true, vec![]));
        assert_eq!(told(|m| m.redirect_uris.reverse()), (true, vec![]));
        assert_eq!(told(|m| m.client_name = None), (true, vec![Difference::Name]));
        assert_eq!(told(|m| m.redirect_uris.truncate(1)), (false, vec![Difference::RedirectUris]));
        assert_eq!(told(|m| m.jwks_uri = Some("https://a/k".to_owned())), (false, vec![Difference::Keys]));
        assert_eq!(
            told(|m| m.token_endpoint_auth_method = Some(AuthMethod::PrivateKeyJwt)),
            (false, vec![Difference::Keys])
        );
    }

    #[test]
    fn what_cannot_be_read_rests_on_nothing() {
        for text in ["", "abc", "a.b", "a.b.c.d"] {
            assert!(!Fingerprint::read(text).rests_on(&client(|_| ())), "{text:?}");
        }
    }
}
