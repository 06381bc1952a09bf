//! Which arguments of calls stand in the audit log as they are. Of all the others it holds a keyed digest.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call_rule::collect;

/// Longest text of an argument that is kept, in characters.
const LONGEST: usize = 200;
/// Most values of one argument that are kept.
const MOST: usize = 20;

/// An argument, written as a path of members (`amount`, `items.*.id`), maybe followed by `tool NAME`: then it is kept of calls
/// of this tool only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeptArgument {
    path: Vec<String>,
    tool: Option<String>,
}

/// How it is written, for messages and documents.
pub const KEPT_ARGUMENT_FORM: &str = "PATH, and maybe tool NAME: 'amount tool transfer'";

impl KeptArgument {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} names no argument; expected {KEPT_ARGUMENT_FORM}");
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (path, tool) = match words.as_slice() {
            [path] => (*path, None),
            [path, "tool", name] if name.len() <= 128 => (*path, Some((*name).to_owned())),
            _ => return Err(bad()),
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) || text.len() > 512 {
            return Err(bad());
        }
        Ok(Self { path, tool })
    }
}

/// What is kept of a call's arguments, by how it was named; nothing where nothing is there.
#[must_use]
pub fn kept(of: &[KeptArgument], tool: Option<&str>, arguments: &Value) -> Map<String, Value> {
    let mut all = Map::new();
    for wanted in of.iter().filter(|one| one.tool.as_deref().is_none_or(|mine| tool == Some(mine))) {
        let mut found = Vec::new();
        collect(arguments, &wanted.path, &mut found);
        let several = wanted.path.iter().any(|part| part == "*");
        let mut values = found.into_iter().take(MOST).map(short);
        let value = if several { Some(values.collect()) } else { values.next() };
        if let Some(value) = value.filter(|value| *value != Value::Array(Vec::new())) {
            all.insert(wanted.path.join("."), value);
        }
    }
    all
}

/// A value, cut to length; what has parts is kept as its text.
fn short(value: &Value) -> Value {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        other => return other.clone(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

impl TryFrom<String> for KeptArgument {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<KeptArgument> for String {
    fn from(kept: KeptArgument) -> Self {
        kept.to_string()
    }
}

impl fmt::Display for KeptArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path.join("."))?;
        self.tool.as_ref().map_or(Ok(()), |tool| write!(f, " tool {tool}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_named_is_kept_and_nothing_else() {
        let of: Vec<KeptArgument> = ["amount", "items.*.id", "note tool transfer", "to.name", "to", "gone"]
            .map(|text| KeptArgument::parse(text).unwrap())
            .to_vec();
        let arguments = json!({
            "amount": 500, "password": "hunter2", "note": "ä".repeat(300), "items": [{"id": 1}, {"id": "b"}, {}],
            "to": {"name": "Ada", "iban": "X"},
        });
        let all = Value::Object(kept(&of, Some("transfer"), &arguments));
        assert_eq!(
            all,
            json!({
                "amount": 500, "items.*.id": [1, "b"], "note": format!("{}…", "ä".repeat(200)), "to.name": "Ada",
                "to": "{\"name\":\"Ada\",\"iban\":\"X\"}",
            })
        );
        let all = kept(&of, Some("other"), &arguments);
        assert!(!all.contains_key("note") && all.contains_key("amount"));
        assert!(kept(&of, None, &Value::Null).is_empty());
    }

    #[test]
    fn what_is_no_argument_says_what_was_expected() {
        for bad in ["", "a..b", ".a", "a tool", "a tool b c", "a b", &"a".repeat(600)] {
            assert!(KeptArgument::parse(bad).unwrap_err().contains("expected"), "{bad}");
        }
        assert_eq!(KeptArgument::parse(" a.b  tool t").unwrap().to_string(), "a.b tool t");
    }
}
