//! The command line. Each command opens the same database as a running server, does what the use cases do, and says
//! what came of it.

mod alerts;
mod args;
mod audit;
mod audit_export;
mod cedar;
mod clients;
mod cuts;
mod database;
mod endpoints;
mod erase;
mod evidence;
mod gateway;
mod grants;
mod health;
mod idp;
mod import;
mod inactivity;
mod invitations;
mod keys;
mod master_key;
mod operations;
mod output;
mod papers;
mod people;
mod policy;
mod resources;
mod roles;
mod serve;
mod tokens;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use self::args::{AuditCommand, Cli, Command, PolicyCommand};
use self::output::{CliError, Said};
use crate::config::{Config, LogFormat};
use crate::flow::core::Core;
use crate::types::random::SystemRng;
use crate::types::time::SystemClock;

/// Runs the command of this process and returns its exit code: 0 done, 1 it could not, 2 bad usage or configuration.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match parsed() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() && std::env::args_os().any(|word| word == "--json") {
                CliError::misused(&error).print_json();
            }
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let json = cli.json;
    let done = actix_web::rt::System::new().block_on(dispatch(cli));
    crate::telemetry::flush();
    match done {
        Ok(said) => {
            if let Some(said) = said {
                said.print(json);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            error.print(json);
            ExitCode::from(error.code())
        }
    }
}

/// Reads the command line on a thread of its own, with which the memory goes that a few hundred options take: a server would
/// keep it for as long as it runs.
fn parsed() -> Result<Cli, clap::Error> {
    std::thread::spawn(Cli::try_parse).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Commands that run for long print for themselves and return nothing.
async fn dispatch(cli: Cli) -> Result<Option<Said>, CliError> {
    let papers = match &cli.command {
        Command::Completions { shell } => Some(papers::completions(*shell)),
        Command::Man { out } => Some(papers::manual(out.as_deref())),
        Command::Docs { document } => Some(Ok(papers::document(*document))),
        // Whoever verifies has no configuration.
        Command::Audit(AuditCommand::VerifyEvidence { file, keys }) => {
            Some(evidence::verify(file, keys.as_deref()))
        }
        Command::Policy(PolicyCommand::Cedar(command)) => cedar::without_database(command),
        _ => None,
    };
    if let Some(said) = papers {
        return said.map(Some);
    }
    let mut config = Config::from_process(cli.config)?;
    quieten(&mut config, &cli.command);
    crate::telemetry::start(&config.log).map_err(CliError::Usage)?;
    crate::crypto::begin();
    database::wanted(&config, &cli.command)?;
    // Boxed, each for itself: as one, the futures of all commands would be held in memory by the one that serves.
    let said = match cli.command {
        Command::Serve => {
            Box::pin(serve::serve(&config, cli.json)).await?;
            return Ok(None);
        }
        #[cfg(feature = "demo")]
        Command::Quickstart { demo_listen } => {
            Box::pin(serve::quickstart(config, demo_listen, cli.json)).await?;
            return Ok(None);
        }
        Command::CheckConfig => operations::check_config(&config)?,
        Command::Migrate => operations::migrate(&config)?,
        Command::Health { url } => Box::pin(health::check(&config, url.as_deref())).await?,
        Command::Backup { path } => Box::pin(operations::backup(&config, path)).await?,
        command => return Box::pin(on_database(&config, command, cli.json)).await,
    };
    Ok(Some(said))
}

/// What is done with the database that a server may run on.
async fn on_database(config: &Config, command: Command, json: bool) -> Result<Option<Said>, CliError> {
    let core = Box::new(open(config).await?);
    let said = match command {
        Command::User(command) => people::run(&core, command).await?,
        Command::Idp(command) => idp::run(&core, command).await?,
        Command::Resource(command) => resources::run(&core, command).await?,
        Command::Upstream(command) => gateway::upstream(&core, command).await?,
        Command::Policy(command) => policy::policy(&core, command).await?,
        Command::Approval(command) => policy::approval(&core, command).await?,
        Command::Tool(command) => gateway::tool(&core, command).await?,
        Command::Import(args) => import::run(&core, args).await?,
        Command::Role(command) => roles::run(&core, command).await?,
        Command::Client(command) => clients::run(&core, command).await?,
        Command::InitialAccessToken(command) => tokens::run(&core, command).await?,
        Command::Grant(command) => grants::run(&core, command).await?,
        Command::Cut(args) => cuts::run(&core, args).await?,
        Command::Alert(command) => alerts::run(&core, command).await?,
        Command::Detector(command) => alerts::detectors(&core, command).await?,
        Command::Webhook(command) => endpoints::webhook(&core, command).await?,
        Command::Receiver(command) => endpoints::receiver(&core, command).await?,
        Command::Inactivity(command) => inactivity::run(&core, command).await?,
        Command::Key(command) => keys::run(&core, command).await?,
        Command::Audit(command) => return audit::run(&core, command, json).await,
        // What needs no database of ours is answered before.
        #[cfg(feature = "demo")]
        Command::Quickstart { .. } => return Ok(None),
        Command::Serve
        | Command::CheckConfig
        | Command::Migrate
        | Command::Health { .. }
        | Command::Backup { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Docs { .. } => return Ok(None),
    };
    Ok(Some(said))
}

async fn open(config: &Config) -> Result<Core, CliError> {
    Ok(crate::run::open(config, Arc::new(SystemClock), Arc::new(SystemRng)).await?)
}

/// A command for a person speaks of what went wrong, not of what it does; unless the operator has said otherwise.
fn quieten(config: &mut Config, command: &Command) {
    if matches!(command, Command::Serve) {
        return;
    }
    if !config.is_set("log.level") {
        "warn".clone_into(&mut config.log.level);
    }
    if !config.is_set("log.format") {
        config.log.format = LogFormat::Text;
    }
}
