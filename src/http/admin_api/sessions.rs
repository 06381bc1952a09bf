//! Browsers that are signed in.

use super::operation::{Answer, CURSOR, Call, LIMIT, Operation, Rows, Verb, shape};
use super::problem::Problem;
use super::shapes::SignIn;
use crate::flow::console;
use crate::types::admin::Permission;
use crate::types::id::SessionId;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/sessions",
        id: "listSessions",
        about: "Browsers that are signed in, newest first.",
        needs: Permission::Read,
        query: &[LIMIT, CURSOR],
        body: None,
        done: (200, Some(shape::<Rows<SignIn>>)),
        run: |call| Box::pin(list(call)),
    },
    Operation {
        verb: Verb::Delete,
        path: "/sessions/{id}",
        id: "endSession",
        about: "Sign a browser out.",
        needs: Permission::Revoke,
        query: &[],
        body: None,
        done: (204, None),
        run: |call| Box::pin(end(call)),
    },
];

async fn list(call: Call) -> Result<Answer, Problem> {
    let before = call.cursor(SessionId::parse)?;
    let (page, _) = console::sessions(&call.core, before, call.limit()).await?;
    let rows = page.rows.iter().map(SignIn::of).collect();
    Answer::of(&Rows::new(rows, page.next.map(|id| id.to_string())))
}

async fn end(call: Call) -> Result<Answer, Problem> {
    let id = call.id(SessionId::parse)?;
    if console::end_session(&call.core, &call.caller, id).await? {
        Ok(Answer::NOTHING)
    } else {
        Err(Problem::missing())
    }
}
