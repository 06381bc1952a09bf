//! What the gateway needs to know of the MCP servers behind it: their tools, and what it shows to them.

use diesel::prelude::*;

use super::error::StoreError;
use super::generations::{Topic, bump};
use super::row::{digest, need};
use super::schema::{tool, upstream_credential as credential};
use super::store::Tx;
use crate::types::id::ResourceId;
use crate::types::time::Timestamp;
use crate::types::tool::{Tool, ToolClass, ToolState};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = tool)]
#[diesel(treat_none_as_null = true)]
struct Row {
    resource_id: String,
    name: String,
    state: String,
    class: Option<String>,
    class_set: bool,
    digest: Vec<u8>,
    seen: String,
    changed_at: i64,
    approved_by: Option<String>,
}

impl Row {
    fn read(self) -> Result<(ResourceId, Tool), StoreError> {
        let class = self.class.map(|class| need(ToolClass::parse(&class), "tool.class")).transpose()?;
        let tool = Tool {
            name: self.name,
            state: need(ToolState::parse(&self.state), "tool.state")?,
            class,
            class_set: self.class_set,
            digest: digest(&self.digest, "tool.digest")?,
            seen: self.seen,
            changed_at: Timestamp::from_micros(self.changed_at),
            approved_by: self.approved_by,
        };
        Ok((need(ResourceId::parse(&self.resource_id), "tool.resource_id")?, tool))
    }

    fn of(resource: ResourceId, tool: &Tool) -> Self {
        Self {
            resource_id: resource.to_string(),
            name: tool.name.clone(),
            state: tool.state.as_str().to_owned(),
            class: tool.class.map(|class| class.as_str().to_owned()),
            class_set: tool.class_set,
            digest: tool.digest.bytes().to_vec(),
            seen: tool.seen.clone(),
            changed_at: tool.changed_at.micros(),
            approved_by: tool.approved_by.clone(),
        }
    }
}

/// A credential as it is kept.
#[derive(Clone, Debug)]
pub struct SealedCredential {
    /// For which server.
    pub resource_id: ResourceId,
    /// What it is, for people: `header`, `basic` or `bearer`.
    pub kind: String,
    /// The header it goes into, in small letters.
    pub header: String,
    /// Its key, sealed under the master key.
    pub sealed_key: Vec<u8>,
    /// The header's value, sealed under that key.
    pub sealed_value: Vec<u8>,
    /// Since when it is used.
    pub created_at: Timestamp,
}

/// Every tool of every server.
///
/// # Errors
/// A fault of the database.
pub fn tools(tx: &mut Tx<'_>) -> Result<Vec<(ResourceId, Tool)>, StoreError> {
    let rows: Vec<Row> = tool::table.order((tool::resource_id, tool::name)).load(tx.connection())?;
    rows.into_iter().map(Row::read).collect()
}

/// The tools of one server, by name.
///
/// # Errors
/// A fault of the database.
pub fn tools_of(tx: &mut Tx<'_>, resource: ResourceId) -> Result<Vec<Tool>, StoreError> {
    let rows: Vec<Row> = tool::table
        .filter(tool::resource_id.eq(resource.to_string()))
        .order(tool::name)
        .load(tx.connection())?;
    rows.into_iter().map(|row| row.read().map(|(_, tool)| tool)).collect()
}

/// Writes a tool down as it is now.
///
/// # Errors
/// A fault of the database.
pub fn put_tool(tx: &mut Tx<'_>, resource: ResourceId, new: &Tool) -> Result<(), StoreError> {
    let row = Row::of(resource, new);
    let known = tool::table.find((resource.to_string(), new.name.clone()));
    if diesel::update(known).set(&row).execute(tx.connection())? == 0 {
        diesel::insert_into(tool::table).values(&row).execute(tx.connection())?;
    }
    bump(tx, Topic::Resources);
    Ok(())
}

/// Every credential.
///
/// # Errors
/// A fault of the database.
pub fn credentials(tx: &mut Tx<'_>) -> Result<Vec<SealedCredential>, StoreError> {
    type Columns = (String, String, String, Vec<u8>, Vec<u8>, i64);
    let rows: Vec<Columns> = credential::table.load(tx.connection())?;
    rows.into_iter()
        .map(|(resource_id, kind, header, sealed_key, sealed_value, created_at)| {
            Ok(SealedCredential {
                resource_id: need(ResourceId::parse(&resource_id), "upstream_credential.resource_id")?,
                kind,
                header,
                sealed_key,
                sealed_value,
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .collect()
}

/// Keeps a credential; it takes the place of the one before it.
///
/// # Errors
/// A fault of the database.
pub fn put_credential(tx: &mut Tx<'_>, new: &SealedCredential) -> Result<(), StoreError> {
    remove_credential(tx, new.resource_id)?;
    diesel::insert_into(credential::table)
        .values((
            credential::resource_id.eq(new.resource_id.to_string()),
            credential::kind.eq(&new.kind),
            credential::header.eq(&new.header),
            credential::sealed_key.eq(&new.sealed_key),
            credential::sealed_value.eq(&new.sealed_value),
            credential::created_at.eq(new.created_at.micros()),
        ))
        .execute(tx.connection())?;
    Ok(())
}

/// Forgets a credential; whether there was one.
///
/// # Errors
/// A fault of the database.
pub fn remove_credential(tx: &mut Tx<'_>, resource: ResourceId) -> Result<bool, StoreError> {
    let gone = diesel::delete(credential::table.find(resource.to_string())).execute(tx.connection())?;
    bump(tx, Topic::Resources);
    Ok(gone == 1)
}
