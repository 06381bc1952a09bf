//! Tokens and their headers: whatever is done to a genuine token, what still verifies is that token.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::{Corpus, fuzz_target};
use postern::crypto::assertion;
use postern::crypto::keyring::{KeyRing, generate};
use postern::crypto::roots::Roots;
use postern::crypto::seal::MasterKey;
use postern::types::key::SigningAlg;
use postern::types::policy::ASSERTION_ALGS;
use postern::types::random::SeededRng;
use postern::types::time::Timestamp;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const TYP: &str = "at+jwt";

struct Fixture {
    ring: KeyRing,
    jwks: Value,
    genuine: Vec<String>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let rng = SeededRng::new(7);
    let master = Roots::of(MasterKey::generate(&rng));
    // RSA is left out: its keys take seconds to make without optimization.
    let algs = [SigningAlg::ES256, SigningAlg::EDDSA];
    let records: Vec<_> =
        algs.iter().map(|alg| generate(*alg, NOW, NOW, &master, &rng).expect("a key")).collect();
    let ring = KeyRing::open(&records, &master).expect("our own keys open");
    let claims = json!({"iss": "https://as.example", "sub": "client", "aud": "https://as.example", "jti": "1",
        "iat": NOW.seconds(), "exp": NOW.seconds() + 60});
    let genuine = algs.iter().map(|alg| ring.sign(*alg, TYP, &claims, NOW).expect("it signs")).collect();
    let jwks = serde_json::from_str(&ring.jwks(NOW)).expect("our key set is JSON");
    Fixture { ring, jwks, genuine }
});

// The first byte says what the rest does: be the token, be the header, be the claims, or be edits of the token.
fuzz_target!(|input: &[u8]| -> Corpus {
    let fixture = &*FIXTURE;
    let Some((how, rest)) = input.split_first() else { return Corpus::Reject };
    let genuine = &fixture.genuine[usize::from(how >> 4) % fixture.genuine.len()];
    let mut parts = genuine.splitn(3, '.').map(str::to_owned).collect::<Vec<_>>();
    let token = match how & 3 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => {
            parts[0] = URL_SAFE_NO_PAD.encode(rest);
            parts.join(".")
        }
        2 => {
            parts[1] = URL_SAFE_NO_PAD.encode(rest);
            parts.join(".")
        }
        _ => edited(genuine, rest),
    };
    check(fixture, &token);
    Corpus::Keep
});

fn check(fixture: &Fixture, token: &str) {
    let is_genuine = fixture.genuine.iter().any(|genuine| genuine == token);
    assert_eq!(fixture.ring.verify(token, TYP, NOW).is_ok(), is_genuine, "{token}");
    assert!(fixture.ring.verify(token, "statuslist+jwt", NOW).is_err(), "a token of another kind: {token}");
    let _ = assertion::peek(token);
    // An access token is no client assertion, whoever signed it.
    assert!(assertion::verify(token, &fixture.jwks, &ASSERTION_ALGS).is_err(), "{token}");
}

/// Overwrites, cuts or lengthens: pairs of a position and a byte.
fn edited(genuine: &str, edits: &[u8]) -> String {
    let mut bytes = genuine.as_bytes().to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % (bytes.len() + 1);
        match edit[2] {
            0 => bytes.truncate(at),
            byte if at == bytes.len() => bytes.push(byte),
            byte => bytes[at] = byte,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
