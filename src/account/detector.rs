//! What the detectors look for: which records, whose they are, and how many are too many. Nothing here looks anything up,
//! so the same rules judge what happens now and what happened last month.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::types::alert::{Action, Detector, Finding, Rule, Subject};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::policy::{VOLUME_EARLIER, VOLUME_FACTOR};
use crate::types::time::Timestamp;

const MINUTE: u64 = 60;

/// The rule of a detector until somebody sets another. None of them acts by itself.
#[must_use]
pub const fn usual(detector: Detector) -> Rule {
    let (threshold, minutes) = match detector {
        Detector::RefreshReuse
        | Detector::CodeReplay
        | Detector::CopiedPasskey
        | Detector::DocumentChange
        | Detector::WaitingCall => (1, 60),
        Detector::FailedSignIns => (10, 15),
        Detector::FailedSignInsFrom => (30, 15),
        Detector::MassRegistration => (20, 60),
        Detector::ConsentBurst => (10, 60),
        Detector::ManyDenials => (10, 15),
        Detector::WrongServer => (5, 60),
        Detector::TwoNetworks => (12, 60),
        Detector::TokenVolume => (100, 10),
        Detector::CallVolume => (3_000, 10),
        // Days without use.
        Detector::LongIdle => (14, 60),
        Detector::Inactive => (1, 60),
    };
    Rule {
        detector,
        on: true,
        threshold,
        window: Duration::from_secs(minutes * MINUTE),
        action: Action::Alert,
    }
}

/// The records it looks at.
#[must_use]
pub const fn kinds(detector: Detector) -> &'static [AuditKind] {
    match detector {
        Detector::RefreshReuse => &[AuditKind::RefreshReused],
        Detector::CodeReplay => &[AuditKind::CodeReplayed],
        Detector::FailedSignIns | Detector::FailedSignInsFrom => {
            &[AuditKind::LoginFailed, AuditKind::LoginThrottled, AuditKind::SecondFactorFailed]
        }
        Detector::CopiedPasskey => &[AuditKind::PasskeyCounter],
        Detector::MassRegistration => &[AuditKind::ClientRegistered],
        Detector::ConsentBurst => &[AuditKind::ConsentAllowed],
        Detector::DocumentChange => &[AuditKind::ClientDocumentChanged],
        Detector::ManyDenials => {
            &[AuditKind::ConsentDenied, AuditKind::ClientAuthenticationFailed, AuditKind::CallRefused]
        }
        Detector::WrongServer => &[AuditKind::TokenMisdirected],
        Detector::TwoNetworks => &[AuditKind::GrantMoved],
        Detector::TokenVolume | Detector::CallVolume => &[AuditKind::GrantBusy],
        Detector::LongIdle => &[AuditKind::GrantAwoke],
        Detector::WaitingCall => &[AuditKind::CallApprovalAsked],
        Detector::Inactive => &[AuditKind::InactivityWarned],
    }
}

/// What its threshold counts, in words.
#[must_use]
pub const fn counted(detector: Detector) -> &'static str {
    match detector {
        Detector::RefreshReuse | Detector::CodeReplay => "repeats",
        Detector::FailedSignIns | Detector::FailedSignInsFrom => "failures",
        Detector::CopiedPasskey => "uses",
        Detector::MassRegistration => "registrations",
        Detector::ConsentBurst => "people",
        Detector::DocumentChange => "changes",
        Detector::ManyDenials => "refusals",
        Detector::WrongServer => "times",
        Detector::TwoNetworks => "changes of network",
        Detector::TokenVolume => "tokens",
        Detector::CallVolume | Detector::WaitingCall => "calls",
        Detector::LongIdle => "days without use",
        Detector::Inactive => "warnings",
    }
}

/// How far before its window it looks for what is usual, if it does.
#[must_use]
pub const fn looks_back(detector: Detector) -> Option<Duration> {
    match detector {
        Detector::TokenVolume | Detector::CallVolume => Some(VOLUME_EARLIER),
        _ => None,
    }
}

/// Whom a record is about, as far as this detector goes; `None` when it does not concern it.
#[must_use]
pub fn subject(detector: Detector, event: &AuditEvent) -> Option<Subject> {
    if !kinds(detector).contains(&event.kind) {
        return None;
    }
    let person = || event.user_id.map(Subject::Person);
    let client = || event.client_id.clone().map(Subject::Client);
    let address = || event.address.clone().map(Subject::Address);
    match detector {
        Detector::RefreshReuse => event.grant_id.map(Subject::Grant).or_else(person),
        Detector::WrongServer
        | Detector::TwoNetworks
        | Detector::TokenVolume
        | Detector::CallVolume
        | Detector::LongIdle
        | Detector::WaitingCall => event.grant_id.map(Subject::Grant),
        Detector::Inactive => person().or_else(client),
        Detector::CodeReplay | Detector::FailedSignIns | Detector::CopiedPasskey => person(),
        Detector::FailedSignInsFrom | Detector::MassRegistration => address(),
        // Who has yet to connect a server, or meets one in trouble, is refused by nobody's decision.
        Detector::ManyDenials => {
            let rule = event.detail.get("rule").and_then(serde_json::Value::as_str);
            if matches!(rule, Some("connection_required" | "upstream_token")) { None } else { client() }
        }
        Detector::ConsentBurst => client(),
        // The first version is no change.
        Detector::DocumentChange => {
            event.detail.get("version").and_then(serde_json::Value::as_i64).filter(|version| *version > 1)?;
            client()
        }
    }
}

/// What of one subject's records counts: each, each person once, or the number that each of them tells.
#[must_use]
pub fn weight<'a>(detector: Detector, events: impl Iterator<Item = &'a AuditEvent>) -> usize {
    let told = |event: &AuditEvent, name: &str| {
        let number = event.detail.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    match detector {
        Detector::ConsentBurst => events.filter_map(|event| event.user_id).collect::<HashSet<_>>().len(),
        Detector::WrongServer => events.map(|event| told(event, "count")).sum(),
        Detector::TokenVolume => events.map(|event| told(event, "tokens")).sum(),
        Detector::CallVolume => events.map(|event| told(event, "checks")).sum(),
        Detector::LongIdle => events.map(|event| told(event, "idle_days")).max().unwrap_or_default(),
        _ => events.count(),
    }
}

/// By how much more of the same lets an open alert grow.
#[must_use]
pub fn growth(detector: Detector, events: &[AuditEvent]) -> usize {
    match detector {
        Detector::WrongServer | Detector::TokenVolume | Detector::CallVolume => {
            weight(detector, events.iter())
        }
        // A number of days does not add up.
        Detector::LongIdle => 0,
        _ => events.len(),
    }
}

/// What was usual for one subject: the mean weight of those windows before that have records at all, so that neither the
/// night nor the week-end makes a working day look sudden.
#[must_use]
pub fn usual_of(rule: &Rule, earlier: &[AuditEvent]) -> usize {
    let window = i64::try_from(rule.window.as_micros()).unwrap_or(i64::MAX).max(1);
    let windows: HashSet<i64> = earlier.iter().map(|event| event.at.micros().div_euclid(window)).collect();
    weight(rule.detector, earlier.iter()).checked_div(windows.len()).unwrap_or_default()
}

/// Looks at the records of one subject within the window, oldest first. A detector of sudden volume wants several times
/// what was `usual`.
#[must_use]
pub fn judge(rule: &Rule, subject: &Subject, events: &[AuditEvent], usual: usize) -> Option<Finding> {
    let count = weight(rule.detector, events.iter());
    let (first, last) = (events.first()?, events.last()?);
    (count >= rule.threshold && count >= usual.saturating_mul(VOLUME_FACTOR)).then(|| Finding {
        subject: subject.clone(),
        first_at: first.at,
        last_at: last.at,
        count,
    })
}

/// Looks at recorded history, a record at a time, oldest first.
#[derive(Debug)]
pub struct Replay {
    rule: Rule,
    recent: HashMap<Subject, VecDeque<AuditEvent>>,
    quiet_until: HashMap<Subject, Timestamp>,
    found: Vec<Finding>,
}

impl Replay {
    /// With nothing seen.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, recent: HashMap::new(), quiet_until: HashMap::new(), found: Vec::new() }
    }

    /// The next record. What follows within a window of a finding belongs to it.
    pub fn see(&mut self, event: &AuditEvent) {
        let Some(subject) = subject(self.rule.detector, event) else { return };
        let detector = self.rule.detector;
        let span = looks_back(detector);
        let quiet_until = self.quiet_until.get(&subject).copied();
        let quiet = quiet_until.is_some_and(|until| event.at <= until);
        if quiet && span.is_none() {
            return;
        }
        let events = self.recent.entry(subject.clone()).or_default();
        events.push_back(event.clone());
        let start = event.at.minus(self.rule.window);
        let oldest = span.map_or(start, |span| start.minus(span));
        while events.front().is_some_and(|first| first.at < oldest) {
            events.pop_front();
        }
        if quiet {
            return;
        }
        // What belongs to the finding before is part of what was usual, not of what is new.
        let fresh = quiet_until.map_or(start, |until| start.max(until));
        let all = events.make_contiguous();
        let (earlier, now) = all.split_at(all.partition_point(|event| event.at < fresh));
        // What was usual matters, and is added up, only above the threshold.
        let loud = judge(&self.rule, &subject, now, 0);
        let usual = loud.as_ref().and(span).map_or(0, |_| usual_of(&self.rule, earlier));
        if let Some(finding) = loud.and_then(|_| judge(&self.rule, &subject, now, usual)) {
            self.quiet_until.insert(subject.clone(), event.at.plus(self.rule.window));
            if span.is_none() {
                self.recent.remove(&subject);
            }
            self.found.push(finding);
        }
    }

    /// What would have been raised, oldest first.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::audit_chain::SALT;
    use crate::types::id::{AuditId, GrantId};
    use crate::types::random::SystemRng;

    const START: i64 = 1_800_000_000;

    fn busy(grant: GrantId, minute: i64, checks: usize) -> AuditEvent {
        let at = Timestamp::from_seconds(START + minute * 60);
        AuditEvent {
            by: None,
            id: AuditId::new(at, &SystemRng),
            at,
            kind: AuditKind::GrantBusy,
            user_id: None,
            client_id: None,
            grant_id: Some(grant),
            resource_id: None,
            address: None,
            request_id: None,
            detail: serde_json::json!({ "tokens": 0, "checks": checks, "seconds": 60 }),
            salt: [0; SALT],
        }
    }

    fn replayed(minutes: impl Iterator<Item = (i64, usize)>) -> Vec<usize> {
        let grant = GrantId::new(Timestamp::from_seconds(START), &SystemRng);
        let mut replay = Replay::new(usual(Detector::CallVolume));
        minutes.for_each(|(minute, checks)| replay.see(&busy(grant, minute, checks)));
        replay.findings().iter().map(|finding| finding.count).collect()
    }

    #[test]
    fn a_volume_is_sudden_only_against_what_was_usual() {
        const DAY: i64 = 24 * 60;
        // A new approval, at once above the threshold.
        assert_eq!(replayed((0..10).map(|minute| (minute, 400))), [3_200]);
        // Never above it.
        assert_eq!(replayed((0..DAY).map(|minute| (minute, 100))), Vec::<usize>::new());
        // Office hours for two weeks, the same every working day: the first day is new, the rest is usual, also after
        // the week-end.
        let office = |day: i64| day % 7 < 5;
        let weeks = (0..14 * DAY)
            .step_by(5)
            .filter(|minute| office(minute / DAY) && (480..960).contains(&(minute % DAY)));
        let grant = GrantId::new(Timestamp::from_seconds(START), &SystemRng);
        let mut replay = Replay::new(usual(Detector::CallVolume));
        weeks.for_each(|minute| replay.see(&busy(grant, minute, 2_000)));
        let days: Vec<i64> =
            replay.findings().iter().map(|found| (found.first_at.seconds() - START) / 60 / DAY).collect();
        assert!(!days.is_empty() && days.iter().all(|day| *day < 5), "{days:?}");
        // And ten times as much on the eleventh day.
        let flood = (0..7 * DAY).step_by(5).filter(|minute| (480..960).contains(&(minute % DAY)));
        let flood = flood.map(|minute| (minute, 2_000));
        let found = replayed(flood.chain((7 * DAY + 480..7 * DAY + 485).map(|minute| (minute, 8_000))));
        assert!(found.iter().any(|count| *count >= 8_000), "{found:?}");
    }
}
