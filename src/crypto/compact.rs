//! The compact serialisation (RFC 7515 §7.1), read strictly: three parts, one spelling, no member twice. The library
//! behind it is asked for one thing only, whether a signature fits a key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::types::policy::MAX_PARAMETER;

/// The largest `NumericDate` that is read, in seconds: far beyond every real one, far below every overflow.
pub(super) const MAX_NUMERIC_DATE: i64 = 1 << 40;

/// A token taken apart, its signature not yet looked at.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    /// The protected header.
    pub(super) header: Map<String, Value>,
    /// The claims.
    pub(super) claims: Map<String, Value>,
    /// What the signature covers.
    pub(super) message: &'a [u8],
    /// The signature.
    pub(super) signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart. `None` when it is longer than [`MAX_PARAMETER`], is not exactly three parts of unpadded
    /// canonical base64url, or holds JSON that is no object or names a member twice (RFC 7515 §4, RFC 7519 §4).
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        if token.len() > MAX_PARAMETER {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        if claims.contains('.') {
            return None;
        }
        Some(Self {
            header: object(&URL_SAFE_NO_PAD.decode(header).ok()?)?,
            claims: object(&URL_SAFE_NO_PAD.decode(claims).ok()?)?,
            message: message.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// A header member that must be a string when it is there.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Whether the header asks for something that must be understood (RFC 7515 §4.1.11); nothing of that kind is.
    /// `b64` (RFC 7797) counts even without `crit`.
    pub(super) fn has_extensions(&self) -> bool {
        self.header.contains_key("crit") || self.header.contains_key("b64")
    }
}

/// A `NumericDate` (RFC 7519 §2) of `claims`: a number from 0 to 2^40, rounded down to seconds.
pub(super) fn numeric_date(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let Value::Number(number) = claims.get(name)? else { return None };
    let seconds = match number.as_i64() {
        Some(whole) => whole,
        None => bounded_floor(number.as_f64()?)?,
    };
    (0..=MAX_NUMERIC_DATE).contains(&seconds).then_some(seconds)
}

#[expect(clippy::cast_possible_truncation, reason = "the range has been checked")]
#[expect(clippy::cast_precision_loss, reason = "2^40 is exact in an f64")]
fn bounded_floor(number: f64) -> Option<i64> {
    (0.0..=MAX_NUMERIC_DATE as f64).contains(&number).then(|| number.floor() as i64)
}

/// One JSON object without a repeated member at any depth.
fn object(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(json).ok()? {
        Strict(Value::Object(map)) => Some(map),
        Strict(_) => None,
    }
}

/// A JSON value whose objects name no member twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = access.next_entry::<String, Strict>()? {
            if map.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a member appears twice"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn reads_the_one_spelling_and_no_other() {
        let good = token(r#"{"alg":"ES256"}"#, r#"{"sub":"x"}"#);
        assert_eq!(Compact::parse(&good).unwrap().claims.get("sub"), Some(&json!("x")));
        let two_parts = good.rsplit_once('.').unwrap().0;
        for bad in [
            String::new(),
            two_parts.to_owned(),
            format!("{good}."),
            format!("{good}.{good}"),
            format!("{good}="),
            format!(" {good}"),
            format!("{good}\n"),
            good.replace('.', "．"),
            format!("{two_parts}.AAB"),
            format!("{two_parts}.AA+A"),
            format!("{two_parts}.AAAAA"),
            r#"{"payload":"e30","signatures":[]}"#.to_owned(),
            token("[]", "{}"),
            token("{}", "1"),
            token("{}", "{}{}"),
            token("{}", "\u{feff}{}"),
            token(r#"{"alg":"ES256","alg":"none"}"#, "{}"),
            token("{}", r#"{"sub":"a","sub":"b"}"#),
            token("{}", r#"{"sub":"a","s\u0075b":"b"}"#),
            token("{}", r#"{"cnf":{"jkt":"a","jkt":"b"}}"#),
            token("{}", r#"{"exp":1e999}"#),
            token("{}", &"[".repeat(4_000)),
            token("{}", &format!(r#"{{"x":"{}"}}"#, "a".repeat(MAX_PARAMETER))),
        ] {
            assert!(Compact::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn dates_are_bounded() {
        let claims = json!({
            "a": 0, "b": 1_700_000_000, "c": 1_700_000_000.9, "d": 1_099_511_627_776_i64,
            "e": -1, "f": 1e30, "g": 1e19, "h": u64::MAX, "i": "1700000000", "j": null, "k": -0.5,
            "l": 1_099_511_627_777_i64, "m": i64::MIN, "n": [1],
        });
        let claims = claims.as_object().unwrap();
        let read: Vec<_> = claims.keys().filter_map(|name| numeric_date(claims, name)).collect();
        assert_eq!(read, [0, 1_700_000_000, 1_700_000_000, 1 << 40]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", header in "\\PC{0,40}", claims in "\\PC{0,40}") {
            let _ = Compact::parse(&text);
            let _ = Compact::parse(&token(&header, &claims));
        }
    }
}
