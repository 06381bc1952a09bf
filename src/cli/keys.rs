//! `postern key …`

use serde_json::{Value, json};

use super::args::KeyCommand;
use super::master_key;
use super::output::{CliError, Said, moment};
use crate::flow::core::{Caller, Core};
use crate::flow::keys::{self, KeyState};
use crate::types::key::SigningKey;

pub(super) async fn run(core: &Core, command: KeyCommand) -> Result<Said, CliError> {
    let found = match command {
        KeyCommand::List => keys::list(core).await?,
        KeyCommand::RotateMaster(args) => return master_key::rotate(core, args).await,
        KeyCommand::RetireMaster { lose_unreadable } => {
            return master_key::retire_master(core, lose_unreadable).await;
        }
        KeyCommand::Rotate => {
            let found = keys::rotate(core, &Caller::command_line()).await?;
            let waits = keys::takeovers(&found, core.now());
            let mut said = shown(&found);
            said.lines.extend(waits.iter().map(|key| {
                format!(
                    "{} takes over from the current {} key by itself at {}: servers may have kept the key set from before \
                     it was published. Until then the current one signs, and there is nothing to do.",
                    key.kid,
                    key.alg.as_str(),
                    key.activates_at.rfc3339()
                )
            }));
            return Ok(said);
        }
    };
    Ok(shown(&found))
}

fn shown(found: &[(SigningKey, KeyState)]) -> Said {
    let columns = ["kid", "alg", "state", "created_at", "activates_at", "removed_at"];
    Said::list(found.iter().map(|(key, state)| listed(key, *state)).collect(), &columns)
}

fn listed(key: &SigningKey, state: KeyState) -> Value {
    let state = match state {
        KeyState::Next => "next",
        KeyState::Current => "current",
        KeyState::Previous => "previous",
    };
    json!({
        "kid": key.kid,
        "alg": key.alg.as_str(),
        "state": state,
        "created_at": moment(Some(key.created_at)),
        "activates_at": moment(Some(key.activates_at)),
        "removed_at": moment(key.removed_at),
    })
}
