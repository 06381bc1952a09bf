//! What the gateway shows to the servers behind it. Each value is sealed under a key of its own, and that key under the master
//! key; both seals name the row, so that no value opens in another's place.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::Route;
use super::live;
use super::people::OrderError;
use super::resources;
use super::upstream_auth;
use crate::crypto::seal::{MasterKey, Opener};
use crate::outbound::stdio::{CommandLine, Environment};
use crate::outbound::upstream_mcp::UpstreamCredential;
use crate::storage::audit;
use crate::storage::gateway::{self, SealedCredential};
use crate::types::audit::AuditKind;
use crate::types::policy::MAX_PARAMETER;
use crate::types::resource::Resource;
use crate::types::secret::Secret;

pub(super) const PURPOSE: &str = "upstream credential";

/// What is shown.
#[derive(Clone, Debug)]
pub enum NewCredential {
    /// `Authorization: Bearer …`.
    Bearer(Secret<String>),
    /// `Authorization: Basic …` (RFC 7617).
    Basic(String, Secret<String>),
    /// Another header.
    Header(String, Secret<String>),
    /// Variables of the environment, by name, where the server is a command.
    Environment(BTreeMap<String, Secret<String>>),
}

/// What a server is shown, or given.
pub enum Credential {
    /// A header.
    Header(UpstreamCredential),
    /// Variables of the environment, by name.
    Environment(BTreeMap<String, Secret<String>>),
}

/// How a credential is called that goes into the environment.
const ENVIRONMENT: &str = "environment";

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

/// Whether a server is shown a header; the others are run here, and have secrets in their environment, or are not behind the
/// gateway.
#[must_use]
pub fn is_shown_a_header(resource: &Resource) -> bool {
    resource.upstream.as_deref().is_some_and(|upstream| !CommandLine::is_one(upstream))
}

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
    let command = resource.upstream.as_deref().is_some_and(CommandLine::is_one);
    if command != matches!(new, NewCredential::Environment(_)) {
        return Err(OrderError::Bad(if command {
            format!("{uri} is run here over stdio, and has its secrets in its environment: use --env NAME")
        } else {
            format!(
                "{uri} is at a URL, and has no environment of ours: use --bearer-stdin, --basic or --header"
            )
        }));
    }
    let (kind, header, value) = match new {
        NewCredential::Environment(variables) => {
            let (names, value) = written(&variables)?;
            (ENVIRONMENT, names, value)
        }
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
    if kind != ENVIRONMENT && UpstreamCredential::new(&header, &value).is_none() {
        return Err(OrderError::Bad(format!("{header:?} cannot be the name of a header")));
    }
    let (id, now) = (resource.id, core.now());
    let enclosed = enclose(core, PURPOSE, (&id.to_string(), &header), value.expose());
    let sealed = SealedCredential {
        resource_id: id,
        kind: kind.to_owned(),
        sealed_key: enclosed.key,
        sealed_value: enclosed.value,
        header,
        created_at: now,
    };
    let mut event = core.event(AuditKind::UpstreamCredentialSet, caller, now);
    event.resource_id = Some(id);
    event.detail = serde_json::json!({ "kind": sealed.kind, "header": sealed.header });
    upstream_auth::clear(core, caller, &resource).await?;
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
    if upstream_auth::clear(core, caller, &resource).await? {
        return Ok(true);
    }
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

/// Something sealed under a key of its own, which a root key seals. Both seals name what it is of.
pub(super) struct Enclosed {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// What the key of something is sealed for.
pub(super) fn purpose_of_key(purpose: &str) -> String {
    format!("{purpose} key")
}

/// Where a value belongs: the row, and what must not change beside it.
fn place(id: &str, detail: &str) -> String {
    format!("{id}\n{detail}")
}

/// Seals something so. `of` is the row, and what else must not change beside it.
pub(super) fn enclose(core: &Core, purpose: &str, of: (&str, &str), plain: &[u8]) -> Enclosed {
    let (id, detail) = of;
    let data = MasterKey::generate(core.rng.as_ref());
    let text = data.to_base64();
    Enclosed {
        key: core.master.seal(&purpose_of_key(purpose), id, text.expose().as_bytes(), core.rng.as_ref()),
        value: data.seal(purpose, &place(id, detail), plain, core.rng.as_ref()),
    }
}

/// The inverse of [`enclose`]; nothing under another master key, or for another row.
pub(super) fn disclose(
    core: &Core,
    purpose: &str,
    (id, detail): (&str, &str),
    sealed: &Enclosed,
) -> Option<Secret<Vec<u8>>> {
    opener(core, purpose, id, &sealed.key)?.open(&place(id, detail), &sealed.value)
}

/// What opens a value that has this key. It is worth half of what the value costs, and is kept with a server for as long as the
/// server is what it is; the value itself is opened for each call that is allowed.
fn opener(core: &Core, purpose: &str, id: &str, sealed_key: &[u8]) -> Option<Opener> {
    let key = core.master.open(&purpose_of_key(purpose), id, sealed_key)?;
    let key = MasterKey::from_base64(std::str::from_utf8(key.expose()).ok()?).ok()?;
    Some(key.opener(purpose))
}

/// Variables as they are kept: their names, and names with values.
fn written(variables: &BTreeMap<String, Secret<String>>) -> Result<(String, String), OrderError> {
    if let Some(bad) = variables.keys().find(|name| !Environment::may_be_named(name)) {
        return Err(OrderError::Bad(format!("{bad:?} cannot be the name of a variable for a server")));
    }
    if variables.values().any(|value| value.expose().len() < 8) {
        return Err(OrderError::Bad("a secret has at least 8 characters".to_owned()));
    }
    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
    let members: BTreeMap<&str, &str> =
        variables.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
    let text = serde_json::to_string(&members).map_err(|_| Fault::Bug("variables do not serialise"))?;
    Ok((names.join(","), text))
}

/// What is shown to a server, opened for one call that is allowed, and the parts of it that must not come back.
pub struct Opened {
    /// What is shown.
    pub credential: Credential,
    /// The secrets themselves, without the scheme before one.
    pub secrets: Vec<Secret<Vec<u8>>>,
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
        let opener = match route.opener.get() {
            Some(opener) => opener,
            None => {
                let made = opener(core, PURPOSE, &id, &sealed.sealed_key)?;
                route.opener.get_or_init(|| made)
            }
        };
        let value = opener.open(&place(&id, &sealed.header), &sealed.sealed_value)?;
        if sealed.kind == ENVIRONMENT {
            let variables: BTreeMap<String, String> = serde_json::from_slice(value.expose()).ok()?;
            let secrets = variables.values().map(|value| Secret::new(value.clone().into_bytes())).collect();
            let variables = variables.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
            return Some(Opened { credential: Credential::Environment(variables), secrets });
        }
        let after = value.expose().iter().position(|b| *b == b' ').map_or(0, |at| at + 1);
        let after = if sealed.kind == "header" { 0 } else { after };
        let secret = Secret::new(value.expose().get(after..)?.to_vec());
        let credential = Credential::Header(UpstreamCredential::new(&sealed.header, &value)?);
        Some(Opened { credential, secrets: vec![secret] })
    };
    opened().ok_or(broken).map(Some)
}
