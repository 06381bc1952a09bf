//! Reading the audit log.

use super::core::Core;
use super::failure::Fault;
use crate::storage::audit::{self, AuditFilter};
use crate::types::audit::AuditEvent;

/// The records that are meant, oldest first.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, filter: AuditFilter) -> Result<Vec<AuditEvent>, Fault> {
    Ok(core.store.read(move |tx| audit::list(tx, &filter)).await?)
}
