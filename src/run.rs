//! Running: compose, listen, work, and stop when told to.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{Parts, compose};
use crate::config::{Config, ConfigError};
use crate::flow::admin_api;
use crate::flow::core::Core;
use crate::flow::ended;
use crate::flow::failure::Fault;
use crate::flow::stdio::Place;
use crate::flow::usage;
use crate::jobs::{self, Jobs};
use crate::server::{Serving, serve};
use crate::telemetry::Metrics;
use crate::types::random::Rng;
use crate::types::time::Clock;
use crate::web::site::{Brand, Site};

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database or the keys.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The network.
    #[error("{what} {address}: {error}")]
    Listen {
        /// What was to be listened for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// Anything else of the operating system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A running issuer.
pub struct Running {
    /// Its core, for commands that run beside it in the same process.
    pub core: Arc<Core>,
    /// Where it listens.
    pub address: SocketAddr,
    server: Server,
    jobs: Jobs,
    metrics: Option<ServerHandle>,
    signals: StopSignals,
}

/// Composes the core as the configuration says; every command needs it.
///
/// # Errors
/// See [`RunError`].
pub async fn open(config: &Config, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Core, RunError> {
    config.make_data_dir()?;
    let master = config.master_key(rng.as_ref())?;
    let parts = Parts {
        database: config.database_url.clone(),
        policy: config.policy.clone(),
        master,
        stdio: Place { folder: config.data_dir.join("stdio"), search_path: config.search_path.clone() },
        clock,
        rng,
    };
    Ok(compose(parts).await?)
}

/// Starts the issuer.
///
/// # Errors
/// See [`RunError`].
pub async fn start(config: &Config, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Running, RunError> {
    let signals = StopSignals::listen()?;
    let listener = listen(config.listen, "cannot listen on")?;
    let core = Arc::new(open(config, clock, rng).await?);
    admin_api::ensure(&core).await?;
    let metrics = web::Data::new(Metrics::default());
    let logo = config.brand.logo().map_err(ConfigError::one)?;
    let brand = Brand {
        name: Some(config.brand.name.clone()),
        logo: logo.map(|(bytes, kind)| (kind.to_owned(), bytes)),
        sheet: config.brand.sheet(),
    };
    let serving = Serving {
        core: web::Data::from(Arc::clone(&core)),
        site: web::Data::new(Site::new(&core.policy.issuer, brand)),
        proxies: web::Data::new(config.trusted_proxies.clone()),
        metrics: metrics.clone(),
        workers: None,
    };
    let metrics = match config.metrics_listen {
        Some(address) => {
            let listener = listen(address, "cannot serve metrics on")?;
            let server = crate::telemetry::serve_metrics(metrics, Arc::clone(&core), listener)?;
            let handle = server.handle();
            actix_web::rt::spawn(server);
            Some(handle)
        }
        None => None,
    };
    let (server, address) = serve(serving, listener)?;
    let jobs = jobs::start(&core);
    tracing::info!(issuer = %core.policy.issuer, %address, "serving");
    Ok(Running { core, address, server, jobs, metrics, signals })
}

fn listen(address: SocketAddr, what: &'static str) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).map_err(|error| RunError::Listen { what, address, error })
}

impl Running {
    /// A handle that stops the server from elsewhere; running requests may end.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM or SIGINT, lets running requests end, and returns.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn until_signal(self) -> std::io::Result<()> {
        let Self { core, server, jobs, metrics, signals, .. } = self;
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            signals.heard().await;
            tracing::info!("stopping; running requests may end");
            handle.stop(true).await;
        });
        until_stopped(&core, server, jobs, metrics).await
    }

    /// Serves until stopped through its handle.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn until_stopped(self) -> std::io::Result<()> {
        until_stopped(&self.core, self.server, self.jobs, self.metrics).await
    }
}

async fn until_stopped(
    core: &Core,
    server: Server,
    jobs: Jobs,
    metrics: Option<ServerHandle>,
) -> std::io::Result<()> {
    let outcome = server.await;
    drop(jobs);
    core.stdio.processes().end().await;
    if let Err(cause) = ended::write_down(core).await {
        tracing::warn!(%cause, "the ends of the last calls are not recorded");
    }
    if let Err(cause) = usage::record(core, core.now()).await {
        tracing::warn!(%cause, "what was counted last is lost");
    }
    if let Some(metrics) = metrics {
        metrics.stop(false).await;
    }
    tracing::info!("stopped");
    outcome
}

/// SIGTERM and SIGINT, heard from the moment this is made.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn heard(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
