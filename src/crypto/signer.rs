//! What signs our tokens, by algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jws::{EdDSA, JwsSigner, RS256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

use super::keyring::CryptoError;
use crate::types::key::SigningAlg;

/// Bytes of a coordinate and of a private number on P-256 (RFC 7518 §6.2.1.2).
const P256: usize = 32;

/// A private key, ready to sign.
#[derive(Debug)]
pub(super) enum Signer {
    /// ES256, which nearly every token is signed with: by the library that TLS brings, which takes three quarters of the
    /// time that OpenSSL does (docs/PERFORMANCE.md).
    Es256(Box<EcdsaKeyPair>, SystemRandom),
    /// Any other.
    Other(Box<dyn JwsSigner>),
}

impl Signer {
    /// Of a private key; [`None`] when it is not one of this algorithm.
    pub(super) fn of(alg: SigningAlg, jwk: &Jwk) -> Option<Self> {
        Some(match alg {
            SigningAlg::ES256 => es256(jwk)?,
            SigningAlg::RS256 => Self::Other(Box::new(RS256.signer_from_jwk(jwk).ok()?)),
            SigningAlg::EDDSA => Self::Other(Box::new(EdDSA.signer_from_jwk(jwk).ok()?)),
        })
    }

    /// Signs `token`, the first two parts of a compact JWS, and adds the third (RFC 7515 §3.1).
    ///
    /// # Errors
    /// [`CryptoError::Failed`] when the library fails.
    pub(super) fn seal(&self, token: &mut String) -> Result<(), CryptoError> {
        match self {
            Self::Es256(key, rng) => {
                let signature = key.sign(rng, token.as_bytes());
                add(token, signature.map_err(|error| CryptoError::Failed(error.to_string()))?.as_ref());
            }
            Self::Other(signer) => {
                let signature = signer.sign(token.as_bytes());
                add(token, &signature.map_err(|error| CryptoError::Failed(error.to_string()))?);
            }
        }
        Ok(())
    }
}

fn add(token: &mut String, signature: &[u8]) {
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, token);
}

fn es256(jwk: &Jwk) -> Option<Signer> {
    if jwk.key_type() != "EC" || jwk.curve() != Some("P-256") {
        return None;
    }
    let rng = SystemRandom::new();
    let private = number(jwk, "d")?;
    let mut public = vec![0x04]; // uncompressed (SEC 1 §2.3.3)
    public.extend_from_slice(number(jwk, "x")?.as_slice());
    public.extend_from_slice(number(jwk, "y")?.as_slice());
    // Refused unless the two halves belong together.
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        private.as_slice(),
        &public,
        &rng,
    );
    Some(Signer::Es256(Box::new(key.ok()?), rng))
}

/// A member as a number of fixed length, also where zeros at its beginning were left out.
fn number(jwk: &Jwk, member: &str) -> Option<Zeroizing<[u8; P256]>> {
    let text = jwk.parameter(member)?.as_str()?;
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
    let mut padded = Zeroizing::new([0; P256]);
    let from = P256.checked_sub(bytes.len())?;
    padded.get_mut(from..)?.copy_from_slice(&bytes);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
    use josekit::jws::ES256;
    use serde_json::{Value, json};

    use super::*;

    fn new_key(curve: EcCurve) -> Jwk {
        EcKeyPair::generate(curve).unwrap().to_jwk_key_pair()
    }

    fn with(jwk: &Jwk, member: &str, value: &str) -> Jwk {
        let mut changed = jwk.clone();
        changed.set_parameter(member, Some(Value::from(value))).unwrap();
        changed
    }

    fn sealed(jwk: &Jwk) -> (String, Vec<u8>) {
        let mut token = "head.claims".to_owned();
        Signer::of(SigningAlg::ES256, jwk).unwrap().seal(&mut token).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        (message.to_owned(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    #[test]
    fn another_library_verifies_what_is_signed_and_no_two_signatures_share_a_nonce() {
        let jwk = new_key(EcCurve::P256);
        let verifier = ES256.verifier_from_jwk(&jwk.to_public_key().unwrap()).unwrap();
        let (message, one) = sealed(&jwk);
        let (_, other) = sealed(&jwk);
        for signature in [&one, &other] {
            josekit::jws::JwsVerifier::verify(&verifier, message.as_bytes(), signature).unwrap();
        }
        assert_eq!(one.len(), 64);
        assert_ne!(
            one[..32],
            other[..32],
            "the first half tells the nonce: twice the same gives the key away"
        );
        assert!(josekit::jws::JwsVerifier::verify(&verifier, b"head.other", &one).is_err());
    }

    #[test]
    fn a_number_whose_first_zeros_were_left_out_is_the_same_number() {
        // RFC 7518 §6.2.2.1 asks for the zeros; keys that were made elsewhere may lack them.
        let jwk = (0..20_000).map(|_| new_key(EcCurve::P256)).find(|jwk| number(jwk, "d").unwrap()[0] == 0);
        let jwk = jwk.unwrap();
        let whole = number(&jwk, "d").unwrap();
        let short = with(&jwk, "d", &URL_SAFE_NO_PAD.encode(&whole[1..]));
        let verifier = ES256.verifier_from_jwk(&jwk.to_public_key().unwrap()).unwrap();
        let (message, signature) = sealed(&short);
        josekit::jws::JwsVerifier::verify(&verifier, message.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_key_that_is_none_of_the_algorithm_or_whose_halves_do_not_fit_is_refused() {
        let (one, other) = (new_key(EcCurve::P256), new_key(EcCurve::P256));
        let text = |jwk: &Jwk, member| jwk.parameter(member).and_then(Value::as_str).unwrap().to_owned();
        assert!(Signer::of(SigningAlg::ES256, &one).is_some());
        for unfit in [
            with(&one, "d", &text(&other, "d")),
            with(&one, "x", &text(&other, "x")),
            with(&one, "d", &URL_SAFE_NO_PAD.encode([0; 32])),
            with(&one, "d", &URL_SAFE_NO_PAD.encode([0xff; 32])),
            with(&one, "d", &URL_SAFE_NO_PAD.encode([1; 33])),
            with(&one, "crv", "P-384"),
            new_key(EcCurve::P384),
            Jwk::from_bytes(json!({ "kty": "oct", "k": "AAAA" }).to_string()).unwrap(),
            one.to_public_key().unwrap(),
        ] {
            assert!(Signer::of(SigningAlg::ES256, &unfit).is_none(), "{unfit:?}");
        }
    }
}
