//! Clients described by a document at their own URL: read when it is due, every version kept with its difference, the
//! last good copy serving while its host is down.

use serde_json::Value;

use super::core::{Caller, Core};
use super::failure::Failure;
use crate::oauth::client_document::{self, DocumentUrl};
use crate::oauth::refusal::Reason;
use crate::outbound::fetch::{FetchError, Fetched, Validators};
use crate::storage::clients::DocumentVersion;
use crate::storage::{StoreError, audit, clients};
use crate::types::audit::AuditKind;
use crate::types::client::{Client, ClientId, ClientKind};
use crate::types::policy::DOCUMENT_REST;
use crate::types::time::Timestamp;

/// Whether a client's document should be read again.
#[must_use]
pub fn is_due(client: &Client, now: Timestamp) -> bool {
    client.kind == ClientKind::MetadataDocument
        && client.document_fresh_until.is_none_or(|until| until <= now)
}

/// The client that an authorization request names; a metadata document is read when there is no fresh copy, and the
/// last good copy serves while its host is down.
///
/// # Errors
/// Unknown, a document that is refused or cannot be had at first sight, or a fault.
pub async fn resolve(core: &Core, caller: &Caller, id: &ClientId, now: Timestamp) -> Result<Client, Failure> {
    let wanted = id.clone();
    let found = core.store.lookup(move |tx| clients::find(tx, &wanted)).await?;
    let documented =
        id.is_url() && found.as_ref().is_none_or(|client| client.kind == ClientKind::MetadataDocument);
    if !documented {
        return found.ok_or_else(|| Reason::UnknownClient.into());
    }
    if !core.policy.client_id_metadata_documents {
        return Err(Reason::UnknownClient.into());
    }
    let Some(client) = found else { return first_sight(core, caller, id, now).await };
    if !is_due(&client, now) {
        return Ok(client);
    }
    match read_document(core, caller, id, Some(&client), now).await {
        Ok(current) => Ok(current),
        Err(Failure::Refused(reason)) => {
            tracing::warn!(client_id = %id, reason = %reason.description(), "metadata document not read; the last good copy serves");
            // Or every request would wait for a host that is down.
            still_fresh(core, client, now.plus(DOCUMENT_REST)).await
        }
        Err(fault) => Err(fault),
    }
}

/// A client that was never seen costs a fetch and a row before anybody has signed in, so each network has only so many.
async fn first_sight(core: &Core, caller: &Caller, id: &ClientId, now: Timestamp) -> Result<Client, Failure> {
    DocumentUrl::parse(id.as_str(), &core.policy)
        .map_err(|error| Reason::DocumentUnavailable(error.to_string()))?;
    if !core.first_sights.allows(caller) {
        return Err(Reason::TooManyNewClients.into());
    }
    read_document(core, caller, id, None, now).await
}

async fn read_document(
    core: &Core,
    caller: &Caller,
    id: &ClientId,
    known: Option<&Client>,
    now: Timestamp,
) -> Result<Client, Failure> {
    let refuse = |what: String| Reason::DocumentUnavailable(what);
    let url = DocumentUrl::parse(id.as_str(), &core.policy).map_err(|error| refuse(error.to_string()))?;
    let validators = match known {
        Some(client) => {
            let wanted = client.id.clone();
            let last =
                core.store.read(move |tx| clients::documents(tx, &wanted, 1)).await?.into_iter().next();
            last.map(|version| Validators { etag: version.etag, last_modified: version.last_modified })
        }
        None => None,
    };
    let fetched =
        core.documents.fetch(url.as_str(), validators.as_ref()).await.map_err(|error| not_had(&error))?;
    let fresh_until = now.plus(client_document::freshness(fetched.max_age, fetched.no_store));
    if let Some(client) = known.filter(|_| fetched.status_not_modified) {
        return still_fresh(core, client.clone(), fresh_until).await;
    }
    let reading = client_document::read(&url, fetched.content_type.as_deref(), &fetched.body, &core.policy)
        .map_err(|error| refuse(error.to_string()))?;
    match known {
        Some(client) if client.metadata == reading.metadata => {
            still_fresh(core, client.clone(), fresh_until).await
        }
        Some(client) => {
            let changes = client_document::difference(&client.metadata, &reading.metadata);
            let changed = Client {
                metadata: reading.metadata,
                updated_at: now,
                document_fresh_until: Some(fresh_until),
                document_version: client.document_version + 1,
                ..client.clone()
            };
            let difference = serde_json::to_value(&changes).unwrap_or_default();
            keep(core, caller, changed, &fetched, difference, now).await
        }
        None => {
            let client = Client {
                id: id.clone(),
                kind: ClientKind::MetadataDocument,
                metadata: reading.metadata,
                secret_digest: None,
                registration_digest: None,
                resources: Vec::new(),
                created_at: now,
                updated_at: now,
                disabled_at: None,
                first_granted_at: None,
                document_fresh_until: Some(fresh_until),
                document_version: 1,
            };
            keep(core, caller, client, &fetched, Value::Array(Vec::new()), now).await
        }
    }
}

/// Trouble that passes is told from a document that will not do: the page says whether trying again may help.
fn not_had(error: &FetchError) -> Reason {
    if error.is_temporary() {
        Reason::DocumentUnreachable(error.to_string())
    } else {
        Reason::DocumentUnavailable(error.to_string())
    }
}

async fn still_fresh(core: &Core, mut client: Client, until: Timestamp) -> Result<Client, Failure> {
    client.document_fresh_until = Some(until);
    let id = client.id.clone();
    core.store.write(move |tx| clients::set_document_fresh_until(tx, &id, until)).await?;
    Ok(client)
}

/// Keeps a version of a document and what changed in it.
async fn keep(
    core: &Core,
    caller: &Caller,
    client: Client,
    fetched: &Fetched,
    difference: Value,
    now: Timestamp,
) -> Result<Client, Failure> {
    let version = DocumentVersion {
        version: client.document_version,
        fetched_at: now,
        body: String::from_utf8_lossy(&fetched.body).into_owned(),
        difference: difference.to_string(),
        etag: fetched.validators.etag.clone(),
        last_modified: fetched.validators.last_modified.clone(),
    };
    let mut event = core.event(AuditKind::ClientDocumentChanged, caller, now);
    event.client_id = Some(client.id.clone());
    event.detail = serde_json::json!({ "version": version.version, "difference": difference });
    let kept = client.clone();
    core.store
        .write(move |tx| {
            // Another request may have been first; then its copy is as good as ours. And what an administrator or a
            // person's approval has changed in the record during the fetch stays.
            if clients::find(tx, &kept.id)?.is_some() {
                if !clients::set_document(tx, &kept, now)? {
                    return Ok(());
                }
            } else {
                clients::insert(tx, &kept).map_err(retry_conflict)?;
            }
            clients::insert_document(tx, &kept.id, &version).map_err(retry_conflict)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(client)
}

fn retry_conflict(error: StoreError) -> StoreError {
    match error {
        StoreError::Conflict => StoreError::Retry("client".to_owned()),
        other => other,
    }
}
