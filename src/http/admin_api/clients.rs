//! Apps and agents.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::App;
use crate::flow::{client_admin, console};
use crate::storage::console::AppFilter;
use crate::types::admin::Permission;
use crate::types::client::ClientKind;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/clients",
        id: "listClients",
        about: "Apps and agents, by client id.",
        needs: Permission::Read,
        query: &[
            query("search", Kind::Text, "Only those that have this in their id or metadata."),
            LIMIT,
            CURSOR,
        ],
        body: None,
        done: (200, Some(shape::<Rows<App>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/clients",
        id: "addClient",
        about: "Add an app that an administrator vouches for. The secret, where there is one, is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewClient>),
        done: (201, Some(shape::<Map<String, Value>>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/clients/{id}",
        id: "getClient",
        about: "One app. An id that is a URL is percent-encoded.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<App>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/clients/{id}",
        id: "changeClient",
        about: "Switch an app off or on. Approvals stay for the day it is switched on again.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<ClientChange>),
        done: (200, Some(shape::<App>)),
        run: |call| Box::pin(change(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/clients/{id}",
        id: "removeClient",
        about: "Remove an app and everything that rests on it.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
];

/// An app to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewClient {
    /// Members of RFC 7591 §2, such as `client_name`, `redirect_uris`, `grant_types`, `token_endpoint_auth_method`.
    metadata: Map<String, Value>,
    /// Servers that it may reach for itself, by URL.
    #[serde(default)]
    servers: Vec<String>,
}

/// What to change.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ClientChange {
    /// Whether it is switched off.
    disabled: bool,
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let filter = AppFilter {
        part: call.text("search").unwrap_or_default().to_owned(),
        kind: call.named("kind", ClientKind::parse)?,
        off: call.yes_or_no("disabled"),
        approved: call.yes_or_no("approved"),
    };
    let after = call.cursor(|key| Some(key.to_owned()))?.unwrap_or_default();
    let page = console::apps(&call.core, filter, after, call.limit()).await?;
    Answer::of(&Rows::new(page.rows.iter().map(App::of).collect(), page.next))
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let new: NewClient = call.read()?;
    let added = client_admin::add(&call.core, &call.caller, &new.metadata, new.servers).await?;
    Ok(Answer(Some(added)))
}

async fn get(call: Call) -> Result<Answer, Problem> {
    Answer::of(&App::of(&client_admin::find(&call.core, call.part("id")).await?))
}

async fn change(call: Call) -> Result<Answer, Problem> {
    let change: ClientChange = call.read()?;
    let client = client_admin::find(&call.core, call.part("id")).await?;
    let id = client.id.as_str();
    let changed = match (change.disabled, client.disabled_at.is_some()) {
        (true, false) => client_admin::disable(&call.core, &call.caller, id).await?,
        (false, true) => client_admin::enable(&call.core, &call.caller, id).await?,
        _ => client,
    };
    Answer::of(&App::of(&changed))
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    client_admin::remove(&call.core, &call.caller, call.part("id")).await?;
    Ok(Answer::NOTHING)
}
