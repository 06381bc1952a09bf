//! People and apps that nothing is heard of.

use std::time::Duration;

use postern::flow::core::Caller;
use postern::flow::inactivity::{self, Outlook, run};
use postern::flow::{alerts, people};
use postern::storage::grants::GrantFilter;
use postern::types::alert::Detector;
use postern::types::audit::AuditKind;
use postern::types::inactivity::{InactivityRule, Silent, Step};
use postern::types::user::Role;
use serde_json::json;

use crate::harness::{Browser, EMAIL, Node, PASSWORD};

const DAY: u64 = 86_400;
const IDLE: &str = "idle@example.com";

fn rule() -> InactivityRule {
    let days = |days| Some(Duration::from_secs(days * DAY));
    InactivityRule { warn_after: days(30), disable_after: days(60), revoke_after: days(90) }
}

async fn node() -> Node {
    Node::with(|policy| policy.inactivity = rule()).await
}

async fn is_off(node: &Node, email: &str) -> bool {
    people::find(&node.core, email).await.unwrap().disabled_at.is_some()
}

async fn approvals(node: &Node, email: &str) -> usize {
    let user = people::find(&node.core, email).await.unwrap();
    let filter = GrantFilter { user_id: Some(user.id), ..GrantFilter::default() };
    postern::flow::access::list(&node.core, filter).await.unwrap().len()
}

async fn days(node: &Node, days: u64) {
    node.advance(days * DAY).await;
    run(&node.core).await.unwrap();
}

async fn ahead(node: &Node, rule: InactivityRule, name: &str) -> Option<Outlook> {
    let found = inactivity::preview(&node.core, rule).await.unwrap();
    found.into_iter().find(|one| one.name == name)
}

#[tokio::test]
async fn a_silent_person_is_warned_then_switched_off_then_without_approvals() {
    let node = node().await;
    let app = node.register("https://app.example/cb").await;
    node.add_person(IDLE, PASSWORD).await;
    let browser = Browser::new(&node);
    browser.sign_in(IDLE, PASSWORD).await;
    app.tokens(&node, &browser).await;
    days(&node, 29).await;
    assert_eq!(node.audited(AuditKind::InactivityWarned).await, 0);
    days(&node, 2).await;
    alerts::watch(&node.core).await.unwrap();
    let open = alerts::list(&node.core, true).await.unwrap();
    assert!(open.iter().any(|alert| alert.detector == Detector::Inactive), "{open:?}");
    days(&node, 28).await;
    assert!(!is_off(&node, IDLE).await);
    days(&node, 3).await;
    assert!(is_off(&node, IDLE).await);
    assert_eq!(approvals(&node, IDLE).await, 1, "for the day they come back");
    days(&node, 29).await;
    assert_eq!(approvals(&node, IDLE).await, 1);
    days(&node, 2).await;
    assert_eq!(approvals(&node, IDLE).await, 0);
    days(&node, 10).await;
    let revoked = node.audited(AuditKind::GrantRevoked).await;
    days(&node, 10).await;
    assert_eq!(node.audited(AuditKind::GrantRevoked).await, revoked, "once");
}

#[tokio::test]
async fn a_sign_of_life_begins_anew() {
    let node = node().await;
    node.add_person(IDLE, PASSWORD).await;
    days(&node, 31).await;
    assert!(ahead(&node, rule(), IDLE).await.unwrap().note.is_some());
    Browser::new(&node).sign_in(IDLE, PASSWORD).await;
    days(&node, 29).await;
    assert!(!is_off(&node, IDLE).await);
    assert!(ahead(&node, rule(), IDLE).await.is_none());
    days(&node, 2).await;
    let warned = ahead(&node, rule(), IDLE).await.unwrap();
    assert_eq!(warned.next.unwrap().0, Step::Disable);
    days(&node, 31).await;
    assert!(is_off(&node, IDLE).await);
    people::enable(&node.core, &Caller::command_line(), IDLE).await.unwrap();
    days(&node, 29).await;
    assert!(!is_off(&node, IDLE).await, "being switched on counts");
}

#[tokio::test]
async fn an_app_that_acts_for_somebody_keeps_them_and_itself() {
    let node = node().await;
    let app = node.register("https://app.example/cb").await;
    let mut refresh = app.tokens(&node, &Browser::signed_in(&node).await).await.text_of("refresh_token");
    for _ in 0..6 {
        days(&node, 20).await;
        refresh = app.refresh(&node, &refresh).await.text_of("refresh_token");
    }
    assert!(!is_off(&node, EMAIL).await);
    assert_eq!(node.audited(AuditKind::InactivityWarned).await, 0);
}

#[tokio::test]
async fn a_silent_app_is_switched_off_too() {
    let node = node().await;
    let app =
        node.add_client(json!({ "client_name": "Nightly", "grant_types": ["client_credentials"] })).await;
    days(&node, 31).await;
    days(&node, 31).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.id.as_str()),
        ("client_secret", app.secret.as_deref().unwrap()),
        ("resource", crate::harness::NOTES),
    ];
    node.token(&form).await.is_error(401, "invalid_client");
    assert_eq!(node.audited(AuditKind::ClientDisabled).await, 1);
}

#[tokio::test]
async fn the_last_administrator_is_never_locked_out() {
    let node = node().await;
    let caller = Caller::command_line();
    for email in ["a@example.com", "b@example.com"] {
        node.add_person(email, PASSWORD).await;
        people::set_role(&node.core, &caller, email, Role::Admin).await.unwrap();
    }
    for _ in 0..6 {
        days(&node, 31).await;
    }
    assert!(!is_off(&node, "a@example.com").await && !is_off(&node, "b@example.com").await);
    assert!(ahead(&node, rule(), "a@example.com").await.unwrap().spared);
    // One of them comes back: the other may go.
    Browser::new(&node).sign_in("b@example.com", PASSWORD).await;
    days(&node, 1).await;
    assert!(is_off(&node, "a@example.com").await && !is_off(&node, "b@example.com").await);
}

#[tokio::test]
async fn switched_on_late_it_warns_first() {
    let quiet = Node::start().await;
    quiet.add_person(IDLE, PASSWORD).await;
    quiet.advance(400 * DAY).await;
    run(&quiet.core).await.unwrap();
    assert_eq!(quiet.audited(AuditKind::InactivityWarned).await, 0, "it is off unless set");
    let dry = ahead(&quiet, rule(), IDLE).await.unwrap();
    assert!(dry.who == Silent::Person(people::find(&quiet.core, IDLE).await.unwrap().id));
    assert!(dry.note.is_none() && dry.next.unwrap().0 == Step::Warn);
    let mut policy = quiet.core.policy.clone();
    policy.inactivity = rule();
    let node = quiet.second_with(policy);
    run(&node.core).await.unwrap();
    run(&node.core).await.unwrap();
    assert!(!is_off(&node, IDLE).await, "warned first, however long it was");
    days(&node, 29).await;
    assert!(!is_off(&node, IDLE).await);
    days(&node, 2).await;
    assert!(is_off(&node, IDLE).await);
}

#[tokio::test]
async fn two_nodes_do_nothing_twice() {
    let node = node().await;
    node.add_person(IDLE, PASSWORD).await;
    let second = node.second();
    node.advance(31 * DAY).await;
    for core in [&node.core, &second.core, &node.core] {
        run(core).await.unwrap();
    }
    assert_eq!(node.audited(AuditKind::InactivityWarned).await, 2, "this person and the other one");
    node.advance(31 * DAY).await;
    for core in [&second.core, &node.core, &second.core] {
        run(core).await.unwrap();
    }
    assert_eq!(node.audited(AuditKind::UserDisabled).await, 2);
    let strange = InactivityRule { disable_after: Some(Duration::from_secs(DAY)), ..rule() };
    assert!(inactivity::preview(&node.core, strange).await.is_err());
}
