//! MCP servers.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{digest, json, moment, need, to_json};
use super::schema::resource;
use super::store::Tx;
use crate::types::access_rule::AccessRule;
use crate::types::id::ResourceId;
use crate::types::key::SigningAlg;
use crate::types::resource::Resource;
use crate::types::resource_uri::ResourceUri;
use crate::types::time::Timestamp;

#[derive(Queryable, Insertable)]
#[diesel(table_name = resource)]
struct Row {
    id: String,
    uri: String,
    uri_key: String,
    name: String,
    scopes: String,
    access_token_ttl: Option<i64>,
    signing_alg: String,
    is_default: bool,
    client_rule: String,
    client_id: String,
    secret_digest: Vec<u8>,
    slug: Option<String>,
    upstream: Option<String>,
    created_at: i64,
    updated_at: i64,
    removed_at: Option<i64>,
    second_factor_required: bool,
    access_rule: String,
    gateway: String,
}

impl Row {
    fn read(self) -> Result<Resource, StoreError> {
        Ok(Resource {
            id: need(ResourceId::parse(&self.id), "resource.id")?,
            uri: need(ResourceUri::parse(&self.uri).ok(), "resource.uri")?,
            name: self.name,
            scopes: json(&self.scopes, "resource.scopes")?,
            access_token_ttl: self.access_token_ttl,
            signing_alg: need(SigningAlg::parse(&self.signing_alg), "resource.signing_alg")?,
            is_default: self.is_default,
            client_rule: json(&self.client_rule, "resource.client_rule")?,
            access_rule: json(&self.access_rule, "resource.access_rule")?,
            gateway: json(&self.gateway, "resource.gateway")?,
            second_factor_required: self.second_factor_required,
            client_id: self.client_id,
            secret_digest: digest(&self.secret_digest, "resource.secret_digest")?,
            slug: self.slug,
            upstream: self.upstream,
            created_at: Timestamp::from_micros(self.created_at),
            updated_at: Timestamp::from_micros(self.updated_at),
            removed_at: moment(self.removed_at),
        })
    }
}

/// Adds an MCP server; [`StoreError::Conflict`] when its URI or slug is taken. A new default takes the mark from
/// the old one.
///
/// # Errors
/// A fault of the database.
pub fn insert(tx: &mut Tx<'_>, new: &Resource) -> Result<(), StoreError> {
    if new.is_default {
        diesel::update(resource::table.filter(resource::is_default.eq(true)))
            .set(resource::is_default.eq(false))
            .execute(tx.connection())?;
    }
    let row = Row {
        id: new.id.to_string(),
        uri: new.uri.as_str().to_owned(),
        uri_key: new.uri.key(),
        name: new.name.clone(),
        scopes: to_json(&new.scopes)?,
        access_token_ttl: new.access_token_ttl,
        signing_alg: new.signing_alg.as_str().to_owned(),
        is_default: new.is_default,
        client_rule: to_json(&new.client_rule)?,
        client_id: new.client_id.clone(),
        secret_digest: new.secret_digest.bytes().to_vec(),
        slug: new.slug.clone(),
        upstream: new.upstream.clone(),
        created_at: new.created_at.micros(),
        updated_at: new.updated_at.micros(),
        removed_at: None,
        second_factor_required: new.second_factor_required,
        access_rule: to_json(&new.access_rule)?,
        gateway: to_json(&new.gateway)?,
    };
    diesel::insert_into(resource::table).values(&row).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}

/// Every MCP server that has not been removed, oldest first.
///
/// # Errors
/// A fault of the database.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Resource>, StoreError> {
    resource::table
        .filter(resource::removed_at.is_null())
        .order((resource::created_at.asc(), resource::id.asc()))
        .load::<Row>(tx.connection())?
        .into_iter()
        .map(Row::read)
        .collect()
}

/// The MCP server with this id, removed or not.
///
/// # Errors
/// A fault of the database.
pub fn find(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Resource>, StoreError> {
    resource::table
        .find(id.to_string())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The MCP server whose URI compares equal to `key` ([`ResourceUri::key`]).
///
/// # Errors
/// A fault of the database.
pub fn find_by_key(tx: &mut Tx<'_>, key: &str) -> Result<Option<Resource>, StoreError> {
    resource::table
        .filter(resource::uri_key.eq(key))
        .filter(resource::removed_at.is_null())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// The MCP server that holds these introspection credentials.
///
/// # Errors
/// A fault of the database.
pub fn find_by_client_id(tx: &mut Tx<'_>, client_id: &str) -> Result<Option<Resource>, StoreError> {
    resource::table
        .filter(resource::client_id.eq(client_id))
        .filter(resource::removed_at.is_null())
        .get_result::<Row>(tx.connection())
        .optional()?
        .map(Row::read)
        .transpose()
}

/// Changes the settings of an MCP server: its name, its second-factor rule, its client rule and what holds at
/// the gateway, as they stand in `new`.
///
/// # Errors
/// A fault of the database.
pub fn set(tx: &mut Tx<'_>, new: &Resource, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(resource::table.find(new.id.to_string()))
        .set((
            resource::name.eq(&new.name),
            resource::second_factor_required.eq(new.second_factor_required),
            resource::client_rule.eq(to_json(&new.client_rule)?),
            resource::gateway.eq(to_json(&new.gateway)?),
            resource::updated_at.eq(now.micros()),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}

/// Says who may be granted what there.
///
/// # Errors
/// A fault of the database.
pub fn set_access_rule(
    tx: &mut Tx<'_>,
    id: ResourceId,
    rule: &AccessRule,
    now: Timestamp,
) -> Result<(), StoreError> {
    diesel::update(resource::table.find(id.to_string()))
        .set((resource::access_rule.eq(to_json(rule)?), resource::updated_at.eq(now.micros())))
        .execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}

/// The MCP server with this id, which nobody changes until the transaction ends.
///
/// # Errors
/// A fault of the database.
pub fn hold(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<Resource>, StoreError> {
    diesel::update(resource::table.find(id.to_string()))
        .set(resource::updated_at.eq(resource::updated_at))
        .execute(tx.connection())?;
    find(tx, id)
}

/// Marks an MCP server as removed; its URI may be registered anew.
///
/// # Errors
/// A fault of the database.
pub fn remove(tx: &mut Tx<'_>, id: ResourceId, now: Timestamp) -> Result<(), StoreError> {
    diesel::update(resource::table.find(id.to_string()))
        .set((
            resource::removed_at.eq(now.micros()),
            resource::updated_at.eq(now.micros()),
            resource::is_default.eq(false),
        ))
        .execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(())
}
