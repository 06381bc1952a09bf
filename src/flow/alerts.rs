//! Detectors at work: looking at what the audit log has gained, raising alerts, acting on them; their rules, and what they
//! would have found.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::core::{Caller, Core};
use super::cut::{self, By, Order};
use super::failure::Fault;
use super::people::OrderError;
use crate::account::detector::{self, Replay};
use crate::storage::alerts::AlertFilter;
use crate::storage::audit::AuditFilter;
use crate::storage::{StoreError, alerts, audit, outbox, users};
use crate::types::alert::{Action, Alert, Detector, Finding, Rule, Subject};
use crate::types::audit::AuditKind;
use crate::types::cut::{Kind, Target};
use crate::types::id::{AlertId, CutId};
use crate::types::network::Network;
use crate::types::policy::{
    ALERTS_ON_A_PAGE, AUDIT_WALK, DETECTOR_OVERLAP, DETECTOR_START, MAX_CUT_SPAN, MAX_DETECTOR_THRESHOLD,
    MAX_DETECTOR_WINDOW,
};
use crate::types::time::Timestamp;
use crate::types::user::Role;

/// The rules in force, one for each detector.
///
/// # Errors
/// A fault.
pub async fn rules(core: &Core) -> Result<Vec<Rule>, Fault> {
    let set = core.store.read(alerts::rules).await?;
    let rule = |detector: Detector| {
        set.iter()
            .find(|rule| rule.detector == detector)
            .copied()
            .unwrap_or_else(|| detector::usual(detector))
    };
    Ok(Detector::ALL.iter().copied().map(rule).collect())
}

/// Sets the rule of a detector.
///
/// # Errors
/// See [`OrderError`].
pub async fn set_rule(core: &Core, caller: &Caller, rule: Rule) -> Result<(), OrderError> {
    check(&rule)?;
    let mut event = core.event(AuditKind::DetectorSet, caller, core.now());
    event.detail = serde_json::json!({
        "detector": rule.detector.as_str(),
        "on": rule.on,
        "threshold": rule.threshold,
        "window": rule.window.as_secs(),
        "action": rule.action.as_str(),
        "isolate_for": rule.action.span().map(|span| span.as_secs()),
    });
    core.store
        .write(move |tx| {
            alerts::set_rule(tx, &rule)?;
            audit::append(tx, &event)
        })
        .await?;
    Ok(())
}

/// Whether a rule makes sense.
///
/// # Errors
/// [`OrderError::Bad`].
pub fn check(rule: &Rule) -> Result<(), OrderError> {
    let bad = |why: String| Err(OrderError::Bad(why));
    if !(1..=MAX_DETECTOR_THRESHOLD).contains(&rule.threshold) {
        return bad(format!("a threshold is from 1 to {MAX_DETECTOR_THRESHOLD}"));
    }
    if rule.window.as_secs() == 0 || rule.window > MAX_DETECTOR_WINDOW {
        return bad("a window is from 1s to 24h".to_owned());
    }
    if rule.action.span().is_some_and(|span| span.as_secs() == 0 || span > MAX_CUT_SPAN) {
        return bad("that is no time to isolate somebody for".to_owned());
    }
    Ok(())
}

/// What a rule would have raised since a moment, oldest first. Nothing is written and nothing done.
///
/// # Errors
/// See [`OrderError`].
pub async fn dry_run(core: &Core, rule: Rule, since: Timestamp) -> Result<Vec<Finding>, OrderError> {
    check(&rule)?;
    let mut replay = Replay::new(rule);
    let filter = AuditFilter { since: Some(since), ..AuditFilter::default() };
    let mut after = 0;
    loop {
        let filter = filter.clone();
        let found = core.store.read(move |tx| audit::after(tx, &filter, after, AUDIT_WALK)).await?;
        let Some((last, _)) = found.last() else { return Ok(replay.findings()) };
        after = *last;
        for (_, record) in &found {
            replay.see(&record.event);
        }
    }
}

/// Looks at what has happened since the last look, raises what is to be raised, and acts. Looking twice at the same records,
/// or on two nodes at once, raises nothing twice.
///
/// # Errors
/// A fault; the next look begins where this one did.
pub async fn watch(core: &Core) -> Result<(), Fault> {
    let now = core.now();
    super::usage::record(core, now).await?;
    let last = *core.watched.lock().unwrap_or_else(PoisonError::into_inner);
    let since = last.map_or_else(|| now.minus(DETECTOR_START), |last| last.minus(DETECTOR_OVERLAP));
    let rules: Vec<Rule> = rules(core).await?.into_iter().filter(|rule| rule.on).collect();
    let mut kinds: Vec<AuditKind> =
        rules.iter().flat_map(|rule| detector::kinds(rule.detector)).copied().collect();
    kinds.sort_unstable_by_key(|kind| kind.as_str());
    kinds.dedup();
    let events = core.store.read(move |tx| alerts::records(tx, &kinds, since, None)).await?;
    // More than is read at once: the rest is for the next look.
    let seen = match events.last() {
        Some(last) if i64::try_from(events.len()).is_ok_and(|n| n >= crate::types::policy::DETECTOR_READ) => {
            last.at
        }
        _ => now,
    };
    for rule in rules {
        let subjects: HashSet<Subject> =
            events.iter().filter_map(|event| detector::subject(rule.detector, event)).collect();
        for subject in subjects {
            look(core, rule, subject, now).await?;
        }
    }
    let interrupted = now.minus(DETECTOR_OVERLAP);
    for alert in core.store.read(move |tx| alerts::unfinished(tx, interrupted)).await? {
        act(core, &alert).await?;
    }
    *core.watched.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    Ok(())
}

/// Looks at one subject: what counts towards an earlier alert does not count again.
async fn look(core: &Core, rule: Rule, subject: Subject, now: Timestamp) -> Result<(), Fault> {
    let about = subject.clone();
    let (known, events) = core
        .store
        .read(move |tx| {
            let known = alerts::newest(tx, rule.detector, &about)?;
            let start = now.minus(rule.window);
            let counted = known.as_ref().map(|alert| alert.finding.last_at);
            let since =
                counted.map_or(start, |counted| start.max(Timestamp::from_micros(counted.micros() + 1)));
            let mut events = alerts::records(tx, detector::kinds(rule.detector), since, Some(&about))?;
            events.retain(|event| detector::subject(rule.detector, event).as_ref() == Some(&about));
            Ok((known, events))
        })
        .await?;
    if let Some(open) = known.filter(|alert| alert.acknowledged_at.is_none()) {
        if let Some(last) = events.last().map(|event| event.at) {
            let more = detector::growth(rule.detector, &events);
            core.store.write(move |tx| alerts::grow(tx, &open, last, more)).await?;
        }
        return Ok(());
    }
    let usual = match (detector::looks_back(rule.detector), events.first()) {
        // Only for a subject that is above the threshold already.
        (Some(span), Some(first)) if detector::judge(&rule, &subject, &events, 0).is_some() => {
            let (about, until) = (subject.clone(), first.at);
            let since = until.minus(span);
            let kinds = detector::kinds(rule.detector);
            let mut before =
                core.store.read(move |tx| alerts::records(tx, kinds, since, Some(&about))).await?;
            before.retain(|event| event.at < until);
            detector::usual_of(&rule, &before)
        }
        _ => 0,
    };
    let Some(finding) = detector::judge(&rule, &subject, &events, usual) else { return Ok(()) };
    let alert = Alert {
        id: AlertId::new(now, core.rng.as_ref()),
        detector: rule.detector,
        finding,
        raised_at: now,
        action: rule.action,
        cut_id: None,
        outcome: if rule.action == Action::Alert {
            "nothing was to be done".to_owned()
        } else {
            String::new()
        },
        acknowledged_at: None,
        acknowledged_by: None,
    };
    let mut event = core.event(AuditKind::AlertRaised, &Caller::job(), now);
    match &alert.finding.subject {
        Subject::Person(id) => event.user_id = Some(*id),
        Subject::Client(id) => event.client_id = Some(id.clone()),
        Subject::Grant(id) => event.grant_id = Some(*id),
        Subject::Address(address) => event.address = Some(address.clone()),
    }
    event.detail = serde_json::json!({
        "alert": alert.id.to_string(), "detector": rule.detector.as_str(), "count": alert.finding.count,
    });
    let new = alert.clone();
    let by_mail = core.policy.mail.is_on();
    let raised = core
        .store
        .write(move |tx| {
            alerts::insert(tx, &new)?;
            if by_mail {
                outbox::note_alert(tx, new.id, new.detector)?;
            }
            audit::append(tx, &event)
        })
        .await;
    match raised {
        Ok(()) => {
            tracing::warn!(detector = rule.detector.as_str(), alert = %alert.id, "alert raised");
            act(core, &alert).await
        }
        // Another node was first.
        Err(StoreError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Does what the rule says. An administrator is never cut off by a detector: whoever could provoke one would hold the
/// key to the console.
async fn act(core: &Core, alert: &Alert) -> Result<(), Fault> {
    let kind = match alert.action {
        Action::Alert => return Ok(()),
        Action::Isolate(span) => Kind::Isolate(span),
        Action::Revoke => Kind::Revoke,
    };
    let target = match &alert.finding.subject {
        Subject::Person(id) => {
            let id = *id;
            let user = core.store.read(move |tx| users::find(tx, id)).await?;
            if user.is_some_and(|user| user.role == Role::Admin) {
                return acted(core, alert.id, None, "left alone: an administrator").await;
            }
            Some(Target::Person(id))
        }
        Subject::Client(id) => Some(Target::Client(id.clone())),
        Subject::Grant(id) => Some(Target::Grant(*id)),
        Subject::Address(address) => Network::parse(address).ok().map(Target::Network),
    };
    let Some(target) = target else {
        return acted(core, alert.id, None, "left alone: the address is not known").await;
    };
    let order = Order {
        target,
        kind,
        reason: format!("{} (alert {})", alert.detector.words(), alert.id),
        by: By::program("detector", alert.detector.as_str()),
    };
    match cut::cut(core, &Caller::job(), order).await {
        Ok(made) => {
            let outcome = if kind == Kind::Revoke { "everything was ended" } else { "isolated" };
            acted(core, alert.id, Some(made.id), outcome).await
        }
        Err(OrderError::Fault(fault)) => Err(fault),
        Err(why) => acted(core, alert.id, None, &format!("nothing was done: {why}")).await,
    }
}

async fn acted(core: &Core, id: AlertId, cut: Option<CutId>, outcome: &str) -> Result<(), Fault> {
    let outcome = outcome.to_owned();
    Ok(core.store.write(move |tx| alerts::acted(tx, id, cut, &outcome)).await?)
}

/// Alerts, newest first: only the open ones, or all.
///
/// # Errors
/// A fault.
pub async fn list(core: &Core, open_only: bool) -> Result<Vec<Alert>, Fault> {
    let filter = AlertFilter { open: open_only.then_some(true), ..AlertFilter::default() };
    Ok(core.store.read(move |tx| alerts::list(tx, &filter, None, ALERTS_ON_A_PAGE)).await?)
}

/// Takes note of an open alert.
///
/// # Errors
/// See [`OrderError`].
pub async fn acknowledge(core: &Core, caller: &Caller, by: &By, id: &str) -> Result<Alert, OrderError> {
    let missing = || OrderError::NotFound(format!("there is no open alert {id}; see `postern alert list`"));
    let parsed = AlertId::parse(id).ok_or_else(missing)?;
    let now = core.now();
    let mut event = core.event(AuditKind::AlertAcknowledged, caller, now);
    event.user_id = by.user_id;
    event.detail = serde_json::json!({ "alert": id, "by": by.name });
    let name = by.name.clone();
    let done = core
        .store
        .write(move |tx| {
            if !alerts::acknowledge(tx, parsed, &name, now)? {
                return Ok(None);
            }
            audit::append(tx, &event)?;
            alerts::find(tx, parsed)
        })
        .await?;
    done.ok_or_else(missing)
}
