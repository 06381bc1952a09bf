//! Reading JSON so that every reader reads the same. Decoders differ in what they make of a member that is named twice, or of
//! names that differ in case alone; what they could differ on is refused, so that what is judged here is what is understood
//! there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::types::policy::MAX_CALL_DEPTH;

/// How deep names that differ in case alone are refused: the message, its parameters, and what is policed in them. Further
/// down, members are data, and their names the tool's own.
const POLICED: usize = 3;

/// The members that a message and its parameters may be judged by.
const KNOWN: [&str; 16] = [
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "arguments",
    "_meta",
    "ref",
    "cursor",
    "requestState",
    "inputResponses",
    "taskId",
    "protocolVersion",
];

/// The same as the most lenient decoder compares them.
static FOLDED: LazyLock<Vec<(String, &str)>> =
    LazyLock::new(|| KNOWN.iter().map(|name| (fold(name).into_owned(), *name)).collect());

/// Reads a message.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(0).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// A value so many levels down.
struct Strict(usize);

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        if self.0 > MAX_CALL_DEPTH {
            return Err(D::Error::custom("the message is nested too deeply"));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Self(self.0 + 1))? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        // Names that are not in small letters, as the most lenient decoder compares them.
        let mut folded = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if self.0 < POLICED {
                let small = fold(&name);
                if self.0 < 2
                    && !KNOWN.contains(&name.as_str())
                    && let Some((_, known)) = FOLDED.iter().find(|(folded, _)| *folded == small)
                {
                    return Err(A::Error::custom(format!("the member {name:?} could be read as {known:?}")));
                }
                let twice = match small {
                    Cow::Borrowed(small) => folded.contains(small),
                    Cow::Owned(small) => out.contains_key(&small) || !folded.insert(small),
                };
                if twice {
                    return Err(A::Error::custom(format!(
                        "the member {name:?} is there twice but for its case"
                    )));
                }
            }
            match out.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(members.next_value_seed(Self(self.0 + 1))?);
                }
                Entry::Occupied(known) => {
                    return Err(A::Error::custom(format!("the member {:?} is there twice", known.key())));
                }
            }
        }
        Ok(Value::Object(out))
    }
}

/// A name as the most lenient decoder compares it: without case, where two letters outside ASCII count as letters within.
/// Borrowed when that is the name itself.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return name.into();
    }
    name.chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_readers_could_differ_on_is_refused() {
        for text in [
            r#"{"method":"tools/list","method":"tools/call"}"#,
            r#"{"method":"tools/list","Method":"tools/call"}"#,
            r#"{"METHOD":"tools/call"}"#,
            r#"{"params":{"name":"a","Name":"b"}}"#,
            r#"{"params":{"Name":"b"}}"#,
            r#"{"params":{"name":"a","name":"b"}}"#,
            r#"{"params":{"argument\u017f":{}}}"#,
            r#"{"params":{"arguments":{"path":"a","PATH":"b"}}}"#,
            r#"{"params":{"arguments":{"PATH":"b","path":"a"}}}"#,
            r#"{"params":{"arguments":{"Path":"b","PATH":"a"}}}"#,
            r#"{"params":{"arguments":{"\u00c9":"b","\u00e9":"a"}}}"#,
            r#"{"params":{"arguments":{"\u212a":"b","k":"a"}}}"#,
            r#"{"params":{"arguments":{"k":"b","\u212a":"a"}}}"#,
            r#"{"params":{"requeststate":"a"}}"#,
            r#"{"params":{"arguments":{"deep":{"a":{"x":1,"x":2}}}}}"#,
            r#"{"params":{"na\u006de":"a","name":"b"}}"#,
            r#"{"a":1}{"a":2}"#,
            r#"{"a":1} x"#,
            "",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        for text in [
            r#"{"method":"tools/call","params":{"name":"a","arguments":{"m":{"A":1,"a":2}}}}"#,
            r#"[{"method":"a"},{"method":"b"}]"#,
            r#"{"params":{"arguments":{"Name":"x"}}}"#,
        ] {
            assert!(read(text.as_bytes()).is_ok(), "{text}: {:?}", read(text.as_bytes()));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(MAX_CALL_DEPTH).as_bytes()).is_ok());
        assert!(read(nested(MAX_CALL_DEPTH + 1).as_bytes()).is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }
}
