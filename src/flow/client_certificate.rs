//! Client certificates of callers at the gateway, where a server wants one: which ones count, and whether this one does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::core::Core;
use super::gateway::{Pass, Route};
use super::people::OrderError;
use crate::crypto::certificate::{self, Authority};
use crate::types::certificate::{CertificateFacts, ClientCertificateRule, ListedAuthority, fingerprint};
use crate::types::policy::MAX_CLIENT_CERTIFICATES;
use crate::types::resource::GatewayRule;
use crate::types::time::Timestamp;

/// What a caller has shown to the proxy in front of the issuer, as a trusted proxy says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presented {
    /// Nothing, or nobody who is trusted says so.
    Nothing,
    /// Something that is no certificate.
    Unreadable,
    /// This, as DER.
    Certificate(Vec<u8>),
}

/// Why a caller does not come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BadCertificate {
    /// They have shown none.
    Missing,
    /// It cannot be read.
    Unreadable,
    /// It has had its time, or its time has not come.
    NotNow(CertificateFacts),
    /// It is none of those that count here.
    NotListed(CertificateFacts),
}

impl BadCertificate {
    /// The rule's name in records and answers.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Missing => "client_certificate_required",
            Self::Unreadable | Self::NotNow(_) | Self::NotListed(_) => "client_certificate_refused",
        }
    }

    /// What a record says beside the rule.
    #[must_use]
    pub fn detail(&self) -> Value {
        let (why, facts) = match self {
            Self::Missing => ("missing", None),
            Self::Unreadable => ("unreadable", None),
            Self::NotNow(facts) => ("not valid now", Some(facts)),
            Self::NotListed(facts) => ("not one of those that count here", Some(facts)),
        };
        serde_json::json!({ "rule": self.rule(), "why": why, "certificate": facts })
    }
}

/// The certificates that count at one server, ready to be compared with.
pub(super) struct Gate {
    listed: Vec<String>,
    authorities: Vec<Authority>,
}

impl Gate {
    /// Of a rule; nothing where no certificate is wanted. What cannot be read lets nobody in.
    pub(super) fn of(rule: &ClientCertificateRule) -> Option<Self> {
        if rule.is_empty() {
            return None;
        }
        let read = |ca: &ListedAuthority| Authority::new(STANDARD.decode(&ca.der).ok()?);
        Some(Self { listed: rule.sha256.clone(), authorities: rule.cas.iter().filter_map(read).collect() })
    }

    fn judge(&self, presented: &Presented, now: Timestamp) -> Result<CertificateFacts, BadCertificate> {
        let der = match presented {
            Presented::Nothing => return Err(BadCertificate::Missing),
            Presented::Unreadable => return Err(BadCertificate::Unreadable),
            Presented::Certificate(der) => der,
        };
        let facts = certificate::facts(der).ok_or(BadCertificate::Unreadable)?;
        if !facts.is_valid_at(now) {
            return Err(BadCertificate::NotNow(facts));
        }
        let counts = self.listed.contains(&facts.sha256)
            || self.authorities.iter().any(|authority| authority.vouches_for(der, now));
        if counts { Ok(facts) } else { Err(BadCertificate::NotListed(facts)) }
    }
}

/// Whether somebody comes in with what they have shown; the fingerprint of their certificate, where one is wanted.
///
/// # Errors
/// See [`BadCertificate`].
pub fn admit(
    core: &Core,
    route: &Route,
    presented: impl FnOnce() -> Presented,
) -> Result<Option<String>, BadCertificate> {
    let Some(gate) = &route.gate else { return Ok(None) };
    gate.judge(&presented(), core.now()).map(|facts| Some(facts.sha256))
}

/// Whether a refusal for a certificate is put on record: one a minute for each approval.
#[must_use]
pub fn is_worth_a_record(core: &Core, pass: &Pass) -> bool {
    core.traffic.is_first_refusal(pass.claims.grant_id, core.now())
}

/// Reads a rule as an administrator gives it; nothing at all asks for no certificate.
///
/// # Errors
/// [`OrderError::Bad`] with what is wrong.
pub fn rule(
    sha256: &[String],
    ca: Option<&str>,
    now: Timestamp,
) -> Result<ClientCertificateRule, OrderError> {
    if sha256.len() > MAX_CLIENT_CERTIFICATES {
        return Err(OrderError::Bad(format!(
            "at most {MAX_CLIENT_CERTIFICATES} client certificates are named"
        )));
    }
    let mut named = Vec::new();
    for text in sha256 {
        let print = fingerprint(text).map_err(OrderError::Bad)?;
        if !named.contains(&print) {
            named.push(print);
        }
    }
    let mut cas = Vec::new();
    if let Some(ca) = ca {
        for (der, facts) in certificate::read(ca).map_err(|why| OrderError::Bad(format!("the CA: {why}")))? {
            let name = &facts.subject;
            if !certificate::is_authority(&der) || Authority::new(der.to_vec()).is_none() {
                return Err(OrderError::Bad(format!("{name} is no certificate authority")));
            }
            if !facts.is_valid_at(now) {
                let (from, to) = (facts.begins_at(), facts.ends_at());
                return Err(OrderError::Bad(format!(
                    "the CA {name} is valid from {from} to {to}, and not now"
                )));
            }
            cas.push(ListedAuthority { der: STANDARD.encode(&der), facts });
        }
    }
    Ok(ClientCertificateRule { sha256: named, cas })
}

/// What holds at the gateway, for a record: certificates by what they say, and not themselves.
#[must_use]
pub fn told(rule: &GatewayRule) -> Value {
    let mut told = serde_json::to_value(rule).unwrap_or_default();
    let cas = told.pointer_mut("/client_certificate/cas").and_then(Value::as_array_mut);
    for ca in cas.into_iter().flatten() {
        *ca = ca.get_mut("facts").map(Value::take).unwrap_or_default();
    }
    told
}
