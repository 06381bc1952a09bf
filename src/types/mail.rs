//! Mail: how it leaves, what waits to be sent, and links in it, and invitations.

use serde::{Deserialize, Serialize};

use super::id::{InvitationId, MailId, UserId};
use super::secret::Secret;
use super::time::Timestamp;
use super::token::TokenDigest;
use super::user::Role;

/// What an operator has set about mail.
#[derive(Clone, Debug, Default)]
pub struct MailPolicy {
    /// Where mail goes.
    pub route: MailRoute,
    /// Whom it is from, as `Name <address>` or an address.
    pub from: String,
    /// Who is told of alerts.
    pub alerts_to: AlertsTo,
}

impl MailPolicy {
    /// Whether mail is sent at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !matches!(self.route, MailRoute::Off)
    }
}

/// Where mail goes.
#[derive(Clone, Debug, Default)]
pub enum MailRoute {
    /// Nowhere.
    #[default]
    Off,
    /// To the server's stdout, for development.
    Log,
    /// To a mail server.
    Smtp(SmtpServer),
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether and when the connection is encrypted.
    pub security: SmtpSecurity,
    /// With whose name and password it is used.
    pub login: Option<(String, Secret<String>)>,
}

/// Whether and when the connection to a mail server is encrypted (RFC 8314, RFC 3207).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpSecurity {
    /// From the first byte.
    Tls,
    /// By STARTTLS, or no mail is sent.
    StartTls,
    /// Not at all.
    None,
}

/// Who is told of alerts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AlertsTo {
    /// Every administrator who can sign in.
    #[default]
    Administrators,
    /// These addresses; nobody when there is none.
    These(Vec<String>),
}

/// A mail as it is sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// To whom.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// A mail that waits to be sent.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its id.
    pub id: MailId,
    /// What kind of mail, for log and audit log.
    pub kind: String,
    /// Whom it is about, when it is about a person here.
    pub user_id: Option<UserId>,
    /// The mail, sealed.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub tries: i64,
    /// When it is given up.
    pub give_up_at: Timestamp,
}

/// What a mailed link is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkPurpose {
    /// To set a new password.
    Reset,
    /// To move an account to the address that got it.
    ConfirmEmail,
    /// To move an account back to the address that got it.
    UndoEmail,
}

impl LinkPurpose {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::ConfirmEmail => "confirm_email",
            Self::UndoEmail => "undo_email",
        }
    }
}

/// A link that was mailed.
#[derive(Clone, Debug)]
pub struct MailLink {
    /// The digest of its secret.
    pub digest: TokenDigest,
    /// What it is for.
    pub purpose: LinkPurpose,
    /// For whom.
    pub user_id: UserId,
    /// The address that it went to.
    pub email: String,
    /// A digest of what must not have changed since.
    pub bound_to: TokenDigest,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// Somebody who may make an account of their own.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The digest of the link's secret.
    pub digest: TokenDigest,
    /// The address that the account will have.
    pub email: String,
    /// The name to begin with.
    pub name: Option<String>,
    /// What they may do in the console.
    pub role: Role,
    /// Groups they will belong to.
    pub groups: Vec<String>,
    /// Who invited them.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

impl Invitation {
    /// Its state in a word, for lists.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.accepted_at.is_some() {
            "accepted"
        } else if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at <= now {
            "expired"
        } else {
            "open"
        }
    }
}
