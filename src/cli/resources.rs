//! `postern resource …`

use serde_json::{Value, json};

use super::args::{Limit, NewResourceArgs, ResourceChangeArgs, ResourceCommand};
use super::gateway::pem;
use super::output::{CliError, Said, moment, warn};
use crate::flow::client_certificate;
use crate::flow::core::{Caller, Core};
use crate::flow::resources::{self, GatewayChange, NewResource, ResourceChange};
use crate::outbound::resource_metadata::{Look, look};
use crate::types::duration;
use crate::types::resource::{ClientRule, Resource, ResourceScope, Risk};
use crate::types::resource_uri::ResourceUri;

pub(super) async fn run(core: &Core, command: ResourceCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        ResourceCommand::Add(args) => add(core, &caller, args).await,
        ResourceCommand::List => {
            let all = resources::list(core).await?;
            let columns = ["uri", "name", "scopes", "default", "signing_alg", "client_id"];
            let things: Vec<Value> = all.iter().map(server).collect();
            let mut said = Said::list(things.iter().map(brief).collect(), &columns);
            said.json = Value::Array(things);
            Ok(said)
        }
        ResourceCommand::Set(args) => set(core, &caller, args).await,
        ResourceCommand::Remove { uri } => {
            let removed = resources::remove(core, &caller, &uri).await?;
            let line = format!("removed {}; every approval and token for it has ended", removed.uri);
            Ok(Said::new(server(&removed), vec![line]))
        }
    }
}

async fn add(core: &Core, caller: &Caller, args: NewResourceArgs) -> Result<Said, CliError> {
    let uri = ResourceUri::parse(&args.uri).map_err(CliError::Usage)?;
    // What stands behind the gateway is asked by the gateway, with what the vault shows.
    let gated = args.slug.is_some();
    let mut seen =
        if args.no_look || gated { Look::default() } else { look(&uri, &core.policy.issuer).await };
    if let Some(slug) = &args.slug {
        let here = core.policy.issuer.url(&format!("/mcp/{slug}"));
        if here != args.uri {
            seen.warnings.push(format!(
                "clients reach this server at {here}; the URI that tokens are for should be the same, or strict clients refuse it"
            ));
        }
    }
    let metadata = seen.metadata.unwrap_or_default();
    let name = args.name.or(metadata.resource_name).ok_or_else(|| {
        CliError::Usage("the server does not say what it is called: give it a name with --name".to_owned())
    })?;
    let mut scopes: Vec<ResourceScope> = if args.scopes.is_empty() {
        metadata.scopes_supported.iter().map(|scope| described(scope)).collect()
    } else {
        args.scopes.iter().map(|scope| described(scope)).collect()
    };
    if gated && scopes.is_empty() {
        scopes = resources::gated_scopes();
        if !args.default_scopes.is_empty() {
            for scope in &mut scopes {
                scope.default = false;
            }
        }
    }
    for name in &args.default_scopes {
        let found = scopes.iter_mut().find(|scope| scope.name == *name);
        let missing = || CliError::Usage(format!("--default-scope {name} is not among the scopes"));
        found.ok_or_else(missing)?.default = true;
    }
    let client_rule = if args.allow_clients.is_empty() && args.allow_domains.is_empty() {
        ClientRule::Anyone
    } else {
        ClientRule::Only { clients: args.allow_clients, domains: args.allow_domains }
    };
    let new = NewResource {
        uri: args.uri,
        name,
        scopes,
        access_token_ttl: args.access_token_ttl,
        signing_alg: args.signing_alg,
        is_default: args.default,
        client_rule,
        second_factor_required: args.require_second_factor,
        slug: args.slug,
        upstream: args.upstream,
    };
    let (added, secret) = resources::add(core, caller, new).await?;
    seen.warnings.iter().for_each(|warning| warn(warning));
    let mut json = server(&added);
    if let Some(members) = json.as_object_mut() {
        members.insert("client_secret".to_owned(), Value::from(secret.expose()));
        members.insert("warnings".to_owned(), Value::from(seen.warnings));
    }
    let mut said = Said::thing(json!({
        "uri": added.uri.as_str(),
        "name": added.name,
        "scopes": brief(&json).get("scopes"),
        "client_id": added.client_id,
        "client_secret": secret.expose(),
    }));
    said.lines.push(
        "With these credentials the server may call /introspect. The secret is not shown again.".to_owned(),
    );
    Ok(Said::new(json, said.lines))
}

async fn set(core: &Core, caller: &Caller, args: ResourceChangeArgs) -> Result<Said, CliError> {
    let listed = !args.allow_clients.is_empty() || !args.allow_domains.is_empty();
    let client_rule = if args.allow_any_client {
        Some(ClientRule::Anyone)
    } else if args.only_added_clients {
        Some(ClientRule::PreRegistered)
    } else {
        listed.then_some(ClientRule::Only { clients: args.allow_clients, domains: args.allow_domains })
    };
    let ca = args.client_cert_ca.as_deref().map(pem).transpose()?;
    let client_certificate = if args.no_client_cert || ca.is_some() || !args.client_cert_sha256.is_empty() {
        Some(client_certificate::rule(&args.client_cert_sha256, ca.as_deref(), core.now())?)
    } else {
        None
    };
    let gateway = GatewayChange {
        client_certificate,
        record_first: args.record_first,
        accepts: if args.accept_any {
            Some(Vec::new())
        } else {
            Some(args.accept).filter(|kinds| !kinds.is_empty())
        },
        calls_a_minute: args.calls_per_minute.map(|Limit(limit)| limit),
        bytes_an_hour: args.bytes_per_hour.map(|Limit(limit)| limit),
        kept_arguments: Some(args.keep_argument).filter(|kept| args.no_kept_arguments || !kept.is_empty()),
        limits: Some(args.limit).filter(|limits| args.no_limits || !limits.is_empty()),
        origins: Some(args.allow_origin).filter(|origins| args.no_origins || !origins.is_empty()),
    };
    let change =
        ResourceChange { name: args.name, second_factor_required: args.second_factor, client_rule, gateway };
    let done = resources::set(core, caller, &args.uri, change).await?;
    let mut said = Said::thing(brief(&server(&done.resource)));
    said.json = server(&done.resource);
    if done.ended > 0 {
        said.lines.push(format!("{} approvals have ended: their clients may not ask any more.", done.ended));
    }
    Ok(said)
}

/// `NAME=what it allows`; a scope without words describes itself.
fn described(text: &str) -> ResourceScope {
    let (name, description) = text.split_once('=').unwrap_or((text, text));
    ResourceScope {
        name: name.trim().to_owned(),
        description: description.trim().to_owned(),
        risk: Risk::guess(name),
        default: false,
    }
}

fn server(resource: &Resource) -> Value {
    let ttl = resource.access_token_ttl.and_then(|seconds| u64::try_from(seconds).ok());
    json!({
        "id": resource.id.to_string(),
        "uri": resource.uri.as_str(),
        "name": resource.name,
        "scopes": resource.scopes,
        "access_token_ttl": ttl.map(|seconds| duration::format(std::time::Duration::from_secs(seconds))),
        "signing_alg": resource.signing_alg.as_str(),
        "default": resource.is_default,
        "client_rule": resource.client_rule,
        "second_factor_required": resource.second_factor_required,
        "client_id": resource.client_id,
        "slug": resource.slug,
        "upstream": resource.upstream,
        "gateway": client_certificate::told(&resource.gateway),
        "created_at": moment(Some(resource.created_at)),
    })
}

/// With the scopes' names only, for a line.
fn brief(server: &Value) -> Value {
    let mut brief = server.clone();
    if let Some(scopes) = brief.get_mut("scopes") {
        let names = scopes.as_array().into_iter().flatten().filter_map(|scope| scope.get("name").cloned());
        *scopes = Value::Array(names.collect());
    }
    brief
}
