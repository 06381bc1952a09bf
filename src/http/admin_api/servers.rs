//! MCP servers and their roles.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Kind, Operation, Query, Verb, query, shape};
use super::problem::Problem;
use super::shapes::Server;
use crate::flow::client_certificate;
use crate::flow::resources::{self, GatewayChange, NewResource, ResourceChange};
use crate::flow::roles::{self, Change};
use crate::flow::stdio;
use crate::types::access_rule::{Holder, NamedRole, Who};
use crate::types::admin::Permission;
use crate::types::id::{ResourceId, UserId};
use crate::types::key::SigningAlg;
use crate::types::resource::{ClientRule, PassKind, Resource, ResourceScope, Risk};
use crate::types::time::Timestamp;

const HOLDER: &[Query] = &[
    query("group", Kind::Text, "A group."),
    query("person", Kind::Id, "A person, by id."),
    query("everyone", Kind::Flag, "Everyone who can sign in."),
];

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/servers",
        id: "listServers",
        about: "Every MCP server.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<Server>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/servers",
        id: "addServer",
        about: "Add an MCP server. The secret with which it may introspect is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewServer>),
        done: (201, Some(shape::<AddedServer>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}",
        id: "getServer",
        about: "One MCP server.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Server>)),
        run: |call| Box::pin(get(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/servers/{id}",
        id: "changeServer",
        about: "Change the settings of an MCP server. Approvals of clients that may not ask any more end.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<ServerChange>),
        done: (200, Some(shape::<ChangedServer>)),
        run: |call| Box::pin(set(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}",
        id: "removeServer",
        about: "Remove an MCP server; every approval and token for it ends.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/roles/{role}",
        id: "defineRole",
        about: "Define a role, or say anew what it allows. Approvals and tokens that say more than is allowed afterwards are narrowed or end.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<RoleScopes>),
        done: (200, Some(shape::<Server>)),
        run: |call| Box::pin(define(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/roles/{role}",
        id: "removeRole",
        about: "Remove a role; whoever had it has it no more.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<Server>)),
        run: |call| Box::pin(remove_role(call)),
    },
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/roles/{role}/holders",
        id: "giveRole",
        about: "Give a role to a group, a person or everyone. The first one given closes the server to whoever has none.",
        needs: Permission::Write,
        query: HOLDER,
        body: None,
        done: (200, Some(shape::<Server>)),
        run: |call| Box::pin(hand(call, true)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/roles/{role}/holders",
        id: "takeRole",
        about: "Take a role back from a group, a person or everyone.",
        needs: Permission::Write,
        query: HOLDER,
        body: None,
        done: (200, Some(shape::<Server>)),
        run: |call| Box::pin(hand(call, false)),
    },
];

/// A server to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewServer {
    /// Its URL; the `aud` of its tokens.
    #[schemars(length(max = 2048))]
    uri: String,
    /// Its name for people.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// Its permissions.
    #[serde(default)]
    scopes: Vec<NewScope>,
    /// Life of its access tokens in seconds, where it differs from the issuer’s.
    #[schemars(range(min = 1, max = 3600))]
    access_token_ttl: Option<u64>,
    /// How its tokens are signed; ES256 when absent.
    signing_alg: Option<Alg>,
    /// Whether requests that name no resource mean this one.
    #[serde(default)]
    default: bool,
    /// Whether nobody allows access here without a second factor.
    #[serde(default)]
    second_factor_required: bool,
    /// Its path segment at the gateway; goes with `upstream`.
    slug: Option<String>,
    /// Where the gateway forwards to. Without `scopes` it then has tools:read, tools:write and tools:delete.
    #[schemars(length(max = 2048))]
    upstream: Option<String>,
}

#[derive(Deserialize, JsonSchema, Clone, Copy)]
enum Alg {
    ES256,
    RS256,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A permission.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewScope {
    /// The scope.
    name: String,
    /// What it allows, in words.
    description: String,
    /// What it can do; guessed from the name when absent.
    risk: Option<Risk>,
    /// Whether it is granted to a request that names no scope.
    #[serde(default)]
    default: bool,
}

/// A server that was added.
#[derive(Serialize, JsonSchema)]
struct AddedServer {
    server: Server,
    /// The secret with which it may introspect.
    client_secret: String,
}

/// What to change; what is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServerChange {
    /// Its name for people.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// Whether nobody allows access there without a second factor.
    second_factor_required: Option<bool>,
    /// Which clients may ask.
    client_rule: Option<NewClientRule>,
    /// What holds at the gateway.
    gateway: Option<GatewaySettings>,
}

/// What is to change at the gateway; what is absent stays.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields)]
struct GatewaySettings {
    /// Whether every call has to be on record before it goes out, also one that only reads.
    record_first: Option<bool>,
    /// Who may come; everybody when empty.
    accepts: Option<Vec<CallerKind>>,
    /// Most messages of one person or machine a minute; 0 for no limit.
    calls_a_minute: Option<u32>,
    /// Most bytes that go out to one person or machine an hour; 0 for no limit.
    #[schemars(range(max = 1_125_899_906_842_624_u64))]
    bytes_an_hour: Option<u64>,
    /// With which client certificates one comes. Takes the place of the old rule; none is wanted when it names none.
    client_certificate: Option<CertificatesWanted>,
    /// The origins whose pages may call, besides the issuer's own, such as `https://app.example`. Takes the place of the old
    /// ones.
    #[schemars(length(max = 50))]
    origins: Option<Vec<String>>,
    /// How much may go through beyond that: `person`, `approval` or `everybody`, then `calls N/SPAN`, `at-once N` or
    /// `bytes N/SPAN`, and maybe `tool NAME`, such as `person calls 5/1d tool wipe`. Takes the place of the old ones.
    #[schemars(length(max = 50))]
    limits: Option<Vec<String>>,
    /// Which arguments stand in the audit log as they are: a path of members, and maybe `tool NAME`, such as
    /// `amount tool transfer`. Takes the place of the old ones.
    #[schemars(length(max = 50))]
    kept_arguments: Option<Vec<String>>,
}

/// Client certificates: those that are named, and those that an authority has signed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CertificatesWanted {
    /// SHA-256 of their DER forms, in hex.
    #[serde(default)]
    sha256: Vec<String>,
    /// Certificate authorities, as PEM.
    #[schemars(length(max = 32_768))]
    ca: Option<String>,
}

/// What somebody shows who comes to a server behind the gateway.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum CallerKind {
    /// An app with an access token that a person has approved.
    App,
    /// A client without OAuth, with a grant token.
    GrantToken,
    /// A machine of its own.
    Machine,
}

impl CallerKind {
    const fn meant(self) -> PassKind {
        match self {
            Self::App => PassKind::App,
            Self::GrantToken => PassKind::GrantToken,
            Self::Machine => PassKind::Machine,
        }
    }
}

/// Which clients may ask: `anyone`, those that an administrator has added, or a list.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum NewClientRule {
    /// Any client, after a person’s consent.
    Anyone,
    /// Clients that an administrator has added.
    PreRegistered,
    /// Clients by id, and those whose metadata document lives at a domain.
    Only(ListedClients),
}

/// A list of clients.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListedClients {
    /// Client ids.
    #[serde(default)]
    clients: Vec<String>,
    /// Domains, in lower case.
    #[serde(default)]
    domains: Vec<String>,
}

/// A server that was changed.
#[derive(Serialize, JsonSchema)]
struct ChangedServer {
    server: Server,
    /// Approvals that ended.
    ended: usize,
}

/// What a role allows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleScopes {
    /// Permissions of the server.
    scopes: Vec<String>,
}

/// The server that the path names.
pub(super) fn server(call: &Call) -> Result<Resource, Problem> {
    let id = call.id(ResourceId::parse)?;
    call.core.live.view().resource_by_id(id).cloned().ok_or_else(Problem::missing)
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let all = resources::list(&call.core).await?;
    Answer::of(&all.iter().map(Server::of).collect::<Vec<_>>())
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let new: NewServer = call.read()?;
    let scopes = new.scopes.into_iter().map(|scope| ResourceScope {
        risk: scope.risk.unwrap_or_else(|| Risk::guess(&scope.name)),
        name: scope.name,
        description: scope.description,
        default: scope.default,
    });
    let mut scopes: Vec<ResourceScope> = scopes.collect();
    if new.upstream.as_deref().is_some_and(stdio::is_command) {
        // Whoever may add a server may not for that run programs on this machine.
        return Err(Problem::refused(
            "A server that is a command is added with `postern resource add`, on the machine where it will run.",
        ));
    }
    if scopes.is_empty() && new.upstream.is_some() {
        scopes = resources::gated_scopes();
    }
    let new = NewResource {
        uri: new.uri,
        name: new.name,
        scopes,
        access_token_ttl: new.access_token_ttl.map(std::time::Duration::from_secs),
        signing_alg: match new.signing_alg {
            None | Some(Alg::ES256) => SigningAlg::ES256,
            Some(Alg::RS256) => SigningAlg::RS256,
            Some(Alg::EdDsa) => SigningAlg::EDDSA,
        },
        is_default: new.default,
        client_rule: ClientRule::Anyone,
        second_factor_required: new.second_factor_required,
        slug: new.slug,
        upstream: new.upstream,
    };
    let (resource, secret) = resources::add(&call.core, &call.caller, new).await?;
    Answer::of(&AddedServer { server: Server::of(&resource), client_secret: secret.expose().to_owned() })
}

async fn get(call: Call) -> Result<Answer, Problem> {
    Answer::of(&Server::of(&server(&call)?))
}

async fn set(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let wanted: ServerChange = call.read()?;
    let gateway = wanted.gateway.map(|gateway| at_the_gateway(gateway, call.core.now())).transpose()?;
    let change = ResourceChange {
        name: wanted.name,
        second_factor_required: wanted.second_factor_required,
        client_rule: wanted.client_rule.map(|rule| match rule {
            NewClientRule::Anyone => ClientRule::Anyone,
            NewClientRule::PreRegistered => ClientRule::PreRegistered,
            NewClientRule::Only(ListedClients { clients, domains }) => ClientRule::Only { clients, domains },
        }),
        gateway: gateway.unwrap_or_default(),
    };
    let done = resources::set(&call.core, &call.caller, found.uri.as_str(), change).await?;
    Answer::of(&ChangedServer { server: Server::of(&done.resource), ended: done.ended })
}

fn at_the_gateway(wanted: GatewaySettings, now: Timestamp) -> Result<GatewayChange, Problem> {
    let client_certificate = wanted
        .client_certificate
        .map(|wanted| client_certificate::rule(&wanted.sha256, wanted.ca.as_deref(), now))
        .transpose()?;
    Ok(GatewayChange {
        record_first: wanted.record_first,
        accepts: wanted.accepts.map(|kinds| kinds.into_iter().map(CallerKind::meant).collect()),
        calls_a_minute: wanted.calls_a_minute.map(|most| Some(most).filter(|most| *most > 0)),
        bytes_an_hour: wanted.bytes_an_hour.map(|most| Some(most).filter(|most| *most > 0)),
        client_certificate,
        kept_arguments: wanted.kept_arguments.as_deref().map(resources::kept_arguments).transpose()?,
        limits: wanted.limits.as_deref().map(resources::limits).transpose()?,
        origins: wanted.origins.as_deref().map(resources::origins).transpose()?,
    })
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    resources::remove(&call.core, &call.caller, found.uri.as_str()).await?;
    Ok(Answer::NOTHING)
}

async fn change(call: &Call, change: Change) -> Result<Answer, Problem> {
    let found = server(call)?;
    let done = roles::change(&call.core, &call.caller, found.uri.as_str(), change).await?;
    Answer::of(&Server::of(&done.resource))
}

async fn define(call: Call) -> Result<Answer, Problem> {
    let wanted: RoleScopes = call.read()?;
    let role = NamedRole { name: call.part("role").to_owned(), scopes: wanted.scopes.into_iter().collect() };
    change(&call, Change::Define(role)).await
}

async fn remove_role(call: Call) -> Result<Answer, Problem> {
    change(&call, Change::Remove(call.part("role").to_owned())).await
}

async fn hand(call: Call, give: bool) -> Result<Answer, Problem> {
    let person = call.named("person", UserId::parse)?;
    let who = match (call.text("group"), person, call.flag("everyone")) {
        (Some(group), None, false) => Who::Group(group.to_owned()),
        (None, Some(id), false) => {
            super::people::exists(&call, id).await?;
            Who::Person(id)
        }
        (None, None, true) => Who::Everyone,
        _ => return Err(Problem::refused("Say who: one of group, person and everyone.")),
    };
    let holder = Holder { role: call.part("role").to_owned(), who };
    change(&call, if give { Change::Give(holder) } else { Change::Take(holder) }).await
}
