//! Browsers that are signed in.

use super::operation::{Answer, CURSOR, Call, Kind, LIMIT, Operation, Rows, Verb, query, shape};
use super::problem::Problem;
use super::shapes::SignIn;
use crate::flow::console::{self, SessionFilter};
use crate::types::admin::Permission;
use crate::types::id::{SessionId, UserId};
use crate::types::network::Network;

pub const OPERATIONS: &[Operation] = &[
    Operation {
        verb: Verb::Get,
        path: "/sessions",
        id: "listSessions",
        about: "Browsers that are signed in, newest first.",
        needs: Permission::Read,
        query: &[
            query("person", Kind::Id, "Only this person’s."),
            query("email", Kind::Text, "Only those of people whose e-mail address begins so."),
            query(
                "network",
                Kind::Text,
                "Only those from this address or block; a page may be short and yet not the last.",
            ),
            LIMIT,
            CURSOR,
        ],
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
    let filter = SessionFilter {
        people: call.text("email").map(str::to_owned),
        user_id: call.named("person", UserId::parse)?,
        network: call.named("network", |text| Network::parse(text).ok())?,
    };
    let (page, _) = console::sessions(&call.core, filter, before, call.limit()).await?;
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
