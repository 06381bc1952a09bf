//! Client assertions (RFC 7523 §3, `private_key_jwt`): read, and their signature judged against the client's own
//! keys. Whether the times, the audience and the `jti` are acceptable is decided in `oauth/`.

use serde_json::{Map, Value};

use super::compact::{Compact, numeric_date};
use super::jwk::{Material, fits};
use crate::types::policy::{ASSERTION_ALGS, MAX_CLIENT_KEYS};
use crate::types::time::Timestamp;

/// Most audiences that an assertion may name.
const MAX_AUDIENCES: usize = 16;
/// Longest `iss`, `sub`, `aud` or `jti` in bytes.
const MAX_TEXT: usize = 1_024;

/// What an assertion says, once its signature has been found to fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assertion {
    /// The algorithm of the header.
    pub alg: String,
    /// The key it named.
    pub kid: Option<String>,
    /// Who says it.
    pub iss: String,
    /// Of whom; for client authentication the client itself (RFC 7523 §3).
    pub sub: String,
    /// To whom; one value or several.
    pub aud: Vec<String>,
    /// When it stops counting.
    pub exp: Timestamp,
    /// When it was made.
    pub iat: Option<Timestamp>,
    /// From when it counts.
    pub nbf: Option<Timestamp>,
    /// Its id; it may be used once.
    pub jti: String,
}

/// What an assertion claims to be, before anything is proven: enough to look up the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peek {
    /// The algorithm of the header.
    pub alg: String,
    /// The key it names.
    pub kid: Option<String>,
    /// The client it speaks of.
    pub sub: String,
}

/// Why an assertion proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssertionError {
    /// It is not a compact JWS of sensible size, or asks for an extension.
    #[error("the assertion is malformed")]
    Malformed,
    /// Its algorithm is not among those allowed to this client.
    #[error("the assertion's algorithm is not allowed")]
    WrongAlgorithm,
    /// Its `typ` says that it is something else.
    #[error("the assertion is a token of another kind")]
    WrongType,
    /// The client has no key that it could have been signed with.
    #[error("the client has no key that fits the assertion")]
    NoKey,
    /// No key of the client fits the signature.
    #[error("the assertion's signature does not fit")]
    BadSignature,
    /// A required claim is missing, or one has the wrong kind.
    #[error("the assertion lacks a claim, or one is of the wrong kind")]
    Claims,
}

/// Reads what is needed to find the client. Nothing of it is proven.
#[must_use]
pub fn peek(token: &str) -> Option<Peek> {
    let parsed = Compact::parse(token)?;
    Some(Peek {
        alg: parsed.header_text("alg")?.to_owned(),
        kid: parsed.header_text("kid").map(str::to_owned),
        sub: text(&parsed.claims, "sub")?,
    })
}

/// Verifies the signature against the client's key set and reads the claims. The verifier is fixed by the key's own
/// kind, and only if the header's algorithm is in `allowed_algs`, is one of [`ASSERTION_ALGS`], and is not
/// contradicted by the key (`alg`, `use`, `key_ops`). When the assertion names a key, keys of another name are not tried.
///
/// # Errors
/// The first reason found; never a panic, whatever assertion and key set hold.
pub fn verify(token: &str, jwks: &Value, allowed_algs: &[&str]) -> Result<Assertion, AssertionError> {
    let parsed = Compact::parse(token).ok_or(AssertionError::Malformed)?;
    if parsed.has_extensions() {
        return Err(AssertionError::Malformed);
    }
    let alg = parsed.header_text("alg").ok_or(AssertionError::Malformed)?;
    let kid = match parsed.header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => return Err(AssertionError::Malformed),
    };
    if !allowed_algs.contains(&alg) || !ASSERTION_ALGS.contains(&alg) {
        return Err(AssertionError::WrongAlgorithm);
    }
    if !is_assertion_type(parsed.header.get("typ")) {
        return Err(AssertionError::WrongType);
    }
    let candidates: Vec<_> = keys(jwks)
        .filter(|jwk| may_sign(jwk, alg, kid))
        .filter_map(|jwk| Material::read(jwk).ok().flatten()?.verifier(alg))
        .collect();
    if candidates.is_empty() {
        return Err(AssertionError::NoKey);
    }
    if !candidates.iter().any(|verifier| fits(verifier.as_ref(), parsed.message, &parsed.signature)) {
        return Err(AssertionError::BadSignature);
    }
    read(&parsed.claims, alg, kid).ok_or(AssertionError::Claims)
}

/// Judges a key set that a client wants to register or has published (RFC 7517 §5): an object with `keys`, 1 to
/// [`MAX_CLIENT_KEYS`] of them, none private or symmetric or broken, and at least one that an assertion can be
/// verified with.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_key_set(jwks: &Value) -> Result<(), String> {
    let list =
        jwks.get("keys").and_then(Value::as_array).ok_or("a key set is an object with an array \"keys\"")?;
    if list.is_empty() || list.len() > MAX_CLIENT_KEYS {
        return Err(format!("a key set has 1 to {MAX_CLIENT_KEYS} keys, not {}", list.len()));
    }
    let mut usable = false;
    for entry in list {
        let jwk = entry.as_object().ok_or("a key in the key set is not an object")?;
        let material = Material::read(jwk)?;
        let kid = jwk.get("kid");
        if kid.is_some_and(|kid| kid.as_str().is_none_or(|kid| kid.len() > MAX_TEXT)) {
            return Err("a key has a kid that is not a text of sensible length".to_owned());
        }
        usable |= material.is_some_and(|key| key.algs().iter().any(|alg| may_sign(jwk, alg, None)));
    }
    if usable {
        Ok(())
    } else {
        Err(format!("no key of the key set can verify {}", ASSERTION_ALGS.join(", ")))
    }
}

fn keys(jwks: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let list = jwks.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().take(MAX_CLIENT_KEYS).filter_map(Value::as_object)
}

/// Whether the key's own members allow that it signed this (RFC 7517 §4.2–4.5). A key without a name fits any.
fn may_sign(jwk: &Map<String, Value>, alg: &str, kid: Option<&str>) -> bool {
    let says = |member: &str, expected: &str| jwk.get(member).is_none_or(|value| value == expected);
    says("alg", alg)
        && says("use", "sig")
        && kid.is_none_or(|kid| says("kid", kid))
        && jwk
            .get("key_ops")
            .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")))
}

/// No `typ`, `JWT`, or the type that is being registered for assertions; anything else is a token for another purpose.
fn is_assertion_type(typ: Option<&Value>) -> bool {
    let Some(typ) = typ else { return true };
    typ.as_str().is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "client-authentication+jwt")
    })
}

fn read(claims: &Map<String, Value>, alg: &str, kid: Option<&str>) -> Option<Assertion> {
    let optional = |name: &str| match claims.get(name) {
        None => Some(None),
        Some(_) => numeric_date(claims, name).map(|seconds| Some(Timestamp::from_seconds(seconds))),
    };
    let aud = match claims.get("aud")? {
        Value::Array(list) if (1..=MAX_AUDIENCES).contains(&list.len()) => {
            list.iter().map(sensible).collect::<Option<Vec<_>>>()?
        }
        single => vec![sensible(single)?],
    };
    Some(Assertion {
        alg: alg.to_owned(),
        kid: kid.map(str::to_owned),
        iss: text(claims, "iss")?,
        sub: text(claims, "sub")?,
        aud,
        exp: Timestamp::from_seconds(numeric_date(claims, "exp")?),
        iat: optional("iat")?,
        nbf: optional("nbf")?,
        jti: text(claims, "jti")?,
    })
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    sensible(claims.get(name)?)
}

fn sensible(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    ((1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
