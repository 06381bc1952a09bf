//! People.

use serde::{Deserialize, Serialize};

use super::id::UserId;
use super::time::Timestamp;

/// What a person may do in the console; each may what those before it may.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks after their own access.
    #[default]
    Member,
    /// Sees everything, changes nothing.
    Auditor,
    /// Sees and changes everything.
    Admin,
}

impl Role {
    /// The stored and printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }

    /// The inverse of [`Role::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Member, Self::Auditor, Self::Admin].into_iter().find(|r| r.as_str() == text)
    }
}

/// An e-mail address as a name to sign in with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email(String);

impl Email {
    /// Reads an address: one `@`, something on both sides, no spaces or control characters, at most 254 characters
    /// (RFC 5321 §4.5.3.1). Whether mail arrives is another question.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fine = text.len() <= 254
            && !text.chars().any(|c| c.is_control() || c.is_whitespace())
            && text.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            });
        if fine { Ok(Self(text.to_owned())) } else { Err(format!("{text:?} is not an e-mail address")) }
    }

    /// As typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which addresses are unique and looked up: lower case, on every database alike.
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

/// A person as stored.
#[derive(Clone, Debug)]
pub struct User {
    /// Their id; the `sub` of their tokens.
    pub id: UserId,
    /// Their address, as typed.
    pub email: String,
    /// Their name, when known.
    pub name: Option<String>,
    /// What they may do in the console.
    pub role: Role,
    /// Groups they belong to.
    pub groups: Vec<String>,
    /// Password hash in PHC string form; absent while none is set.
    pub password_hash: Option<String>,
    /// Whether they sign in with a second factor or not at all.
    pub second_factor_required: bool,
    /// When they were added.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// Set while switched off.
    pub disabled_at: Option<Timestamp>,
}
