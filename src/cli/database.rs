//! Which commands may begin a database. All others want one: a database that is made because a command was run in the wrong
//! folder looks like one that has lost everything.

use super::args::{
    AuditCommand, ClientCommand, Command, CutCommand, HookCommand, IdpCommand, InitialAccessTokenCommand,
    ReceiverCommand, ResourceCommand, StreamCommand, UserCommand, WebhookCommand,
};
use super::output::CliError;
use crate::config::Config;
use crate::flow::failure::Fault;
use crate::storage::DatabaseUrl;

/// Refuses a command that has nothing to work on, before anything is made.
///
/// # Errors
/// When there is no database or it cannot be reached, and the command is none that begins one.
pub(super) fn wanted(config: &Config, command: &Command) -> Result<(), CliError> {
    if begins(command) || config.database_url.has_begun().map_err(Fault::from)? {
        return Ok(());
    }
    let place = match &config.database_url {
        DatabaseUrl::Sqlite(file) => format!("at {}", file.display()),
        DatabaseUrl::Postgres(_) => "of Postern at the place that database_url names".to_owned(),
    };
    Err(CliError::Failed(format!(
        "there is no database {place}: run this where the server runs (data_dir and database_url say where it is), or begin \
         one with `postern serve`"
    )))
}

/// Whether a command makes sense before there is anything: those that serve, those that add what rests on nothing else,
/// and those that open no database at all.
const fn begins(command: &Command) -> bool {
    match command {
        Command::Serve
        | Command::Migrate
        | Command::CheckConfig
        | Command::Health { .. }
        | Command::Import(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Docs { .. } => true,
        #[cfg(feature = "demo")]
        Command::Quickstart { .. } => true,
        Command::User(command) => matches!(command, UserCommand::Add { .. } | UserCommand::Invite(_)),
        Command::Idp(command) => matches!(command, IdpCommand::Add(_)),
        Command::Resource(command) => matches!(command, ResourceCommand::Add(_)),
        Command::Client(command) => matches!(command, ClientCommand::Add(_)),
        Command::InitialAccessToken(command) => matches!(command, InitialAccessTokenCommand::Add { .. }),
        Command::Webhook(command) => matches!(command, WebhookCommand::Add { .. }),
        Command::Receiver(command) => matches!(command, ReceiverCommand::Add(_)),
        Command::Audit(command) => matches!(command, AuditCommand::Stream(StreamCommand::Add(_))),
        Command::Cut(args) => {
            matches!(&args.command, Some(CutCommand::Hook { command: HookCommand::Add { .. } }))
        }
        Command::Upstream(_)
        | Command::Tool(_)
        | Command::Policy(_)
        | Command::Approval(_)
        | Command::Role(_)
        | Command::Grant(_)
        | Command::Alert(_)
        | Command::Detector(_)
        | Command::Inactivity(_)
        | Command::Key(_)
        | Command::Backup { .. } => false,
    }
}
