//! `postern audit evidence` and `postern audit verify-evidence`.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::EvidenceArgs;
use super::audit::{bad, moment_of};
use super::output::{CliError, Said};
use crate::flow::core::{Caller, Core};
use crate::flow::evidence::{Bundle, Scope};
use crate::flow::{cut, evidence_check, people};
use crate::types::client::ClientId;
use crate::types::cut::Target;

/// How long before a cut its evidence begins.
const BEFORE_A_CUT: Duration = Duration::from_secs(86_400);

pub(super) async fn write(core: &Core, args: EvidenceArgs) -> Result<Said, CliError> {
    let scope = scope(core, &args).await?;
    let path = &args.out;
    let failed = |error: io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()));
    let file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| {
        CliError::Failed(format!("cannot make {}: {error}; name a new file", path.display()))
    })?;
    let mut sink = BufWriter::new(file);
    let mut bundle = Bundle::begin(core, &Caller::command_line(), scope).await?;
    while let Some(lines) = bundle.next(core).await? {
        sink.write_all(&lines).map_err(failed)?;
    }
    sink.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    let line = format!(
        "wrote {} records, {} of them whole; verify it with `postern audit verify-evidence {}`",
        bundle.records,
        bundle.shown,
        path.display()
    );
    let said = json!({ "path": path, "records": bundle.records, "whole": bundle.shown });
    Ok(Said::new(said, vec![line]))
}

async fn scope(core: &Core, args: &EvidenceArgs) -> Result<Scope, CliError> {
    let now = core.now();
    let found = match &args.cut {
        Some(id) => Some(cut::find(core, id).await?.0),
        None => None,
    };
    let since = match (&args.since, &found) {
        (Some(text), _) => moment_of("--since", text, now)?,
        (None, Some(cut)) => cut.at.minus(BEFORE_A_CUT),
        (None, None) => return Err(CliError::Usage("--since is missing".to_owned())),
    };
    let until = args.until.as_ref().map(|text| moment_of("--until", text, now)).transpose()?.unwrap_or(now);
    if until <= since {
        return Err(CliError::Usage("--until is not after --since".to_owned()));
    }
    let mut scope = Scope::new(since, until);
    if let Some(cut) = &found {
        scope = scope.of_cut(cut);
    }
    if let Some(email) = &args.user {
        scope.user_id = Some(people::find(core, email).await?.id);
    }
    if let Some(id) = &args.client {
        scope.client_id = Some(ClientId::parse(id).ok_or_else(|| bad("--client", id))?);
    }
    if let Some(uri) = &args.server {
        let Target::Resource(id) = cut::target_of(core, "resource", uri).await? else {
            return Err(bad("--server", uri));
        };
        scope.resource_id = Some(id);
    }
    Ok(scope)
}

pub(super) fn verify(file: &Path, keys: Option<&Path>) -> Result<Said, CliError> {
    let unread =
        |path: &Path, error: io::Error| CliError::Failed(format!("cannot read {}: {error}", path.display()));
    let trusted = match keys {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| unread(path, error))?;
            let set: Value = serde_json::from_str(&text).unwrap_or_default();
            let keys = set.get("keys").and_then(Value::as_array).cloned();
            let none = || CliError::Usage(format!("{} is no JWK Set", path.display()));
            Some(keys.ok_or_else(none)?)
        }
    };
    let mut input = BufReader::new(File::open(file).map_err(|error| unread(file, error))?);
    let proven = evidence_check::check(&mut input, trusted.as_deref())
        .map_err(|flaw| CliError::Failed(format!("{}: {flaw}", file.display())))?;
    let mut lines = vec![
        format!("the evidence holds: made by {} at {}", proven.issuer, proven.made_at),
        format!("it covers {}", proven.span),
        format!(
            "{} records: {} whole, {} withheld, {} erased; {} signed checkpoints fit",
            proven.records, proven.whole, proven.withheld, proven.erased, proven.checkpoints
        ),
        format!("sealed by the key {}", proven.sealed_by),
    ];
    if !proven.trusted {
        lines.push(format!(
            "the file vouches for itself alone: compare that key with {}/jwks.json, or give --keys",
            proven.issuer
        ));
    }
    Ok(Said::new(serde_json::to_value(&proven).unwrap_or_default(), lines))
}
