//! What clients say of themselves: a client id (the first line of an input) and a metadata document or registration.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern::oauth::client_document::{self, DocumentUrl};
use postern::oauth::client_metadata::{self, Origin, Reading};
use postern::oauth::register;
use postern::types::client::{ClientMetadata, GrantType};
use postern::types::issuer::Issuer;
use postern::types::policy::{MAX_REDIRECT_URIS, Policy};
use postern::types::redirect_uri::RedirectUri;

fuzz_target!(|input: &[u8]| {
    let policy = Policy::new(Issuer::parse("https://as.example").expect("an issuer"));
    let (id, body) = match input.iter().position(|b| *b == b'\n') {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (&b"https://app.example/client.json"[..], input),
    };
    if let Ok(url) = DocumentUrl::parse(&String::from_utf8_lossy(id), &policy) {
        fetchable(url.as_str());
        match client_document::read(&url, Some("application/json"), body, &policy) {
            Ok(reading) => {
                assert!(!reading.metadata.token_endpoint_auth_method.is_some_and(|m| m.uses_secret()));
                assert!(reading.metadata.client_name.is_some() && !reading.metadata.redirect_uris.is_empty());
                let again = document(&url, &reading.metadata);
                let again = client_document::read(&url, Some("application/json"), &again, &policy);
                settled(&reading, again.as_ref().ok(), &policy);
            }
            Err(error) => printable(&error.to_string()),
        }
    }
    match register::register(body, &policy) {
        Ok(registration) => {
            let metadata = registration.metadata;
            let written = serde_json::to_vec(&metadata).expect("metadata is JSON");
            let members = serde_json::from_slice(&written).expect("our own metadata is read");
            let again = client_metadata::read(&members, Origin::Registration, &policy);
            settled(&Reading { metadata, notes: registration.notes }, again.as_ref().ok(), &policy);
        }
        Err(error) => printable(&error.to_string()),
    }
});

/// The URL that is fetched is the text that was judged: nothing in it for a URL library to tidy away.
fn fetchable(text: &str) {
    let url = url::Url::parse(text).expect("a client id that is a URL");
    assert_eq!(url.scheme(), "https");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{text}");
    let rest = text.split_once("://").expect("a scheme").1;
    let path = rest.find('/').map(|at| &rest[at..]).expect("a path");
    assert_eq!(path.split('?').next(), Some(url.path()), "{text}");
}

fn document(url: &DocumentUrl, metadata: &ClientMetadata) -> Vec<u8> {
    let mut members = serde_json::to_value(metadata).expect("metadata is JSON");
    members["client_id"] = url.as_str().into();
    members.to_string().into_bytes()
}

/// What was accepted is safe to store and show, and is accepted again unchanged and without a remark.
fn settled(reading: &Reading, again: Option<&Reading>, policy: &Policy) {
    let Reading { metadata, notes } = reading;
    let again = again.expect("what was accepted is accepted again");
    assert_eq!(&again.metadata, metadata);
    assert!(again.notes.is_empty(), "{:?}", again.notes);

    assert!(metadata.redirect_uris.len() <= MAX_REDIRECT_URIS);
    assert!(
        metadata.redirect_uris.iter().all(|uri| RedirectUri::parse(uri, &policy.redirect_schemes).is_ok())
    );
    assert!(!metadata.grant_types.is_empty());
    let codes = metadata.grant_types.contains(&GrantType::AuthorizationCode);
    assert!(!codes || !metadata.redirect_uris.is_empty());
    for link in [
        &metadata.client_uri,
        &metadata.logo_uri,
        &metadata.tos_uri,
        &metadata.policy_uri,
        &metadata.jwks_uri,
    ] {
        assert!(
            link.as_ref().is_none_or(|l| l.starts_with("https://") || l.starts_with("http://")),
            "{link:?}"
        );
    }
    let name = metadata.client_name.as_deref().unwrap_or("-");
    assert!(!name.trim().is_empty() && name.chars().count() <= 128);
    printable(name);
    notes.iter().for_each(|note| printable(&note.to_string()));
}

/// Goes to a log, a page or a response.
fn printable(text: &str) {
    assert!(!text.chars().any(char::is_control) && text.len() < 8_192, "{text:?}");
}
