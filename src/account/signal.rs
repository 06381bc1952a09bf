//! What others are told of an event, in each of the forms they want, and what becomes of a message that was not taken.

use std::time::Duration;

use serde_json::{Value, json};

use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::id::UserId;
use crate::types::policy::{
    DELIVERY_FIRST_WAIT, DELIVERY_LONGEST_WAIT, DELIVERY_WINDOW, MAX_SYSLOG_DATAGRAM,
};
use crate::types::signal::{EndpointKind, Transport};
use crate::types::time::Timestamp;

/// CAEP 1.0 §3.1.
pub const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
/// CAEP 1.0 §3.3.
pub const CREDENTIAL_CHANGE: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
/// SSF 1.0 §8.1.4.
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// A record as programs read it. Nothing in the audit log is a secret.
#[must_use]
pub fn record(event: &AuditEvent) -> Value {
    json!({
        "id": event.id.to_string(),
        "at": event.at.rfc3339(),
        "kind": event.kind.as_str(),
        "user_id": event.user_id.map(|id| id.to_string()),
        "client_id": event.client_id.as_ref().map(ClientId::as_str),
        "grant_id": event.grant_id.map(|id| id.to_string()),
        "resource_id": event.resource_id.map(|id| id.to_string()),
        "address": event.address,
        "request_id": event.request_id,
        "detail": event.detail,
    })
}

/// The body of a webhook, in the shape that Standard Webhooks recommends.
#[must_use]
pub fn webhook(event: &AuditEvent) -> Value {
    json!({ "type": event.kind.as_str(), "timestamp": event.at.rfc3339(), "data": record(event) })
}

/// The shared signal that an event is, if it is one: its type, its claims, and whom it is about.
#[must_use]
pub fn shared_signal(event: &AuditEvent) -> Option<(&'static str, Value, UserId)> {
    let user = event.user_id?;
    let text = |name: &str| event.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let credential = |change: &str, kind: &str| {
        let claims = json!({
            "event_timestamp": event.at.seconds(),
            "initiating_entity": initiator(event),
            "change_type": change,
            "credential_type": kind,
        });
        Some((CREDENTIAL_CHANGE, claims, user))
    };
    match event.kind {
        // Offboarding is such a cut, too.
        AuditKind::AccessCut if text("target") == "person" && text("kind") != "reconsent" => {}
        AuditKind::UserDisabled => {}
        AuditKind::PasswordChanged | AuditKind::PasswordReset | AuditKind::UserPasswordSet => {
            return credential("update", "password");
        }
        AuditKind::AuthenticatorAdded => return credential("create", "app"),
        AuditKind::AuthenticatorRemoved => return credential("delete", "app"),
        AuditKind::PasskeyAdded => return credential("create", "passkey"),
        AuditKind::PasskeyRemoved => return credential("delete", "passkey"),
        _ => return None,
    }
    let claims = json!({ "event_timestamp": event.at.seconds(), "initiating_entity": initiator(event) });
    Some((SESSION_REVOKED, claims, user))
}

/// CAEP 1.0 §2: `admin`, `user`, `policy` or `system`.
fn initiator(event: &AuditEvent) -> &'static str {
    match event.detail.get("by").and_then(Value::as_str) {
        Some(by) if by.starts_with("detector ") => "policy",
        Some(_) => "admin",
        None if event.address.is_some() => "user",
        None => "system",
    }
}

/// Whether an operator should look twice.
const fn is_alarming(kind: AuditKind) -> bool {
    matches!(
        kind,
        AuditKind::LoginFailed
            | AuditKind::LoginThrottled
            | AuditKind::SecondFactorFailed
            | AuditKind::PasskeyCounter
            | AuditKind::CodeReplayed
            | AuditKind::RefreshReused
            | AuditKind::AccessCut
            | AuditKind::AlertRaised
            | AuditKind::ClientAuthenticationFailed
            | AuditKind::AdminApiRefused
            | AuditKind::EndpointDisabled
            | AuditKind::StreamGap
    )
}

/// A record and its place, as a stream sends it.
pub struct Placed<'a> {
    /// The record.
    pub event: &'a AuditEvent,
    /// Its lane.
    pub lane: i64,
    /// Its position there.
    pub position: i64,
    /// Its hash in the chain, in hexadecimal.
    pub hash: String,
}

impl Placed<'_> {
    /// The record with its place in the chain.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = record(self.event);
        if let Some(members) = value.as_object_mut() {
            let chain = json!({ "lane": self.lane, "position": self.position, "hash": self.hash });
            members.insert("chain".to_owned(), chain);
        }
        value
    }

    /// As a message of syslog (RFC 5424 §6): facility 13, log audit; the record as JSON. With octet counting
    /// (RFC 6587 §3.4.1) on a connection; bare, and cut at [`MAX_SYSLOG_DATAGRAM`] bytes, in a datagram.
    #[must_use]
    pub fn syslog(&self, host: &str, over: Transport) -> Vec<u8> {
        const LOG_AUDIT: u8 = 13 * 8;
        let severity = if is_alarming(self.event.kind) { 4 } else { 6 };
        let priority = LOG_AUDIT + severity;
        let host = if host.is_empty() { "-" } else { host };
        let (at, kind) = (syslog_time(self.event.at), self.event.kind.as_str());
        let mut line = format!("<{priority}>1 {at} {host} postern - {kind} - {}", self.json());
        if over == Transport::Udp {
            let mut end = line.len().min(MAX_SYSLOG_DATAGRAM);
            while !line.is_char_boundary(end) {
                end -= 1;
            }
            line.truncate(end);
            return line.into_bytes();
        }
        format!("{} {line}", line.len()).into_bytes()
    }

    /// As a log record of OpenTelemetry, in its JSON form.
    #[must_use]
    pub fn otlp(&self) -> Value {
        let text = |key: &str, value: String| json!({ "key": key, "value": { "stringValue": value } });
        let nanos = format!("{}000", self.event.at.micros());
        let (number, word) = if is_alarming(self.event.kind) { (13, "WARN") } else { (9, "INFO") };
        let mut attributes = vec![
            text("event.id", self.event.id.to_string()),
            text("postern.chain.lane", self.lane.to_string()),
            text("postern.chain.position", self.position.to_string()),
        ];
        let named = [
            ("enduser.id", self.event.user_id.map(|id| id.to_string())),
            ("postern.client.id", self.event.client_id.as_ref().map(ToString::to_string)),
            ("postern.grant.id", self.event.grant_id.map(|id| id.to_string())),
            ("postern.resource.id", self.event.resource_id.map(|id| id.to_string())),
            ("client.address", self.event.address.clone()),
        ];
        attributes.extend(named.into_iter().filter_map(|(key, value)| value.map(|value| text(key, value))));
        json!({
            "timeUnixNano": nanos,
            "observedTimeUnixNano": nanos,
            "severityNumber": number,
            "severityText": word,
            "eventName": self.event.kind.as_str(),
            "body": { "stringValue": self.json().to_string() },
            "attributes": attributes,
        })
    }
}

/// RFC 5424 §6.2.3 allows six digits of a second at most.
fn syslog_time(at: Timestamp) -> String {
    let whole = Timestamp::from_seconds(at.seconds()).rfc3339();
    let micros = at.micros().rem_euclid(1_000_000);
    format!("{}.{micros:06}Z", whole.trim_end_matches('Z'))
}

/// Everything for one request of OTLP.
#[must_use]
pub fn otlp_request(issuer: &str, version: &str, records: &[Value]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    json!({ "resourceLogs": [{
        "resource": { "attributes": [
            text("service.name", "postern"),
            text("service.version", version),
            text("postern.issuer", issuer),
        ] },
        "scopeLogs": [{ "scope": { "name": "postern.audit" }, "logRecords": records }],
    }] })
}

/// What an endpoint said to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// An HTTP status, and after how many seconds it wants to be asked again.
    Status(u16, Option<u64>),
    /// Nothing: it could not be reached, or took too long.
    Nothing,
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It was taken.
    Taken,
    /// It is tried again after this long.
    Again(Duration),
    /// It will never be taken; the next one may be.
    Refused,
    /// The endpoint is switched off, and why.
    SwitchOff(&'static str),
}

/// Decides. `tries` counts this one; `chance` is drawn at random.
#[must_use]
pub fn fate(kind: EndpointKind, said: Said, age: Duration, tries: i64, chance: u16) -> Fate {
    match said {
        Said::Status(200..=299, _) => return Fate::Taken,
        // Standard Webhooks: the receiver wants no more.
        Said::Status(410, _) => return Fate::SwitchOff("it answered that it is gone (410)"),
        // RFC 8935 §2.3: the token itself was refused, and will be again.
        Said::Status(400, _) if kind == EndpointKind::Receiver => return Fate::Refused,
        _ => {}
    }
    if age >= DELIVERY_WINDOW {
        return Fate::SwitchOff("it has not taken a message for three days");
    }
    let asked = match said {
        Said::Status(_, Some(seconds)) => Duration::from_secs(seconds),
        _ => Duration::ZERO,
    };
    Fate::Again(wait(tries, chance).max(asked).min(DELIVERY_LONGEST_WAIT))
}

/// How long to wait after so many failures: four times as long each time, a fifth more or less by chance, so that what
/// failed together does not come back together.
#[must_use]
pub fn wait(tries: i64, chance: u16) -> Duration {
    let power = u32::try_from(tries.clamp(1, 12) - 1).unwrap_or(0);
    let whole = DELIVERY_FIRST_WAIT.saturating_mul(4_u32.saturating_pow(power)).min(DELIVERY_LONGEST_WAIT);
    whole.mul_f64(0.8 + 0.4 * f64::from(chance) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::id::AuditId;
    use crate::types::random::SeededRng;

    fn event(kind: AuditKind, detail: Value) -> AuditEvent {
        let (now, rng) = (Timestamp::from_micros(1_795_000_000_000_042), SeededRng::new(1));
        AuditEvent {
            id: AuditId::new(now, &rng),
            at: now,
            kind,
            user_id: Some(UserId::new(now, &rng)),
            client_id: None,
            grant_id: None,
            resource_id: None,
            address: None,
            request_id: None,
            detail,
            by: None,
            salt: [0; crate::types::audit_chain::SALT],
        }
    }

    #[test]
    fn waits_grow_up_to_a_bound_and_messages_end_after_three_days() {
        let least: Vec<u64> = (1..=9).map(|tries| wait(tries, 0).as_secs()).collect();
        assert_eq!(least, [4, 16, 64, 256, 1_024, 4_096, 16_384, 34_560, 34_560]);
        assert!(wait(i64::MAX, u16::MAX) <= DELIVERY_LONGEST_WAIT.mul_f64(1.2));
        let hook =
            |said, days: u64| fate(EndpointKind::Webhook, said, Duration::from_secs(days * 86_400), 1, 0);
        assert_eq!(hook(Said::Status(204, None), 9), Fate::Taken);
        assert_eq!(hook(Said::Status(500, None), 2), Fate::Again(Duration::from_secs(4)));
        assert_eq!(hook(Said::Status(302, None), 0), Fate::Again(Duration::from_secs(4)));
        assert_eq!(hook(Said::Status(429, Some(60)), 0), Fate::Again(Duration::from_secs(60)));
        assert_eq!(hook(Said::Status(429, Some(u64::MAX)), 0), Fate::Again(DELIVERY_LONGEST_WAIT));
        assert!(matches!(hook(Said::Nothing, 3), Fate::SwitchOff(_)));
        assert!(matches!(hook(Said::Status(410, None), 0), Fate::SwitchOff(_)));
        let receiver = fate(EndpointKind::Receiver, Said::Status(400, None), Duration::ZERO, 1, 0);
        assert_eq!(receiver, Fate::Refused);
    }

    #[test]
    fn only_what_ends_all_sessions_of_a_person_says_so() {
        let kind = |event: &AuditEvent| shared_signal(event).map(|(kind, ..)| kind);
        let cut = |target: &str, kind: &str| {
            event(AuditKind::AccessCut, json!({ "target": target, "kind": kind, "by": "detector x" }))
        };
        assert_eq!(kind(&cut("person", "revoke")), Some(SESSION_REVOKED));
        assert_eq!(kind(&cut("person", "reconsent")), None);
        assert_eq!(kind(&cut("client", "revoke")), None);
        assert_eq!(kind(&event(AuditKind::SessionsEnded, json!({}))), None);
        assert_eq!(kind(&event(AuditKind::PasswordChanged, json!({}))), Some(CREDENTIAL_CHANGE));
        let (_, claims, _) = shared_signal(&cut("person", "isolate")).unwrap();
        assert_eq!(claims, json!({ "event_timestamp": 1_795_000_000, "initiating_entity": "policy" }));
    }

    #[test]
    fn a_line_of_syslog_is_what_the_rfc_wants() {
        let event = event(AuditKind::AlertRaised, json!({ "text": "ä\n<>" }));
        let placed = Placed { event: &event, lane: 0, position: 7, hash: "ab".to_owned() };
        let line = String::from_utf8(placed.syslog("issuer.example", Transport::Tcp)).unwrap();
        let (length, rest) = line.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
        assert!(
            rest.starts_with("<108>1 2026-11-18T11:06:40.000042Z issuer.example postern - alert.raised - {"),
            "{rest}"
        );
        assert!(!rest.contains('\n'));
        // RFC 5424 §6.2.7.
        assert!(AuditKind::ALL.iter().all(|kind| kind.as_str().len() <= 32));
        let long = self::event(AuditKind::AlertRaised, json!({ "text": "ä".repeat(20_000) }));
        let placed = Placed { event: &long, lane: 0, position: 7, hash: String::new() };
        let datagram = placed.syslog("", Transport::Udp);
        assert!(datagram.len() <= MAX_SYSLOG_DATAGRAM && String::from_utf8(datagram).is_ok());
    }
}
