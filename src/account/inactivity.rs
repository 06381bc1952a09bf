//! What the inactivity rule wants done, and when. A step never comes sooner after the one before than the rule's spans lie
//! apart: whoever switches the rule on late does not switch people off unwarned.

use crate::types::inactivity::{InactivityRule, Note, Step};
use crate::types::time::Timestamp;

/// The next step for somebody who was last heard of at `last`, and from when on it is due; `None` when nothing follows.
#[must_use]
pub fn next(rule: &InactivityRule, last: Timestamp, note: Option<&Note>) -> Option<(Step, Timestamp)> {
    let warn = rule.warn_after?;
    // Somebody who was heard of since the warning begins anew.
    let Some(note) = note.filter(|note| note.warned_at > last) else {
        return Some((Step::Warn, last.plus(warn)));
    };
    let disable = rule.disable_after?;
    let Some(disabled_at) = note.disabled_at else {
        let notice = note.warned_at.plus(disable.saturating_sub(warn));
        return Some((Step::Disable, last.plus(disable).max(notice)));
    };
    let revoke = rule.revoke_after?;
    if note.revoked_at.is_some() {
        return None;
    }
    let notice = disabled_at.plus(revoke.saturating_sub(disable));
    Some((Step::Revoke, last.plus(revoke).max(notice)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::client::ClientId;
    use crate::types::inactivity::Silent;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + number * 86_400)
    }

    fn note(warned: i64, disabled: Option<i64>, revoked: Option<i64>) -> Note {
        Note {
            who: Silent::Client(ClientId::parse("app").unwrap()),
            warned_at: day(warned),
            disabled_at: disabled.map(day),
            revoked_at: revoked.map(day),
        }
    }

    #[test]
    fn each_step_has_its_time_and_its_notice() {
        let span = |days: u64| Some(Duration::from_secs(days * 86_400));
        let rule = InactivityRule { warn_after: span(30), disable_after: span(60), revoke_after: span(90) };
        let warns = InactivityRule { disable_after: None, revoke_after: None, ..rule };
        for (rule, last, known, expected) in [
            (InactivityRule::default(), 0, None, None),
            (rule, 0, None, Some((Step::Warn, day(30)))),
            (rule, 0, Some(note(30, None, None)), Some((Step::Disable, day(60)))),
            // Switched on when they had been silent for a year: thirty days after the warning all the same.
            (rule, 0, Some(note(365, None, None)), Some((Step::Disable, day(395)))),
            (rule, 0, Some(note(365, Some(395), None)), Some((Step::Revoke, day(425)))),
            (rule, 0, Some(note(30, Some(60), Some(90))), None),
            // Heard of since.
            (rule, 40, Some(note(30, None, None)), Some((Step::Warn, day(70)))),
            (rule, 70, Some(note(30, Some(60), None)), Some((Step::Warn, day(100)))),
            (warns, 0, Some(note(30, None, None)), None),
        ] {
            assert_eq!(next(&rule, day(last), known.as_ref()), expected, "{last} {known:?}");
        }
    }
}
