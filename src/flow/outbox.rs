//! Mail: written in the transaction of what it tells of, and sent by a job, so that no request waits for a mail server.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters::{self, Notice};
use super::login::network_key;
use super::reset::{self, Asked};
use crate::outbound::mail::MailError;
use crate::storage::{StoreError, Tx, audit, outbox, throttles};
use crate::types::audit::AuditKind;
use crate::types::duration::doubling;
use crate::types::id::{MailId, UserId};
use crate::types::mail::{Letter, Waiting};
use crate::types::policy::{
    MAIL_ASKED_WINDOW, MAIL_BATCH, MAIL_FIRST_WAIT, MAIL_GIVE_UP, MAIL_LEASE, MAIL_LONGEST_WAIT,
    MAILS_PER_ACCOUNT, MAILS_PER_NETWORK,
};
use crate::types::time::Timestamp;
use crate::types::user::User;

pub(super) const SEALED: &str = "mail";
/// Rounds of one run of the job; what is left is for the next.
const ROUNDS: usize = 50;

/// What waits in the outbox.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    /// A mail.
    Letter(Letter),
    /// Somebody has asked for a new password. Whether there is an account to write to is looked at by the job, so that
    /// the request does the same whether there is one or not.
    Reset(Asked),
}

/// A mail to be stored with what it tells of; none while mail is off. `life` is how long it makes sense to send it.
///
/// # Errors
/// A fault.
pub fn written(
    core: &Core,
    kind: &str,
    user: Option<UserId>,
    letter: Letter,
    life: Duration,
) -> Result<Vec<Waiting>, Fault> {
    if !core.policy.mail.is_on() {
        return Ok(Vec::new());
    }
    Ok(vec![waiting(core, kind, user, &Content::Letter(letter), life)?])
}

/// A mail that tells a person what has happened to their account; none while mail is off.
///
/// # Errors
/// A fault.
pub fn noticed(core: &Core, caller: &Caller, user: &User, notice: Notice) -> Result<Vec<Waiting>, Fault> {
    if !core.policy.mail.is_on() {
        return Ok(Vec::new());
    }
    let letter = letters::notice(core, user, notice, caller, core.now())?;
    written(core, "notice", Some(user.id), letter, MAIL_GIVE_UP)
}

/// Something for the job to do.
pub(super) fn waiting(
    core: &Core,
    kind: &str,
    user: Option<UserId>,
    content: &Content,
    life: Duration,
) -> Result<Waiting, Fault> {
    let now = core.now();
    let id = MailId::new(now, core.rng.as_ref());
    let text = serde_json::to_vec(content).map_err(|_| Fault::Bug("a mail does not serialise"))?;
    Ok(Waiting {
        id,
        kind: kind.to_owned(),
        user_id: user,
        sealed: core.master.seal(SEALED, &id.to_string(), &text, core.rng.as_ref()),
        created_at: now,
        due_at: now,
        tries: 0,
        give_up_at: now.plus(life.min(MAIL_GIVE_UP)),
    })
}

/// The names under which mails that somebody asks for are counted, with how many there may be.
pub(super) fn mail_keys(account: String, caller: &Caller) -> Vec<(String, i64)> {
    let network = network_key(caller).map(|key| (format!("mail from {key}"), MAILS_PER_NETWORK));
    std::iter::once((format!("mail to {account}"), MAILS_PER_ACCOUNT)).chain(network).collect()
}

/// Counts a mail that somebody asks for; how long they have to wait, when there were too many.
///
/// # Errors
/// A fault of the database.
pub(super) fn count_mail(
    tx: &mut Tx<'_>,
    keys: &[(String, i64)],
    now: Timestamp,
) -> Result<Option<Duration>, StoreError> {
    // Counted first: whoever counts the same at the same time waits here, and then sees whether it is too much.
    let mut wait = None;
    for (key, most) in keys {
        let count = throttles::count(tx, key, now.minus(MAIL_ASKED_WINDOW), now)?;
        let blocked = throttles::find(tx, key)?.map(|known| known.blocked_until).filter(|until| *until > now);
        match blocked {
            Some(until) => wait = wait.max(Some(until.since(now))),
            None if count >= *most => throttles::block(tx, key, now.plus(MAIL_ASKED_WINDOW))?,
            None => {}
        }
    }
    Ok(wait)
}

/// Sends what is due.
///
/// # Errors
/// A fault of the database.
pub async fn deliver(core: &Core) -> Result<(), Fault> {
    if !core.policy.mail.is_on() {
        return Ok(());
    }
    super::alert_mail::gather(core).await?;
    for _ in 0..ROUNDS {
        let now = core.now();
        let due = core.store.read(move |tx| outbox::due(tx, now, MAIL_BATCH)).await?;
        if due.is_empty() {
            break;
        }
        for mail in due {
            attempt(core, mail).await?;
        }
    }
    Ok(())
}

/// One try at one mail, by one node.
async fn attempt(core: &Core, mail: Waiting) -> Result<(), Fault> {
    let now = core.now();
    let until = now.plus(MAIL_LEASE);
    let seen = mail.clone();
    if !core.store.write(move |tx| outbox::lease(tx, &seen, until)).await? {
        return Ok(());
    }
    let opened = core.master.open(SEALED, &mail.id.to_string(), &mail.sealed);
    let letter = match opened.and_then(|text| serde_json::from_slice(text.expose()).ok()) {
        Some(Content::Letter(letter)) => letter,
        Some(Content::Reset(asked)) => return reset::answer(core, &mail, until, asked).await,
        None => return give_up(core, &mail, until, "it was sealed under another key").await,
    };
    let error = match core.mailer.send(mail.id, &letter, mail.created_at).await {
        Ok(()) => {
            tracing::info!(mail = %mail.id, kind = mail.kind, "mail sent");
            core.store.write(move |tx| outbox::remove(tx, mail.id, until)).await?;
            return Ok(());
        }
        Err(error) => error,
    };
    let next = core.now().plus(wait_after(mail.tries));
    if error == MailError::Address || next >= mail.give_up_at {
        return give_up(core, &mail, until, &error.to_string()).await;
    }
    tracing::warn!(mail = %mail.id, kind = mail.kind, cause = %error, "mail not sent; it will be tried again");
    Ok(core.store.write(move |tx| outbox::put_off(tx, mail.id, until, next)).await?)
}

async fn give_up(core: &Core, mail: &Waiting, until: Timestamp, why: &str) -> Result<(), Fault> {
    tracing::error!(mail = %mail.id, kind = mail.kind, cause = why, "mail given up");
    let mut event = core.event(AuditKind::MailGivenUp, &Caller::job(), core.now());
    event.user_id = mail.user_id;
    event.detail = serde_json::json!({ "kind": mail.kind, "tries": mail.tries + 1, "why": why });
    let id = mail.id;
    Ok(core
        .store
        .write(move |tx| {
            if outbox::remove(tx, id, until)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?)
}

/// How long to wait after this many tries that failed before.
fn wait_after(failed: i64) -> Duration {
    doubling(MAIL_FIRST_WAIT, MAIL_LONGEST_WAIT, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let waits: Vec<u64> = [0, 1, 2, 8, 9, 40, i64::MAX].map(|n| wait_after(n).as_secs()).to_vec();
        assert_eq!(waits, [10, 20, 40, 2_560, 3_600, 3_600, 3_600]);
    }
}
