//! Postern: the authorization server for MCP, and the gateway that guards MCP servers.

pub mod account;
pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
#[cfg(feature = "demo")]
pub mod demo;
pub mod flow;
pub mod gateway;
pub mod http;
pub mod jobs;
pub mod oauth;
pub mod outbound;
#[cfg(feature = "demo")]
pub mod quickstart;
pub mod run;
pub mod server;
pub mod storage;
pub mod telemetry;
pub mod types;
pub mod web;
pub mod wire;
