//! The page on which somebody who was invited makes their account.

use askama::Template;

use super::{PasswordFault, Shell};

/// `GET|POST /invitation`. Posts `token`, `name`, `password` and `csrf` to `/invitation`.
#[derive(Debug, Clone, Template)]
#[template(path = "invitation.html")]
pub struct InvitationPage {
    /// Frame of the page.
    pub shell: Shell,
    /// How far it is.
    pub stage: InvitationStage,
    /// Least length of a password, in characters.
    pub password_min: usize,
    /// Anti-forgery value.
    pub csrf: String,
}

/// How far somebody is who was invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvitationStage {
    /// They have followed the link.
    Choose {
        /// Its secret.
        token: String,
        /// The address that the account will have.
        email: String,
        /// The name to begin with, or what was typed before.
        name: String,
        /// Why the account was not made.
        problem: Option<InvitationProblem>,
    },
    /// The link does not work (any more).
    Dead,
    /// The address has got an account in the meantime.
    Exists {
        /// The address.
        email: String,
    },
}

/// Why an account was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationProblem {
    /// That is no name.
    Name,
    /// The password will not do.
    Password(PasswordFault),
    /// The form was too old, or not one that this browser was given.
    FormExpired,
}
