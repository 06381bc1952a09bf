//! Cuts of access: what they hit, that they hit it everywhere at once and nothing beside it, and that undoing one gives
//! back exactly what it took.

use std::time::Duration;

use postern::flow::core::Caller;
use postern::flow::cut::{self, By, Order};
use postern::flow::{offboard, people, verify};
use postern::storage::{clients, grants};
use postern::types::audit::AuditKind;
use postern::types::client::ClientId;
use postern::types::cut::{Cut, Kind, Target};
use postern::types::grant::Grant;
use postern::types::id::GrantId;
use postern::types::resource_uri::ResourceUri;
use serde_json::json;

use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD};
use crate::revocation::is_listed;

const WEB: &str = "https://app.example/cb";
const MAIL: &str = "https://mail.example/mcp";
const HOUR: Duration = Duration::from_secs(3_600);

async fn order(node: &Node, kind: &str, value: &str, how: Kind) -> Cut {
    let target = cut::target_of(&node.core, kind, value).await.unwrap();
    let order = Order { target, kind: how, reason: "test".to_owned(), by: By::command_line() };
    cut::cut(&node.core, &Caller::command_line(), order).await.unwrap()
}

async fn undo(node: &Node, cut: &Cut) {
    assert!(try_undo(node, cut).await);
}

async fn try_undo(node: &Node, cut: &Cut) -> bool {
    let (caller, by) = (Caller::command_line(), By::command_line());
    cut::undo(&node.core, &caller, &by, &cut.id.to_string()).await.is_ok()
}

/// Live by every way of asking, or dead by every way.
#[track_caller]
fn agree(node: &Node, token: &str, live: bool, active: bool, listed: bool) {
    let accepted = verify::verify(&node.core, token, &ResourceUri::parse(NOTES).unwrap()).is_ok();
    assert_eq!((accepted, active, !listed), (live, live, live), "verification, introspection, status list");
}

async fn is_live(node: &Node, tokens: &Answer, live: bool) {
    let token = tokens.text_of("access_token");
    let (active, listed) = (node.is_active(&token).await, is_listed(node, &token).await);
    agree(node, &token, live, active, listed);
}

async fn refreshed(node: &Node, app: &App, tokens: &Answer) -> Answer {
    app.refresh(node, &tokens.text_of("refresh_token")).await
}

#[tokio::test]
async fn a_suspension_stops_everything_and_gives_it_all_back() {
    let node = Node::start().await;
    node.add_person("ben@example.com", PASSWORD).await;
    let (app, other) = (node.register(WEB).await, node.register(WEB).await);
    let (ana, ben) = (Browser::signed_in(&node).await, Browser::new(&node));
    ben.sign_in("ben@example.com", PASSWORD).await;
    let (hers, his) = (app.tokens(&node, &ana).await, other.tokens(&node, &ben).await);
    let code = app.code(&ana).await;
    let made = order(&node, "person", EMAIL, Kind::Suspend(None)).await;
    assert_eq!((made.impact.people, made.impact.grants, made.impact.sessions), (1, 1, 1));
    assert_eq!((made.impact.live_tokens, made.impact.families), (1, 1));
    assert_eq!(made.impact.first_people, [EMAIL]);
    is_live(&node, &hers, false).await;
    is_live(&node, &his, true).await;
    let refused = refreshed(&node, &app, &hers).await;
    refused.is_error(403, "access_denied");
    app.redeem(&node, &code).await.is_error(403, "access_denied");
    assert_eq!(ana.get("/account").await.status, 303, "her session does not count");
    assert_eq!(ben.get("/account").await.status, 200);
    undo(&node, &made).await;
    is_live(&node, &hers, true).await;
    assert_eq!(ana.get("/account").await.status, 200);
    assert_eq!(app.redeem(&node, &code).await.status, 200, "the code waited");
    assert_eq!(refreshed(&node, &app, &hers).await.status, 200, "and so did the refresh token");
    assert_eq!(node.audited(AuditKind::AccessCut).await, 1);
    assert_eq!(node.audited(AuditKind::AccessCutUndone).await, 1);
}

#[tokio::test]
async fn undoing_gives_back_nothing_that_was_revoked_meanwhile() {
    let node = Node::start().await;
    let (app, other) = (node.register(WEB).await, node.register(WEB).await);
    let browser = Browser::signed_in(&node).await;
    let (first, second) = (app.tokens(&node, &browser).await, other.tokens(&node, &browser).await);
    let person = order(&node, "person", EMAIL, Kind::Suspend(None)).await;
    let client = order(&node, "client", &app.id, Kind::Suspend(None)).await;
    order(&node, "client", &other.id, Kind::Revoke).await;
    undo(&node, &person).await;
    is_live(&node, &first, false).await;
    refreshed(&node, &app, &first).await.is_error(403, "access_denied");
    refreshed(&node, &other, &second).await.is_error(400, "invalid_grant");
    undo(&node, &client).await;
    is_live(&node, &first, true).await;
    is_live(&node, &second, false).await;
    assert!(!try_undo(&node, &client).await, "once is enough");
}

#[tokio::test]
async fn an_isolation_ends_by_the_clock_alone() {
    let node = Node::start().await;
    node.add_resource(MAIL, |_| {}).await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    let mail = app.redeem(&node, &browser.approve(&app.ask().set("resource", MAIL)).await).await;
    order(&node, "resource", NOTES, Kind::Isolate(Duration::from_secs(120))).await;
    is_live(&node, &tokens, false).await;
    assert!(!is_listed(&node, &mail.text_of("access_token")).await, "another server is not hit");
    assert_eq!(browser.get(&app.ask().path()).await.callback()["error"], "access_denied");
    node.advance(119).await;
    refreshed(&node, &app, &tokens).await.is_error(403, "access_denied");
    node.advance(1).await;
    is_live(&node, &tokens, true).await;
    assert_eq!(refreshed(&node, &app, &tokens).await.status, 200);
}

#[tokio::test]
async fn a_suspension_whose_window_is_over_is_a_revocation() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let tokens = app.tokens(&node, &Browser::new(&node)).await;
    let made = order(&node, "everything", "", Kind::Suspend(Some(Duration::from_secs(60)))).await;
    node.advance(61).await;
    refreshed(&node, &app, &tokens).await.is_error(403, "access_denied");
    assert!(!try_undo(&node, &made).await, "too late");
    cut::finish(&node.core).await.unwrap();
    refreshed(&node, &app, &tokens).await.is_error(400, "invalid_grant");
    cut::finish(&node.core).await.unwrap();
    assert_eq!(node.audited(AuditKind::AccessCutApplied).await, 1);
    let again = app.tokens(&node, &Browser::new(&node)).await;
    is_live(&node, &again, true).await;
}

#[tokio::test]
async fn what_is_due_meets_its_challenge_at_the_next_refresh() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    node.advance(1).await;
    order(&node, "client", &app.id, Kind::Reconsent).await;
    is_live(&node, &tokens, false).await;
    refreshed(&node, &app, &tokens).await.is_error(400, "consent_required");
    let silent = browser.get(&app.ask().set("prompt", "none").path()).await;
    assert_eq!(silent.callback()["error"], "consent_required", "not answered from memory");
    node.advance(1).await;
    assert!(browser.open(&app.ask()).await.has_form("/consent"));
    let anew = app.tokens(&node, &browser).await;
    is_live(&node, &anew, true).await;
    assert_eq!(refreshed(&node, &app, &tokens).await.status, 200, "the approval is new");

    node.advance(1).await;
    let made = order(&node, "client", &app.id, Kind::Reauthenticate).await;
    is_live(&node, &anew, false).await;
    refreshed(&node, &app, &anew).await.is_error(400, "login_required");
    assert!(browser.open(&app.ask()).await.has_form("/login"), "the old sign-in does not do");
    node.advance(1).await;
    let fresh = app.tokens(&node, &browser).await;
    is_live(&node, &fresh, true).await;
    refreshed(&node, &app, &anew).await.is_error(400, "login_required");
    undo(&node, &made).await;
    assert_eq!(refreshed(&node, &app, &anew).await.status, 200);
}

#[tokio::test]
async fn a_revocation_ends_sessions_and_all_by_every_axis() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    for (kind, value) in [
        ("person", EMAIL),
        ("client", &app.id),
        ("resource", NOTES),
        ("network", "127.0.0.0/8"),
        ("everything", ""),
    ] {
        let browser = Browser::signed_in(&node).await;
        let tokens = app.tokens(&node, &browser).await;
        let target = cut::target_of(&node.core, kind, value).await.unwrap();
        let before = cut::preview(&node.core, &target).await.unwrap();
        let made = order(&node, kind, value, Kind::Revoke).await;
        assert_eq!(made.impact, before, "{kind}");
        assert_eq!((before.grants, before.live_tokens), (1, 1), "{kind}");
        is_live(&node, &tokens, false).await;
        refreshed(&node, &app, &tokens).await.is_error(400, "invalid_grant");
        let signed_out = browser.get("/account").await.status == 303;
        assert_eq!(signed_out, ["person", "network", "everything"].contains(&kind), "{kind}");
        let (found, last) = cut::find(&node.core, &made.id.to_string()).await.unwrap();
        assert_eq!((found.state(node.core.now()), last), ("done", Some(node.core.now())), "{kind}");
        node.advance(301).await;
    }
    for bad in ["10.0.0.1/8", "x"] {
        assert!(cut::target_of(&node.core, "network", bad).await.is_err());
    }
    assert!(cut::target_of(&node.core, "domain", "a%b").await.is_err());
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    order(&node, "network", "192.0.2.0/24", Kind::Revoke).await;
    order(&node, "domain", "app.example", Kind::Revoke).await;
    is_live(&node, &tokens, true).await;
}

#[tokio::test]
async fn another_node_follows_within_one_look() {
    let node = Node::start().await;
    let other = node.second();
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    other.catch_up().await;
    is_live(&other, &tokens, true).await;
    let made = order(&node, "client", &app.id, Kind::Isolate(HOUR)).await;
    other.catch_up().await;
    is_live(&other, &tokens, false).await;
    refreshed(&other, &app, &tokens).await.is_error(403, "access_denied");
    undo(&node, &made).await;
    other.catch_up().await;
    is_live(&other, &tokens, true).await;
    order(&node, "everything", "", Kind::Revoke).await;
    other.catch_up().await;
    is_live(&other, &tokens, false).await;
    refreshed(&other, &app, &tokens).await.is_error(400, "invalid_grant");
}

/// Past `CUT_AT_ONCE` a revocation holds by rule first, and its tokens die by their time of issue.
#[tokio::test]
async fn a_cut_of_very_many_leaves_the_list_of_revoked_tokens_short() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    let user = people::find(&node.core, EMAIL).await.unwrap().id;
    let resource = postern::flow::resources::find(&node.core, NOTES).await.unwrap().id;
    let (now, rng) = (node.core.now(), std::sync::Arc::clone(&node.core.rng));
    node.core
        .store
        .write(move |tx| {
            let like = clients::list(tx)?.remove(0);
            for number in 0..5_000 {
                let grant = Grant {
                    id: GrantId::new(now, rng.as_ref()),
                    user_id: Some(user),
                    client_id: ClientId::parse(&format!("client-{number}")).unwrap(),
                    resource_id: resource,
                    scopes: postern::types::scope::ScopeSet::parse("notes:read").unwrap(),
                    client_fingerprint: like.fingerprint(),
                    created_at: now,
                    updated_at: now,
                    expires_at: now.plus(HOUR),
                    last_used_at: None,
                    last_used_address: None,
                    revoked_at: None,
                    narrowed_at: None,
                };
                grants::insert(tx, &grant)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let made = order(&node, "everything", "", Kind::Revoke).await;
    assert_eq!((made.impact.grants, made.state(node.core.now())), (5_001, "done"));
    assert_eq!(node.core.live.view().revoked.len(), 0);
    is_live(&node, &tokens, false).await;
    refreshed(&node, &app, &tokens).await.is_error(400, "invalid_grant");
    assert_eq!(
        postern::flow::access::list(&node.core, grants::GrantFilter::default()).await.unwrap().len(),
        0
    );
    node.advance(1).await;
    let anew = app.tokens(&node, &Browser::new(&node)).await;
    is_live(&node, &anew, true).await;
}

#[tokio::test]
async fn whoever_leaves_leaves_nothing_behind() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    let user = people::find(&node.core, EMAIL).await.unwrap().id;
    let caller = Caller::command_line();
    let done =
        offboard::offboard(&node.core, &caller, By::command_line(), user, "left".to_owned()).await.unwrap();
    assert_eq!(done.reached.len(), 1);
    assert_eq!((done.reached[0].resource.as_str(), done.reached[0].scopes.len()), (NOTES, 2));
    is_live(&node, &tokens, false).await;
    refreshed(&node, &app, &tokens).await.is_error(400, "invalid_grant");
    assert_eq!(browser.get("/account").await.status, 303);
    assert_ne!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.status, 303);
    people::enable(&node.core, &caller, EMAIL).await.unwrap();
    assert_ne!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.status, 303, "the password is gone too");
    assert_eq!(node.audited(AuditKind::UserOffboarded).await, 1);
}

#[tokio::test]
async fn a_machine_is_stopped_but_never_asked() {
    let node = Node::start().await;
    let metadata = json!({"client_name": "Robot", "grant_types": ["client_credentials"]});
    let robot = node.add_client(metadata).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", NOTES),
        ("client_id", &*robot.id),
        ("client_secret", robot.secret.as_deref().unwrap()),
    ];
    let tokens = node.token(&form).await;
    is_live(&node, &tokens, true).await;
    node.advance(1).await;
    order(&node, "client", &robot.id, Kind::Reconsent).await;
    assert_eq!(node.token(&form).await.status, 200);
    let made = order(&node, "everything", "", Kind::Suspend(None)).await;
    node.token(&form).await.is_error(403, "access_denied");
    undo(&node, &made).await;
    assert_eq!(node.token(&form).await.status, 200);
    order(&node, "client", &robot.id, Kind::Revoke).await;
    is_live(&node, &tokens, false).await;
    let target = Target::parse("client", "gone").unwrap();
    assert!(cut::preview(&node.core, &target).await.is_err(), "there is no such client");
}
