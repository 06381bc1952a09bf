//! Identity providers: where people may sign in who do not do it here, and who they are there.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{IdentityId, UserId};
use super::time::Timestamp;
use super::user::Role;

/// The short name by which an administrator, and the addresses of its pages, know a provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(String);

impl ProviderId {
    /// Reads a name: 1 to 32 small letters, digits and hyphens, a letter first.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fine.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When somebody whom a provider names for the first time becomes a person who is here already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linking {
    /// When the provider has verified the e-mail address of that person.
    VerifiedEmail,
    /// Never; people link themselves while signed in, or an administrator does.
    #[default]
    Never,
}

impl Linking {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifiedEmail => "verified-email",
            Self::Never => "never",
        }
    }

    /// The inverse of [`Linking::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::VerifiedEmail, Self::Never].into_iter().find(|one| one.as_str() == text)
    }
}

/// Reads `THERE=HERE`: the name of a group there, and what it stands for here. Directories write groups as
/// `CN=dev,DC=example`, so what is ours comes last and has no `=`.
#[must_use]
pub fn mapping(text: &str) -> Option<(String, String)> {
    let (theirs, ours) = text.rsplit_once('=')?;
    Some((theirs.trim().to_owned(), ours.trim().to_owned()))
}

/// What an administrator has decided about a provider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rules {
    /// The claim that lists a person's groups.
    pub group_claim: String,
    /// Groups there, and the groups here that they stand for.
    pub groups: Vec<(String, String)>,
    /// Groups there, and the roles in the console that they stand for.
    pub roles: Vec<(String, Role)>,
    /// When a stranger becomes somebody who is here already.
    pub linking: Linking,
    /// Whether a stranger becomes somebody new.
    pub creates_people: bool,
    /// Domains of the e-mail addresses that may be linked or added; any when empty.
    pub allowed_domains: Vec<String>,
    /// Whether the provider's word for several factors counts: `mfa` in `amr`.
    pub second_factor: bool,
    /// Values of `acr` that count as several factors too.
    pub second_factor_acr: Vec<String>,
    /// What to ask for besides `openid`.
    pub scopes: Vec<String>,
    /// Whether it may be at a private address.
    pub private_network: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            group_claim: "groups".to_owned(),
            groups: Vec::new(),
            roles: Vec::new(),
            linking: Linking::Never,
            creates_people: false,
            allowed_domains: Vec::new(),
            second_factor: false,
            second_factor_acr: Vec::new(),
            scopes: ["email", "profile"].map(str::to_owned).to_vec(),
            private_network: false,
        }
    }
}

/// An identity provider.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its short name.
    pub id: ProviderId,
    /// Its name on the sign-in page.
    pub name: String,
    /// Its issuer identifier, byte for byte.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// Our secret there, sealed.
    pub secret: Vec<u8>,
    /// What an administrator has decided about it.
    pub rules: Rules,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Set while switched off.
    pub disabled_at: Option<Timestamp>,
    /// When somebody last signed in there.
    pub last_sign_in_at: Option<Timestamp>,
}

/// Who somebody is at a provider: the pair of provider and `sub`, and nothing else.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its id here.
    pub id: IdentityId,
    /// The provider.
    pub provider_id: ProviderId,
    /// Their `sub` there.
    pub sub: String,
    /// Who they are here.
    pub user_id: UserId,
    /// The address that the provider last named; for people to read, nothing is decided by it.
    pub email: Option<String>,
    /// The refresh token that we hold for them there, sealed.
    pub upstream: Option<Vec<u8>>,
    /// When they were linked.
    pub created_at: Timestamp,
    /// When they last signed in there.
    pub last_sign_in_at: Option<Timestamp>,
    /// When the provider last said that they are still somebody.
    pub checked_at: Option<Timestamp>,
    /// Until when a node that asks it has the word.
    pub checking_until: Option<Timestamp>,
}

/// What a provider says of somebody in a verified ID token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asserted {
    /// Who, there.
    pub sub: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider has made sure of it: nothing but the boolean `true`.
    pub email_verified: bool,
    /// Their name.
    pub name: Option<String>,
    /// Their groups there.
    pub groups: Vec<String>,
    /// How they proved it there.
    pub amr: Vec<String>,
    /// How sure the provider is.
    pub acr: Option<String>,
    /// When they proved it there.
    pub auth_time: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_fit_for_addresses() {
        for fine in ["a", "corp", "entra-id-2"] {
            assert_eq!(ProviderId::parse(fine).map(|id| id.to_string()).as_deref(), Some(fine));
        }
        for bad in ["", "A", "2a", "-a", "a/b", "a b", "a.b", "\u{e4}", &"a".repeat(33)] {
            assert_eq!(ProviderId::parse(bad), None, "{bad}");
        }
        for linking in [Linking::VerifiedEmail, Linking::Never] {
            assert_eq!(Linking::parse(linking.as_str()), Some(linking));
        }
    }
}
