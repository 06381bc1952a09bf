//! Programs that cut access by a message that they have signed (Standard Webhooks): `POST /hooks/cut/{id}`, which needs no
//! token, and the operations by which an administrator lets them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cuts::{NewCut, TargetName, outside};
use super::operation::{Answer, Call, Operation, Verb, shape};
use super::problem::Problem;
use super::shapes::{CutShown, Moment, at};
use crate::flow::core::{Caller, Core};
use crate::flow::cut;
use crate::flow::cut_hooks::{self, Denied, Message};
use crate::types::admin::Permission;
use crate::types::cut::Hook;
use crate::wire::body::{self, BodyError};
use crate::wire::caller::From;
use crate::wire::reply::{json as answer, marked};

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/cut-hooks",
        id: "listCutHooks",
        about: "Programs that may cut access by a signed message.",
        needs: Permission::Read,
        query: &[],
        body: None,
        done: (200, Some(shape::<Vec<HookShown>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Post,
        path: "/cut-hooks",
        id: "addCutHook",
        about: "Let a program cut access by a signed message. Its secret is in the answer and nowhere else.",
        needs: Permission::Write,
        query: &[],
        body: Some(shape::<NewHook>),
        done: (201, Some(shape::<MadeHook>)),
        run: |call| Box::pin(add(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/cut-hooks/{id}",
        id: "removeCutHook",
        about: "Take that back. Messages of the program are refused from then on.",
        needs: Permission::Write,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(remove(call)),
    },
];

/// A program that may cut access.
#[derive(Serialize, JsonSchema)]
struct HookShown {
    id: String,
    name: String,
    /// Where it posts to.
    url: String,
    /// The kinds of target that it may cut.
    targets: Vec<&'static str>,
    created_at: Moment,
    created_by: String,
    /// When it last cut anything.
    last_used_at: Option<Moment>,
}

impl HookShown {
    fn of(core: &Core, hook: &Hook) -> Self {
        Self {
            id: hook.id.to_string(),
            name: hook.name.clone(),
            url: core.policy.issuer.url(&format!("/hooks/cut/{}", hook.id)),
            targets: hook.targets.iter().map(|target| outside(target)).collect(),
            created_at: Moment(hook.created_at),
            created_by: hook.created_by.clone(),
            last_used_at: at(hook.last_used_at),
        }
    }
}

/// A program that is to be let.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewHook {
    /// What it is called in the list of cuts.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// The kinds of target that it may cut; all but everything when empty.
    #[serde(default)]
    targets: Vec<TargetName>,
}

/// One that was let.
#[derive(Serialize, JsonSchema)]
struct MadeHook {
    #[serde(flatten)]
    hook: HookShown,
    /// The secret that it signs with.
    secret: String,
}

async fn list(call: Call) -> Result<Answer, Problem> {
    let all = cut_hooks::list(&call.core).await?;
    Answer::of(&all.iter().map(|hook| HookShown::of(&call.core, hook)).collect::<Vec<_>>())
}

async fn add(call: Call) -> Result<Answer, Problem> {
    let new: NewHook = call.read()?;
    let targets = new.targets.iter().map(|target| target.inside().to_owned()).collect();
    let (hook, secret) = cut_hooks::add(&call.core, &call.caller, &call.by, &new.name, targets).await?;
    Answer::of(&MadeHook { hook: HookShown::of(&call.core, &hook), secret: secret.expose().to_owned() })
}

async fn remove(call: Call) -> Result<Answer, Problem> {
    cut_hooks::remove(&call.core, &call.caller, call.part("id")).await?;
    Ok(Answer::NOTHING)
}

/// Carries a message out; when this answers 201 the access is cut here, and within a second everywhere.
pub async fn cut_by_message(
    request: HttpRequest,
    payload: web::Payload,
    id: web::Path<String>,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let caller = from.0;
    let done = carry_out(&request, payload, &id, &core, &caller).await;
    done.unwrap_or_else(|problem| problem.answer(&core, &caller))
}

async fn carry_out(
    request: &HttpRequest,
    payload: web::Payload,
    id: &str,
    core: &Core,
    caller: &Caller,
) -> Result<HttpResponse, Problem> {
    let body = body::read(request, payload).await.map_err(|error| match error {
        BodyError::TooLarge => Problem::Refused {
            status: 413,
            code: "body_too_large",
            detail: "The body is too large.".to_owned(),
        },
        _ => Problem::bad("The body broke off."),
    })?;
    let headers = request.headers();
    let header = |name: &str| {
        let only = headers.get_all(name).nth(1).is_none();
        headers.get(name).filter(|_| only).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let message = Message {
        id: header("webhook-id"),
        seconds: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        body: &body,
    };
    let refused = |status, code, detail: &str| Problem::Refused { status, code, detail: detail.to_owned() };
    let accepted = cut_hooks::accept(core, caller, id, message).await.map_err(|denied| match denied {
        Denied::Unsigned => {
            refused(401, "bad_signature", "The signature does not fit, or there is no such hook.")
        }
        Denied::Untimely => {
            refused(400, "untimely", "webhook-timestamp is not of now; look at the clocks, and sign anew.")
        }
        Denied::TooMany => refused(429, "too_many", "Too many messages whose signature does not fit."),
        Denied::Fault(fault) => Problem::Fault(fault),
    })?;
    if accepted.again {
        return Ok(answer(StatusCode::OK, &json!({ "already": true })));
    }
    let new: NewCut = serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))?;
    let order = new.order(core, accepted.by()).await?;
    if !accepted.hook.targets.iter().any(|target| target == order.target.kind()) {
        return Err(refused(403, "target", "This hook may not cut targets of this kind."));
    }
    let caller = Caller { by: Some(accepted.by().name), ..caller.clone() };
    let made = cut::cut(core, &caller, order).await?;
    cut_hooks::done(core, &accepted).await?;
    Ok(marked(answer(StatusCode::CREATED, &CutShown::of(&made, core.now())), "cut_by_hook"))
}
