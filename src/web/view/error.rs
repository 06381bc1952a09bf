//! The page that says what went wrong and what to do next.

use askama::Template;

use super::Shell;

/// Any failure that a person sees. The status code is the handler's.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Frame of the page.
    pub shell: Shell,
    /// What happened; the template has the words, and the way out, for each.
    pub problem: Problem,
    /// The request's id as it stands in the log.
    pub request_id: String,
}

/// What can go wrong before a person's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// `client_id` names no app: the page tells how to forget a stored registration in the common clients.
    UnknownApp,
    /// The app was disabled by an administrator.
    AppDisabled {
        /// Its name.
        app: String,
    },
    /// The redirect URI is missing or is none of those the app registered.
    ReturnAddress {
        /// The app's name.
        app: String,
        /// What it sent; none when it sent nothing.
        sent: Option<String>,
    },
    /// The app's metadata document could not be had, or is not acceptable.
    AppInvalid {
        /// Host of the document.
        host: String,
        /// Why, for the app's developer: one short sentence.
        detail: String,
    },
    /// The request to `/authorize` cannot be read.
    BadRequest {
        /// Why, for the app's developer: one short sentence.
        detail: String,
    },
    /// The authorization request behind the form is gone: too old, answered already, or of another browser.
    RequestExpired,
    /// A form cannot be read: it is of another type, broke off, or has a character that no field can have.
    BrokenForm {
        /// Why: one short sentence.
        detail: String,
    },
    /// The form's anti-forgery value does not hold.
    FormExpired,
    /// The one-time link for the first administrator was used or has ended.
    SetupLink,
    /// The person may not see this.
    Forbidden,
    /// No such page.
    NotFound,
    /// Too many requests; try again after this many seconds.
    TooMany {
        /// Whole seconds, at least one.
        seconds: u64,
    },
    /// The body was larger than is taken.
    TooLarge,
    /// The request took too long to arrive or to be answered.
    TooSlow,
    /// Our own fault; details are in the log only.
    Trouble,
}
