//! Invitations: an administrator names an address, and whoever reads its mail makes the account.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::letters;
use super::login::new_session;
use super::outbox::written;
use super::people::OrderError;
use crate::account::password::{self, PasswordProblem};
use crate::storage::{StoreError, Tx, audit, invitations, outbox, sessions, users};
use crate::types::audit::AuditKind;
use crate::types::factor::{Method, Methods};
use crate::types::id::{InvitationId, UserId};
use crate::types::mail::Invitation;
use crate::types::policy::{INVITATION_TTL, MAIL_GIVE_UP, MAX_GROUPS, MAX_PERSON_NAME};
use crate::types::secret::Secret;
use crate::types::token::{Token, TokenKind};
use crate::types::user::{Email, Role, User};

/// Somebody to be invited.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// E-mail address.
    pub email: String,
    /// Name to begin with.
    pub name: Option<String>,
    /// Role.
    pub role: Role,
    /// Groups.
    pub groups: Vec<String>,
}

/// An invitation that was just made.
pub struct Invited {
    /// The invitation.
    pub invitation: Invitation,
    /// Its link, for the administrator to hand on, while no mail is sent here.
    pub link: Option<String>,
}

/// Invites somebody, in place of an earlier invitation for the same address.
///
/// # Errors
/// See [`OrderError`].
pub async fn invite(core: &Core, caller: &Caller, new: NewInvitation) -> Result<Invited, OrderError> {
    let email = Email::parse(&new.email).map_err(OrderError::Bad)?;
    let name = named(new.name.as_deref().unwrap_or_default()).map_err(OrderError::Bad)?;
    let mut groups: Vec<String> = new.groups.iter().map(|group| group.trim().to_owned()).collect();
    groups.sort();
    groups.dedup();
    let odd = |group: &String| group.is_empty() || group.chars().any(char::is_control);
    if groups.len() > MAX_GROUPS || groups.iter().any(odd) {
        return Err(OrderError::Bad(format!("groups have names, and a person has at most {MAX_GROUPS}")));
    }
    let now = core.now();
    let wanted = email.clone();
    if core.store.read(move |tx| users::find_by_email(tx, &wanted)).await?.is_some() {
        return Err(OrderError::Exists(format!("there is a user {} already", email.as_str())));
    }
    let token = Token::generate(TokenKind::Invitation, core.rng.as_ref());
    let inviter = caller.by.clone().unwrap_or_else(|| "an administrator".to_owned());
    let invitation = Invitation {
        id: InvitationId::new(now, core.rng.as_ref()),
        digest: token.digest(),
        email: email.as_str().to_owned(),
        name,
        role: new.role,
        groups,
        invited_by: inviter.clone(),
        created_at: now,
        expires_at: now.plus(INVITATION_TTL),
        accepted_at: None,
        revoked_at: None,
    };
    let link = core.policy.issuer.url(&format!("/invitation?token={}", token.expose()));
    // Only an address is a name that means something to whoever is invited.
    let from = if inviter.contains('@') { inviter.as_str() } else { "An administrator" };
    let letter = letters::invitation(core, email.as_str(), from, &link)?;
    let mails = written(core, "invitation", None, letter, MAIL_GIVE_UP)?;
    let mut event = core.event(AuditKind::InvitationMade, caller, now);
    event.detail = serde_json::json!({
        "invitation": invitation.id.to_string(), "email": invitation.email, "role": invitation.role.as_str(),
        "groups": invitation.groups,
    });
    let stored = invitation.clone();
    let link = mails.is_empty().then_some(link);
    core.store
        .write(move |tx| {
            invitations::insert(tx, &stored, &email)?;
            outbox::insert_all(tx, &mails)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(Invited { invitation, link })
}

/// A name as it is kept: none when it is empty.
fn named(text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.chars().count() > MAX_PERSON_NAME || text.chars().any(char::is_control) {
        return Err(format!("a name is one line of at most {MAX_PERSON_NAME} characters"));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// Invitations, newest first, so many of those before one of them.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, before: Option<InvitationId>, limit: i64) -> Result<Vec<Invitation>, Fault> {
    Ok(core.store.read(move |tx| invitations::list(tx, before, limit)).await?)
}

/// Takes an open invitation back; its link is dead.
///
/// # Errors
/// See [`OrderError`].
pub async fn revoke(core: &Core, caller: &Caller, id: &str) -> Result<Invitation, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no open invitation {id}"));
    let parsed = InvitationId::parse(id).ok_or_else(missing)?;
    let now = core.now();
    let mut event = core.event(AuditKind::InvitationRevoked, caller, now);
    let done = core
        .store
        .write({
            event.detail = serde_json::json!({ "invitation": id });
            move |tx| {
                let Some(invitation) = invitations::revoke(tx, parsed, now)? else { return Ok(None) };
                audit::append(tx, &event)?;
                Ok(Some(invitation))
            }
        })
        .await?;
    done.ok_or_else(missing)
}

/// The invitation of a link, if it is open. It is not used up by looking.
///
/// # Errors
/// A fault.
pub async fn open(core: &Core, link: &str) -> Result<Option<Invitation>, Fault> {
    let Some(token) = Token::parse(TokenKind::Invitation, link) else { return Ok(None) };
    let (digest, now) = (token.digest(), core.now());
    Ok(core
        .store
        .read(move |tx| match invitations::find_open(tx, &digest, now)? {
            Some(found) if may_invite(tx, &found.invited_by)? => Ok(Some(found)),
            _ => Ok(None),
        })
        .await?)
}

/// Whether whoever invited somebody may do so still: a person who administers, or a program or the command line, which are no
/// person.
fn may_invite(tx: &mut Tx<'_>, inviter: &str) -> Result<bool, StoreError> {
    let Ok(email) = Email::parse(inviter) else { return Ok(true) };
    let found = users::find_by_email(tx, &email)?;
    Ok(found.is_some_and(|user| user.disabled_at.is_none() && user.role == Role::Admin))
}

/// How accepting ends.
pub enum Accepted {
    /// There is a person now, and they are signed in; the cookie's value.
    Done(Token),
    /// The link does not work (any more).
    BadLink,
    /// That is no name.
    BadName,
    /// The password will not do.
    Bad(PasswordProblem),
    /// This address has got an account in the meantime.
    Exists(String),
}

/// Makes the account of an invited person, and signs them in.
///
/// # Errors
/// A fault; [`Fault::Busy`] when too many hashes wait.
pub async fn accept(
    core: &Core,
    caller: &Caller,
    link: &str,
    name: &str,
    secret: Secret<String>,
) -> Result<Accepted, Fault> {
    let Some(invitation) = open(core, link).await? else { return Ok(Accepted::BadLink) };
    let Ok(email) = Email::parse(&invitation.email) else { return Ok(Accepted::BadLink) };
    let Ok(name) = named(name) else { return Ok(Accepted::BadName) };
    if let Err(why) = password::check(secret.expose(), email.as_str()) {
        return Ok(Accepted::Bad(why));
    }
    let hash = core.hasher.hash(secret).await.map_err(|_| Fault::Busy)?;
    let now = core.now();
    let user = User {
        id: UserId::new(now, core.rng.as_ref()),
        email: email.as_str().to_owned(),
        name,
        role: invitation.role,
        groups: invitation.groups,
        password_hash: Some(hash),
        second_factor_required: false,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let cookie = Token::generate(TokenKind::Session, core.rng.as_ref());
    let session = new_session(core, caller, &user, &cookie, &Methods::of(&[Method::Password]));
    let mut event = core.event(AuditKind::InvitationAccepted, caller, now);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({
        "invitation": invitation.id.to_string(), "email": user.email, "role": user.role.as_str(),
        "invited_by": invitation.invited_by,
    });
    let (digest, inviter) = (invitation.digest, invitation.invited_by.clone());
    let done = core
        .store
        .write(move |tx| {
            // Whoever may not invite any more has invited nobody.
            if !may_invite(tx, &inviter)? || !invitations::accept(tx, &digest, now)? {
                return Ok(false);
            }
            users::insert(tx, &user, &email)?;
            sessions::insert(tx, &session)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await;
    match done {
        Ok(true) => Ok(Accepted::Done(cookie)),
        Ok(false) => Ok(Accepted::BadLink),
        Err(StoreError::Conflict) => Ok(Accepted::Exists(invitation.email)),
        Err(error) => Err(error.into()),
    }
}
