//! Alerts: what looks like an attack, about whom, and what was done.

use std::time::Duration;

use super::client::ClientId;
use super::id::{AlertId, CutId, GrantId, UserId};
use super::time::Timestamp;

macro_rules! detectors {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $words:literal;)*) => {
        /// What is looked for in the audit log.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Detector { $($(#[$doc])* $name,)* }

        impl Detector {
            /// Each of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stored and printed name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it has seen, in words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }

            /// The inverse of [`Detector::as_str`].
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

detectors! {
    /// A used refresh token came again where that means theft.
    RefreshReuse = "refresh-reuse", "A refresh token was used twice";
    /// An authorization code was presented again.
    CodeReplay = "code-replay", "An authorization code was used twice";
    /// Failed sign-ins of one account.
    FailedSignIns = "failed-sign-ins", "Many failed sign-ins to one account";
    /// Failed sign-ins from one address.
    FailedSignInsFrom = "failed-sign-ins-from", "Many failed sign-ins from one address";
    /// A passkey that looks like a copy.
    CopiedPasskey = "copied-passkey", "A passkey that looks like a copy was used";
    /// Registrations from one address.
    MassRegistration = "mass-registration", "Many apps registered from one address";
    /// Different people who let the same app in.
    ConsentBurst = "consent-burst", "Many people let the same app in";
    /// A client's document changed after it was first read.
    DocumentChange = "document-change", "An app changed what it says about itself";
    /// Refusals of one client: by people, or because it could not prove itself.
    ManyDenials = "many-denials", "An app was refused often";
    /// Tokens at a server that they are not for.
    WrongServer = "wrong-server", "Tokens came to a server they are not for";
    /// Changes between networks.
    TwoNetworks = "two-networks", "One approval was used from two networks in turn";
    /// Far more tokens than usual.
    TokenVolume = "token-volume", "Far more tokens than usual were issued under one approval";
    /// Far more calls than usual.
    CallVolume = "call-volume", "Far more calls than usual were made under one approval";
    /// Use after many days without.
    LongIdle = "long-idle", "An approval was used after a long time without use";
    /// A call that a rule holds back until somebody has decided.
    WaitingCall = "waiting-call", "A call waits for an administrator to decide";
    /// A person or an app that nothing is heard of.
    Inactive = "inactive", "Nothing is heard of a person or an app any more";
}

/// Whom an alert is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// A person.
    Person(UserId),
    /// A client.
    Client(ClientId),
    /// An approval.
    Grant(GrantId),
    /// A network address.
    Address(String),
}

impl Subject {
    /// The stored and printed name of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Client(_) => "client",
            Self::Grant(_) => "grant",
            Self::Address(_) => "address",
        }
    }

    /// What it names, as text.
    #[must_use]
    pub fn value(&self) -> String {
        match self {
            Self::Person(id) => id.to_string(),
            Self::Client(id) => id.to_string(),
            Self::Grant(id) => id.to_string(),
            Self::Address(address) => address.clone(),
        }
    }

    /// The inverse of [`Subject::kind`] and [`Subject::value`].
    #[must_use]
    pub fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "person" => UserId::parse(value).map(Self::Person),
            "client" => ClientId::parse(value).map(Self::Client),
            "grant" => GrantId::parse(value).map(Self::Grant),
            "address" => Some(Self::Address(value.to_owned())),
            _ => None,
        }
    }
}

/// What a detector does beside raising the alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    Alert,
    /// Everything of the subject stops for this long and comes back by itself.
    Isolate(Duration),
    /// Everything of the subject ends for good.
    Revoke,
}

impl Action {
    /// The stored and printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Isolate(_) => "isolate",
            Self::Revoke => "revoke",
        }
    }

    /// How long it isolates.
    #[must_use]
    pub const fn span(self) -> Option<Duration> {
        match self {
            Self::Isolate(span) => Some(span),
            Self::Alert | Self::Revoke => None,
        }
    }

    /// The inverse of [`Action::as_str`] and [`Action::span`].
    #[must_use]
    pub fn parse(name: &str, span: Option<Duration>) -> Option<Self> {
        match (name, span) {
            ("alert", None) => Some(Self::Alert),
            ("isolate", Some(span)) => Some(Self::Isolate(span)),
            ("revoke", None) => Some(Self::Revoke),
            _ => None,
        }
    }
}

/// When a detector speaks, and what it does then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Whose rule.
    pub detector: Detector,
    /// Whether it looks at all.
    pub on: bool,
    /// How many are too many.
    pub threshold: usize,
    /// Within how long.
    pub window: Duration,
    /// What happens.
    pub action: Action,
}

/// Something that a detector has found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// About whom.
    pub subject: Subject,
    /// The first of what was counted.
    pub first_at: Timestamp,
    /// The last.
    pub last_at: Timestamp,
    /// How many there were.
    pub count: usize,
}

/// An alert as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// Who raised it.
    pub detector: Detector,
    /// What was found; grows while the alert is open.
    pub finding: Finding,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// What the rule wanted done.
    pub action: Action,
    /// The cut that did it.
    pub cut_id: Option<CutId>,
    /// What came of the action, in words.
    pub outcome: String,
    /// When somebody took note of it.
    pub acknowledged_at: Option<Timestamp>,
    /// Who.
    pub acknowledged_by: Option<String>,
}
