//! Reads and verifies tokens as a stranger would, from the published key set alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, EdDSA, JwsVerifier, RS256};
use serde_json::Value;

use super::node::Node;

fn part(jwt: &str, number: usize) -> Value {
    let text = jwt.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

pub fn header_of(jwt: &str) -> Value {
    part(jwt, 0)
}

pub fn claims_of(jwt: &str) -> Value {
    part(jwt, 1)
}

/// The claims of a token whose signature holds under the published key that its header names.
pub async fn verified(node: &Node, jwt: &str) -> Value {
    let header = header_of(jwt);
    let set = node.get("/jwks.json").await.body;
    let keys = set["keys"].as_array().unwrap();
    let found = keys.iter().find(|key| key["kid"] == header["kid"]);
    let key = found.unwrap_or_else(|| panic!("the key of {header} is not published: {set}"));
    assert_eq!(key["alg"], header["alg"]);
    assert_eq!(key["use"], "sig");
    assert!(key.get("d").is_none(), "a private key is published");
    let jwk = Jwk::from_bytes(key.to_string()).unwrap();
    let verifier: Box<dyn JwsVerifier> = match header["alg"].as_str().unwrap() {
        "ES256" => Box::new(ES256.verifier_from_jwk(&jwk).unwrap()),
        "RS256" => Box::new(RS256.verifier_from_jwk(&jwk).unwrap()),
        "EdDSA" => Box::new(EdDSA.verifier_from_jwk(&jwk).unwrap()),
        other => panic!("alg {other}"),
    };
    let (payload, _) = josekit::jws::deserialize_compact(jwt, verifier.as_ref()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}
