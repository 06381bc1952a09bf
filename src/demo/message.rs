//! What a JSON-RPC body asks for, read strictly, so that the scope is decided on what will be done and nothing slips past
//! in a batch, a repeated member or a body that two readers understand differently.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{READ, WRITE};
use crate::types::scope::ScopeSet;

/// What one message asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// `tools/call` of the tool with this name.
    ToolCall(String),
    /// Any other method.
    Method(String),
    /// An answer, which asks for nothing.
    Answer,
}

impl Message {
    /// Reads one body.
    ///
    /// # Errors
    /// A JSON-RPC error code and a sentence.
    pub(super) fn read(body: &[u8]) -> Result<Self, (i32, &'static str)> {
        match first(body) {
            Some(b'{') => {}
            Some(b'[') => {
                return Err((-32_600, "batches are not part of this protocol; send one message a request"));
            }
            _ => return Err((-32_700, "the body is not a JSON object")),
        }
        let envelope: Envelope = serde_json::from_slice(body)
            .map_err(|_| (-32_700, "the body is not JSON, or has a member twice or of the wrong type"))?;
        let Some(method) = envelope.method else { return Ok(Self::Answer) };
        if method != "tools/call" {
            return Ok(Self::Method(method));
        }
        let wrong = (-32_602, "tools/call needs params with the name of one tool");
        let params = envelope.params.map(RawValue::get).ok_or(wrong)?;
        if first(params.as_bytes()) != Some(b'{') {
            return Err(wrong);
        }
        let call: Call = serde_json::from_str(params).map_err(|_| wrong)?;
        Ok(Self::ToolCall(call.name))
    }

    /// The tool or the method, for the log; a name that is long for one is cut.
    pub(super) fn name(&self) -> &str {
        let name = match self {
            Self::ToolCall(name) | Self::Method(name) => name,
            Self::Answer => "an answer",
        };
        name.char_indices().nth(64).map_or(name, |(end, _)| name.split_at(end).0)
    }

    /// The scopes that the operation needs. A tool that does not exist needs none: it answers with an error.
    pub(super) fn needs(&self) -> ScopeSet {
        match self {
            Self::ToolCall(name) => tool_needs(name),
            Self::Method(_) | Self::Answer => ScopeSet::default(),
        }
    }

    /// The scopes that a client without them should ask for. Writing asks for reading too: a notebook that one can
    /// write and not read is of no use, and all that an operation needs is to be asked for at once.
    pub(super) fn asks(&self) -> ScopeSet {
        let mut ask = self.needs();
        if ask.contains(WRITE) {
            ask.insert(READ);
        }
        ask
    }
}

/// The scopes that a tool needs; the tool itself checks the same again.
pub(super) fn tool_needs(name: &str) -> ScopeSet {
    match name {
        "whoami" | "note_list" => ScopeSet::from_iter([READ]),
        "note_add" => ScopeSet::from_iter([WRITE]),
        _ => ScopeSet::default(),
    }
}

// serde's derive refuses a member that is there twice, but would take an array for a struct: see `first`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    method: Option<String>,
    #[serde(default, borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call {
    name: String,
}

fn first(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_what_is_asked_for() {
        let call = |body: &str| Message::read(body.as_bytes());
        let tool = |name: &str| Ok(Message::ToolCall(name.to_owned()));
        assert_eq!(call(r#"{"method":"tools/call","params":{"name":"note_add"}}"#), tool("note_add"));
        assert_eq!(
            call(r#" {"params":{"arguments":{"name":"whoami"},"name":"note_add"},"method":"tools/call"}"#),
            tool("note_add")
        );
        assert_eq!(
            call(r#"{"\u006dethod":"tools\/c\u0061ll","params":{"n\u0061me":"note\u005fadd"}}"#),
            tool("note_add")
        );
        assert_eq!(call(r#"{"method":"tools/list"}"#), Ok(Message::Method("tools/list".to_owned())));
        assert_eq!(call(r#"{"id":1,"result":{}}"#), Ok(Message::Answer));
    }

    #[test]
    fn refuses_what_two_readers_could_understand_differently() {
        for (body, code) in [
            ("", -32_700),
            ("nonsense", -32_700),
            ("\"tools/call\"", -32_700),
            ("{\"method\":\"tools/call\"", -32_700),
            ("{\"method\":\"tools/list\"} {\"method\":\"tools/call\"}", -32_700),
            (r#"[{"method":"tools/call","params":{"name":"note_add"}}]"#, -32_600),
            (r#"["tools/call",{"name":"note_add"}]"#, -32_600),
            (r#"{"method":"tools/list","method":"tools/call"}"#, -32_700),
            (r#"{"method":"tools/list","m\u0065thod":"tools/call"}"#, -32_700),
            (r#"{"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}"#, -32_700),
            (r#"{"method":1}"#, -32_700),
            (r#"{"method":"tools/call"}"#, -32_602),
            (r#"{"method":"tools/call","params":null}"#, -32_602),
            (r#"{"method":"tools/call","params":["note_add"]}"#, -32_602),
            (r#"{"method":"tools/call","params":{"name":"whoami","name":"note_add"}}"#, -32_602),
            (r#"{"method":"tools/call","params":{"name":["note_add"]}}"#, -32_602),
        ] {
            assert_eq!(Message::read(body.as_bytes()).map_err(|(code, _)| code), Err(code), "{body}");
        }
    }

    #[test]
    fn writing_asks_for_reading_too() {
        let add = Message::ToolCall("note_add".to_owned());
        assert_eq!(add.needs().to_string(), "notes:write");
        assert_eq!(add.asks().to_string(), "notes:read notes:write");
    }
}
