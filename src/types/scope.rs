//! Scopes (RFC 6749 §3.3).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The scope that asks for a refresh token (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scope tokens, kept in order so that equal sets print equally.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash, PartialOrd, Ord)]
pub struct ScopeSet(BTreeSet<String>);

impl ScopeSet {
    /// Reads a space-delimited list. Several spaces count as one; an empty text is the empty set.
    ///
    /// # Errors
    /// The first token with a character outside RFC 6749 §3.3.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(' ')
            .filter(|token| !token.is_empty())
            .map(|token| is_scope(token).then(|| token.to_owned()).ok_or_else(|| token.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many scopes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it holds `scope`.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of `other` is here.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// What both hold.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// What either holds.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    /// What is here and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }

    /// Adds one scope.
    pub fn insert(&mut self, scope: &str) {
        self.0.insert(scope.to_owned());
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = S>>(iter: I) -> Self {
        Self(iter.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope)?;
        }
        Ok(())
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|bad| serde::de::Error::custom(format!("{bad:?} is not a scope")))
    }
}

/// Whether `token` is one scope token: 1 to 256 of `%x21 / %x23-5B / %x5D-7E` (RFC 6749 §3.3).
#[must_use]
pub fn is_scope(token: &str) -> bool {
    (1..=256).contains(&token.len()) && token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_characters_outside_the_grammar() {
        for bad in ["a\"b", "a\\b", "é", "a\tb", "a\nb", "\u{0}"] {
            assert!(ScopeSet::parse(bad).is_err(), "{bad:?}");
        }
        assert!(ScopeSet::parse("  ").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn set_algebra_holds(a in "([a-d] ?){0,6}", b in "([a-d] ?){0,6}") {
            let (a, b) = (ScopeSet::parse(&a).unwrap(), ScopeSet::parse(&b).unwrap());
            prop_assert!(a.includes(&a.intersection(&b)) && b.includes(&a.intersection(&b)));
            prop_assert!(a.union(&b).includes(&a) && a.union(&b).includes(&b));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert_eq!(ScopeSet::parse(&a.to_string()).unwrap(), a);
        }
    }
}
