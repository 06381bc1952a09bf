//! A message whose id is exchanged for another, and nothing else: what was judged is what goes on, byte for byte, but for the
//! few that keep the calls of one process apart.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Under this name a notification says to which subscription it belongs (MCP 2026-07-28).
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// The members of a message that say to what it belongs.
#[derive(Deserialize)]
pub(super) struct Outline<'a> {
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestId")]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'a RawValue>,
}

impl<'a> Outline<'a> {
    /// Reads it; nothing for what is no JSON object.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn param<T>(&self, pick: impl Fn(Params<'a>) -> Option<T>) -> Option<T> {
        pick(serde_json::from_str(self.params?.get()).ok()?)
    }

    fn meta<T>(&self, pick: impl Fn(Meta<'a>) -> Option<T>) -> Option<T> {
        pick(serde_json::from_str(self.param(|params| params.meta)?.get()).ok()?)
    }

    /// Under which token a request wants to hear how far it is.
    pub(super) fn asks_for_progress(&self) -> Option<&'a RawValue> {
        self.meta(|meta| meta.token)
    }

    /// The token of a notification that says how far a request is.
    pub(super) fn progress_of(&self) -> Option<&'a RawValue> {
        self.param(|params| params.token)
    }

    /// The subscription to which a notification belongs.
    pub(super) fn subscription(&self) -> Option<&'a RawValue> {
        self.params?.get().contains(SUBSCRIPTION).then(|| self.meta(|meta| meta.subscription))?
    }

    /// The request that a notification gives up.
    pub(super) fn gives_up(&self) -> Option<&'a RawValue> {
        self.param(|params| params.request)
    }
}

/// `text` with each of these parts of it exchanged, on one line. A line end inside a message is white space: in a string it
/// is written as an escape (RFC 8259 §7).
pub(super) fn exchanged(text: &str, parts: &[(&RawValue, &str)]) -> String {
    let start = text.as_ptr().addr();
    let mut spans: Vec<_> = parts
        .iter()
        .filter_map(|(part, with)| {
            let at = part.get().as_ptr().addr().checked_sub(start)?;
            Some((at, at + part.get().len(), *with))
        })
        .collect();
    spans.sort_unstable();
    let mut out = String::with_capacity(text.len() + 32);
    let mut from = 0;
    for (at, end, with) in spans {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(with);
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    if out.contains(['\n', '\r']) { out.replace(['\n', '\r'], " ") } else { out }
}

/// What a client can do, as it says when it begins: clients for which this is the same may share a server.
pub(super) fn abilities(initialize: &Outline<'_>) -> String {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, rename = "protocolVersion")]
        version: Option<&'a RawValue>,
        #[serde(borrow)]
        capabilities: Option<&'a RawValue>,
    }
    let said: Option<Said<'_>> = initialize.params.and_then(|params| serde_json::from_str(params.get()).ok());
    let text = |part: Option<&RawValue>| part.map(|part| part.get().to_owned()).unwrap_or_default();
    said.map(|said| format!("{} {}", text(said.version), text(said.capabilities))).unwrap_or_default()
}

/// The result in an answer; nothing where it is an error.
pub(super) fn result_of(answer: &str) -> Option<String> {
    Some(Outline::read(answer)?.result?.get().to_owned())
}

/// Whether an answer says that the method is not known (JSON-RPC 2.0 §5.1).
pub(super) fn is_unknown_method(answer: &str) -> bool {
    #[derive(Deserialize)]
    struct Code {
        code: i64,
    }
    let error = Outline::read(answer).and_then(|outline| outline.error);
    error
        .and_then(|error| serde_json::from_str::<Code>(error.get()).ok())
        .is_some_and(|it| it.code == -32_601)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_call_changes() {
        let text = "{\"jsonrpc\": \"2.0\",\n \"id\":7, \"method\":\"tools/call\",\r\n\"params\":{\"_meta\":{\"progressToken\":7,\"x\":1.50},\"arguments\":{\"id\":7,\"t\":\"a\\nb\"}}}";
        let outline = Outline::read(text).unwrap();
        let (id, token) = (outline.id.unwrap(), outline.asks_for_progress().unwrap());
        assert_eq!(
            exchanged(text, &[(token, "90"), (id, "90")]),
            r#"{"jsonrpc": "2.0",  "id":90, "method":"tools/call",  "params":{"_meta":{"progressToken":90,"x":1.50},"arguments":{"id":7,"t":"a\nb"}}}"#
        );
    }

    #[test]
    fn notifications_say_what_they_are_about() {
        let read = |text: &'static str| Outline::read(text).unwrap();
        let progress =
            read(r#"{"method":"notifications/progress","params":{"progressToken":3,"progress":1}}"#);
        assert_eq!(progress.progress_of().unwrap().get(), "3");
        let cancelled = read(r#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#);
        assert_eq!(cancelled.gives_up().unwrap().get(), "\"a\"");
        let listed = read(
            r#"{"method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":4}}}"#,
        );
        assert_eq!(listed.subscription().unwrap().get(), "4");
        assert!(read(r#"{"method":"a"}"#).subscription().is_none());
        assert!(Outline::read("listening on port 3").is_none());
    }
}
