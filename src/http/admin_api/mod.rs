//! `/admin/api/v1`: everything the console shows and does, for programs. An operation is a value in one of the tables
//! below; its route, who may call it, what it reads and the document that describes it all come from that value.

mod alerts;
mod audit;
mod calls;
mod cedar;
mod clients;
mod connections;
mod cuts;
mod gateway;
mod grants;
mod hooks;
mod inactivity;
mod invitations;
mod keys;
mod openapi;
mod operation;
mod outgoing;
mod people;
mod problem;
mod providers;
mod search;
mod servers;
mod sessions;
mod shapes;
mod upstream_tls;
mod who;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};

pub use hooks::cut_by_message;
pub use openapi::document;
use operation::{Answer, Call, Kind};
pub use operation::{Operation, Verb};
use problem::Problem;

use crate::flow::admin_api::{self, Repeat, Ticket};
use crate::flow::core::{Caller, Core};
use crate::oauth::params::Params;
use crate::types::admin::{ADMIN_API, Permission};
use crate::types::policy::{MAX_API_PAGE, MAX_API_SPAN, MAX_API_TEXT, MAX_IDEMPOTENCY_KEY};
use crate::types::time::Timestamp;
use crate::wire::body::{self, BodyError};
use crate::wire::caller::{From, bearer};
use crate::wire::reply::uncached;

/// Every operation.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    [
        people::OPERATIONS,
        invitations::OPERATIONS,
        clients::OPERATIONS,
        servers::OPERATIONS,
        who::OPERATIONS,
        gateway::OPERATIONS,
        upstream_tls::OPERATIONS,
        calls::OPERATIONS,
        cedar::OPERATIONS,
        grants::OPERATIONS,
        sessions::OPERATIONS,
        connections::OPERATIONS,
        cuts::OPERATIONS,
        hooks::OPERATIONS,
        outgoing::OPERATIONS,
        providers::OPERATIONS,
        alerts::OPERATIONS,
        inactivity::OPERATIONS,
        keys::OPERATIONS,
        audit::OPERATIONS,
        search::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}

/// Answers a call of `operation`.
pub async fn serve(
    operation: &'static Operation,
    request: HttpRequest,
    payload: web::Payload,
    core: web::Data<Core>,
    from: From,
) -> HttpResponse {
    let caller = from.0;
    match carry_out(operation, &request, payload, &core, &caller).await {
        Ok((status, body)) => done(status, body),
        Err(problem) => problem.answer(&core, &caller),
    }
}

fn done(status: u16, body: Option<Vec<u8>>) -> HttpResponse {
    let mut builder = uncached(StatusCode::from_u16(status).unwrap_or(StatusCode::OK));
    match body {
        Some(body) => builder.insert_header((CONTENT_TYPE, "application/json")).body(body),
        None => builder.finish(),
    }
}

type Done = (u16, Option<Vec<u8>>);

async fn carry_out(
    operation: &'static Operation,
    request: &HttpRequest,
    payload: web::Payload,
    core: &web::Data<Core>,
    caller: &Caller,
) -> Result<Done, Problem> {
    let token = bearer(request);
    let principal = admin_api::enter(core, caller, token, operation.needs)
        .await
        .map_err(|denied| Problem::denied(denied, token.is_some(), operation.needs))?;
    let query = query_of(operation, request)?;
    let body = read(operation, request, payload).await?;
    let repeat = match key(operation, request)? {
        None => None,
        Some(key) => {
            let mut what =
                format!("{} {}\n{}\n", operation.verb.as_str(), request.path(), request.query_string())
                    .into_bytes();
            what.extend_from_slice(&body);
            match admin_api::begin(core, &principal, &key, &what).await? {
                Repeat::First(ticket) => Some(ticket),
                Repeat::Answered(status, body) => {
                    return Ok((status, Some(body).filter(|body| !body.is_empty())));
                }
                Repeat::Running => {
                    return Err(Problem::conflict(
                        "running",
                        "A request with this idempotency key is running, or was interrupted: see what became of it before you use another key.",
                    ));
                }
                Repeat::Another => {
                    return Err(Problem::Refused {
                        status: 422,
                        code: "idempotency_key_used",
                        detail: "This idempotency key came with another request before.".to_owned(),
                    });
                }
            }
        }
    };
    let call = Call {
        core: core.clone(),
        caller: Caller {
            by: Some(format!("{} through {}", principal.by.name, principal.client_id)),
            ..caller.clone()
        },
        by: principal.by,
        path: parts(request),
        query,
        body,
    };
    let outcome = (operation.run)(call).await;
    let outcome = outcome.map(|Answer(value)| {
        (operation.done.0, value.map(|value| serde_json::to_vec(&value).unwrap_or_default()))
    });
    if let Some(ticket) = repeat {
        remember(core, &ticket, &outcome).await?;
    }
    outcome
}

/// What was done is done once. What was not done may be tried again with the same key.
async fn remember(core: &Core, ticket: &Ticket, outcome: &Result<Done, Problem>) -> Result<(), Problem> {
    match outcome {
        Ok((status, body)) => {
            admin_api::answered(core, ticket, *status, body.as_deref().unwrap_or_default()).await?;
        }
        Err(_) => admin_api::abandoned(core, ticket).await?,
    }
    Ok(())
}

fn parts(request: &HttpRequest) -> Vec<(String, String)> {
    // An app's id may be a URL; its slashes come encoded and stay so until here.
    let decoded = |text: &str| {
        let query = format!("x={}", text.replace('+', "%2B"));
        url::form_urlencoded::parse(query.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let known = request.match_info();
    known.iter().map(|(name, value)| (name.to_owned(), decoded(value).unwrap_or_default())).collect()
}

fn query_of(operation: &Operation, request: &HttpRequest) -> Result<Vec<(String, String)>, Problem> {
    let bad = |why: crate::oauth::refusal::Reason| Problem::bad(why.description());
    let params = Params::parse(&[request.query_string().as_bytes()]).map_err(bad)?;
    let mut found = Vec::new();
    for name in params.names() {
        if !operation.query.iter().any(|known| known.name == name) {
            return Err(Problem::bad(format!("There is no parameter {name:?} here.")));
        }
    }
    for known in operation.query {
        let Some(value) = params.value(known.name).map_err(bad)? else {
            if params.names().any(|name| name == known.name) && !matches!(known.kind, Kind::Text) {
                return Err(Problem::bad(format!("{} is empty.", known.name)));
            }
            continue;
        };
        let fits = match known.kind {
            Kind::Text | Kind::Cursor => value.chars().count() <= MAX_API_TEXT,
            Kind::Id => uuid::Uuid::try_parse(value)
                .is_ok_and(|id| id.hyphenated().to_string() == value.to_lowercase()),
            Kind::Flag => matches!(value, "true" | "false"),
            Kind::Moment => Timestamp::parse_rfc3339(value).is_some(),
            Kind::OneOf(names) => names().contains(&value),
            Kind::Seconds => value.parse::<u64>().is_ok_and(|n| n <= MAX_API_SPAN.as_secs()),
            Kind::Limit => value.parse::<i64>().is_ok_and(|n| (1..=MAX_API_PAGE).contains(&n)),
        };
        if !fits {
            return Err(Problem::bad(format!(
                "{} is not what it should be: {}",
                known.name,
                openapi::expected(known.kind)
            )));
        }
        found.push((known.name.to_owned(), value.to_owned()));
    }
    Ok(found)
}

async fn read(
    operation: &Operation,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<Vec<u8>, Problem> {
    let bytes = body::read(request, payload).await.map_err(|error| match error {
        BodyError::TooLarge => Problem::Refused {
            status: 413,
            code: "too_large",
            detail: "The body is larger than 64 KiB.".to_owned(),
        },
        BodyError::Interrupted | BodyError::Refused(_) => Problem::bad("The body broke off."),
    })?;
    if operation.body.is_none() {
        return if bytes.is_empty() { Ok(bytes) } else { Err(Problem::bad("This takes no body.")) };
    }
    let declared =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = declared.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::Refused {
            status: 415,
            code: "media_type",
            detail: "The body has to be application/json.".to_owned(),
        });
    }
    Ok(bytes)
}

/// The `Idempotency-Key` of a request that makes or does something.
fn key(operation: &Operation, request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    if !operation.does() {
        return Ok(None);
    }
    let text = value.to_str().ok().filter(|text| {
        (1..=MAX_IDEMPOTENCY_KEY).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
    });
    let text = text.ok_or_else(|| {
        Problem::bad(format!("An Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY} printable characters."))
    })?;
    Ok(Some(text.to_owned()))
}

/// A path that is there, with another method.
pub async fn wrong_method(core: web::Data<Core>, from: From, methods: String) -> HttpResponse {
    problem::wrong_method(&core, &from.0, &methods)
}

/// A path that is not there.
pub async fn not_found(core: web::Data<Core>, from: From) -> HttpResponse {
    Problem::missing().answer(&core, &from.0)
}

/// Protected-resource metadata of the API (RFC 9728 §2).
pub async fn resource_metadata(core: web::Data<Core>) -> HttpResponse {
    let issuer = &core.policy.issuer;
    let body = serde_json::json!({
        "resource": issuer.url(ADMIN_API),
        "resource_name": "Postern’s admin API",
        "authorization_servers": [issuer.as_str()],
        "scopes_supported": Permission::ALL.map(Permission::as_str),
        "bearer_methods_supported": ["header"],
        "resource_documentation": issuer.url(&format!("{ADMIN_API}/openapi.json")),
    });
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=60")).json(body)
}
