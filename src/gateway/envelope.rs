//! What a message says, as far as it decides: read from the body alone. Headers that repeat it are compared, never believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::strict;

/// From this revision on a message carries its version itself, and there are no sessions.
const STATELESS: &str = "2026-07-28";
/// Where it does (MCP 2026-07-28, `_meta`).
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What its sender can do (MCP 2026-07-28, `_meta`).
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// Under this name the gateway asks for something in a result, and finds the answer in the call that is made again.
pub(super) const OWN_INPUT: &str = "postern_connect";

/// JSON-RPC 2.0 §5.1, and MCP.
pub(super) mod code {
    pub const PARSE: i64 = -32_700;
    pub const INVALID: i64 = -32_600;
    pub const UNKNOWN_METHOD: i64 = -32_601;
    pub const PARAMS: i64 = -32_602;
    pub const INTERNAL: i64 = -32_603;
    /// Headers and body do not agree.
    pub const HEADERS: i64 = -32_020;
    /// Somebody has to open a link first (MCP 2025-11-25, URL mode elicitation).
    pub const OPEN_A_LINK: i64 = -32_042;
    /// Ours: the gateway does not let it through.
    pub const REFUSED: i64 = -32_001;
}

/// What kind of message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It wants an answer.
    Request,
    /// It wants none.
    Notification,
    /// It answers the server, in revisions that have that.
    Response,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub kind: Kind,
    /// Null where there is none.
    pub id: Value,
    pub method: String,
    /// Of a tool or a prompt.
    pub name: Option<String>,
    /// Of a resource.
    pub uri: Option<String>,
    pub arguments: Value,
    /// What it says of itself beside its parameters; null where there is nothing.
    pub meta: Value,
    /// What a server gave it to bring back, when it is made again (MCP 2026-07-28).
    pub state: Option<Value>,
    /// The revision it carries.
    version: Option<String>,
}

/// Why a message is refused.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub id: Value,
    pub code: i64,
    pub text: String,
}

impl Bad {
    fn new(id: &Value, code: i64, text: impl Into<String>) -> Self {
        Self { id: id.clone(), code, text: text.into() }
    }

    /// A header repeats something else than the body says.
    pub(super) fn differs(id: &Value, header: &str) -> Self {
        Self::new(id, code::HEADERS, format!("The header {header} does not say what the body says"))
    }
}

impl Envelope {
    /// What remains is what an answer is known by.
    pub(super) fn forget_parameters(&mut self) {
        (self.arguments, self.meta, self.state) = (Value::Null, Value::Null, None);
        (self.name, self.uri, self.version) = (None, None, None);
    }

    /// The tool that it calls, where it calls one.
    pub(super) fn tool(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.method == "tools/call")
    }

    /// Reads a message.
    pub(super) fn read(body: &[u8]) -> Result<Self, Bad> {
        let value = strict::read(body).map_err(|why| {
            Bad::new(&Value::Null, code::PARSE, format!("The message cannot be read: {why}"))
        })?;
        let invalid = |id: &Value, text: &str| Bad::new(id, code::INVALID, text);
        let Value::Object(mut members) = value else {
            let text = "The gateway takes one message at a time, a JSON object";
            return Err(invalid(&Value::Null, text));
        };
        let id = members.remove("id");
        let known = id.clone().unwrap_or_default();
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid(&known, "The member jsonrpc has to be \"2.0\""));
        }
        if id.as_ref().is_some_and(|id| !(id.is_string() || id.is_i64() || id.is_u64())) {
            return Err(invalid(&Value::Null, "An id is a string or a whole number"));
        }
        let answers = members.contains_key("result") || members.contains_key("error");
        let Some(method) = members.remove("method") else {
            if answers && id.is_some() {
                return Ok(Self::plain(Kind::Response, known, String::new()));
            }
            return Err(invalid(&known, "The message has no method"));
        };
        let Value::String(method) = method else { return Err(invalid(&known, "A method is a string")) };
        if answers {
            return Err(invalid(&known, "A message with a method has neither result nor error"));
        }
        let kind = if id.is_some() { Kind::Request } else { Kind::Notification };
        let mut out = Self::plain(kind, known, method);
        let mut params = match members.remove("params") {
            None => return Ok(out),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(Bad::new(&out.id, code::PARAMS, "The member params has to be an object")),
        };
        let mut text = |name: &str| match params.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                Err(Bad::new(&out.id, code::PARAMS, format!("The parameter {name} has to be a string")))
            }
        };
        // What these mean to other methods is theirs; those that go by them have strings there.
        if matches!(out.method.as_str(), "tools/call" | "prompts/get") {
            out.name = text("name")?;
        }
        if matches!(out.method.as_str(), "resources/read" | "resources/subscribe" | "resources/unsubscribe") {
            out.uri = text("uri")?;
        }
        out.meta = params.remove("_meta").unwrap_or_default();
        out.version = out.meta.get(VERSION).and_then(Value::as_str).map(str::to_owned);
        out.state = params.remove("requestState");
        out.arguments = params.remove("arguments").unwrap_or_default();
        if out.method == "tools/call" && !(out.arguments.is_object() || out.arguments.is_null()) {
            return Err(Bad::new(&out.id, code::PARAMS, "The arguments of a tool are an object"));
        }
        Ok(out)
    }

    fn plain(kind: Kind, id: Value, method: String) -> Self {
        Self {
            kind,
            id,
            method,
            name: None,
            uri: None,
            arguments: Value::Null,
            meta: Value::Null,
            state: None,
            version: None,
        }
    }

    /// Compares what the headers repeat (MCP 2026-07-28, Standard Request Headers). `header` gives one by name; several of one
    /// name count as a mismatch before this.
    pub(super) fn check(&self, header: impl Fn(&str) -> Option<String>) -> Result<(), Bad> {
        let differs = |name: &str| Err(Bad::differs(&self.id, name));
        if let Some(said) = header("mcp-protocol-version")
            && self.version.as_ref().is_some_and(|version| *version != said)
        {
            return differs("MCP-Protocol-Version");
        }
        if self.kind == Kind::Response {
            return Ok(());
        }
        if header("mcp-method").is_some_and(|said| said != self.method) {
            return differs("Mcp-Method");
        }
        let Some(said) = header("mcp-name") else { return Ok(()) };
        let Some(said) = decoded(&said) else { return differs("Mcp-Name") };
        match self.name.as_ref().or(self.uri.as_ref()) {
            Some(name) if *name == said => Ok(()),
            // To other methods the header means nothing, and goes on as it is.
            None => Ok(()),
            Some(_) => differs("Mcp-Name"),
        }
    }

    /// Whether its sender can be asked, in the result, to open a link (MCP 2026-07-28, URL mode elicitation). Results of other
    /// methods cannot ask.
    pub(super) fn may_be_asked(&self) -> bool {
        matches!(self.method.as_str(), "tools/call" | "prompts/get" | "resources/read")
            && self.meta.get(CAPABILITIES).and_then(|can| can.pointer("/elicitation/url")).is_some()
    }

    /// A message without the answer to what the gateway asked: that is not for the server. `None` when there is none in it.
    pub(super) fn without_own_input(body: &[u8]) -> Option<Vec<u8>> {
        memchr::memmem::find(body, OWN_INPUT.as_bytes())?;
        let mut message = strict::read(body).ok()?;
        let params = message.get_mut("params")?.as_object_mut()?;
        let inputs = params.get_mut("inputResponses")?.as_object_mut()?;
        inputs.remove(OWN_INPUT)?;
        if inputs.is_empty() {
            params.remove("inputResponses");
        }
        serde_json::to_vec(&message).ok()
    }

    /// The revision that it is of, as its client says; `header` is what the header says.
    pub(super) fn revision<'a>(&'a self, header: Option<&'a str>) -> Option<&'a str> {
        self.version.as_deref().or(header)
    }

    /// Whether it is of a revision that has no sessions.
    pub(super) fn is_stateless(&self, header: Option<&str>) -> bool {
        self.revision(header).is_some_and(|version| version >= STATELESS)
    }
}

/// A header's value that may be wrapped because it is not plain ASCII.
pub(super) fn decoded(text: &str) -> Option<String> {
    let wrapped = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    match wrapped {
        None => Some(text.to_owned()),
        Some(inner) => String::from_utf8(STANDARD.decode(inner).ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Envelope {
        Envelope::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_message_is_read_from_its_body() {
        let call = read(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"add","arguments":{"a":1}}}"#,
        );
        assert_eq!((call.kind, call.name.as_deref(), call.id), (Kind::Request, Some("add"), Value::from(7)));
        let note = read(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert_eq!(note.kind, Kind::Notification);
        let reply =
            read(r#"{"jsonrpc":"2.0","id":"s1","result":{"roots":[{"uri":"file:///x","name":"x"}]}}"#);
        assert_eq!(reply.kind, Kind::Response);
        for bad in [
            r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call"}]"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":["ping"]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["a"]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[1]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#,
        ] {
            assert!(Envelope::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn headers_have_to_say_what_the_body_says() {
        let call = read(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"grün","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        let with = |pairs: &[(&str, &str)]| {
            call.check(|name| pairs.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned()))
        };
        assert!(with(&[]).is_ok());
        assert!(with(&[("mcp-method", "tools/call"), ("mcp-name", "=?base64?Z3LDvG4=?=")]).is_ok());
        for wrong in [
            ("mcp-method", "tools/list"),
            ("mcp-name", "other"),
            ("mcp-name", "=?base64?!?="),
            ("mcp-protocol-version", "2025-11-25"),
        ] {
            assert_eq!(with(&[wrong]).unwrap_err().code, code::HEADERS, "{wrong:?}");
        }
        assert!(
            call.is_stateless(None)
                && !read(r#"{"jsonrpc":"2.0","method":"a"}"#).is_stateless(Some("2025-11-25"))
        );
    }
}
