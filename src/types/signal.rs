//! Whom we tell what happens here: webhooks, receivers of shared signals, and streams of the audit log.

use std::net::IpAddr;

use url::Url;

use super::audit::AuditKind;
use super::id::{DeliveryId, EndpointId};
use super::key::SigningAlg;
use super::time::Timestamp;

/// What a webhook may ask for. Everything else is in a stream of the audit log.
pub const WEBHOOK_EVENTS: [AuditKind; 11] = [
    AuditKind::AlertRaised,
    AuditKind::AlertAcknowledged,
    AuditKind::AccessCut,
    AuditKind::AccessCutUndone,
    AuditKind::AccessCutApplied,
    AuditKind::UserDisabled,
    AuditKind::UserEnabled,
    AuditKind::UserOffboarded,
    AuditKind::ClientDocumentChanged,
    AuditKind::KeyRotated,
    AuditKind::EndpointDisabled,
];

/// How an endpoint is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointKind {
    /// Some events, each signed (Standard Webhooks).
    Webhook,
    /// Security Event Tokens (RFC 8417) pushed (RFC 8935).
    Receiver,
    /// Every record of the audit log, in order.
    Stream,
}

impl EndpointKind {
    /// The stored and printed name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Receiver => "receiver",
            Self::Stream => "stream",
        }
    }

    /// The inverse of [`EndpointKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Webhook, Self::Receiver, Self::Stream].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How a receiver knows people (RFC 9493 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubjectFormat {
    /// By issuer and the `sub` of our tokens.
    IssSub,
    /// By e-mail address.
    Email,
}

impl SubjectFormat {
    /// Its name in RFC 9493.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssSub => "iss_sub",
            Self::Email => "email",
        }
    }

    /// The inverse of [`SubjectFormat::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::IssSub, Self::Email].into_iter().find(|format| format.as_str() == text)
    }
}

/// Somebody we tell.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// How it is told.
    pub kind: EndpointKind,
    /// Where.
    pub url: String,
    /// A webhook's events, as names or patterns such as `alert.*`.
    pub events: Vec<String>,
    /// A receiver's name for itself, the `aud` of its tokens.
    pub audience: Option<String>,
    /// How a receiver knows people.
    pub subject: SubjectFormat,
    /// How a receiver's tokens are signed.
    pub alg: SigningAlg,
    /// The signing secret of a webhook, or what goes into `Authorization` elsewhere.
    pub sealed_secret: Option<Vec<u8>>,
    /// The secret before it, which also signs until [`Endpoint::previous_until`].
    pub sealed_previous: Option<Vec<u8>>,
    /// Until when.
    pub previous_until: Option<Timestamp>,
    /// The authority whose certificates a `syslog+tls` collector has, as PEM; the public ones when absent.
    pub ca: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was switched off, while it is.
    pub disabled_at: Option<Timestamp>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// When it last took something.
    pub last_success_at: Option<Timestamp>,
    /// When it last did not.
    pub last_failure_at: Option<Timestamp>,
    /// Why not.
    pub last_error: Option<String>,
    /// How often in a row.
    pub failures: i64,
    /// When a stream goes on after a failure.
    pub next_try_at: Timestamp,
}

impl Endpoint {
    /// How it stands, in a word.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (self.disabled_at, self.failures) {
            (Some(_), _) => "off",
            (None, 0) => "on",
            (None, _) => "failing",
        }
    }

    /// Whether a webhook wants an event.
    #[must_use]
    pub fn wants(&self, kind: AuditKind) -> bool {
        WEBHOOK_EVENTS.contains(&kind) && self.events.iter().any(|pattern| fits(pattern, kind.as_str()))
    }
}

/// Whether a pattern names an event: `*`, a name, or the beginning of one and `.*`.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some("") => true,
        Some(start) => start.ends_with('.') && name.starts_with(start),
    }
}

/// A message to one endpoint.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its id: the `webhook-id`, or the `jti` of a token. The same at every try.
    pub id: DeliveryId,
    /// To whom.
    pub endpoint_id: EndpointId,
    /// What it is about.
    pub event_type: String,
    /// The body, or the claims of the token.
    pub payload: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub tries: i64,
    /// When it is tried next, while it waits.
    pub next_try_at: Option<Timestamp>,
    /// When it was taken.
    pub delivered_at: Option<Timestamp>,
    /// When it was given up.
    pub given_up_at: Option<Timestamp>,
    /// Why it was not taken at the last try.
    pub last_error: Option<String>,
}

impl Delivery {
    /// How it stands, in a word.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match (self.delivered_at, self.given_up_at) {
            (Some(_), _) => "delivered",
            (None, Some(_)) => "given up",
            (None, None) => "waiting",
        }
    }
}

/// Where a stream goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamTarget {
    /// RFC 5424 over TCP or TLS with octet counting (RFC 6587 §3.4.1, RFC 5425 §4.3), or in datagrams (RFC 5426).
    Syslog {
        /// How.
        over: Transport,
        /// To whom.
        host: String,
        /// At which port.
        port: u16,
    },
    /// Logs of OpenTelemetry as JSON over HTTP.
    Otlp(String),
    /// Batches of records as a webhook.
    Webhook(String),
}

/// How syslog travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// TCP with TLS.
    Tls,
    /// Datagrams.
    Udp,
}

impl StreamTarget {
    /// Reads `syslog+tcp://HOST:PORT`, `syslog+tls://…`, `syslog+udp://…`, `otlp+https://HOST/v1/logs` or `https://…`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT, syslog+udp://HOST:PORT, otlp+https://HOST/v1/logs or https://HOST/PATH";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let (over, default) = match scheme {
            "syslog+tcp" => (Transport::Tcp, 514),
            "syslog+tls" => (Transport::Tls, 6_514),
            "syslog+udp" => (Transport::Udp, 514),
            "otlp+http" | "otlp+https" => {
                let url = text.trim_start_matches("otlp+");
                let parsed = Url::parse(url).map_err(|_| expected)?;
                if parsed.path().len() < 2 {
                    return Err("give the whole URL of the OTLP receiver, such as otlp+https://HOST/v1/logs"
                        .to_owned());
                }
                return Ok(Self::Otlp(url.to_owned()));
            }
            "http" | "https" => return Ok(Self::Webhook(text.to_owned())),
            _ => return Err(expected.to_owned()),
        };
        let parsed = Url::parse(text).map_err(|_| expected)?;
        let bare = matches!(parsed.path(), "" | "/")
            && parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        if !bare || rest.is_empty() || host.is_empty() || !(name || host.parse::<IpAddr>().is_ok()) {
            return Err(expected.to_owned());
        }
        Ok(Self::Syslog { over, host, port: parsed.port().unwrap_or(default) })
    }

    /// Whether what is sent is signed with a secret of ours.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        matches!(self, Self::Webhook(_))
    }
}

/// Up to where a stream has come in a lane, and where the lane ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The lane.
    pub lane: i64,
    /// How many records of it were taken, counted from the first there ever was.
    pub position: i64,
    /// How many there are.
    pub end: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_they_say() {
        for (pattern, name, fit) in [
            ("*", "alert.raised", true),
            ("alert.*", "alert.raised", true),
            ("alert*", "alert.raised", false),
            ("alert.raised", "alert.raised", true),
            ("alert", "alert.raised", false),
            ("access.*", "alert.raised", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn targets_are_read_or_refused() {
        let syslog = |over, host: &str, port| StreamTarget::Syslog { over, host: host.to_owned(), port };
        for (text, target) in [
            ("syslog+tcp://logs.example:601", syslog(Transport::Tcp, "logs.example", 601)),
            ("syslog+tls://10.0.0.7", syslog(Transport::Tls, "10.0.0.7", 6_514)),
            ("syslog+udp://[::1]:514", syslog(Transport::Udp, "::1", 514)),
            ("otlp+https://o.example/v1/logs", StreamTarget::Otlp("https://o.example/v1/logs".to_owned())),
            ("https://h.example/x", StreamTarget::Webhook("https://h.example/x".to_owned())),
        ] {
            assert_eq!(StreamTarget::parse(text), Ok(target), "{text}");
        }
        for bad in [
            "",
            "logs.example",
            "syslog://x",
            "syslog+tcp://",
            "syslog+tcp://u@h:1",
            "syslog+tcp://h:1/path",
            "syslog+tcp://h:99999",
            "syslog+tcp://a b",
            "otlp+https://o.example",
            "ftp://x/y",
        ] {
            assert!(StreamTarget::parse(bad).is_err(), "{bad}");
        }
    }
}
