//! What the gateway shows to the servers behind it. Each value is sealed under a key of its own, and that key under the master
//! key; both seals name the row, so that no value opens in another's place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::Route;
use super::live;
use super::people::OrderError;
use super::resources;
use crate::crypto::seal::MasterKey;
use crate::outbound::upstream_mcp::UpstreamCredential;
use crate::storage::audit;
use crate::storage::gateway::{self, SealedCredential};
use crate::types::audit::AuditKind;
use crate::types::policy::MAX_PARAMETER;
use crate::types::resource::Resource;
use crate::types::secret::Secret;

const KEY: &str = "upstream credential key";
const VALUE: &str = "upstream credential";

/// What is shown.
#[derive(Clone, Debug)]
pub enum NewCredential {
    /// `Authorization: Bearer …`.
    Bearer(Secret<String>),
    /// `Authorization: Basic …` (RFC 7617).
    Basic(String, Secret<String>),
    /// Another header.
    Header(String, Secret<String>),
}

/// Headers that the gateway makes itself, or that mean something on the way.
const OWN: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "accept",
    "accept-encoding",
    "cookie",
    "te",
    "upgrade",
    "expect",
];

/// Keeps what is shown to a server; it takes the place of what was before, at once on every node.
///
/// # Errors
/// See [`OrderError`].
pub async fn set(
    core: &Core,
    caller: &Caller,
    uri: &str,
    new: NewCredential,
) -> Result<Resource, OrderError> {
    let resource = resources::find(core, uri).await?;
    if resource.upstream.is_none() {
        return Err(OrderError::Bad(format!("{uri} is not behind the gateway: it has no upstream")));
    }
    let (kind, header, value) = match new {
        NewCredential::Bearer(token) => {
            ("bearer", "authorization".to_owned(), format!("Bearer {}", token.expose()))
        }
        NewCredential::Basic(name, password) => {
            if name.contains(':') {
                return Err(OrderError::Bad("a user name for Basic has no colon (RFC 7617 §2)".to_owned()));
            }
            let pair = STANDARD.encode(format!("{name}:{}", password.expose()));
            ("basic", "authorization".to_owned(), format!("Basic {pair}"))
        }
        NewCredential::Header(name, value) => {
            let name = name.to_ascii_lowercase();
            if OWN.contains(&name.as_str()) || name.starts_with("mcp-") {
                return Err(OrderError::Bad(format!("{name} is a header that the gateway makes itself")));
            }
            ("header", name, value.expose().clone())
        }
    };
    let value = Secret::new(value.into_bytes());
    let plain = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    if value.expose().len() < 8 || value.expose().len() > MAX_PARAMETER || !plain(value.expose()) {
        return Err(OrderError::Bad(format!(
            "a credential is one line of 8 to {MAX_PARAMETER} printable characters"
        )));
    }
    if UpstreamCredential::new(&header, &value).is_none() {
        return Err(OrderError::Bad(format!("{header:?} cannot be the name of a header")));
    }
    let (id, now) = (resource.id, core.now());
    let data = MasterKey::generate(core.rng.as_ref());
    let sealed = SealedCredential {
        resource_id: id,
        kind: kind.to_owned(),
        sealed_key: core.master.seal(
            KEY,
            &id.to_string(),
            data.to_base64().expose().as_bytes(),
            core.rng.as_ref(),
        ),
        sealed_value: data.seal(VALUE, &format!("{id}\n{header}"), value.expose(), core.rng.as_ref()),
        header,
        created_at: now,
    };
    let mut event = core.event(AuditKind::UpstreamCredentialSet, caller, now);
    event.resource_id = Some(id);
    event.detail = serde_json::json!({ "kind": sealed.kind, "header": sealed.header });
    core.store
        .write(move |tx| {
            gateway::put_credential(tx, &sealed)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok(resource)
}

/// Forgets what is shown to a server; whether there was anything.
///
/// # Errors
/// See [`OrderError`].
pub async fn clear(core: &Core, caller: &Caller, uri: &str) -> Result<bool, OrderError> {
    let resource = resources::find(core, uri).await?;
    let mut event = core.event(AuditKind::UpstreamCredentialCleared, caller, core.now());
    event.resource_id = Some(resource.id);
    let gone = core
        .store
        .write(move |tx| {
            let gone = gateway::remove_credential(tx, resource.id)?;
            if gone {
                audit::append(tx, &event)?;
            }
            Ok(gone)
        })
        .await?;
    live::refresh(core).await?;
    Ok(gone)
}

/// What is shown to a server, opened for one call that is allowed, and the part of it that must not come back.
pub struct Opened {
    /// The header.
    pub credential: UpstreamCredential,
    /// The secret itself, without the scheme before it.
    pub secret: Secret<Vec<u8>>,
}

/// Opens what is shown to a server; nothing where nothing is.
///
/// # Errors
/// A fault, when it does not open: another master key, or a row that was moved.
pub fn open(core: &Core, route: &Route) -> Result<Option<Opened>, Fault> {
    let Some(sealed) = &route.credential else { return Ok(None) };
    let broken = Fault::Bug("an upstream credential does not open");
    let id = route.resource.id.to_string();
    let opened = || {
        let key = core.master.open(KEY, &id, &sealed.sealed_key)?;
        let key = MasterKey::from_base64(std::str::from_utf8(key.expose()).ok()?).ok()?;
        let value = key.open(VALUE, &format!("{id}\n{}", sealed.header), &sealed.sealed_value)?;
        let after = value.expose().iter().position(|b| *b == b' ').map_or(0, |at| at + 1);
        let after = if sealed.kind == "header" { 0 } else { after };
        let secret = Secret::new(value.expose().get(after..)?.to_vec());
        Some(Opened { credential: UpstreamCredential::new(&sealed.header, &value)?, secret })
    };
    opened().ok_or(broken).map(Some)
}
