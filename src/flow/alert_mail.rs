//! Alerts by mail: the first at once, what comes after it together, so that a storm is one mail a window.

use super::core::Core;
use super::failure::Fault;
use super::{letters, outbox as post};
use crate::storage::{alerts, outbox, throttles, users};
use crate::types::alert::{Alert, Detector};
use crate::types::id::AlertId;
use crate::types::mail::AlertsTo;
use crate::types::policy::{ALERT_MAIL_WINDOW, DETECTOR_READ, MAIL_GIVE_UP};

/// Writes mails about what has yet to be told, for the detectors whose window is over.
///
/// # Errors
/// A fault.
pub async fn gather(core: &Core) -> Result<(), Fault> {
    let untold = core.store.lookup(move |tx| outbox::untold(tx, DETECTOR_READ)).await?;
    let mut detectors: Vec<Detector> = Vec::new();
    for (detector, _) in &untold {
        if !detectors.contains(detector) {
            detectors.push(*detector);
        }
    }
    for detector in detectors {
        let ids: Vec<AlertId> =
            untold.iter().filter(|(of, _)| *of == detector).map(|(_, alert)| *alert).collect();
        tell(core, detector, ids).await?;
    }
    Ok(())
}

async fn tell(core: &Core, detector: Detector, ids: Vec<AlertId>) -> Result<(), Fault> {
    let now = core.now();
    let key = format!("alert mail {}", detector.as_str());
    let (of, wanted) = (key.clone(), ids.clone());
    let (resting, found, administrators) = core
        .store
        .lookup(move |tx| {
            let resting = throttles::find(tx, &of)?.is_some_and(|known| known.blocked_until > now);
            let mut found = Vec::new();
            for id in &wanted {
                found.extend(alerts::find(tx, *id)?);
            }
            Ok((resting, found, users::administrators(tx)?))
        })
        .await?;
    if resting {
        return Ok(());
    }
    let recipients: Vec<String> = match &core.policy.mail.alerts_to {
        AlertsTo::Administrators => administrators.into_iter().map(|user| user.email).collect(),
        AlertsTo::These(all) => all.clone(),
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    let mut mails = Vec::new();
    for to in &recipients {
        let letter = letters::alerts(core, to, detector.words(), &lines)?;
        mails.extend(post::written(core, "alert", None, letter, MAIL_GIVE_UP)?);
    }
    Ok(core
        .store
        .write(move |tx| {
            // Whoever counts the same at the same time waits here, and then finds the window begun.
            throttles::count(tx, &key, now.minus(ALERT_MAIL_WINDOW), now)?;
            if throttles::find(tx, &key)?.is_some_and(|known| known.blocked_until > now) {
                return Ok(());
            }
            if outbox::take_untold(tx, &ids)? {
                throttles::block(tx, &key, now.plus(ALERT_MAIL_WINDOW))?;
                outbox::insert_all(tx, &mails)?;
            }
            Ok(())
        })
        .await?)
}

fn line(alert: &Alert) -> String {
    let subject = &alert.finding.subject;
    format!(
        "{}: {} {}, {} times, last at {}",
        alert.raised_at.rfc3339(),
        subject.kind(),
        subject.value(),
        alert.finding.count,
        alert.finding.last_at.rfc3339()
    )
}
