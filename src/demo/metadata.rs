//! Protected-resource metadata (RFC 9728): where a client learns which issuer to go to.

use serde_json::{Value, json};

use super::{DemoSettings, NAME, PATH, READ};

/// The well-known path at the root of the origin (RFC 9728 §3).
pub(super) const ROOT: &str = "/.well-known/oauth-protected-resource";

/// The well-known path with the resource's own path after it (RFC 9728 §3.1).
pub(super) const INSERTED: &str = "/.well-known/oauth-protected-resource/mcp";

/// The document. `scopes_supported` is what a client should ask for at first, not the catalogue (MCP, Scope Selection
/// Strategy): reading. Writing is asked for when a tool needs it.
pub(super) fn document(settings: &DemoSettings) -> Value {
    json!({
        "resource": settings.resource.as_str(),
        "authorization_servers": [settings.issuer.as_str()],
        "scopes_supported": [READ],
        "bearer_methods_supported": ["header"],
        "resource_name": NAME,
    })
}

/// Where the document is, as the challenges say it: the form with the path, on the same origin.
pub(super) fn url(settings: &DemoSettings) -> String {
    format!("{}{ROOT}{PATH}", settings.resource.origin())
}
