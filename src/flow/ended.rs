//! Records of calls that are over. Nobody waits for them, so they are gathered for a moment and written down together: a
//! commit costs the same for many.

use std::sync::{Arc, Mutex, PoisonError};

use super::core::Core;
use super::failure::Fault;
use crate::storage::audit;
use crate::types::audit::AuditEvent;
use crate::types::policy::{RECORDS_GATHER, RECORDS_KEPT, RECORDS_TOGETHER};

/// Records that wait to be written down.
#[derive(Debug, Default)]
pub struct Ended(Mutex<Vec<Arc<AuditEvent>>>);

impl Ended {
    /// Adds one; how many wait now.
    fn put(&self, event: AuditEvent) -> usize {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(Arc::new(event));
        waiting.len()
    }

    /// Takes up again what could not be written down, the oldest first.
    fn put_back(&self, mut events: Vec<Arc<AuditEvent>>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        events.append(&mut waiting);
        let lost = events.len().saturating_sub(RECORDS_KEPT);
        if lost > 0 {
            tracing::error!(lost, "ends of calls are lost: they could not be recorded for too long");
            events.truncate(RECORDS_KEPT);
        }
        *waiting = events;
    }

    fn take(&self) -> Vec<Arc<AuditEvent>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes the end of a call; it is written down within [`RECORDS_GATHER`], or when the server stops.
pub fn note(core: &Arc<Core>, event: AuditEvent) {
    let waiting = core.ended.put(event);
    if waiting != 1 && !waiting.is_multiple_of(RECORDS_TOGETHER) {
        return;
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let core = Arc::clone(core);
    runtime.spawn(async move {
        if waiting == 1 {
            tokio::time::sleep(RECORDS_GATHER).await;
        }
        if let Err(fault) = write_down(&core).await {
            tracing::error!(cause = %fault, "ends of calls could not be recorded");
        }
    });
}

/// Writes down what waits. What cannot be written now waits for the next time, as long as there is room.
///
/// # Errors
/// A fault of the database.
pub async fn write_down(core: &Core) -> Result<(), Fault> {
    let events = core.ended.take();
    if events.is_empty() {
        return Ok(());
    }
    let batch = events.clone();
    let written =
        core.store.write(move |tx| batch.iter().try_for_each(|event| audit::append_shared(tx, event))).await;
    if written.is_err() {
        core.ended.put_back(events);
    }
    Ok(written?)
}
