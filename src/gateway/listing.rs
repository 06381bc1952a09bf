//! Lists that come back: what the caller may not call is not shown, and nobody keeps somebody else's list.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::flow::gateway::{Ask, Pass, Route, Verdict, judge};
use crate::types::policy::MAX_LIST_AGE;

/// The end of a call in which nothing is listed.
pub(super) struct Plain {
    /// What it answers.
    pub id: Value,
    /// How the call ended.
    pub outcome: &'static str,
}

/// Reads a message that answers a request and lists nothing, without taking up what it says: that may be long, and goes on as
/// it came. `None` when it is anything else, or names a member twice: then the whole message has to be looked at.
pub(super) fn plain(text: &[u8]) -> Option<Plain> {
    #[derive(Deserialize)]
    struct Message {
        method: Option<IgnoredAny>,
        id: Option<Value>,
        result: Option<Head>,
    }
    if text.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let message: Message = serde_json::from_slice(text).ok()?;
    let (None, Some(id), false) =
        (message.method, message.id, message.result.as_ref().is_some_and(|head| head.lists))
    else {
        return None;
    };
    let outcome = match message.result {
        None => "rpc_error",
        Some(head) => outcome_of(head.is_error.as_ref(), head.kind.as_ref()),
    };
    Some(Plain { id, outcome })
}

/// How a call ended, by two members of its result.
pub(super) fn outcome_of(is_error: Option<&Value>, kind: Option<&Value>) -> &'static str {
    if is_error == Some(&Value::Bool(true)) {
        "tool_error"
    } else if kind.and_then(Value::as_str) == Some("input_required") {
        "input_required"
    } else {
        "ok"
    }
}

/// What counts of a result.
#[derive(Default)]
struct Head {
    is_error: Option<Value>,
    kind: Option<Value>,
    lists: bool,
}

impl<'de> Deserialize<'de> for Head {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Head;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
                let mut head = Head::default();
                while let Some(name) = map.next_key::<Member>()? {
                    match name {
                        Member::IsError => head.is_error = Some(map.next_value()?),
                        Member::ResultType => head.kind = Some(map.next_value()?),
                        Member::List => {
                            head.lists = true;
                            map.next_value::<IgnoredAny>()?;
                        }
                        Member::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(head)
            }
        }
        from.deserialize_map(Members)
    }
}

/// A member of a result. Names are compared as they are meant, however they are written.
#[derive(Deserialize)]
enum Member {
    #[serde(rename = "isError")]
    IsError,
    #[serde(rename = "resultType")]
    ResultType,
    #[serde(rename = "tools", alias = "prompts", alias = "resources", alias = "resourceTemplates")]
    List,
    #[serde(other)]
    Other,
}

/// The tools in a message from the server, where it lists any.
pub(super) fn tools_in(message: &Value) -> Option<&Vec<Value>> {
    message.get("result")?.get("tools")?.as_array()
}

/// Takes out what the caller may not call; whether anything is different now.
pub(super) fn filter(message: &mut Value, pass: &Pass, route: &Route) -> bool {
    let Some(Value::Object(result)) = message.get_mut("result") else { return false };
    // What waits for somebody's decision may be called, so that it is shown.
    let may = |ask: Ask<'_>| {
        matches!(judge(pass, route, ask, None), Verdict::Allowed(_) | Verdict::NeedsApproval(..))
    };
    let mut is_list = false;
    if let Some(Value::Array(tools)) = result.get_mut("tools") {
        is_list = true;
        tools.retain(|definition| {
            let Some(name) = definition.get("name").and_then(Value::as_str) else { return false };
            // What is shown is the definition that is pinned, and no other.
            route.has_seen(name, definition) && may(Ask::Tool(name))
        });
    }
    for (list, method) in
        // No rule is about a template: it stands for many, of which each is decided when it is read.
        [("prompts", "prompts/get"), ("resources", "resources/read"), ("resourceTemplates", "")]
    {
        if let Some(Value::Array(items)) = result.get_mut(list) {
            is_list = true;
            items.retain(|item| {
                let text = |member: &str| item.get(member).and_then(Value::as_str);
                may(Ask::Read { method, name: text("name").filter(|_| list == "prompts"), uri: text("uri") })
            });
        }
    }
    if !is_list {
        return false;
    }
    if result.contains_key("cacheScope") {
        result.insert("cacheScope".to_owned(), "private".into());
    }
    let most = u64::try_from(MAX_LIST_AGE.as_millis()).unwrap_or(u64::MAX);
    if result.get("ttlMs").and_then(Value::as_u64).is_some_and(|age| age > most) {
        result.insert("ttlMs".to_owned(), most.into());
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<(Value, &'static str)> {
        plain(text.as_bytes()).map(|found| (found.id, found.outcome))
    }

    #[test]
    fn an_answer_that_lists_nothing_is_read_without_the_rest() {
        for (text, id, outcome) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"x"}]}}"#, json!(7), "ok"),
            (r#" {"id":"a","result":{"content":[],"isError":true}}"#, json!("a"), "tool_error"),
            (r#"{"id":1,"result":{"isError":"true","isError":false}}"#, json!(1), "ok"),
            (r#"{"id":1,"result":{"resultType":"input_required"}}"#, json!(1), "input_required"),
            (r#"{"id":1,"result":{"resultType":7}}"#, json!(1), "ok"),
            (r#"{"id":1,"error":{"code":-32602,"message":"m"}}"#, json!(1), "rpc_error"),
            (r#"{"id":1,"result":{"inner":{"tools":[1]},"\u0069sError":true}}"#, json!(1), "tool_error"),
        ] {
            assert_eq!(read(text), Some((id, outcome)), "{text}");
        }
    }

    #[test]
    fn what_may_hold_a_list_is_looked_at_whole() {
        for text in [
            r#"{"id":1,"result":{"tools":[]}}"#,
            r#"{"id":1,"result":{"t\u006fols":[{"name":"secret"}]}}"#,
            r#"{"id":1,"result":{"content":[],"prompts":[]}}"#,
            r#"{"id":1,"result":{"resources":[]}}"#,
            r#"{"id":1,"result":{"resourceTemplates":[]}}"#,
            r#"{"id":1,"result":{},"result":{"tools":[]}}"#,
            r#"{"id":1,"result":{"tools":[]},"result":{}}"#,
            r#"{"id":1,"method":"sampling/createMessage","params":{}}"#,
            r#"{"method":"notifications/progress"}"#,
            r#"{"id":1,"result":[{"tools":[]}]}"#,
            r#"{"id":1,"result":"text"}"#,
            r#"[{"id":1,"result":{"tools":[]}}]"#,
            "[null,1,{}]",
            r#"{"id":1,"result":{}} {"id":1}"#,
            r#"{"id":1"#,
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
