//! Cedar policies about calls to servers behind the gateway, as administrators set them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::core::{Caller, Core};
use super::live;
use super::people::OrderError;
use super::resources;
pub use crate::account::cedar::SCHEMA;
use crate::account::cedar::{Checked, Names, Policies, check as checked};
use crate::storage::cedar::{self as rows, StoredCedar};
use crate::storage::{audit, resources as servers};
use crate::types::audit::AuditKind;
use crate::types::hex::hex;
use crate::types::resource::Resource;
use crate::types::time::Timestamp;

/// The policies of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// As they were written.
    pub policies: String,
    /// Their SHA-256 digest in hexadecimal, by which the log names them.
    pub digest: String,
    /// Since when.
    pub set_at: Timestamp,
    /// Who set them, where that was a person.
    pub set_by: Option<String>,
    /// What keeps them from being read, if anything does; then every call is refused.
    pub problem: Option<String>,
}

impl Shown {
    fn of(stored: StoredCedar) -> Self {
        let read = Policies::stored("", stored.policies);
        Self {
            digest: digest(read.text()),
            problem: read.problem().map(str::to_owned),
            policies: read.text().to_owned(),
            set_at: stored.set_at,
            set_by: stored.set_by,
        }
    }
}

fn digest(policies: &str) -> String {
    hex(&Sha256::digest(policies.as_bytes()))
}

/// Checks policies that are for no server yet.
///
/// # Errors
/// See [`OrderError`].
pub fn check(policies: &str) -> Result<Checked, OrderError> {
    checked(policies, None).map_err(|problems| OrderError::Bad(problems.join("; ")))
}

/// What looks like a mistake in the policies of a server, in words.
#[must_use]
pub fn warnings(core: &Core, resource: &Resource, policies: &str) -> Vec<String> {
    let found = checked(policies, Some(names(core, resource).as_names()));
    found.map_or_else(|problems| problems, |found| found.warnings)
}

/// The policies of a server.
///
/// # Errors
/// See [`OrderError`]; not found where it has none.
pub async fn show(core: &Core, uri: &str) -> Result<Shown, OrderError> {
    let resource = resources::find(core, uri).await?;
    let found = core.store.read(move |tx| rows::of(tx, resource.id)).await?;
    found.map(Shown::of).ok_or_else(|| none(uri))
}

fn none(uri: &str) -> OrderError {
    OrderError::NotFound(format!("{uri} has no Cedar policies"))
}

/// Sets the policies of a server, in the place of those before; they hold from the next call on, on every node within a second.
/// What looks like a mistake, in words.
///
/// # Errors
/// See [`OrderError`].
pub async fn set(
    core: &Core,
    caller: &Caller,
    uri: &str,
    policies: String,
) -> Result<(Shown, Vec<String>), OrderError> {
    let resource = resources::find(core, uri).await?;
    if resource.upstream.is_none() {
        return Err(OrderError::Bad("the server is not behind the gateway: it has no upstream".to_owned()));
    }
    let found = checked(&policies, Some(names(core, &resource).as_names()))
        .map_err(|problems| OrderError::Bad(problems.join("; ")))?;
    let now = core.now();
    let new = StoredCedar { resource_id: resource.id, policies, set_at: now, set_by: caller.by.clone() };
    let mut event = core.event(AuditKind::CedarSet, caller, now);
    event.resource_id = Some(resource.id);
    let shown = Shown::of(new.clone());
    let told = told(&shown, found.count);
    core.store
        .write(move |tx| {
            servers::hold(tx, new.resource_id)?;
            let mut event = event.clone();
            event.detail = told.clone();
            if let (Some(detail), Some(old)) = (event.detail.as_object_mut(), rows::of(tx, new.resource_id)?)
            {
                detail.insert("before".to_owned(), digest(&old.policies).into());
            }
            rows::put(tx, &new)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok((shown, found.warnings))
}

fn told(shown: &Shown, count: usize) -> Value {
    json!({ "digest": shown.digest, "bytes": shown.policies.len(), "policies": count })
}

/// Removes the policies of a server, so that scopes, classes and rules decide alone.
///
/// # Errors
/// See [`OrderError`]; not found where it has none.
pub async fn remove(core: &Core, caller: &Caller, uri: &str) -> Result<Shown, OrderError> {
    let resource = resources::find(core, uri).await?;
    let mut event = core.event(AuditKind::CedarRemoved, caller, core.now());
    event.resource_id = Some(resource.id);
    let gone = core
        .store
        .write(move |tx| {
            let Some(gone) = rows::remove(tx, resource.id)? else { return Ok(None) };
            let mut event = event.clone();
            event.detail = json!({ "digest": digest(&gone.policies) });
            audit::append(tx, &event)?;
            Ok(Some(gone))
        })
        .await?
        .ok_or_else(|| none(uri))?;
    live::refresh(core).await?;
    Ok(Shown::of(gone))
}

/// Names that a server has.
struct OwnNames {
    server: String,
    roles: BTreeSet<String>,
    tools: BTreeSet<String>,
}

impl OwnNames {
    fn as_names(&self) -> Names<'_> {
        Names { server: &self.server, roles: &self.roles, tools: &self.tools }
    }
}

fn names(core: &Core, resource: &Resource) -> OwnNames {
    let view = core.live.view();
    let route = resource.slug.as_ref().and_then(|slug| view.routes.get(slug));
    OwnNames {
        server: resource.uri.to_string(),
        roles: resource.role_names().into_iter().map(ToString::to_string).collect(),
        tools: route.map(|route| route.tools.keys().cloned().collect()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::call::Ask;
    use crate::types::callers::CallerFacts;
    use crate::types::resource::PassKind;
    use crate::types::tool::ToolClass;

    /// Policies as deep as they may be are read, checked and judged on half the stack that a thread has here.
    #[test]
    fn the_deepest_policies_fit_on_the_stack() {
        let when = |inner: String| format!("permit(principal, action, resource) when {{ {inner} }};");
        let nest =
            |open: &str, close: &str, n: usize| when(format!("{}true{}", open.repeat(n), close.repeat(n)));
        let chain = |join: &str| when(format!("true{}", format!("{join} true").repeat(145)));
        let texts = [
            chain("&&"),
            chain("||"),
            chain("+"),
            when(format!("context.arguments{}", ".a".repeat(145))),
            format!("permit(principal, action, resource) {};", "when { true }".repeat(145)),
            nest("(", ")", 15),
            nest("[", "]", 15),
            nest("{a:", "}", 14),
            nest("!(", ")", 15),
            nest("[[1].containsAll(", ")]", 7),
            nest("if true then ", " else true", 8),
            nest("(if true && true then ((((((true)))))) && ", " else true)", 8),
        ];
        let machine = CallerFacts { kind: PassKind::Machine, client: "robot", standing: None };
        let run = move || {
            for text in texts {
                let read = Policies::stored("https://r/mcp", text.clone());
                assert_eq!(read.problem(), None, "{text}");
                let _ = checked(&text, None);
                let _ = read.judge(Ask::Tool("look"), ToolClass::Read, machine, Some(&json!({})));
            }
        };
        std::thread::Builder::new().stack_size(1024 * 1024).spawn(run).unwrap().join().unwrap();
    }
}
