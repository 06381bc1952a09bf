//! The issuer from outside: a real server on a real socket, driven as browsers, apps and attackers drive it. The
//! modules mirror the route table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and it is the client: what the house bans guards the server"
)]

mod harness;

mod account;
mod admin;
mod admin_api;
mod admin_changes;
mod audit;
mod authorize;
mod clients;
mod commands;
mod connections;
mod consent;
mod console_filters;
mod console_lists;
mod console_outgoing;
mod console_providers;
mod cut_hooks;
mod cuts;
mod detectors;
mod discovery;
mod documents;
mod email_change;
mod erasure;
mod evidence;
mod faults;
mod gateway;
mod hostile;
mod identity_providers;
mod inactivity;
mod invitations;
mod keys;
mod log;
mod login;
mod mail;
mod master_key;
mod refresh;
mod register;
mod reset;
mod restart;
mod revocation;
mod roles;
mod second_factor;
mod signals;
mod token;
mod usage;
