//! Decisions about people: signing in, sessions, consent. Pure, like their neighbours in `oauth`.

pub mod browser;
pub mod call;
pub mod cedar;
pub mod consent;
pub mod cut;
pub mod detector;
pub mod factor;
pub mod identity;
pub mod inactivity;
pub mod login;
pub mod password;
pub mod permission;
pub mod session;
pub mod signal;
pub mod usage;
