//! Making an access token (RFC 9068): everything that is needed before the write, so that nobody waits for a
//! signature while holding the database.

use std::time::Duration;

use super::core::Core;
use super::failure::Fault;
use crate::types::access_token::{ACCESS_TOKEN_TYPE, AccessTokenClaims, Status, StatusReference};
use crate::types::client::ClientId;
use crate::types::factor::Methods;
use crate::types::grant::AccessToken;
use crate::types::id::{FamilyId, GrantId, TokenId};
use crate::types::policy::STATUS_LIST_SIZE;
use crate::types::resource::Resource;
use crate::types::scope::ScopeSet;
use crate::types::time::Timestamp;

/// What an access token says.
pub struct Mint<'a> {
    /// For which resource.
    pub resource: &'a Resource,
    /// Whom it stands for: a person's id, or the client's own.
    pub sub: String,
    /// Which client holds it.
    pub client_id: &'a ClientId,
    /// What it allows.
    pub scopes: &'a ScopeSet,
    /// The approval it rests on.
    pub grant_id: GrantId,
    /// The family it belongs to.
    pub family_id: Option<FamilyId>,
    /// When the person signed in.
    pub auth_time: Option<Timestamp>,
    /// And how.
    pub methods: &'a Methods,
    /// When approval or family end; no token outlives them.
    pub not_after: Timestamp,
}

/// A signed token and the record that must be committed before it leaves.
pub struct Minted {
    /// The compact JWT.
    pub jwt: String,
    /// Its record.
    pub record: AccessToken,
    /// Seconds until it ends.
    pub expires_in: i64,
}

/// Signs an access token.
///
/// # Errors
/// A fault of the database or the keys.
pub async fn mint(core: &Core, what: Mint<'_>, now: Timestamp) -> Result<Minted, Fault> {
    let ttl = what.resource.access_token_ttl.and_then(|seconds| u64::try_from(seconds).ok());
    let ttl = ttl.map_or(core.policy.access_token_ttl, Duration::from_secs);
    let iat = now.seconds();
    let exp = now.plus(ttl).seconds().min(what.not_after.seconds()).max(iat + 1);
    let index = core.next_status_index().await?;
    core.usage.issued(what.grant_id, &what.sub, what.client_id, now);
    let id = TokenId::new(now, core.rng.as_ref());
    let claims = AccessTokenClaims {
        iss: core.policy.issuer.as_str().to_owned(),
        sub: what.sub,
        aud: what.resource.uri.as_str().to_owned(),
        exp,
        iat,
        jti: id,
        client_id: what.client_id.clone(),
        scope: what.scopes.clone(),
        grant_id: what.grant_id,
        auth_time: what.auth_time.map(Timestamp::seconds),
        acr: what.methods.level().map(|level| level.as_str().to_owned()),
        amr: what.methods.names().into_iter().map(str::to_owned).collect(),
        status: Status {
            status_list: StatusReference {
                idx: index.rem_euclid(STATUS_LIST_SIZE),
                uri: core.policy.issuer.url(&format!("/status-lists/{}", index.div_euclid(STATUS_LIST_SIZE))),
            },
        },
    };
    let jwt = core.live.view().keys.sign(what.resource.signing_alg, ACCESS_TOKEN_TYPE, &claims, now)?;
    let record = AccessToken {
        id,
        status_index: index,
        grant_id: what.grant_id,
        family_id: what.family_id,
        expires_at: Timestamp::from_seconds(exp),
        revoked_at: None,
    };
    Ok(Minted { jwt, record, expires_in: exp - iat })
}
