//! Deleting what has had its time.

use super::core::Core;
use super::failure::Fault;
use crate::storage::sweep;
use crate::types::policy::SWEEP_BATCH;

/// Sweeps batch by batch, so that other writes come in between, until little is left.
///
/// # Errors
/// A fault.
pub async fn sweep(core: &Core) -> Result<usize, Fault> {
    let now = core.now();
    let idle = core.policy.session_idle_ttl;
    let mut total = 0;
    loop {
        let swept = core.store.write(move |tx| sweep::run(tx, now, idle)).await?;
        total += swept;
        if swept < usize::try_from(SWEEP_BATCH).unwrap_or(usize::MAX) {
            return Ok(total);
        }
    }
}
