//! What the gateway itself answers: challenges that lead a client to the issuer (RFC 6750 §3, RFC 9728 §5.1), and errors in
//! the words of JSON-RPC.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::envelope::{Bad, Envelope, Kind, OWN_INPUT, code};
use crate::flow::gateway::Route;
use crate::types::issuer::Issuer;
use crate::types::resource::PassKind;
use crate::types::scope::ScopeSet;
use crate::wire::reply::{marked, uncached};

/// Where the metadata of a server behind the gateway stands (RFC 9728 §3.1): inserted before its path.
pub(super) fn metadata_url(issuer: &Issuer, slug: &str) -> String {
    format!("{}/.well-known/oauth-protected-resource{}/mcp/{slug}", issuer.origin(), issuer.path())
}

fn challenge(status: StatusCode, parameters: &str, error: &str, text: &str) -> HttpResponse {
    let mut builder = uncached(status);
    builder.insert_header((WWW_AUTHENTICATE, format!("Bearer {parameters}")));
    builder.json(json!({ "error": error, "error_description": text }))
}

/// Nobody in particular: 401 with what a client needs to begin.
pub(super) fn no_token(issuer: &Issuer, slug: &str, route: &Route) -> HttpResponse {
    let at = metadata_url(issuer, slug);
    let scope = route.resource.default_scopes();
    let parameters = format!("resource_metadata=\"{at}\", scope=\"{scope}\"");
    let text = "Add this URL to an MCP client; the client signs you in.";
    marked(challenge(StatusCode::UNAUTHORIZED, &parameters, "unauthorized", text), "no_token")
}

/// A token that does not count: 401.
pub(super) fn bad_token(issuer: &Issuer, slug: &str, route: &Route) -> HttpResponse {
    let at = metadata_url(issuer, slug);
    let scope = route.resource.default_scopes();
    let text = "The access token is expired, revoked, or not meant for this server.";
    let parameters = format!(
        "error=\"invalid_token\", error_description=\"{text}\", resource_metadata=\"{at}\", scope=\"{scope}\""
    );
    marked(challenge(StatusCode::UNAUTHORIZED, &parameters, "invalid_token", text), "invalid_token")
}

/// A token that allows too little: 403 with everything to ask for, what is held among it, so that a client that replaces its
/// scopes loses nothing.
pub(super) fn needs(issuer: &Issuer, slug: &str, needed: &ScopeSet, held: &ScopeSet) -> HttpResponse {
    let at = metadata_url(issuer, slug);
    let text = format!("This needs the permission {needed}.");
    let parameters = format!(
        "error=\"insufficient_scope\", error_description=\"{text}\", scope=\"{}\", resource_metadata=\"{at}\"",
        held.union(needed)
    );
    marked(challenge(StatusCode::FORBIDDEN, &parameters, "insufficient_scope", &text), "insufficient_scope")
}

/// Everything of this caller stands still: 403, and no token helps.
pub(super) fn stopped() -> HttpResponse {
    let text = "Access is stopped for now by an administrator of this server.";
    let body = json!({ "error": "access_stopped", "error_description": text });
    marked(uncached(StatusCode::FORBIDDEN).json(body), "access_stopped")
}

/// The server takes no callers of this kind: 403, and no token helps.
pub(super) fn wrong_kind(kind: PassKind) -> HttpResponse {
    let text = match kind {
        PassKind::App => "This server takes no apps that sign in.",
        PassKind::GrantToken => "This server takes no grant tokens; the client has to sign in.",
        PassKind::Machine => "This server takes no machines without a person behind them.",
    };
    let body = json!({ "error": "access_denied", "error_description": text });
    marked(uncached(StatusCode::FORBIDDEN).json(body), "wrong_kind")
}

/// A call that somebody has to allow first, or has refused.
pub(super) fn approval(id: &Value, text: &str, data: &Value) -> HttpResponse {
    let mut error = error(id, code::REFUSED, text);
    if let Some(Value::Object(members)) = error.get_mut("error") {
        members.insert("data".to_owned(), data.clone());
    }
    marked(uncached(StatusCode::OK).json(error), "approval_required")
}

/// Somebody has to allow the gateway to use this server in their name, and that happens in a browser, at this link. Asked in
/// the result where the caller can be asked there, else as an error that says the same in words.
pub(super) fn connect(message: Option<&Envelope>, server: &str, link: &str) -> HttpResponse {
    let text = format!(
        "{server} needs your permission first. Open this link in your browser, then try again: {link}"
    );
    let Some(message) = message.filter(|message| message.kind == Kind::Request) else {
        return plain(StatusCode::FORBIDDEN, "connection_required", &text);
    };
    if message.may_be_asked() {
        let ask = json!({ "method": "elicitation/create", "params": {
            "mode": "url", "url": link,
            "message": format!("{server} needs your permission to be used in your name."),
        } });
        let mut inputs = serde_json::Map::new();
        inputs.insert(OWN_INPUT.to_owned(), ask);
        let mut result = json!({ "resultType": "input_required", "inputRequests": inputs });
        if let (Some(members), Some(state)) = (result.as_object_mut(), &message.state) {
            members.insert("requestState".to_owned(), state.clone());
        }
        let body = json!({ "jsonrpc": "2.0", "id": message.id, "result": result });
        return marked(uncached(StatusCode::OK).json(body), "connection_required");
    }
    let mut error = error(&message.id, code::OPEN_A_LINK, &text);
    if let Some(Value::Object(members)) = error.get_mut("error") {
        let elicitation = json!({
            "mode": "url", "elicitationId": OWN_INPUT, "url": link,
            "message": format!("{server} needs your permission to be used in your name."),
        });
        members.insert("data".to_owned(), json!({ "elicitations": [elicitation] }));
    }
    marked(uncached(StatusCode::OK).json(error), "connection_required")
}

/// A plain error of HTTP.
pub(super) fn plain(status: StatusCode, name: &'static str, text: &str) -> HttpResponse {
    marked(uncached(status).json(json!({ "error": name, "error_description": text })), name)
}

/// An error in answer to a message.
pub(super) fn rpc(status: StatusCode, id: &Value, code: i64, text: &str, name: &'static str) -> HttpResponse {
    marked(uncached(status).json(error(id, code, text)), name)
}

/// A JSON-RPC error (JSON-RPC 2.0 §5).
pub(super) fn error(id: &Value, code: i64, text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } })
}

/// A message that cannot be used: 400.
pub(super) fn bad(bad: &Bad) -> HttpResponse {
    let name = if bad.code == code::HEADERS { "header_mismatch" } else { "bad_message" };
    rpc(StatusCode::BAD_REQUEST, &bad.id, bad.code, &bad.text, name)
}

/// Trying again later may help.
pub(super) fn later(
    status: StatusCode,
    id: &Value,
    seconds: u64,
    text: &str,
    name: &'static str,
) -> HttpResponse {
    let mut builder = uncached(status);
    builder.insert_header((RETRY_AFTER, seconds.to_string()));
    marked(builder.json(error(id, code::REFUSED, text)), name)
}
