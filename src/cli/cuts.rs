//! `postern cut …`

use std::time::Duration;

use serde_json::{Value, json};

use super::args::{CutArgs, CutCommand, HookCommand};
use super::output::{CliError, Said, moment};
use crate::flow::core::{Caller, Core};
use crate::flow::cut::{self, By, Order};
use crate::flow::cut_hooks;
use crate::flow::offboard::{self, Reach};
use crate::flow::people;
use crate::types::cut::{Cut, Impact, Kind, Target};
use crate::types::duration;

pub(super) async fn run(core: &Core, args: CutArgs) -> Result<Said, CliError> {
    match args.command {
        None => cut(core, args).await,
        Some(CutCommand::List { limit }) => {
            let now = core.now();
            let found = cut::list(core, None, limit).await?;
            let columns = ["id", "at", "target", "name", "kind", "state", "reason", "by"];
            Ok(Said::list(found.iter().map(|cut| shown(cut, cut.state(now))).collect(), &columns))
        }
        Some(CutCommand::Show { id }) => {
            let (found, last_used) = cut::find(core, &id).await?;
            let mut value = shown(&found, found.state(core.now()));
            add(&mut value, "last_accepted_at", moment(last_used));
            Ok(Said::thing(value))
        }
        Some(CutCommand::Hook { command }) => hook(core, command).await,
        Some(CutCommand::Undo { id }) => {
            let undone = cut::undo(core, &Caller::command_line(), &By::command_line(), &id).await?;
            Ok(Said::thing(shown(&undone, "undone")))
        }
    }
}

async fn hook(core: &Core, command: HookCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    let url = |id| core.policy.issuer.url(&format!("/hooks/cut/{id}"));
    match command {
        HookCommand::Add { name, targets } => {
            let (hook, secret) = cut_hooks::add(core, &caller, &By::command_line(), &name, targets).await?;
            let lines = vec![
                format!("{name} may cut access by a POST to {}", url(hook.id)),
                format!("It signs (Standard Webhooks) with {}, which is shown only now.", secret.expose()),
            ];
            let value = json!({
                "id": hook.id,
                "name": hook.name,
                "url": url(hook.id),
                "targets": hook.targets,
                "secret": secret.expose(),
            });
            Ok(Said::new(value, lines))
        }
        HookCommand::List => {
            let rows = cut_hooks::list(core).await?.into_iter().map(|hook| {
                json!({
                    "id": hook.id,
                    "name": hook.name,
                    "url": url(hook.id),
                    "targets": hook.targets,
                    "created_at": moment(Some(hook.created_at)),
                    "created_by": hook.created_by,
                    "last_used_at": moment(hook.last_used_at),
                })
            });
            Ok(Said::list(rows.collect(), &["id", "name", "targets", "created_at", "last_used_at"]))
        }
        HookCommand::Remove { id } => {
            let gone = cut_hooks::remove(core, &caller, &id).await?;
            let line = format!("Messages of {} are refused from now on.", gone.name);
            Ok(Said::new(json!({ "id": gone.id, "removed": true }), vec![line]))
        }
    }
}

async fn cut(core: &Core, args: CutArgs) -> Result<Said, CliError> {
    let target = target(core, &args).await?;
    if args.preview {
        let impact = cut::preview(core, &target).await?;
        return Ok(Said::thing(hit(&impact)));
    }
    let kind = if args.suspend {
        Kind::Suspend(args.window)
    } else if let Some(span) = args.isolate {
        Kind::Isolate(span)
    } else if args.reconsent {
        Kind::Reconsent
    } else if args.reauthenticate {
        Kind::Reauthenticate
    } else {
        Kind::Revoke
    };
    let reason = args.reason.ok_or_else(|| CliError::Usage("--reason is missing".to_owned()))?;
    let order = Order { target, kind, reason, by: By::command_line() };
    let made = cut::cut(core, &Caller::command_line(), order).await?;
    Ok(Said::thing(shown(&made, made.state(core.now()))))
}

async fn target(core: &Core, args: &CutArgs) -> Result<Target, CliError> {
    let named = [
        ("person", &args.user),
        ("client", &args.client),
        ("domain", &args.domain),
        ("resource", &args.resource),
        ("grant", &args.grant),
        ("network", &args.network),
    ];
    for (kind, value) in named {
        if let Some(value) = value {
            return Ok(cut::target_of(core, kind, value).await?);
        }
    }
    if args.all {
        return Ok(Target::Everything);
    }
    let ways = "--user, --client, --domain, --resource, --grant, --network or --all";
    Err(CliError::Usage(format!("say whose access is cut: {ways}")))
}

/// `postern user offboard …`
pub(super) async fn offboard(core: &Core, email: &str, reason: String) -> Result<Said, CliError> {
    let user = people::find(core, email).await?;
    let done = offboard::offboard(core, &Caller::command_line(), By::command_line(), user.id, reason).await?;
    let mut value = shown(&done.cut, "done");
    add(&mut value, "reached", Value::Array(done.reached.iter().map(reach).collect()));
    let mut lines = vec![format!(
        "{email} is switched off; {} approvals, {} sessions and {} refresh chains ended",
        done.cut.impact.grants, done.cut.impact.sessions, done.cut.impact.families
    )];
    for one in &done.reached {
        let last =
            one.last_used_at.map_or_else(|| "never used".to_owned(), crate::types::time::Timestamp::rfc3339);
        lines.push(format!("{}  {}  {}  {last}", one.resource, one.client_id, one.scopes.join(" ")));
    }
    Ok(Said::new(value, lines))
}

fn reach(reach: &Reach) -> Value {
    json!({
        "client_id": reach.client_id.as_str(),
        "resource": reach.resource,
        "scopes": reach.scopes,
        "last_used_at": moment(reach.last_used_at),
    })
}

fn shown(cut: &Cut, state: &str) -> Value {
    let span = cut.kind.span().map(|span: Duration| duration::format(span));
    json!({
        "id": cut.id.to_string(),
        "target": cut.target.kind(),
        "value": cut.target.value(),
        "name": cut.label,
        "kind": cut.kind.as_str(),
        "span": span,
        "state": state,
        "reason": cut.reason,
        "by": cut.by_name,
        "at": moment(Some(cut.at)),
        "until": moment(cut.until),
        "applied_at": moment(cut.applied_at),
        "undone_at": moment(cut.undone_at),
        "undone_by": cut.undone_by,
        "hit": hit(&cut.impact),
    })
}

fn hit(impact: &Impact) -> Value {
    serde_json::to_value(impact).unwrap_or_default()
}

fn add(value: &mut Value, name: &str, member: Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), member);
    }
}
