//! The store: one interface over SQLite and PostgreSQL. No diesel type leaves this folder.

pub mod access_map;
pub mod access_tokens;
pub mod alerts;
pub mod api_requests;
pub mod assertions;
pub mod audit;
pub mod audit_chain;
pub mod call_approvals;
pub mod call_rules;
pub mod cedar;
pub mod clients;
pub mod codes;
pub mod connections;
pub mod consents;
pub mod console;
pub mod cut_hooks;
#[expect(
    clippy::disallowed_methods,
    reason = "one condition over many tables at once, on both databases, is beyond diesel's common subset; every value is bound"
)]
pub mod cuts;
mod dialect;
pub mod endpoints;
pub mod erasure;
mod error;
pub mod factors;
pub mod families;
pub mod gateway;
pub mod generations;
pub mod grant_tokens;
pub mod grants;
pub mod identities;
pub mod inactivity;
pub mod invitations;
pub mod keys;
pub mod mail_links;
mod migrate;
pub mod outbox;
pub mod own_events;
pub mod passkeys;
pub mod registration_tokens;
pub mod resources;
pub mod roots;
mod row;
mod schema;
pub mod sealed;
pub mod sessions;
pub mod settings;
pub mod steps;
mod store;
pub mod sweep;
pub mod throttles;
pub mod upstream_tls;
pub mod users;
mod writer;

pub use error::StoreError;
pub use store::{DatabaseUrl, Store, Tx};
