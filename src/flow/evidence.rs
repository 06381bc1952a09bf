//! Evidence of one incident: what the audit log says of a span of time, with what proves that nothing in it was edited,
//! left out or put in, for whoever has this file, the public keys and nothing else. [`super::evidence_check`] reads it.
//!
//! One JSON value a line: a head, signed checkpoints, for each lane of the chain its piece between two places that are
//! vouched for, and a seal over all of it. Records that the incident has nothing to do with are there without address and
//! detail, so that who reads the file sees that none was left out, and nothing else of them.

use std::collections::{BTreeSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::audit_chain::checkpoint;
use super::core::{Caller, Core};
use super::failure::Fault;
use crate::storage::audit_chain::{self, Chained};
use crate::storage::{StoreError, Tx, audit};
use crate::types::audit::AuditKind;
use crate::types::audit_chain::{AuditKey, BEGINNING, Hash, Head, Mark};
use crate::types::client::ClientId;
use crate::types::cut::{Cut, Target};
use crate::types::hex::hex;
use crate::types::id::{GrantId, ResourceId, UserId};
use crate::types::key::SigningAlg;
use crate::types::network::Network;
use crate::types::policy::{AUDIT_WALK, EVIDENCE_MARGIN};
use crate::types::time::Timestamp;

/// The `typ` of a seal.
pub const SEAL_TYPE: &str = "postern-audit-evidence+jwt";

/// The version of the file's form.
pub const VERSION: i64 = 1;

const README: [&str; 11] = [
    "This is evidence from the audit log of a Postern authorization server: one JSON value a line.",
    "Verify it with `postern audit verify-evidence FILE --keys JWKS`, where JWKS is the issuer's key set (ISSUER/jwks.json), fetched by you and not by whoever gave you this file. Neither a database nor a secret is needed.",
    "Line 1 says what it is about, and has the public keys (RFC 7517) of every signature in it and the ends of all lanes of the log.",
    "`checkpoint`: a JWS (RFC 7515) in which the issuer stated at `iat` how many records each lane had and the hash of the last.",
    "`lane`: here begins a piece of one lane, `from` a position `to` another. `previous` is the hash before its first record.",
    "`record`: the record at a position. Its `hash` is SHA-256 over the label `postern audit record 1`, the hash before it, lane, position, id, at, kind, user_id, client_id, grant_id, resource_id, request_id and `commitment`, each with its length before it (8 bytes, big-endian; an absent text or id is 2^64-1 in place of a length; numbers are 8 bytes, big-endian; ids are 16 bytes).",
    "`commitment` is SHA-256 over the label `postern audit commitment 1`, salt, address and detail, written the same way.",
    "`shown`: `whole`; `withheld`, where it has nothing to do with the incident (address and detail are left out, the rest proves that nothing else was); or `erased`, where what was known of a person has been destroyed.",
    "Positions have no gaps, and every piece begins and ends where a checkpoint, the beginning of the log or the seal vouches for it: an omitted record shows.",
    "`seal`: the last line, a JWS over the SHA-256 of every byte before it.",
    "Times: `at` is in microseconds since 1970 (UTC).",
];

/// What an incident is about; every member that is set narrows.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Not before.
    pub since: Timestamp,
    /// Before.
    pub until: Timestamp,
    /// This person.
    pub user_id: Option<UserId>,
    /// This client.
    pub client_id: Option<ClientId>,
    /// This server.
    pub resource_id: Option<ResourceId>,
    /// This approval.
    pub grant_id: Option<GrantId>,
    /// Clients of this domain.
    pub domain: Option<String>,
    /// These addresses.
    pub network: Option<Network>,
}

impl Scope {
    /// Everything in `[since, until)`.
    #[must_use]
    pub const fn new(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since,
            until,
            user_id: None,
            client_id: None,
            resource_id: None,
            grant_id: None,
            domain: None,
            network: None,
        }
    }

    /// Narrowed to what a cut was about.
    #[must_use]
    pub fn of_cut(mut self, cut: &Cut) -> Self {
        match cut.target.clone() {
            Target::Person(id) => self.user_id = Some(id),
            Target::Client(id) => self.client_id = Some(id),
            Target::Resource(id) => self.resource_id = Some(id),
            Target::Grant(id) => self.grant_id = Some(id),
            Target::Domain(domain) => self.domain = Some(domain),
            Target::Network(network) => self.network = Some(network),
            Target::Everything => {}
        }
        self
    }

    /// Whether a record has to do with it. Whose address is not known is none of a network's.
    #[must_use]
    pub fn shows(&self, record: &Chained) -> bool {
        let event = &record.event;
        let host = |id: &ClientId| url::Url::parse(id.as_str()).ok()?.host_str().map(str::to_owned);
        self.since <= event.at
            && event.at < self.until
            && self.user_id.is_none_or(|id| event.user_id == Some(id))
            && self.client_id.as_ref().is_none_or(|id| event.client_id.as_ref() == Some(id))
            && self.resource_id.is_none_or(|id| event.resource_id == Some(id))
            && self.grant_id.is_none_or(|id| event.grant_id == Some(id))
            && self.domain.as_ref().is_none_or(|domain| {
                event.client_id.as_ref().and_then(host).is_some_and(|host| host == *domain)
            })
            && self.network.as_ref().is_none_or(|network| {
                let address = event.address.as_ref().and_then(|text| text.parse().ok());
                address.is_some_and(|address| network.contains(address))
            })
    }

    /// What it is about, for the head of the file.
    pub(super) fn about(&self) -> Value {
        json!({
            "user_id": self.user_id.map(|id| id.to_string()),
            "client_id": self.client_id.as_ref().map(ClientId::as_str),
            "resource_id": self.resource_id.map(|id| id.to_string()),
            "grant_id": self.grant_id.map(|id| id.to_string()),
            "domain": self.domain,
            "network": self.network.map(|network| network.to_string()),
        })
    }

    /// The inverse of [`Scope::about`].
    pub(super) fn read(since: Timestamp, until: Timestamp, about: &Value) -> Option<Self> {
        let text = |name: &str| about.get(name).and_then(Value::as_str);
        // What stands there must be understood.
        let read = |name: &str, fine: bool| (text(name).is_none() || fine).then_some(());
        let mut scope = Self::new(since, until);
        scope.user_id = text("user_id").and_then(UserId::parse);
        scope.client_id = text("client_id").and_then(ClientId::parse);
        scope.resource_id = text("resource_id").and_then(ResourceId::parse);
        scope.grant_id = text("grant_id").and_then(GrantId::parse);
        scope.domain = text("domain").map(str::to_owned);
        scope.network = text("network").and_then(|network| Network::parse(network).ok());
        read("user_id", scope.user_id.is_some())?;
        read("client_id", scope.client_id.is_some())?;
        read("resource_id", scope.resource_id.is_some())?;
        read("grant_id", scope.grant_id.is_some())?;
        read("network", scope.network.is_some())?;
        Some(scope)
    }
}

/// A piece of a lane.
#[derive(Clone, Copy, Debug)]
struct Span {
    lane: i64,
    from: i64,
    to: i64,
    previous: Hash,
    trimmed: bool,
}

/// A bundle that is being written; what is asked for next comes from the database then, so that it may be of any size.
pub struct Bundle {
    scope: Scope,
    head: Value,
    spans: VecDeque<Span>,
    at: Option<Span>,
    statements: VecDeque<String>,
    hash: Sha256,
    begun: bool,
    ended: bool,
    /// Records in it so far.
    pub records: u64,
    /// Those of them that are shown whole.
    pub shown: u64,
}

impl Bundle {
    /// Begins one, signs where the log stands now, and records that it was made.
    ///
    /// # Errors
    /// A fault.
    pub async fn begin(core: &Core, caller: &Caller, scope: Scope) -> Result<Self, Fault> {
        let mut event = core.event(AuditKind::EvidenceExported, caller, core.now());
        event.detail = json!({
            "since": scope.since.rfc3339(),
            "until": scope.until.rfc3339(),
            "about": scope.about(),
        });
        core.store.write(move |tx| audit::append(tx, &event)).await?;
        checkpoint(core).await?;
        let key = core.store.audit_key().clone();
        let (since, until) = (scope.since, scope.until);
        let (heads, spans, statements, mut keys) = core
            .store
            .read(move |tx| {
                let heads: Vec<Head> = audit_chain::heads(tx)?
                    .into_iter()
                    .filter(|end| end.head.count > 0)
                    .filter(|end| is_ours(&key, end))
                    .map(|end| end.head)
                    .collect();
                let spans = heads
                    .iter()
                    .map(|end| span(tx, end, since, until))
                    .collect::<Result<VecDeque<_>, _>>()?;
                let mut statements = BTreeSet::new();
                for span in &spans {
                    let mut from = span.from;
                    loop {
                        let page = audit_chain::checkpoints(tx, span.lane, from, AUDIT_WALK)?;
                        let Some(last) = page.last() else { break };
                        from = last.marked.head.count + 1;
                        let within = page.into_iter().filter(|point| point.marked.head.count <= span.to);
                        statements.extend(within.map(|point| (point.at, point.statement)));
                        if from > span.to {
                            break;
                        }
                    }
                }
                Ok((heads, spans, statements, audit_chain::kept_keys(tx)?))
            })
            .await?;
        // The key of the seal, which may have signed no checkpoint yet, is among the published ones.
        let now = core.now();
        let published: Value = serde_json::from_str(&core.live.view().keys.jwks(now)).unwrap_or_default();
        keys.extend(
            published.get("keys").and_then(Value::as_array).into_iter().flatten().map(Value::to_string),
        );
        keys.sort_unstable();
        keys.dedup();
        let keys: Vec<Value> = keys.iter().filter_map(|key| serde_json::from_str(key).ok()).collect();
        let ends: Vec<Value> = heads
            .iter()
            .map(|end| json!({ "lane": end.lane, "count": end.count, "hash": hex(&end.hash) }))
            .collect();
        let head = json!({
            "postern_evidence": VERSION,
            "readme": README,
            "issuer": core.policy.issuer.as_str(),
            "made_at": now.rfc3339(),
            "since": scope.since.micros(),
            "until": scope.until.micros(),
            "span": format!("{} to {}", scope.since.rfc3339(), scope.until.rfc3339()),
            "about": scope.about(),
            "keys": keys,
            "heads": ends,
        });
        Ok(Self {
            scope,
            head,
            spans,
            at: None,
            statements: statements.into_iter().map(|(_, statement)| statement).collect(),
            hash: Sha256::new(),
            begun: false,
            ended: false,
            records: 0,
            shown: 0,
        })
    }

    /// The next lines; nothing after the seal.
    ///
    /// # Errors
    /// A fault, which leaves a file without a seal.
    pub async fn next(&mut self, core: &Core) -> Result<Option<Vec<u8>>, Fault> {
        let mut out = Vec::new();
        if !self.begun {
            self.begun = true;
            line(&mut out, &self.head);
        } else if let Some(statement) = self.statements.pop_front() {
            line(&mut out, &json!({ "checkpoint": statement }));
        } else if let Some(span) = self.at.take() {
            self.piece(core, span, &mut out).await?;
        } else if let Some(span) = self.spans.pop_front() {
            line(
                &mut out,
                &json!({
                    "lane": span.lane,
                    "from": span.from,
                    "to": span.to,
                    "previous": hex(&span.previous),
                    "trimmed": span.trimmed,
                }),
            );
            self.at = Some(span);
        } else if self.ended {
            return Ok(None);
        } else {
            self.ended = true;
            let now = core.now();
            let claims = json!({
                "iss": core.policy.issuer.as_str(),
                "iat": now.seconds(),
                "sha256": hex(&self.hash.clone().finalize()),
                "records": self.records,
                "shown": self.shown,
            });
            let seal = core.live.view().keys.sign(SigningAlg::ES256, SEAL_TYPE, &claims, now)?;
            line(&mut out, &json!({ "seal": seal }));
            return Ok(Some(out));
        }
        self.hash.update(&out);
        Ok(Some(out))
    }

    async fn piece(&mut self, core: &Core, span: Span, out: &mut Vec<u8>) -> Result<(), Fault> {
        let left = span.to - span.from;
        if left == 0 {
            return Ok(());
        }
        let limit = left.min(AUDIT_WALK);
        let records = core.store.read(move |tx| audit_chain::walk(tx, span.lane, span.from, limit)).await?;
        let mut from = span.from;
        for record in &records {
            if record.position != from {
                break;
            }
            from += 1;
            let shown = self.scope.shows(record);
            self.records += 1;
            self.shown += u64::from(shown);
            line(out, &json!({ "record": shown_as(record, shown) }));
        }
        if from - span.from < limit {
            return Err(Fault::Bug("a record of the audit log is missing; see postern audit verify"));
        }
        self.at = Some(Span { from, ..span });
        Ok(())
    }
}

fn is_ours(key: &AuditKey, end: &audit_chain::Marked) -> bool {
    end.mac.as_ref().is_some_and(|mac| key.verifies(Mark::Head, &end.head, mac))
}

/// The piece of a lane that holds everything of a span of time and begins and ends at a signed place where there is one.
fn span(tx: &mut Tx<'_>, end: &Head, since: Timestamp, until: Timestamp) -> Result<Span, StoreError> {
    let lane = end.lane;
    let anchor = audit_chain::anchors(tx)?.into_iter().find(|anchor| anchor.head.lane == lane);
    let begin = anchor.map_or(Head { lane, count: 0, hash: BEGINNING }, |anchor| anchor.head);
    // A record is chained a little later than it happened.
    let (since, until) = (since.minus(EVIDENCE_MARGIN), until.plus(EVIDENCE_MARGIN));
    let from = audit_chain::checkpoint_before(tx, lane, since)?.unwrap_or(begin.count).max(begin.count);
    let to = audit_chain::checkpoint_after(tx, lane, until, from)?.unwrap_or(end.count);
    let previous = if from == begin.count {
        begin.hash
    } else {
        let before = audit_chain::walk(tx, lane, from - 1, 1)?;
        let hash =
            before.first().filter(|record| record.position == from - 1).map(|record| record.hash.clone());
        hash.and_then(|hash| Hash::try_from(hash.as_slice()).ok())
            .ok_or_else(|| StoreError::Database("a record of the audit log is missing".to_owned()))?
    };
    Ok(Span { lane, from, to, previous, trimmed: from == begin.count && from > 0 })
}

fn line(out: &mut Vec<u8>, value: &Value) {
    out.extend_from_slice(value.to_string().as_bytes());
    out.push(b'\n');
}

fn shown_as(record: &Chained, shown: bool) -> Value {
    let event = &record.event;
    let mut value = json!({
        "lane": record.lane,
        "position": record.position,
        "id": event.id.to_string(),
        "at": event.at.micros(),
        "time": event.at.rfc3339(),
        "kind": event.kind.as_str(),
        "user_id": event.user_id.map(|id| id.to_string()),
        "client_id": event.client_id.as_ref().map(ClientId::as_str),
        "grant_id": event.grant_id.map(|id| id.to_string()),
        "resource_id": event.resource_id.map(|id| id.to_string()),
        "request_id": event.request_id,
        "commitment": hex(&record.commitment),
        "hash": hex(&record.hash),
        "shown": match (&record.opening, shown) {
            (None, _) => "erased",
            (Some(_), true) => "whole",
            (Some(_), false) => "withheld",
        },
    });
    if let (Some(opening), true, Some(members)) = (&record.opening, shown, value.as_object_mut()) {
        members.insert("address".to_owned(), json!(event.address));
        members.insert("detail".to_owned(), json!(opening.detail));
        members.insert("salt".to_owned(), json!(URL_SAFE_NO_PAD.encode(&opening.salt)));
    }
    value
}
