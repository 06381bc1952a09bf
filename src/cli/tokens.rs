//! `postern initial-access-token …`

use serde_json::{Value, json};

use super::args::InitialAccessTokenCommand;
use super::output::{CliError, Said, moment};
use crate::flow::client_admin::{
    add_initial_access_token, initial_access_tokens, remove_initial_access_token,
};
use crate::flow::core::{Caller, Core};
use crate::storage::registration_tokens::InitialAccessToken;

pub(super) async fn run(core: &Core, command: InitialAccessTokenCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        InitialAccessTokenCommand::Add { name, ttl, uses } => {
            let (record, token) = add_initial_access_token(core, &caller, name, ttl, uses).await?;
            let mut json = ticket(&record);
            if let Some(members) = json.as_object_mut() {
                members.insert("initial_access_token".to_owned(), Value::from(token.expose()));
            }
            let mut said = Said::thing(json);
            said.lines.push("The token is not shown again.".to_owned());
            Ok(said)
        }
        InitialAccessTokenCommand::List => {
            let all = initial_access_tokens(core).await?;
            let columns = ["id", "name", "remaining", "expires_at", "created_at"];
            Ok(Said::list(all.iter().map(ticket).collect(), &columns))
        }
        InitialAccessTokenCommand::Remove { id } => {
            remove_initial_access_token(core, &caller, &id).await?;
            Ok(Said::new(json!({ "id": id, "removed": true }), vec![format!("removed {id}")]))
        }
    }
}

fn ticket(token: &InitialAccessToken) -> Value {
    json!({
        "id": token.id.to_string(),
        "name": token.name,
        "remaining": token.remaining,
        "created_at": moment(Some(token.created_at)),
        "expires_at": moment(token.expires_at),
    })
}
