//! A client's public keys, by value or by reference (RFC 7591 §2, RFC 7517).

use serde_json::Value;

use crate::oauth::client_metadata::{MetadataError, Reader, wrong_type};
use crate::oauth::client_text::quoted;
use crate::types::policy::MAX_CLIENT_KEYS;

/// Where a client's keys are; at most one of the two.
pub(super) struct Keys {
    /// By value.
    pub(super) jwks: Option<Value>,
    /// By reference.
    pub(super) jwks_uri: Option<String>,
}

impl Keys {
    /// Whether an assertion could be verified with them.
    pub(super) const fn any(&self) -> bool {
        self.jwks.is_some() || self.jwks_uri.is_some()
    }
}

/// Reads `jwks` and `jwks_uri`.
///
/// # Errors
/// Both at once (RFC 7591 §2), a set that is not one, and any private or symmetric key: its owner must hear of it.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Keys, MetadataError> {
    let jwks = match reader.value("jwks") {
        None => None,
        Some(set) => {
            check_set(set)?;
            Some(canonical(set))
                .filter(|set| set.get("keys").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty()))
        }
    };
    let jwks_uri = match reader.text("jwks_uri")? {
        None => None,
        Some(_) if reader.value("jwks").is_some() => {
            return Err(MetadataError::Metadata("jwks and jwks_uri must not be used together".to_owned()));
        }
        Some(uri) if is_fetchable(uri, reader.policy.allow_private_networks) => Some(uri.to_owned()),
        Some(uri) => {
            reader.note("jwks_uri", format!("{} is not an https URL that can be fetched", quoted(uri)));
            None
        }
    };
    Ok(Keys { jwks, jwks_uri })
}

/// The same set with members and keys in one order, so that a new version that only moves them changes nothing.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(canonical).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        plain => plain.clone(),
    }
}

fn check_set(set: &Value) -> Result<(), MetadataError> {
    let wrong = |what: &str| MetadataError::Metadata(format!("jwks: {what}"));
    let Some(set) = set.as_object() else {
        return Err(wrong_type("jwks", "an object with an array \"keys\""));
    };
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err(wrong_type("jwks", "an object with an array \"keys\""));
    };
    if keys.len() > MAX_CLIENT_KEYS {
        return Err(wrong(&format!("more than {MAX_CLIENT_KEYS} keys")));
    }
    for key in keys {
        let Some(key) = key.as_object() else { return Err(wrong("a key is not an object")) };
        let Some(kind) = key.get("kty").and_then(Value::as_str) else {
            return Err(wrong("a key has no kty"));
        };
        // RFC 7518 §6.2.2, §6.3.2, §6.4, RFC 8037 §2: what no public key has.
        if kind == "oct" || key.contains_key("k") {
            return Err(wrong("a symmetric key has no place in public metadata"));
        }
        if ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"].iter().any(|member| key.contains_key(*member)) {
            return Err(wrong(
                "a private key was sent; treat it as known to others, and publish the public half of a new one",
            ));
        }
    }
    Ok(())
}

fn is_fetchable(text: &str, http_too: bool) -> bool {
    let plain = text.len() <= 2_048 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let scheme = text.starts_with("https://") || (http_too && text.starts_with("http://"));
    plain
        && scheme
        && url::Url::parse(text).is_ok_and(|url| {
            url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_public_keys_pass() {
        assert!(check_set(&json!({"keys": []})).is_ok());
        assert!(
            check_set(&json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}], "more": 1}))
                .is_ok()
        );
        for bad in [
            json!("{}"),
            json!([]),
            json!({}),
            json!({"keys": {}}),
            json!({"keys": [1]}),
            json!({"keys": [{}]}),
            json!({"keys": [{"kty": 1}]}),
            json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),
            json!({"keys": [{"kty": "EC", "d": "x"}]}),
            json!({"keys": [{"kty": "RSA", "n": "n", "e": "AQAB"}, {"kty": "RSA", "p": "x"}]}),
            json!({"keys": vec![json!({"kty": "EC"}); MAX_CLIENT_KEYS + 1]}),
        ] {
            assert!(check_set(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn order_says_nothing() {
        let one: Value =
            serde_json::from_str(r#"{"keys":[{"kty":"EC","kid":"1"},{"kid":"2","kty":"EC"}]}"#).unwrap();
        let two: Value =
            serde_json::from_str(r#"{"keys":[{"kty":"EC","kid":"2"},{"kid":"1","kty":"EC"}]}"#).unwrap();
        assert_eq!(canonical(&one).to_string(), canonical(&two).to_string());
    }

    #[test]
    fn http_only_where_private_networks_are_allowed() {
        assert!(is_fetchable("https://chatgpt.com/oauth/jwks.json", false));
        assert!(
            !is_fetchable("http://127.0.0.1:1/jwks", false) && is_fetchable("http://127.0.0.1:1/jwks", true)
        );
        for bad in [
            "",
            "file:///x",
            "javascript:x",
            "https://u@h/",
            "https://h/#f",
            "https://h /",
            "https:\\\\h",
            "HTTPS://h",
        ] {
            assert!(!is_fetchable(bad, true), "{bad}");
        }
    }
}
