//! `postern inactivity …`

use serde_json::{Value, json};

use super::args::InactivityCommand;
use super::output::{CliError, Said, moment};
use crate::flow::core::Core;
use crate::flow::inactivity::{self, Outlook};
use crate::types::inactivity::{InactivityRule, Step};

pub(super) async fn run(core: &Core, command: InactivityCommand) -> Result<Said, CliError> {
    let InactivityCommand::Preview { warn_after, disable_after, revoke_after } = command;
    let rule = match warn_after {
        Some(_) => InactivityRule { warn_after, disable_after, revoke_after },
        None => core.policy.inactivity,
    };
    let found = inactivity::preview(core, rule).await?;
    let columns = ["kind", "name", "last_at", "warned_at", "disabled_at", "next", "next_at", "spared"];
    let mut said = Said::list(found.iter().map(shown).collect(), &columns);
    said.lines.push(if rule.warn_after.is_none() {
        "The rule is off: set inactivity.warn_after, or try one with --warn-after.".to_owned()
    } else {
        format!("{} silent; nothing was done.", found.len())
    });
    Ok(said)
}

fn shown(one: &Outlook) -> Value {
    let note = one.note.as_ref();
    json!({
        "kind": one.who.kind(),
        "id": one.who.value(),
        "name": one.name,
        "last_at": moment(Some(one.last_at)),
        "warned_at": moment(note.map(|note| note.warned_at)),
        "disabled_at": moment(note.and_then(|note| note.disabled_at)),
        "revoked_at": moment(note.and_then(|note| note.revoked_at)),
        "next": one.next.map(|(step, _)| Step::as_str(step)),
        "next_at": moment(one.next.map(|(_, at)| at)),
        "spared": one.spared,
    })
}
