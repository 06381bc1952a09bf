//! `postern audit …`

use serde_json::{Value, json};

use super::args::{AuditCommand, ExportFormat};
use super::audit_export::Shape;
use super::output::{CliError, Said, moment};
use crate::flow::core::Core;
use crate::flow::{audit, audit_chain, people};
use crate::storage::audit::AuditFilter;
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::client::ClientId;
use crate::types::duration;
use crate::types::time::Timestamp;

pub(super) async fn run(core: &Core, command: AuditCommand, json: bool) -> Result<Option<Said>, CliError> {
    match command {
        AuditCommand::List { since, users, client, kind, limit } => {
            list(core, since, users, client, (kind, limit)).await.map(Some)
        }
        AuditCommand::Export { format, since, until, user, client, out } => {
            let user_id = match user {
                Some(email) => Some(people::find(core, &email).await?.id),
                None => None,
            };
            let filter = AuditFilter {
                since: since.map(|text| moment_of("--since", &text, core.now())).transpose()?,
                until: until.map(|text| moment_of("--until", &text, core.now())).transpose()?,
                client_id: client
                    .map(|id| ClientId::parse(&id).ok_or_else(|| bad("--client", &id)))
                    .transpose()?,
                user_id,
                ..AuditFilter::default()
            };
            let shape = match (format, &out) {
                // One JSON value, as of every command; a file keeps the format it was asked for.
                (ExportFormat::Jsonl, None) if json => Shape::Array,
                (ExportFormat::Csv, None) if json => {
                    let what =
                        "--json prints JSON on stdout: leave out --format csv, or name a file with --out";
                    return Err(CliError::Usage(what.to_owned()));
                }
                (ExportFormat::Jsonl, _) => Shape::Lines,
                (ExportFormat::Csv, _) => Shape::Csv,
            };
            super::audit_export::run(core, filter, shape, out).await
        }
        AuditCommand::Stream(command) => super::endpoints::stream(core, command).await.map(Some),
        AuditCommand::Verify => verify(core).await.map(Some),
        AuditCommand::Evidence(args) => super::evidence::write(core, args).await.map(Some),
        AuditCommand::VerifyEvidence { file, keys } => {
            super::evidence::verify(&file, keys.as_deref()).map(Some)
        }
    }
}

async fn verify(core: &Core) -> Result<Said, CliError> {
    let whole = audit_chain::verify(core).await?.map_err(|found| CliError::Failed(found.to_string()))?;
    let line = match whole.until {
        Some(until) => format!(
            "the chain holds: {} records, the newest of {}; {} checkpoints fit; {} records erased",
            whole.records,
            until.rfc3339(),
            whole.checkpoints,
            whole.erased
        ),
        None => "the chain holds: no records".to_owned(),
    };
    let said = json!({
        "ok": true,
        "records": whole.records,
        "trimmed": whole.trimmed,
        "checkpoints": whole.checkpoints,
        "erased": whole.erased,
        "until": moment(whole.until),
    });
    Ok(Said::new(said, vec![line]))
}

async fn list(
    core: &Core,
    since: Option<String>,
    users: Vec<String>,
    client: Option<String>,
    (kind, limit): (Option<String>, Option<i64>),
) -> Result<Said, CliError> {
    let since = since.map(|text| moment_of("--since", &text, core.now())).transpose()?;
    let client_id = client.map(|id| ClientId::parse(&id).ok_or_else(|| bad("--client", &id))).transpose()?;
    let kind = kind.map(|name| AuditKind::parse(&name).ok_or_else(|| bad("--kind", &name))).transpose()?;
    let filter = AuditFilter { since, client_id, kind, limit, ..AuditFilter::default() };
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

pub(super) fn bad(option: &str, text: &str) -> CliError {
    CliError::Usage(format!("{option} {text:?} is none; `postern audit list` shows those there are"))
}

/// A moment, the beginning of a day in UTC, or a span back from now.
pub(super) fn moment_of(option: &str, text: &str, now: Timestamp) -> Result<Timestamp, CliError> {
    Timestamp::parse_rfc3339(text)
        .or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .or_else(|| duration::parse(text).ok().map(|span| now.minus(span)))
        .ok_or_else(|| {
            CliError::Usage(format!(
                "{option}: expected 2026-11-21T08:00:00Z, 2026-11-21 or 12h, found {text:?}"
            ))
        })
}

pub(super) fn record(event: &AuditEvent) -> Value {
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
        assert_eq!(
            moment_of("--since", "12h", now).unwrap(),
            Timestamp::from_seconds(1_800_000_000 - 12 * 3_600)
        );
        assert_eq!(moment_of("--since", "2027-01-15", now).unwrap(), Timestamp::from_seconds(1_799_971_200));
        assert_eq!(moment_of("--since", "2027-01-15T08:00:00+00:00", now).unwrap(), now);
        assert!(moment_of("--since", "yesterday", now).is_err());
    }
}
