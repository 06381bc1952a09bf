//! What the API shows of each thing.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use super::problem::Problem;
use crate::flow::access_map::{self, Standing};
use crate::flow::core::Core;
use crate::flow::failure::Fault;
use crate::types::access_rule::Who;
use crate::types::certificate::{CertificateFacts, ClientCertificateRule};
use crate::types::client::Client;
use crate::types::cut::Cut;
use crate::types::grant::Grant;
use crate::types::resource::{GatewayRule, Resource};
use crate::types::session::Session;
use crate::types::time::Timestamp;
use crate::types::user::User;

/// A moment: RFC 3339, UTC.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.rfc3339())
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// An optional moment.
pub fn at(moment: Option<Timestamp>) -> Option<Moment> {
    moment.map(Moment)
}

/// A person.
#[derive(Serialize, JsonSchema)]
pub struct Person {
    /// Their id; the `sub` of their tokens.
    id: String,
    /// Their e-mail address.
    email: String,
    /// Their name, when known.
    name: Option<String>,
    /// `member`, `auditor` or `admin`.
    role: &'static str,
    /// Groups they belong to.
    groups: Vec<String>,
    /// Whether they sign in with a second factor or not at all.
    second_factor_required: bool,
    /// When they were added.
    created_at: Moment,
    /// When they were switched off, while they are.
    disabled_at: Option<Moment>,
}

impl Person {
    /// Of a record.
    pub fn of(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.clone(),
            name: user.name.clone(),
            role: user.role.as_str(),
            groups: user.groups.clone(),
            second_factor_required: user.second_factor_required,
            created_at: Moment(user.created_at),
            disabled_at: at(user.disabled_at),
        }
    }
}

/// An app or agent.
#[derive(Serialize, JsonSchema)]
pub struct App {
    /// Its client id.
    id: String,
    /// Its name for people; proves nothing where `kind` is `dynamic`.
    name: String,
    /// Where its record comes from: `pre_registered`, `dynamic` or `metadata_document`.
    kind: &'static str,
    /// The domain that its metadata document proves.
    domain: Option<String>,
    /// Where people are sent back to.
    redirect_uris: Vec<String>,
    /// How it proves itself.
    token_endpoint_auth_method: &'static str,
    /// What it may do at the token endpoint.
    grant_types: Vec<&'static str>,
    /// When it became known here.
    created_at: Moment,
    /// When somebody first approved it.
    first_granted_at: Option<Moment>,
    /// When it was switched off, while it is.
    disabled_at: Option<Moment>,
}

impl App {
    /// Of a record.
    pub fn of(client: &Client) -> Self {
        Self {
            id: client.id.to_string(),
            name: client.display_name(),
            kind: client.kind.as_str(),
            domain: client.domain(),
            redirect_uris: client.metadata.redirect_uris.clone(),
            token_endpoint_auth_method: client.auth_method().as_str(),
            grant_types: client.metadata.grant_types.iter().map(|one| one.as_str()).collect(),
            created_at: Moment(client.created_at),
            first_granted_at: at(client.first_granted_at),
            disabled_at: at(client.disabled_at),
        }
    }
}

/// A permission of a server.
#[derive(Serialize, JsonSchema)]
pub struct ScopeShown {
    /// The scope.
    name: String,
    /// What it allows.
    description: String,
    /// `reads`, `changes` or `deletes`.
    risk: crate::types::resource::Risk,
}

/// A role of a server.
#[derive(Serialize, JsonSchema)]
pub struct RoleShown {
    /// Its name.
    name: String,
    /// What it allows.
    scopes: Vec<String>,
    /// Who has it.
    holders: Vec<HolderShown>,
}

/// Who has a role.
#[derive(Serialize, JsonSchema, Default)]
pub struct HolderShown {
    /// Everyone who can sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    everyone: Option<bool>,
    /// The people of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// One person, by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// Whoever has this role in the console, or one above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    console_role: Option<String>,
}

impl HolderShown {
    fn of(who: &Who) -> Self {
        match who {
            Who::Everyone => Self { everyone: Some(true), ..Self::default() },
            Who::Group(name) => Self { group: Some(name.clone()), ..Self::default() },
            Who::Person(id) => Self { person: Some(id.to_string()), ..Self::default() },
            Who::Console(role) => Self { console_role: Some(role.as_str().to_owned()), ..Self::default() },
        }
    }
}

/// An MCP server.
#[derive(Serialize, JsonSchema)]
pub struct Server {
    /// Its id.
    id: String,
    /// Its URL; the `aud` of its tokens.
    uri: String,
    /// Its name for people.
    name: String,
    /// Its permissions.
    scopes: Vec<ScopeShown>,
    /// Its roles. While nobody has one, everyone may be granted everything.
    roles: Vec<RoleShown>,
    /// How its tokens are signed.
    signing_alg: &'static str,
    /// Whether requests that name no resource mean this one.
    default: bool,
    /// Whether nobody allows access here without a second factor.
    second_factor_required: bool,
    /// With which id it may introspect.
    client_id: String,
    /// Its path segment at the gateway, where it is behind it.
    slug: Option<String>,
    /// Where the gateway forwards to.
    upstream: Option<String>,
    /// What holds at the gateway beyond its scopes and rules, where it is behind it.
    gateway: Option<GatewayShown>,
    /// When it was added.
    created_at: Moment,
}

/// What holds at the gateway.
#[derive(Serialize, JsonSchema)]
pub struct GatewayShown {
    /// Whether every call has to be on record before it goes out.
    record_first: bool,
    /// Who may come, of `app`, `grant_token` and `machine`; everybody when empty.
    accepts: Vec<&'static str>,
    /// Most messages of one person or machine a minute.
    calls_a_minute: Option<u32>,
    /// Most bytes that go out to one person or machine an hour.
    bytes_an_hour: Option<u64>,
    /// With which client certificates one comes; absent where none is wanted.
    client_certificate: Option<CertificatesShown>,
    /// The origins whose pages may call, besides the issuer's own.
    origins: Vec<String>,
    /// How much may go through beyond that, such as `everybody at-once 20`.
    limits: Vec<String>,
    /// Which arguments stand in the audit log as they are, such as `amount tool transfer`.
    kept_arguments: Vec<String>,
}

/// Client certificates: those that are named, and those that an authority has signed.
#[derive(Serialize, JsonSchema)]
pub struct CertificatesShown {
    /// SHA-256 of their DER forms, in hex.
    sha256: Vec<String>,
    /// The authorities.
    cas: Vec<CertificateShown>,
}

impl CertificatesShown {
    fn of(rule: &ClientCertificateRule) -> Option<Self> {
        let cas = rule.cas.iter().map(|ca| CertificateShown::of(&ca.facts)).collect();
        (!rule.is_empty()).then(|| Self { sha256: rule.sha256.clone(), cas })
    }
}

/// A certificate.
#[derive(Serialize, JsonSchema)]
pub struct CertificateShown {
    /// Whom it names.
    subject: String,
    /// Who signed it.
    issuer: String,
    /// SHA-256 of its DER form, in hex.
    sha256: String,
    /// Since when it is valid.
    valid_from: Moment,
    /// Until when.
    expires_at: Moment,
}

impl CertificateShown {
    /// Of what it says.
    pub fn of(facts: &CertificateFacts) -> Self {
        Self {
            subject: facts.subject.clone(),
            issuer: facts.issuer.clone(),
            sha256: facts.sha256.clone(),
            valid_from: Moment(facts.begins_at()),
            expires_at: Moment(facts.ends_at()),
        }
    }
}

impl GatewayShown {
    fn of(rule: &GatewayRule) -> Self {
        Self {
            record_first: rule.record_first,
            accepts: rule.accepts.iter().map(|kind| kind.as_str()).collect(),
            calls_a_minute: rule.calls_a_minute,
            bytes_an_hour: rule.bytes_an_hour,
            client_certificate: CertificatesShown::of(&rule.client_certificate),
            origins: rule.origins.iter().map(ToString::to_string).collect(),
            limits: rule.limits.iter().map(ToString::to_string).collect(),
            kept_arguments: rule.kept_arguments.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Server {
    /// Of a record.
    pub fn of(resource: &Resource) -> Self {
        let rule = &resource.access_rule;
        let role = |name: &str| RoleShown {
            name: name.to_owned(),
            scopes: words(&resource.role_scopes(name).unwrap_or_default()),
            holders: rule
                .holders
                .iter()
                .filter(|one| one.role == name)
                .map(|one| HolderShown::of(&one.who))
                .collect(),
        };
        Self {
            id: resource.id.to_string(),
            uri: resource.uri.to_string(),
            name: resource.name.clone(),
            scopes: resource
                .scopes
                .iter()
                .map(|scope| ScopeShown {
                    name: scope.name.clone(),
                    description: scope.description.clone(),
                    risk: scope.risk,
                })
                .collect(),
            roles: resource.role_names().into_iter().map(role).collect(),
            signing_alg: resource.signing_alg.as_str(),
            default: resource.is_default,
            second_factor_required: resource.second_factor_required,
            client_id: resource.client_id.clone(),
            slug: resource.slug.clone(),
            upstream: resource.upstream.clone(),
            gateway: resource.upstream.as_ref().map(|_| GatewayShown::of(&resource.gateway)),
            created_at: Moment(resource.created_at),
        }
    }
}

/// Scopes as a list.
pub fn words(scopes: &crate::types::scope::ScopeSet) -> Vec<String> {
    scopes.iter().map(str::to_owned).collect()
}

/// A standing approval, or one that has ended.
#[derive(Serialize, JsonSchema)]
pub struct Approval {
    /// Its id; the `grant_id` of every token under it.
    id: String,
    /// The person; absent for an app that acts for itself.
    person_id: Option<String>,
    /// The app.
    client_id: String,
    /// The server.
    server_id: String,
    /// What is allowed.
    scopes: Vec<String>,
    /// `active`, `narrowed`, `stopped` by a cut, `consent_due`, `sign_in_due`, `expired` or `ended`.
    state: &'static str,
    /// When it was first given.
    created_at: Moment,
    /// Until when it lasts.
    expires_at: Moment,
    /// When a token was last issued under it.
    last_used_at: Option<Moment>,
    /// From where that was.
    last_used_address: Option<String>,
    /// When it ended.
    ended_at: Option<Moment>,
    /// When it last lost permissions without being approved anew since.
    narrowed_at: Option<Moment>,
}

impl Approval {
    /// These, as they stand now.
    ///
    /// # Errors
    /// A fault.
    pub async fn all(core: &Core, grants: Vec<Grant>) -> Result<Vec<Self>, Fault> {
        Ok(access_map::as_they_stand(core, grants).await?.iter().map(Self::of).collect())
    }

    /// One, as it stands now.
    ///
    /// # Errors
    /// A fault.
    pub async fn one(core: &Core, grant: Grant) -> Result<Self, Problem> {
        Self::all(core, vec![grant]).await?.pop().ok_or_else(Problem::missing)
    }

    /// Of a record.
    pub fn of(Standing { grant, state }: &Standing) -> Self {
        Self {
            id: grant.id.to_string(),
            person_id: grant.user_id.map(|id| id.to_string()),
            client_id: grant.client_id.to_string(),
            server_id: grant.resource_id.to_string(),
            scopes: words(&grant.scopes),
            state: state.as_str(),
            created_at: Moment(grant.created_at),
            expires_at: Moment(grant.expires_at),
            last_used_at: at(grant.last_used_at),
            last_used_address: grant.last_used_address.clone(),
            ended_at: at(grant.revoked_at),
            narrowed_at: at(grant.narrowed_at),
        }
    }
}

/// A browser that is signed in.
#[derive(Serialize, JsonSchema)]
pub struct SignIn {
    /// Its id.
    id: String,
    /// Who is signed in.
    person_id: String,
    /// When they proved it.
    auth_time: Moment,
    /// How (RFC 8176).
    amr: Vec<String>,
    /// When it was last seen.
    last_seen_at: Moment,
    /// When it ends at the latest.
    expires_at: Moment,
    /// From where.
    address: Option<String>,
    /// With what.
    user_agent: Option<String>,
}

impl SignIn {
    /// Of a record.
    pub fn of(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            person_id: session.user_id.to_string(),
            auth_time: Moment(session.auth_time),
            amr: session.methods.names().into_iter().map(Into::into).collect(),
            last_seen_at: Moment(session.last_seen_at),
            expires_at: Moment(session.expires_at),
            address: session.address.clone(),
            user_agent: session.user_agent.clone(),
        }
    }
}

/// What a cut hits.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Impact")]
pub struct Hit {
    /// People.
    people: i64,
    /// Apps.
    clients: i64,
    /// Servers.
    servers: i64,
    /// Standing approvals.
    grants: i64,
    /// Browsers that are signed in.
    sessions: i64,
    /// Access tokens that have not expired.
    live_tokens: i64,
    /// Chains of refresh tokens.
    families: i64,
}

impl Hit {
    /// Of a record.
    pub const fn of(impact: &crate::types::cut::Impact) -> Self {
        Self {
            people: impact.people,
            clients: impact.clients,
            servers: impact.resources,
            grants: impact.grants,
            sessions: impact.sessions,
            live_tokens: impact.live_tokens,
            families: impact.families,
        }
    }
}

/// A cut of access.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cut")]
pub struct CutShown {
    /// Its id.
    id: String,
    /// What kind of thing is cut: `person`, `client`, `domain`, `server`, `grant`, `network` or `everything`.
    target: &'static str,
    /// Which, as an id, a domain or a block of addresses.
    value: String,
    /// Its name for people.
    label: String,
    /// `revoke`, `suspend`, `isolate`, `reconsent` or `reauthenticate`.
    how: &'static str,
    /// `in force`, `ended`, `undone` or `done`.
    state: &'static str,
    /// Why.
    reason: String,
    /// Who.
    by: String,
    /// When.
    at: Moment,
    /// When it ends by itself, or can no longer be undone.
    until: Option<Moment>,
    /// When it was undone.
    undone_at: Option<Moment>,
    /// What it hit.
    hit: Hit,
}

impl CutShown {
    /// Of a record, as it stands at `now`.
    pub fn of(cut: &Cut, now: Timestamp) -> Self {
        Self {
            id: cut.id.to_string(),
            target: super::cuts::outside(cut.target.kind()),
            value: cut.target.value(),
            label: cut.label.clone(),
            how: cut.kind.as_str(),
            state: cut.state(now),
            reason: cut.reason.clone(),
            by: cut.by_name.clone(),
            at: Moment(cut.at),
            until: at(cut.until),
            undone_at: at(cut.undone_at),
            hit: Hit::of(&cut.impact),
        }
    }
}
