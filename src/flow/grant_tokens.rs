//! Tokens for clients without OAuth. Each stands for one person at one server, rests on an approval of its own, and ends with
//! it: it is listed, narrowed and cut like every other access.

use std::time::Duration;

use super::core::{Caller, Core};
use super::live;
use super::people::{self, OrderError};
use super::resources;
use crate::account::permission::permitted;
use crate::storage::grant_tokens::{self, GrantToken};
use crate::storage::{audit, clients, grants};
use crate::types::audit::AuditKind;
use crate::types::client::{AuthMethod, Client, ClientId, ClientKind, ClientMetadata};
use crate::types::grant::Grant;
use crate::types::id::{GrantId, TokenId};
use crate::types::policy::MAX_GRANT_TOKEN_TTL;
use crate::types::scope::ScopeSet;
use crate::types::token::{Token, TokenKind};

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewGrantToken {
    /// For whom, by e-mail.
    pub user: String,
    /// At which server behind the gateway.
    pub resource: String,
    /// What it is for, for people: the name of a client or of a machine.
    pub name: String,
    /// What it allows; what the server gives by default when empty.
    pub scopes: Vec<String>,
    /// The tools that it may call; all that its scopes allow when empty.
    pub tools: Vec<String>,
    /// How long it lives.
    pub ttl: Duration,
}

/// Makes one. The secret is in the answer and nowhere else.
///
/// # Errors
/// See [`OrderError`].
pub async fn create(core: &Core, caller: &Caller, new: NewGrantToken) -> Result<(Grant, Token), OrderError> {
    let resource = resources::find(core, &new.resource).await?;
    if resource.upstream.is_none() {
        return Err(OrderError::Bad(format!(
            "{} is not behind the gateway, and grant tokens are good there only",
            resource.uri
        )));
    }
    let user = people::find(core, &new.user).await?;
    if user.disabled_at.is_some() {
        return Err(OrderError::Bad(format!("{} is switched off", user.email)));
    }
    if new.ttl.is_zero() || new.ttl > MAX_GRANT_TOKEN_TTL {
        return Err(OrderError::Bad(format!(
            "a grant token lives from 1s to {} days",
            MAX_GRANT_TOKEN_TTL.as_secs() / 86_400
        )));
    }
    let name = new.name.trim();
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(OrderError::Bad("a name has 1 to 100 characters and no control characters".to_owned()));
    }
    let asked: ScopeSet =
        if new.scopes.is_empty() { resource.default_scopes() } else { new.scopes.iter().cloned().collect() };
    if let Some(unknown) = asked.difference(&resource.scope_set()).iter().next() {
        return Err(OrderError::Bad(format!("the server has no scope {unknown:?}")));
    }
    let allowed = permitted(&resource, &user);
    if !allowed.at_all || !allowed.scopes.includes(&asked) {
        let missing = asked.difference(&allowed.scopes);
        return Err(OrderError::Bad(format!("no role allows {} this: {missing}", user.email)));
    }
    let now = core.now();
    let client = Client {
        id: ClientId::generate(core.rng.as_ref()),
        kind: ClientKind::PreRegistered,
        metadata: ClientMetadata {
            client_name: Some(name.to_owned()),
            token_endpoint_auth_method: Some(AuthMethod::None),
            ..ClientMetadata::default()
        },
        secret_digest: None,
        registration_digest: None,
        resources: Vec::new(),
        created_at: now,
        updated_at: now,
        disabled_at: None,
        first_granted_at: Some(now),
        document_fresh_until: None,
        document_version: 0,
    };
    let grant = Grant {
        id: GrantId::new(now, core.rng.as_ref()),
        user_id: Some(user.id),
        client_id: client.id.clone(),
        resource_id: resource.id,
        scopes: asked,
        client_fingerprint: client.fingerprint(),
        created_at: now,
        updated_at: now,
        expires_at: now.plus(new.ttl),
        last_used_at: None,
        last_used_address: None,
        revoked_at: None,
        narrowed_at: None,
    };
    let secret = Token::generate(TokenKind::Grant, core.rng.as_ref());
    let token = GrantToken {
        id: TokenId::new(now, core.rng.as_ref()),
        digest: secret.digest(),
        grant: grant.clone(),
        tools: (!new.tools.is_empty()).then_some(new.tools),
    };
    let mut event = core.event(AuditKind::GrantTokenMade, caller, now);
    event.user_id = Some(user.id);
    event.client_id = Some(client.id.clone());
    event.grant_id = Some(grant.id);
    event.resource_id = Some(resource.id);
    event.detail = serde_json::json!({
        "name": name, "scope": grant.scopes, "tools": token.tools, "until": grant.expires_at.rfc3339(),
    });
    core.store
        .write(move |tx| {
            clients::insert(tx, &client)?;
            grants::insert(tx, &token.grant)?;
            grant_tokens::insert(tx, &token, now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok((grant, secret))
}
