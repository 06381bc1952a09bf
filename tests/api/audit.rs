//! The audit log's chain: whole after everything that happens by right, and broken at the first record that somebody
//! touched who has the database but not the master key.

use std::time::Duration;

use futures_util::future::join_all;
use postern::flow::audit_chain::{Break, Whole, checkpoint, trim, verify};
use postern::flow::core::Caller;
use postern::flow::people;
use postern::storage::audit::AuditFilter;

use crate::harness::{Browser, EMAIL, Node, PASSWORD};

async fn whole(node: &Node) -> Whole {
    verify(&node.core).await.unwrap().unwrap_or_else(|found| panic!("{found}"))
}

async fn broken(node: &Node) -> Break {
    verify(&node.core).await.unwrap().expect_err("the chain holds")
}

/// A node on which some things have happened.
async fn busy() -> Node {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    app.refresh(&node, &tokens.text_of("refresh_token")).await;
    Browser::new(&node).sign_in(EMAIL, "wrong").await;
    node
}

#[tokio::test]
async fn what_happens_by_right_keeps_it_whole() {
    let node = busy().await;
    let before = whole(&node).await;
    assert!(before.records >= 6 && before.checkpoints == 0, "{before:?}");
    checkpoint(&node.core).await.unwrap();
    checkpoint(&node.core).await.unwrap();
    people::disable(&node.core, &Caller::command_line(), EMAIL).await.unwrap();
    checkpoint(&node.core).await.unwrap();
    let after = whole(&node).await;
    assert!(after.checkpoints >= 2, "{after:?}");
    assert_eq!(after.records, before.records + 1, "each record once");
    let again = node.restart();
    assert_eq!(whole(&again).await.records, after.records);
}

#[tokio::test]
async fn many_at_once_on_two_nodes_make_one_chain() {
    let node = Node::start().await;
    let other = node.second();
    let before = whole(&node).await.records;
    let tries = (0..32).map(|number| {
        let node = if number % 2 == 0 { &node } else { &other };
        async move { Browser::new(node).sign_in(&format!("nobody{number}@example.com"), PASSWORD).await }
    });
    join_all(tries).await;
    assert_eq!(whole(&node).await.records, before + 32);
}

#[tokio::test]
async fn whoever_edits_a_record_is_found() {
    for (what, sql) in [
        ("kind", "UPDATE audit_event SET kind = 'login.succeeded' WHERE kind = 'login.failed'"),
        ("time", "UPDATE audit_event SET at = at - 1 WHERE kind = 'login.failed'"),
        ("address", "UPDATE audit_event SET address = '203.0.113.9' WHERE kind = 'login.failed'"),
        ("detail", "UPDATE audit_event SET detail = '{\"x\":1}' WHERE kind = 'login.failed'"),
        ("person", "UPDATE audit_event SET user_id = NULL WHERE kind = 'consent.allowed'"),
        ("client", "UPDATE audit_event SET client_id = 'other' WHERE kind = 'token.issued'"),
        ("salt", "UPDATE audit_event SET salt = NULL WHERE kind = 'login.failed'"),
    ] {
        let node = busy().await;
        whole(&node).await;
        node.database().tamper(sql);
        let found = broken(&node).await;
        assert!(found.id.is_some(), "{what}: {found}");
        // What is written afterwards does not cover it up.
        Browser::new(&node).sign_in(EMAIL, "wrong").await;
        assert_eq!(broken(&node).await, found, "{what}");
    }
}

#[tokio::test]
async fn whoever_removes_adds_or_reorders_is_found() {
    let last = "(SELECT max(position) FROM audit_event WHERE lane = 0)";
    let attacks = [
        ("a middle record", "DELETE FROM audit_event WHERE lane = 0 AND position = 2".to_owned()),
        ("the first", "DELETE FROM audit_event WHERE lane = 0 AND position = 0".to_owned()),
        ("the last", format!("DELETE FROM audit_event WHERE lane = 0 AND position = {last}")),
        ("all", "DELETE FROM audit_event".to_owned()),
        ("all, and the end", "DELETE FROM audit_event; DELETE FROM audit_head".to_owned()),
        ("all, and the end put back", "UPDATE audit_head SET count = 0; DELETE FROM audit_event".to_owned()),
        (
            "the last, and the end moved",
            format!(
                "DELETE FROM audit_event WHERE lane = 0 AND position = {last}; \
                 UPDATE audit_head SET count = count - 1, \
                 hash = (SELECT hash FROM audit_event WHERE lane = 0 AND position = {last}) WHERE lane = 0"
            ),
        ),
        (
            "two in the other order",
            "UPDATE audit_event SET position = 1000 WHERE lane = 0 AND position = 1; \
             UPDATE audit_event SET position = 1 WHERE lane = 0 AND position = 2; \
             UPDATE audit_event SET position = 2 WHERE lane = 0 AND position = 1000"
                .to_owned(),
        ),
        (
            "the beginning, as if its time were over",
            "INSERT INTO audit_anchor (lane, count, hash, mac) SELECT 0, 3, hash, hash FROM audit_event \
             WHERE lane = 0 AND position = 2; DELETE FROM audit_event WHERE lane = 0 AND position < 3"
                .to_owned(),
        ),
    ];
    for (what, sql) in attacks {
        let node = busy().await;
        node.database().tamper(&sql);
        let found = broken(&node).await;
        Browser::new(&node).sign_in(EMAIL, "wrong").await;
        let later = verify(&node.core).await;
        assert!(!matches!(later, Ok(Ok(_))), "{what}: {found}, and mended by what came after");
    }
}

#[tokio::test]
async fn a_checkpoint_remembers_what_was_rolled_back() {
    let node = busy().await;
    node.database().tamper("CREATE TABLE kept_event AS SELECT * FROM audit_event; CREATE TABLE kept_head AS SELECT * FROM audit_head");
    Browser::new(&node).sign_in(EMAIL, "wrong").await;
    checkpoint(&node.core).await.unwrap();
    node.database().tamper(
        "DELETE FROM audit_event; INSERT INTO audit_event SELECT * FROM kept_event; \
         DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head",
    );
    let found = broken(&node).await;
    assert_eq!(found.what, "a checkpoint speaks of records that are missing");
}

#[tokio::test]
async fn what_is_too_old_goes_and_the_rest_stays_provable() {
    let node = busy().await;
    let before = whole(&node).await.records;
    let mut policy = node.core.policy.clone();
    policy.audit_retention = Some(Duration::from_secs(86_400));
    checkpoint(&node.core).await.unwrap();
    let node = node.second_with(policy);
    trim(&node.core).await.unwrap();
    assert_eq!(whole(&node).await.records, before, "nothing is too old yet");
    node.advance(2 * 86_400).await;
    Browser::new(&node).sign_in(EMAIL, "wrong").await;
    trim(&node.core).await.unwrap();
    let left = whole(&node).await;
    assert_eq!((left.records, left.trimmed), (1, before));
    node.database().tamper("UPDATE audit_anchor SET count = count + 1");
    broken(&node).await;
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let node = busy().await;
    let all = postern::flow::audit::list(&node.core, AuditFilter::default()).await.unwrap();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let filter = AuditFilter { before, limit: Some(2), ..AuditFilter::default() };
        let page = postern::flow::audit::page(&node.core, filter).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        seen.extend(page.into_iter().map(|(_, event)| event.id));
    }
    seen.reverse();
    assert_eq!(seen, all.iter().map(|event| event.id).collect::<Vec<_>>());
}
