//! `postern policy cedar`.

use std::io::{self, Read as _};
use std::path::Path;

use serde_json::json;

use super::args::CedarCommand;
use super::output::{CliError, Said, moment, warn};
use crate::flow::cedar::{self, SCHEMA, Shown};
use crate::flow::core::{Caller, Core};
use crate::types::policy::MAX_CEDAR;

pub(super) async fn run(core: &Core, command: CedarCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        CedarCommand::Set { uri, file } => {
            let (shown, warnings) = cedar::set(core, &caller, &uri, read(&file)?).await?;
            warn_all(&warnings);
            let mut json = about(&shown);
            if let Some(members) = json.as_object_mut() {
                members.insert("warnings".to_owned(), warnings.into());
            }
            Ok(Said::thing(json))
        }
        CedarCommand::Show { uri } => {
            let shown = cedar::show(core, &uri).await?;
            if let Some(problem) = &shown.problem {
                warn(&format!("they cannot be read, so that every call is refused: {problem}"));
            }
            let mut json = about(&shown);
            if let Some(members) = json.as_object_mut() {
                members.insert("policies".to_owned(), shown.policies.clone().into());
                members.insert("problem".to_owned(), shown.problem.into());
            }
            Ok(Said::new(json, shown.policies.lines().map(str::to_owned).collect()))
        }
        CedarCommand::Remove { uri } => Ok(Said::thing(about(&cedar::remove(core, &caller, &uri).await?))),
        // Answered before there is a database.
        CedarCommand::Check { .. } | CedarCommand::Schema => Ok(Said::new(json!(null), Vec::new())),
    }
}

/// What needs no database, where that is what was asked for.
pub(super) fn without_database(command: &CedarCommand) -> Option<Result<Said, CliError>> {
    match command {
        CedarCommand::Check { file } => Some(check(file)),
        CedarCommand::Schema => {
            Some(Ok(Said::new(json!({ "schema": SCHEMA }), SCHEMA.lines().map(str::to_owned).collect())))
        }
        CedarCommand::Set { .. } | CedarCommand::Show { .. } | CedarCommand::Remove { .. } => None,
    }
}

fn check(file: &Path) -> Result<Said, CliError> {
    let found = cedar::check(&read(file)?)?;
    warn_all(&found.warnings);
    Ok(Said::thing(json!({ "policies": found.count, "warnings": found.warnings })))
}

fn warn_all(warnings: &[String]) {
    for text in warnings {
        warn(text);
    }
}

fn about(shown: &Shown) -> serde_json::Value {
    json!({
        "digest": shown.digest,
        "bytes": shown.policies.len(),
        "set_at": moment(Some(shown.set_at)),
        "set_by": shown.set_by,
    })
}

fn read(file: &Path) -> Result<String, CliError> {
    let failed = |why: &dyn std::fmt::Display| {
        let name =
            if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        CliError::Usage(format!("cannot read {name}: {why}"))
    };
    let most = u64::try_from(MAX_CEDAR).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    let done = if file == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    done.map_err(|error| failed(&error))?;
    if bytes.len() > MAX_CEDAR {
        return Err(failed(&format!("policies have at most {} KiB", MAX_CEDAR / 1024)));
    }
    String::from_utf8(bytes).map_err(|_| failed(&"it is no UTF-8"))
}
