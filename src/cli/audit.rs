//! `postern audit …`

use serde_json::{Value, json};

use super::args::AuditCommand;
use super::output::{CliError, Said, moment};
use crate::flow::core::Core;
use crate::flow::{audit, people};
use crate::storage::audit::AuditFilter;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::duration;
use crate::types::time::Timestamp;

pub(super) async fn run(core: &Core, command: AuditCommand) -> Result<Said, CliError> {
    let AuditCommand::List { since, users, client, kind, limit } = command;
    let since = since.map(|text| moment_of(&text, core.now())).transpose()?;
    let client_id = client.map(|id| ClientId::parse(&id).ok_or_else(|| bad("--client", &id))).transpose()?;
    let kind = kind.map(|name| AuditKind::parse(&name).ok_or_else(|| bad("--kind", &name))).transpose()?;
    let filter = AuditFilter { since, client_id, kind, limit, user_id: None };
    let mut records = Vec::new();
    if users.is_empty() {
        records = audit::list(core, filter).await?;
    } else {
        for email in users {
            let user_id = Some(people::find(core, &email).await?.id);
            records.extend(audit::list(core, AuditFilter { user_id, ..filter.clone() }).await?);
        }
        records.sort_by_key(|record| (record.at, record.id));
        records.dedup_by_key(|record| record.id);
        let keep = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        records.drain(..records.len().saturating_sub(keep));
    }
    let columns = ["at", "kind", "user_id", "client_id", "address", "detail"];
    Ok(Said::list(records.iter().map(record).collect(), &columns))
}

fn bad(option: &str, text: &str) -> CliError {
    CliError::Usage(format!("{option} {text:?} is none; `postern audit list` shows those there are"))
}

/// A moment, the beginning of a day in UTC, or a span back from now.
fn moment_of(text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    Timestamp::parse_rfc3339(text)
        .or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .or_else(|| duration::parse(text).ok().map(|span| now.minus(span)))
        .ok_or_else(|| {
            CliError::Usage(format!(
                "--since: expected 2026-11-21T08:00:00Z, 2026-11-21 or 12h, found {text:?}"
            ))
        })
}

fn record(event: &AuditEvent) -> Value {
    json!({
        "id": event.id.to_string(),
        "at": moment(Some(event.at)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_three_forms() {
        let now = Timestamp::from_seconds(1_800_000_000);
        assert_eq!(moment_of("12h", now).unwrap(), Timestamp::from_seconds(1_800_000_000 - 12 * 3_600));
        assert_eq!(moment_of("2027-01-15", now).unwrap(), Timestamp::from_seconds(1_799_971_200));
        assert_eq!(moment_of("2027-01-15T08:00:00+00:00", now).unwrap(), now);
        assert!(moment_of("yesterday", now).is_err());
    }
}
