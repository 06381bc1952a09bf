//! How a person has proved who they are, and how much that is worth (RFC 8176, RFC 9470).

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// One way to prove it, by its name in `amr` (RFC 8176 §2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Method {
    /// A password.
    #[serde(rename = "pwd")]
    Password,
    /// A code of an authenticator app, or one of the recovery codes.
    #[serde(rename = "otp")]
    OneTimeCode,
    /// A passkey, whose device has made sure of its user.
    #[serde(rename = "hwk")]
    Passkey,
    /// An identity provider, which said no more.
    #[serde(rename = "fed")]
    Elsewhere,
    /// Several factors: an identity provider said so, or it follows from the others.
    #[serde(rename = "mfa")]
    Several,
}

impl Method {
    const ALL: [Self; 5] = [Self::Password, Self::OneTimeCode, Self::Passkey, Self::Elsewhere, Self::Several];

    /// The name in `amr`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "pwd",
            Self::OneTimeCode => "otp",
            Self::Passkey => "hwk",
            Self::Elsewhere => "fed",
            Self::Several => "mfa",
        }
    }

    /// The inverse of [`Method::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// Every way in which a person has proved it within one sign-in; empty when that is not known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// These, and `mfa` where they amount to it.
    #[must_use]
    pub fn of(methods: &[Method]) -> Self {
        let mut all: Vec<Method> = Vec::new();
        for method in Method::ALL {
            if methods.contains(&method) {
                all.push(method);
            }
        }
        let several = all.contains(&Method::Passkey)
            || (all.contains(&Method::OneTimeCode)
                && (all.contains(&Method::Password) || all.contains(&Method::Elsewhere)));
        if several && !all.contains(&Method::Several) {
            all.push(Method::Several);
        }
        Self(all)
    }

    /// With one more.
    #[must_use]
    pub fn with(&self, method: Method) -> Self {
        let mut all = self.0.clone();
        all.push(method);
        Self::of(&all)
    }

    /// What they are worth; nothing when nothing is known.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        if self.0.contains(&Method::Several) {
            Some(Level::Two)
        } else if self.0.is_empty() {
            None
        } else {
            Some(Level::One)
        }
    }

    /// Whether they are worth at least that.
    #[must_use]
    pub fn reach(&self, level: Level) -> bool {
        self.level() >= Some(level)
    }

    /// The names, for `amr`.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|method| method.as_str()).collect()
    }

    /// The stored form: the names with a space between them.
    #[must_use]
    pub fn stored(&self) -> String {
        self.names().join(" ")
    }

    /// The inverse of [`Methods::stored`]; a name that is not known does not count.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self::of(&text.split(' ').filter_map(Method::parse).collect::<Vec<_>>())
    }
}

/// Which second factors a person has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// An authenticator app: when it was added and when it was last used.
    pub authenticator: Option<(Timestamp, Option<Timestamp>)>,
    /// How many passkeys.
    pub passkeys: i64,
    /// How many recovery codes that have not been used.
    pub recovery_codes: i64,
}

impl Held {
    /// Whether there is any; recovery codes stand in for one and are none themselves.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.authenticator.is_some() || self.passkeys > 0
    }
}

/// How sure we are of a person; the value of `acr` (RFC 9470 §4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Level {
    /// One factor.
    One,
    /// Two factors, or a passkey, which is two in one.
    Two,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 2] = [Self::One, Self::Two];

    /// The name in `acr`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "urn:postern:acr:1",
            Self::Two => "urn:postern:acr:2",
        }
    }

    /// The inverse of [`Level::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_methods_are_worth() {
        for (methods, amr, level) in [
            (vec![], "", None),
            (vec![Method::Password], "pwd", Some(Level::One)),
            (vec![Method::OneTimeCode], "otp", Some(Level::One)),
            (vec![Method::OneTimeCode, Method::Password], "pwd otp mfa", Some(Level::Two)),
            (vec![Method::Passkey], "hwk mfa", Some(Level::Two)),
            (vec![Method::Elsewhere], "fed", Some(Level::One)),
            (vec![Method::Elsewhere, Method::Several], "fed mfa", Some(Level::Two)),
            (vec![Method::Elsewhere, Method::OneTimeCode], "otp fed mfa", Some(Level::Two)),
        ] {
            let methods = Methods::of(&methods);
            assert_eq!(methods.stored(), amr);
            assert_eq!(methods.level(), level, "{amr}");
            assert_eq!(Methods::read(amr), methods);
        }
        assert_eq!(Methods::read("pwd nonsense").stored(), "pwd");
        assert!(!Methods::default().reach(Level::One));
        for level in Level::ALL {
            assert_eq!(Level::parse(level.as_str()), Some(level));
        }
    }
}
