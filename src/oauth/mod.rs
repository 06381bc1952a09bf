//! Protocol decisions: pure functions from request, records, policy and time to an answer or a refusal.

pub mod authorize;
pub mod client_auth;
pub mod client_document;
mod client_json;
mod client_keys;
pub mod client_metadata;
mod client_text;
pub mod code;
pub mod introspect;
pub mod metadata;
pub mod params;
pub mod refresh;
pub mod refusal;
pub mod register;
pub mod scopes;
