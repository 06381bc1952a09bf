//! Single calls through the gateway that a rule holds back until a person has decided about them.

use super::client::ClientId;
use super::id::{CallApprovalId, CallRuleId, GrantId, ResourceId, UserId};
use super::time::Timestamp;
use super::token::TokenDigest;

/// A call that waits, or has waited, for somebody's decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallApproval {
    /// Names it.
    pub id: CallApprovalId,
    /// The rule that holds it back.
    pub rule_id: CallRuleId,
    /// Why, in that rule's words of then.
    pub reason: String,
    /// At which server.
    pub resource_id: ResourceId,
    /// Under which approval of an app.
    pub grant_id: GrantId,
    /// Whose call it is, where a person is behind it.
    pub user_id: Option<UserId>,
    /// Through which client.
    pub client_id: ClientId,
    /// The method, such as `tools/call`.
    pub method: String,
    /// The name of the tool or prompt, or the URI of the resource.
    pub name: String,
    /// Keyed digest of what would be sent: a decision is about this and nothing else.
    pub digest: TokenDigest,
    /// What would be sent, sealed.
    pub sealed: Vec<u8>,
    /// When it was first asked for.
    pub created_at: Timestamp,
    /// Until when somebody may decide; once allowed, until when the call may be made; once refused, until when the
    /// refusal stands.
    pub expires_at: Timestamp,
    /// When somebody decided.
    pub decided_at: Option<Timestamp>,
    /// Who did.
    pub decided_by: Option<String>,
    /// How.
    pub allowed: Option<bool>,
    /// When the call was made; it cannot be made again.
    pub used_at: Option<Timestamp>,
}

/// What has become of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Somebody has to decide.
    Waiting,
    /// It may be made, once.
    Allowed,
    /// It was made.
    Used,
    /// Somebody said no.
    Refused,
    /// Nobody decided, or nobody made the call, in time.
    Expired,
}

impl Stage {
    /// The name in commands and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Allowed => "allowed",
            Self::Used => "used",
            Self::Refused => "refused",
            Self::Expired => "expired",
        }
    }
}

impl CallApproval {
    /// What has become of it.
    #[must_use]
    pub fn stage(&self, now: Timestamp) -> Stage {
        match (self.used_at, self.allowed) {
            (Some(_), _) => Stage::Used,
            (None, Some(false)) => Stage::Refused,
            (None, _) if now >= self.expires_at => Stage::Expired,
            (None, Some(true)) => Stage::Allowed,
            (None, None) => Stage::Waiting,
        }
    }
}
