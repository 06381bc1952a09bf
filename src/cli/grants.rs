//! `postern grant …`

use serde_json::{Value, json};

use super::args::{GrantCommand, GrantTokenArgs, RevokeArgs};
use super::output::{CliError, Said, moment};
use crate::flow::access::{self, Access, Target};
use crate::flow::access_map;
use crate::flow::core::{Caller, Core};
use crate::flow::grant_tokens::{self, NewGrantToken};
use crate::types::grant::GrantState;

pub(super) async fn run(core: &Core, command: GrantCommand) -> Result<Said, CliError> {
    match command {
        GrantCommand::List { user, client, resource, ended } => {
            let target = Target { id: None, user, client, resource };
            let mut filter = access::filter_of(core, &target).await?;
            filter.ended_too = ended;
            let found = access::list(core, filter).await?;
            let grants = found.iter().map(|access| access.grant.clone()).collect();
            let standing = access_map::as_they_stand(core, grants).await?;
            let rows = found.iter().zip(&standing).map(|(access, row)| approval(access, row.state));
            let columns =
                ["id", "user", "client_name", "resource", "scopes", "state", "last_used_at", "expires_at"];
            Ok(Said::list(rows.collect(), &columns))
        }
        GrantCommand::Create(args) => create(core, args).await,
        GrantCommand::Revoke(args) => revoke(core, args).await,
    }
}

async fn create(core: &Core, args: GrantTokenArgs) -> Result<Said, CliError> {
    let new = NewGrantToken {
        user: args.user,
        resource: args.resource.clone(),
        name: args.name.clone(),
        scopes: args.scopes,
        tools: args.tools,
        ttl: args.ttl,
    };
    let (grant, secret) = grant_tokens::create(core, &Caller::command_line(), new).await?;
    let mut said = Said::thing(json!({
        "id": grant.id.to_string(),
        "client_id": grant.client_id.as_str(),
        "scopes": grant.scopes.iter().collect::<Vec<_>>(),
        "expires_at": moment(Some(grant.expires_at)),
        "token": secret.expose(),
    }));
    said.lines.push(format!(
        "The token is not shown again. With Claude Code: claude mcp add --transport http NAME {} --header \"Authorization: Bearer TOKEN\"",
        args.resource
    ));
    said.lines.push(format!("To end it: postern grant revoke --id {}", grant.id));
    Ok(said)
}

async fn revoke(core: &Core, args: RevokeArgs) -> Result<Said, CliError> {
    let one = args.id.clone();
    let target = Target { id: args.id, user: args.user, client: args.client, resource: args.resource };
    let filter = access::filter_of(core, &target).await?;
    let ended = access::revoke(core, &Caller::command_line(), filter, "command line").await?;
    if let (Some(id), true) = (one, ended.is_empty()) {
        return Err(CliError::Failed(format!("there is no standing grant {id}; see `postern grant list`")));
    }
    let ids: Vec<String> = ended.iter().map(|grant| grant.id.to_string()).collect();
    let line = match ended.len() {
        0 => "nothing stood; nothing was revoked".to_owned(),
        1 => "revoked 1 grant; every token under it is dead within a second".to_owned(),
        count => format!("revoked {count} grants; every token under them is dead within a second"),
    };
    Ok(Said::new(json!({ "revoked": ended.len(), "grants": ids }), vec![line]))
}

fn approval(access: &Access, state: GrantState) -> Value {
    let grant = &access.grant;
    json!({
        "id": grant.id.to_string(),
        "user": access.user.as_ref().map(|user| user.email.as_str()),
        "user_id": grant.user_id.map(|id| id.to_string()),
        "client_id": grant.client_id.as_str(),
        "client_name": access.client.as_ref().map(crate::types::client::Client::display_name),
        "resource": access.resource.as_ref().map(|resource| resource.uri.as_str()),
        "scopes": grant.scopes.iter().collect::<Vec<_>>(),
        "created_at": moment(Some(grant.created_at)),
        "expires_at": moment(Some(grant.expires_at)),
        "last_used_at": moment(grant.last_used_at),
        "last_used_address": grant.last_used_address,
        "revoked_at": moment(grant.revoked_at),
        "state": state.as_str(),
    })
}
