//! Whom we tell what happens here: webhooks, receivers of shared signals, streams of the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::shapes::{Moment, at};
use crate::flow::endpoints::{self, NewEndpoint};
use crate::types::admin::Permission;
use crate::types::key::SigningAlg;
use crate::types::secret::Secret;
use crate::types::signal::{Delivery, Endpoint, EndpointKind, SubjectFormat};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/outgoing",
        id: "listOutgoing",
        about: "Webhooks, receivers of shared signals and streams of the audit log, and how each stands.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<EndpointShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/outgoing",
        id: "addOutgoing",
        about: "Tell somebody what happens here. A signing secret is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<EndpointToAdd>),
        done: (201, Some(shape::<MadeEndpoint>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/outgoing/{kind}/{id}",
        id: "removeOutgoing",
        about: "Tell it nothing any more; what waits is dropped.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
    Operation {
        verb: Verb::Get,
        path: "/outgoing/{kind}/{id}/deliveries",
        id: "listDeliveries",
        about: "The newest messages to a webhook or receiver, and what came of them.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<DeliveryShown>>)),
        run: |call| Box::pin(deliveries(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/outgoing/{kind}/{id}/enable",
        id: "enableOutgoing",
        about: "Go on with one that was switched off or waits.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<EndpointShown>)),
        run: |call| Box::pin(enable(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/outgoing/{kind}/{id}/secret",
        id: "rotateOutgoingSecret",
        about: "A new signing secret, in the answer and nowhere else; the one before it signs beside it for a day.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (201, Some(shape::<MadeEndpoint>)),
        run: |call| Box::pin(rotate(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/outgoing/{kind}/{id}/test",
        id: "testOutgoing",
        about: "Send one message now, and say what came of it.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (200, Some(shape::<Tried>)),
        run: |call| Box::pin(test(call)),
    },
];

/// How it is told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum KindShown {
    Webhook,
    Receiver,
    Stream,
}

impl KindShown {
    const fn of(kind: EndpointKind) -> Self {
        match kind {
            EndpointKind::Webhook => Self::Webhook,
            EndpointKind::Receiver => Self::Receiver,
            EndpointKind::Stream => Self::Stream,
        }
    }
}

/// How a receiver knows people.
#[derive(Deserialize, JsonSchema, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum SubjectShown {
    /// By issuer and `sub`.
    #[default]
    IssSub,
    /// By e-mail address.
    Email,
}

/// How a receiver’s tokens are signed.
#[derive(Deserialize, JsonSchema, Clone, Copy, Default)]
enum AlgShown {
    #[default]
    ES256,
    RS256,
    EdDSA,
}

/// Somebody to be told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointToAdd {
    kind: KindShown,
    /// Where.
    #[schemars(length(min = 1, max = 1024))]
    url: String,
    /// A webhook’s events, as names or patterns such as `alert.*`.
    #[serde(default)]
    events: Vec<String>,
    /// A receiver’s name for itself.
    #[serde(default)]
    audience: String,
    #[serde(default)]
    subject: SubjectShown,
    #[serde(default)]
    alg: AlgShown,
    /// What goes into `Authorization` at a receiver or stream.
    authorization: Option<String>,
    /// Whether a stream gets what there is already.
    #[serde(default)]
    from_beginning: bool,
    /// Whose certificates a `syslog+tls` collector has, as PEM.
    ca: Option<String>,
}

/// Somebody who is told.
#[derive(Serialize, JsonSchema)]
struct EndpointShown {
    id: String,
    kind: KindShown,
    url: String,
    events: Vec<String>,
    audience: Option<String>,
    /// How it stands, in a word.
    state: &'static str,
    disabled_reason: Option<String>,
    created_at: Moment,
    last_success_at: Option<Moment>,
    last_failure_at: Option<Moment>,
    last_error: Option<String>,
}

impl EndpointShown {
    fn of(one: &Endpoint) -> Self {
        Self {
            id: one.id.to_string(),
            kind: KindShown::of(one.kind),
            url: one.url.clone(),
            events: one.events.clone(),
            audience: one.audience.clone(),
            state: one.state(),
            disabled_reason: one.disabled_reason.clone(),
            created_at: Moment(one.created_at),
            last_success_at: at(one.last_success_at),
            last_failure_at: at(one.last_failure_at),
            last_error: one.last_error.clone(),
        }
    }
}

/// Somebody who is told, with the signing secret where there is one.
#[derive(Serialize, JsonSchema)]
struct MadeEndpoint {
    #[serde(flatten)]
    endpoint: EndpointShown,
    secret: Option<String>,
}

/// A message.
#[derive(Serialize, JsonSchema)]
struct DeliveryShown {
    id: String,
    event: String,
    state: &'static str,
    tries: i64,
    created_at: Moment,
    next_try_at: Option<Moment>,
    delivered_at: Option<Moment>,
    last_error: Option<String>,
}

impl DeliveryShown {
    fn of(one: &Delivery) -> Self {
        Self {
            id: one.id.to_string(),
            event: one.event_type.clone(),
            state: one.state(),
            tries: one.tries,
            created_at: Moment(one.created_at),
            next_try_at: at(one.next_try_at),
            delivered_at: at(one.delivered_at),
            last_error: one.last_error.clone(),
        }
    }
}

/// What came of a test.
#[derive(Serialize, JsonSchema)]
struct Tried {
    /// Whether it was taken.
    taken: bool,
    /// The status of the answer, or why there was none.
    said: String,
}

fn kind(call: &Call) -> Result<EndpointKind, Problem> {
    let kinds = [EndpointKind::Webhook, EndpointKind::Receiver, EndpointKind::Stream];
    kinds.into_iter().find(|kind| kind.as_str() == call.part("kind")).ok_or_else(Problem::missing)
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let mut all = Vec::new();
    for kind in [EndpointKind::Webhook, EndpointKind::Receiver, EndpointKind::Stream] {
        all.extend(endpoints::list(&call.core, kind).await?.iter().map(EndpointShown::of));
    }
    Answer::of(&all)
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let wanted: EndpointToAdd = call.read()?;
    let authorization = wanted.authorization.map(Secret::new);
    let new = match wanted.kind {
        KindShown::Webhook => NewEndpoint::Webhook { url: wanted.url, events: wanted.events },
        KindShown::Receiver => NewEndpoint::Receiver {
            url: wanted.url,
            audience: wanted.audience,
            subject: match wanted.subject {
                SubjectShown::IssSub => SubjectFormat::IssSub,
                SubjectShown::Email => SubjectFormat::Email,
            },
            alg: match wanted.alg {
                AlgShown::ES256 => SigningAlg::ES256,
                AlgShown::RS256 => SigningAlg::RS256,
                AlgShown::EdDSA => SigningAlg::EDDSA,
            },
            authorization,
        },
        KindShown::Stream => NewEndpoint::Stream {
            url: wanted.url,
            from_beginning: wanted.from_beginning,
            authorization,
            ca: wanted.ca,
        },
    };
    let (made, secret) = endpoints::add(&call.core, &call.caller, new).await?;
    let secret = secret.map(|secret| secret.expose().to_owned());
    Answer::of(&MadeEndpoint { endpoint: EndpointShown::of(&made), secret })
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    endpoints::remove(&call.core, &call.caller, kind(&call)?, call.part("id")).await?;
    Ok(Answer::NOTHING)
}

async fn deliveries(call: Call) -> Result<Answer, Problem> {
    let all = endpoints::deliveries(&call.core, kind(&call)?, call.part("id")).await?;
    Answer::of(&all.iter().map(DeliveryShown::of).collect::<Vec<_>>())
}

async fn enable(call: Call) -> Result<Answer, Problem> {
    let done = endpoints::enable(&call.core, &call.caller, kind(&call)?, call.part("id")).await?;
    Answer::of(&EndpointShown::of(&done))
}

async fn rotate(call: Call) -> Result<Answer, Problem> {
    let (made, secret) =
        endpoints::rotate_secret(&call.core, &call.caller, kind(&call)?, call.part("id")).await?;
    let secret = Some(secret.expose().to_owned());
    Answer::of(&MadeEndpoint { endpoint: EndpointShown::of(&made), secret })
}

async fn test(call: Call) -> Result<Answer, Problem> {
    let tested = endpoints::test(&call.core, kind(&call)?, call.part("id")).await?;
    Answer::of(&match tested {
        Ok(status) => Tried { taken: true, said: status.to_string() },
        Err(why) => Tried { taken: false, said: why },
    })
}
