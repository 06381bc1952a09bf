//! `postern role …` and `postern user access`.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::args::{RoleCommand, RoleHolderArgs};
use super::output::{CliError, Said};
use crate::flow::core::{Caller, Core};
use crate::flow::roles::{self, Change, in_words, listed};
use crate::flow::{people, resources};
use crate::types::access_rule::{Holder, NamedRole, Who};
use crate::types::id::UserId;
use crate::types::resource::Resource;

pub(super) async fn run(core: &Core, command: RoleCommand) -> Result<Said, CliError> {
    let (uri, change) = match command {
        RoleCommand::List { uri } => return list(core, &resources::find(core, &uri).await?).await,
        RoleCommand::Define { uri, name, scopes } => {
            let role = NamedRole { name, scopes: scopes.into_iter().collect() };
            (uri, Change::Define(role))
        }
        RoleCommand::Remove { uri, name } => (uri, Change::Remove(name)),
        RoleCommand::Give(args) => (args.uri.clone(), Change::Give(holder(core, args).await?)),
        RoleCommand::Take(args) => (args.uri.clone(), Change::Take(holder(core, args).await?)),
    };
    let changed = roles::change(core, &Caller::command_line(), &uri, change).await?;
    let mut said = list(core, &changed.resource).await?;
    if let Some(members) = said.json.as_object_mut() {
        members.insert("narrowed".to_owned(), Value::from(changed.narrowed));
    }
    said.lines.push(if changed.resource.access_rule.is_open() {
        "Nobody has a role here: everyone may be granted everything.".to_owned()
    } else {
        "Nobody may be granted here what no role of theirs allows.".to_owned()
    });
    if changed.narrowed > 0 {
        said.lines.push(format!(
            "{} approvals allow less now, or nothing; tokens that said more are dead.",
            changed.narrowed
        ));
    }
    Ok(said)
}

async fn holder(core: &Core, args: RoleHolderArgs) -> Result<Holder, CliError> {
    let who = match (args.who.group, args.who.user) {
        (Some(group), _) => Who::Group(group),
        (None, Some(email)) => Who::Person(people::find(core, &email).await?.id),
        (None, None) => Who::Everyone,
    };
    Ok(Holder { role: args.role, who })
}

async fn list(core: &Core, resource: &Resource) -> Result<Said, CliError> {
    let names: HashMap<UserId, String> =
        people::list(core).await?.into_iter().map(|user| (user.id, user.email)).collect();
    let person = |id: UserId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let rows: Vec<Value> = resource
        .role_names()
        .into_iter()
        .map(|name| {
            let scopes = resource.role_scopes(name).unwrap_or_default();
            let holders = resource.access_rule.holders.iter().filter(|holder| holder.role == name);
            let who: Vec<String> = holders.map(|holder| in_words(&holder.who, person)).collect();
            json!({ "role": name, "scopes": scopes.iter().collect::<Vec<_>>(), "held_by": who })
        })
        .collect();
    let table = Said::list(rows.clone(), &["role", "scopes", "held_by"]);
    let json = json!({ "uri": resource.uri.as_str(), "open": resource.access_rule.is_open(), "roles": rows });
    Ok(Said::new(json, table.lines))
}

/// What a person may do.
pub(super) async fn effective(core: &Core, email: &str) -> Result<Said, CliError> {
    let user = people::find(core, email).await?;
    let mut rows = Vec::new();
    for one in roles::effective(core, &user).await? {
        let through: Vec<String> = one
            .permitted
            .through
            .iter()
            .map(|(role, who)| format!("{role} as {}", in_words(who, |_| user.email.clone())))
            .collect();
        let apps: Vec<Value> = one
            .grants
            .iter()
            .map(|grant| {
                json!({
                    "grant": grant.id.to_string(),
                    "client_id": grant.client_id.as_str(),
                    "scopes": grant.scopes.iter().collect::<Vec<_>>(),
                })
            })
            .collect();
        rows.push(json!({
            "resource": one.resource.uri.as_str(),
            "may": if one.permitted.at_all { listed(&one.permitted.scopes) } else { "nothing".to_owned() },
            "scopes": one.permitted.scopes.iter().collect::<Vec<_>>(),
            "open": one.resource.access_rule.is_open(),
            "through": through,
            "grants": apps,
            "apps": apps.len(),
        }));
    }
    let table = Said::list(rows.clone(), &["resource", "may", "through", "apps"]);
    let json = json!({ "user": user.email, "disabled": user.disabled_at.is_some(), "access": rows });
    Ok(Said::new(json, table.lines))
}
