use std::sync::LazyLock;
use std::time::Duration;

use josekit::jws::{HS256, JwsSigner as _};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::crypto::seal::MasterKey;
use crate::types::access_token::{
    ACCESS_TOKEN_TYPE, AccessTokenClaims, STATUS_LIST_TYPE, Status, StatusReference,
};
use crate::types::client::ClientId;
use crate::types::id::{GrantId, TokenId};
use crate::types::random::SeededRng;
use crate::types::scope::ScopeSet;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn master() -> Roots {
    Roots::of(MasterKey::generate(&SeededRng::new(1)))
}

fn make(alg: SigningAlg, activates_at: Timestamp) -> SigningKey {
    generate(alg, NOW, activates_at, &master(), &SeededRng::new(2)).unwrap()
}

/// One key of each algorithm; RSA keys are slow to make, so the tests share them.
static RECORDS: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| SigningAlg::ALL.into_iter().map(|alg| make(alg, NOW)).collect());

fn ring() -> KeyRing {
    KeyRing::open(&RECORDS, &master()).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://i", "sub": "u", "iat": NOW.seconds(), "exp": NOW.plus(HOUR).seconds()})
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with any header and payload text, signed with our own key of `alg`: what only a mistake of ours could make.
fn forge(ring: &KeyRing, alg: SigningAlg, header: &str, payload: &str) -> String {
    let key = ring.signing_key(alg, NOW).unwrap();
    let mut token = format!("{}.{}", encode(header), encode(payload));
    key.signer.seal(&mut token).unwrap();
    token
}

fn header(ring: &KeyRing, alg: SigningAlg) -> String {
    let kid = &ring.signing_key(alg, NOW).unwrap().kid;
    format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{kid}"}}"#, alg.as_str())
}

#[test]
fn every_algorithm_signs_and_verifies() {
    let ring = ring();
    assert_eq!(ring.algs(), SigningAlg::ALL);
    for alg in SigningAlg::ALL {
        let token = ring.sign(alg, "at+jwt", &claims(), NOW).unwrap();
        assert_eq!(Value::Object(ring.verify(&token, "at+jwt", NOW).unwrap()), claims());
        let key = ring.signing_key(alg, NOW).unwrap();
        let head = Compact::parse(&token).unwrap().header;
        assert_eq!(Value::Object(head), json!({"alg": alg.as_str(), "typ": "at+jwt", "kid": key.kid}));
    }
}

#[test]
fn many_signatures_all_verify() {
    // The halves of an ECDSA signature have leading zeros in one of 128 cases; each must survive the encoding.
    let ring = ring();
    for count in 0..600 {
        let token = ring.sign(SigningAlg::ES256, "at+jwt", &claims(), NOW).unwrap();
        assert!(ring.verify(&token, "at+jwt", NOW).is_ok(), "{count}");
    }
}

#[test]
fn access_token_claims_read_back() {
    let ring = ring();
    let random = SeededRng::new(3);
    let claims = AccessTokenClaims {
        iss: "https://i".to_owned(),
        sub: "u".to_owned(),
        aud: "https://r/mcp".to_owned(),
        exp: NOW.plus(HOUR).seconds(),
        iat: NOW.seconds(),
        jti: TokenId::new(NOW, &random),
        client_id: ClientId::generate(&random),
        scope: ScopeSet::parse("a b").unwrap(),
        grant_id: GrantId::new(NOW, &random),
        auth_time: Some(NOW.seconds()),
        acr: None,
        amr: Vec::new(),
        status: Status {
            status_list: StatusReference { idx: 7, uri: "https://i/status-lists/0".to_owned() },
        },
    };
    let token = ring.sign(SigningAlg::ES256, ACCESS_TOKEN_TYPE, &claims, NOW).unwrap();
    let map = ring.verify(&token, ACCESS_TOKEN_TYPE, NOW).unwrap();
    assert_eq!(AccessTokenClaims::read(map.clone()), Some(claims));
    for name in ["aud", "jti", "client_id", "scope", "grant_id", "status", "sub"] {
        for wrong in
            [None, Some(json!(7)), Some(json!(["x"])), Some(json!({"status_list": {"idx": -1, "uri": ""}}))]
        {
            let mut map = map.clone();
            map.remove(name);
            map.extend(wrong.map(|value| (name.to_owned(), value)));
            assert_eq!(AccessTokenClaims::read(map), None, "{name}");
        }
    }
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let ring = ring();
    let token = ring.sign(SigningAlg::ES256, STATUS_LIST_TYPE, &claims(), NOW).unwrap();
    assert_eq!(ring.verify(&token, ACCESS_TOKEN_TYPE, NOW), Err(TokenError::WrongType));
    let kid = &ring.signing_key(SigningAlg::ES256, NOW).unwrap().kid;
    for typ in ["", r#","typ":"JWT""#, r#","typ":"AT+JWT""#, r#","typ":["at+jwt"]"#, r#","typ":null"#] {
        let header = format!(r#"{{"alg":"ES256","kid":"{kid}"{typ}}}"#);
        let token = forge(&ring, SigningAlg::ES256, &header, &claims().to_string());
        assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::WrongType), "{typ}");
    }
}

#[test]
fn the_key_decides_the_algorithm() {
    let ring = ring();
    let payload = encode(claims().to_string());
    for alg in SigningAlg::ALL {
        let key = ring.signing_key(alg, NOW).unwrap();
        for other in ["none", "None", "", "HS256", "PS256", "RS256", "ES256", "ES384", "EdDSA", "Ed25519"] {
            if other == alg.as_str() {
                continue;
            }
            let header = encode(format!(r#"{{"alg":"{other}","typ":"at+jwt","kid":"{}"}}"#, key.kid));
            let message = format!("{header}.{payload}");
            let unsigned = format!("{message}.");
            let mut signed = message.clone();
            key.signer.seal(&mut signed).unwrap();
            // HMAC keyed with every public text that an attacker can see.
            let public = [ring.jwks(NOW), Value::Object(key.public_jwk.clone()).to_string()];
            let keyed = public.iter().map(|text| {
                let hmac = HS256.signer_from_bytes(text).unwrap();
                format!("{message}.{}", encode(hmac.sign(message.as_bytes()).unwrap()))
            });
            for token in [unsigned, signed].into_iter().chain(keyed) {
                assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::WrongAlgorithm), "{token}");
            }
        }
        let empty = format!("{}.{payload}.", encode(header(&ring, alg)));
        assert_eq!(ring.verify(&empty, "at+jwt", NOW), Err(TokenError::BadSignature));
    }
}

#[test]
fn the_key_id_must_be_that_of_the_signing_key() {
    let ring = ring();
    let stranger = KeyRing::open(&[make(SigningAlg::ES256, NOW)], &master()).unwrap();
    let foreign = stranger.sign(SigningAlg::ES256, "at+jwt", &claims(), NOW).unwrap();
    assert_eq!(ring.verify(&foreign, "at+jwt", NOW), Err(TokenError::UnknownKey));
    // Signed by the stranger, but naming our key.
    let posing =
        forge(&stranger, SigningAlg::ES256, &header(&ring, SigningAlg::ES256), &claims().to_string());
    assert_eq!(ring.verify(&posing, "at+jwt", NOW), Err(TokenError::BadSignature));
    for kid in ["", r#","kid":"""#, r#","kid":null"#, r#","kid":7"#, r#","kid":"../../etc/passwd""#] {
        // A key that the token brings along, or points to, is not looked at.
        let jwk = Value::Object(stranger.keys[0].public_jwk.clone());
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","jwk":{jwk},"jku":"https://e"{kid}}}"#);
        let token = forge(&stranger, SigningAlg::ES256, &header, &claims().to_string());
        assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::UnknownKey), "{kid}");
    }
}

#[test]
fn no_changed_token_verifies() {
    let ring = ring();
    for alg in SigningAlg::ALL {
        let token = ring.sign(alg, "at+jwt", &claims(), NOW).unwrap();
        for index in 0..token.len() {
            assert!(ring.verify(&token[..index], "at+jwt", NOW).is_err(), "cut at {index}");
            // The last character of a part carries unused bits: those must not be free to choose either.
            for bit in [1u8, 2, 4, 8] {
                let mut changed = token.clone().into_bytes();
                changed[index] ^= bit;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                assert!(ring.verify(&changed, "at+jwt", NOW).is_err(), "byte {index} of {alg:?}");
            }
        }
        for odd in [
            format!("{token}A"),
            format!("{token}="),
            format!("{token}=="),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{token}"),
            format!("{token} "),
            format!("{token}\0"),
            format!("{token}\u{200b}"),
            token.replace('.', ".."),
        ] {
            assert!(ring.verify(&odd, "at+jwt", NOW).is_err(), "{odd}");
        }
    }
}

#[test]
fn a_zero_signature_proves_nothing() {
    let ring = ring();
    let message = format!("{}.{}", encode(header(&ring, SigningAlg::ES256)), encode(claims().to_string()));
    let mut order = [0u8; 64];
    order[31] = 1;
    for signature in
        [[0u8; 64].as_slice(), &order, &[0xff; 64], &[0; 63], &[0; 65], &[], &[0x30, 6, 2, 1, 0, 2, 1, 0]]
    {
        let token = format!("{message}.{}", encode(signature));
        assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::BadSignature));
    }
}

#[test]
fn extensions_are_refused() {
    let ring = ring();
    let plain = header(&ring, SigningAlg::ES256);
    for extra in [r#""crit":["b64"],"b64":false"#, r#""crit":[]"#, r#""crit":["exp"]"#, r#""b64":false"#] {
        let header = plain.replacen('{', &format!("{{{extra},"), 1);
        let token = forge(&ring, SigningAlg::ES256, &header, &claims().to_string());
        assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::Malformed), "{extra}");
    }
}

#[test]
fn the_json_serialisations_are_refused() {
    let ring = ring();
    let token = ring.sign(SigningAlg::ES256, "at+jwt", &claims(), NOW).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let flat = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let general =
        json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    for json in [flat, general] {
        assert_eq!(ring.verify(&json.to_string(), "at+jwt", NOW), Err(TokenError::Malformed));
    }
}

#[test]
fn absurd_numbers_are_refused_without_a_panic() {
    let (ring, header) = (ring(), header(&ring(), SigningAlg::ES256));
    for exp in [
        "1e30",
        "1e19",
        "18446744073709551615",
        "-1",
        "-1e30",
        "\"1900000000\"",
        "null",
        "[]",
        "true",
        "{}",
        "1099511627777",
    ] {
        for name in ["exp", "iat"] {
            let mut claims = claims();
            claims[name] = json!(0);
            let payload = claims.to_string().replace(&format!("\"{name}\":0"), &format!("\"{name}\":{exp}"));
            let token = forge(&ring, SigningAlg::ES256, &header, &payload);
            assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::Claims), "{payload}");
        }
    }
    let overflow = claims().to_string().replace(&NOW.plus(HOUR).seconds().to_string(), "1e400");
    let token = forge(&ring, SigningAlg::ES256, &header, &overflow);
    assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::Malformed));
}

#[test]
fn required_claims_are_required_and_repeated_ones_refused() {
    let (ring, header) = (ring(), header(&ring(), SigningAlg::ES256));
    for name in ["iss", "iat", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let token = forge(&ring, SigningAlg::ES256, &header, &claims.to_string());
        assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::Claims), "{name}");
    }
    let twice = claims().to_string().replacen('{', r#"{"exp":9999999999,"#, 1);
    let token = forge(&ring, SigningAlg::ES256, &header, &twice);
    assert_eq!(ring.verify(&token, "at+jwt", NOW), Err(TokenError::Malformed));
}

#[test]
fn a_token_ends_at_its_exp() {
    let ring = ring();
    let token = ring.sign(SigningAlg::ES256, "at+jwt", &claims(), NOW).unwrap();
    let end = NOW.plus(HOUR);
    assert!(ring.verify(&token, "at+jwt", end.minus(Duration::from_micros(1))).is_ok());
    assert_eq!(ring.verify(&token, "at+jwt", end), Err(TokenError::Expired));
}

#[test]
fn the_youngest_active_key_signs_and_a_waiting_one_only_when_alone() {
    let mut old = make(SigningAlg::ES256, NOW);
    let next = make(SigningAlg::ES256, NOW.plus(HOUR));
    let kid_at = |records: &[SigningKey], now| {
        let ring = KeyRing::open(records, &master()).unwrap();
        ring.signing_key(SigningAlg::ES256, now).map(|key| key.kid.clone())
    };
    let both = [old.clone(), next.clone()];
    assert_eq!(kid_at(&both, NOW).as_ref(), Some(&old.kid));
    assert_eq!(kid_at(&both, NOW.plus(HOUR)).as_ref(), Some(&next.kid));
    assert_eq!(kid_at(&both[1..], NOW).as_ref(), Some(&next.kid));
    old.removed_at = Some(NOW.plus(HOUR));
    assert_eq!(kid_at(&[old.clone()], NOW).as_ref(), Some(&old.kid));
    assert_eq!(kid_at(&[old.clone()], NOW.plus(HOUR)), None);
    let ring = KeyRing::open(&[old, next], &master()).unwrap();
    assert!(matches!(ring.sign(SigningAlg::RS256, "x", &claims(), NOW), Err(CryptoError::NoKey("RS256"))));
}

#[test]
fn a_removed_key_leaves_the_set_and_verifies_nothing() {
    let mut record = make(SigningAlg::ES256, NOW);
    record.removed_at = Some(NOW.plus(Duration::from_secs(60)));
    let ring = KeyRing::open(std::slice::from_ref(&record), &master()).unwrap();
    let token = ring.sign(SigningAlg::ES256, "at+jwt", &claims(), NOW).unwrap();
    let after = NOW.plus(Duration::from_secs(60));
    assert!(ring.verify(&token, "at+jwt", NOW).is_ok() && ring.jwks(NOW).contains(&record.kid));
    assert_eq!(ring.verify(&token, "at+jwt", after), Err(TokenError::UnknownKey));
    assert_eq!(ring.jwks(after), r#"{"keys":[]}"#);
}

#[test]
fn the_key_set_is_public() {
    let set: Value = serde_json::from_str(&ring().jwks(NOW)).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3);
    for (key, record) in keys.iter().zip(RECORDS.iter()) {
        assert_eq!(key, &serde_json::from_str::<Value>(&record.public_jwk).unwrap());
        assert_eq!((&key["use"], key["kid"].as_str()), (&json!("sig"), Some(record.kid.as_str())));
        for private in ["d", "p", "q", "dp", "dq", "qi", "k", "oth"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
}

#[test]
fn stored_keys_that_were_tampered_with_do_not_open() {
    let (master, record) = (master(), make(SigningAlg::ES256, NOW));
    let stranger = Roots::of(MasterKey::generate(&SeededRng::new(9)));
    let open = |record: &SigningKey, master| KeyRing::open(std::slice::from_ref(record), master);
    assert!(matches!(open(&record, &stranger), Err(CryptoError::WrongMasterKey(kid)) if kid == record.kid));
    let moved = SigningKey { kid: "other".to_owned(), ..record.clone() };
    assert!(matches!(open(&moved, &master), Err(CryptoError::WrongMasterKey(_))));
    let switched = SigningKey { alg: SigningAlg::EDDSA, ..record.clone() };
    assert!(matches!(open(&switched, &master), Err(CryptoError::DamagedKey(_))));
    let swapped = SigningKey { public_jwk: make(SigningAlg::ES256, NOW).public_jwk, ..record.clone() };
    assert!(open(&swapped, &master).unwrap().jwks(NOW).contains(&record.kid));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn verifying_never_panics(
        text in "\\PC{0,80}",
        header in "\\PC{0,60}",
        payload in "\\PC{0,60}",
        signature in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let ring = ring();
        prop_assert!(ring.verify(&text, "at+jwt", NOW).is_err());
        let good = self::header(&ring, SigningAlg::ES256);
        for header in [&header, &good] {
            let token = format!("{}.{}.{}", encode(header), encode(&payload), encode(&signature));
            prop_assert!(ring.verify(&token, "at+jwt", NOW).is_err());
            let signed = forge(&ring, SigningAlg::ES256, header, &payload);
            prop_assert!(ring.verify(&signed, "at+jwt", NOW).is_err());
        }
    }
}
