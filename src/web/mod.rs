//! The pages: plain server-rendered HTML that works without JavaScript.

pub mod account;
pub mod admin;
pub mod assets;
pub mod authorize;
pub mod connections;
pub mod consent;
pub mod door;
pub mod email;
pub mod federation;
pub mod home;
pub mod invitation;
pub mod login;
pub mod logout;
pub mod page;
pub mod passkeys;
pub mod reset;
pub mod second_step;
pub mod security;
pub mod servers;
pub mod setup;
pub mod site;
pub mod view;
