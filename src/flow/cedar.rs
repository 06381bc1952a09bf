//! Policies in Cedar about calls to a server behind the gateway, as administrators set them.

use super::core::{Caller, Core};
use super::live;
use super::people::OrderError;
use super::resources;
pub use crate::account::cedar::MAX_CEDAR;
use crate::account::cedar::Policies;
use crate::storage::{audit, cedar};
use crate::types::audit::AuditKind;
use crate::types::resource::Resource;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

/// Policies as they were written, and since when they hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The text.
    pub text: String,
    /// Since when.
    pub changed_at: Timestamp,
    /// Whether they cannot be read, so that nothing goes through.
    pub is_broken: bool,
}

/// Reads a set without keeping it.
///
/// # Errors
/// [`OrderError::Bad`], with everything that is wrong with it.
pub fn check(text: &str) -> Result<(), OrderError> {
    Policies::parse(text).map(drop).map_err(|why| OrderError::Bad(why.join("\n")))
}

/// The policies of a server; none where it has none.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, uri: &str) -> Result<Option<Written>, OrderError> {
    let id = resources::find(core, uri).await?.id;
    let found = core.store.read(move |tx| cedar::of(tx, id)).await?;
    Ok(found.map(|(text, changed_at)| Written {
        is_broken: Policies::parse(&text).is_err(),
        text,
        changed_at,
    }))
}

/// Sets the policies of a server; they hold from the next call on, on every node within a second.
///
/// # Errors
/// See [`OrderError`].
pub async fn set(core: &Core, caller: &Caller, uri: &str, text: String) -> Result<Resource, OrderError> {
    check(&text)?;
    let resource = resources::find(core, uri).await?;
    if resource.upstream.is_none() {
        return Err(OrderError::Bad("the server is not behind the gateway: it has no upstream".to_owned()));
    }
    let (id, now) = (resource.id, core.now());
    let mut event = core.event(AuditKind::CedarPoliciesSet, caller, now);
    event.resource_id = Some(id);
    event.detail = serde_json::json!({ "sha256": TokenDigest::of(&text).hex(), "policies": text });
    core.store
        .write(move |tx| {
            cedar::put(tx, id, &text, now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(resource)
}

/// Removes the policies of a server; whether there were any.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, uri: &str) -> Result<bool, OrderError> {
    let id = resources::find(core, uri).await?.id;
    let mut event = core.event(AuditKind::CedarPoliciesRemoved, caller, core.now());
    event.resource_id = Some(id);
    let gone = core
        .store
        .write(move |tx| {
            let gone = cedar::remove(tx, id)?;
            if gone {
                audit::append(tx, &event)?;
            }
            Ok(gone)
        })
        .await?;
    live::refresh(core).await?;
    Ok(gone)
}
