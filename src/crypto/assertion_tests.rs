use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jwk::alg::ed::EdCurve;
use josekit::jws::{ES256, EdDSA, HS256, JwsSigner, PS256, RS256};
use proptest::prelude::*;
use serde_json::json;

use super::*;

static EC: LazyLock<Jwk> = LazyLock::new(|| Jwk::generate_ec_key(EcCurve::P256).unwrap());
static OTHER_EC: LazyLock<Jwk> = LazyLock::new(|| Jwk::generate_ec_key(EcCurve::P256).unwrap());
static RSA: LazyLock<Jwk> = LazyLock::new(|| Jwk::generate_rsa_key(2_048).unwrap());
static ED: LazyLock<Jwk> = LazyLock::new(|| Jwk::generate_ed_key(EdCurve::Ed25519).unwrap());

fn signer(alg: &str) -> Box<dyn JwsSigner> {
    match alg {
        "ES256" => Box::new(ES256.signer_from_jwk(&EC).unwrap()),
        "RS256" => Box::new(RS256.signer_from_jwk(&RSA).unwrap()),
        "PS256" => Box::new(PS256.signer_from_jwk(&RSA).unwrap()),
        _ => Box::new(EdDSA.signer_from_jwk(&ED).unwrap()),
    }
}

/// The public half with other members put over it.
fn public(jwk: &Jwk, over: Value) -> Value {
    let mut map = jwk.to_public_key().unwrap().as_ref().clone();
    map.extend(over.as_object().unwrap().clone());
    Value::Object(map)
}

fn set(keys: &[Value]) -> Value {
    json!({ "keys": keys })
}

fn full_set() -> Value {
    set(&[
        public(&EC, json!({"kid": "ec"})),
        public(&RSA, json!({"kid": "rsa"})),
        public(&ED, json!({"kid": "ed"})),
    ])
}

fn claims() -> Value {
    json!({"iss": "c", "sub": "c", "aud": "https://i", "exp": 1_800_000_060, "iat": 1_800_000_000, "jti": "1"})
}

fn token(alg: &str, header: &Value, claims: &Value) -> String {
    raw(alg, &header.to_string(), &claims.to_string())
}

fn raw(alg: &str, header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = signer(alg).sign(message.as_bytes()).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn judge(token: &str, jwks: &Value) -> Result<Assertion, AssertionError> {
    verify(token, jwks, &ASSERTION_ALGS)
}

#[test]
fn every_algorithm_is_verified_with_and_without_a_key_name() {
    for (alg, kid) in [("ES256", "ec"), ("RS256", "rsa"), ("PS256", "rsa"), ("EdDSA", "ed")] {
        for header in [json!({"alg": alg}), json!({"alg": alg, "kid": kid, "typ": "JWT"})] {
            let token = token(alg, &header, &claims());
            let read = judge(&token, &full_set()).unwrap();
            assert_eq!((read.alg.as_str(), read.sub.as_str(), read.jti.as_str()), (alg, "c", "1"));
            assert_eq!(read.aud, ["https://i"]);
            assert_eq!(read.exp, Timestamp::from_seconds(1_800_000_060));
            assert_eq!((read.iat, read.nbf), (Some(Timestamp::from_seconds(1_800_000_000)), None));
            assert_eq!(read.kid.as_deref(), header["kid"].as_str());
            assert_eq!(verify(&token, &full_set(), &["none"]), Err(AssertionError::WrongAlgorithm));
            let peeked = Peek { alg: alg.to_owned(), kid: read.kid, sub: "c".to_owned() };
            assert_eq!(peek(&token), Some(peeked));
        }
    }
}

#[test]
fn an_algorithm_outside_the_list_is_refused_even_when_the_list_names_it() {
    let text = full_set().to_string();
    let everything = ["none", "HS256", "ES384", "RS1", "ES256", "RS256", "PS256", "EdDSA"];
    for alg in ["none", "None", "HS256", "ES384", "RS1", ""] {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "ec"}).to_string()),
            URL_SAFE_NO_PAD.encode(claims().to_string())
        );
        let keyed = HS256.signer_from_bytes(&text).unwrap().sign(message.as_bytes()).unwrap();
        for token in [format!("{message}."), format!("{message}.{}", URL_SAFE_NO_PAD.encode(keyed))] {
            assert_eq!(
                verify(&token, &full_set(), &everything),
                Err(AssertionError::WrongAlgorithm),
                "{alg}"
            );
        }
    }
    let token = token("PS256", &json!({"alg": "PS256"}), &claims());
    assert_eq!(verify(&token, &full_set(), &["RS256"]), Err(AssertionError::WrongAlgorithm));
}

#[test]
fn the_header_cannot_switch_the_algorithm_of_the_key() {
    for (signed, claimed) in [("RS256", "PS256"), ("PS256", "RS256")] {
        let token = token(signed, &json!({"alg": claimed}), &claims());
        assert_eq!(judge(&token, &full_set()), Err(AssertionError::BadSignature));
    }
    for (signed, claimed, kid) in
        [("RS256", "ES256", "rsa"), ("ES256", "EdDSA", "ec"), ("EdDSA", "RS256", "ed")]
    {
        let token = token(signed, &json!({"alg": claimed, "kid": kid}), &claims());
        assert_eq!(judge(&token, &full_set()), Err(AssertionError::NoKey));
    }
}

#[test]
fn the_keys_own_members_are_respected() {
    let token = token("RS256", &json!({"alg": "RS256", "kid": "a"}), &claims());
    for good in [
        json!({}),
        json!({"kid": "a"}),
        json!({"alg": "RS256"}),
        json!({"use": "sig"}),
        json!({"key_ops": ["verify"]}),
    ] {
        assert!(judge(&token, &set(&[public(&RSA, good.clone())])).is_ok(), "{good}");
    }
    for bad in [
        json!({"kid": "b"}),
        json!({"kid": 7}),
        json!({"alg": "PS256"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": "verify"}),
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"d": "AAAA"}),
        json!({"n": "AAAA"}),
    ] {
        assert_eq!(judge(&token, &set(&[public(&RSA, bad.clone())])), Err(AssertionError::NoKey), "{bad}");
    }
}

#[test]
fn another_key_of_the_same_name_does_not_hide_the_right_one() {
    let token = token("ES256", &json!({"alg": "ES256", "kid": "a"}), &claims());
    let (wrong, right) = (public(&OTHER_EC, json!({"kid": "a"})), public(&EC, json!({"kid": "a"})));
    assert_eq!(judge(&token, &set(std::slice::from_ref(&wrong))), Err(AssertionError::BadSignature));
    assert!(judge(&token, &set(&[wrong, right])).is_ok());
}

#[test]
fn a_token_for_another_purpose_is_no_assertion() {
    for typ in [json!("at+jwt"), json!("dpop+jwt"), json!("logout+jwt"), json!(""), json!(7), json!(null)] {
        let token = token("ES256", &json!({"alg": "ES256", "typ": typ}), &claims());
        assert_eq!(judge(&token, &full_set()), Err(AssertionError::WrongType), "{typ}");
    }
    for typ in ["jwt", "application/JWT", "client-authentication+jwt"] {
        let token = token("ES256", &json!({"alg": "ES256", "typ": typ}), &claims());
        assert!(judge(&token, &full_set()).is_ok(), "{typ}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    for header in [
        "{}",
        r#"{"alg":7}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":7}"#,
        r#"{"alg":"ES256","crit":["exp"]}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"ES256","b64":true}"#,
    ] {
        let token = raw("ES256", header, &claims().to_string());
        assert_eq!(judge(&token, &full_set()), Err(AssertionError::Malformed), "{header}");
    }
    let jwk = public(&OTHER_EC, json!({}));
    let token = token(
        "ES256",
        &json!({"alg": "ES256", "jwk": jwk, "jku": "https://e/k", "x5u": "https://e"}),
        &claims(),
    );
    assert_eq!(judge(&token, &set(&[jwk])), Err(AssertionError::BadSignature));
}

#[test]
fn claims_must_be_there_and_sensible() {
    let header = json!({"alg": "ES256"});
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let mut lacking = claims();
        lacking.as_object_mut().unwrap().remove(name);
        assert_eq!(
            judge(&token("ES256", &header, &lacking), &full_set()),
            Err(AssertionError::Claims),
            "{name}"
        );
    }
    for (name, value) in [
        ("iss", json!("")),
        ("sub", json!(["c"])),
        ("sub", json!("a\nb")),
        ("aud", json!([])),
        ("aud", json!(["a", 1])),
        ("aud", json!({})),
        ("aud", json!(vec!["a"; 17])),
        ("jti", json!("")),
        ("jti", json!("x".repeat(1_025))),
        ("jti", json!(1)),
        ("iat", json!("now")),
        ("nbf", json!(-1)),
        ("nbf", json!(null)),
    ] {
        let mut odd = claims();
        odd[name] = value;
        assert_eq!(judge(&token("ES256", &header, &odd), &full_set()), Err(AssertionError::Claims), "{odd}");
    }
    let mut several = claims();
    several["aud"] = json!(["https://i", "https://i/token"]);
    assert_eq!(judge(&token("ES256", &header, &several), &full_set()).unwrap().aud.len(), 2);
}

#[test]
fn absurd_numbers_are_refused_without_a_panic() {
    for number in ["1e30", "1e19", "18446744073709551615", "-1", "1099511627777", "\"1\"", "1e308"] {
        for name in ["exp", "iat", "nbf"] {
            let mut odd = claims();
            odd[name] = json!("HERE");
            let payload = odd.to_string().replace("\"HERE\"", number);
            let token = raw("ES256", r#"{"alg":"ES256"}"#, &payload);
            assert_eq!(judge(&token, &full_set()), Err(AssertionError::Claims), "{payload}");
        }
    }
}

#[test]
fn a_changed_assertion_fails() {
    let token = token("ES256", &json!({"alg": "ES256"}), &claims());
    for index in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[index] ^= 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(judge(&changed, &full_set()).is_err(), "byte {index}");
        assert!(judge(&token[..index], &full_set()).is_err(), "cut at {index}");
    }
    for odd in [format!("{token}.{token}"), format!("{token}="), format!("{token}é"), String::new()] {
        assert_eq!(judge(&odd, &full_set()), Err(AssertionError::Malformed));
        assert_eq!(peek(&odd), None);
    }
}

#[test]
fn key_sets_are_judged_when_they_are_registered() {
    let good = public(&EC, json!({"kid": "a", "use": "sig"}));
    assert_eq!(check_key_set(&full_set()), Ok(()));
    let others = [good.clone(), json!({"kty": "EC", "crv": "P-521"}), json!({"kty": "AKP"})];
    assert_eq!(check_key_set(&set(&others)), Ok(()));
    assert_eq!(check_key_set(&set(&vec![good.clone(); MAX_CLIENT_KEYS])), Ok(()));
    for bad in [
        json!(null),
        json!([]),
        json!({}),
        json!({"keys": {}}),
        set(&[]),
        set(&[json!("x")]),
        set(&[json!({"kty": "AKP"})]),
        set(&vec![good.clone(); MAX_CLIENT_KEYS + 1]),
        set(&[good.clone(), Value::Object(EC.as_ref().clone())]),
        set(&[good.clone(), Value::Object(RSA.as_ref().clone())]),
        set(&[good.clone(), json!({"kty": "oct", "k": "c2VjcmV0"})]),
        set(&[public(&EC, json!({"use": "enc"}))]),
        set(&[public(&EC, json!({"alg": "ES384"}))]),
        set(&[public(&EC, json!({"kid": 1}))]),
    ] {
        assert!(check_key_set(&bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_panics(text in "\\PC{0,80}", member in "[a-z0-9_]{1,4}", value in "\\PC{0,40}", number in any::<f64>()) {
        let _ = (judge(&text, &full_set()), peek(&text));
        let mut odd = claims();
        odd[member.as_str()] = json!(value);
        odd["exp"] = json!(number);
        let signed = token("ES256", &json!({"alg": "ES256", "x": value}), &odd);
        let _ = (judge(&signed, &full_set()), peek(&signed));
        for name in [member.as_str(), "kty", "crv", "x", "y", "n", "e", "alg", "use", "kid"] {
            for key in [&*EC, &*RSA, &*ED] {
                let jwks = set(&[public(key, json!({name: value}))]);
                let _ = (check_key_set(&jwks), judge(&signed, &jwks));
            }
        }
    }
}
