//! The numbers of the overview: how often things have happened lately. What has been counted once is remembered, so that a
//! look costs what has happened since the last one.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::core::Core;
use super::failure::Fault;
use crate::storage::{audit_chain, console};
use crate::types::audit::AuditKind;
use crate::types::policy::TALLY_STEP;
use crate::types::time::Timestamp;

/// How often some things happened, in equal steps up to now, oldest first.
#[derive(Clone, Debug)]
pub struct Series {
    /// What is counted together.
    pub kinds: &'static [AuditKind],
    /// One count a step.
    pub counts: Vec<i64>,
}

/// What the overview tells.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The last day, by hours.
    pub day: Vec<Series>,
    /// The last week, by days.
    pub week: Vec<Series>,
    /// Browsers seen within the last hour.
    pub active: i64,
    /// When the audit log was last signed.
    pub signed_at: Option<Timestamp>,
}

/// What this node has counted: for steps that are over, how often what happened in them.
#[derive(Debug, Default)]
pub struct Course {
    counts: BTreeMap<i64, Vec<(AuditKind, i64)>>,
    /// The first step that is not yet counted for good.
    from: i64,
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Counts what an overview shows.
///
/// # Errors
/// A fault.
pub async fn overview(core: &Core, groups: &'static [&'static [AuditKind]]) -> Result<Overview, Fault> {
    let now = core.now();
    let step = i64::try_from(TALLY_STEP.as_micros()).unwrap_or(i64::MAX);
    let oldest = now.minus(DAY * 7).micros() / step;
    // A record may come a little later than it happened.
    let settled = now.minus(TALLY_STEP).micros() / step;
    let from =
        core.course.lock().unwrap_or_else(PoisonError::into_inner).from.clamp(oldest, settled.max(oldest));
    let kinds: Vec<AuditKind> = groups.iter().flat_map(|kinds| kinds.iter().copied()).collect();
    let (counted, active, signed_at) = core
        .store
        .read(move |tx| {
            Ok((
                console::happened(tx, &kinds, Timestamp::from_micros(from * step), step)?,
                console::sessions_seen(tx, now.minus(HOUR))?,
                audit_chain::newest_checkpoint(tx)?,
            ))
        })
        .await?;
    let mut course = core.course.lock().unwrap_or_else(PoisonError::into_inner);
    course.counts = course.counts.split_off(&oldest);
    let mut all = course.counts.clone();
    all.split_off(&from);
    for (kind, place, count) in counted {
        all.entry(place).or_default().push((kind, count));
    }
    if course.from <= settled {
        course.counts = all.clone();
        course.counts.split_off(&settled);
        course.from = settled;
    }
    drop(course);
    let series = |span: Duration, steps: u32| -> Vec<Series> {
        groups
            .iter()
            .map(|kinds| {
                let mut counts = vec![0_i64; usize::try_from(steps).unwrap_or_default()];
                for (place, found) in &all {
                    let age = now.since(Timestamp::from_micros(place * step));
                    let back = usize::try_from(age.as_secs() / span.as_secs()).unwrap_or(usize::MAX);
                    let slot = counts.len().checked_sub(back.saturating_add(1));
                    if let Some(slot) = slot.and_then(|slot| counts.get_mut(slot)) {
                        *slot += found
                            .iter()
                            .filter(|(kind, _)| kinds.contains(kind))
                            .map(|(_, n)| n)
                            .sum::<i64>();
                    }
                }
                Series { kinds, counts }
            })
            .collect()
    };
    Ok(Overview { day: series(HOUR, 24), week: series(DAY, 7), active, signed_at })
}
