//! `/account`: browsers, permissions, password, history, and what others may not do there.

use postern::flow::core::Caller;
use postern::flow::roles::{self, Change};
use postern::types::access_rule::{Holder, Who};
use postern::types::audit::AuditKind;
use serde_json::Value;

use crate::harness::{Browser, EMAIL, Node, PASSWORD, Page, claims_of};
use crate::second_factor::Phone;

const BACK: &str = "http://127.0.0.1:7777/callback";
const EVE: &str = "eve@example.com";

async fn enter(node: &Node, email: &str) -> Browser {
    let browser = Browser::new(node);
    assert_eq!(browser.sign_in(email, PASSWORD).await.status, 303);
    browser
}

/// A form of this page whose hidden field has this value.
fn form_with(page: &Page, action: &str, name: &str, value: &str) -> crate::harness::Form {
    page.form(action).set(name, value)
}

async fn is_in(browser: &Browser) -> bool {
    browser.get("/account").await.status == 200
}

#[tokio::test]
async fn browsers_are_listed_and_signed_out() {
    let node = Node::start().await;
    let (one, two, three) =
        (Browser::signed_in(&node).await, Browser::signed_in(&node).await, Browser::signed_in(&node).await);
    let page = one.get("/account").await;
    assert_eq!(page.text.matches("Since <time").count(), 3, "{}", page.words());
    assert_eq!(page.words().matches("This one").count(), 1);
    let form = page.form("/account/sessions/end");
    let after = one.submit(&form).await;
    assert!(after.words().contains("Signed out of 1 browser."), "{}", after.words());
    assert_eq!(u8::from(is_in(&two).await) + u8::from(is_in(&three).await), 1);
    one.submit(&form_with(&after, "/account/sessions/end", "session", "others")).await;
    assert!(is_in(&one).await && !is_in(&two).await && !is_in(&three).await);
    assert_eq!(node.audited(AuditKind::SessionsEnded).await, 2);
}

#[tokio::test]
async fn nobody_signs_out_somebody_else() {
    let node = Node::start().await;
    node.add_person(EVE, PASSWORD).await;
    let (ana, other) = (Browser::signed_in(&node).await, Browser::signed_in(&node).await);
    let page = ana.get("/account").await;
    let session = page.form("/account/sessions/end").values("session")[0].to_owned();
    let (eve, eves) = (enter(&node, EVE).await, enter(&node, EVE).await);
    let hers = eve.get("/account").await;
    eve.submit(&form_with(&hers, "/account/sessions/end", "session", &session)).await;
    assert!(is_in(&ana).await && is_in(&other).await);
    eve.submit(&form_with(&hers, "/account/sessions/end", "session", "others")).await;
    assert!(is_in(&ana).await && is_in(&other).await && !is_in(&eves).await);
    let forged = page.form("/account/sessions/end").set("csrf", "wrong");
    assert_eq!(ana.submit(&forged).await.status, 403);
    assert!(is_in(&other).await);
}

#[tokio::test]
async fn a_console_is_shown_to_whom_it_is_for() {
    let node = Node::start().await;
    let browser = Browser::signed_in(&node).await;
    assert!(!browser.get("/account").await.text.contains("/admin\""));
    let caller = postern::flow::core::Caller::command_line();
    let role = postern::types::user::Role::Auditor;
    postern::flow::people::set_role(&node.core, &caller, EMAIL, role).await.unwrap();
    assert!(browser.get("/account").await.text.contains("/admin\""));
}

async fn narrowed(node: &Node, browser: &Browser, keep: &[&str]) -> Page {
    let page = browser.get("/account").await;
    let mut form = page.form("/account/narrow");
    form.fields.retain(|(name, _)| name != "keep");
    form.fields.extend(keep.iter().map(|scope| ("keep".to_owned(), (*scope).to_owned())));
    let page = browser.submit(&form).await;
    node.catch_up().await;
    page
}

#[tokio::test]
async fn what_is_taken_back_is_gone_at_once() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    let before = app.tokens(&node, &browser).await;
    let waiting = app.code(&browser).await;
    assert_eq!(before.body["scope"], "notes:read notes:write");
    let page = narrowed(&node, &browser, &["notes:read"]).await;
    assert!(page.words().contains("Changed. Inspector can do only what you left it"), "{}", page.words());
    assert!(!node.is_active(&before.text_of("access_token")).await, "it says more than is left");
    let after = app.refresh(&node, &before.text_of("refresh_token")).await;
    assert_eq!(after.body["scope"], "notes:read", "{}", after.text);
    assert_eq!(claims_of(&after.text_of("access_token"))["scope"], "notes:read");
    assert!(node.is_active(&after.text_of("access_token")).await);
    app.redeem(&node, &waiting).await.is_error(400, "invalid_grant");
    let more = app.refresh_with(&node, &after.text_of("refresh_token"), &[("scope", "notes:write")]).await;
    assert!(more.status == 400 || more.body["scope"] != "notes:write", "{}", more.text);
    assert_eq!(node.audited(AuditKind::GrantNarrowed).await, 1);
}

#[tokio::test]
async fn narrowing_never_widens() {
    let node = Node::start().await;
    node.add_person(EVE, PASSWORD).await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.reach(&app.ask()).await;
    let page =
        browser.submit(&page.form("/consent").tick(&["notes:read", "notes:write"]).decide("allow")).await;
    let tokens = app.redeem(&node, &page.callback()["code"]).await;
    let form = browser.get("/account").await.form("/account/narrow");
    // Somebody else cannot touch it.
    let eve = enter(&node, EVE).await;
    let csrf = eve.get("/account").await.form("/logout").values("csrf")[0].to_owned();
    let theirs = form.clone().set("csrf", &csrf).set("keep", "notes:read");
    eve.submit(&theirs).await;
    assert!(node.is_active(&tokens.text_of("access_token")).await);
    assert_eq!(browser.submit(&form.clone().set("csrf", "wrong")).await.status, 403);
    narrowed(&node, &browser, &["notes:read"]).await;
    // A page that was open before knows of more, and cannot bring it back.
    let mut wider = form;
    wider.fields.push(("keep".to_owned(), "admin".to_owned()));
    browser.submit(&wider).await;
    let after = app.refresh(&node, &tokens.text_of("refresh_token")).await;
    assert_eq!(after.body["scope"], "notes:read");
    // Nothing left is nothing allowed.
    let caller = postern::flow::core::Caller::command_line();
    let grants = postern::flow::access::list(&node.core, postern::storage::grants::GrantFilter::default())
        .await
        .unwrap();
    let (user, id) = (grants[0].grant.user_id.unwrap(), grants[0].grant.id);
    postern::flow::access::narrow(&node.core, &caller, user, id, Vec::new()).await.unwrap();
    app.refresh(&node, &after.text_of("refresh_token")).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_old_one() {
    let node = Node::start().await;
    let (browser, other) = (Browser::signed_in(&node).await, Browser::signed_in(&node).await);
    let change = async |old: &str, new: &str| {
        let page = browser.get("/account/security").await;
        browser.submit(&page.form("/account/security/password").set("old", old).set("new", new)).await
    };
    assert_eq!(change("wrong", "nine blue ladders").await.status, 403);
    assert_eq!(change(PASSWORD, "short").await.status, 422);
    assert_eq!(change(PASSWORD, "password").await.status, 422);
    assert!(is_in(&other).await);
    let done = change(PASSWORD, "nine blue ladders").await;
    assert!(done.words().contains("Your password is changed."), "{}", done.words());
    assert!(is_in(&browser).await && !is_in(&other).await);
    assert_eq!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.status, 401);
    assert_eq!(Browser::new(&node).sign_in(EMAIL, "nine blue ladders").await.status, 303);
    for _ in 0..5 {
        change("wrong", "ten red buckets").await;
    }
    assert_eq!(
        change("nine blue ladders", "ten red buckets").await.status,
        429,
        "guessing is held up here too"
    );
}

#[tokio::test]
async fn a_person_reads_their_own_history_and_nobody_elses() {
    let node = Node::start().await;
    node.add_person(EVE, PASSWORD).await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    app.tokens(&node, &browser).await;
    for _ in 0..30 {
        Browser::signed_in(&node).await;
    }
    let page = browser.get("/account/security").await;
    assert_eq!(page.text.matches("Signed in</span>").count(), 25, "{}", page.words());
    let older = page.text.split("security?before=").nth(1).unwrap().split('#').next().unwrap();
    let page = browser.get(&format!("/account/security?before={older}")).await;
    assert!(page.words().contains("Access was allowed: Inspector"), "{}", page.words());
    assert!(page.words().contains("Newest") && !page.words().contains("Older"));
    let eve = enter(&node, EVE).await;
    let hers = eve.get("/account/security").await;
    assert!(!hers.words().contains("Inspector"));
    assert_eq!(hers.text.matches("Signed in</span>").count(), 1);
    assert_eq!(eve.get(&format!("/account/security?before={older}")).await.status, 200);
    assert_eq!(eve.get("/account/security?before=x%27--").await.status, 200);
}

#[tokio::test]
async fn a_person_takes_their_data_away() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    app.tokens(&node, &browser).await;
    let page = browser.get("/account/security").await;
    let file = browser.submit(&page.form("/account/export")).await;
    assert_eq!(file.status, 200);
    assert!(file.header("content-disposition").starts_with("attachment"));
    let data: Value = serde_json::from_str(&file.text).unwrap();
    assert_eq!(data["profile"]["email"], EMAIL);
    assert_eq!(data["access"][0]["app"], "Inspector");
    assert_eq!(data["access"][0]["permissions"], "notes:read notes:write");
    assert_eq!(data["sessions"].as_array().unwrap().len(), 1);
    assert!(data["events"].as_array().unwrap().iter().any(|event| event["event"] == "token.issued"));
    for secret in ["argon2", "digest", "pst_ss_", "pst_rt_", "pst_ac_"] {
        assert!(!file.text.contains(secret), "{secret}");
    }
    assert_eq!(browser.submit(&page.form("/account/export").set("csrf", "wrong")).await.status, 403);
}

/// Sets up an authenticator app on the security page.
async fn set_up(node: &Node, browser: &Browser) -> Phone {
    let page = browser.get("/account/security/authenticator").await;
    let phone = Phone::reading(&page);
    let form = page.form("/account/security/authenticator").set("code", &phone.code(node));
    let done = browser.submit(&form).await;
    assert!(done.words().contains("Keep these recovery codes"), "{}", done.words());
    phone
}

#[tokio::test]
async fn an_authenticator_app_is_added_and_removed() {
    let node = Node::start().await;
    let (browser, other) = (Browser::signed_in(&node).await, Browser::signed_in(&node).await);
    let phone = set_up(&node, &browser).await;
    assert!(is_in(&browser).await, "who has just shown a code need not show one again");
    assert!(!is_in(&other).await, "a sign-in with the password alone is worth too little now");
    let page = browser.get("/account/security").await;
    assert!(page.words().contains("10 left"), "{}", page.words());
    let codes = browser.submit(&page.form("/account/security/recovery-codes")).await;
    assert_eq!(codes.text.matches("<li><code>").count(), 10);
    // It takes a fresh sign-in to take away.
    node.advance(601).await;
    let page = browser.get("/account/security").await;
    let stale = browser.submit(&page.form("/account/security/authenticator/remove")).await;
    assert!(stale.location().unwrap().contains("fresh=1"), "{}", stale.text);
    let form = browser.follow(stale).await.login_form(EMAIL, PASSWORD);
    let answer = browser.submit(&form).await;
    let second = browser.follow(answer).await;
    let page = browser.submit(&second.form("/login/second").set("code", &phone.code(&node))).await;
    assert_eq!(page.location().as_deref(), Some("/account/security"));
    let page = browser.get("/account/security").await;
    let removed = browser.submit(&page.form("/account/security/authenticator/remove")).await;
    assert!(removed.words().contains("Your authenticator app is removed."), "{}", removed.words());
    assert!(!removed.words().contains("Recovery codes"));
    assert_eq!(Browser::new(&node).sign_in(EMAIL, PASSWORD).await.location().as_deref(), Some("/account"));
}

#[tokio::test]
async fn nobody_touches_the_factors_of_another() {
    let node = Node::start().await;
    node.add_person(EVE, PASSWORD).await;
    let ana = Browser::signed_in(&node).await;
    set_up(&node, &ana).await;
    let eve = enter(&node, EVE).await;
    let phone = set_up(&node, &eve).await;
    let page = eve.get("/account/security").await;
    eve.submit(&page.form("/account/security/authenticator/remove")).await;
    assert!(ana.get("/account/security").await.words().contains("10 left"));
    let forged = ana.get("/account/security").await.form("/account/security/authenticator/remove");
    assert_eq!(ana.submit(&forged.set("csrf", "wrong")).await.status, 403);
    assert!(ana.get("/account/security").await.words().contains("10 left"));
    // Eve's offer, which she knows, slipped into Ana's form.
    let hers = eve.get("/account/security/authenticator").await.form("/account/security/authenticator");
    let mallory = Browser::new(&node);
    node.add_person("mal@example.com", PASSWORD).await;
    mallory.sign_in("mal@example.com", PASSWORD).await;
    let his = mallory.get("/account/security/authenticator").await.form("/account/security/authenticator");
    let slipped = his.set("offer", hers.values("offer")[0]).set("code", &phone.code(&node));
    assert_eq!(mallory.submit(&slipped).await.status, 403);
}

#[tokio::test]
async fn without_a_session_there_is_nothing() {
    let node = Node::start().await;
    let stranger = Browser::new(&node);
    for path in ["/account", "/account/security", "/account/security/authenticator"] {
        assert!(stranger.get(path).await.location().unwrap().contains("/login"), "{path}");
    }
    for path in [
        "/account/narrow",
        "/account/sessions/end",
        "/account/export",
        "/account/security/password",
        "/account/security/authenticator",
        "/account/security/authenticator/remove",
        "/account/security/recovery-codes",
    ] {
        let page = stranger.send(stranger.request("POST", path).form(&[("csrf", "x")])).await;
        assert!(page.location().is_some_and(|to| to.contains("/login")), "{path}: {}", page.status);
    }
}

#[tokio::test]
async fn the_servers_that_one_may_use_are_listed_with_what_a_client_is_told() {
    let node = Node::start().await;
    postern::flow::admin_api::ensure(&node.core).await.unwrap();
    node.add_resource("https://closed.example/mcp", |new| "Closed shop".clone_into(&mut new.name)).await;
    let caller = Caller::command_line();
    let change = Change::Give(Holder { role: "reader".to_owned(), who: Who::Group("owners".to_owned()) });
    roles::change(&node.core, &caller, "https://closed.example/mcp", change).await.unwrap();
    let browser = Browser::signed_in(&node).await;
    let page = browser.get("/account/servers").await;
    let words = page.words();
    assert!(
        words.contains("claude mcp add --transport http team-notes https://notes.example/mcp"),
        "{words}"
    );
    assert!(!words.contains("Closed shop") && !words.contains("/admin/api"), "{words}");
    roles::set_groups(&node.core, &caller, EMAIL, vec!["owners".to_owned()]).await.unwrap();
    assert!(browser.get("/account/servers").await.words().contains("Closed shop"));
    let nobody = Browser::new(&node).get("/account/servers").await;
    assert!(nobody.location().unwrap().contains("/login"));
}
