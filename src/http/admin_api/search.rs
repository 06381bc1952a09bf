//! One search for everything.

use schemars::JsonSchema;
use serde::Serialize;

use super::operation::{Answer, Call, Kind, Operation, Verb, query, shape};
use super::problem::Problem;
use crate::flow::search::search;
use crate::types::admin::Permission;

pub const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Get,
    path: "/search",
    id: "search",
    about: "Find people, apps, servers, approvals, sign-ins, cuts and audit records: by the beginning of an e-mail address, by name or address, or by id.",
    needs: Permission::Read,
    query: &[query("q", Kind::Text, "What to look for.")],
    body: None,
    done: (200, Some(shape::<Vec<Find>>)),
    run: |call| Box::pin(find(call)),
}];

/// Something that was found.
#[derive(Serialize, JsonSchema)]
struct Find {
    /// What it is: `person`, `client`, `server`, `grant`, `session`, `cut` or `audit_record`.
    kind: &'static str,
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
}

async fn find(call: Call) -> Result<Answer, Problem> {
    let found = search(&call.core, call.text("q").unwrap_or_default()).await?;
    let mut all = Vec::new();
    let mut add = |kind, id: String, name: String| all.push(Find { kind, id, name });
    if let Some(grant) = &found.grant {
        add("grant", grant.id.to_string(), grant.client_id.to_string());
    }
    if let Some(cut) = &found.cut {
        add("cut", cut.id.to_string(), cut.label.clone());
    }
    if let Some((session, whose)) = &found.session {
        let name = whose.as_ref().map_or_else(String::new, |user| user.email.clone());
        add("session", session.id.to_string(), name);
    }
    for user in &found.people {
        add("person", user.id.to_string(), user.email.clone());
    }
    for server in &found.servers {
        add("server", server.id.to_string(), server.name.clone());
    }
    for client in &found.apps {
        add("client", client.id.to_string(), client.display_name());
    }
    for record in &found.records {
        add("audit_record", record.id.to_string(), record.kind.as_str().to_owned());
    }
    Answer::of(&all)
}
