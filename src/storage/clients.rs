//! Clients and the versions of their metadata documents.

use diesel::prelude::*;

use super::dialect::on_either;
use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{digest, json, moment, need, to_json};
use super::schema::{client, client_document};
use super::store::Tx;
use crate::types::client::{Client, ClientId, ClientKind};
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = client, treat_none_as_default_value = false)]
pub(super) struct Row {
    id: String,
    kind: String,
    metadata: String,
    secret_digest: Option<Vec<u8>>,
    registration_digest: Option<Vec<u8>>,
    resources: String,
    created_at: i64,
    updated_at: i64,
    disabled_at: Option<i64>,
    first_granted_at: Option<i64>,
    document_fresh_until: Option<i64>,
    document_version: i64,
    search_key: String,
}

impl Row {
    fn of(client: &Client) -> Result<Self, StoreError> {
        Ok(Self {
            id: client.id.as_str().to_owned(),
            kind: client.kind.as_str().to_owned(),
            metadata: to_json(&client.metadata)?,
            secret_digest: client.secret_digest.map(|d| d.bytes().to_vec()),
            registration_digest: client.registration_digest.map(|d| d.bytes().to_vec()),
            resources: to_json(&client.resources)?,
            created_at: client.created_at.micros(),
            updated_at: client.updated_at.micros(),
            disabled_at: client.disabled_at.map(Timestamp::micros),
            first_granted_at: client.first_granted_at.map(Timestamp::micros),
            document_fresh_until: client.document_fresh_until.map(Timestamp::micros),
            document_version: client.document_version,
            search_key: search_key(client),
        })
    }

    pub(super) fn read(self) -> Result<Client, StoreError> {
        let secret = self.secret_digest.map(|d| digest(&d, "client.secret_digest")).transpose()?;
        let registration =
            self.registration_digest.map(|d| digest(&d, "client.registration_digest")).transpose()?;
        Ok(Client {
            id: need(ClientId::parse(&self.id), "client.id")?,
            kind: need(ClientKind::parse(&self.kind), "client.kind")?,
            metadata: json(&self.metadata, "client.metadata")?,
            secret_digest: secret,
            registration_digest: registration,
            resources: json(&self.resources, "client.resources")?,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            disabled_at: moment(self.disabled_at),
            first_granted_at: moment(self.first_granted_at),
            document_fresh_until: moment(self.document_fresh_until),
            document_version: self.document_version,
        })
    }
}

/// What the console searches: id, name and addresses, in small letters.
fn search_key(client: &Client) -> String {
    let metadata = &client.metadata;
    let name = metadata.client_name.as_deref();
    let page = metadata.client_uri.as_deref();
    let redirects = metadata.redirect_uris.iter().map(String::as_str);
    let parts = std::iter::once(client.id.as_str()).chain(name).chain(redirects).chain(page);
    parts.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// One version of a metadata document.
#[derive(Clone, Debug)]
pub struct DocumentVersion {
    /// From 1.
    pub version: i64,
    /// When it was read.
    pub fetched_at: Timestamp,
    /// The document as it was read.
    pub body: String,
    /// What changed against the version before, as JSON.
    pub difference: String,
    /// Its `ETag`.
    pub etag: Option<String>,
    /// Its `Last-Modified`.
    pub last_modified: Option<String>,
}

/// Adds a client; [`StoreError::Conflict`] when the id is taken.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Client) -> Result<(), StoreError> {
    on_either!(tx, c => diesel::insert_into(client::table).values(&Row::of(new)?).execute(c))?;
    Ok(())
}

/// Replaces what a client says of itself and its secret, and nothing else of its record; `false` when it is no longer
/// there, was switched off, or its registration access token is another one by now.
///
/// # Errors
/// A fault of the database.
pub fn set_metadata(tx: &mut Tx<'_>, changed: &Client, now: Timestamp) -> Result<bool, StoreError> {
    let row = Row::of(changed)?;
    let updated = diesel::update(
        client::table
            .find(changed.id.as_str())
            .filter(client::disabled_at.is_null())
            .filter(client::registration_digest.eq(row.registration_digest)),
    )
    .set((
        client::metadata.eq(row.metadata),
        client::search_key.eq(row.search_key),
        client::secret_digest.eq(row.secret_digest),
        client::updated_at.eq(now.micros()),
    ))
    .execute(tx.connection())?;
    Ok(updated == 1)
}

/// Takes over the next version of a metadata document and touches nothing else of the record; `false` when another
/// request was first.
///
/// # Errors
/// A fault of the database.
pub fn set_document(tx: &mut Tx<'_>, changed: &Client, now: Timestamp) -> Result<bool, StoreError> {
    let row = Row::of(changed)?;
    let updated = diesel::update(
        client::table
            .find(changed.id.as_str())
            .filter(client::document_version.eq(changed.document_version - 1)),
    )
    .set((
        client::metadata.eq(row.metadata),
        client::search_key.eq(row.search_key),
        client::document_fresh_until.eq(row.document_fresh_until),
        client::document_version.eq(row.document_version),
        client::updated_at.eq(now.micros()),
    ))
    .execute(tx.connection())?;
    Ok(updated == 1)
}

/// The client with this id.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: &ClientId) -> Result<Option<Client>, StoreError> {
    on_either!(tx, c => client::table.find(id.as_str()).get_result::<Row>(c))
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Every client, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Client>, StoreError> {
    client::table
        .order((client::created_at.asc(), client::id.asc()))
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// Notes the first approval of a client, so that it is not swept.
///
/// # Errors
/// A fault of the database.
pub fn mark_granted(tx: &mut Tx<'_>, id: &ClientId, now: Timestamp) -> Result<(), StoreError> {
    on_either!(tx, c => diesel::update(client::table.find(id.as_str()).filter(client::first_granted_at.is_null()))
        .set(client::first_granted_at.eq(now.micros()))
        .execute(c))?;
    Ok(())
}

/// Switches a client off (`Some`) or on (`None`).
///
/// # Errors
/// A fault of the database.
pub fn set_disabled(
    tx: &mut Tx<'_>,
    id: &ClientId,
    disabled_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(client::table.find(id.as_str()))
        .set((
            client::disabled_at.eq(disabled_at.map(Timestamp::micros)),
            client::updated_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Revocations);
    Ok(())
}

/// Says until when the copy of a metadata document is fresh.
///
/// # Errors
/// A fault of the database.
pub fn set_document_fresh_until(tx: &mut Tx<'_>, id: &ClientId, until: Timestamp) -> Result<(), StoreError> {
    diesel::update(client::table.find(id.as_str()))
        .set(client::document_fresh_until.eq(until.micros()))
        .execute(tx.connection())?;
    Ok(())
}

/// Removes a client and the versions of its document.
///
/// # Errors
/// A fault of the database.
pub fn delete(tx: &mut Tx<'_>, id: &ClientId) -> Result<(), StoreError> {
    diesel::delete(client_document::table.filter(client_document::client_id.eq(id.as_str())))
        .execute(tx.connection())?;
    diesel::delete(client::table.find(id.as_str())).execute(tx.connection())?;
    Ok(())
}

/// Adds a version of a metadata document.
///
/// # Errors
/// A fault of the database.
pub fn insert_document(tx: &mut Tx<'_>, id: &ClientId, new: &DocumentVersion) -> Result<(), StoreError> {
    diesel::insert_into(client_document::table)
        .values((
            client_document::client_id.eq(id.as_str()),
            client_document::version.eq(new.version),
            client_document::fetched_at.eq(new.fetched_at.micros()),
            client_document::body.eq(&new.body),
            client_document::difference.eq(&new.difference),
            client_document::etag.eq(new.etag.as_ref()),
            client_document::last_modified.eq(new.last_modified.as_ref()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// The versions of a client's metadata document, newest first.
///
/// # Errors
/// A fault of the database.
pub fn documents(tx: &mut Tx<'_>, id: &ClientId, limit: i64) -> Result<Vec<DocumentVersion>, StoreError> {
    let rows: Vec<(i64, i64, String, String, Option<String>, Option<String>)> = client_document::table
        .filter(client_document::client_id.eq(id.as_str()))
        .select((
            client_document::version,
            client_document::fetched_at,
            client_document::body,
            client_document::difference,
            client_document::etag,
            client_document::last_modified,
        ))
        .order(client_document::version.desc())
        .limit(limit)
        .load(tx.connection())?;
    Ok(rows
        .into_iter()
        .map(|(version, fetched_at, body, difference, etag, last_modified)| DocumentVersion {
            version,
            fetched_at: Timestamp::from_micros(fetched_at),
            body,
            difference,
            etag,
            last_modified,
        })
        .collect())
}
