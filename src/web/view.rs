//! What the browser pages show: plain values in, HTML out.
//!
//! Every struct here is one page and carries everything its template of the same name prints, as words ready to
//! read. Nothing is looked up or decided here, so the module depends on no other. All texts of the pages live in
//! `templates/`; the handlers choose variants, never sentences. Values are escaped by the template engine.

mod account;
mod connect;
mod consent;
pub mod console;
pub mod editor;
mod email;
mod error;
mod invitation;
mod login;
mod passkey;
mod plain;
mod reset;
mod second;
mod security;
mod servers;
mod setup;

pub use account::{Access, AccountPage, LastUse, Removed, Session};
pub use connect::{ConnectPage, ConnectStage, ConnectionsPage, PlaceLine};
pub use consent::{
    App, Change, ConsentPage, Destination, Duration, Group, Held, Permission, Provenance, Risk, Subject,
};
pub use email::{EmailPage, EmailProblem, EmailStage};
pub use error::{ErrorPage, Problem};
pub use invitation::{InvitationPage, InvitationProblem, InvitationStage};
pub use login::{Asker, LoginPage, LoginProblem};
pub use passkey::{Does, PasskeyPage};
pub use plain::{DonePage, HomePage, LinkPage, LoggedOutPage, LogoutPage, Outcome};
pub use reset::{AskProblem, ChooseProblem, ResetPage, ResetStage};
pub use second::{EnrolPage, Picture, RecoveryPage, SecondPage, SecondProblem};
pub use security::{EventLine, PasskeyLine, PasswordFault, SecurityDone, SecurityPage};
pub use servers::{ServerLine, ServersPage};
pub use setup::{SetupPage, SetupProblem};

/// What every page has around its content. It carries nothing about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The path of the issuer without a trailing slash: empty, or such as `/t1`. Prefix of every link, form action
    /// and asset of the page.
    pub base: String,
    /// The operator's name for this installation, `Postern` unless configured.
    pub brand: String,
    /// Address of the operator's logo, on this origin (the policy of the pages loads images from nowhere else).
    pub logo: Option<String>,
    /// Changes when `static/` changes; the pages append it to asset addresses so that these can be cached for good.
    pub assets: String,
    /// Version of the operator's `brand.css`, which sets the `[brand]` properties of `postern.css`; absent when
    /// nothing is configured.
    pub brand_sheet: Option<String>,
}

/// A point in time, or a day, as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339 in UTC, for the `datetime` attribute.
    pub iso: String,
    /// Shown: `2 hours ago`, `21 November 2027`.
    pub words: String,
    /// Shown on hover: `2026-11-21 11:40:05 UTC`.
    pub exact: String,
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
