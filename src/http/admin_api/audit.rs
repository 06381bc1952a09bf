//! The audit log.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::Moment;
use crate::flow::console;
use crate::flow::cut as flow_cut;
use crate::flow::evidence::{Bundle, Scope};
use crate::flow::failure::Fault;
use crate::storage::audit::AuditFilter;
use crate::types::admin::Permission;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::policy::MAX_API_EVIDENCE;

pub const OPERATIONS: &[Operation] = &[LIST, EVIDENCE];

const EVIDENCE: Operation = Operation {
    verb: Verb::Get,
    path: "/audit/evidence",
    id: "makeEvidence",
    about: "Evidence of what happened in a span of time, which anybody can verify with this issuer’s public keys alone: save `file` and run `postern audit verify-evidence`. A span with too many records is refused; the command line and the console write it to a file.",
    needs: Permission::Read,
    query: &[
        query(
            "since",
            Kind::Moment,
            "Not before; a day before `until` unless given, for a cut a day before it.",
        ),
        query("until", Kind::Moment, "Before; now unless given."),
        query("person", Kind::Id, "About this person."),
        query("client", Kind::Text, "About this app, by client id."),
        query("grant", Kind::Id, "About this approval."),
        query("server", Kind::Id, "About this server."),
        query("cut", Kind::Id, "About what this cut hit, in place of the others."),
    ],
    body: None,
    done: (200, Some(shape::<Evidence>)),
    run: |call| Box::pin(evidence(call)),
};

/// Evidence.
#[derive(Serialize, JsonSchema)]
struct Evidence {
    /// The file: one JSON value a line, the last of them a seal over all others.
    file: String,
    /// Records in it.
    records: u64,
    /// Those of them that are shown whole.
    shown: u64,
}

async fn evidence(call: Call) -> Result<Answer, Problem> {
    let core = &call.core;
    let cut = match call.text("cut") {
        None => None,
        Some(id) => Some(flow_cut::find(core, id).await?.0),
    };
    let until = call.moment("until").unwrap_or_else(|| core.now());
    let day = std::time::Duration::from_secs(86_400);
    let since = call
        .moment("since")
        .or_else(|| cut.as_ref().map(|cut| cut.at.minus(day)))
        .unwrap_or_else(|| until.minus(day));
    if since >= until {
        return Err(Problem::refused("until is not after since"));
    }
    let mut scope = Scope::new(since, until);
    scope.user_id = call.named("person", UserId::parse)?;
    scope.client_id = call.named("client", ClientId::parse)?;
    scope.grant_id = call.named("grant", GrantId::parse)?;
    scope.resource_id = call.named("server", ResourceId::parse)?;
    if let Some(cut) = &cut {
        scope = Scope::new(since, until).of_cut(cut);
    }
    let mut bundle = Bundle::begin(core, &call.caller, scope).await?;
    let mut file = Vec::new();
    while let Some(lines) = bundle.next(core).await? {
        file.extend_from_slice(&lines);
        if bundle.records > MAX_API_EVIDENCE {
            return Err(Problem::conflict(
                "too_much_evidence",
                "There are too many records for one answer: narrow the span, or use `postern audit evidence` or the console.",
            ));
        }
    }
    let file = String::from_utf8(file).map_err(|_| Fault::Bug("evidence is text"))?;
    Answer::of(&Evidence { file, records: bundle.records, shown: bundle.shown })
}

const LIST: Operation = Operation {
    verb: Verb::Get,
    path: "/audit",
    id: "listAuditRecords",
    about: "Records of the audit log, newest first. A page looks through a bounded number of records: it may have few rows, or none, and still name the next.",
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
};

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
