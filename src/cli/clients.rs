//! `postern client …`

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::{ClientCommand, NewClientArgs};
use super::output::{CliError, Said, moment};
use crate::flow::client_admin;
use crate::flow::core::{Caller, Core};
use crate::types::client::{AuthMethod, Client};
use crate::types::policy::MAX_FETCH;

/// Methods that RFC 8705 defines and that this version does not have.
const NOT_YET: [&str; 2] = ["tls_client_auth", "self_signed_tls_client_auth"];

pub(super) async fn run(core: &Core, command: ClientCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    match command {
        ClientCommand::Add(args) => add(core, &caller, args).await,
        ClientCommand::List => {
            let all = client_admin::list(core).await?;
            let columns = [
                "client_id",
                "client_name",
                "kind",
                "token_endpoint_auth_method",
                "created_at",
                "disabled_at",
            ];
            Ok(Said::list(all.iter().map(app).collect(), &columns))
        }
        ClientCommand::Disable { id } => {
            Ok(Said::thing(app(&client_admin::disable(core, &caller, &id).await?)))
        }
        ClientCommand::Enable { id } => {
            Ok(Said::thing(app(&client_admin::enable(core, &caller, &id).await?)))
        }
        ClientCommand::Remove { id } => {
            let removed = client_admin::remove(core, &caller, &id).await?;
            let line = format!("removed {}; every approval and token of it has ended", removed.id);
            Ok(Said::new(app(&removed), vec![line]))
        }
    }
}

async fn add(core: &Core, caller: &Caller, args: NewClientArgs) -> Result<Said, CliError> {
    if NOT_YET.contains(&args.auth.as_str()) {
        return Err(CliError::Failed(format!(
            "--auth {} is not available yet; private_key_jwt is the strongest method there is today",
            args.auth
        )));
    }
    if AuthMethod::parse(&args.auth).is_none() {
        let methods = AuthMethod::ALL.map(AuthMethod::as_str).join(", ");
        return Err(CliError::Usage(format!("--auth {}: expected one of {methods}", args.auth)));
    }
    if args.auth == AuthMethod::None.as_str() && args.grant_types.is_empty() && args.redirect_uris.is_empty()
    {
        return Err(CliError::Usage(
            "--auth none: a public client has no tokens of its own (RFC 6749 section 4.4); it needs a --redirect-uri, \
             where people's approval leads"
                .to_owned(),
        ));
    }
    let grant_types = match (args.grant_types.is_empty(), args.redirect_uris.is_empty()) {
        (false, _) => args.grant_types,
        (true, false) => vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
        (true, true) => vec!["client_credentials".to_owned()],
    };
    let mut metadata = Map::new();
    let mut put = |name: &str, value: Value| metadata.insert(name.to_owned(), value);
    put("client_name", args.name.into());
    put("grant_types", grant_types.into());
    put("token_endpoint_auth_method", args.auth.into());
    if !args.redirect_uris.is_empty() {
        put("redirect_uris", args.redirect_uris.into());
    }
    if let Some(path) = &args.jwks {
        put("jwks", read_key_set(path)?);
    }
    if let Some(uri) = args.jwks_uri {
        put("jwks_uri", uri.into());
    }
    if !args.scopes.is_empty() {
        put("scope", args.scopes.join(" ").into());
    }
    let registration = client_admin::add(core, caller, &metadata, args.resources).await?;
    let has_secret = registration.get("client_secret").is_some();
    let mut said = Said::thing(registration);
    if has_secret {
        said.lines.push("The secret is not shown again.".to_owned());
    }
    Ok(said)
}

fn read_key_set(path: &Path) -> Result<Value, CliError> {
    let wrong = |why: String| CliError::Usage(format!("--jwks {}: {why}", path.display()));
    let size = fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > u64::try_from(MAX_FETCH).unwrap_or(u64::MAX) {
        return Err(wrong(format!("expected at most {MAX_FETCH} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|_| wrong("expected a JWK set in JSON (RFC 7517 §5)".to_owned()))
}

fn app(client: &Client) -> Value {
    let metadata = &client.metadata;
    json!({
        "client_id": client.id.as_str(),
        "client_name": metadata.client_name,
        "kind": client.kind.as_str(),
        "domain": client.domain(),
        "token_endpoint_auth_method": client.auth_method().as_str(),
        "grant_types": metadata.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "redirect_uris": metadata.redirect_uris,
        "resources": client.resources,
        "created_at": moment(Some(client.created_at)),
        "first_granted_at": moment(client.first_granted_at),
        "disabled_at": moment(client.disabled_at),
    })
}
