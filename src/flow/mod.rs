//! Use cases: read, decide, mint, commit. The only floor where the others meet.

pub mod access;
pub mod audit;
pub mod authorize;
pub mod client_admin;
pub mod client_credentials;
pub mod clients;
pub mod code;
pub mod consent;
pub mod core;
pub mod documents;
pub mod failure;
pub mod introspect;
pub mod keys;
pub mod live;
pub mod login;
pub mod mint;
pub mod people;
pub mod refresh;
pub mod register;
pub mod resources;
pub mod revoke;
pub mod setup;
pub mod status_list;
pub mod sweep;
pub mod token;
pub mod verify;
