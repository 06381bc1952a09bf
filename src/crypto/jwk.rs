//! Public keys as JSON (RFC 7517): judged member by member before the library sees them, and turned into verifiers
//! whose algorithm the key decides.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{ES256, EdDSA, JwsVerifier, PS256, RS256};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Smallest RSA modulus in bits (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2_048;
/// Largest RSA modulus in bits; a larger one only costs time.
const MAX_RSA_BITS: usize = 8_192;
/// Members that only a private or symmetric key has (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The material of a public key of a kind that we can verify with.
pub(super) enum Material {
    /// P-256 (RFC 7518 §6.2).
    P256 { x: String, y: String },
    /// RSA of 2048 to 8192 bit (RFC 7518 §6.3).
    Rsa { n: String, e: String },
    /// Ed25519 (RFC 8037 §2).
    Ed25519 { x: String },
}

impl Material {
    /// Reads the key material; everything else in the JWK is left aside.
    ///
    /// # Errors
    /// What is wrong with the key, `Ok(None)` for a kind of key that is not used here (RFC 7517 §5 says to pass over
    /// those).
    pub(super) fn read(jwk: &Map<String, Value>) -> Result<Option<Self>, &'static str> {
        let kty = jwk.get("kty").and_then(Value::as_str).ok_or("a key has no kty")?;
        if PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member)) || kty == "oct" {
            return Err("a key is private or symmetric; only public keys belong in a key set");
        }
        let material = match (kty, jwk.get("crv").and_then(Value::as_str)) {
            ("EC", Some("P-256")) => Self::P256 { x: fixed(jwk, "x", 32)?, y: fixed(jwk, "y", 32)? },
            ("OKP", Some("Ed25519")) => Self::Ed25519 { x: fixed(jwk, "x", 32)? },
            ("RSA", None) => {
                let (n, e) = (number(jwk, "n")?, number(jwk, "e")?);
                let bits = n.len() * 8 - n.first().map_or(0, |top| top.leading_zeros() as usize);
                let small = || e.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
                if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) {
                    return Err("an RSA key is shorter than 2048 or longer than 8192 bit");
                }
                if e.len() > 8 || small() < 3 || small() % 2 == 0 {
                    return Err("an RSA key has an exponent that no real key has");
                }
                Self::Rsa { n: URL_SAFE_NO_PAD.encode(n), e: URL_SAFE_NO_PAD.encode(e) }
            }
            _ => return Ok(None),
        };
        // A point off the curve is found here, not at the first signature.
        let alg = material.algs().first().ok_or("a key has no algorithm")?;
        material.verifier(alg).map(|_| Some(material)).ok_or("a key is not a point on its curve")
    }

    /// The algorithms that this kind of key can have.
    pub(super) const fn algs(&self) -> &'static [&'static str] {
        match self {
            Self::P256 { .. } => &["ES256"],
            Self::Rsa { .. } => &["RS256", "PS256"],
            Self::Ed25519 { .. } => &["EdDSA"],
        }
    }

    /// The verifier for `alg`; `None` when this kind of key cannot have it.
    pub(super) fn verifier(&self, alg: &str) -> Option<Box<dyn JwsVerifier>> {
        let jwk = self.jwk()?;
        Some(match (self, alg) {
            (Self::P256 { .. }, "ES256") => Box::new(ES256.verifier_from_jwk(&jwk).ok()?),
            (Self::Rsa { .. }, "RS256") => Box::new(RS256.verifier_from_jwk(&jwk).ok()?),
            (Self::Rsa { .. }, "PS256") => Box::new(PS256.verifier_from_jwk(&jwk).ok()?),
            (Self::Ed25519 { .. }, "EdDSA") => Box::new(EdDSA.verifier_from_jwk(&jwk).ok()?),
            _ => return None,
        })
    }

    /// The required members in lexicographic order, as the thumbprint wants them (RFC 7638 §3.2).
    pub(super) fn members(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::P256 { x, y } => vec![("crv", "P-256"), ("kty", "EC"), ("x", x), ("y", y)],
            Self::Rsa { n, e } => vec![("e", e), ("kty", "RSA"), ("n", n)],
            Self::Ed25519 { x } => vec![("crv", "Ed25519"), ("kty", "OKP"), ("x", x)],
        }
    }

    /// The SHA-256 thumbprint in base64url (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        // Every value is base64url or a constant: nothing needs escaping.
        let members: Vec<String> =
            self.members().iter().map(|(name, value)| format!("\"{name}\":\"{value}\"")).collect();
        URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// The public JWK with `kid`, `alg` and `use` (RFC 7517 §4).
    pub(super) fn public_jwk(&self, kid: &str, alg: &str) -> Map<String, Value> {
        let mut members = self.members();
        members.extend([("kid", kid), ("alg", alg), ("use", "sig")]);
        members.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    }

    fn jwk(&self) -> Option<Jwk> {
        let members: Map<String, Value> =
            self.members().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        Jwk::from_map(members).ok()
    }
}

/// Whether `signature` over `message` fits. An ECDSA signature with a half that is zero is never valid, and is kept
/// from the encoder, which was not written for it.
pub(super) fn fits(verifier: &dyn JwsVerifier, message: &[u8], signature: &[u8]) -> bool {
    if verifier.algorithm().name() == "ES256" {
        let Some((r, s)) = signature.split_at_checked(32) else { return false };
        if s.len() != 32 || [r, s].iter().any(|half| half.iter().all(|byte| *byte == 0)) {
            return false;
        }
    }
    verifier.verify(message, signature).is_ok()
}

/// A member that is the base64url form of exactly `size` bytes, as it was written.
fn fixed(jwk: &Map<String, Value>, name: &str, size: usize) -> Result<String, &'static str> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or("a key lacks a member")?;
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if bytes.len() == size => Ok(text.to_owned()),
        _ => Err("a member of a key is not base64url of the right length"),
    }
}

/// A member that is a Base64urlUInt (RFC 7518 §2), without leading zeros.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or("a key lacks a member")?;
    if text.len() > 2 * MAX_RSA_BITS / 8 {
        return Err("an RSA key is shorter than 2048 or longer than 8192 bit");
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "a member of a key is not base64url")?;
    Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(jwk: Value) -> Result<Option<Material>, &'static str> {
        Material::read(jwk.as_object().unwrap())
    }

    #[test]
    fn the_thumbprint_example_of_rfc_7638_holds() {
        let key = read(json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        })).unwrap().unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn the_thumbprint_example_of_rfc_8037_holds() {
        let key = read(json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        }))
        .unwrap()
        .unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn keys_that_must_not_be_used_are_refused() {
        let zeros = URL_SAFE_NO_PAD.encode([0u8; 32]);
        let long = |bits: usize| URL_SAFE_NO_PAD.encode(vec![0xffu8; bits / 8]);
        for bad in [
            json!({}),
            json!({"kty": 1}),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "oct"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": zeros, "d": zeros}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": 7}),
            json!({"kty": "EC", "crv": "P-256", "x": zeros}),
            json!({"kty": "EC", "crv": "P-256", "x": zeros, "y": zeros}),
            json!({"kty": "EC", "crv": "P-256", "x": long(256), "y": long(256)}),
            json!({"kty": "RSA", "n": long(1024), "e": "AQAB"}),
            json!({"kty": "RSA", "n": long(2040), "e": "AQAB"}),
            json!({"kty": "RSA", "n": long(16_384), "e": "AQAB"}),
            json!({"kty": "RSA", "n": long(2048), "e": "AQ"}),
            json!({"kty": "RSA", "n": long(2048), "e": "Ag"}),
            json!({"kty": "RSA", "n": long(2048), "e": ""}),
            json!({"kty": "RSA", "n": long(2048), "e": long(128)}),
            json!({"kty": "RSA", "n": "", "e": "AQAB"}),
            json!({"kty": "RSA", "n": long(2048), "e": "AQAB", "d": "AQAB"}),
            json!({"kty": "RSA", "n": "not base64!", "e": "AQAB"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn kinds_of_key_that_are_not_used_here_are_passed_over() {
        for other in [
            json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
            json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "AA"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        ] {
            assert!(matches!(read(other.clone()), Ok(None)), "{other}");
        }
    }
}
