//! What the audit log says of what goes through, and of what does not.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::envelope::Envelope;
use super::relay::{Record, micros};
use super::{Arrived, answer};
use crate::flow::gateway::{self, Refused};
use crate::types::audit::AuditKind;
use crate::types::kept_argument::kept;
use crate::types::tool::{ToolClass, canonical};
use crate::wire::reply;

impl Arrived {
    /// Notes that a message is refused, by what, and what else there is to say.
    pub(super) async fn refused(
        &self,
        message: &Envelope,
        by: &'static str,
        particulars: Vec<(&'static str, Value)>,
    ) -> Result<(), Box<HttpResponse>> {
        let mut event =
            gateway::event(&self.core, AuditKind::CallRefused, &self.caller, &self.pass, &self.route);
        event.detail = self.detail(message, None);
        if let Some(detail) = event.detail.as_object_mut() {
            detail.insert("rule".to_owned(), by.into());
            detail.extend(particulars.into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        let done = gateway::record(&self.core, event).await;
        done.map_err(|fault| Box::new(reply::fault(&fault, &self.caller)))
    }

    /// What a record says of a message; arguments as a keyed digest, because they may hold anything.
    fn detail(&self, message: &Envelope, class: Option<ToolClass>) -> Value {
        let mut detail = json!({ "method": message.method });
        if let Some(members) = detail.as_object_mut() {
            for (name, value) in [("name", &message.name), ("uri", &message.uri)] {
                if let Some(value) = value {
                    members.insert(name.to_owned(), value.chars().take(200).collect::<String>().into());
                }
            }
            if !message.arguments.is_null() {
                let text = canonical(&message.arguments);
                let digest = gateway::digest_of_arguments(&self.core, &self.route, &text);
                members.insert("arguments".to_owned(), digest.into());
                let kept =
                    kept(&self.route.resource.gateway.kept_arguments, message.tool(), &message.arguments);
                if !kept.is_empty() {
                    members.insert("kept".to_owned(), kept.into());
                }
            }
            for (name, value) in [("version", &self.version), ("session", &self.session)] {
                members.extend(value.as_deref().map(|value| (name.to_owned(), value.into())));
            }
            if let Some(print) = &self.certificate {
                members.insert("certificate".to_owned(), print.as_str().into());
            }
            if let Some(class) = class {
                members.insert("class".to_owned(), class.as_str().into());
            }
        }
        detail
    }

    /// The record of a call. What may change something is on record before it goes out; without that it does not.
    pub(super) async fn begin(
        &self,
        message: &Envelope,
        class: ToolClass,
        bytes_in: usize,
    ) -> Result<Record, Box<HttpResponse>> {
        let mut detail = self.detail(message, Some(class));
        if let Some(members) = detail.as_object_mut() {
            members.insert("bytes_in".to_owned(), bytes_in.into());
            members.insert("gateway_us".to_owned(), micros(self.at.elapsed()).into());
            let shown = self.route.shows().map(|(kind, _)| ("credential".to_owned(), kind.into()));
            members.extend(shown);
        }
        if class > ToolClass::Read || self.route.resource.gateway.record_first {
            let kind = AuditKind::CallBegun;
            let mut event = gateway::event(&self.core, kind, &self.caller, &self.pass, &self.route);
            event.detail.clone_from(&detail);
            if let Some(members) = detail.as_object_mut() {
                members.insert("begun".to_owned(), event.id.to_string().into());
            }
            if let Err(fault) = gateway::record(&self.core, event).await {
                return Err(Box::new(reply::fault(&fault, &self.caller)));
            }
        }
        let mut event =
            gateway::event(&self.core, AuditKind::CallEnded, &self.caller, &self.pass, &self.route);
        event.detail = detail;
        Ok(Record::new(&self.core, event))
    }

    pub(super) async fn too_many(&self, id: &Value, refused: Refused) -> HttpResponse {
        if refused.first {
            let kind = AuditKind::CallRefused;
            let mut event = gateway::event(&self.core, kind, &self.caller, &self.pass, &self.route);
            event.detail = json!({ "rule": refused.rule });
            if let (Some(limit), Some(detail)) = (&refused.limit, event.detail.as_object_mut()) {
                detail.insert("limit".to_owned(), limit.to_string().into());
            }
            if let Err(fault) = gateway::record(&self.core, event).await {
                return reply::fault(&fault, &self.caller);
            }
        }
        let text = refused.limit.map_or_else(
            || "Too many messages under this approval; try again later.".to_owned(),
            |limit| format!("A limit of this gateway is reached ({limit}); try again later."),
        );
        answer::later(StatusCode::TOO_MANY_REQUESTS, id, refused.wait, &text, refused.rule)
    }
}
