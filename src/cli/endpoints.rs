//! `postern webhook …`, `postern receiver …`, `postern audit stream …`

use serde_json::{Value, json};

use super::args::{EndpointCommand, ReceiverCommand, StreamCommand, WebhookCommand};
use super::output::{CliError, Said, moment};
use super::people::read_line;
use crate::flow::core::{Caller, Core};
use crate::flow::endpoints::{self, NewEndpoint};
use crate::flow::stream::behind;
use crate::types::policy::MAX_ENDPOINT_TEXT;
use crate::types::secret::Secret;
use crate::types::signal::{Delivery, Endpoint, EndpointKind};

pub(super) async fn webhook(core: &Core, command: WebhookCommand) -> Result<Said, CliError> {
    let kind = EndpointKind::Webhook;
    match command {
        WebhookCommand::Add { url, events } => add(core, NewEndpoint::Webhook { url, events }).await,
        WebhookCommand::RotateSecret { id } => rotate(core, kind, &id).await,
        WebhookCommand::Any(command) => any(core, kind, command).await,
    }
}

pub(super) async fn receiver(core: &Core, command: ReceiverCommand) -> Result<Said, CliError> {
    match command {
        ReceiverCommand::Add(args) => {
            let new = NewEndpoint::Receiver {
                url: args.url,
                audience: args.audience,
                subject: args.subject,
                alg: args.signing_alg,
                authorization: authorization(args.authorization_stdin)?,
            };
            add(core, new).await
        }
        ReceiverCommand::Any(command) => any(core, EndpointKind::Receiver, command).await,
    }
}

pub(super) async fn stream(core: &Core, command: StreamCommand) -> Result<Said, CliError> {
    let kind = EndpointKind::Stream;
    match command {
        StreamCommand::Add(args) => {
            let ca = match &args.ca {
                None => None,
                Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                    CliError::Usage(format!(
                        "--ca {}: expected a file of certificates: {error}",
                        path.display()
                    ))
                })?),
            };
            let new = NewEndpoint::Stream {
                url: args.url,
                from_beginning: args.from_beginning,
                authorization: authorization(args.authorization_stdin)?,
                ca,
            };
            add(core, new).await
        }
        StreamCommand::RotateSecret { id } => rotate(core, kind, &id).await,
        StreamCommand::Any(EndpointCommand::List) => {
            let all = endpoints::streams(core).await?;
            let rows = all.iter().map(|(one, places)| {
                let mut row = shown(one);
                if let Some(members) = row.as_object_mut() {
                    members.insert("behind".to_owned(), behind(places).into());
                }
                row
            });
            Ok(Said::list(rows.collect(), &["id", "url", "state", "behind", "last_success_at", "last_error"]))
        }
        StreamCommand::Any(command) => any(core, kind, command).await,
    }
}

fn authorization(from_stdin: bool) -> Result<Option<Secret<String>>, CliError> {
    from_stdin.then(|| read_line("what goes into Authorization", MAX_ENDPOINT_TEXT)).transpose()
}

async fn add(core: &Core, new: NewEndpoint) -> Result<Said, CliError> {
    let (made, secret) = endpoints::add(core, &Caller::command_line(), new).await?;
    Ok(with_secret(&made, secret.as_ref()))
}

async fn rotate(core: &Core, kind: EndpointKind, id: &str) -> Result<Said, CliError> {
    let (one, secret) = endpoints::rotate_secret(core, &Caller::command_line(), kind, id).await?;
    Ok(with_secret(&one, Some(&secret)))
}

fn with_secret(one: &Endpoint, secret: Option<&Secret<String>>) -> Said {
    let mut row = shown(one);
    if let (Some(members), Some(secret)) = (row.as_object_mut(), secret) {
        members.insert("secret".to_owned(), secret.expose().as_str().into());
    }
    let mut said = Said::thing(row);
    if secret.is_some() {
        said.lines.push("The secret is not shown again.".to_owned());
    }
    said
}

async fn any(core: &Core, kind: EndpointKind, command: EndpointCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        EndpointCommand::List => {
            let all = endpoints::list(core, kind).await?;
            let columns = ["id", "url", "state", "last_success_at", "last_error"];
            Ok(Said::list(all.iter().map(shown).collect(), &columns))
        }
        EndpointCommand::Test { id } => match endpoints::test(core, kind, &id).await? {
            Ok(status) => {
                Ok(Said::new(json!({ "id": id, "status": status }), vec!["It took the message.".to_owned()]))
            }
            Err(why) => Err(CliError::Failed(format!("it did not take the message: {why}"))),
        },
        EndpointCommand::Deliveries { id } => {
            let all = endpoints::deliveries(core, kind, &id).await?;
            let columns = ["id", "event", "state", "tries", "created_at", "next_try_at", "last_error"];
            Ok(Said::list(all.iter().map(sent).collect(), &columns))
        }
        EndpointCommand::Enable { id } => {
            Ok(Said::thing(shown(&endpoints::enable(core, &caller, kind, &id).await?)))
        }
        EndpointCommand::Remove { id } => {
            endpoints::remove(core, &caller, kind, &id).await?;
            Ok(Said::new(json!({ "id": id, "removed": true }), vec![format!("removed {id}")]))
        }
    }
}

fn shown(one: &Endpoint) -> Value {
    json!({
        "id": one.id.to_string(),
        "kind": one.kind.as_str(),
        "url": one.url,
        "events": one.events,
        "audience": one.audience,
        "state": one.state(),
        "disabled_reason": one.disabled_reason,
        "created_at": moment(Some(one.created_at)),
        "last_success_at": moment(one.last_success_at),
        "last_failure_at": moment(one.last_failure_at),
        "last_error": one.last_error,
    })
}

fn sent(one: &Delivery) -> Value {
    json!({
        "id": one.id.to_string(),
        "event": one.event_type,
        "state": one.state(),
        "tries": one.tries,
        "created_at": moment(Some(one.created_at)),
        "next_try_at": moment(one.next_try_at),
        "delivered_at": moment(one.delivered_at),
        "last_error": one.last_error,
    })
}
