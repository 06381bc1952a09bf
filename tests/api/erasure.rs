//! Erasing a person: nothing of them is left, the log stays provable, and nobody can use it to edit a record.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use postern::flow::audit_chain::{checkpoint, verify};
use postern::flow::core::Caller;
use postern::flow::cut::By;
use postern::flow::people::OrderError;
use postern::flow::{erase, people};
use postern::storage::DatabaseUrl;
use postern::storage::audit::AuditFilter;
use postern::types::audit::AuditKind;
use postern::types::user::Role;

use crate::harness::{Browser, EMAIL, Node, PASSWORD};

const ROOT: &str = "root@example.com";
/// A neighbour whose address has the other one's in it.
const NEIGHBOUR: &str = "xana@example.com";

/// A node on which a person, an administrator and a neighbour have done things.
async fn lived_in() -> Node {
    let node = Node::start().await;
    for email in [ROOT, NEIGHBOUR] {
        node.add_person(email, PASSWORD).await;
    }
    people::set_role(&node.core, &Caller::command_line(), ROOT, Role::Admin).await.unwrap();
    let app = node.register("https://app.example.com/cb").await;
    let browser = Browser::new(&node);
    app.tokens(&node, &browser).await;
    Browser::new(&node).sign_in(EMAIL, "wrong").await;
    Browser::new(&node).sign_in(NEIGHBOUR, PASSWORD).await;
    // The person as an administrator who does something to somebody else.
    let caller =
        Caller { by: Some(EMAIL.to_owned()), address: Some("192.0.2.77".into()), ..Caller::default() };
    people::set_role(&node.core, &caller, NEIGHBOUR, Role::Auditor).await.unwrap();
    checkpoint(&node.core).await.unwrap();
    node
}

async fn erase_person(node: &Node, email: &str) -> Result<erase::Erased, OrderError> {
    let user = people::find(&node.core, email).await.unwrap();
    erase::erase(&node.core, &Caller::command_line(), By::command_line(), user.id).await
}

async fn holds(node: &Node) -> postern::flow::audit_chain::Whole {
    verify(&node.core).await.unwrap().unwrap_or_else(|found| panic!("{found}"))
}

fn has(dump: &[u8], text: &str) -> bool {
    dump.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

/// The address with nothing before it that would make it another's.
fn names(dump: &[u8], email: &str) -> bool {
    let found = dump.windows(email.len() + 1).any(|window| {
        let (before, rest) = window.split_at(1);
        rest.eq_ignore_ascii_case(email.as_bytes()) && !before[0].is_ascii_alphanumeric()
    });
    found || dump.get(..email.len()).is_some_and(|start| start.eq_ignore_ascii_case(email.as_bytes()))
}

#[tokio::test]
async fn nothing_of_them_is_left_and_the_log_holds() {
    let node = lived_in().await;
    let before = holds(&node).await;
    assert!(names(&node.database().dump(), EMAIL) && has(&node.database().dump(), "192.0.2.77"));
    let done = erase_person(&node, EMAIL).await.unwrap();
    assert!(done.compacted && done.records >= 6 && done.traces.grants == 1, "{done:?}");
    let after = holds(&node).await;
    assert!(after.erased >= done.records && after.records > before.records, "{after:?}");
    let left = node.database().dump();
    assert!(!names(&left, EMAIL), "the address is still there");
    assert!(!has(&left, "192.0.2.77"), "where they came from is still there");
    assert!(has(&left, NEIGHBOUR), "the neighbour is not");
    let missing = people::find(&node.core, EMAIL).await;
    assert!(matches!(missing, Err(OrderError::NotFound(_))), "{missing:?}");
    let filter = AuditFilter { kind: Some(AuditKind::UserErased), ..AuditFilter::default() };
    let said = postern::flow::audit::list(&node.core, filter).await.unwrap();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].detail["by"], "command line");
    let again = node.restart();
    assert_eq!(holds(&again).await.erased, after.erased);
}

#[tokio::test]
async fn what_they_held_is_dead_and_others_go_on() {
    let node = lived_in().await;
    let app = node.register("https://app.example.com/other").await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let neighbour = Browser::new(&node);
    neighbour.sign_in(NEIGHBOUR, PASSWORD).await;
    erase_person(&node, EMAIL).await.unwrap();
    assert_eq!(browser.get("/account").await.status, 303, "their browser is signed out");
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    let (id, secret) = &node.notes;
    let seen = node.request("POST", "/introspect").basic_auth(id, Some(secret));
    let seen = crate::harness::Answer::of(seen.form(&[("token", tokens.text_of("access_token"))])).await;
    assert_eq!(seen.body["active"], false, "{}", seen.text);
    assert_eq!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(neighbour.get("/account").await.status, 200);
    // The address is free again, for somebody who is nobody's successor.
    node.add_person(EMAIL, PASSWORD).await;
    assert_eq!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.status, 303);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let node = lived_in().await;
    let refused = erase_person(&node, ROOT).await;
    assert!(matches!(refused, Err(OrderError::Bad(_))), "{refused:?}");
    assert_eq!(Browser::new(&node).sign_in(ROOT, PASSWORD).await.status, 303, "nothing was done");
    people::set_role(&node.core, &Caller::command_line(), EMAIL, Role::Admin).await.unwrap();
    erase_person(&node, ROOT).await.unwrap();
    assert!(!names(&node.database().dump(), ROOT));
    let refused = erase_person(&node, EMAIL).await;
    assert!(matches!(refused, Err(OrderError::Bad(_))), "{refused:?}");
}

#[tokio::test]
async fn two_administrators_cannot_erase_each_other() {
    let node = lived_in().await;
    people::set_role(&node.core, &Caller::command_line(), EMAIL, Role::Admin).await.unwrap();
    let (first, second) = tokio::join!(erase_person(&node, ROOT), erase_person(&node, EMAIL));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    holds(&node).await;
}

#[tokio::test]
async fn whoever_has_the_database_alone_can_neither_erase_nor_edit_what_was_erased() {
    let record = "(SELECT seq FROM audit_event WHERE kind = 'login.succeeded' ORDER BY seq LIMIT 1)";
    let erased = "(SELECT seq FROM audit_event WHERE erased IS NOT NULL ORDER BY seq LIMIT 1)";
    let other = "(SELECT seq FROM audit_event WHERE erased IS NOT NULL ORDER BY seq DESC LIMIT 1)";
    let gone = r#"address = NULL, salt = NULL, detail = '{"erased":true}'"#;
    let attacks = [
        ("a record emptied", format!("UPDATE audit_event SET {gone} WHERE seq = {record} AND erased IS NULL"), false),
        (
            "a record emptied, with the mark of another",
            format!("UPDATE audit_event SET {gone}, erased = (SELECT erased FROM audit_event WHERE seq = {other}) WHERE seq = {erased}"),
            true,
        ),
        ("a new detail", format!("UPDATE audit_event SET detail = '{{\"by\":\"mallory\"}}' WHERE seq = {erased}"), true),
        ("a new address", format!("UPDATE audit_event SET address = '192.0.2.1' WHERE seq = {erased}"), true),
        ("a new content", format!("UPDATE audit_event SET salt = hash, detail = '{{}}' WHERE seq = {erased}"), true),
        ("the mark taken away", format!("UPDATE audit_event SET erased = NULL WHERE seq = {erased}"), true),
        ("another kind", format!("UPDATE audit_event SET kind = 'login.ended' WHERE seq = {erased}"), true),
        ("an erased record removed", format!("DELETE FROM audit_event WHERE seq = {erased}"), true),
        (
            "a record in a lane that is none",
            "INSERT INTO audit_event (lane, position, id, at, kind, detail, commitment, hash) SELECT 99, 0, id, at, \
             kind, detail, commitment, hash FROM audit_event ORDER BY seq LIMIT 1"
                .to_owned(),
            false,
        ),
        (
            "a record before the beginning",
            "INSERT INTO audit_event (lane, position, id, at, kind, detail, commitment, hash) SELECT 0, -1, id, at, \
             kind, detail, commitment, hash FROM audit_event ORDER BY seq LIMIT 1"
                .to_owned(),
            false,
        ),
    ];
    for (what, sql, after) in attacks {
        let node = lived_in().await;
        if after {
            erase_person(&node, EMAIL).await.unwrap();
            holds(&node).await;
        }
        node.database().tamper(&sql);
        assert!(verify(&node.core).await.unwrap().is_err(), "{what} goes unseen");
    }
}

#[tokio::test]
async fn an_erasure_that_was_interrupted_goes_on() {
    let node = lived_in().await;
    let user = people::find(&node.core, EMAIL).await.unwrap();
    // As after a power cut between two steps: switched off and cut, nothing erased yet.
    postern::flow::offboard::offboard(
        &node.core,
        &Caller::command_line(),
        By::command_line(),
        user.id,
        String::new(),
    )
    .await
    .unwrap();
    erase_person(&node, EMAIL).await.unwrap();
    assert!(!names(&node.database().dump(), EMAIL));
    holds(&node).await;
}

fn schema_version(connection: &mut SqliteConnection) -> i32 {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        schema_version: i32,
    }
    let row: Row = diesel::sql_query("PRAGMA schema_version").get_result(connection).unwrap();
    row.schema_version
}

#[tokio::test]
async fn a_busy_reader_is_waited_for() {
    let node = lived_in().await;
    let DatabaseUrl::Sqlite(path) = node.database().url.clone() else { return };
    let path = path.to_string_lossy();
    let (mut reader, mut watch) =
        (SqliteConnection::establish(&path).unwrap(), SqliteConnection::establish(&path).unwrap());
    // A snapshot that the emptying of the log has to wait for.
    reader.batch_execute("BEGIN; SELECT count(*) FROM audit_event").unwrap();
    let before = schema_version(&mut watch);
    let freed = async {
        // Rewriting the file moves it; what is left to do then meets the reader.
        while schema_version(&mut watch) == before {
            tokio::task::yield_now().await;
        }
        reader.batch_execute("COMMIT").unwrap();
    };
    let (erased, ()) = futures_util::future::join(erase_person(&node, EMAIL), freed).await;
    assert!(erased.unwrap().compacted);
}
