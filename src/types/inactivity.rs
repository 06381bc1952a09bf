//! People and apps that nothing is heard of.

use std::time::Duration;

use super::client::ClientId;
use super::id::UserId;
use super::time::Timestamp;

/// After how long without a sign of life something happens; nothing does where it is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InactivityRule {
    /// Until the warning.
    pub warn_after: Option<Duration>,
    /// Until the account or app is switched off.
    pub disable_after: Option<Duration>,
    /// Until every approval ends.
    pub revoke_after: Option<Duration>,
}

impl InactivityRule {
    /// Whether each step comes after the one before and none is missing between.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), &'static str> {
        match (self.warn_after, self.disable_after, self.revoke_after) {
            (_, None, None) => Ok(()),
            (None, _, _) => Err(
                "inactivity.warn_after: expected a span, because nobody is switched off without a warning",
            ),
            (Some(_), None, Some(_)) => {
                Err("inactivity.disable_after: expected a span, because inactivity.revoke_after is set")
            }
            (Some(warn), Some(disable), _) if disable <= warn => {
                Err("inactivity.disable_after: expected more than inactivity.warn_after")
            }
            (Some(_), Some(disable), Some(revoke)) if revoke <= disable => {
                Err("inactivity.revoke_after: expected more than inactivity.disable_after")
            }
            (Some(_), Some(_), _) => Ok(()),
        }
    }

    /// The longest of its spans.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        self.revoke_after.or(self.disable_after).or(self.warn_after)
    }
}

/// Whom nothing is heard of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Silent {
    /// A person.
    Person(UserId),
    /// A client.
    Client(ClientId),
}

impl Silent {
    /// The stored and printed name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Client(_) => "client",
        }
    }

    /// What it names, as text.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Person(id) => id.to_string(),
            Self::Client(id) => id.to_string(),
        }
    }

    /// The inverse of [`Silent::kind`] and [`Silent::value`].
    #[must_use]
    pub fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "person" => UserId::parse(value).map(Self::Person),
            "client" => ClientId::parse(value).map(Self::Client),
            _ => None,
        }
    }
}

/// What happens next to somebody silent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A warning.
    Warn,
    /// They are switched off.
    Disable,
    /// Every approval of theirs ends.
    Revoke,
}

impl Step {
    /// The printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Disable => "disable",
            Self::Revoke => "revoke",
        }
    }
}

/// What has happened to somebody silent so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Who.
    pub who: Silent,
    /// When there was a warning.
    pub warned_at: Timestamp,
    /// When they were switched off for it.
    pub disabled_at: Option<Timestamp>,
    /// When their approvals were ended for it.
    pub revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_follows_the_one_before() {
        let days = |days: u64| (days > 0).then(|| Duration::from_secs(days * 86_400));
        for (warn, disable, revoke, fine) in [
            (0, 0, 0, true),
            (30, 0, 0, true),
            (30, 60, 0, true),
            (30, 60, 90, true),
            (0, 60, 0, false),
            (0, 0, 90, false),
            (30, 0, 90, false),
            (30, 30, 0, false),
            (30, 60, 60, false),
            (60, 30, 90, false),
        ] {
            let rule = InactivityRule {
                warn_after: days(warn),
                disable_after: days(disable),
                revoke_after: days(revoke),
            };
            assert_eq!(rule.check().is_ok(), fine, "{warn} {disable} {revoke}");
        }
    }
}
