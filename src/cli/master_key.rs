//! `postern key rotate-master` and `retire-master`.

use std::io::Read as _;

use super::args::RotateMasterArgs;
use super::output::{CliError, Said};
use crate::config::master_key;
use crate::crypto::seal::MasterKey;
use crate::flow::core::{Caller, Core};
use crate::flow::master_key::{activate, begin, reseal, retire};
use crate::types::policy::ROOT_KEY_SETTLES;

/// More than a key in base64, with whatever space is around it.
const MAX_KEY: u64 = 1_024;

pub(super) async fn rotate(core: &Core, args: RotateMasterArgs) -> Result<Said, CliError> {
    let next = match (&args.generate, &args.new_key_file) {
        (Some(path), _) => master_key::generate(path, core.rng.as_ref())?,
        (None, Some(path)) => master_key::read(path)?,
        (None, None) => from_stdin()?,
    };
    let caller = Caller::command_line();
    let begun = begin(core, &caller, &next, args.instead).await?;
    // Each time until no node can be left that knows less.
    tokio::time::sleep(ROOT_KEY_SETTLES).await;
    activate(core, &caller).await?;
    tokio::time::sleep(ROOT_KEY_SETTLES).await;
    let done = reseal(core, &caller).await?;
    let total: u64 = done.resealed.values().sum();
    let mut lines =
        vec![format!("sealed {total} values anew under root key {}; both master keys work now.", begun.root)];
    lines.extend(done.resealed.iter().map(|(column, count)| format!("  {column}: {count}")));
    let unreadable = done.left.unreadable.iter();
    lines.extend(
        unreadable.map(|(column, count)| format!("  {column}: {count} do not open and stay as they are")),
    );
    lines.push(
        "Next: configure the new master key on every server, restart one after the other, then: postern key retire-master"
            .to_owned(),
    );
    let mut json = serde_json::json!(begun);
    if let (Some(all), Ok(serde_json::Value::Object(more))) =
        (json.as_object_mut(), serde_json::to_value(&done))
    {
        all.extend(more);
    }
    Ok(Said::new(json, lines))
}

pub(super) async fn retire_master(core: &Core, lose_unreadable: bool) -> Result<Said, CliError> {
    let gone = retire(core, &Caller::command_line(), lose_unreadable).await?;
    let mut lines = vec![format!(
        "retired the master key {} and {} older root keys; what it opened, it opens no more.",
        gone.masters.join(", "),
        gone.roots.len()
    )];
    if !gone.compacted {
        lines.push(
            "The database file could not be rewritten, so that free pages of it may still hold them."
                .to_owned(),
        );
    }
    lines.push("Backups from before still need the old master key, and open with it.".to_owned());
    Ok(Said::new(serde_json::json!(gone), lines))
}

fn from_stdin() -> Result<MasterKey, CliError> {
    let mut text = zeroize::Zeroizing::new(String::with_capacity(2_048));
    std::io::stdin()
        .take(MAX_KEY)
        .read_to_string(&mut text)
        .map_err(|error| CliError::Usage(format!("the new master key cannot be read from stdin: {error}")))?;
    MasterKey::from_base64(&text).map_err(|problem| CliError::Usage(format!("the new master key: {problem}")))
}
