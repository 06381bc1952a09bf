//! Reading the audit log.

use super::core::Core;
use super::failure::Fault;
use crate::storage::audit::{self, AuditFilter};
use crate::storage::audit_chain::Chained;
use crate::types::audit::AuditEvent;
use crate::types::policy::AUDIT_WALK;

/// The records that are meant, oldest first.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, filter: AuditFilter) -> Result<Vec<AuditEvent>, Fault> {
    Ok(core.store.read(move |tx| audit::list(tx, &filter)).await?)
}

/// A page of records, newest first, each with the place from which the next page goes on ([`AuditFilter::before`]).
///
/// # Errors
/// A fault.
pub async fn page(core: &Core, filter: AuditFilter) -> Result<Vec<(i64, AuditEvent)>, Fault> {
    Ok(core.store.read(move |tx| audit::page(tx, &filter)).await?)
}

/// The next records after a place in the order of arrival, oldest first, with their places in the chain.
///
/// # Errors
/// A fault.
pub async fn export(core: &Core, filter: AuditFilter, after: i64) -> Result<Vec<(i64, Chained)>, Fault> {
    Ok(core.store.read(move |tx| audit::after(tx, &filter, after, AUDIT_WALK)).await?)
}
