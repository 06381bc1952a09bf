//! What the detectors look for: which records, whose they are, and how many are too many. Nothing here looks anything up,
//! so the same rules judge what happens now and what happened last month.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::types::alert::{Action, Detector, Finding, Rule, Subject};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::time::Timestamp;

const MINUTE: u64 = 60;

/// The rule of a detector until somebody sets another. None of them acts by itself.
#[must_use]
pub const fn usual(detector: Detector) -> Rule {
    let (threshold, minutes) = match detector {
        Detector::RefreshReuse
        | Detector::CodeReplay
        | Detector::CopiedPasskey
        | Detector::DocumentChange => (1, 60),
        Detector::FailedSignIns => (10, 15),
        Detector::FailedSignInsFrom => (30, 15),
        Detector::MassRegistration => (20, 60),
        Detector::ConsentBurst => (10, 60),
        Detector::ManyDenials => (10, 15),
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
        Detector::ManyDenials => &[AuditKind::ConsentDenied, AuditKind::ClientAuthenticationFailed],
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
        Detector::CodeReplay | Detector::FailedSignIns | Detector::CopiedPasskey => person(),
        Detector::FailedSignInsFrom | Detector::MassRegistration => address(),
        Detector::ConsentBurst | Detector::ManyDenials => client(),
        // The first version is no change.
        Detector::DocumentChange => {
            event.detail.get("version").and_then(serde_json::Value::as_i64).filter(|version| *version > 1)?;
            client()
        }
    }
}

/// What of one subject's records counts: each, or each person once.
fn weight<'a>(detector: Detector, events: impl Iterator<Item = &'a AuditEvent>) -> usize {
    match detector {
        Detector::ConsentBurst => events.filter_map(|event| event.user_id).collect::<HashSet<_>>().len(),
        _ => events.count(),
    }
}

/// Looks at the records of one subject within the window, oldest first.
#[must_use]
pub fn judge(rule: &Rule, subject: &Subject, events: &[AuditEvent]) -> Option<Finding> {
    let count = weight(rule.detector, events.iter());
    let (first, last) = (events.first()?, events.last()?);
    (count >= rule.threshold).then(|| Finding {
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
        if self.quiet_until.get(&subject).is_some_and(|until| event.at <= *until) {
            return;
        }
        let events = self.recent.entry(subject.clone()).or_default();
        events.push_back(event.clone());
        let start = event.at.minus(self.rule.window);
        while events.front().is_some_and(|first| first.at < start) {
            events.pop_front();
        }
        if let Some(finding) = judge(&self.rule, &subject, events.make_contiguous()) {
            self.quiet_until.insert(subject.clone(), event.at.plus(self.rule.window));
            self.recent.remove(&subject);
            self.found.push(finding);
        }
    }

    /// What would have been raised, oldest first.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.found
    }
}
