//! Tools of the servers behind the gateway: pinned at first sight, held back when they change, and what an administrator
//! decides.

use serde_json::{Value, json};

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::Route;
use super::live;
use super::people::OrderError;
use super::resources;
use crate::storage::{audit, gateway, resources as rows};
use crate::types::audit::AuditKind;
use crate::types::policy::MAX_TOOLS;
use crate::types::tool::{Tool, ToolClass, ToolState, canonical, digest_of};

/// The definitions that a server lists now, as far as this node does not know them as they are.
#[must_use]
pub fn news(route: &Route, definitions: &[Value]) -> Vec<Value> {
    let is_new = |definition: &&Value| {
        let Some(name) = definition.get("name").and_then(Value::as_str) else { return false };
        !route.has_seen(name, definition)
    };
    definitions.iter().filter(is_new).cloned().collect()
}

/// Notes definitions that are new. A server of which nothing is known yet is believed about every tool that says what it can
/// do; later ones, and those that say nothing or have changed, wait for an administrator.
///
/// # Errors
/// A fault.
pub async fn note(core: &Core, caller: &Caller, route: &Route, news: Vec<Value>) -> Result<(), Fault> {
    let (id, now) = (route.resource.id, core.now());
    let event = core.event(AuditKind::ToolsPinned, caller, now);
    let other = core.event(AuditKind::ToolsQuarantined, caller, now);
    core.store
        .write(move |tx| {
            // Whoever comes second decides from what the first has written.
            if rows::hold(tx, id)?.is_none() {
                return Ok(());
            }
            let known = gateway::tools_of(tx, id)?;
            let first_sight = known.is_empty();
            let (mut pinned, mut held) = (Vec::new(), Vec::new());
            for definition in &news {
                let Some(name) = definition.get("name").and_then(Value::as_str) else { continue };
                let (seen, digest) = (canonical(definition), digest_of(definition));
                let class = ToolClass::of_definition(definition);
                let tool = match known.iter().find(|tool| tool.name == name) {
                    Some(tool) if tool.seen == seen => continue,
                    Some(tool) => {
                        let blocked = tool.state == ToolState::Blocked;
                        // Back to what was approved is still a change that somebody may want to know of.
                        let state = if blocked { ToolState::Blocked } else { ToolState::Quarantined };
                        Tool { state, seen, changed_at: now, ..tool.clone() }
                    }
                    None if known.len() + pinned.len() + held.len() >= MAX_TOOLS => continue,
                    None => Tool {
                        name: name.to_owned(),
                        state: if first_sight && class.is_some() {
                            ToolState::Approved
                        } else {
                            ToolState::Quarantined
                        },
                        class,
                        class_set: false,
                        digest,
                        seen,
                        changed_at: now,
                        approved_by: None,
                    },
                };
                let list = if tool.state == ToolState::Approved { &mut pinned } else { &mut held };
                list.push(name.to_owned());
                gateway::put_tool(tx, id, &tool)?;
            }
            for (mut event, names) in [(event.clone(), pinned), (other.clone(), held)] {
                if !names.is_empty() {
                    event.resource_id = Some(id);
                    event.detail = json!({ "tools": names });
                    audit::append(tx, &event)?;
                }
            }
            Ok(())
        })
        .await?;
    live::refresh(core).await
}

/// The tools of a server, by name.
///
/// # Errors
/// See [`OrderError`].
pub async fn list(core: &Core, uri: &str) -> Result<Vec<Tool>, OrderError> {
    let resource = resources::find(core, uri).await?;
    Ok(core.store.read(move |tx| gateway::tools_of(tx, resource.id)).await?)
}

/// What an administrator decides of a tool.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// Its definition of now counts; with a class where one is given, else the one it has or says.
    Approve(Option<ToolClass>),
    /// Nobody calls it, however it changes.
    Block,
}

/// Decides on tools of a server by name, or on all that wait.
///
/// # Errors
/// See [`OrderError`]; then nothing has changed.
pub async fn decide(
    core: &Core,
    caller: &Caller,
    uri: &str,
    names: Vec<String>,
    decision: Decision,
) -> Result<Vec<Tool>, OrderError> {
    let resource = resources::find(core, uri).await?;
    let (id, now) = (resource.id, core.now());
    let kind = match decision {
        Decision::Approve(_) => AuditKind::ToolApproved,
        Decision::Block => AuditKind::ToolBlocked,
    };
    let by = caller.by.clone();
    let event = core.event(kind, caller, now);
    let done = core
        .store
        .write(move |tx| {
            rows::hold(tx, id)?;
            let known = gateway::tools_of(tx, id)?;
            if let Some(missing) = names.iter().find(|name| !known.iter().any(|tool| tool.name == **name)) {
                return Ok(Err(OrderError::NotFound(format!(
                    "the server has shown no tool {missing:?} yet; see `postern tool list`"
                ))));
            }
            let meant = |tool: &Tool| {
                if names.is_empty() {
                    tool.state == ToolState::Quarantined
                } else {
                    names.contains(&tool.name)
                }
            };
            let mut done = Vec::new();
            for tool in known.into_iter().filter(meant) {
                let tool = match decision {
                    Decision::Block => Tool { state: ToolState::Blocked, ..tool },
                    Decision::Approve(class) => match approved(tool, class, by.clone()) {
                        Ok(tool) => tool,
                        Err(text) => return Ok(Err(OrderError::Bad(text))),
                    },
                };
                done.push(tool);
            }
            for tool in &done {
                gateway::put_tool(tx, id, tool)?;
            }
            if !done.is_empty() {
                let mut event = event.clone();
                event.resource_id = Some(id);
                let told = done.iter().map(|tool| (tool.name.clone(), json!(tool.class)));
                event.detail = json!({ "tools": told.collect::<serde_json::Map<_, _>>() });
                audit::append(tx, &event)?;
            }
            Ok(Ok(done))
        })
        .await??;
    live::refresh(core).await?;
    Ok(done)
}

fn approved(tool: Tool, class: Option<ToolClass>, by: Option<String>) -> Result<Tool, String> {
    let definition: Value = serde_json::from_str(&tool.seen).unwrap_or_default();
    let kept = tool.class.filter(|_| tool.class_set);
    let found = class.or(kept).or_else(|| ToolClass::of_definition(&definition));
    let Some(found) = found else {
        return Err(format!(
            "the tool {:?} does not say what it can do: name a class with --class",
            tool.name
        ));
    };
    Ok(Tool {
        state: ToolState::Approved,
        class: Some(found),
        class_set: tool.class_set || class.is_some(),
        digest: digest_of(&definition),
        approved_by: by,
        ..tool
    })
}
