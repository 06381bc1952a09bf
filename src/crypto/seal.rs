//! Sealing: secrets that must be used again are sealed under a key of 32 bytes, and everything else that needs a key is
//! derived from it (RFC 5869). The master key is one of these keys, and so are the root keys that it seals.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::types::random::Rng;
use crate::types::secret::Secret;

/// The first byte of everything sealed; another one will name another construction.
const VERSION: u8 = 1;
/// Bytes of an XChaCha20 nonce: long enough to be drawn at random for every sealing.
pub(super) const NONCE: usize = 24;
/// Purposes are constants of the code; past this many, keys are derived anew instead of kept.
const KEPT_PURPOSES: usize = 256;

/// A 32-byte key, such as the master key, and what has been derived from it so far.
pub struct MasterKey {
    key: Secret<[u8; 32]>,
    derived: RwLock<HashMap<String, Arc<Derived>>>,
}

/// The keys of one purpose.
struct Derived {
    mac: Hmac<Sha256>,
    cipher: XChaCha20Poly1305,
}

impl MasterKey {
    /// Reads 32 bytes in base64, standard or URL-safe, with or without padding; space around it does not count.
    ///
    /// # Errors
    /// A sentence that says what was expected; never the text itself.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let alphabets = [base64::alphabet::STANDARD, base64::alphabet::URL_SAFE];
        let text = text.trim();
        for alphabet in &alphabets {
            if let Ok(bytes) = GeneralPurpose::new(alphabet, config).decode(text) {
                let bytes = Zeroizing::new(bytes);
                return <[u8; 32]>::try_from(bytes.as_slice())
                    .map(Self::new)
                    .map_err(|_| format!("expected 32 bytes in base64, found {} bytes", bytes.len()));
            }
        }
        Err("expected 32 bytes in base64, found something that is not base64".to_owned())
    }

    /// A fresh key.
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let mut key = [0u8; 32];
        rng.fill(&mut key);
        let made = Self::new(key);
        key.zeroize();
        made
    }

    /// The form that [`MasterKey::from_base64`] reads.
    pub fn to_base64(&self) -> Secret<String> {
        Secret::new(STANDARD.encode(self.key.expose()))
    }

    /// Encrypts `plain` so that only [`MasterKey::open`] with the same purpose and id reads it: what is sealed for
    /// one row cannot be moved into another (XChaCha20-Poly1305; purpose and id are the associated data).
    pub fn seal(&self, purpose: &str, id: &str, plain: &[u8], rng: &dyn Rng) -> Vec<u8> {
        let mut nonce = [0u8; NONCE];
        rng.fill(&mut nonce);
        let aad = associated_data(purpose, id);
        let payload = Payload { msg: plain, aad: &aad };
        // The cipher refuses only what is longer than 256 GiB; an empty text then opens for nobody.
        let sealed =
            self.derived(purpose).cipher.encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        let mut out = Vec::with_capacity(1 + NONCE + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Decrypts what [`MasterKey::seal`] made; `None` when key, purpose or id differ, or a bit has changed.
    pub fn open(&self, purpose: &str, id: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        self.open_unversioned(purpose, id, unversioned(sealed)?)
    }

    /// What this key opens of one purpose, for whoever needs nothing else of it: it can be dropped.
    pub fn opener(&self, purpose: &str) -> Opener {
        Opener { purpose: purpose.to_owned(), cipher: self.cipher(purpose) }
    }

    /// [`MasterKey::open`] for what follows the version.
    pub(super) fn open_unversioned(&self, purpose: &str, id: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        decrypted(&self.derived(purpose).cipher, purpose, id, sealed)
    }

    /// A 32-byte key of its own for `purpose`.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.expand("raw", purpose)
    }

    /// HMAC-SHA256 (RFC 2104) over `parts` with a key of its own for `purpose`. Each part carries its length, so
    /// that no two lists of parts have the same text.
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.derived(purpose).mac.clone();
        for part in parts {
            mac.update(&length(part));
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The same key once more.
    pub(super) fn again(&self) -> Self {
        Self::new(*self.key.expose())
    }

    fn new(key: [u8; 32]) -> Self {
        Self { key: Secret::new(key), derived: RwLock::default() }
    }

    fn derived(&self, purpose: &str) -> Arc<Derived> {
        let known = self.derived.read().unwrap_or_else(PoisonError::into_inner).get(purpose).cloned();
        if let Some(known) = known {
            return known;
        }
        // 64 bytes, the block of SHA-256, is the length for which HMAC takes a key as it is.
        let mac_key = Zeroizing::new(self.expand::<64>("mac", purpose));
        let made = Arc::new(Derived {
            mac: <Hmac<Sha256> as hmac::digest::KeyInit>::new(mac_key.as_slice().into()),
            cipher: self.cipher(purpose),
        });
        let mut kept = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_PURPOSES {
            kept.insert(purpose.to_owned(), Arc::clone(&made));
        }
        made
    }

    fn cipher(&self, purpose: &str) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(self.expand::<32>("seal", purpose));
        XChaCha20Poly1305::new(key.as_slice().into())
    }

    /// HKDF-SHA256; kind and purpose together are the `info` (RFC 5869 §3.2).
    fn expand<const N: usize>(&self, kind: &str, purpose: &str) -> [u8; N] {
        let mut out = [0u8; N];
        let info = [b"postern/1/", kind.as_bytes(), b"/", purpose.as_bytes()];
        let hkdf = Hkdf::<Sha256>::new(None, self.key.expose());
        // HKDF gives up to 255 × 32 bytes; one or two blocks cannot fail.
        let _ = hkdf.expand_multi_info(&info, &mut out);
        out
    }
}

/// Opens what a key has sealed for one purpose.
pub struct Opener {
    purpose: String,
    cipher: XChaCha20Poly1305,
}

impl Opener {
    /// [`MasterKey::open`], for its purpose.
    pub fn open(&self, id: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        decrypted(&self.cipher, &self.purpose, id, unversioned(sealed)?)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

fn unversioned(sealed: &[u8]) -> Option<&[u8]> {
    let (version, rest) = sealed.split_first()?;
    (*version == VERSION).then_some(rest)
}

fn decrypted(cipher: &XChaCha20Poly1305, purpose: &str, id: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE)?;
    let aad = associated_data(purpose, id);
    let payload = Payload { msg: text, aad: &aad };
    cipher.decrypt(XNonce::from_slice(nonce), payload).ok().map(Secret::new)
}

fn associated_data(purpose: &str, id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + purpose.len() + id.len());
    for part in [purpose.as_bytes(), id.as_bytes()] {
        out.extend_from_slice(&length(part));
        out.extend_from_slice(part);
    }
    out
}

fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::random::SeededRng;

    fn key(seed: u64) -> MasterKey {
        MasterKey::generate(&SeededRng::new(seed))
    }

    #[test]
    fn the_text_form_reads_back_in_every_spelling() {
        let key = MasterKey::new([0xfb; 32]);
        let text = key.to_base64().expose().clone();
        let url_safe = text.replace('+', "-").replace('/', "_");
        for spelling in [text.clone(), format!(" {text}\n"), url_safe.clone(), url_safe.replace('=', "")] {
            assert_eq!(MasterKey::from_base64(&spelling).unwrap().derive("x"), key.derive("x"));
        }
    }

    #[test]
    fn a_bad_text_form_is_refused_without_being_repeated() {
        for bad in ["", "short", "AAAA", "ä", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
            let message = MasterKey::from_base64(bad).unwrap_err();
            assert!(message.contains("32 bytes in base64") && (bad.is_empty() || !message.contains(bad)));
        }
    }

    #[test]
    fn what_is_sealed_opens_only_for_its_own_key_purpose_and_row() {
        let (key, rng) = (key(1), SeededRng::new(2));
        let sealed = key.seal("signing key", "k1", b"secret", &rng);
        assert_eq!(key.open("signing key", "k1", &sealed).unwrap().expose(), b"secret");
        assert_eq!(key.opener("signing key").open("k1", &sealed).unwrap().expose(), b"secret");
        for (purpose, id) in [("signing key", "k2"), ("signing ke", "yk1"), ("upstream", "k1")] {
            assert!(key.opener(purpose).open(id, &sealed).is_none());
        }
        assert!(key.open("signing key", "k2", &sealed).is_none());
        assert!(key.open("signing ke", "yk1", &sealed).is_none());
        assert!(key.open("upstream", "k1", &sealed).is_none());
        assert!(self::key(3).open("signing key", "k1", &sealed).is_none());
        assert_ne!(sealed, key.seal("signing key", "k1", b"secret", &rng));
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let key = key(1);
        let sealed = key.seal("p", "i", b"four", &SeededRng::new(2));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(key.open("p", "i", &changed).is_none(), "byte {index}");
            assert!(key.open("p", "i", &sealed[..index]).is_none(), "cut at {index}");
        }
    }

    #[test]
    fn keys_of_different_purposes_differ_and_stay_the_same() {
        let key = key(1);
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_ne!(key.mac("a", &[b"x"]), key.mac("b", &[b"x"]));
        assert_eq!(key.mac("a", &[b"x"]), self::key(1).mac("a", &[b"x"]));
        for count in 0..2 * KEPT_PURPOSES {
            let purpose = count.to_string();
            assert_eq!(key.mac(&purpose, &[]), key.mac(&purpose, &[]));
        }
        assert!(key.derived.read().unwrap().len() <= KEPT_PURPOSES);
    }

    #[test]
    fn parts_do_not_run_together() {
        let key = key(1);
        assert_ne!(key.mac("a", &[b"xy", b"z"]), key.mac("a", &[b"x", b"yz"]));
        assert_ne!(key.mac("a", &[b"xyz"]), key.mac("a", &[b"xyz", b""]));
    }

    #[test]
    fn nothing_of_the_key_is_printed() {
        assert_eq!(format!("{:?}", key(1)), "MasterKey(…)");
    }

    proptest! {
        #[test]
        fn opening_rubbish_never_panics(rubbish in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key(1).open("p", "i", &rubbish).is_none());
        }
    }
}
