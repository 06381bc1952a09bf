//! ID tokens of identity providers (OpenID Connect Core §2), verified as §3.1.3.7 says.

use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Alg,
};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, Nonce};
use serde_json::{Map, Value};

use super::compact::{Compact, numeric_date};
use crate::types::identity::Asserted;
use crate::types::policy::{CLOCK_SKEW, MAX_CLAIMED_GROUPS, MAX_CLAIMED_TEXT, MAX_ID_TOKEN_AGE};
use crate::types::time::Timestamp;

/// The algorithms that are verified: public keys only. Neither `none` nor one that the client secret could sign with.
const ALGS: [(&str, Alg); 7] = [
    ("RS256", Alg::RsaSsaPkcs1V15Sha256),
    ("RS384", Alg::RsaSsaPkcs1V15Sha384),
    ("RS512", Alg::RsaSsaPkcs1V15Sha512),
    ("PS256", Alg::RsaSsaPssSha256),
    ("ES256", Alg::EcdsaP256Sha256),
    ("ES384", Alg::EcdsaP384Sha384),
    ("EdDSA", Alg::EdDsa),
];

/// What an ID token has to fit.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The provider's issuer identifier.
    pub issuer: &'a str,
    /// Who we are there.
    pub client_id: &'a str,
    /// The nonce of the sign-in.
    pub nonce: &'a str,
    /// The algorithms that the provider says it uses.
    pub algs: &'a [String],
    /// The claim that lists groups.
    pub group_claim: &'a str,
}

/// Why an ID token proves nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdTokenError {
    /// It is no signed JWT of sensible size, or a claim has the wrong kind.
    #[error("the ID token is malformed")]
    Malformed,
    /// Its algorithm is not allowed, or no key fits, or the signature does not.
    #[error("the ID token's signature does not count")]
    Signature,
    /// It is another issuer's.
    #[error("the ID token is another issuer's")]
    Issuer,
    /// It is for somebody else.
    #[error("the ID token is for somebody else")]
    Audience,
    /// It belongs to another sign-in.
    #[error("the ID token belongs to another sign-in")]
    Nonce,
    /// It has expired, or its times make no sense.
    #[error("the ID token's time is over, or its times make no sense")]
    Time,
}

/// The key that an ID token names, for finding it. Nothing of the token is proven.
#[must_use]
pub fn key_id(token: &str) -> Option<String> {
    Compact::parse(token)?.header_text("kid").map(str::to_owned)
}

/// Verifies an ID token against the provider's key set, and reads what it says.
///
/// # Errors
/// The first reason found.
pub fn verify(
    token: &str,
    keys: &Value,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Asserted, IdTokenError> {
    let parsed = Compact::parse(token).ok_or(IdTokenError::Malformed)?;
    if parsed.has_extensions() {
        return Err(IdTokenError::Malformed);
    }
    let alg = parsed.header_text("alg").ok_or(IdTokenError::Malformed)?;
    let allowed = ALGS.iter().filter(|(name, _)| expected.algs.iter().any(|known| known == name));
    let allowed: Vec<Alg> =
        allowed.filter(|(name, _)| *name == alg).map(|(_, allowed)| allowed.clone()).collect();
    if allowed.is_empty() {
        return Err(IdTokenError::Signature);
    }
    // Bounded before the library computes with them.
    let dated =
        |name: &str| !parsed.claims.contains_key(name) || numeric_date(&parsed.claims, name).is_some();
    if !["exp", "iat"].iter().all(|name| parsed.claims.contains_key(*name))
        || !["exp", "iat", "nbf", "auth_time"].iter().all(|name| dated(name))
    {
        return Err(IdTokenError::Time);
    }
    let keys: CoreJsonWebKeySet =
        serde_json::from_value(keys.clone()).map_err(|_| IdTokenError::Signature)?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|_| IdTokenError::Issuer)?;
    // Public, whatever secret we have there: nothing is ever verified with a secret that both sides know.
    let seconds = u64::try_from(now.minus(CLOCK_SKEW).seconds()).unwrap_or(0);
    let verifier =
        CoreIdTokenVerifier::new_public_client(ClientId::new(expected.client_id.to_owned()), issuer, keys)
            .set_allowed_algs(allowed)
            .set_time_fn(move || (UNIX_EPOCH + Duration::from_secs(seconds)).into());
    let read = CoreIdToken::from_str(token).map_err(|_| IdTokenError::Malformed)?;
    read.claims(&verifier, &Nonce::new(expected.nonce.to_owned())).map_err(|error| match error {
        ClaimsVerificationError::Expired(_) => IdTokenError::Time,
        ClaimsVerificationError::InvalidAudience(_) => IdTokenError::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => IdTokenError::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => IdTokenError::Nonce,
        ClaimsVerificationError::SignatureVerification(_) => IdTokenError::Signature,
        _ => IdTokenError::Malformed,
    })?;
    // The library compares issuers as URLs and leaves the authorized party and the age of the token to us.
    let claims = &parsed.claims;
    if claims.get("iss").and_then(Value::as_str) != Some(expected.issuer) {
        return Err(IdTokenError::Issuer);
    }
    if claims.get("azp").is_some_and(|azp| azp.as_str() != Some(expected.client_id)) {
        return Err(IdTokenError::Audience);
    }
    let date = |name| numeric_date(claims, name).map(Timestamp::from_seconds);
    let issued = date("iat").ok_or(IdTokenError::Time)?;
    if issued > now.plus(CLOCK_SKEW) || issued < now.minus(MAX_ID_TOKEN_AGE) {
        return Err(IdTokenError::Time);
    }
    if claims.contains_key("nbf") && date("nbf").is_none_or(|from| from > now.plus(CLOCK_SKEW)) {
        return Err(IdTokenError::Time);
    }
    let auth_time = match claims.get("auth_time") {
        None | Some(Value::Null) => None,
        Some(_) => Some(date("auth_time").ok_or(IdTokenError::Time)?),
    };
    if auth_time.is_some_and(|at| at > now.plus(CLOCK_SKEW)) {
        return Err(IdTokenError::Time);
    }
    let sub = text(claims, "sub").ok_or(IdTokenError::Malformed)?;
    Ok(Asserted {
        sub,
        email: text(claims, "email"),
        email_verified: claims.get("email_verified") == Some(&Value::Bool(true)),
        name: text(claims, "name"),
        groups: list(claims, expected.group_claim),
        amr: list(claims, "amr"),
        acr: text(claims, "acr"),
        auth_time,
    })
}

/// Adds what the userinfo endpoint says to what the ID token left out; an address and whether it is verified go together.
/// `None` when it speaks of somebody else: then none of it may be used (OpenID Connect Core §5.3.2).
#[must_use]
pub fn completed(asserted: Asserted, said: &Map<String, Value>, group_claim: &str) -> Option<Asserted> {
    if said.get("sub").and_then(Value::as_str) != Some(&asserted.sub) {
        return None;
    }
    let (email, email_verified) = match asserted.email {
        Some(email) => (Some(email), asserted.email_verified),
        None => (text(said, "email"), said.get("email_verified") == Some(&Value::Bool(true))),
    };
    let groups = if asserted.groups.is_empty() { list(said, group_claim) } else { asserted.groups };
    Some(Asserted {
        email,
        email_verified,
        groups,
        name: asserted.name.or_else(|| text(said, "name")),
        ..asserted
    })
}

fn text(claims: &Map<String, Value>, name: &str) -> Option<String> {
    claims.get(name)?.as_str().filter(|text| is_sensible(text)).map(str::to_owned)
}

/// A list of texts, or one text alone.
fn list(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    let entries = match claims.get(name) {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let texts = entries.into_iter().filter_map(Value::as_str).filter(|text| is_sensible(text));
    texts.take(MAX_CLAIMED_GROUPS).map(str::to_owned).collect()
}

fn is_sensible(text: &str) -> bool {
    (1..=MAX_CLAIMED_TEXT).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Whether ID tokens with this algorithm are verified at all.
#[must_use]
pub fn is_verified(alg: &str) -> bool {
    ALGS.iter().any(|(name, _)| *name == alg)
}

#[cfg(test)]
mod tests {
    use josekit::jwk::Jwk;
    use josekit::jwk::alg::ec::EcCurve;
    use josekit::jws::{self, ES256, JwsHeader};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_counts_under_the_key_that_it_names_and_no_other() {
        let key = Jwk::generate_ec_key(EcCurve::P256).unwrap();
        let now = Timestamp::from_seconds(1_795_000_000);
        let claims = json!({
            "iss": "https://idp.example", "aud": "us", "sub": "ana", "nonce": "n", "iat": now.seconds(),
            "exp": now.seconds() + 60, "email": "ana@example.com", "email_verified": "true", "groups": ["a", 7, "b"],
        });
        let mut header = JwsHeader::new();
        header.set_key_id("one");
        let signer = ES256.signer_from_jwk(&key).unwrap();
        let token = jws::serialize_compact(claims.to_string().as_bytes(), &header, &signer).unwrap();
        let public = |kid: &str| {
            let mut public = Value::Object(key.to_public_key().unwrap().as_ref().clone());
            public["kid"] = json!(kid);
            json!({ "keys": [{ "kty": "new", "kid": "one" }, public] })
        };
        let algs = ["ES256".to_owned()];
        let expected = Expected {
            issuer: "https://idp.example",
            client_id: "us",
            nonce: "n",
            algs: &algs,
            group_claim: "groups",
        };
        let said = verify(&token, &public("one"), &expected, now).unwrap();
        assert_eq!((said.sub.as_str(), said.groups), ("ana", vec!["a".to_owned(), "b".to_owned()]));
        assert!(!said.email_verified, "only the boolean counts");
        assert_eq!(key_id(&token).as_deref(), Some("one"));
        assert_eq!(verify(&token, &public("two"), &expected, now), Err(IdTokenError::Signature));
        let others = ["RS256".to_owned()];
        let narrower = Expected { algs: &others, ..expected };
        assert_eq!(verify(&token, &public("one"), &narrower, now), Err(IdTokenError::Signature));
        let later = Timestamp::from_seconds(1_795_000_091);
        assert_eq!(verify(&token, &public("one"), &expected, later), Err(IdTokenError::Time));
    }
}
