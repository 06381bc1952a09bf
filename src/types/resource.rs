//! MCP servers, as an administrator registered them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access_rule::AccessRule;
use super::call_limit::{CallLimit, Most, Whose};
use super::certificate::ClientCertificateRule;
use super::client::{Client, ClientKind};
use super::id::ResourceId;
use super::kept_argument::KeptArgument;
use super::key::SigningAlg;
use super::page_origin::PageOrigin;
use super::resource_uri::ResourceUri;
use super::scope::ScopeSet;
use super::time::Timestamp;
use super::token::TokenDigest;

/// What a permission can do, for the mark beside it on the consent page.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Looks at data.
    #[default]
    Reads,
    /// Changes data.
    Changes,
    /// Destroys data.
    Deletes,
}

impl Risk {
    /// A first guess from a scope's name; an administrator may say otherwise. What does not clearly read is taken to
    /// change things: the mark must never promise too little.
    #[must_use]
    pub fn guess(scope: &str) -> Self {
        let scope = scope.to_ascii_lowercase();
        let has = |parts: &[&str]| parts.iter().any(|part| scope.contains(part));
        let reads = |word: &str| {
            ["read", "list", "view", "get", "search", "see"].iter().any(|verb| word.starts_with(verb))
        };
        let words = || scope.split(|c: char| !c.is_ascii_alphanumeric());
        if has(&["delete", "remove", "destroy", "purge", "admin"]) {
            Self::Deletes
        } else if has(&["write", "create", "update", "edit", "send", "manage", "modify"]) {
            Self::Changes
        } else if words().any(reads) || ["openid", "profile", "email"].contains(&scope.as_str()) {
            Self::Reads
        } else {
            Self::Changes
        }
    }
}

/// One permission of a resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ResourceScope {
    /// The scope token.
    pub name: String,
    /// What it allows, in the administrator's words.
    pub description: String,
    /// What it can do.
    #[serde(default)]
    pub risk: Risk,
    /// Whether it is granted to a request that names no scope.
    #[serde(default)]
    pub default: bool,
}

/// Which clients may ask for a resource. The rule is the resource's own: a client that registers itself cannot be
/// put on a list that is kept with the client.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientRule {
    /// Anyone, after a person's consent.
    #[default]
    Anyone,
    /// Clients that an administrator has added.
    PreRegistered,
    /// These client ids, and clients whose metadata document lives at one of these domains.
    Only {
        /// Client ids, exact.
        #[serde(default)]
        clients: Vec<String>,
        /// Domains; `example.com` also covers its subdomains.
        #[serde(default)]
        domains: Vec<String>,
    },
}

impl ClientRule {
    /// Whether this client may ask.
    #[must_use]
    pub fn allows(&self, client: &Client) -> bool {
        match self {
            Self::Anyone => true,
            Self::PreRegistered => client.kind == ClientKind::PreRegistered,
            Self::Only { clients, domains } => {
                clients.iter().any(|id| id == client.id.as_str())
                    || client.domain().is_some_and(|host| {
                        domains.iter().any(|domain| {
                            host == *domain
                                || host.strip_suffix(domain.as_str()).is_some_and(|head| head.ends_with('.'))
                        })
                    })
            }
        }
    }
}

/// Who comes to a server behind the gateway, by what they show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassKind {
    /// An app with an access token that a person has approved.
    App,
    /// A client without OAuth, with a grant token.
    GrantToken,
    /// A machine of its own (`client_credentials`).
    Machine,
}

impl PassKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::App, Self::GrantToken, Self::Machine];

    /// The name in commands and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::GrantToken => "grant_token",
            Self::Machine => "machine",
        }
    }

    /// The inverse of [`PassKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What an administrator has set for a server behind the gateway. Nothing is set where a member is absent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayRule {
    /// Whether every call has to be on record before it goes out, also one that only reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub record_first: bool,
    /// Who may come; everybody when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepts: Vec<PassKind>,
    /// Most messages of one person or machine a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_a_minute: Option<u32>,
    /// Most bytes that go out to one person or machine an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_an_hour: Option<u64>,
    /// With which client certificates one comes; none is wanted when it names none.
    #[serde(skip_serializing_if = "ClientCertificateRule::is_empty")]
    pub client_certificate: ClientCertificateRule,
    /// The origins whose pages may call, besides the issuer's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<PageOrigin>,
    /// How much may go through, beyond the two limits above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<CallLimit>,
    /// Which arguments stand in the audit log as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_arguments: Vec<KeptArgument>,
}

impl GatewayRule {
    /// Whether this kind may come.
    #[must_use]
    pub fn lets_in(&self, kind: PassKind) -> bool {
        self.accepts.is_empty() || self.accepts.contains(&kind)
    }

    /// Everything that says how much may go through.
    #[must_use]
    pub fn all_limits(&self) -> Vec<CallLimit> {
        let of_person = |most| CallLimit { whose: Whose::Person, most, tool: None };
        let calls = self.calls_a_minute.map(|most| Most::Calls(most.into(), Duration::from_secs(60)));
        let bytes = self.bytes_an_hour.map(|most| Most::Bytes(most, Duration::from_secs(3_600)));
        let mut all: Vec<CallLimit> = calls.into_iter().chain(bytes).map(of_person).collect();
        all.extend(self.limits.iter().filter(|limit| !all.contains(limit)).cloned().collect::<Vec<_>>());
        all
    }
}

/// An MCP server that this issuer guards (RFC 8707).
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// Its URL; the `aud` of its tokens.
    pub uri: ResourceUri,
    /// Its name for people.
    pub name: String,
    /// Its permissions, in the order they are shown.
    pub scopes: Vec<ResourceScope>,
    /// Life of its access tokens in seconds, when it differs from the server's.
    pub access_token_ttl: Option<i64>,
    /// How its tokens are signed.
    pub signing_alg: SigningAlg,
    /// Whether requests without `resource` mean this one.
    pub is_default: bool,
    /// Which clients may ask for it.
    pub client_rule: ClientRule,
    /// Who may be granted what.
    pub access_rule: AccessRule,
    /// Whether nobody allows access here without a second factor.
    pub second_factor_required: bool,
    /// The credentials with which the server itself may call `/introspect`: client id …
    pub client_id: String,
    /// … and digest of the secret.
    pub secret_digest: TokenDigest,
    /// Its path segment at the gateway.
    pub slug: Option<String>,
    /// Where the gateway forwards to.
    pub upstream: Option<String>,
    /// What holds there beyond its scopes and rules.
    pub gateway: GatewayRule,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

impl Resource {
    /// The names of its permissions.
    #[must_use]
    pub fn scope_set(&self) -> ScopeSet {
        self.scopes.iter().map(|scope| scope.name.clone()).collect()
    }

    /// What a request without `scope` gets: the permissions marked default, or all when none is marked.
    #[must_use]
    pub fn default_scopes(&self) -> ScopeSet {
        let marked: ScopeSet =
            self.scopes.iter().filter(|scope| scope.default).map(|scope| scope.name.clone()).collect();
        if marked.is_empty() { self.scope_set() } else { marked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_never_promises_too_little() {
        for (scope, expected) in [
            ("notes:read", Risk::Reads),
            ("address:read", Risk::Reads),
            ("Files.Read.All", Risk::Reads),
            ("Files.ReadWrite.All", Risk::Changes),
            ("email", Risk::Reads),
            ("email:send", Risk::Changes),
            ("notes:write", Risk::Changes),
            ("notes:share", Risk::Changes),
            ("notes", Risk::Changes),
            ("notes:delete", Risk::Deletes),
            ("admin", Risk::Deletes),
        ] {
            assert_eq!(Risk::guess(scope), expected, "{scope}");
        }
    }
}
