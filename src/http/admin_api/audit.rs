//! The audit log.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::Moment;
use crate::flow::console;
use crate::storage::audit::AuditFilter;
use crate::types::admin::Permission;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::{GrantId, ResourceId, UserId};

pub const OPERATIONS: &[Operation] = &[Operation {
    verb: Verb::Get,
    path: "/audit",
    id: "listAuditRecords",
    about: "Records of the audit log, newest first.",
    needs: Permission::Read,
    query: &[
        query("since", Kind::Moment, "Not before."),
        query("until", Kind::Moment, "Before."),
        query("kind", Kind::OneOf(kinds), "Only of this kind."),
        query("person", Kind::Id, "Only about this person."),
        query("client", Kind::Text, "Only about this app, by client id."),
        query("grant", Kind::Id, "Only about this approval."),
        query("server", Kind::Id, "Only about this server."),
        query("address", Kind::Text, "Only from this network address."),
        LIMIT,
        CURSOR,
    ],
    body: None,
    done: (200, Some(shape::<Rows<Record>>)),
    run: |call| Box::pin(list(call)),
}];

fn kinds() -> Vec<&'static str> {
    AuditKind::ALL.iter().map(|kind| kind.as_str()).collect()
}

/// A record of the audit log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditRecord")]
struct Record {
    /// Its id.
    id: String,
    /// When.
    at: Moment,
    /// What happened.
    kind: &'static str,
    /// The person concerned.
    person_id: Option<String>,
    /// The app concerned.
    client_id: Option<String>,
    /// The approval concerned.
    grant_id: Option<String>,
    /// The server concerned.
    server_id: Option<String>,
    /// From where.
    address: Option<String>,
    /// The request, as in the server’s log.
    request_id: Option<String>,
    /// What else there is to say.
    detail: Value,
}

impl Record {
    fn of(event: &AuditEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: Moment(event.at),
            kind: event.kind.as_str(),
            person_id: event.user_id.map(|id| id.to_string()),
            client_id: event.client_id.as_ref().map(ToString::to_string),
            grant_id: event.grant_id.map(|id| id.to_string()),
            server_id: event.resource_id.map(|id| id.to_string()),
            address: event.address.clone(),
            request_id: event.request_id.clone(),
            detail: event.detail.clone(),
        }
    }
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let filter = AuditFilter {
        since: call.moment("since"),
        until: call.moment("until"),
        kind: call.named("kind", AuditKind::parse)?,
        user_id: call.named("person", UserId::parse)?,
        client_id: call.named("client", ClientId::parse)?,
        grant_id: call.named("grant", GrantId::parse)?,
        resource_id: call.named("server", ResourceId::parse)?,
        address: call.text("address").map(str::to_owned),
        before: call.cursor(|key| key.parse().ok())?,
        limit: Some(call.limit()),
        ..AuditFilter::default()
    };
    let (page, _) = console::events(&call.core, filter).await?;
    Answer::of(&Rows::new(
        page.rows.iter().map(Record::of).collect(),
        page.next.map(|place| place.to_string()),
    ))
}
