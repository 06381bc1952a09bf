//! `postern user invite`, `invitations` and `uninvite`.

use serde_json::{Value, json};

use super::args::InviteArgs;
use super::output::{CliError, Said, moment};
use crate::flow::core::{Caller, Core};
use crate::flow::invitations::{self, NewInvitation};
use crate::types::mail::Invitation;
use crate::types::time::Timestamp;

/// Invitations that are listed.
const SHOWN: i64 = 200;

pub(super) async fn invite(core: &Core, args: InviteArgs) -> Result<Said, CliError> {
    let InviteArgs { email, name, role, groups } = args;
    let new = NewInvitation { email, name, role, groups };
    let made = invitations::invite(core, &Caller::command_line(), new).await?;
    let mut said = Said::thing(shown(&made.invitation, core.now()));
    match &made.link {
        None => said.lines.push("The link was mailed to them.".to_owned()),
        Some(link) => {
            said.lines
                .push(format!("No mail is sent here. Give them this link; it is not shown again: {link}"));
            if let Some(members) = said.json.as_object_mut() {
                members.insert("link".to_owned(), link.clone().into());
            }
        }
    }
    Ok(said)
}

pub(super) async fn list(core: &Core) -> Result<Said, CliError> {
    let found = invitations::list(core, None, SHOWN).await?;
    let columns = ["id", "email", "role", "groups", "state", "invited_by", "expires_at"];
    Ok(Said::list(found.iter().map(|one| shown(one, core.now())).collect(), &columns))
}

pub(super) async fn revoke(core: &Core, id: &str) -> Result<Said, CliError> {
    let gone = invitations::revoke(core, &Caller::command_line(), id).await?;
    Ok(Said::thing(shown(&gone, core.now())))
}

fn shown(of: &Invitation, now: Timestamp) -> Value {
    json!({
        "id": of.id.to_string(),
        "email": of.email,
        "name": of.name,
        "role": of.role.as_str(),
        "groups": of.groups,
        "state": of.state(now),
        "invited_by": of.invited_by,
        "created_at": moment(Some(of.created_at)),
        "expires_at": moment(Some(of.expires_at)),
    })
}
