//! Whether an identity provider still knows somebody: asked when their tokens are refreshed, so that who is switched off
//! there is out here at the next refresh.

use super::core::{Caller, Core};
use super::failure::{Failure, Fault};
use super::live;
use super::providers::secret_of;
use crate::oauth::refusal::Reason;
use crate::outbound::provider::{Given, ProviderError};
use crate::storage::grants::GrantFilter;
use crate::storage::{audit, families, grants, identities, sessions};
use crate::types::audit::AuditKind;
use crate::types::id::IdentityId;
use crate::types::identity::{Identity, Provider};
use crate::types::policy::{UPSTREAM_CHECK, UPSTREAM_CLAIM, UPSTREAM_GRACE};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

pub(super) const UPSTREAM: &str = "identity provider refresh token";

/// Seals the refresh token that a provider gave for somebody.
pub(super) fn seal(core: &Core, id: IdentityId, token: &Secret<String>) -> Vec<u8> {
    core.master.seal(UPSTREAM, &id.to_string(), token.expose().as_bytes(), core.rng.as_ref())
}

/// Refuses the refresh of tokens that rest on an identity which is no more: unlinked, its provider switched off or
/// removed, or no longer known there. The provider is asked at most once in [`UPSTREAM_CHECK`]; while it cannot be
/// reached, its last word counts for [`UPSTREAM_GRACE`].
///
/// # Errors
/// [`Reason::BadRefreshToken`], or a fault: never a refusal because somebody did not answer.
pub(super) async fn check(
    core: &Core,
    caller: &Caller,
    identity: IdentityId,
    now: Timestamp,
) -> Result<(), Failure> {
    let found = core
        .store
        .lookup(move |tx| {
            let Some(identity) = identities::find(tx, identity)? else { return Ok(None) };
            let provider = identities::provider(tx, &identity.provider_id)?;
            Ok(provider.map(|provider| (identity, provider)))
        })
        .await?;
    let Some((identity, provider)) = found.filter(|(_, provider)| provider.disabled_at.is_none()) else {
        return Err(Reason::BadRefreshToken.into());
    };
    let since = identity.checked_at.map_or(UPSTREAM_GRACE, |at| now.since(at));
    let Some(sealed) = identity.upstream.clone() else {
        // The provider has never given us anything to ask it with, or has refused it and everything has ended.
        return Ok(());
    };
    if since < UPSTREAM_CHECK {
        return Ok(());
    }
    let (id, held) = (identity.id, sealed.clone());
    let until = now.plus(UPSTREAM_CLAIM);
    let claimed = core.store.write(move |tx| identities::claim_check(tx, id, &held, now, until)).await?;
    let asked = if claimed { ask(core, caller, &provider, &identity, &sealed, now).await } else { Ok(None) };
    match asked {
        Ok(Some(Answer::Known)) => Ok(()),
        Ok(Some(Answer::Unknown)) => Err(Reason::BadRefreshToken.into()),
        Ok(None) if since < UPSTREAM_GRACE => Ok(()),
        Ok(None) => Err(Fault::Upstream.into()),
        Err(fault) => Err(fault.into()),
    }
}

enum Answer {
    Known,
    Unknown,
}

/// Asks the provider by refreshing there; `None` when it gives no answer that says anything about the person.
async fn ask(
    core: &Core,
    caller: &Caller,
    provider: &Provider,
    identity: &Identity,
    sealed: &[u8],
    now: Timestamp,
) -> Result<Option<Answer>, Fault> {
    let opened = core.master.open(UPSTREAM, &identity.id.to_string(), sealed);
    let token = opened.and_then(|bytes| String::from_utf8(bytes.expose().clone()).ok());
    let token =
        Secret::new(token.ok_or(Fault::Bug("the master key does not open a provider's refresh token"))?);
    let secret = secret_of(core, provider)?;
    let answer = async {
        let metadata = core.providers.metadata(provider, now).await?;
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.expose().as_str())];
        core.providers.token(provider, &metadata, &secret, &form).await
    }
    .await;
    match answer {
        Ok(Given { refresh_token, .. }) => {
            // Kept before anything else happens: the old one may be dead already.
            let rotated = refresh_token.map(|token| seal(core, identity.id, &token));
            let id = identity.id;
            core.store.write(move |tx| identities::checked(tx, id, rotated.as_deref(), now)).await?;
            Ok(Some(Answer::Known))
        }
        Err(ProviderError::Refused(code)) if code == "invalid_grant" => {
            let ended = end(core, caller, identity, sealed, now).await?;
            Ok(ended.then_some(Answer::Unknown))
        }
        Err(error) => {
            tracing::warn!(provider = %provider.id, %error, "an identity provider does not say whether it still knows somebody");
            Ok(None)
        }
    }
}

/// Ends every sign-in and every token of somebody whom their provider does not know any more. Their approvals stay, for the
/// day they come back. `false` when another node has a newer token for them.
async fn end(
    core: &Core,
    caller: &Caller,
    identity: &Identity,
    refused: &[u8],
    now: Timestamp,
) -> Result<bool, Fault> {
    let mut event = core.event(AuditKind::IdentityEnded, caller, now);
    event.user_id = Some(identity.user_id);
    event.detail = serde_json::json!({ "provider": identity.provider_id, "sub": identity.sub });
    let (id, user, refused) = (identity.id, identity.user_id, refused.to_vec());
    let ended = core
        .store
        .write(move |tx| {
            if !identities::forget_upstream(tx, id, &refused)? {
                return Ok(false);
            }
            // Grants first, then families: the order in which everyone locks them.
            let filter = GrantFilter { user_id: Some(user), ..GrantFilter::default() };
            grants::revoke_tokens(tx, &filter, now)?;
            families::revoke_by_user(tx, user, now)?;
            sessions::end(tx, user, None, None)?;
            audit::append(tx, &event)?;
            Ok(true)
        })
        .await?;
    if ended {
        live::refresh(core).await?;
    }
    Ok(ended)
}
