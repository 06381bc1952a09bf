//! Signatures of webhooks (Standard Webhooks, symmetric): HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::types::random::Rng;
use crate::types::secret::Secret;

/// How a secret begins.
const PREFIX: &str = "whsec_";
/// How a symmetric signature begins.
const VERSION: &str = "v1,";
/// Bytes of a secret of ours.
const SECRET: usize = 32;

/// A fresh secret, as its owner keeps it.
pub fn new_secret(rng: &dyn Rng) -> Secret<String> {
    let mut bytes = Zeroizing::new([0u8; SECRET]);
    rng.fill(bytes.as_mut_slice());
    Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes.as_slice())))
}

/// The value of `webhook-signature`: one signature for each secret, so that a receiver that knows one of them is content.
#[must_use]
pub fn sign(secrets: &[&str], id: &str, seconds: i64, body: &[u8]) -> String {
    let signatures: Vec<String> = secrets
        .iter()
        .filter_map(|secret| mac(secret, id, &seconds.to_string(), body))
        .map(|mac| format!("{VERSION}{}", STANDARD.encode(mac.finalize().into_bytes())))
        .collect();
    signatures.join(" ")
}

/// Whether one of the signatures in `presented` fits; compared in constant time. `seconds` is the text of the header.
#[must_use]
pub fn verify(secret: &str, id: &str, seconds: &str, body: &[u8], presented: &str) -> bool {
    let Some(mac) = mac(secret, id, seconds, body) else { return false };
    presented.split(' ').filter_map(|one| one.strip_prefix(VERSION)).fold(false, |known, one| {
        let fits = STANDARD.decode(one).is_ok_and(|bytes| mac.clone().verify_slice(&bytes).is_ok());
        known | fits
    })
}

fn mac(secret: &str, id: &str, seconds: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let key = Zeroizing::new(STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SeededRng;

    #[test]
    fn the_published_example_is_met() {
        // The example of the Standard Webhooks specification's reference libraries.
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let body = br#"{"test": 2432232314}"#;
        let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(verify(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, &signature));
    }

    #[test]
    fn either_secret_fits_and_nothing_else() {
        let rng = SeededRng::new(1);
        let (old, new, other) = (new_secret(&rng), new_secret(&rng), new_secret(&rng));
        let signature = sign(&[new.expose(), old.expose()], "m", 7, b"body");
        assert!(verify(old.expose(), "m", "7", b"body", &signature));
        assert!(verify(new.expose(), "m", "7", b"body", &signature));
        assert!(!verify(other.expose(), "m", "7", b"body", &signature));
        assert!(!verify(new.expose(), "n", "7", b"body", &signature));
        assert!(!verify(new.expose(), "m", "8", b"body", &signature));
        assert!(!verify(new.expose(), "m", "7", b"bodY", &signature));
        for bad in ["", "v1,", "v1", "v2,AAAA", "v1a,AAAA", "v1,not base64", &signature[4..]] {
            assert!(!verify(other.expose(), "m", "7", b"body", bad), "{bad}");
        }
    }
}
