//! Opaque secrets that leave the house: a prefix that names the kind, 256 random bits, a checksum.
//!
//! Prefix and checksum let a secret scanner recognise a leaked one without asking us. Only digests are stored.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hex::hex;
use super::random::Rng;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Base-62 digits that hold 256 bits.
const BODY: usize = 43;
/// Base-62 digits that hold a CRC-32.
const CHECKSUM: usize = 6;

/// What a secret is for; fixed by its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TokenKind {
    /// Refresh token (RFC 6749 §1.5).
    Refresh,
    /// Client secret (RFC 6749 §2.3.1).
    ClientSecret,
    /// Registration access token (RFC 7592 §3).
    RegistrationAccess,
    /// Initial access token (RFC 7591 §3).
    InitialAccess,
    /// Grant token, for clients without OAuth.
    Grant,
    /// Authorization code (RFC 6749 §1.3.1).
    AuthorizationCode,
    /// Browser session cookie.
    Session,
    /// One-time link for the first administrator.
    Setup,
    /// A link in a mail.
    MailLink,
    /// An invitation.
    Invitation,
    /// A consent page in the making.
    ConsentRequest,
    /// A sign-in or a passkey's challenge that is under way.
    Step,
}

impl TokenKind {
    /// The prefix that every secret of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Refresh => "pst_rt_",
            Self::ClientSecret => "pst_cs_",
            Self::RegistrationAccess => "pst_rat_",
            Self::InitialAccess => "pst_iat_",
            Self::Grant => "pst_gt_",
            Self::AuthorizationCode => "pst_ac_",
            Self::Session => "pst_ss_",
            Self::Setup => "pst_su_",
            Self::MailLink => "pst_ml_",
            Self::Invitation => "pst_iv_",
            Self::ConsentRequest => "pst_cr_",
            Self::Step => "pst_st_",
        }
    }
}

/// A secret in the clear. Wiped when dropped, never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    kind: TokenKind,
    text: Zeroizing<String>,
}

impl Token {
    /// A fresh secret with 256 bits from `rng`.
    #[must_use]
    pub fn generate(kind: TokenKind, rng: &dyn Rng) -> Self {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rng.fill(bytes.as_mut_slice());
        Self::from_bytes(kind, &bytes)
    }

    /// The secret that carries exactly these 256 bits.
    #[must_use]
    pub fn from_bytes(kind: TokenKind, bytes: &[u8; 32]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(kind.prefix().len() + BODY + CHECKSUM));
        text.push_str(kind.prefix());
        push_base62(&mut text, bytes, BODY);
        let sum = crc32fast::hash(text.as_bytes());
        push_base62(&mut text, &sum.to_be_bytes(), CHECKSUM);
        Self { kind, text }
    }

    /// Reads a presented secret: right prefix, right length, right checksum, or `None`.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let body = text.strip_prefix(kind.prefix())?;
        if body.len() != BODY + CHECKSUM || !body.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let (head, sum) = text.split_at_checked(text.len() - CHECKSUM)?;
        let mut expected = String::with_capacity(CHECKSUM);
        push_base62(&mut expected, &crc32fast::hash(head.as_bytes()).to_be_bytes(), CHECKSUM);
        (expected == sum).then(|| Self { kind, text: Zeroizing::new(text.to_owned()) })
    }

    /// The text to hand to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// What is stored in its place.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.text)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.kind.prefix())
    }
}

/// SHA-256 of a secret. The secrets have 256 random bits, so a fast hash is the right one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a secret's text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// From stored bytes; `None` when they are not 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hexadecimal, for keys of text columns.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether `presented` is the secret, in constant time.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        self.0.ct_eq(&Self::of(presented).0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

/// Appends `bytes`, read as one big-endian number, as `digits` base-62 digits.
fn push_base62(out: &mut String, bytes: &[u8], digits: usize) {
    // Five digits at a time: the highest power whose remainders leave room for 32 bits more.
    const FIVE: u64 = 62_u64.pow(5);
    let limbs =
        bytes.rchunks(4).rev().map(|limb| limb.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
    let mut limbs: Zeroizing<Vec<u64>> = Zeroizing::new(limbs.collect());
    let mut reversed = Zeroizing::new(Vec::with_capacity(digits + 4));
    while reversed.len() < digits {
        let mut remainder = 0;
        for limb in limbs.iter_mut() {
            let value = (remainder << 32) | *limb;
            *limb = value / FIVE;
            remainder = value % FIVE;
        }
        for _ in 0..5 {
            let digit = usize::try_from(remainder % 62).ok().and_then(|digit| ALPHABET.get(digit));
            reversed.push(digit.copied().unwrap_or(b'0'));
            remainder /= 62;
        }
    }
    out.extend(reversed.iter().take(digits).rev().map(|b| char::from(*b)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SeededRng;

    #[test]
    fn a_generated_secret_reads_back_and_a_damaged_one_does_not() {
        let rng = SeededRng::new(7);
        for _ in 0..200 {
            let token = Token::generate(TokenKind::Refresh, &rng);
            let text = token.expose();
            assert_eq!(Token::parse(TokenKind::Refresh, text), Some(token.clone()));
            assert_eq!(Token::parse(TokenKind::ClientSecret, text), None);
            assert_eq!(Token::parse(TokenKind::Refresh, &text[..text.len() - 1]), None);
            let mut damaged = text.to_owned().into_bytes();
            damaged[10] = if damaged[10] == b'a' { b'b' } else { b'a' };
            assert_eq!(Token::parse(TokenKind::Refresh, std::str::from_utf8(&damaged).unwrap()), None);
        }
    }

    #[test]
    fn the_text_of_the_same_bits_never_changes() {
        // Computed by another program: a successor that was given before an update is computed again after it.
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
        let token = Token::from_bytes(TokenKind::Refresh, &bytes);
        assert_eq!(token.expose(), "pst_rt_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf0P6S4p");
    }

    #[test]
    fn all_256_bits_survive() {
        let top = Token::from_bytes(TokenKind::Refresh, &[0xff; 32]);
        let below = Token::from_bytes(TokenKind::Refresh, &{
            let mut bytes = [0xff; 32];
            bytes[31] = 0xfe;
            bytes
        });
        assert_ne!(top, below);
        assert_eq!(top.expose().len(), "pst_rt_".len() + BODY + CHECKSUM);
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = Token::generate(TokenKind::Refresh, &SeededRng::new(1));
        assert_eq!(format!("{token:?}"), "pst_rt_…");
    }
}
