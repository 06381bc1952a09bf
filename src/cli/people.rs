//! `postern user …`

use std::io::Read as _;

use serde_json::{Value, json};

use super::args::UserCommand;
use super::output::{CliError, Said, moment};
use crate::account::password;
use crate::flow::core::{Caller, Core};
use crate::flow::people::{self, NewUser};
use crate::flow::roles;
use crate::types::policy::MAX_PASSWORD;
use crate::types::secret::Secret;
use crate::types::user::User;

pub(super) async fn run(core: &Core, command: UserCommand) -> Result<Said, CliError> {
    let caller = Caller::command_line();
    let user = match command {
        UserCommand::List => {
            let users = people::list(core).await?;
            let columns = ["email", "name", "role", "groups", "created_at", "disabled_at"];
            return Ok(Said::list(users.iter().map(person).collect(), &columns));
        }
        UserCommand::Add { email, name, role, groups, password: _ } => {
            let password = read_password(&email)?;
            people::add(core, &caller, NewUser { email, name, role, groups, password }).await?
        }
        UserCommand::Invite(args) => return super::invitations::invite(core, args).await,
        UserCommand::Invitations => return super::invitations::list(core).await,
        UserCommand::Uninvite { id } => return super::invitations::revoke(core, &id).await,
        UserCommand::Offboard { email, reason } => {
            return super::cuts::offboard(core, &email, reason).await;
        }
        UserCommand::Erase(args) => return super::erase::run(core, args).await,
        UserCommand::Disable { email } => people::disable(core, &caller, &email).await?,
        UserCommand::Enable { email } => people::enable(core, &caller, &email).await?,
        UserCommand::SetPassword { email, password: _ } => {
            let password = read_password(&email)?;
            people::set_password(core, &caller, &email, password).await?
        }
        UserCommand::RequireSecondFactor { email, off } => {
            people::require_second_factor(core, &caller, &email, !off).await?
        }
        UserCommand::SetGroups { email, groups } => roles::set_groups(core, &caller, &email, groups).await?,
        UserCommand::Access { email } => return super::roles::effective(core, &email).await,
        UserCommand::SetRole { email, role } => people::set_role(core, &caller, &email, role).await?,
    };
    Ok(Said::thing(person(&user)))
}

fn person(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "email": user.email,
        "name": user.name,
        "role": user.role.as_str(),
        "groups": user.groups,
        "second_factor_required": user.second_factor_required,
        "created_at": moment(Some(user.created_at)),
        "disabled_at": moment(user.disabled_at),
    })
}

/// Reads a password from stdin.
fn read_password(email: &str) -> Result<Secret<String>, CliError> {
    let secret = read_line("the password", MAX_PASSWORD)?;
    password::check(secret.expose(), email).map_err(|why| CliError::Failed(why.to_string()))?;
    Ok(secret)
}

/// Reads one line from stdin; the line end is not part of what was meant.
pub(super) fn read_line(name: &str, longest: usize) -> Result<Secret<String>, CliError> {
    let secret = read_text(name, longest)?;
    if secret.expose().contains(['\n', '\r']) {
        return Err(CliError::Failed(format!("{name} on stdin is more than one line")));
    }
    Ok(secret)
}

/// Reads what stands on standard input, without the line end after it.
pub(super) fn read_text(name: &str, longest: usize) -> Result<Secret<String>, CliError> {
    let mut bytes = Vec::with_capacity(longest + 3);
    let limit = u64::try_from(longest + 3).unwrap_or(u64::MAX);
    let failed = |what: &str| CliError::Failed(format!("{name} on stdin {what}"));
    std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|_| failed("cannot be read"))?;
    let mut text = String::from_utf8(bytes).map_err(|_| failed("is not UTF-8"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(Secret::new(text))
}
