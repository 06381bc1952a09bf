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
    let cli = match Cli::try_parse() {
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
    match actix_web::rt::System::new().block_on(dispatch(cli)) {
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
    database::wanted(&config, &cli.command)?;
    let said = match cli.command {
        Command::Serve => {
            serve::serve(&config, cli.json).await?;
            return Ok(None);
        }
        #[cfg(feature = "demo")]
        Command::Quickstart { demo_listen } => {
            serve::quickstart(config, demo_listen, cli.json).await?;
            return Ok(None);
        }
        Command::CheckConfig => operations::check_config(&config)?,
        Command::Migrate => operations::migrate(&config)?,
        Command::Health { url } => health::check(&config, url.as_deref()).await?,
        Command::Backup { path } => operations::backup(&config, path).await?,
        Command::User(command) => people::run(&open(&config).await?, command).await?,
        Command::Idp(command) => idp::run(&open(&config).await?, command).await?,
        Command::Resource(command) => resources::run(&open(&config).await?, command).await?,
        Command::Upstream(command) => gateway::upstream(&open(&config).await?, command).await?,
        Command::Policy(command) => policy::policy(&open(&config).await?, command).await?,
        Command::Approval(command) => policy::approval(&open(&config).await?, command).await?,
        Command::Tool(command) => gateway::tool(&open(&config).await?, command).await?,
        Command::Import(args) => import::run(&open(&config).await?, args).await?,
        Command::Role(command) => roles::run(&open(&config).await?, command).await?,
        Command::Client(command) => clients::run(&open(&config).await?, command).await?,
        Command::InitialAccessToken(command) => tokens::run(&open(&config).await?, command).await?,
        Command::Grant(command) => grants::run(&open(&config).await?, command).await?,
        Command::Cut(args) => cuts::run(&open(&config).await?, args).await?,
        Command::Alert(command) => alerts::run(&open(&config).await?, command).await?,
        Command::Detector(command) => alerts::detectors(&open(&config).await?, command).await?,
        Command::Webhook(command) => endpoints::webhook(&open(&config).await?, command).await?,
        Command::Receiver(command) => endpoints::receiver(&open(&config).await?, command).await?,
        Command::Inactivity(command) => inactivity::run(&open(&config).await?, command).await?,
        Command::Key(command) => keys::run(&open(&config).await?, command).await?,
        Command::Audit(command) => return audit::run(&open(&config).await?, command, cli.json).await,
        // Answered above, before there is a configuration.
        Command::Completions { .. } | Command::Man { .. } | Command::Docs { .. } => return Ok(None),
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
