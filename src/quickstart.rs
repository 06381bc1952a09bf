//! `postern quickstart`: the issuer, a small MCP server that it protects, and a person to sign in as.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::config::Config;
use crate::demo::quickstart::Quickstart;
use crate::demo::{self, Caller, DemoSettings, Refused, TokenVerifier};
use crate::flow::core::{self, Core};
use crate::flow::people::{NewUser, OrderError};
use crate::flow::reseal::DEMO;
use crate::flow::resources::NewResource;
use crate::flow::verify::{Unverified, verify};
use crate::flow::{people, resources};
use crate::run::{RunError, Running, start};
use crate::storage::settings;
use crate::types::issuer::Issuer;
use crate::types::key::SigningAlg;
use crate::types::random::{Rng, SystemRng};
use crate::types::resource::{ClientRule, ResourceScope, Risk};
use crate::types::resource_uri::ResourceUri;
use crate::types::secret::Secret;
use crate::types::time::SystemClock;
use crate::types::user::Role;

/// Who signs in.
const EMAIL: &str = DEMO.1;
/// Where the demo password is kept, sealed: it is needed again at the next start.
const PASSWORD: &str = DEMO.0;

/// Why the quickstart does not run.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// As with `serve`.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The demo person or server could not be made.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Starts everything. `demo_listen` is where the MCP server listens; one port above the issuer when absent. An issuer
/// that nobody has set follows the port that is listened on.
///
/// # Errors
/// See [`QuickstartError`].
pub async fn quickstart(
    mut config: Config,
    demo_listen: Option<SocketAddr>,
    program: String,
) -> Result<(Running, Quickstart), QuickstartError> {
    if !config.is_set("issuer")
        && let Ok(issuer) = Issuer::parse(&format!("http://localhost:{}", config.listen.port()))
    {
        config.policy.issuer = issuer;
    }
    let running = start(&config, Arc::new(SystemClock), Arc::new(SystemRng)).await?;
    let core = Arc::clone(&running.core);
    let address = demo_listen.unwrap_or_else(|| {
        SocketAddr::new(running.address.ip(), running.address.port().checked_add(1).unwrap_or(8_081))
    });
    let listener = TcpListener::bind(address).map_err(|error| RunError::Listen {
        what: "the demo server cannot listen on",
        address,
        error,
    })?;
    let port = listener.local_addr().map_err(RunError::Io)?.port();
    let uri = format!("http://localhost:{port}{}", demo::PATH);
    ensure_resource(&core, &uri).await?;
    let password = ensure_person(&core).await?;
    let resource = ResourceUri::parse(&uri).map_err(OrderError::Bad)?;
    let demo_settings = DemoSettings {
        issuer: core.policy.issuer.clone(),
        resource: resource.clone(),
        notes_file: config.data_dir.join("demo-notes.jsonl"),
        clock: Arc::clone(&core.clock),
    };
    serve_demo(listener, demo_settings, Arc::new(Verifier { core: Arc::clone(&core), resource }))?;
    let about = Quickstart {
        program,
        issuer: core.policy.issuer.as_str().to_owned(),
        mcp_url: uri,
        email: EMAIL.to_owned(),
        password,
        data_dir: config.data_dir.clone(),
    };
    Ok((running, about))
}

/// The demo server runs on a thread of its own; it ends with the process.
fn serve_demo(
    listener: TcpListener,
    demo_settings: DemoSettings,
    verifier: Arc<dyn TokenVerifier>,
) -> Result<(), RunError> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("postern-demo".to_owned()).spawn(move || {
        let outcome =
            runtime.block_on(demo::serve(listener, demo_settings, verifier, std::future::pending::<()>()));
        if let Err(error) = outcome {
            tracing::error!(%error, "the demo server has stopped");
        }
    })?;
    Ok(())
}

async fn ensure_resource(core: &Core, uri: &str) -> Result<(), OrderError> {
    let new = NewResource {
        uri: uri.to_owned(),
        name: demo::NAME.to_owned(),
        scopes: demo::SCOPES
            .iter()
            .map(|(name, description)| ResourceScope {
                name: (*name).to_owned(),
                description: (*description).to_owned(),
                risk: Risk::guess(name),
                default: *name == demo::READ,
            })
            .collect(),
        access_token_ttl: None,
        signing_alg: SigningAlg::ES256,
        is_default: true,
        client_rule: ClientRule::Anyone,
        second_factor_required: false,
        slug: None,
        upstream: None,
    };
    match resources::add(core, &core::Caller::command_line(), new).await {
        Ok(_) | Err(OrderError::Exists(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the demo person, or finds the password that an earlier start gave them. `None` when someone has set another.
async fn ensure_person(core: &Core) -> Result<Option<String>, OrderError> {
    let sealed = core.store.read(|tx| settings::find(tx, PASSWORD)).await?;
    let known = sealed.and_then(|sealed| core.master.open(PASSWORD, EMAIL, &sealed));
    let known = known.and_then(|bytes| String::from_utf8(bytes.expose().clone()).ok());
    match people::find(core, EMAIL).await {
        Ok(user) => {
            let Some(password) = known else { return Ok(None) };
            let fits = core.hasher.verify(user.password_hash, Secret::new(password.clone())).await;
            Ok(fits.unwrap_or(false).then_some(password))
        }
        Err(OrderError::NotFound(_)) => {
            let password = fresh_password(core.rng.as_ref());
            let sealed = core.master.seal(PASSWORD, EMAIL, password.as_bytes(), core.rng.as_ref());
            core.store.write(move |tx| settings::put(tx, PASSWORD, &sealed)).await?;
            let new = NewUser {
                email: EMAIL.to_owned(),
                name: Some("Demo".to_owned()),
                role: Role::Member,
                groups: Vec::new(),
                password: Secret::new(password.clone()),
            };
            people::add(core, &core::Caller::command_line(), new).await?;
            Ok(Some(password))
        }
        Err(error) => Err(error),
    }
}

/// Sixteen letters and digits that are not mistaken for one another: about 80 bits.
fn fresh_password(rng: &dyn Rng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0u8; 16];
    rng.fill(&mut bytes);
    let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 31)));
    let letters: Vec<char> = letters.map(|letter| char::from(*letter)).collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

/// Verifies for the demo server as any server of one's own would, but in memory.
struct Verifier {
    core: Arc<Core>,
    resource: ResourceUri,
}

impl TokenVerifier for Verifier {
    fn verify(&self, token: &str) -> Result<Caller, Refused> {
        match verify(&self.core, token, &self.resource) {
            Ok(claims) => Ok(Caller {
                sub: claims.sub.clone(),
                client_id: claims.client_id.as_str().to_owned(),
                scopes: claims.scope.clone(),
                grant_id: Some(claims.grant_id.to_string()),
            }),
            Err(Unverified::Invalid) => Err(Refused::Invalid),
            Err(Unverified::Fault(_)) => Err(Refused::Unavailable),
        }
    }
}
