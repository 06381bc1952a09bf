//! The JSON endpoints: bytes in, bytes out.

pub mod admin_api;
pub mod cors;
pub mod discovery;
pub mod health;
pub mod introspect;
pub mod jwks;
pub mod register;
pub mod revoke;
pub mod status_lists;
pub mod token;
