//! What an operator may set, as the decisions see it.

use std::time::Duration;

use crate::types::client::{AuthMethod, GrantType};
use crate::types::inactivity::InactivityRule;
use crate::types::issuer::Issuer;
use crate::types::mail::MailPolicy;

/// Who may register a client without an administrator (RFC 7591 §3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationMode {
    /// Anyone.
    Open,
    /// Who holds an initial access token.
    InitialAccessToken,
    /// Nobody.
    Closed,
}

/// What an operator may set, as the decisions see it.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The issuer identifier.
    pub issuer: Issuer,
    /// Who may register a client.
    pub registration_mode: RegistrationMode,
    /// Whether client ids may be URLs of metadata documents.
    pub client_id_metadata_documents: bool,
    /// Whether documents may be fetched over `http` and from private addresses; for tests.
    pub allow_private_networks: bool,
    /// Whether webhooks, receivers and streams may be at private addresses, and over `http`.
    pub outgoing_private: bool,
    /// Private-use schemes that redirect URIs may have.
    pub redirect_schemes: Vec<String>,
    /// Life of an access token.
    pub access_token_ttl: Duration,
    /// Life of an authorization code.
    pub authorization_code_ttl: Duration,
    /// Life of a refresh token that is not used.
    pub refresh_token_idle_ttl: Duration,
    /// Life of a chain of refresh tokens, and of the approval it rests on.
    pub refresh_token_max_ttl: Duration,
    /// Time in which a used refresh token is answered with the same successor.
    pub refresh_retry_window: Duration,
    /// How long audit records are kept; for ever when absent.
    pub audit_retention: Option<Duration>,
    /// What happens to people and apps that nothing is heard of.
    pub inactivity: InactivityRule,
    /// Life of a browser session that is not used.
    pub session_idle_ttl: Duration,
    /// Life of a browser session.
    pub session_max_ttl: Duration,
    /// How mail leaves, and who is told of alerts.
    pub mail: MailPolicy,
}

impl Policy {
    /// The defaults for an issuer.
    #[must_use]
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            registration_mode: RegistrationMode::Open,
            client_id_metadata_documents: true,
            allow_private_networks: false,
            outgoing_private: false,
            redirect_schemes: ["cursor", "vscode", "vscode-insiders"].map(str::to_owned).to_vec(),
            access_token_ttl: Duration::from_secs(300),
            authorization_code_ttl: Duration::from_secs(60),
            refresh_token_idle_ttl: Duration::from_secs(30 * 86_400),
            refresh_token_max_ttl: Duration::from_secs(365 * 86_400),
            refresh_retry_window: Duration::from_secs(30),
            audit_retention: None,
            inactivity: InactivityRule::default(),
            session_idle_ttl: Duration::from_secs(12 * 3_600),
            session_max_ttl: Duration::from_secs(7 * 86_400),
            mail: MailPolicy::default(),
        }
    }

    /// The grant types that work here; metadata and enforcement both read this.
    #[must_use]
    pub const fn grant_types(&self) -> [GrantType; 3] {
        GrantType::ALL
    }

    /// The client authentication methods that work here; metadata and enforcement both read this.
    #[must_use]
    pub const fn auth_methods(&self) -> [AuthMethod; 4] {
        AuthMethod::ALL
    }
}

/// The algorithms that a client assertion may have (RFC 7518 §3.1, RFC 8037 §3.1).
pub const ASSERTION_ALGS: [&str; 4] = ["ES256", "RS256", "PS256", "EdDSA"];
