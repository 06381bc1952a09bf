//! `postern upstream …` and `postern tool …`

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use serde_json::{Value, json};

use super::args::{PerPersonArgs, TlsArgs, ToolCommand, UpstreamCommand};
use super::output::{CliError, Said, moment, warn};
use super::people::{read_line, read_text};
use crate::flow::connections;
use crate::flow::core::{Caller, Core};
use crate::flow::tools::{self, Decision};
use crate::flow::upstream_auth::{self, NewAuth};
use crate::flow::upstream_tls::{self, NewTls};
use crate::flow::vault::{self, NewCredential};
use crate::types::certificate::CertificateFacts;
use crate::types::policy::{MAX_PARAMETER, MAX_PEM};
use crate::types::secret::Secret;
use crate::types::tool::Tool;
use crate::types::upstream_auth::AuthKind;

pub(super) async fn upstream(core: &Core, command: UpstreamCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        UpstreamCommand::Set(args) => {
            let secret = if args.env.is_empty() {
                read_line("the credential", MAX_PARAMETER)?
            } else {
                read_text("the values", MAX_PARAMETER)?
            };
            let new = match (args.basic, args.header) {
                _ if !args.env.is_empty() => NewCredential::Environment(variables(args.env, &secret)?),
                (Some(name), _) => NewCredential::Basic(name, secret),
                (_, Some(name)) => NewCredential::Header(name, secret),
                _ => NewCredential::Bearer(secret),
            };
            let resource = vault::set(core, &caller, &args.uri, new).await?;
            let line =
                format!("The gateway shows this to {} from now on; it is kept encrypted.", resource.name);
            Ok(Said::new(json!({ "uri": resource.uri.as_str(), "set": true }), vec![line]))
        }
        UpstreamCommand::Tls(args) => tls(core, &caller, args).await,
        UpstreamCommand::PerPerson(args) => per_person(core, &caller, args).await,
        UpstreamCommand::Connections { uri } => {
            let list = connections::of(core, &uri).await?;
            let rows = list.iter().map(|(email, connection)| {
                json!({
                    "user": email,
                    "scope": connection.scope,
                    "connected_at": moment(Some(connection.connected_at)),
                    "refreshed_at": moment(Some(connection.refreshed_at)),
                    "expires_at": moment(connection.expires_at),
                    "ended_at": moment(connection.ended_at),
                })
            });
            let columns = ["user", "scope", "connected_at", "refreshed_at", "ended_at"];
            Ok(Said::list(rows.collect(), &columns))
        }
        UpstreamCommand::Disconnect { uri, user } => {
            let was = connections::disconnect(core, &caller, &uri, &user).await?;
            let line =
                if was { "forgotten here; it is being revoked there" } else { "there was nothing to forget" };
            Ok(Said::new(json!({ "uri": uri, "user": user, "disconnected": was }), vec![line.to_owned()]))
        }
        UpstreamCommand::Clear { uri } => {
            let was = vault::clear(core, &caller, &uri).await?;
            let line =
                if was { "forgotten; the gateway shows nothing now" } else { "there was nothing to forget" };
            Ok(Said::new(json!({ "uri": uri, "cleared": was }), vec![line.to_owned()]))
        }
    }
}

fn variables(
    names: Vec<String>,
    text: &Secret<String>,
) -> Result<BTreeMap<String, Secret<String>>, CliError> {
    let values: Vec<&str> = text.expose().lines().collect();
    let count = names.len();
    if values.len() != count {
        let found = values.len();
        return Err(CliError::Usage(format!(
            "expected a line on stdin for each --env, in their order: {count}, found {found}"
        )));
    }
    let pairs = names.into_iter().zip(values.into_iter().map(|value| Secret::new(value.to_owned())));
    let out: BTreeMap<_, _> = pairs.collect();
    if out.len() == count { Ok(out) } else { Err(CliError::Usage("a variable is named twice".to_owned())) }
}

/// A PEM file, if it is not far too long.
pub(super) fn pem(path: &Path) -> Result<String, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let most = u64::try_from(MAX_PEM).unwrap_or(u64::MAX) + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() > MAX_PEM => Err(wrong("it is too long")),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(wrong("it is no PEM")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

async fn tls(core: &Core, caller: &Caller, args: TlsArgs) -> Result<Said, CliError> {
    if args.clear {
        let was = upstream_tls::clear(core, caller, &args.uri).await?;
        let line =
            if was { "forgotten; TLS there is what it is everywhere" } else { "there was nothing to forget" };
        return Ok(Said::new(json!({ "uri": args.uri, "cleared": was }), vec![line.to_owned()]));
    }
    let ca = args.ca.as_deref().map(pem).transpose()?;
    let identity = match (&args.client_cert, &args.client_key) {
        (Some(cert), Some(key)) => Some((pem(cert)?, Secret::new(pem(key)?))),
        _ => None,
    };
    let (resource, facts) = if identity.is_none() && ca.is_none() {
        upstream_tls::find(core, &args.uri).await?
    } else {
        let (resource, facts) = upstream_tls::set(core, caller, &args.uri, NewTls { identity, ca }).await?;
        (resource, Some(facts))
    };
    let Some(facts) = facts else {
        let line = format!("TLS to {} is what it is everywhere.", resource.name);
        return Ok(Said::new(json!({ "uri": resource.uri.as_str(), "client": null, "cas": [] }), vec![line]));
    };
    let now = core.now();
    let all = facts.client.iter().chain(&facts.cas);
    all.filter(|one| upstream_tls::ends_soon(one, now)).for_each(|one| {
        warn(&format!("the certificate of {} ends at {}", one.subject, one.ends_at()));
    });
    let line = |what: &str, one: &CertificateFacts| {
        format!("{what}: {}, by {}, until {}, SHA-256 {}", one.subject, one.issuer, one.ends_at(), one.sha256)
    };
    let mut lines: Vec<String> =
        facts.client.iter().map(|one| line("The gateway shows itself as", one)).collect();
    lines.extend(facts.cas.iter().map(|one| line("Only this authority is trusted there", one)));
    let shown = |one: &CertificateFacts| {
        json!({
            "subject": one.subject,
            "issuer": one.issuer,
            "sha256": one.sha256,
            "expires_at": moment(Some(one.ends_at())),
        })
    };
    let value = json!({
        "uri": resource.uri.as_str(),
        "client": facts.client.as_ref().map(shown),
        "cas": facts.cas.iter().map(shown).collect::<Vec<_>>(),
    });
    Ok(Said::new(value, lines))
}

async fn per_person(core: &Core, caller: &Caller, args: PerPersonArgs) -> Result<Said, CliError> {
    let secret =
        if args.client_secret_stdin { Some(read_line("the client secret", MAX_PARAMETER)?) } else { None };
    let new = NewAuth {
        kind: args.by,
        issuer: args.issuer,
        client_id: args.client_id,
        secret,
        scopes: args.scopes,
    };
    let (resource, auth) = upstream_auth::set(core, caller, &args.uri, new).await?;
    let settings = &auth.settings;
    let mut lines = vec![
        format!("{} is used in each person's own name from now on, by {}.", resource.name, settings.issuer),
        format!("There the gateway is the client {}.", settings.client_id),
    ];
    if auth.kind == AuthKind::OAuth {
        let page = core.policy.issuer.url("/account/connections");
        lines.push(format!("People allow it when they first sign in for it, or at {page}."));
    }
    if settings.revocation_endpoint.is_none() {
        lines.push(
            "That issuer revokes nothing (RFC 7009): what is taken back here lives on there until it ends."
                .to_owned(),
        );
    }
    let value = json!({
        "uri": resource.uri.as_str(),
        "by": auth.kind.as_str(),
        "issuer": settings.issuer,
        "client_id": settings.client_id,
        "registration": settings.registration,
        "redirect_uri": upstream_auth::redirect_uri(core),
        "resource": settings.resource,
        "scopes": settings.scopes,
        "revokes": settings.revocation_endpoint.is_some(),
    });
    Ok(Said::new(value, lines))
}

pub(super) async fn tool(core: &Core, command: ToolCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    let found = match command {
        ToolCommand::List { uri } => tools::list(core, &uri).await?,
        ToolCommand::Approve { uri, names, class } => {
            tools::decide(core, &caller, &uri, names, Decision::Approve(class)).await?
        }
        ToolCommand::Block { uri, names } => {
            tools::decide(core, &caller, &uri, names, Decision::Block).await?
        }
    };
    Ok(Said::list(
        found.iter().map(shown).collect(),
        &["name", "state", "class", "changed_at", "approved_by"],
    ))
}

fn shown(tool: &Tool) -> Value {
    json!({
        "name": tool.name,
        "state": tool.state.as_str(),
        "class": tool.class.map(crate::types::tool::ToolClass::as_str),
        "class_set": tool.class_set,
        "changed_at": moment(Some(tool.changed_at)),
        "approved_by": tool.approved_by,
        "definition": serde_json::from_str::<Value>(&tool.seen).unwrap_or_default(),
    })
}
