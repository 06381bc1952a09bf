//! The ground floor: plain values, each born valid, that every other folder speaks in.

pub mod audit;
pub mod audit_chain;
pub mod client;
pub mod cut;
pub mod duration;
pub mod factor;
pub mod fingerprint;
pub mod grant;
pub mod id;
pub mod issuer;
pub mod key;
pub mod network;
pub mod passkey;
pub mod pkce;
pub mod policy;
pub mod random;
pub mod redirect_uri;
pub mod resource;
pub mod resource_uri;
pub mod scope;
pub mod secret;
pub mod session;
pub mod tally;
pub mod time;
pub mod token;
pub mod user;
