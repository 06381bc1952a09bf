//! Cutting access by a signed message, for the night when the console is out of reach (Standard Webhooks, from the other end).

use super::core::{Caller, Core};
use super::cut::By;
use super::failure::Fault;
use super::people::OrderError;
use crate::crypto::webhook;
use crate::storage::{assertions, audit, cut_hooks};
use crate::types::audit::AuditKind;
use crate::types::cut::{Hook, TARGETS};
use crate::types::id::CutHookId;
use crate::types::policy::{CLOCK_SKEW, HOOK_TOLERANCE, MAX_CUT_HOOKS, MAX_HOOK_NAME, MAX_PARAMETER};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;
use crate::types::token::TokenDigest;

pub(super) const SECRET: &str = "cut hook secret";

/// Lets a program cut access; its secret is returned once.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(
    core: &Core,
    caller: &Caller,
    by: &By,
    name: &str,
    targets: Vec<String>,
) -> Result<(Hook, Secret<String>), OrderError> {
    let fine = (1..=MAX_HOOK_NAME).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if !fine {
        return Err(OrderError::Bad(format!(
            "a name has 1 to {MAX_HOOK_NAME} characters and no space at the ends"
        )));
    }
    if let Some(bad) = targets.iter().find(|target| !TARGETS.contains(&target.as_str())) {
        return Err(OrderError::Bad(format!("{bad:?} is none of {}", TARGETS.join(", "))));
    }
    let now = core.now();
    let id = CutHookId::new(now, core.rng.as_ref());
    let secret = webhook::new_secret(core.rng.as_ref());
    let hook = Hook {
        id,
        name: name.to_owned(),
        // Everything at once is more than one who is tired should be able to type by mistake.
        targets: if targets.is_empty() {
            TARGETS.iter().filter(|one| **one != "everything").map(|one| (*one).to_owned()).collect()
        } else {
            targets
        },
        sealed_secret: core.master.seal(
            SECRET,
            &id.to_string(),
            secret.expose().as_bytes(),
            core.rng.as_ref(),
        ),
        created_at: now,
        created_by: by.name.clone(),
        last_used_at: None,
    };
    let mut event = core.event(AuditKind::CutHookAdded, caller, now);
    event.detail = serde_json::json!({ "hook": id, "name": hook.name, "targets": hook.targets });
    let row = hook.clone();
    let added = core
        .store
        .write(move |tx| {
            if cut_hooks::list(tx)?.len() >= MAX_CUT_HOOKS {
                return Ok(false);
            }
            cut_hooks::insert(tx, &row)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if added {
        Ok((hook, secret))
    } else {
        Err(OrderError::Bad(format!("there are {MAX_CUT_HOOKS} already")))
    }
}

/// All of them.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<Hook>, Fault> {
    Ok(core.store.read(cut_hooks::list).await?)
}

/// Removes one; its messages are refused from then on.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, id: &str) -> Result<Hook, OrderError> {
    let missing = || OrderError::NotFound("there is no such hook".to_owned());
    let id = CutHookId::parse(id).ok_or_else(missing)?;
    let event = core.event(AuditKind::CutHookRemoved, caller, core.now());
    let gone = core
        .store
        .write(move |tx| {
            let Some(hook) = cut_hooks::find(tx, id)? else { return Ok(None) };
            cut_hooks::remove(tx, id)?;
            let mut event = event.clone();
            event.detail = serde_json::json!({ "hook": id, "name": hook.name });
            audit::append(tx, &event)?;
            Ok(Some(hook))
        })
        .await?;
    gone.ok_or_else(missing)
}

/// A message as it came: three headers and the body, exactly.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds.
    pub seconds: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Why a message is not carried out.
#[derive(Debug)]
pub enum Denied {
    /// No such hook, or its signature does not fit: nobody is told which.
    Unsigned,
    /// Signed, but at another time than now.
    Untimely,
    /// Too many that did not fit came from this network.
    TooMany,
    /// Us.
    Fault(Fault),
}

super::failure::from_faults!(Denied);

/// A message that may be carried out.
pub struct Accepted {
    /// Whose it is.
    pub hook: Hook,
    /// Whether it was carried out before: a sender that heard no answer sends it again.
    pub again: bool,
    digest: TokenDigest,
    until: Timestamp,
}

impl Accepted {
    /// Who cuts.
    #[must_use]
    pub fn by(&self) -> By {
        By::program("hook", &self.hook.name)
    }
}

/// Reads the outside of a message: who has signed it, when, and whether it is new.
///
/// # Errors
/// See [`Denied`].
pub async fn accept(
    core: &Core,
    caller: &Caller,
    hook: &str,
    message: Message<'_>,
) -> Result<Accepted, Denied> {
    let now = core.now();
    let id = CutHookId::parse(hook);
    let found = match id {
        Some(id) => core.store.lookup(move |tx| cut_hooks::find(tx, id)).await?,
        None => None,
    };
    let opened =
        found.as_ref().map(|hook| core.master.open(SECRET, &hook.id.to_string(), &hook.sealed_secret));
    let secret = match opened {
        None => None,
        Some(None) => return Err(Fault::Bug("the secret of a hook does not open").into()),
        Some(Some(secret)) => String::from_utf8(secret.expose().clone()).ok().map(Secret::new),
    };
    let plain = !message.id.is_empty() && message.id.len() <= MAX_PARAMETER && !message.id.contains('.');
    let fits = secret.is_some_and(|secret| {
        plain
            && webhook::verify(secret.expose(), message.id, message.seconds, message.body, message.signature)
    });
    let Some(hook) = found.filter(|_| fits) else {
        if !core.hook_failures.allows(caller) {
            return Err(Denied::TooMany);
        }
        let mut event = core.event(AuditKind::CutHookRefused, caller, now);
        event.detail = serde_json::json!({ "hook": id, "because": "signature" });
        core.store.write(move |tx| audit::append(tx, &event)).await?;
        return Err(Denied::Unsigned);
    };
    let said = message.seconds.parse().map(Timestamp::from_seconds).map_err(|_| Denied::Untimely)?;
    if said.plus(HOOK_TOLERANCE) < now || said > now.plus(CLOCK_SKEW) {
        return Err(Denied::Untimely);
    }
    let digest = TokenDigest::of(&format!("cut hook\n{}\n{}", hook.id, message.id));
    let again = core.store.lookup(move |tx| assertions::is_known(tx, &digest)).await?;
    // As long as the same message would still be timely.
    let until = said.plus(HOOK_TOLERANCE).plus(CLOCK_SKEW);
    Ok(Accepted { hook, again, digest, until })
}

/// Notes that a message was carried out. Only then: one that was interrupted is carried out when it comes again.
///
/// # Errors
/// A fault.
pub async fn done(core: &Core, accepted: &Accepted) -> Result<(), Fault> {
    let (digest, until, id, now) = (accepted.digest, accepted.until, accepted.hook.id, core.now());
    Ok(core
        .store
        .write(move |tx| {
            assertions::remember(tx, &digest, until)?;
            cut_hooks::used(tx, id, now)
        })
        .await?)
}
