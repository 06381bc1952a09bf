//! TLS to a server behind the gateway: the certificate that the gateway shows there, and the authorities that it trusts
//! there. Beside what it shows in a header, for a server may want both.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroize as _;

use super::core::{Caller, Core};
use super::failure::Fault;
use super::gateway::Route;
use super::live;
use super::people::OrderError;
use super::resources;
use super::vault::{Enclosed, disclose, enclose};
use crate::crypto::certificate;
use crate::outbound::upstream_mcp::Upstreams;
use crate::outbound::upstream_tls::{OwnClients, TlsMaterial};
use crate::storage::audit;
use crate::storage::upstream_tls::{self as rows, SealedTls};
use crate::types::audit::AuditKind;
use crate::types::certificate::{CertificateFacts, TlsFacts};
use crate::types::policy::{CERTIFICATE_ENDS, MAX_PEM};
use crate::types::resource::Resource;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

pub(super) const PURPOSE: &str = "upstream tls";

/// What an administrator gives; each is PEM.
#[derive(Clone, Debug)]
pub struct NewTls {
    /// The gateway's certificate there, with what leads from it to an authority, and its key.
    pub identity: Option<(String, Secret<String>)>,
    /// The only authorities that are trusted there.
    pub ca: Option<String>,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Inside {
    chain: Option<String>,
    key: Option<String>,
    ca: Option<String>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// An entry, and the clients that are made of it.
pub struct Tls {
    sealed: SealedTls,
    clients: Arc<OwnClients>,
}

impl Tls {
    /// Of a row. What was made of the same row before stays.
    pub(super) fn of(sealed: SealedTls, before: Option<&Self>) -> Self {
        let same = before.filter(|before| {
            before.sealed.sealed_key == sealed.sealed_key && before.sealed.about == sealed.about
        });
        let clients = same.map_or_else(Arc::default, |before| Arc::clone(&before.clients));
        Self { sealed, clients }
    }

    /// What there is to say of it.
    #[must_use]
    pub const fn facts(&self) -> &TlsFacts {
        &self.sealed.facts
    }

    /// Since when it is used.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.sealed.created_at
    }
}

/// Whether the time of a certificate is over, or soon will be.
#[must_use]
pub fn ends_soon(facts: &CertificateFacts, now: Timestamp) -> bool {
    !facts.is_valid_at(now.plus(CERTIFICATE_ENDS))
}

fn bad(why: impl Into<String>) -> OrderError {
    OrderError::Bad(why.into())
}

/// Keeps what TLS to a server is made of; it takes the place of what was before, at once on every node.
///
/// # Errors
/// See [`OrderError`].
pub async fn set(
    core: &Core,
    caller: &Caller,
    uri: &str,
    new: NewTls,
) -> Result<(Resource, TlsFacts), OrderError> {
    let resource = resources::find(core, uri).await?;
    let Some(upstream) = &resource.upstream else {
        return Err(bad(format!("{uri} is not behind the gateway: it has no upstream")));
    };
    if !Url::parse(upstream).is_ok_and(|url| url.scheme() == "https") {
        return Err(bad(format!(
            "the upstream {upstream} is not https: there is no certificate on the way to it"
        )));
    }
    let now = core.now();
    let (material, facts) = check(&new, now)?;
    material.check().map_err(|why| bad(why.to_string()))?;
    let (chain, key) = new.identity.unzip();
    let key = key.map(|key| key.expose().clone());
    let inside = Secret::new(serde_json::to_vec(&Inside { chain, key, ca: new.ca }).map_err(|_| broken())?);
    let about = serde_json::to_string(&facts).map_err(|_| broken())?;
    let id = resource.id;
    let enclosed = enclose(core, PURPOSE, (&id.to_string(), &about), inside.expose());
    let mut event = core.event(AuditKind::UpstreamTlsSet, caller, now);
    event.resource_id = Some(id);
    event.detail = serde_json::json!({ "kind": "certificate", "client": facts.client, "cas": facts.cas });
    let sealed = SealedTls {
        resource_id: id,
        facts: facts.clone(),
        about,
        sealed_key: enclosed.key,
        sealed_value: enclosed.value,
        created_at: now,
    };
    core.store
        .write(move |tx| {
            rows::put(tx, &sealed)?;
            audit::append(tx, &event)
        })
        .await?;
    live::refresh(core).await?;
    Ok((resource, facts))
}

/// Reads what is given.
fn check(new: &NewTls, now: Timestamp) -> Result<(TlsMaterial, TlsFacts), OrderError> {
    if new.identity.is_none() && new.ca.is_none() {
        return Err(bad("give a client certificate with its key, or certificate authorities, or both"));
    }
    let valid = |what: &str, facts: &CertificateFacts| {
        let (name, from, to) = (&facts.subject, facts.begins_at(), facts.ends_at());
        let fits = facts.is_valid_at(now);
        if fits {
            Ok(())
        } else {
            Err(bad(format!("{what} {name} is valid from {from} to {to}, and not now")))
        }
    };
    let mut material = TlsMaterial { identity: None, cas: Vec::new() };
    let mut facts = TlsFacts::default();
    if let Some((chain, key)) = &new.identity {
        let read = certificate::read(chain).map_err(|why| bad(format!("the client certificate: {why}")))?;
        if key.expose().len() > MAX_PEM {
            return Err(bad(format!("the key is longer than {MAX_PEM} bytes")));
        }
        for (_, each) in &read {
            valid("the client certificate", each)?;
        }
        facts.client = read.first().map(|(_, first)| first.clone());
        material.identity = Some((read.into_iter().map(|(der, _)| der).collect(), key.clone()));
    }
    if let Some(ca) = &new.ca {
        for (der, each) in certificate::read(ca).map_err(|why| bad(format!("the CA: {why}")))? {
            valid("the CA", &each)?;
            material.cas.push(der);
            facts.cas.push(each);
        }
    }
    Ok((material, facts))
}

/// Forgets what TLS to a server is made of; whether there was anything.
///
/// # Errors
/// See [`OrderError`].
pub async fn clear(core: &Core, caller: &Caller, uri: &str) -> Result<bool, OrderError> {
    let resource = resources::find(core, uri).await?;
    let mut event = core.event(AuditKind::UpstreamTlsCleared, caller, core.now());
    event.resource_id = Some(resource.id);
    let gone = core
        .store
        .write(move |tx| {
            let gone = rows::remove(tx, resource.id)?;
            if gone {
                audit::append(tx, &event)?;
            }
            Ok(gone)
        })
        .await?;
    live::refresh(core).await?;
    Ok(gone)
}

/// What is kept for a server.
///
/// # Errors
/// See [`OrderError`].
pub async fn find(core: &Core, uri: &str) -> Result<(Resource, Option<TlsFacts>), OrderError> {
    let resource = resources::find(core, uri).await?;
    let id = resource.id;
    let all = core.store.read(rows::list).await?;
    let found = all.into_iter().find(|one| one.resource_id == id);
    Ok((resource, found.map(|one| one.facts)))
}

/// Why nothing goes to a server.
#[derive(Debug)]
pub enum NoWay {
    /// The gateway's certificate there has had its time, or its time has not come.
    Expired,
    /// A fault of ours.
    Fault(Fault),
}

fn broken() -> Fault {
    Fault::Bug("what TLS to a server is made of cannot be used")
}

/// What carries messages to a server.
///
/// # Errors
/// [`NoWay`]; a fault where the entry does not open: another master key, or a row that was moved.
pub fn way(core: &Core, route: &Route) -> Result<Upstreams, NoWay> {
    let Some(tls) = &route.tls else { return Ok(core.upstreams.clone()) };
    if tls.facts().client.as_ref().is_some_and(|client| !client.is_valid_at(core.now())) {
        return Err(NoWay::Expired);
    }
    match tls.clients.here() {
        Some(ready) => Ok(ready),
        None => material(core, route, &tls.sealed)
            .and_then(|material| tls.clients.make(&material).ok())
            .ok_or_else(|| NoWay::Fault(broken())),
    }
}

fn material(core: &Core, route: &Route, sealed: &SealedTls) -> Option<TlsMaterial> {
    let enclosed = Enclosed { key: sealed.sealed_key.clone(), value: sealed.sealed_value.clone() };
    let id = route.resource.id.to_string();
    let opened = disclose(core, PURPOSE, (&id, &sealed.about), &enclosed)?;
    let mut inside: Inside = serde_json::from_slice(opened.expose()).ok()?;
    let ders = |pem: &str| Some(certificate::read(pem).ok()?.into_iter().map(|(der, _)| der).collect());
    let identity = match (inside.chain.take(), inside.key.take()) {
        (Some(chain), Some(key)) => Some((ders(&chain)?, Secret::new(key))),
        _ => None,
    };
    let cas = inside.ca.as_deref().map_or(Some(Vec::new()), ders)?;
    Some(TlsMaterial { identity, cas })
}
