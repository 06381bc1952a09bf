//! The gateway: what it shows to the servers behind it, their tools, and tokens for clients without OAuth.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::{Approval, Moment};
use crate::flow::grant_tokens::{self, NewGrantToken};
use crate::flow::tools::{self, Decision};
use crate::flow::vault::{self, NewCredential};
use crate::types::admin::Permission;
use crate::types::secret::Secret;
use crate::types::tool::{Tool, ToolClass};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/credential",
        id: "setUpstreamCredential",
        about: "Keep, encrypted, what the gateway shows to a server behind it. It takes the place of what was kept before.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<CredentialToKeep>),
        done: (204, None),
        run: |call| Box::pin(keep(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/credential",
        id: "clearUpstreamCredential",
        about: "Forget what the gateway shows to a server; it then shows nothing.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(clear(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/tools",
        id: "listTools",
        about: "The tools that a server behind the gateway has shown, and which may be called.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<ToolShown>>)),
        run: |call| Box::pin(list_tools(call)),
    },
    Operation {
        verb: Verb::Patch,
        path: "/servers/{id}/tools",
        id: "decideTools",
        about: "Let tools be called as they are now, or close them.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<ToolDecision>),
        done: (200, Some(shape::<Vec<ToolShown>>)),
        run: |call| Box::pin(decide_tools(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/grant-tokens",
        id: "makeGrantToken",
        about: "Make a token for a client without OAuth. It is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<TokenToMake>),
        done: (201, Some(shape::<MadeToken>)),
        run: |call| Box::pin(make_token(call)),
    },
];

/// How the gateway shows itself.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum CredentialKind {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`, with `name`.
    Basic,
    /// The header `name`.
    Header,
}

/// What the gateway shows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CredentialToKeep {
    /// Of which kind.
    kind: CredentialKind,
    /// The user of `basic`, or the name of the header.
    name: Option<String>,
    /// The secret.
    #[schemars(length(min = 8, max = 8192))]
    secret: String,
}

async fn keep(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let new: CredentialToKeep = call.read()?;
    let secret = Secret::new(new.secret);
    let new = match (new.kind, new.name) {
        (CredentialKind::Bearer, None) => NewCredential::Bearer(secret),
        (CredentialKind::Basic, Some(name)) => NewCredential::Basic(name, secret),
        (CredentialKind::Header, Some(name)) => NewCredential::Header(name, secret),
        _ => return Err(Problem::refused("name goes with basic and header, and not with bearer.")),
    };
    vault::set(&call.core, &call.caller, found.uri.as_str(), new).await?;
    Ok(Answer::NOTHING)
}

async fn clear(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    vault::clear(&call.core, &call.caller, found.uri.as_str()).await?;
    Ok(Answer::NOTHING)
}

/// A tool.
#[derive(Serialize, JsonSchema)]
struct ToolShown {
    name: String,
    /// `approved`, `quarantined` or `blocked`.
    state: &'static str,
    /// What it can do, where somebody has said so.
    class: Option<ToolClassShown>,
    /// Whether an administrator has said so, and not the server.
    class_set: bool,
    /// The definition that was seen last.
    definition: Value,
    /// When it was last new.
    changed_at: Moment,
    /// Who approved it; nobody where it was the first sight of the server.
    approved_by: Option<String>,
}

/// What a tool can do, from the least to the most.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToolClassShown {
    /// Looks at data.
    Read,
    /// Changes data.
    Write,
    /// Destroys data.
    Destructive,
    /// Changes who may do what.
    Admin,
}

impl ToolClassShown {
    /// Of a class.
    pub(super) const fn of(class: ToolClass) -> Self {
        match class {
            ToolClass::Read => Self::Read,
            ToolClass::Write => Self::Write,
            ToolClass::Destructive => Self::Destructive,
            ToolClass::Admin => Self::Admin,
        }
    }

    /// The class that is meant.
    pub(super) const fn meant(self) -> ToolClass {
        match self {
            Self::Read => ToolClass::Read,
            Self::Write => ToolClass::Write,
            Self::Destructive => ToolClass::Destructive,
            Self::Admin => ToolClass::Admin,
        }
    }
}

impl ToolShown {
    fn of(tool: &Tool) -> Self {
        Self {
            name: tool.name.clone(),
            state: tool.state.as_str(),
            class: tool.class.map(ToolClassShown::of),
            class_set: tool.class_set,
            definition: serde_json::from_str(&tool.seen).unwrap_or_default(),
            changed_at: Moment(tool.changed_at),
            approved_by: tool.approved_by.clone(),
        }
    }
}

fn shown(tools: &[Tool]) -> Result<Answer, Problem> {
    Answer::of(&tools.iter().map(ToolShown::of).collect::<Vec<_>>())
}

async fn list_tools(call: Call) -> Result<Answer, Problem> {
    shown(&tools::list(&call.core, server(&call)?.uri.as_str()).await?)
}

/// What becomes of tools.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToolDecision {
    /// Their names.
    #[schemars(length(min = 1))]
    names: Vec<String>,
    /// Whether they may be called.
    approve: bool,
    /// What they can do; what they say themselves, or was set before, when absent.
    class: Option<ToolClassShown>,
}

async fn decide_tools(call: Call) -> Result<Answer, Problem> {
    let found = server(&call)?;
    let wanted: ToolDecision = call.read()?;
    if wanted.names.is_empty() {
        return Err(Problem::bad("name at least one tool"));
    }
    let decision = match (wanted.approve, wanted.class) {
        (true, class) => Decision::Approve(class.map(ToolClassShown::meant)),
        (false, None) => Decision::Block,
        (false, Some(_)) => return Err(Problem::refused("a tool that is closed gets no class.")),
    };
    shown(&tools::decide(&call.core, &call.caller, found.uri.as_str(), wanted.names, decision).await?)
}

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TokenToMake {
    /// For whom, by e-mail.
    email: String,
    /// At which server behind the gateway, by its URL.
    #[schemars(length(max = 2048))]
    server: String,
    /// What it is for.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// What it allows; what the server gives by default when empty.
    #[serde(default)]
    scopes: Vec<String>,
    /// The tools that it may call; all that its scopes allow when empty.
    #[serde(default)]
    tools: Vec<String>,
    /// How long it lives, in seconds.
    #[schemars(range(min = 1, max = 31_536_000))]
    ttl_seconds: u32,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
struct MadeToken {
    /// Its approval.
    grant: Approval,
    /// The token.
    token: String,
}

async fn make_token(call: Call) -> Result<Answer, Problem> {
    let wanted: TokenToMake = call.read()?;
    let new = NewGrantToken {
        user: wanted.email,
        resource: wanted.server,
        name: wanted.name,
        scopes: wanted.scopes,
        tools: wanted.tools,
        ttl: Duration::from_secs(wanted.ttl_seconds.into()),
    };
    let (grant, token) = grant_tokens::create(&call.core, &call.caller, new).await?;
    let grant = Approval::one(&call.core, grant).await?;
    Answer::of(&MadeToken { grant, token: token.expose().to_owned() })
}
