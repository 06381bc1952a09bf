//! TLS to the servers behind the gateway: the certificate that the gateway shows there, and the authorities it trusts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::CertificateShown;
use crate::flow::upstream_tls::{self, NewTls};
use crate::types::admin::Permission;
use crate::types::certificate::TlsFacts;
use crate::types::secret::Secret;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/tls",
        id: "getUpstreamTls",
        about: "What the gateway shows to a server behind it in TLS, and whom it trusts there. Never the key.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<TlsShown>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/tls",
        id: "setUpstreamTls",
        about: "Keep, encrypted, a client certificate with its key, or the only certificate authorities that are trusted at a server behind the gateway, or both. It takes the place of what was kept before.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<TlsToKeep>),
        done: (200, Some(shape::<TlsShown>)),
        run: |call| Box::pin(keep(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/tls",
        id: "clearUpstreamTls",
        about: "Forget it: the gateway shows no certificate, and trusts whom everybody trusts.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(clear(call)),
    },
];

/// What TLS to a server is made of.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsToKeep {
    /// The gateway’s certificate there, and what leads from it to an authority, as PEM. Goes with `client_key`.
    #[schemars(length(max = 32_768))]
    client_cert: Option<String>,
    /// Its private key, as PEM, not encrypted.
    #[schemars(length(max = 32_768))]
    client_key: Option<String>,
    /// The only certificate authorities that are trusted there, as PEM.
    #[schemars(length(max = 32_768))]
    ca: Option<String>,
}

/// What TLS to a server is made of, as far as it may be seen.
#[derive(Serialize, JsonSchema)]
struct TlsShown {
    /// The client certificate, where there is one.
    client: Option<CertificateShown>,
    /// The only certificate authorities that are trusted there; those that everybody trusts when empty.
    cas: Vec<CertificateShown>,
}

fn shown(facts: &TlsFacts) -> Result<Answer, Problem> {
    Answer::of(&TlsShown {
        client: facts.client.as_ref().map(CertificateShown::of),
        cas: facts.cas.iter().map(CertificateShown::of).collect(),
    })
}

async fn get(call: Call) -> Result<Answer, Problem> {
    let (_, found) = upstream_tls::find(&call.core, server(&call)?.uri.as_str()).await?;
    shown(&found.unwrap_or_default())
}

async fn keep(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let new: TlsToKeep = call.read()?;
    let key = new.client_key.map(Secret::new);
    let identity = match (new.client_cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(Problem::refused("client_cert and client_key go together.")),
    };
    let new = NewTls { identity, ca: new.ca };
    let (_, facts) = upstream_tls::set(&call.core, &call.caller, found.uri.as_str(), new).await?;
    shown(&facts)
}

async fn clear(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    upstream_tls::clear(&call.core, &call.caller, found.uri.as_str()).await?;
    Ok(Answer::NOTHING)
}
