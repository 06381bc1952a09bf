//! `postern upstream …` and `postern tool …`

use serde_json::{Value, json};

use super::args::{ToolCommand, UpstreamCommand};
use super::output::{CliError, Said, moment};
use super::people::read_line;
use crate::flow::core::{Caller, Core};
use crate::flow::tools::{self, Decision};
use crate::flow::vault::{self, NewCredential};
use crate::types::policy::MAX_PARAMETER;
use crate::types::tool::Tool;

pub(super) async fn upstream(core: &Core, command: UpstreamCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        UpstreamCommand::Set(args) => {
            let secret = read_line("the credential", MAX_PARAMETER)?;
            let new = match (args.basic, args.header) {
                (Some(name), _) => NewCredential::Basic(name, secret),
                (_, Some(name)) => NewCredential::Header(name, secret),
                _ => NewCredential::Bearer(secret),
            };
            let resource = vault::set(core, &caller, &args.uri, new).await?;
            let line =
                format!("The gateway shows this to {} from now on; it is kept encrypted.", resource.name);
            Ok(Said::new(json!({ "uri": resource.uri.as_str(), "set": true }), vec![line]))
        }
        UpstreamCommand::Clear { uri } => {
            let was = vault::clear(core, &caller, &uri).await?;
            let line =
                if was { "forgotten; the gateway shows nothing now" } else { "there was nothing to forget" };
            Ok(Said::new(json!({ "uri": uri, "cleared": was }), vec![line.to_owned()]))
        }
    }
}

pub(super) async fn tool(core: &Core, command: ToolCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    let found = match command {
        ToolCommand::List { uri } => tools::list(core, &uri).await?,
        ToolCommand::Approve { uri, names, class } => {
            tools::decide(core, &caller, &uri, names, Decision::Approve(class)).await?
        }
        ToolCommand::Block { uri, names } => {
            tools::decide(core, &caller, &uri, names, Decision::Block).await?
        }
    };
    Ok(Said::list(
        found.iter().map(shown).collect(),
        &["name", "state", "class", "changed_at", "approved_by"],
    ))
}

fn shown(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "state": tool.state.as_str(),
        "class": tool.class.map(crate::types::tool::ToolClass::as_str),
        "class_set": tool.class_set,
        "changed_at": moment(Some(tool.changed_at)),
        "approved_by": tool.approved_by,
        "definition": serde_json::from_str::<Value>(&tool.seen).unwrap_or_default(),
    })
}
