//! Signing keys as the outside sees them: published before they sign, kept until their last token has expired.

use std::collections::BTreeSet;
use std::time::Duration;

use postern::flow::core::Caller;
use postern::flow::keys;
use postern::flow::verify::verify;
use postern::storage::keys as stored;
use postern::types::key::SigningAlg;
use postern::types::resource_uri::ResourceUri;

use crate::harness::{App, Browser, NOTES, Node, header_of, verified};

const LONG: &str = "https://long.example/mcp";
const WEB: &str = "https://app.example/cb";

async fn published(node: &Node) -> BTreeSet<String> {
    let set = node.get("/jwks.json").await.body;
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn fresh(node: &Node, app: &App, browser: &Browser) -> (String, String) {
    let code = browser.approve(&app.ask().set("resource", LONG)).await;
    let token = app.redeem(node, &code).await.text_of("access_token");
    let kid = header_of(&token)["kid"].as_str().unwrap().to_owned();
    (token, kid)
}

async fn world() -> (Node, App, Browser) {
    let node = Node::start().await;
    node.add_resource(LONG, |new| new.access_token_ttl = Some(Duration::from_secs(3_600))).await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    (node, app, browser)
}

async fn good(node: &Node, token: &str) {
    verified(node, token).await;
    assert!(verify(&node.core, token, &long()).is_ok());
}

fn long() -> ResourceUri {
    ResourceUri::parse(LONG).unwrap()
}

#[tokio::test]
async fn rotation_by_hand_breaks_no_token() {
    let (node, app, browser) = world().await;
    let other = node.second();
    node.advance(1_000).await;
    other.catch_up().await;
    let before = published(&node).await;
    let (old, old_kid) = fresh(&node, &app, &browser).await;
    keys::rotate(&node.core, &Caller::command_line()).await.unwrap();
    let (new, new_kid) = fresh(&node, &app, &browser).await;
    assert_ne!(old_kid, new_kid);
    assert!(before.contains(&new_kid), "the new key was published before it signed");
    good(&node, &old).await;
    good(&node, &new).await;
    verified(&other, &new).await;
    other.catch_up().await;
    good(&other, &old).await;
    good(&other, &new).await;
    assert!(published(&node).await.len() > before.len(), "the key after that is published now");
    node.advance(3_500).await;
    good(&node, &old).await;
    node.advance(3_600).await;
    let after = published(&node).await;
    assert!(!after.contains(&old_kid), "gone after its last token");
    assert!(after.contains(&new_kid));
}

#[tokio::test]
async fn a_key_made_just_now_is_not_used_before_others_can_know_it() {
    let (node, app, browser) = world().await;
    let (_, first) = fresh(&node, &app, &browser).await;
    keys::rotate(&node.core, &Caller::command_line()).await.unwrap();
    let (_, still) = fresh(&node, &app, &browser).await;
    assert_eq!(first, still, "others may have kept the key set for five minutes");
    node.advance(301).await;
    let (token, then) = fresh(&node, &app, &browser).await;
    assert_ne!(first, then);
    good(&node, &token).await;
}

#[tokio::test]
async fn rotation_twice_in_a_row_still_signs_with_published_keys() {
    let (node, app, browser) = world().await;
    for _ in 0..4 {
        let known = published(&node).await;
        keys::rotate(&node.core, &Caller::command_line()).await.unwrap();
        let (token, kid) = fresh(&node, &app, &browser).await;
        assert!(known.contains(&kid));
        good(&node, &token).await;
        node.advance(60).await;
    }
    assert!(published(&node).await.len() < 10);
}

#[tokio::test]
async fn the_timer_rotates_after_ninety_days() {
    let (node, app, browser) = world().await;
    let (_, first) = fresh(&node, &app, &browser).await;
    let known = published(&node).await;
    node.advance(90 * 86_400 + 1).await;
    let browser = Browser::new(&node);
    let (token, second) = fresh(&node, &app, &browser).await;
    assert_ne!(first, second, "the waiting key takes over by itself");
    assert!(known.contains(&second));
    keys::rotate_due(&node.core).await.unwrap();
    good(&node, &token).await;
    assert_eq!(published(&node).await.len(), 3, "old, current and next");
    keys::rotate_due(&node.core).await.unwrap();
    assert_eq!(published(&node).await.len(), 3, "once is enough");
    node.advance(86_400).await;
    assert!(!published(&node).await.contains(&first));
}

#[tokio::test]
async fn a_resource_chooses_how_its_tokens_are_signed() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    for (alg, uri) in
        [(SigningAlg::RS256, "https://rsa.example/mcp"), (SigningAlg::EDDSA, "https://ed.example/mcp")]
    {
        node.add_resource(uri, |new| new.signing_alg = alg).await;
        let code = browser.approve(&app.ask().set("resource", uri)).await;
        let token = app.redeem(&node, &code).await.text_of("access_token");
        assert_eq!(header_of(&token)["alg"], alg.as_str());
        assert_eq!(verified(&node, &token).await["aud"], uri);
    }
    let plain = app.tokens(&node, &browser).await.text_of("access_token");
    assert_eq!(verified(&node, &plain).await["aud"], NOTES);
    assert_eq!(header_of(&plain)["alg"], "ES256");
}

#[tokio::test]
async fn keys_survive_a_restart() {
    let (node, app, browser) = world().await;
    let (token, kid) = fresh(&node, &app, &browser).await;
    let again = node.second();
    assert_eq!(published(&again).await, published(&node).await);
    good(&again, &token).await;
    let browser = Browser::new(&again);
    assert_eq!(fresh(&again, &app, &browser).await.1, kid);
}

#[tokio::test]
async fn what_a_key_has_signed_ends_with_it_wherever_it_is_known() {
    let mut node = Node::start().await;
    node.notes = node.add_resource(LONG, |new| new.access_token_ttl = Some(Duration::from_secs(3_600))).await;
    let app = node.register(WEB).await;
    let (token, kid) = fresh(&node, &app, &Browser::new(&node)).await;
    let end = node.core.now().plus(Duration::from_secs(10));
    assert!(node.core.store.write(move |tx| stored::retire(tx, &kid, end)).await.unwrap());
    for (wait, good) in [(0, true), (9, true), (1, false)] {
        node.advance(wait).await;
        assert_eq!(verify(&node.core, &token, &long()).is_ok(), good, "{wait}");
        assert_eq!(node.is_active(&token).await, good, "{wait}");
    }
}
