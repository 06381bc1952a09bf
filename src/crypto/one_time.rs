//! One-time codes of authenticator apps (RFC 6238) as every such app makes them: SHA-1, six digits, thirty seconds.

use totp_rs::{Builder, Secret as Shared, Totp};

use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Bytes of a shared secret (RFC 4226 §4 asks for 160 bits).
pub const SECRET_BYTES: usize = 20;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The time step whose code this is, one before or after the present one included (RFC 6238 §5.2).
#[must_use]
pub fn step_of(secret: &Secret<[u8; SECRET_BYTES]>, code: &str, now: Timestamp) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let step = totp(secret)?.check(&code, seconds(now))?;
    i64::try_from(step).ok()
}

/// The code of the present time step.
#[must_use]
pub fn code_at(secret: &Secret<[u8; SECRET_BYTES]>, now: Timestamp) -> Option<String> {
    Some(totp(secret)?.generate(seconds(now)).to_string())
}

/// Base 32 without padding (RFC 4648 §6), as authenticator apps and recovery codes want it.
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    let (mut text, mut held, mut bits) = (String::new(), 0u32, 0u32);
    for byte in bytes {
        held = (held << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            push(&mut text, held >> bits);
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        push(&mut text, held << (5 - bits));
    }
    text
}

fn push(text: &mut String, value: u32) {
    let place = usize::try_from(value & 31).unwrap_or(0);
    text.extend(ALPHABET.get(place).map(|byte| char::from(*byte)));
}

fn totp(secret: &Secret<[u8; SECRET_BYTES]>) -> Option<Totp> {
    Builder::new().with_secret(Shared::new_stack(*secret.expose())).build().ok()
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.seconds()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238 appendix B, the last six digits.
        let secret = Secret::new(*b"12345678901234567890");
        for (at, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (2_000_000_000, "279037")]
        {
            let now = Timestamp::from_seconds(at);
            assert_eq!(code_at(&secret, now).unwrap(), code);
            assert_eq!(step_of(&secret, code, now), Some(at / 30));
            let later = now.plus(Duration::from_secs(30));
            assert_eq!(step_of(&secret, &format!("{} {}", &code[..3], &code[3..]), later), Some(at / 30));
            assert_eq!(step_of(&secret, code, now.plus(Duration::from_secs(60))), None);
        }
        for bad in ["", "28708", "2870822", "28708a", "٢٨٧٠٨٢"] {
            assert_eq!(step_of(&secret, bad, Timestamp::from_seconds(59)), None, "{bad}");
        }
    }

    #[test]
    fn base_32_is_that_of_the_rfc() {
        for (bytes, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
