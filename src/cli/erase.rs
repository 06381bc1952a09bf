//! `postern user erase …`

use serde_json::json;

use super::args::EraseArgs;
use super::output::{CliError, Said};
use crate::flow::core::{Caller, Core};
use crate::flow::cut::By;
use crate::flow::{erase, people};
use crate::types::user::Email;

pub(super) async fn run(core: &Core, args: EraseArgs) -> Result<Said, CliError> {
    let user = people::find(core, &args.email).await?;
    let Some(confirmed) = args.confirm else {
        let there = erase::preview(core, user.id).await?;
        let lines = vec![
            format!(
                "{} has {} approvals, {} sign-ins and {} passkeys; {} audit records concern them",
                user.email, there.grants, there.sessions, there.passkeys, there.records
            ),
            format!(
                "nothing has been erased; there is no way back from: postern user erase {0} --confirm {0}",
                user.email
            ),
        ];
        return Ok(Said::new(json!({ "erased": false, "email": user.email, "traces": there }), lines));
    };
    let same = Email::parse(&confirmed).is_ok_and(|email| email.key() == user.email.to_lowercase());
    if !same {
        return Err(CliError::Usage("--confirm names another person; nothing has been erased".to_owned()));
    }
    let done = erase::erase(core, &Caller::command_line(), By::command_line(), user.id).await?;
    let mut lines = vec![format!(
        "erased: the person, {} approvals, {} sign-ins, {} passkeys, and the content of {} audit records",
        done.traces.grants, done.traces.sessions, done.traces.passkeys, done.records
    )];
    if !done.compacted {
        lines.push(
            "the database was too busy to rewrite its file, so traces may be left in free pages: stop the server and run VACUUM"
                .to_owned(),
        );
    }
    let said = json!({
        "erased": true,
        "id": user.id.to_string(),
        "traces": done.traces,
        "records": done.records,
        "compacted": done.compacted,
    });
    Ok(Said::new(said, lines))
}
