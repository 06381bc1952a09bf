//! The admin API as a protected resource: where it lives, and what tokens for it may do.

use super::resource::Risk;
use super::user::Role;

/// Its path below the issuer; its resource URI is the issuer's URL with this path.
pub const ADMIN_API: &str = "/admin/api/v1";

/// What a token for the admin API may do. None includes another: whoever cuts and looks has both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permission {
    /// Look at everything.
    Read,
    /// Take access away, and give back what was taken.
    Revoke,
    /// Change people, apps, servers and rules.
    Write,
}

impl Permission {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Revoke, Self::Write];

    /// The scope.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "admin:read",
            Self::Revoke => "admin:revoke",
            Self::Write => "admin:write",
        }
    }

    /// What it allows, for the consent page.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Read => "See everybody who has access here, through which apps, and the audit log",
            Self::Revoke => "Cut anybody’s access, and undo cuts",
            Self::Write => "Add and change people, apps, servers and rules",
        }
    }

    /// What it can do.
    #[must_use]
    pub const fn risk(self) -> Risk {
        match self {
            Self::Read => Risk::Reads,
            Self::Revoke => Risk::Deletes,
            Self::Write => Risk::Changes,
        }
    }

    /// The role in the console that a person needs for it.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Read => Role::Auditor,
            Self::Revoke | Self::Write => Role::Admin,
        }
    }
}
