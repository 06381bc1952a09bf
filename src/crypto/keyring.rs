//! The signing keys of this issuer as one immutable snapshot: parsed once, so that a token costs one signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use josekit::jwk::alg::ed::{EdCurve, EdKeyPair};
use josekit::jwk::alg::rsa::RsaKeyPair;
use josekit::jwk::{Jwk, KeyPair};
use josekit::jws::JwsVerifier;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::compact::{Compact, numeric_date};
use super::jwk::{Material, fits};
use super::roots::Roots;
use super::signer::Signer;
use crate::types::key::{SigningAlg, SigningKey};
use crate::types::random::Rng;
use crate::types::time::Timestamp;

/// What private keys are sealed for.
pub const PURPOSE: &str = "signing key";
/// Bits of a new RSA key.
const RSA_BITS: u32 = 2_048;

/// Why keys could not be made, opened or used: a fault of ours, never of a request.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The master key does not open a signing key.
    #[error("the master key does not open the signing key {0}; is it the one this database was made with?")]
    WrongMasterKey(String),
    /// The master key opens no root key.
    #[error(
        "the master key is not one that this database is sealed under; is it the right one, or was it retired?"
    )]
    UnknownMasterKey,
    /// A root key does not open.
    #[error("the master key does not open the root key {0}")]
    WrongRoot(u32),
    /// A stored key cannot be read.
    #[error("the signing key {0} is damaged")]
    DamagedKey(String),
    /// There is no key of an algorithm.
    #[error("there is no signing key for {0}")]
    NoKey(&'static str),
    /// The library failed.
    #[error("signing failed: {0}")]
    Failed(String),
}

/// Why a presented token is not one of ours that counts now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenError {
    /// It is not a compact JWS, or asks for an extension.
    #[error("the token is malformed")]
    Malformed,
    /// It names no key of ours.
    #[error("the token names no key of this issuer")]
    UnknownKey,
    /// Its algorithm is not that of its key.
    #[error("the token's algorithm is not that of its key")]
    WrongAlgorithm,
    /// It is a token of another kind.
    #[error("the token is of another kind")]
    WrongType,
    /// Its signature does not fit.
    #[error("the token's signature does not fit")]
    BadSignature,
    /// A claim is missing or of the wrong kind.
    #[error("the token lacks a claim")]
    Claims,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// The signing keys.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    kid: String,
    alg: SigningAlg,
    public_jwk: Map<String, Value>,
    created_at: Timestamp,
    activates_at: Timestamp,
    removed_at: Option<Timestamp>,
    signer: Signer,
    verifier: Box<dyn JwsVerifier>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

impl KeyRing {
    /// Opens and parses every key. The public halves are computed from the private ones, so that whoever can write
    /// the database but lacks the master key cannot slip in a key of their own.
    ///
    /// # Errors
    /// [`CryptoError::WrongMasterKey`] or [`CryptoError::DamagedKey`] with the `kid`.
    pub fn open(records: &[SigningKey], master: &Roots) -> Result<Self, CryptoError> {
        let keys = records.iter().map(|record| Key::open(record, master)).collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// Signs `claims` with the youngest active key of `alg`; with the oldest waiting one when none is active yet.
    ///
    /// # Errors
    /// [`CryptoError::NoKey`] without a key of that algorithm, [`CryptoError::Failed`] when the library fails.
    pub fn sign(
        &self,
        alg: SigningAlg,
        typ: &str,
        claims: &impl Serialize,
        now: Timestamp,
    ) -> Result<String, CryptoError> {
        let key = self.signing_key(alg, now).ok_or(CryptoError::NoKey(alg.as_str()))?;
        let failed = |error: serde_json::Error| CryptoError::Failed(error.to_string());
        let header = serde_json::to_vec(&Header { alg: alg.as_str(), typ, kid: &key.kid }).map_err(failed)?;
        let claims = serde_json::to_vec(claims).map_err(failed)?;
        let mut token = String::with_capacity((header.len() + claims.len()) * 4 / 3 + 360);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        key.signer.seal(&mut token)?;
        Ok(token)
    }

    /// The public key set (RFC 7517 §5): every key that has not been removed, waiting ones included.
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> String {
        let keys: Vec<&Map<String, Value>> = self.published(now).map(|key| &key.public_jwk).collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// When the first of the keys that are published at `now` leaves the set; until then [`KeyRing::jwks`] says the same.
    #[must_use]
    pub fn next_removal(&self, now: Timestamp) -> Option<Timestamp> {
        self.published(now).filter_map(|key| key.removed_at).min()
    }

    /// The name and the public half, as JSON text, of the key that a statement of ours names.
    #[must_use]
    pub fn public_of(&self, statement: &str) -> Option<(String, String)> {
        let parsed = Compact::parse(statement)?;
        let kid = parsed.header_text("kid")?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        Some((key.kid.clone(), Value::Object(key.public_jwk.clone()).to_string()))
    }

    /// The algorithms there are keys for, in a fixed order.
    #[must_use]
    pub fn algs(&self) -> Vec<SigningAlg> {
        SigningAlg::ALL.into_iter().filter(|alg| self.keys.iter().any(|key| key.alg == *alg)).collect()
    }

    /// Verifies a token of our own and returns its claims. The key is found by `kid` and decides the algorithm;
    /// `typ` must be exactly the one asked for (RFC 8725 §3.11); `iss`, `iat` and `exp` must be there, and `exp`
    /// ahead. Issuer and audience are for the caller to compare.
    ///
    /// # Errors
    /// The first reason found; never a panic, whatever the token holds.
    pub fn verify(&self, token: &str, typ: &str, now: Timestamp) -> Result<Map<String, Value>, TokenError> {
        self.verify_by(token, typ, now).map(|(_, claims)| claims)
    }

    /// [`KeyRing::verify`], with the `kid` of the key that the signature fits.
    ///
    /// # Errors
    /// The first reason found.
    pub fn verify_by(
        &self,
        token: &str,
        typ: &str,
        now: Timestamp,
    ) -> Result<(String, Map<String, Value>), TokenError> {
        let parsed = Compact::parse(token).ok_or(TokenError::Malformed)?;
        if parsed.has_extensions() {
            return Err(TokenError::Malformed);
        }
        let kid = parsed.header_text("kid").ok_or(TokenError::UnknownKey)?;
        let key = self.published(now).find(|key| key.kid == kid).ok_or(TokenError::UnknownKey)?;
        if parsed.header_text("alg") != Some(key.alg.as_str()) {
            return Err(TokenError::WrongAlgorithm);
        }
        if parsed.header_text("typ") != Some(typ) {
            return Err(TokenError::WrongType);
        }
        if !fits(key.verifier.as_ref(), parsed.message, &parsed.signature) {
            return Err(TokenError::BadSignature);
        }
        let claims = parsed.claims;
        if !claims.get("iss").is_some_and(Value::is_string) || numeric_date(&claims, "iat").is_none() {
            return Err(TokenError::Claims);
        }
        let exp = numeric_date(&claims, "exp").ok_or(TokenError::Claims)?;
        if Timestamp::from_seconds(exp) <= now {
            return Err(TokenError::Expired);
        }
        Ok((key.kid.clone(), claims))
    }

    /// Whether what a key has signed still counts. A `kid` is a thumbprint: of the same name is the same key.
    #[must_use]
    pub fn publishes(&self, kid: &str, now: Timestamp) -> bool {
        self.published(now).any(|key| key.kid == kid)
    }

    fn published(&self, now: Timestamp) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.removed_at.is_none_or(|removed_at| now < removed_at))
    }

    fn signing_key(&self, alg: SigningAlg, now: Timestamp) -> Option<&Key> {
        let age = |key: &&Key| (key.activates_at, key.created_at);
        let active =
            self.published(now).filter(|key| key.alg == alg && key.activates_at <= now).max_by_key(age);
        active.or_else(|| self.published(now).filter(|key| key.alg == alg).min_by_key(age))
    }
}

impl Key {
    fn open(record: &SigningKey, master: &Roots) -> Result<Self, CryptoError> {
        let damaged = || CryptoError::DamagedKey(record.kid.clone());
        let private = master
            .open(PURPOSE, &record.kid, &record.sealed_private)
            .ok_or_else(|| CryptoError::WrongMasterKey(record.kid.clone()))?;
        let jwk = Jwk::from_bytes(private.expose()).map_err(|_| damaged())?;
        let material = public_half(&jwk).ok_or_else(damaged)?;
        let signer = Signer::of(record.alg, &jwk).ok_or_else(damaged)?;
        let verifier = material.verifier(record.alg.as_str()).ok_or_else(damaged)?;
        if material.thumbprint() != record.kid {
            return Err(damaged());
        }
        Ok(Self {
            kid: record.kid.clone(),
            alg: record.alg,
            public_jwk: material.public_jwk(&record.kid, record.alg.as_str()),
            created_at: record.created_at,
            activates_at: record.activates_at,
            removed_at: record.removed_at,
            signer,
            verifier,
        })
    }
}

/// Makes a signing key; its `kid` is the RFC 7638 thumbprint. The key itself comes from the library's own generator,
/// `rng` only serves the sealing.
///
/// # Errors
/// [`CryptoError::Failed`] when the library fails.
pub fn generate(
    alg: SigningAlg,
    created_at: Timestamp,
    activates_at: Timestamp,
    master: &Roots,
    rng: &dyn Rng,
) -> Result<SigningKey, CryptoError> {
    let failed = |error: josekit::JoseError| CryptoError::Failed(error.to_string());
    let jwk = match alg {
        SigningAlg::ES256 => EcKeyPair::generate(EcCurve::P256).map_err(failed)?.to_jwk_key_pair(),
        SigningAlg::RS256 => RsaKeyPair::generate(RSA_BITS).map_err(failed)?.to_jwk_key_pair(),
        SigningAlg::EDDSA => EdKeyPair::generate(EdCurve::Ed25519).map_err(failed)?.to_jwk_key_pair(),
    };
    let unusable = || CryptoError::Failed("the new key cannot be read back".to_owned());
    let material = public_half(&jwk).ok_or_else(unusable)?;
    let kid = material.thumbprint();
    let private = Zeroizing::new(serde_json::to_vec(&jwk).map_err(|_| unusable())?);
    Ok(SigningKey {
        public_jwk: Value::Object(material.public_jwk(&kid, alg.as_str())).to_string(),
        sealed_private: master.seal(PURPOSE, &kid, &private, rng),
        kid,
        alg,
        created_at,
        activates_at,
        removed_at: None,
    })
}

fn public_half(private: &Jwk) -> Option<Material> {
    let public = private.to_public_key().ok()?;
    Material::read(public.as_ref()).ok().flatten()
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
