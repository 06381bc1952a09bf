//! The refresh family: one chain, the same successor for a repeat, and an end when somebody else joins in.

use std::collections::HashSet;

use futures_util::future::join_all;
use postern::types::audit::AuditKind;

use crate::harness::{App, Browser, EMAIL, Node};

const LOCAL: &str = "http://127.0.0.1:7777/cb";

struct World {
    node: Node,
    app: App,
    browser: Browser,
    access: String,
    refresh: String,
}

async fn world() -> World {
    let node = Node::start().await;
    let app = node.register(LOCAL).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let (access, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    World { node, app, browser, access, refresh }
}

/// Everything under the grant is dead.
async fn all_dead(world: &World, access: &[&str], refresh: &[&str]) {
    for token in access {
        assert!(!world.node.is_active(token).await);
    }
    for token in refresh {
        world.app.refresh(&world.node, token).await.is_error(400, "invalid_grant");
    }
}

#[tokio::test]
async fn every_use_gives_a_new_one() {
    let world = world().await;
    let mut seen = HashSet::from([world.refresh.clone()]);
    let mut current = world.refresh.clone();
    for _ in 0..5 {
        world.node.advance(100).await;
        let answer = world.app.refresh(&world.node, &current).await;
        assert_eq!(answer.body["scope"], "notes:read notes:write", "without scope everything stays");
        assert_eq!(answer.header("cache-control"), "no-store");
        current = answer.text_of("refresh_token");
        assert!(seen.insert(current.clone()), "a token came twice");
        assert!(world.node.is_active(&answer.text_of("access_token")).await);
    }
    assert_eq!(world.node.audited(AuditKind::RefreshRepeated).await, 0);
}

#[tokio::test]
async fn a_lost_answer_is_given_again() {
    let world = world().await;
    let lost = world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(30).await;
    let again = world.app.refresh(&world.node, &world.refresh).await;
    assert_eq!(again.text_of("refresh_token"), lost.text_of("refresh_token"), "the same successor");
    assert_ne!(again.text_of("access_token"), lost.text_of("access_token"), "and a new access token");
    assert_eq!(world.node.audited(AuditKind::RefreshRepeated).await, 1);
    let onward = world.app.refresh(&world.node, &again.text_of("refresh_token")).await;
    assert_eq!(onward.status, 200, "the chain goes on");
}

#[tokio::test]
async fn the_cause_of_every_repeat_is_recorded() {
    let world = world().await;
    let causes = async || {
        let filter = postern::storage::audit::AuditFilter {
            kind: Some(AuditKind::RefreshRepeated),
            ..Default::default()
        };
        let list = postern::flow::audit::list(&world.node.core, filter).await.unwrap();
        list.iter().map(|event| event.detail["cause"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(1).await;
    world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(20).await;
    world.app.refresh(&world.node, &world.refresh).await;
    assert_eq!(causes().await, ["concurrent", "lost_answer"]);
}

#[tokio::test]
async fn after_the_window_a_repeat_is_theft() {
    let world = world().await;
    let next = world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(31).await;
    world.app.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    let (access, refresh) = (next.text_of("access_token"), next.text_of("refresh_token"));
    all_dead(&world, &[&world.access, &access], &[&refresh, &world.refresh]).await;
    assert_eq!(world.node.audited(AuditKind::RefreshReused).await, 1);
    let page = world.browser.open(&world.app.ask()).await;
    assert!(!page.words().contains("You allowed this"), "the approval itself has ended");
}

#[tokio::test]
async fn once_the_successor_is_used_a_repeat_is_theft() {
    let world = world().await;
    let second = world.app.refresh(&world.node, &world.refresh).await;
    let third = world.app.refresh(&world.node, &second.text_of("refresh_token")).await;
    world.app.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    let refresh = [third.text_of("refresh_token"), second.text_of("refresh_token")];
    let access = [third.text_of("access_token"), second.text_of("access_token")];
    all_dead(&world, &[&access[0], &access[1], &world.access], &[&refresh[0], &refresh[1]]).await;
}

#[tokio::test]
async fn sixty_four_refreshes_of_one_token_agree() {
    let world = world().await;
    let other = world.node.second();
    let all = (0..64)
        .map(|number| world.app.refresh(if number % 2 == 0 { &world.node } else { &other }, &world.refresh));
    let answers = join_all(all).await;
    let mut successors = HashSet::new();
    let mut tokens = HashSet::new();
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        successors.insert(answer.text_of("refresh_token"));
        tokens.insert(answer.text_of("access_token"));
    }
    assert_eq!(successors.len(), 1, "one successor, no fork");
    assert_eq!(tokens.len(), 64);
    let onward = world.app.refresh(&world.node, successors.iter().next().unwrap()).await;
    assert_eq!(onward.status, 200, "the family lives");
    assert!(world.node.is_active(&onward.text_of("access_token")).await);
    assert_eq!(world.node.audited(AuditKind::RefreshReused).await, 0);
    assert_eq!(world.node.audited(AuditKind::RefreshRepeated).await, 63);
}

#[tokio::test]
async fn five_processes_that_share_one_token_file_keep_working() {
    let world = world().await;
    let mut file = world.refresh.clone();
    for round in 0..6 {
        // All five read the file, wake up at about the same moment, and write what they got, in any order.
        let answers = join_all((0..5).map(|_| world.app.refresh(&world.node, &file))).await;
        let mut written = Vec::new();
        for answer in answers {
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
            written.push(answer.text_of("refresh_token"));
        }
        // One more was asleep with the old file and comes late, but within the window.
        world.node.advance(25).await;
        let late = world.app.refresh(&world.node, &file).await;
        assert_eq!(late.status, 200, "round {round}, late: {}", late.text);
        written.push(late.text_of("refresh_token"));
        file = written.swap_remove(round % written.len());
        world.node.advance(240).await;
    }
    assert_eq!(world.node.audited(AuditKind::RefreshReused).await, 0);
}

#[tokio::test]
async fn a_client_that_never_saves_works_within_the_window() {
    let world = world().await;
    let mut successor = None;
    for _ in 0..10 {
        let answer = world.app.refresh(&world.node, &world.refresh).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(world.node.is_active(&answer.text_of("access_token")).await);
        let token = answer.text_of("refresh_token");
        assert_eq!(*successor.get_or_insert(token.clone()), token);
        world.node.advance(3).await;
    }
}

#[tokio::test]
async fn a_refresh_narrows_this_token_and_not_the_next() {
    let world = world().await;
    let narrow = world.app.refresh_with(&world.node, &world.refresh, &[("scope", "notes:read")]).await;
    assert_eq!(narrow.body["scope"], "notes:read");
    let wide = world.app.refresh(&world.node, &narrow.text_of("refresh_token")).await;
    assert_eq!(wide.body["scope"], "notes:read notes:write");
    let token = wide.text_of("refresh_token");
    let more = world.app.refresh_with(&world.node, &token, &[("scope", "notes:read admin")]).await;
    assert_eq!(more.body["scope"], "notes:read", "never more than was granted");
    let token = more.text_of("refresh_token");
    world.app.refresh_with(&world.node, &token, &[("scope", "admin")]).await.is_error(400, "invalid_scope");
    assert_eq!(world.app.refresh(&world.node, &token).await.status, 200, "a refusal spends nothing");
}

#[tokio::test]
async fn another_clients_refresh_token_is_refused_and_unharmed() {
    let world = world().await;
    let thief = world.node.register(LOCAL).await;
    thief.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    assert!(world.node.is_active(&world.access).await);
    let used = world.app.refresh(&world.node, &world.refresh).await;
    thief.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    world.node.advance(60).await;
    thief.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    assert_eq!(world.app.refresh(&world.node, &used.text_of("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn other_secrets_are_no_refresh_tokens() {
    let world = world().await;
    for token in [
        &world.access,
        "",
        "pst_rt_",
        &world.refresh[..world.refresh.len() - 1],
        &format!("{}0", world.refresh),
        &world.refresh.to_uppercase(),
        &format!(" {}", world.refresh),
    ] {
        let answer = world.app.refresh(&world.node, token).await;
        answer.is_error(400, if token.is_empty() { "invalid_request" } else { "invalid_grant" });
    }
    assert_eq!(world.app.refresh(&world.node, &world.refresh).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_not_used_for_long_ends_and_so_does_the_chain() {
    let day = 86_400;
    let idle = world().await;
    idle.node.advance(30 * day).await;
    idle.app.refresh(&idle.node, &idle.refresh).await.is_error(400, "invalid_grant");
    let busy = world().await;
    let mut current = busy.refresh.clone();
    for _ in 0..12 {
        busy.node.advance(29 * day).await;
        let answer = busy.app.refresh(&busy.node, &current).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        current = answer.text_of("refresh_token");
    }
    busy.node.advance(18 * day).await;
    busy.app.refresh(&busy.node, &current).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn reuse_ends_this_family_and_leaves_other_approvals() {
    let world = world().await;
    let other = world.node.register(LOCAL).await;
    let theirs = other.tokens(&world.node, &world.browser).await;
    world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(31).await;
    world.app.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    assert!(world.node.is_active(&theirs.text_of("access_token")).await);
    assert_eq!(other.refresh(&world.node, &theirs.text_of("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn used_tokens_are_still_known_after_a_sweep() {
    let world = world().await;
    let next = world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(10 * 86_400).await;
    postern::flow::sweep::sweep(&world.node.core).await.unwrap();
    world.app.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    world.app.refresh(&world.node, &next.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    assert_eq!(world.node.audited(AuditKind::RefreshReused).await, 1, "reuse is seen after days");
}

#[tokio::test]
async fn reuse_is_seen_across_nodes() {
    let world = world().await;
    let other = world.node.second();
    let next = world.app.refresh(&world.node, &world.refresh).await;
    let further = world.app.refresh(&other, &next.text_of("refresh_token")).await;
    assert_eq!(further.status, 200);
    world.app.refresh(&other, &world.refresh).await.is_error(400, "invalid_grant");
    world.app.refresh(&world.node, &further.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    world.node.catch_up().await;
    assert!(!world.node.is_active(&further.text_of("access_token")).await);
}

#[tokio::test]
async fn the_approval_narrowed_later_narrows_the_next_token() {
    let world = world().await;
    let page = world.browser.get(&world.app.ask().and("prompt", "consent").path()).await;
    let form = page.form("/consent").tick(&["notes:read"]).decide("allow");
    assert!(world.browser.submit(&form).await.callback().contains_key("code"));
    let answer = world.app.refresh(&world.node, &world.refresh).await;
    assert_eq!(answer.body["scope"], "notes:read", "{EMAIL} took writing back");
}

#[tokio::test]
async fn the_metrics_tell_answers_by_grant_and_repeats_by_cause() {
    let world = world().await;
    let counts = |node: &Node| {
        let issued: Vec<u64> = node.core.issued.counts().collect();
        let repeated: Vec<u64> = node.core.repeated.counts().collect();
        (issued, repeated)
    };
    assert_eq!(counts(&world.node), (vec![1, 0, 0], vec![0, 0, 0]));
    let first = world.app.refresh(&world.node, &world.refresh).await.text_of("refresh_token");
    world.app.refresh(&world.node, &world.refresh).await;
    world.node.advance(20).await;
    world.app.refresh(&world.node, &world.refresh).await;
    assert_eq!(counts(&world.node), (vec![1, 3, 0], vec![1, 1, 0]));
    world.app.refresh(&world.node, &first).await;
    world.app.refresh(&world.node, &world.refresh).await.is_error(400, "invalid_grant");
    assert_eq!(counts(&world.node), (vec![1, 4, 0], vec![1, 1, 1]));
}

#[tokio::test]
async fn no_token_outlives_the_approval() {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let browser = Browser::new(&node);
    app.tokens(&node, &browser).await;
    // A remembered approval is answered silently, which does not prolong it.
    node.advance(365 * 86_400 - 90).await;
    let late = app.tokens(&node, &browser).await;
    let left = late.body["expires_in"].as_i64().unwrap();
    assert!(left <= 90, "the approval ends in 90 s, the token in {left} s");
}
