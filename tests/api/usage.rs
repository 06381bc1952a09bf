//! Detectors that follow how approvals are used: attacks are seen, ordinary use is not.

use std::time::Duration;

use postern::account::detector::usual;
use postern::flow::alerts::{self, watch};
use postern::flow::core::Caller;
use postern::types::alert::{Action, Alert, Detector, Rule, Subject};
use postern::types::audit::AuditKind;
use postern::types::policy::{CALLS_WORTH_NOTING, TOKENS_WORTH_NOTING};
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD};

const OTHER: &str = "https://other.example.com/mcp";

async fn open(node: &Node) -> Vec<Alert> {
    watch(&node.core).await.unwrap();
    alerts::list(&node.core, true).await.unwrap()
}

async fn set(node: &Node, rule: Rule) {
    alerts::set_rule(&node.core, &Caller::command_line(), rule).await.unwrap();
}

async fn ask(node: &Node, (id, secret): &(String, String), token: &str) -> Value {
    let request = node.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("token", token)]);
    Answer::of(request).await.body
}

/// A machine that can be anywhere.
struct Machine {
    node: Node,
    app: App,
    secret: String,
}

async fn machine() -> Machine {
    let mut node = Node::behind_proxy().await;
    node.notes = node.add_resource(NOTES, |_| {}).await;
    let app =
        node.add_client(json!({ "client_name": "Nightly", "grant_types": ["client_credentials"] })).await;
    let secret = app.secret.clone().unwrap();
    Machine { node, app, secret }
}

impl Machine {
    async fn token_from(&self, address: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.app.id.as_str()),
            ("client_secret", self.secret.as_str()),
            ("resource", NOTES),
        ];
        let request = self.node.request("POST", "/token").header("X-Forwarded-For", address).form(&form);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text_of("access_token")
    }

    /// One token from each, a few minutes apart.
    async fn tokens_from(&self, addresses: &[&str]) {
        for address in addresses {
            self.node.advance(120).await;
            self.token_from(address).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_tries_tokens_at_another_is_seen_and_the_approval_isolated() {
    let node = Node::start().await;
    let other = node.add_resource(OTHER, |_| {}).await;
    let app = node.register("https://app.example/cb").await;
    let token = app.tokens(&node, &Browser::signed_in(&node).await).await.text_of("access_token");
    let action = Action::Isolate(Duration::from_secs(600));
    set(&node, Rule { threshold: 5, action, ..usual(Detector::WrongServer) }).await;
    for _ in 0..4 {
        assert_eq!(ask(&node, &other, &token).await, json!({ "active": false }));
    }
    assert_eq!(open(&node).await, [], "below the threshold");
    assert!(node.is_active(&token).await);
    ask(&node, &other, &token).await;
    let found = open(&node).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].detector, found[0].finding.count), (Detector::WrongServer, 5));
    assert!(matches!(found[0].finding.subject, Subject::Grant(_)));
    assert_eq!(
        node.audited(AuditKind::TokenMisdirected).await,
        2,
        "one record a look, however many there were"
    );
    node.catch_up().await;
    assert!(!node.is_active(&token).await);
}

#[tokio::test]
async fn the_right_server_and_strangers_tokens_raise_nothing() {
    let node = Node::start().await;
    let other = node.add_resource(OTHER, |_| {}).await;
    let app = node.register("https://app.example/cb").await;
    let token = app.tokens(&node, &Browser::signed_in(&node).await).await.text_of("access_token");
    set(&node, Rule { threshold: 1, ..usual(Detector::WrongServer) }).await;
    assert!(node.is_active(&token).await);
    let (signed, _) = token.rsplit_once('.').unwrap();
    for forged in [format!("{signed}.AAAA"), "nonsense".to_owned(), String::from("a.b.c")] {
        ask(&node, &other, &forged).await;
    }
    assert_eq!(open(&node).await, []);
    assert_eq!(node.audited(AuditKind::TokenMisdirected).await, 0);
}

#[tokio::test]
async fn a_token_for_a_server_at_the_admin_api_is_seen() {
    let node = Node::start().await;
    postern::flow::admin_api::ensure(&node.core).await.unwrap();
    let app = node.register("https://app.example/cb").await;
    let token = app.tokens(&node, &Browser::signed_in(&node).await).await.text_of("access_token");
    set(&node, Rule { threshold: 1, ..usual(Detector::WrongServer) }).await;
    let answer = Answer::of(node.request("GET", "/admin/api/v1/people").bearer_auth(&token)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(open(&node).await.len(), 1);
}

#[tokio::test]
async fn a_stolen_secret_used_beside_its_owner_is_seen() {
    let machine = machine().await;
    let rule = Rule { threshold: 4, ..usual(Detector::TwoNetworks) };
    set(&machine.node, rule).await;
    let since = machine.node.core.now();
    let (owner, thief) = ("192.0.2.7", "198.51.100.9");
    machine.tokens_from(&[owner, owner, thief, owner, thief]).await;
    assert_eq!(open(&machine.node).await, [], "three changes");
    machine.tokens_from(&[owner]).await;
    let found = open(&machine.node).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].detector, found[0].finding.count), (Detector::TwoNetworks, 4));
    let dry = alerts::dry_run(&machine.node.core, rule, since).await.unwrap();
    assert_eq!(dry.iter().map(|finding| finding.count).collect::<Vec<_>>(), [4]);
    let lax = Rule { threshold: 5, ..rule };
    assert_eq!(alerts::dry_run(&machine.node.core, lax, since).await.unwrap(), []);
}

#[tokio::test]
async fn a_thief_who_is_quick_is_seen_too() {
    let machine = machine().await;
    set(&machine.node, Rule { threshold: 4, ..usual(Detector::TwoNetworks) }).await;
    for address in ["192.0.2.7", "198.51.100.9", "192.0.2.7", "198.51.100.9", "192.0.2.7"] {
        machine.token_from(address).await;
    }
    assert_eq!(open(&machine.node).await.len(), 1, "within one minute");
}

#[tokio::test]
async fn one_who_moves_or_has_two_kinds_of_addresses_is_no_thief() {
    let machine = machine().await;
    set(&machine.node, Rule { threshold: 3, ..usual(Detector::TwoNetworks) }).await;
    // From the office to the train and home.
    machine.tokens_from(&["192.0.2.7", "192.0.2.7", "198.51.100.9", "198.51.100.9", "203.0.113.5"]).await;
    // Another address of the same network each time, and IPv6 in between.
    machine.tokens_from(&["203.0.113.77", "2001:db8::1", "203.0.113.5", "2001:db8::2", "203.0.113.9"]).await;
    assert_eq!(open(&machine.node).await, []);
    assert_eq!(machine.node.audited(AuditKind::GrantMoved).await, 2);
}

#[tokio::test]
async fn a_person_who_refreshes_from_elsewhere_is_noted_once() {
    let mut node = Node::behind_proxy().await;
    node.notes = node.add_resource(NOTES, |_| {}).await;
    let app = node.register("https://app.example/cb").await;
    let browser = Browser::new(&node);
    browser.sign_in(EMAIL, PASSWORD).await;
    let mut refresh = app.tokens(&node, &browser).await.text_of("refresh_token");
    for address in ["192.0.2.1", "192.0.2.1", "198.51.100.1", "198.51.100.2"] {
        node.advance(300).await;
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str()),
            ("client_id", app.id.as_str()),
        ];
        let request = node.request("POST", "/token").header("X-Forwarded-For", address).form(&form);
        refresh = Answer::of(request).await.text_of("refresh_token");
    }
    // From where the browser was, and from the first network to the second.
    assert_eq!(node.audited(AuditKind::GrantMoved).await, 2);
    assert_eq!(open(&node).await, []);
}

#[tokio::test]
async fn a_flood_of_calls_is_seen_and_steady_use_is_not() {
    let node = Node::start().await;
    let app = node.register("https://app.example/cb").await;
    let token = app.tokens(&node, &Browser::signed_in(&node).await).await.text_of("access_token");
    let rule = Rule { threshold: CALLS_WORTH_NOTING, ..usual(Detector::CallVolume) };
    set(&node, rule).await;
    for _ in 1..CALLS_WORTH_NOTING {
        node.introspect(&token).await;
    }
    node.advance(61).await;
    assert_eq!(open(&node).await, []);
    assert_eq!(node.audited(AuditKind::GrantBusy).await, 0, "ordinary use leaves no record");
    for _ in 0..CALLS_WORTH_NOTING {
        node.introspect(&token).await;
    }
    node.advance(61).await;
    let found = open(&node).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].detector, found[0].finding.count), (Detector::CallVolume, CALLS_WORTH_NOTING));
    assert_eq!(node.audited(AuditKind::GrantBusy).await, 1);
}

#[tokio::test]
async fn a_flood_of_tokens_ends_the_approval_if_the_rule_says_so() {
    let machine = machine().await;
    let rule =
        Rule { threshold: TOKENS_WORTH_NOTING, action: Action::Revoke, ..usual(Detector::TokenVolume) };
    set(&machine.node, rule).await;
    let mut last = String::new();
    for _ in 0..TOKENS_WORTH_NOTING {
        last = machine.token_from("192.0.2.7").await;
    }
    assert!(machine.node.is_active(&last).await);
    machine.node.advance(61).await;
    let found = open(&machine.node).await;
    assert_eq!((found.len(), found[0].detector), (1, Detector::TokenVolume));
    machine.node.catch_up().await;
    assert!(!machine.node.is_active(&last).await);
}

#[tokio::test]
async fn an_approval_that_wakes_after_weeks_is_seen() {
    let machine = machine().await;
    let day = 86_400;
    machine.token_from("192.0.2.7").await;
    machine.node.advance(5 * day).await;
    machine.token_from("192.0.2.7").await;
    assert_eq!(open(&machine.node).await, [], "five days are no long time");
    machine.node.advance(15 * day).await;
    machine.token_from("192.0.2.7").await;
    let found = open(&machine.node).await;
    assert_eq!((found.len(), found[0].detector, found[0].finding.count), (1, Detector::LongIdle, 15));
    machine.token_from("192.0.2.7").await;
    assert_eq!(open(&machine.node).await[0].finding.count, 15, "it is awake now");
    let since = machine.node.core.now().minus(Duration::from_secs(30 * day));
    let strict = Rule { threshold: 4, ..usual(Detector::LongIdle) };
    let dry = alerts::dry_run(&machine.node.core, strict, since).await.unwrap();
    assert_eq!(dry.iter().map(|finding| finding.count).collect::<Vec<_>>(), [5, 15]);
}
