//! What an administrator prepares before anyone calls: a person, an MCP server, a client that can keep a secret.

use std::sync::Arc;

use postern::config::Config;
use postern::flow::core::Caller;
use postern::flow::people::NewUser;
use postern::flow::resources::NewResource;
use postern::flow::{client_admin, people, resources};
use postern::types::key::SigningAlg;
use postern::types::random::SystemRng;
use postern::types::resource::{ClientRule, ResourceScope, Risk};
use postern::types::secret::Secret;
use postern::types::time::SystemClock;
use postern::types::user::Role;
use serde_json::json;

use super::server::Installation;

pub const EMAIL: &str = "ada@example.com";
pub const PASSWORD: &str = "correct horse battery staple";
pub const RESOURCE: &str = "https://notes.example/mcp";
/// Where the browser is sent back to.
pub const CALLBACK: &str = "https://client.example/callback";

/// Credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub id: String,
    pub secret: String,
}

/// Who was prepared.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// The MCP server, which may introspect.
    pub resource: Credentials,
    /// A client of an administrator's, for every grant type.
    pub client: Credentials,
}

/// Prepares a fresh installation, in its database and before it runs.
pub fn seed(installation: &Installation) -> Seeded {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let config =
            Config::load(None, installation.settings.clone(), &installation.folder).expect("a configuration");
        let core = postern::run::open(&config, Arc::new(SystemClock), Arc::new(SystemRng))
            .await
            .expect("a database");
        let me = Caller::command_line();
        let person = NewUser {
            email: EMAIL.to_owned(),
            name: Some("Ada".to_owned()),
            role: Role::Member,
            groups: Vec::new(),
            password: Secret::new(PASSWORD.to_owned()),
        };
        people::add(&core, &me, person).await.expect("a person");
        let scope = |name: &str, default| ResourceScope {
            name: name.to_owned(),
            description: format!("Use {name}"),
            risk: Risk::guess(name),
            default,
        };
        let server = NewResource {
            uri: RESOURCE.to_owned(),
            name: "Notes".to_owned(),
            scopes: vec![scope("notes:read", true), scope("notes:write", false)],
            access_token_ttl: None,
            signing_alg: SigningAlg::ES256,
            is_default: true,
            client_rule: ClientRule::Anyone,
            second_factor_required: false,
            slug: None,
            upstream: None,
        };
        let (resource, secret) = resources::add(&core, &me, server).await.expect("an MCP server");
        let metadata = json!({
            "client_name": "Driver",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_method": "client_secret_basic",
        });
        let metadata = metadata.as_object().expect("an object");
        let client = client_admin::add(&core, &me, metadata, Vec::new()).await.expect("a client");
        let member = |name: &str| client[name].as_str().expect("a text").to_owned();
        Seeded {
            resource: Credentials { id: resource.client_id.clone(), secret: secret.expose().to_owned() },
            client: Credentials { id: member("client_id"), secret: member("client_secret") },
        }
    })
}
