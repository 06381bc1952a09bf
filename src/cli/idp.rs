//! `postern idp …`

use serde_json::{Value, json};

use super::args::{IdpCommand, NewIdpArgs};
use super::output::{CliError, Said, moment};
use super::people::read_line;
use crate::flow::core::{Caller, Core};
use crate::flow::people;
use crate::flow::providers::{self, NewProvider};
use crate::types::identity::{Provider, Rules};

/// Rows of a list of people.
const MOST: i64 = 10_000;

pub(super) async fn run(core: &Core, command: IdpCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    let provider = match command {
        IdpCommand::Add(args) => {
            let provider = add(core, *args).await?;
            let mut said = Said::thing(shown(core, &provider));
            said.lines.push(format!(
                "Register this redirect URI there, then run `postern idp test {}`: {}",
                provider.id,
                providers::redirect_uri(core, &provider.id)
            ));
            return Ok(said);
        }
        IdpCommand::List => {
            let all = providers::list(core).await?;
            let columns = ["id", "name", "issuer", "link", "create", "last_sign_in_at", "disabled_at"];
            return Ok(Said::list(all.iter().map(|provider| shown(core, provider)).collect(), &columns));
        }
        IdpCommand::Test { id } => {
            let tested = providers::test(core, &id).await?;
            let found: serde_json::Map<String, Value> =
                tested.found.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            let mut lines: Vec<String> =
                tested.found.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            lines.extend(tested.warnings.iter().map(|warning| format!("warning: {warning}")));
            return Ok(Said::new(json!({ "found": found, "warnings": tested.warnings }), lines));
        }
        IdpCommand::People { id } => {
            let provider = providers::find(core, &id).await?;
            let (linked, _) = providers::linked(core, &provider.id, MOST).await?;
            let rows = linked.iter().map(|(identity, email)| {
                json!({
                    "email": email, "sub": identity.sub, "email_there": identity.email,
                    "last_sign_in_at": moment(identity.last_sign_in_at),
                    "checked_at": moment(identity.checked_at), "checked_at_refresh": identity.upstream.is_some(),
                })
            });
            let columns = ["email", "sub", "email_there", "last_sign_in_at", "checked_at_refresh"];
            return Ok(Said::list(rows.collect(), &columns));
        }
        IdpCommand::Link { id, email, sub } => {
            let linked = providers::link(core, &caller, &id, &email, &sub).await?;
            let user = people::find(core, &email).await?;
            return Ok(Said::thing(
                json!({ "provider": linked.provider_id, "email": user.email, "sub": linked.sub }),
            ));
        }
        IdpCommand::Unlink { id, email } => {
            let gone = providers::unlink(core, &caller, &id, &email).await?;
            return Ok(Said::thing(json!({ "provider": gone.provider_id, "email": email, "sub": gone.sub })));
        }
        IdpCommand::Disable { id } => providers::set_enabled(core, &caller, &id, false).await?,
        IdpCommand::Enable { id } => providers::set_enabled(core, &caller, &id, true).await?,
        IdpCommand::Remove { id } => providers::remove(core, &caller, &id).await?,
    };
    Ok(Said::thing(shown(core, &provider)))
}

async fn add(core: &Core, args: NewIdpArgs) -> Result<Provider, CliError> {
    let secret = read_line("the client secret", 1_024)?;
    let usual = Rules::default();
    let rules = Rules {
        group_claim: args.group_claim,
        groups: args.groups,
        roles: args.roles,
        linking: args.link,
        creates_people: args.create,
        allowed_domains: args.allowed_domains,
        second_factor: args.trust_second_factor,
        second_factor_acr: args.second_factor_acr,
        scopes: if args.scopes.is_empty() { usual.scopes } else { args.scopes },
        private_network: args.private_network,
    };
    let new = NewProvider {
        id: args.id,
        name: args.name,
        issuer: args.issuer,
        client_id: args.client_id,
        secret,
        rules,
    };
    Ok(providers::add(core, &Caller::command_line(), new).await?)
}

fn shown(core: &Core, provider: &Provider) -> Value {
    json!({
        "id": provider.id,
        "name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "redirect_uri": providers::redirect_uri(core, &provider.id),
        "link": provider.rules.linking.as_str(),
        "create": if provider.rules.creates_people { "people" } else { "never" },
        "rules": provider.rules,
        "created_at": moment(Some(provider.created_at)),
        "disabled_at": moment(provider.disabled_at),
        "last_sign_in_at": moment(provider.last_sign_in_at),
    })
}
