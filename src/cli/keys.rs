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
        KeyCommand::Rotate => keys::rotate(core, &Caller::command_line()).await?,
    };
    let columns = ["kid", "alg", "state", "created_at", "activates_at", "removed_at"];
    Ok(Said::list(found.iter().map(|(key, state)| listed(key, *state)).collect(), &columns))
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
