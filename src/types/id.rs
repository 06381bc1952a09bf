//! Typed identifiers: an id of one kind cannot be handed to a lookup of another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::random::Rng;
use super::time::Timestamp;

/// Makes a UUIDv7 (RFC 9562 §5.7) from the given moment and random source.
fn uuid_v7(now: Timestamp, rng: &dyn Rng) -> Uuid {
    let mut bytes = [0u8; 10];
    rng.fill(&mut bytes);
    let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

/// When a UUIDv7 was made, to the millisecond; `None` for another text.
#[must_use]
pub fn made_at(text: &str) -> Option<Timestamp> {
    let id = Uuid::try_parse(text).ok()?;
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros.checked_add(i64::from(nanos / 1_000))?))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh, time-ordered id (UUIDv7).
            #[must_use]
            pub fn new(now: Timestamp, rng: &dyn Rng) -> Self {
                Self(uuid_v7(now, rng))
            }

            /// Reads the hyphenated form; `None` when it is not a UUID.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Uuid::try_parse(text).ok().map(Self)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

typed_id!(
    /// A person. Also the `sub` of the tokens they authorise (RFC 9068 §2.2).
    UserId
);
typed_id!(
    /// A registered MCP server (an RFC 8707 resource).
    ResourceId
);
typed_id!(
    /// A standing approval: one person (or none, for a machine), one client, one resource. The `grant_id` claim.
    GrantId
);
typed_id!(
    /// The tokens that descend from one authorization code (RFC 9700 §4.14.2).
    FamilyId
);
typed_id!(
    /// A browser session.
    SessionId
);
typed_id!(
    /// Who somebody is at an identity provider.
    IdentityId
);
typed_id!(
    /// A passkey.
    PasskeyId
);
typed_id!(
    /// One audit record.
    AuditId
);
typed_id!(
    /// An access token (`jti`, RFC 9068 §2.2).
    TokenId
);
typed_id!(
    /// An initial access token, as administrators name it (RFC 7591 §3).
    InitialAccessTokenId
);
typed_id!(
    /// An alert.
    AlertId
);
typed_id!(
    /// A cut of access.
    CutId
);
typed_id!(
    /// A program that may cut access by a signed message.
    CutHookId
);
typed_id!(
    /// A mail that waits to be sent.
    MailId
);
typed_id!(
    /// An invitation.
    InvitationId
);
typed_id!(
    /// Somebody who is told what happens here.
    EndpointId
);
typed_id!(
    /// A rule about calls through the gateway.
    CallRuleId
);
typed_id!(
    /// A call that somebody has to allow.
    CallApprovalId
);
typed_id!(
    /// A message to one of them.
    DeliveryId
);

impl TokenId {
    /// Whether it was made at this moment or before, to the millisecond that a UUIDv7 knows.
    #[must_use]
    pub fn is_not_after(&self, at: Timestamp) -> bool {
        self.to_string() < Self::text_after(at)
    }

    /// A text that every id made up to `at` sorts before, and every later one not.
    #[must_use]
    pub fn text_after(at: Timestamp) -> String {
        let millis = format!("{:012x}", at.micros() / 1_000 + 1);
        let (high, low) = millis.split_at(8);
        format!("{high}-{low}")
    }
}
