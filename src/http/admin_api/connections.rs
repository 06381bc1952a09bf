//! Servers behind the gateway in each person's own name: the way to their tokens, and who has connected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::servers::server;
use super::shapes::{Moment, at};
use crate::flow::connections;
use crate::flow::upstream_auth::{self, NewAuth};
use crate::types::admin::Permission;
use crate::types::secret::Secret;
use crate::types::upstream_auth::{AuthKind, Registration};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Put,
        path: "/servers/{id}/per-person",
        id: "useServerPerPerson",
        about: "Use a server behind the gateway in each person’s own name, by the authorization server in front of it, which is asked. It takes the place of what the server was shown before; what people were given by that is given back.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<WayToSet>),
        done: (200, Some(shape::<WaySet>)),
        run: |call| Box::pin(set(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/servers/{id}/connections",
        id: "listConnections",
        about: "Who has connected a server that is used in each person’s own name.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<ConnectionShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/servers/{id}/connections/{person}",
        id: "disconnectPerson",
        about: "Forget what a person, by e-mail, was given at a server, and revoke it there.",
        needs: Permission::Revoke,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(disconnect(call)),
    },
];

/// By which way.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Way {
    /// Each person allows it in their browser.
    Oauth,
    /// This issuer’s word is exchanged (RFC 8693).
    Exchange,
    /// This issuer’s word is an identity assertion grant.
    IdJag,
}

impl Way {
    const fn kind(self) -> AuthKind {
        match self {
            Self::Oauth => AuthKind::OAuth,
            Self::Exchange => AuthKind::Exchange,
            Self::IdJag => AuthKind::IdJag,
        }
    }
}

/// The way to be set; everything that is absent is found out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WayToSet {
    /// Which way.
    by: Way,
    /// The issuer of the tokens that the server takes.
    #[schemars(length(max = 2048))]
    issuer: Option<String>,
    /// The gateway’s client id there.
    #[schemars(length(max = 8192))]
    client_id: Option<String>,
    /// The gateway’s client secret there.
    #[schemars(length(max = 8192))]
    client_secret: Option<String>,
    /// What to ask for.
    #[serde(default)]
    scopes: Vec<String>,
}

/// The way as it is now.
#[derive(Serialize, JsonSchema)]
struct WaySet {
    by: Way,
    issuer: String,
    client_id: String,
    /// `given`, `document` or `dynamic`.
    registration: &'static str,
    redirect_uri: String,
    /// The server as its tokens name it.
    resource: String,
    scopes: Vec<String>,
    /// Whether the other side takes tokens back (RFC 7009).
    revokes: bool,
}

/// What a person has at a server.
#[derive(Serialize, JsonSchema)]
struct ConnectionShown {
    person: String,
    /// What was granted there.
    scope: String,
    connected_at: Moment,
    refreshed_at: Moment,
    /// When the access token ends, where that is known.
    expires_at: Option<Moment>,
    /// Since when the other side knows nothing of it any more.
    ended_at: Option<Moment>,
}

async fn set(call: Call) -> Result<Answer, Problem> {
    let uri = server(&call)?.uri.to_string();
    let wanted: WayToSet = call.read()?;
    let new = NewAuth {
        kind: wanted.by.kind(),
        issuer: wanted.issuer,
        client_id: wanted.client_id,
        secret: wanted.client_secret.map(Secret::new),
        scopes: wanted.scopes,
    };
    let (_, auth) = upstream_auth::set(&call.core, &call.caller, &uri, new).await?;
    let settings = auth.settings;
    Answer::of(&WaySet {
        by: wanted.by,
        issuer: settings.issuer,
        client_id: settings.client_id,
        registration: match settings.registration {
            Registration::Given => "given",
            Registration::Document => "document",
            Registration::Dynamic => "dynamic",
        },
        redirect_uri: upstream_auth::redirect_uri(&call.core),
        resource: settings.resource,
        scopes: settings.scopes,
        revokes: settings.revocation_endpoint.is_some(),
    })
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let found = connections::of(&call.core, server(&call)?.uri.as_str()).await?;
    let shown = found.into_iter().map(|(person, connection)| ConnectionShown {
        person,
        scope: connection.scope,
        connected_at: Moment(connection.connected_at),
        refreshed_at: Moment(connection.refreshed_at),
        expires_at: at(connection.expires_at),
        ended_at: at(connection.ended_at),
    });
    Answer::of(&shown.collect::<Vec<_>>())
}

async fn disconnect(call: Call) -> Result<Answer, Problem> {
    let uri = server(&call)?.uri.to_string();
    let was = connections::disconnect(&call.core, &call.caller, &uri, call.part("person")).await?;
    if was { Ok(Answer::NOTHING) } else { Err(Problem::missing()) }
}
