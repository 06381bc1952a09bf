//! Detectors: an attack raises one alert and is acted on as the rule says; normal use raises none.

use std::time::Duration;

use postern::account::detector::usual;
use postern::flow::alerts::{self, watch};
use postern::flow::core::Caller;
use postern::flow::cut::By;
use postern::flow::people::OrderError;
use postern::types::alert::{Action, Alert, Detector, Rule, Subject};
use postern::types::audit::AuditKind;
use postern::types::user::Role;
use serde_json::json;

use crate::harness::{App, Browser, EMAIL, Node, PASSWORD};

const BACK: &str = "https://app.example/cb";

async fn open(node: &Node) -> Vec<Alert> {
    alerts::list(&node.core, true).await.unwrap()
}

async fn set(node: &Node, rule: Rule) {
    alerts::set_rule(&node.core, &Caller::command_line(), rule).await.unwrap();
}

/// A thief and the owner both use the same refresh token.
async fn reuse(node: &Node, app: &App) {
    let browser = Browser::signed_in(node).await;
    let first = app.tokens(node, &browser).await.text_of("refresh_token");
    let second = app.refresh(node, &first).await.text_of("refresh_token");
    assert_eq!(app.refresh(node, &second).await.status, 200);
    app.refresh(node, &first).await.is_error(400, "invalid_grant");
}

async fn guess(node: &Node, email: &str, times: usize) {
    for _ in 0..times {
        // Past the wait that each failure brings, still well within the window.
        node.advance(20).await;
        let page = Browser::new(node).sign_in(email, "not the password at all").await;
        assert!(page.status == 401 || page.status == 429, "{}", page.status);
    }
}

#[tokio::test]
async fn normal_use_raises_nothing() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::new(&node);
    assert_eq!(browser.sign_in(EMAIL, "a slip of the finger").await.status, 401);
    let tokens = app.tokens(&node, &browser).await;
    let again = app.refresh(&node, &tokens.text_of("refresh_token")).await;
    assert_eq!(again.status, 200);
    watch(&node.core).await.unwrap();
    assert_eq!(open(&node).await, []);
    assert_eq!(node.audited(AuditKind::AlertRaised).await, 0);
}

#[tokio::test]
async fn a_stolen_refresh_token_raises_one_alert_however_often_one_looks() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    reuse(&node, &app).await;
    watch(&node.core).await.unwrap();
    watch(&node.core).await.unwrap();
    let second = node.second();
    watch(&second.core).await.unwrap();
    let found = open(&node).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].detector, found[0].finding.count), (Detector::RefreshReuse, 1));
    assert!(matches!(found[0].finding.subject, Subject::Grant(_)));
    assert_eq!(node.audited(AuditKind::AlertRaised).await, 1);
}

#[tokio::test]
async fn what_was_noted_does_not_come_back_but_the_next_theft_does() {
    let node = Node::start().await;
    set(&node, Rule { threshold: 3, ..usual(Detector::FailedSignIns) }).await;
    guess(&node, EMAIL, 3).await;
    watch(&node.core).await.unwrap();
    let found = open(&node).await;
    assert_eq!(found.len(), 1);
    let id = found[0].id.to_string();
    let by = By::command_line();
    alerts::acknowledge(&node.core, &Caller::command_line(), &by, &id).await.unwrap();
    let twice = alerts::acknowledge(&node.core, &Caller::command_line(), &by, &id).await;
    assert!(matches!(twice, Err(OrderError::NotFound(_))));
    watch(&node.core).await.unwrap();
    assert_eq!(open(&node).await, []);
    guess(&node, EMAIL, 3).await;
    watch(&node.core).await.unwrap();
    assert_eq!(open(&node).await.len(), 1);
    assert_eq!(node.audited(AuditKind::AlertAcknowledged).await, 1);
}

#[tokio::test]
async fn an_open_alert_grows() {
    let node = Node::start().await;
    set(&node, Rule { threshold: 2, ..usual(Detector::FailedSignIns) }).await;
    guess(&node, EMAIL, 2).await;
    watch(&node.core).await.unwrap();
    guess(&node, EMAIL, 1).await;
    watch(&node.core).await.unwrap();
    watch(&node.core).await.unwrap();
    let found = open(&node).await;
    assert_eq!((found.len(), found[0].finding.count), (1, 3));
}

#[tokio::test]
async fn failures_that_are_far_apart_are_no_attack() {
    let node = Node::start().await;
    set(&node, Rule { threshold: 2, window: Duration::from_secs(60), ..usual(Detector::FailedSignIns) })
        .await;
    for _ in 0..3 {
        guess(&node, EMAIL, 1).await;
        watch(&node.core).await.unwrap();
        node.advance(120).await;
    }
    assert_eq!(open(&node).await, []);
}

#[tokio::test]
async fn a_detector_isolates_for_a_time_and_says_so() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let tokens = app.tokens(&node, &Browser::signed_in(&node).await).await;
    let (access, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    let action = Action::Isolate(Duration::from_secs(200));
    set(&node, Rule { threshold: 2, action, ..usual(Detector::FailedSignIns) }).await;
    guess(&node, EMAIL, 2).await;
    assert!(node.is_active(&access).await);
    watch(&node.core).await.unwrap();
    assert!(!node.is_active(&access).await);
    app.refresh(&node, &refresh).await.is_error(403, "access_denied");
    let found = open(&node).await;
    assert_eq!(found[0].outcome, "isolated");
    let cut = found[0].cut_id.unwrap().to_string();
    let (cut, _) = postern::flow::cut::find(&node.core, &cut).await.unwrap();
    assert_eq!(cut.by_name, "detector failed-sign-ins");
    // It lifts itself, and nothing is lost.
    node.advance(201).await;
    assert_eq!(app.refresh(&node, &refresh).await.status, 200);
}

#[tokio::test]
async fn nobody_locks_an_administrator_out_by_failing_to_sign_in() {
    let node = Node::start().await;
    let root = "root@example.com";
    node.add_person(root, PASSWORD).await;
    let caller = Caller::command_line();
    postern::flow::people::set_role(&node.core, &caller, root, Role::Admin).await.unwrap();
    let browser = Browser::new(&node);
    assert_eq!(browser.sign_in(root, PASSWORD).await.status, 303);
    set(&node, Rule { threshold: 2, action: Action::Revoke, ..usual(Detector::FailedSignIns) }).await;
    guess(&node, root, 2).await;
    watch(&node.core).await.unwrap();
    assert_eq!(open(&node).await[0].outcome, "left alone: an administrator");
    assert_eq!(browser.get("/admin").await.status, 200);
}

#[tokio::test]
async fn each_attack_has_its_detector() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    // A code twice.
    let code = app.code(&browser).await;
    assert_eq!(app.redeem(&node, &code).await.status, 200);
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    // Many registrations from one address.
    set(&node, Rule { threshold: 3, ..usual(Detector::MassRegistration) }).await;
    for _ in 0..3 {
        let other = node.register(BACK).await;
        // Approved once, so that it is kept.
        other.tokens(&node, &browser).await;
    }
    // Many people who let the same app in.
    set(&node, Rule { threshold: 3, ..usual(Detector::ConsentBurst) }).await;
    for name in ["bea", "cem"] {
        let email = format!("{name}@example.com");
        node.add_person(&email, PASSWORD).await;
        let browser = Browser::new(&node);
        browser.sign_in(&email, PASSWORD).await;
        app.tokens(&node, &browser).await;
    }
    // An app that cannot prove itself.
    set(&node, Rule { threshold: 2, ..usual(Detector::ManyDenials) }).await;
    let secret =
        node.add_client(json!({ "client_name": "Nightly", "grant_types": ["client_credentials"] })).await;
    for _ in 0..2 {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", secret.id.as_str()),
            ("client_secret", "pst_cs_wrong"),
        ];
        node.token(&form).await.is_error(401, "invalid_client");
    }
    watch(&node.core).await.unwrap();
    let mut found: Vec<&str> = open(&node).await.iter().map(|alert| alert.detector.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["code-replay", "consent-burst", "many-denials", "mass-registration"]);
}

#[tokio::test]
async fn a_dry_run_says_what_would_have_been_and_does_nothing() {
    let node = Node::start().await;
    guess(&node, EMAIL, 5).await;
    node.advance(3_600).await;
    guess(&node, EMAIL, 4).await;
    let rule = Rule { threshold: 4, action: Action::Revoke, ..usual(Detector::FailedSignIns) };
    let since = node.core.now().minus(Duration::from_secs(86_400));
    let found = alerts::dry_run(&node.core, rule, since).await.unwrap();
    assert_eq!(found.iter().map(|finding| finding.count).collect::<Vec<_>>(), [4, 4]);
    let strict = Rule { threshold: 6, ..rule };
    assert_eq!(alerts::dry_run(&node.core, strict, since).await.unwrap(), []);
    assert_eq!(open(&node).await, []);
    assert_eq!(node.audited(AuditKind::AccessCut).await, 0);
    let senseless = Rule { threshold: 0, ..rule };
    assert!(matches!(alerts::dry_run(&node.core, senseless, since).await, Err(OrderError::Bad(_))));
}

#[tokio::test]
async fn one_that_is_off_does_not_look() {
    let node = Node::start().await;
    set(&node, Rule { on: false, ..usual(Detector::RefreshReuse) }).await;
    let app = node.register(BACK).await;
    reuse(&node, &app).await;
    watch(&node.core).await.unwrap();
    assert_eq!(open(&node).await, []);
}

#[tokio::test]
async fn alerts_stand_in_the_console_and_only_administrators_take_note() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    reuse(&node, &app).await;
    watch(&node.core).await.unwrap();
    let caller = Caller::command_line();
    let (auditor, root) = ("audit@example.com", "root@example.com");
    for (email, role) in [(auditor, Role::Auditor), (root, Role::Admin)] {
        node.add_person(email, PASSWORD).await;
        postern::flow::people::set_role(&node.core, &caller, email, role).await.unwrap();
    }
    let (looks, acts) = (Browser::new(&node), Browser::new(&node));
    looks.sign_in(auditor, PASSWORD).await;
    acts.sign_in(root, PASSWORD).await;
    let page = looks.get("/admin/alerts").await;
    assert!(page.words().contains("A refresh token was used twice"), "{}", page.words());
    assert!(!page.has_form("/admin/alerts"));
    for (query, open) in [
        ("detector=refresh-reuse", true),
        ("detector=code-replay", false),
        ("state=open&q=", true),
        ("state=seen", false),
        ("q=198.51.100.99", false),
    ] {
        let page = looks.get(&format!("/admin/alerts?{query}")).await;
        let rows = page.text.split("What is looked for").next().unwrap().matches("<tr>").count();
        assert_eq!(rows > 1, open, "{query}: {}", page.words());
        let file = looks.get(&format!("/admin/export/alerts?format=jsonl&{query}")).await;
        assert_eq!(file.text.lines().count(), usize::from(open), "the file of {query}");
    }
    let page = acts.get("/admin/alerts").await;
    let form = page.form("/admin/alerts");
    let theirs = looks.submit(&form).await;
    assert_eq!(theirs.status, 403, "{}", theirs.words());
    assert_eq!(acts.submit(&form.clone().set("csrf", "wrong")).await.status, 403);
    assert_eq!(open(&node).await.len(), 1);
    let after = acts.submit(&form).await;
    let after = acts.follow(after).await;
    assert!(
        after.words().contains("Noted.") && after.words().contains("Nothing is open."),
        "{}",
        after.words()
    );
    assert_eq!(open(&node).await, []);
}
