//! Signed statements of an issuer, verified by whoever has nothing but public keys.

use serde_json::{Map, Value};

use super::compact::{Compact, numeric_date};
use super::jwk::{Material, fits};
use super::keyring::TokenError;

/// Verifies a statement against these keys and returns the name of its key and its claims. The key is found by `kid`, which
/// must be its thumbprint (RFC 7638), and decides the algorithm; `typ` must be exactly the one asked for. `iss` and `iat`
/// must be there. It has no end: what it says was so, and stays so.
///
/// # Errors
/// The first reason found.
pub fn verify(
    statement: &str,
    typ: &str,
    keys: &[Value],
) -> Result<(String, Map<String, Value>), TokenError> {
    let parsed = Compact::parse(statement).ok_or(TokenError::Malformed)?;
    if parsed.has_extensions() {
        return Err(TokenError::Malformed);
    }
    let kid = parsed.header_text("kid").ok_or(TokenError::UnknownKey)?;
    let known = keys.iter().filter_map(Value::as_object);
    let key = known
        .filter_map(|jwk| Material::read(jwk).ok().flatten())
        .find(|key| key.thumbprint() == kid)
        .ok_or(TokenError::UnknownKey)?;
    let alg = parsed.header_text("alg").ok_or(TokenError::WrongAlgorithm)?;
    let verifier = key.verifier(alg).ok_or(TokenError::WrongAlgorithm)?;
    if parsed.header_text("typ") != Some(typ) {
        return Err(TokenError::WrongType);
    }
    if !fits(verifier.as_ref(), parsed.message, &parsed.signature) {
        return Err(TokenError::BadSignature);
    }
    let kid = kid.to_owned();
    let claims = parsed.claims;
    if !claims.get("iss").is_some_and(Value::is_string) || numeric_date(&claims, "iat").is_none() {
        return Err(TokenError::Claims);
    }
    Ok((kid, claims))
}
