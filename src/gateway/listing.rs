//! Lists that come back: what the caller may not call is not shown, and nobody keeps somebody else's list.

use serde_json::Value;

use crate::flow::gateway::{Ask, Pass, Route, Verdict, judge};
use crate::types::policy::MAX_LIST_AGE;

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
