//! Identity providers, as administrators manage them.

use super::core::{Caller, Core};
use super::failure::Fault;
use super::live;
use super::people::{self, OrderError};
use crate::outbound::provider::ProviderError;
use crate::storage::{StoreError, audit, identities};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::id::{IdentityId, UserId};
use crate::types::identity::{Identity, Provider, ProviderId, Rules};
use crate::types::policy::{MAX_CLAIMED_TEXT, MAX_PROVIDER_RULES};
use crate::types::scope::is_scope;
use crate::types::secret::Secret;

pub(super) const SECRET: &str = "identity provider secret";

/// A provider to be added.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// Its short name.
    pub id: String,
    /// Its name on the sign-in page.
    pub name: String,
    /// Its issuer identifier.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there.
    pub secret: Secret<String>,
    /// What is decided about it.
    pub rules: Rules,
}

/// Where the provider sends people back to; to be registered there.
#[must_use]
pub fn redirect_uri(core: &Core, id: &ProviderId) -> String {
    core.policy.issuer.url(&format!("/login/idp/{id}/callback"))
}

/// Adds a provider. It is not asked anything: it may be registered there only afterwards, because its callback has this
/// provider's short name in it.
///
/// # Errors
/// See [`OrderError`].
pub async fn add(core: &Core, caller: &Caller, new: NewProvider) -> Result<Provider, OrderError> {
    let now = core.now();
    let bad = |why: &str| OrderError::Bad(why.to_owned());
    let id = ProviderId::parse(&new.id).ok_or_else(|| {
        bad("a provider's short name has 1 to 32 small letters, digits and hyphens, and begins with a letter")
    })?;
    let text = |what: &str, text: &str| {
        let fine = (1..=MAX_CLAIMED_TEXT).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        if fine {
            Ok(())
        } else {
            Err(OrderError::Bad(format!(
                "{what} has 1 to {MAX_CLAIMED_TEXT} characters and no space at the ends"
            )))
        }
    };
    text("the name", &new.name)?;
    text("the client id", &new.client_id)?;
    let secret = new.secret.expose();
    if secret.is_empty() || secret.len() > 1_024 || secret.chars().any(char::is_control) {
        return Err(bad("the client secret has 1 to 1024 characters, on one line"));
    }
    is_issuer(core, &new.issuer)?;
    are_fine(&new.rules)?;
    let sealed = core.master.seal(SECRET, id.as_str(), secret.as_bytes(), core.rng.as_ref());
    let provider = Provider {
        id,
        name: new.name,
        issuer: new.issuer,
        client_id: new.client_id,
        secret: sealed,
        rules: new.rules,
        created_at: now,
        updated_at: now,
        disabled_at: None,
        last_sign_in_at: None,
    };
    let mut event = about(core, caller, AuditKind::ProviderAdded, &provider);
    event.detail = serde_json::json!({
        "provider": provider.id, "name": provider.name, "issuer": provider.issuer,
        "client_id": provider.client_id, "rules": provider.rules,
    });
    let stored = provider.clone();
    let added = core
        .store
        .write(move |tx| {
            identities::insert_provider(tx, &stored)?;
            audit::append(tx, &event)
        })
        .await;
    match added {
        Ok(()) => Ok(provider),
        Err(StoreError::Conflict) => {
            Err(OrderError::Exists(format!("there is a provider {} already", provider.id)))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_issuer(core: &Core, issuer: &str) -> Result<(), OrderError> {
    let parsed = url::Url::parse(issuer).ok();
    let http_too = core.policy.allow_private_networks;
    let fine = issuer.len() <= 512
        && parsed.is_some_and(|url| {
            (url.scheme() == "https" || (http_too && url.scheme() == "http"))
                && url.host().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
    if !fine {
        return Err(OrderError::Bad(format!(
            "{issuer:?} is not an issuer: an https URL without query and fragment, exactly as the provider writes it"
        )));
    }
    if issuer == core.policy.issuer.as_str() {
        return Err(OrderError::Bad("this issuer cannot be its own identity provider".to_owned()));
    }
    Ok(())
}

fn are_fine(rules: &Rules) -> Result<(), OrderError> {
    let longest = [
        rules.groups.len(),
        rules.roles.len(),
        rules.allowed_domains.len(),
        rules.second_factor_acr.len(),
        rules.scopes.len(),
    ];
    if longest.into_iter().any(|length| length > MAX_PROVIDER_RULES) {
        return Err(OrderError::Bad(format!(
            "each list of a provider's rules has at most {MAX_PROVIDER_RULES} rows"
        )));
    }
    let ours = rules.groups.iter().map(|(_, ours)| ours);
    let theirs = rules.groups.iter().map(|(theirs, _)| theirs).chain(rules.roles.iter().map(|(t, _)| t));
    for name in ours.chain(theirs).chain([&rules.group_claim]).chain(&rules.second_factor_acr) {
        let fine =
            (1..=100).contains(&name.len()) && name.trim() == name && !name.chars().any(char::is_control);
        if !fine {
            return Err(OrderError::Bad(format!(
                "{name:?} cannot be a name: 1 to 100 characters, no space at the ends"
            )));
        }
    }
    for domain in &rules.allowed_domains {
        let fine = domain.contains('.')
            && domain.len() <= 253
            && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.');
        if !fine {
            return Err(OrderError::Bad(format!("{domain:?} is not a domain such as example.com")));
        }
    }
    match rules.scopes.iter().find(|scope| !is_scope(scope)) {
        Some(scope) => Err(OrderError::Bad(format!("{scope:?} is not a scope"))),
        None => Ok(()),
    }
}

/// The secret of a provider, opened.
///
/// # Errors
/// A fault when the master key does not open it.
pub(super) fn secret_of(core: &Core, provider: &Provider) -> Result<Secret<String>, Fault> {
    let opened = core.master.open(SECRET, provider.id.as_str(), &provider.secret);
    let text = opened.and_then(|bytes| String::from_utf8(bytes.expose().clone()).ok());
    text.map(Secret::new).ok_or(Fault::Bug("the master key does not open a provider's secret"))
}

/// Every provider, by its short name.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core) -> Result<Vec<Provider>, Fault> {
    Ok(core.store.read(identities::providers).await?)
}

/// The providers that people can sign in through now.
///
/// # Errors
/// A fault.
pub async fn offered(core: &Core) -> Result<Vec<Provider>, Fault> {
    let mut all = core.store.lookup(identities::providers).await?;
    all.retain(|provider| provider.disabled_at.is_none());
    Ok(all)
}

/// The provider of this short name.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, id: &str) -> Result<Provider, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no provider {id:?}; see `postern idp list`"));
    let parsed = ProviderId::parse(id).ok_or_else(missing)?;
    core.store.read(move |tx| identities::provider(tx, &parsed)).await?.ok_or_else(missing)
}

/// The people who are linked at a provider, the first `limit` of them by address, and how many there are.
///
/// # Errors
/// A fault.
pub async fn linked(
    core: &Core,
    id: &ProviderId,
    limit: i64,
) -> Result<(Vec<(Identity, String)>, i64), Fault> {
    let id = id.clone();
    Ok(core
        .store
        .read(move |tx| Ok((identities::of_provider(tx, &id, limit)?, identities::count(tx, &id)?)))
        .await?)
}

/// The providers that people can sign in through now, and whether a person is linked there.
///
/// # Errors
/// A fault.
pub async fn of_person(core: &Core, user: UserId) -> Result<Vec<(Provider, bool)>, Fault> {
    let offered = offered(core).await?;
    if offered.is_empty() {
        return Ok(Vec::new());
    }
    let linked = core.store.lookup(move |tx| identities::of_user(tx, user)).await?;
    Ok(offered
        .into_iter()
        .map(|provider| {
            let is = linked.iter().any(|identity| identity.provider_id == provider.id);
            (provider, is)
        })
        .collect())
}

/// Switches a provider off or on. While it is off nobody signs in through it, sign-ins and access tokens that came from it
/// have ended, and refreshes of tokens that came from it are refused.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_enabled(
    core: &Core,
    caller: &Caller,
    id: &str,
    enabled: bool,
) -> Result<Provider, OrderError> {
    let provider = find(core, id).await?;
    let now = core.now();
    let kind = if enabled { AuditKind::ProviderEnabled } else { AuditKind::ProviderDisabled };
    let event = about(core, caller, kind, &provider);
    let disabled_at = (!enabled).then_some(now);
    let id = provider.id.clone();
    core.store
        .write(move |tx| {
            identities::set_disabled(tx, &id, disabled_at, now)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(Provider { disabled_at, ..provider })
}

/// Changes what is decided about a provider. It holds from the next sign-in through it on, and for who came through it
/// before from the next time that the provider is asked about them.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_rules(core: &Core, caller: &Caller, id: &str, rules: Rules) -> Result<Provider, OrderError> {
    are_fine(&rules)?;
    let provider = find(core, id).await?;
    let now = core.now();
    let mut event = about(core, caller, AuditKind::ProviderChanged, &provider);
    event.detail = serde_json::json!({ "provider": provider.id, "before": provider.rules, "rules": rules });
    let (id, wanted) = (provider.id.clone(), rules.clone());
    let changed = core
        .store
        .write(move |tx| {
            let changed = identities::set_rules(tx, &id, &wanted, now)?;
            if changed {
                audit::append(tx, &event)?;
            }
            Ok(changed)
        })
        .await?;
    if !changed {
        return Err(OrderError::NotFound(format!("there is no provider {:?}", provider.id.as_str())));
    }
    Ok(Provider { rules, updated_at: now, ..provider })
}

/// Removes a provider with every link to it. Its people stay; sign-ins that came from it end, refreshes are refused.
///
/// # Errors
/// See [`OrderError`].
pub async fn remove(core: &Core, caller: &Caller, id: &str) -> Result<Provider, OrderError> {
    let provider = find(core, id).await?;
    let event = about(core, caller, AuditKind::ProviderRemoved, &provider);
    let (id, now) = (provider.id.clone(), core.now());
    core.store
        .write(move |tx| {
            if identities::remove_provider(tx, &id, now)? {
                audit::append(tx, &event)?;
            }
            Ok(())
        })
        .await?;
    live::refresh(core).await?;
    Ok(provider)
}

/// Links a person to who they are at a provider: an administrator's own decision, so it may be anybody.
///
/// # Errors
/// See [`OrderError`].
pub async fn link(
    core: &Core,
    caller: &Caller,
    id: &str,
    email: &str,
    sub: &str,
) -> Result<Identity, OrderError> {
    let provider = find(core, id).await?;
    let user = people::find(core, email).await?;
    let now = core.now();
    if sub.is_empty() || sub.len() > MAX_CLAIMED_TEXT || sub.chars().any(char::is_control) {
        return Err(OrderError::Bad(format!("a sub has 1 to {MAX_CLAIMED_TEXT} characters")));
    }
    let identity = Identity {
        id: IdentityId::new(now, core.rng.as_ref()),
        provider_id: provider.id.clone(),
        sub: sub.to_owned(),
        user_id: user.id,
        email: None,
        upstream: None,
        created_at: now,
        last_sign_in_at: None,
        checked_at: None,
        checking_until: None,
    };
    let mut event = about(core, caller, AuditKind::IdentityLinked, &provider);
    event.user_id = Some(user.id);
    event.detail = serde_json::json!({ "provider": provider.id, "sub": sub, "email": user.email, "how": "administrator" });
    let stored = identity.clone();
    let linked = core
        .store
        .write(move |tx| {
            identities::insert(tx, &stored)?;
            audit::append(tx, &event)
        })
        .await;
    match linked {
        Ok(()) => Ok(identity),
        Err(StoreError::Conflict) => Err(OrderError::Exists(format!(
            "{} is linked at {} already, or somebody else is {sub:?} there; `postern idp unlink` first",
            user.email, provider.id
        ))),
        Err(error) => Err(error.into()),
    }
}

/// Takes a person's link at a provider away; sign-ins that came through it end, refreshes are refused.
///
/// # Errors
/// See [`OrderError`].
pub async fn unlink(core: &Core, caller: &Caller, id: &str, email: &str) -> Result<Identity, OrderError> {
    let provider = find(core, id).await?;
    let user = people::find(core, email).await?;
    let mut event = about(core, caller, AuditKind::IdentityUnlinked, &provider);
    event.user_id = Some(user.id);
    let (wanted, now) = (provider.id.clone(), core.now());
    let gone = core
        .store
        .write(move |tx| {
            let all = identities::of_user(tx, user.id)?;
            let Some(identity) = all.into_iter().find(|identity| identity.provider_id == wanted) else {
                return Ok(None);
            };
            identities::unlink(tx, identity.id, now)?;
            let mut event = event.clone();
            event.detail = serde_json::json!({ "provider": identity.provider_id, "sub": identity.sub });
            audit::append(tx, &event)?;
            Ok(Some(identity))
        })
        .await?;
    live::refresh(core).await?;
    gone.ok_or_else(|| OrderError::NotFound(format!("{} is not linked at {}", user.email, provider.id)))
}

/// What a test of a provider found.
#[derive(Clone, Debug)]
pub struct Tested {
    /// Its endpoints, in words: name and address.
    pub found: Vec<(&'static str, String)>,
    /// What will not work, or works less well than it could.
    pub warnings: Vec<String>,
}

/// Asks a provider what it says of itself, for its keys, and whether it knows us.
///
/// # Errors
/// See [`OrderError`].
pub async fn test(core: &Core, id: &str) -> Result<Tested, OrderError> {
    let provider = find(core, id).await?;
    let now = core.now();
    let failed = |error: ProviderError| OrderError::Bad(format!("{}: {error}", provider.issuer));
    let metadata = core.providers.discover(&provider).await.map_err(failed)?;
    let keys = core.providers.keys(&provider, &metadata, None, now).await.map_err(failed)?;
    let count = keys.get("keys").and_then(|keys| keys.as_array()).map_or(0, Vec::len);
    let mut warnings = Vec::new();
    if count == 0 {
        warnings.push("it publishes no key that could sign; nobody can sign in".to_owned());
    }
    let algs = &metadata.id_token_signing_alg_values_supported;
    if !algs.iter().any(|alg| crate::crypto::id_token::is_verified(alg)) {
        warnings.push(format!("none of its algorithms is verified here: {}", algs.join(", ")));
    }
    let scopes = &metadata.scopes_supported;
    if !scopes.is_empty() && !scopes.iter().any(|scope| scope == "offline_access") {
        warnings.push("it does not list offline_access: unless it gives refresh tokens anyway, who is switched off there keeps their tokens here until these end".to_owned());
    }
    if !metadata.authorization_response_iss_parameter_supported {
        warnings.push("it does not name itself in its answers (RFC 9207); every provider has a callback of its own here, so this is no hole".to_owned());
    }
    // A code that cannot be right: who knows us refuses the code, who does not refuses us.
    let secret = secret_of(core, &provider)?;
    let callback = redirect_uri(core, &provider.id);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", "postern-idp-test"),
        ("redirect_uri", &callback),
        ("code_verifier", "postern-idp-test-postern-idp-test-postern-idp-test"),
    ];
    match core.providers.token(&provider, &metadata, &secret, &form).await {
        Err(ProviderError::Refused(code)) if code == "invalid_grant" => {}
        // RFC 6749 §5.2: these two are about who we are, everything else is about something else.
        Err(ProviderError::Refused(code)) if matches!(code.as_str(), "invalid_client" | "unauthorized_client") => {
            warnings.push(format!("it does not take our client id and secret: {code}"));
        }
        Err(ProviderError::Refused(code)) => warnings.push(format!(
            "its token endpoint refuses with {code}, which says nothing of our client id and secret; look at what is registered there, the redirect URI first"
        )),
        Err(error) => warnings.push(format!(
            "its token endpoint did not answer as it should, so whether it takes our client id and secret is not known: {error}"
        )),
        Ok(_) => warnings.push("it took a code that it never gave".to_owned()),
    }
    Ok(Tested {
        found: vec![
            ("authorization_endpoint", metadata.authorization_endpoint),
            ("token_endpoint", metadata.token_endpoint),
            ("jwks_uri", metadata.jwks_uri),
            ("redirect_uri", callback),
        ],
        warnings,
    })
}

fn about(core: &Core, caller: &Caller, kind: AuditKind, provider: &Provider) -> AuditEvent {
    let mut event = core.event(kind, caller, core.now());
    event.detail = serde_json::json!({ "provider": provider.id, "name": provider.name });
    event
}
