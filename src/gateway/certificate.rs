//! Certificates of clients: the gateway's own at the server behind it, and those of callers where a server wants one.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::Value;

use super::Arrived;
use super::answer;
use super::envelope::{Envelope, code};
use crate::flow::client_certificate::{self, BadCertificate, Presented};
use crate::flow::gateway;
use crate::flow::upstream_tls::{self, NoWay};
use crate::outbound::upstream_mcp::{NoAnswer, Upstreams};
use crate::types::audit::AuditKind;
use crate::wire::reply;

impl Arrived {
    /// Whether the caller has shown the certificate that the server wants, if it wants one; the answer where not. It is asked
    /// when the token is known to be good: what is on record is that somebody came with one, and without the certificate.
    pub(super) async fn show(
        &mut self,
        presented: impl FnOnce() -> Presented,
    ) -> Result<(), Box<HttpResponse>> {
        let bad = match client_certificate::admit(&self.core, &self.route, presented) {
            Ok(shown) => {
                self.certificate = shown;
                return Ok(());
            }
            Err(bad) => bad,
        };
        if client_certificate::is_worth_a_record(&self.core, &self.pass) {
            let kind = AuditKind::CallRefused;
            let mut event = gateway::event(&self.core, kind, &self.caller, &self.pass, &self.route);
            event.detail = bad.detail();
            let done = gateway::record(&self.core, event).await;
            done.map_err(|fault| Box::new(reply::fault(&fault, &self.caller)))?;
        }
        let text = match bad {
            BadCertificate::Missing => "This server wants a client certificate, and none was shown.",
            BadCertificate::Unreadable => "The client certificate that was shown cannot be read.",
            BadCertificate::NotNow(_) => "The client certificate that was shown is not valid now.",
            BadCertificate::NotListed(_) => {
                "The client certificate that was shown is none that this server takes."
            }
        };
        Err(Box::new(answer::plain(StatusCode::FORBIDDEN, bad.rule(), text)))
    }

    /// What carries messages to the server; the answer where nothing does.
    pub(super) async fn way(&self, message: Option<&Envelope>) -> Result<Upstreams, Box<HttpResponse>> {
        match upstream_tls::way(&self.core, &self.route) {
            Ok(way) => Ok(way),
            Err(NoWay::Fault(fault)) => Err(Box::new(reply::fault(&fault, &self.caller))),
            Err(NoWay::Expired) => {
                let why = "upstream_certificate_expired";
                tracing::warn!(
                    server = self.slug,
                    "the gateway's certificate for this server has had its time"
                );
                if let Some(message) = message {
                    self.refused(message, why, Vec::new()).await?;
                }
                let id = message.map_or(Value::Null, |message| message.id.clone());
                let text = "The certificate of this gateway for the server behind it is not valid now.";
                Err(Box::new(answer::rpc(StatusCode::BAD_GATEWAY, &id, code::INTERNAL, text, why)))
            }
        }
    }
}

/// What a record calls it, and what the caller is told: status, words, and the error's name.
pub(super) fn told(why: NoAnswer) -> (&'static str, StatusCode, &'static str, &'static str) {
    let bad = StatusCode::BAD_GATEWAY;
    match why {
        NoAnswer::Untrusted(_) => (
            "server_untrusted",
            bad,
            "The server behind this gateway has a certificate that is not trusted.",
            "upstream_untrusted",
        ),
        NoAnswer::Refused => (
            "certificate_refused",
            bad,
            "The server behind this gateway does not accept its client certificate.",
            "upstream_certificate_refused",
        ),
        NoAnswer::TimedOut
        | NoAnswer::Unreachable
        | NoAnswer::Broken
        | NoAnswer::Full
        | NoAnswer::Unsendable => {
            let status = match why {
                NoAnswer::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                NoAnswer::Full => StatusCode::SERVICE_UNAVAILABLE,
                _ => bad,
            };
            ("no_answer", status, "The server behind this gateway does not answer.", "upstream_no_answer")
        }
    }
}
