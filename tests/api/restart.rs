//! A restart forgets nothing: what was used stays used, what was revoked stays dead, what was granted stays good.

use postern::types::audit::AuditKind;

use crate::harness::{Browser, Node};

const WEB: &str = "https://app.example/cb";

#[tokio::test]
async fn what_was_used_or_revoked_stays_so_and_what_was_granted_stays_good() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let spent = app.code(&browser).await;
    let first = app.redeem(&node, &spent).await;
    let open = app.code(&browser).await;
    let second = app.tokens(&node, &browser).await;
    let third = app.tokens(&node, &browser).await;
    let next = app.refresh(&node, &second.text_of("refresh_token")).await;
    node.post("/revoke", &[("token", &third.text_of("refresh_token")), ("client_id", &app.id)]).await;

    let node = node.restart();
    assert!(node.is_active(&first.text_of("access_token")).await);
    assert!(!node.is_active(&third.text_of("access_token")).await);
    app.refresh(&node, &third.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    let again = app.refresh(&node, &second.text_of("refresh_token")).await;
    assert_eq!(
        again.text_of("refresh_token"),
        next.text_of("refresh_token"),
        "an answer that was lost in the restart is given again"
    );
    assert_eq!(app.redeem(&node, &open).await.status, 200, "a code that was on its way");

    let node = node.restart();
    app.redeem(&node, &open).await.is_error(400, "invalid_grant");
    app.redeem(&node, &spent).await.is_error(400, "invalid_grant");
    assert!(!node.is_active(&first.text_of("access_token")).await, "a replay is seen across the restart");
    assert_eq!(node.audited(AuditKind::CodeReplayed).await, 2);
    node.advance(31).await;
    app.refresh(&node, &second.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    app.refresh(&node, &next.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    assert_eq!(node.audited(AuditKind::RefreshReused).await, 1, "and so is reuse");
}
