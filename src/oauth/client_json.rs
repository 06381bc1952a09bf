//! The JSON object in which a client describes itself, read strictly.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::oauth::client_metadata::MetadataError;
use crate::oauth::client_text;

/// Reads a JSON object, and refuses a member that is there twice: two readers could see two different clients.
///
/// # Errors
/// [`MetadataError::Metadata`] when the bytes are not one JSON object with distinct names.
pub fn members(body: &[u8]) -> Result<Map<String, Value>, MetadataError> {
    serde_json::from_slice::<Members>(body).map(|members| members.0).map_err(|error| {
        MetadataError::Metadata(format!("this is not a JSON object of client metadata: {error}"))
    })
}

struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut map = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("{} is there twice", client_text::quoted(&name))));
            }
            map.insert(name, value);
        }
        Ok(Members(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_object_with_distinct_names() {
        assert_eq!(members(br#" {"a": 1, "b": null} "#).unwrap().len(), 2);
        for bad in ["", "null", "[]", "7", "\"x\"", "{", "{}{}", r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert_eq!(members(bad.as_bytes()).unwrap_err().code(), "invalid_client_metadata", "{bad}");
        }
        assert!(members(&[b'[', b'{'].repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = members(&bytes);
        }
    }
}
