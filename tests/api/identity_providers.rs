//! `/login/idp/{id}`: signing in elsewhere, and everything that somebody could try on the way.

use postern::flow::core::Caller;
use postern::flow::{people, providers, roles};
use postern::types::audit::AuditKind;
use postern::types::identity::{Linking, Rules};
use postern::types::user::{Role, User};
use serde_json::{Value, json};
use url::Url;

use crate::harness::{App, Ask, Browser, EMAIL, Idp, Node, PASSWORD, Page, Refreshes, Signs};

const APP: &str = "https://app.example/callback";

fn open() -> Rules {
    Rules { linking: Linking::VerifiedEmail, creates_people: true, ..Rules::default() }
}

async fn scene(rules: Rules) -> (Node, Idp) {
    let node = Node::with(|policy| policy.allow_private_networks = true).await;
    let idp = Idp::start(&node.clock);
    idp.join(&node, "corp", rules).await;
    (node, idp)
}

async fn person(node: &Node, email: &str) -> User {
    people::find(&node.core, email).await.unwrap()
}

#[track_caller]
fn came_in(page: &Page) {
    assert_eq!((page.status, page.location().as_deref()), (303, Some("/account")), "{}", page.text);
}

/// Nobody is signed in, and the page says so.
#[track_caller]
fn stayed_out(browser: &Browser, page: &Page, status: u16) {
    assert_eq!(page.status, status, "{}", page.text);
    assert!(page.words().contains("You were not signed in."), "{}", page.words());
    assert!(browser.cookie("session").is_none());
}

fn pairs(url: &str) -> std::collections::HashMap<String, String> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

/// A callback with some of its parameters changed.
fn changed(back: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(back).unwrap();
    let kept: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(n, _)| n != name).collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

#[tokio::test]
async fn a_person_signs_in_elsewhere_and_the_app_gets_its_code() {
    let (node, idp) = scene(open()).await;
    let app = node.register(APP).await;
    let browser = Browser::new(&node);
    let page = browser.open(&app.ask().set("login_hint", EMAIL)).await;
    assert!(page.words().contains("Continue with The corp company"), "{}", page.words());
    let to = browser.go_to(&page, "corp").await;
    let asked = pairs(&to);
    assert_eq!(asked["login_hint"], EMAIL);
    assert_eq!(asked["scope"], "openid email profile offline_access");
    assert!(!asked.contains_key("prompt") && asked["nonce"].len() >= 43);
    let page = browser.get(&idp.sign_in(&to)).await;
    let page = browser.follow(page).await;
    let page = browser.submit(&page.form("/consent").decide("allow")).await;
    let code = page.callback().remove("code").unwrap();
    let tokens = app.redeem(&node, &code).await;
    let token = node.introspect(&tokens.text_of("access_token")).await;
    assert_eq!(token["sub"], person(&node, EMAIL).await.id.to_string());
    let corp = postern::types::identity::ProviderId::parse("corp").unwrap();
    assert_eq!(providers::linked(&node.core, &corp, 9).await.unwrap().1, 1);
    assert!(providers::find(&node.core, "corp").await.unwrap().last_sign_in_at.is_some());
    assert_eq!(node.audited(AuditKind::IdentityLinked).await, 1);
}

#[tokio::test]
async fn somebody_new_is_added_only_where_the_rules_say_so() {
    let (node, idp) = scene(Rules { allowed_domains: vec!["example.com".to_owned()], ..open() }).await;
    idp.says(&json!({ "sub": "new", "email": "new@evil.example" }));
    let browser = Browser::new(&node);
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    idp.says(&json!({ "sub": "new", "email": "new@example.com", "email_verified": false }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    idp.says(&json!({ "sub": "new", "email": "new@example.com", "email_verified": "true" }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    idp.says(&json!({ "sub": "new", "email": "new@example.com" }));
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let new = person(&node, "new@example.com").await;
    assert_eq!((new.role, new.name.as_deref(), new.password_hash), (Role::Member, Some("Ana There"), None));
    assert_eq!(node.audited(AuditKind::IdentityRefused).await, 3);

    let (node, idp) = scene(Rules::default()).await;
    idp.says(&json!({ "sub": "new", "email": "new@example.com" }));
    let browser = Browser::new(&node);
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    idp.says(&json!({}));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
}

#[tokio::test]
async fn an_address_alone_makes_nobody_somebody() {
    let (node, idp) = scene(open()).await;
    let caller = Caller::command_line();
    let browser = Browser::new(&node);
    // An address that the provider has not verified.
    idp.says(&json!({ "email_verified": false }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    idp.says(&json!({ "email_verified": null }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    // An administrator's or an auditor's.
    for role in [Role::Admin, Role::Auditor] {
        people::set_role(&node.core, &caller, EMAIL, role).await.unwrap();
        idp.says(&json!({}));
        stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    }
    people::set_role(&node.core, &caller, EMAIL, Role::Member).await.unwrap();
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    // One who is somebody there already.
    idp.says(&json!({ "sub": "another" }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
    // Somebody who is switched off, linked or not.
    idp.says(&json!({}));
    people::disable(&node.core, &caller, EMAIL).await.unwrap();
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 403);
}

#[tokio::test]
async fn the_same_sub_or_address_at_another_provider_is_somebody_else() {
    let (node, idp) = scene(open()).await;
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    let other = Idp::start(&node.clock);
    other.join(&node, "other", Rules { creates_people: true, ..Rules::default() }).await;
    let browser = Browser::new(&node);
    stayed_out(&browser, &browser.sign_in_at(&other, "other").await, 403);
    other.says(&json!({ "email": "else@example.com" }));
    came_in(&browser.sign_in_at(&other, "other").await);
    assert!(browser.get("/account").await.text.contains("else@example.com"));
}

#[tokio::test]
async fn an_address_that_changes_upstream_changes_nobody() {
    let (node, idp) = scene(open()).await;
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    node.add_person("bob@example.com", PASSWORD).await;
    idp.says(&json!({ "email": "bob@example.com" }));
    let browser = Browser::new(&node);
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let page = browser.get("/account").await.text;
    assert!(page.contains(EMAIL) && !page.contains("bob@example.com"));
}

#[tokio::test]
async fn an_answer_counts_once_and_in_the_browser_that_asked() {
    let (node, idp) = scene(open()).await;
    let (browser, thief) = (Browser::new(&node), Browser::new(&node));
    let to = browser.go_to(&browser.get("/login").await, "corp").await;
    let back = idp.sign_in(&to);
    // A victim who is sent the attacker's callback, with and without a cookie of their own.
    stayed_out(&thief, &thief.get(&back).await, 400);
    thief.get("/login").await;
    stayed_out(&thief, &thief.get(&back).await, 400);
    stayed_out(&browser, &browser.get(&changed(&back, "state", None)).await, 400);
    stayed_out(&browser, &browser.get(&changed(&back, "state", Some("x"))).await, 400);
    stayed_out(&browser, &browser.get(&format!("{back}&state=x")).await, 400);
    assert_eq!(idp.asked("/token"), 0, "none of these reached the provider");
    came_in(&browser.get(&back).await);
    let replay = browser.get(&back).await;
    assert_eq!(replay.status, 400, "{}", replay.text);
    // A code that was used goes into a new outing.
    let fresh = Browser::new(&node);
    let to = fresh.go_to(&fresh.get("/login").await, "corp").await;
    let mixed = changed(&idp.sign_in(&to), "code", Some(&pairs(&back)["code"]));
    stayed_out(&fresh, &fresh.get(&mixed).await, 502);
    // Too late.
    let late = Browser::new(&node);
    let to = late.go_to(&late.get("/login").await, "corp").await;
    let back = idp.sign_in(&to);
    node.advance(601).await;
    stayed_out(&late, &late.get(&back).await, 400);
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_not_ours() {
    let (node, idp) = scene(open()).await;
    let (victim, attacker) = (Browser::new(&node), Browser::new(&node));
    let theirs = idp.sign_in(&attacker.go_to(&attacker.get("/login").await, "corp").await);
    let ours = idp.sign_in(&victim.go_to(&victim.get("/login").await, "corp").await);
    let injected = changed(&ours, "code", Some(&pairs(&theirs)["code"]));
    stayed_out(&victim, &victim.get(&injected).await, 502);
}

#[tokio::test]
async fn an_answer_of_another_provider_is_none() {
    let (node, idp) = scene(open()).await;
    let evil = Idp::start(&node.clock);
    evil.join(&node, "evil", Rules::default()).await;
    let browser = Browser::new(&node);
    let back = idp.sign_in(&browser.go_to(&browser.get("/login").await, "corp").await);
    // Brought to the other's callback: its token endpoint never sees the code.
    let moved = back.replace("/login/idp/corp/", "/login/idp/evil/");
    stayed_out(&browser, &browser.get(&moved).await, 400);
    assert_eq!(evil.asked("/token"), 0);
    // With another issuer, or none where it always names itself (RFC 9207).
    stayed_out(&browser, &browser.get(&changed(&back, "iss", Some(&evil.issuer))).await, 502);
    let back = idp.sign_in(&browser.go_to(&browser.get("/login").await, "corp").await);
    stayed_out(&browser, &browser.get(&changed(&back, "iss", None)).await, 502);
    assert_eq!(idp.asked("/token"), 0);
}

#[tokio::test]
async fn id_tokens_that_prove_nothing() {
    let (node, idp) = scene(open()).await;
    let now = node.core.now().seconds();
    let mut tried = 0;
    for (signs, claims) in [
        (Signs::NotAtAll, json!({})),
        (Signs::WithSecret, json!({})),
        (Signs::Badly, json!({})),
        (Signs::Well, json!({ "nonce": "another" })),
        (Signs::Well, json!({ "nonce": null })),
        (Signs::Well, json!({ "iss": "https://other.example" })),
        (Signs::Well, json!({ "iss": format!("{}/", idp.issuer) })),
        (Signs::Well, json!({ "iss": null })),
        (Signs::Well, json!({ "aud": "somebody-else" })),
        (Signs::Well, json!({ "aud": ["postern-at-corp", "somebody-else"] })),
        (Signs::Well, json!({ "aud": [] })),
        (Signs::Well, json!({ "azp": "somebody-else" })),
        (Signs::Well, json!({ "exp": now - 31 })),
        (Signs::Well, json!({ "exp": null })),
        (Signs::Well, json!({ "exp": 1e300 })),
        (Signs::Well, json!({ "exp": "tomorrow" })),
        (Signs::Well, json!({ "iat": now + 60 })),
        (Signs::Well, json!({ "iat": now - 700 })),
        (Signs::Well, json!({ "iat": -1 })),
        (Signs::Well, json!({ "nbf": now + 60 })),
        (Signs::Well, json!({ "auth_time": now + 60 })),
        (Signs::Well, json!({ "sub": null })),
        (Signs::Well, json!({ "sub": "" })),
        (Signs::Well, json!({ "sub": 7 })),
    ] {
        idp.says(&claims).signs(signs);
        let browser = Browser::new(&node);
        stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 502);
        tried += 1;
        assert_eq!(node.audited(AuditKind::IdentityRefused).await, tried, "{signs:?} {claims}");
    }
    // Within what clocks may differ.
    idp.says(&json!({ "exp": now - 20, "iat": now + 20, "azp": "postern-at-corp" })).signs(Signs::Well);
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
}

#[tokio::test]
async fn metadata_that_speaks_for_another_issuer_is_not_believed() {
    let (node, idp) = scene(open()).await;
    let browser = Browser::new(&node);
    for members in [
        json!({ "issuer": "https://other.example" }),
        json!({ "token_endpoint": "ftp://x/" }),
        json!({ "jwks_uri": 7 }),
    ] {
        idp.describes_itself(&members);
        let page = browser.get("/login").await;
        let page = browser.submit(&page.form("/login/idp/corp")).await;
        stayed_out(&browser, &page, 503);
    }
    idp.describes_itself(&json!({ "id_token_signing_alg_values_supported": ["none", "HS256"] }));
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 502);
}

#[tokio::test]
async fn the_way_back_leads_nowhere_else() {
    let (node, idp) = scene(open()).await;
    for evil in
        ["https://evil.example/", "//evil.example/account", "/account/../../evil", "javascript:alert(1)"]
    {
        let browser = Browser::new(&node);
        let form = browser.get("/login").await.form("/login/idp/corp").set("continue", evil);
        let to = browser.submit(&form).await.location().unwrap();
        came_in(&browser.get(&idp.sign_in(&to)).await);
    }
    let browser = Browser::new(&node);
    let form = browser.get("/login").await.form("/login/idp/corp").set("csrf", "x");
    let page = browser.submit(&form).await;
    assert_eq!((page.status, page.location()), (403, None));
}

#[tokio::test]
async fn whoever_declines_or_meets_trouble_is_told() {
    let (node, idp) = scene(open()).await;
    let browser = Browser::new(&node);
    let to = browser.go_to(&browser.get("/login?continue=/account/security").await, "corp").await;
    let back = changed(&idp.sign_in(&to), "code", None);
    let page = browser.get(&format!("{back}&error=access_denied&error_description=<script>")).await;
    stayed_out(&browser, &page, 401);
    assert!(!page.text.contains("<script>"));
    assert_eq!(page.form("/login/idp/corp").values("continue"), ["/account/security"]);
    let back = idp.sign_in(&browser.go_to(&browser.get("/login").await, "corp").await);
    idp.describes_itself(&json!({ "token_endpoint": "http://127.0.0.1:1/token" }));
    node.advance(500).await;
    let caller = Caller::command_line();
    providers::set_enabled(&node.core, &caller, "corp", false).await.unwrap();
    assert_eq!(browser.get(&back).await.status, 404);
    assert!(!browser.get("/login").await.has_form("/login/idp/corp"));
    providers::set_enabled(&node.core, &caller, "corp", true).await.unwrap();
    came_in(&browser.get(&back).await);
}

#[tokio::test]
async fn groups_there_are_groups_and_roles_here() {
    let rules = Rules {
        group_claim: "memberOf".to_owned(),
        groups: vec![
            ("CN=dev,DC=corp".to_owned(), "developers".to_owned()),
            ("ops".to_owned(), "operators".to_owned()),
        ],
        roles: vec![("audit".to_owned(), Role::Auditor)],
        ..open()
    };
    let (node, idp) = scene(rules).await;
    let caller = Caller::command_line();
    roles::set_groups(&node.core, &caller, EMAIL, vec!["board".to_owned(), "operators".to_owned()])
        .await
        .unwrap();
    idp.says(&json!({ "memberOf": ["CN=dev,DC=corp", "audit", "board2"], "groups": ["ops"] }));
    let browser = Browser::new(&node);
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let ana = person(&node, EMAIL).await;
    assert_eq!(
        (ana.groups.as_slice(), ana.role),
        (&["board".to_owned(), "developers".to_owned()][..], Role::Auditor)
    );
    assert_eq!(browser.get("/admin").await.status, 200);
    idp.says(&json!({ "memberOf": "ops" }));
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    let ana = person(&node, EMAIL).await;
    assert_eq!(
        (ana.groups.as_slice(), ana.role),
        (&["board".to_owned(), "operators".to_owned()][..], Role::Member)
    );
    assert_eq!(browser.get("/admin").await.status, 403);
    idp.says(&json!({}));
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    assert_eq!(person(&node, EMAIL).await.groups, ["board"], "what it says nothing of is gone");
}

#[tokio::test]
async fn what_a_group_allowed_ends_with_it() {
    let rules = Rules { groups: vec![("dev".to_owned(), "developers".to_owned())], ..open() };
    let (node, idp) = scene(rules).await;
    let caller = Caller::command_line();
    let holder = postern::types::access_rule::Holder {
        role: "maintainer".to_owned(),
        who: postern::types::access_rule::Who::Group("developers".to_owned()),
    };
    roles::change(&node.core, &caller, crate::harness::NOTES, roles::Change::Give(holder)).await.unwrap();
    let app = node.register(APP).await;
    idp.says(&json!({ "groups": ["dev"] }));
    let browser = Browser::new(&node);
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let token = app.tokens(&node, &browser).await.text_of("access_token");
    assert!(node.is_active(&token).await);
    idp.says(&json!({ "groups": [] }));
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    assert!(!node.is_active(&token).await);
}

async fn signed_in_app(node: &Node, idp: &Idp) -> (App, Browser, Value) {
    let app = node.register(APP).await;
    let browser = Browser::new(node);
    came_in(&browser.sign_in_at(idp, "corp").await);
    let tokens = app.tokens(node, &browser).await.body;
    (app, browser, tokens)
}

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn switched_off_there_is_dead_here_at_the_next_refresh() {
    let (node, idp) = scene(open()).await;
    let (app, browser, tokens) = signed_in_app(&node, &idp).await;
    let second = app.refresh(&node, &refresh_token(&tokens)).await;
    assert_eq!((second.status, idp.refreshed()), (200, 0), "just signed in: nobody asks");
    node.advance(301).await;
    let third = app.refresh(&node, &refresh_token(&second.body)).await;
    assert_eq!((third.status, idp.refreshed()), (200, 1));
    let fourth = app.refresh(&node, &refresh_token(&third.body)).await;
    assert_eq!((fourth.status, idp.refreshed()), (200, 1), "asked a moment ago");
    node.advance(301).await;
    let fifth = app.refresh(&node, &refresh_token(&fourth.body)).await;
    assert_eq!((fifth.status, idp.refreshed()), (200, 2), "with the token that it gave last");
    let access = fifth.text_of("access_token");
    assert!(node.is_active(&access).await);
    node.advance(301).await;
    idp.refreshes(Refreshes::NoMore);
    app.refresh(&node, &refresh_token(&fifth.body)).await.is_error(400, "invalid_grant");
    assert!(!node.is_active(&access).await);
    assert!(browser.get("/account").await.location().unwrap().contains("/login"));
    assert_eq!(node.audited(AuditKind::IdentityEnded).await, 1);
    app.refresh(&node, &refresh_token(&fifth.body)).await.is_error(400, "invalid_grant");
    // Back there, back here: the approval has stayed.
    idp.refreshes(Refreshes::Gladly);
    let browser = Browser::new(&node);
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let page = browser.open(&app.ask()).await;
    assert!(page.location().is_some(), "{}", page.text);
}

#[tokio::test]
async fn a_crowd_of_refreshes_asks_once() {
    let (node, idp) = scene(open()).await;
    let (app, browser, first) = signed_in_app(&node, &idp).await;
    let mut all = vec![refresh_token(&first)];
    for _ in 0..5 {
        let code = app.code(&browser).await;
        all.push(refresh_token(&app.redeem(&node, &code).await.body));
    }
    node.advance(301).await;
    let answers = futures_util::future::join_all(all.iter().map(|token| app.refresh(&node, token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    assert_eq!(idp.refreshed(), 1);
}

#[tokio::test]
async fn a_provider_that_cannot_say_is_waited_for_but_not_for_ever() {
    let (node, idp) = scene(open()).await;
    let (app, _, tokens) = signed_in_app(&node, &idp).await;
    let mut token = refresh_token(&tokens);
    for how in [
        Refreshes::Broken,
        Refreshes::Because("invalid_client"),
        Refreshes::Because("temporarily_unavailable"),
    ] {
        idp.refreshes(how);
        node.advance(400).await;
        let answer = app.refresh(&node, &token).await;
        assert_eq!(answer.status, 200, "{how:?} {}", answer.text);
        token = refresh_token(&answer.body);
    }
    node.advance(3_000).await;
    idp.refreshes(Refreshes::Broken);
    let answer = app.refresh(&node, &token).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(!answer.header("retry-after").is_empty());
    idp.refreshes(Refreshes::Gladly);
    node.advance(31).await;
    assert_eq!(app.refresh(&node, &token).await.status, 200, "nothing was lost");
}

#[tokio::test]
async fn what_came_from_a_provider_ends_with_it() {
    let (node, idp) = scene(open()).await;
    let caller = Caller::command_line();
    let (app, browser, tokens) = signed_in_app(&node, &idp).await;
    let here = Browser::signed_in(&node).await;
    let own = app.tokens(&node, &here).await.body;
    assert!(node.is_active(tokens["access_token"].as_str().unwrap()).await);
    providers::set_enabled(&node.core, &caller, "corp", false).await.unwrap();
    assert!(browser.get("/account").await.location().unwrap().contains("/login"));
    assert!(!node.is_active(tokens["access_token"].as_str().unwrap()).await, "access tokens end at once");
    assert!(node.is_active(own["access_token"].as_str().unwrap()).await);
    app.refresh(&node, &refresh_token(&tokens)).await.is_error(400, "invalid_grant");
    assert_eq!(here.get("/account").await.status, 200);
    let own = app.refresh(&node, &refresh_token(&own)).await;
    assert_eq!(own.status, 200, "a sign-in with the password is none of the provider's");
    providers::set_enabled(&node.core, &caller, "corp", true).await.unwrap();
    assert_eq!(app.refresh(&node, &refresh_token(&tokens)).await.status, 200);
    let (_, browser, tokens) = signed_in_app(&node, &idp).await;
    providers::unlink(&node.core, &caller, "corp", EMAIL).await.unwrap();
    assert!(!node.is_active(tokens["access_token"].as_str().unwrap()).await);
    assert!(browser.get("/account").await.location().unwrap().contains("/login"));
    app.refresh(&node, &refresh_token(&tokens)).await.is_error(400, "invalid_grant");
    let (_, browser, tokens) = signed_in_app(&node, &idp).await;
    assert!(node.is_active(tokens["access_token"].as_str().unwrap()).await);
    providers::remove(&node.core, &caller, "corp").await.unwrap();
    assert!(!node.is_active(tokens["access_token"].as_str().unwrap()).await);
    assert!(browser.get("/account").await.location().unwrap().contains("/login"));
    app.refresh(&node, &refresh_token(&tokens)).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn without_a_refresh_token_there_is_nothing_to_ask_with() {
    let (node, idp) = scene(open()).await;
    idp.gives_no_refresh_token();
    let (app, _, tokens) = signed_in_app(&node, &idp).await;
    node.advance(10_000).await;
    assert_eq!(app.refresh(&node, &refresh_token(&tokens)).await.status, 200);
    assert_eq!(idp.refreshed(), 0);
}

#[tokio::test]
async fn a_second_factor_there_counts_only_where_an_administrator_says_so() {
    for (trusted, amr) in [(false, "mfa"), (true, "pwd"), (true, "mfa")] {
        let (node, idp) = scene(Rules { second_factor: trusted, ..open() }).await;
        people::require_second_factor(&node.core, &Caller::command_line(), EMAIL, true).await.unwrap();
        idp.says(&json!({ "amr": [amr] }));
        let browser = Browser::new(&node);
        let page = browser.sign_in_at(&idp, "corp").await;
        if trusted && amr == "mfa" {
            came_in(&page);
        } else {
            assert!(page.location().unwrap().contains("/login/second"), "{trusted} {amr}");
            assert!(browser.cookie("session").is_none());
        }
    }
}

#[tokio::test]
async fn a_fresh_sign_in_is_fresh_there_too() {
    let (node, idp) = scene(open()).await;
    let app = node.register(APP).await;
    let browser = Browser::new(&node);
    // Signed in over there long ago.
    let long_ago = node.core.now().seconds() - 3_000;
    idp.says(&json!({ "auth_time": long_ago }));
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let ask = |more: (&str, &str)| -> Ask { app.ask().set(more.0, more.1) };
    for more in [("prompt", "login"), ("max_age", "60")] {
        let page = browser.open(&ask(more)).await;
        assert!(page.has_form("/login/idp/corp"), "{more:?}: {}", page.text);
        let to = browser.go_to(&page, "corp").await;
        assert_eq!(pairs(&to)["prompt"], "login", "{more:?}");
        if more.0 == "max_age" {
            assert_eq!(pairs(&to)["max_age"], "60");
        }
        // A provider that does not care has not done it.
        let page = browser.get(&idp.sign_in(&to)).await;
        assert_eq!(page.status, 401, "{more:?}: {}", page.text);
        idp.says(&json!({ "auth_time": null }));
        let page = browser.open(&ask(more)).await;
        let page = browser.get(&idp.sign_in(&browser.go_to(&page, "corp").await)).await;
        assert_eq!(page.status, 401, "it does not say when: {more:?}");
        idp.says(&json!({ "auth_time": node.core.now().seconds() }));
        let page = browser.open(&ask(more)).await;
        let page = browser.get(&idp.sign_in(&browser.go_to(&page, "corp").await)).await;
        let page = browser.follow(page).await;
        assert!(page.has_form("/consent"), "{more:?}: {}", page.text);
        idp.says(&json!({ "auth_time": long_ago }));
        node.advance(120).await;
    }
}

#[tokio::test]
async fn a_person_who_is_signed_in_links_themselves() {
    let (node, idp) = scene(Rules::default()).await;
    let caller = Caller::command_line();
    people::set_role(&node.core, &caller, EMAIL, Role::Admin).await.unwrap();
    let browser = Browser::signed_in(&node).await;
    let page = browser.get("/account/security").await;
    assert!(page.words().contains("The corp company Not linked"), "{}", page.words());
    let page = browser.get("/account/security/idp/corp").await;
    let form = page.form("/account/security/idp/corp");
    let forged = browser.submit(&form.clone().set("csrf", "x")).await;
    assert_eq!(forged.status, 403);
    let to = browser.submit(&form).await.location().unwrap();
    assert_eq!(pairs(&to)["prompt"], "login");
    let back = idp.sign_in(&to);
    let other = Browser::new(&node);
    assert_eq!(other.get(&back).await.status, 400, "in another browser it links nobody");
    let page = browser.get(&back).await;
    assert_eq!(page.location().as_deref(), Some("/account/security"), "{}", page.text);
    came_in(&other.sign_in_at(&idp, "corp").await);
    // Whoever is somebody there is nobody else here.
    node.add_person("bob@example.com", PASSWORD).await;
    let bob = Browser::new(&node);
    assert_eq!(bob.sign_in("bob@example.com", PASSWORD).await.status, 303);
    let form = bob.get("/account/security/idp/corp").await.form("/account/security/idp/corp");
    let to = bob.submit(&form).await.location().unwrap();
    assert_eq!(bob.get(&idp.sign_in(&to)).await.status, 409);
    // Signed out in between, it links nobody.
    idp.says(&json!({ "sub": "bob-there" }));
    let form = bob.get("/account/security/idp/corp").await.form("/account/security/idp/corp");
    let to = bob.submit(&form).await.location().unwrap();
    let page = bob.get("/logout").await;
    bob.submit(&page.form("/logout")).await;
    assert_eq!(bob.get(&idp.sign_in(&to)).await.status, 400);
    assert_eq!(node.audited(AuditKind::IdentityLinked).await, 1);
    // Long after signing in it takes a fresh sign-in.
    node.advance(700).await;
    let page = browser.get("/account/security/idp/corp").await;
    assert!(page.location().unwrap().contains("fresh=1"));
}

#[tokio::test]
async fn an_administrator_links_anybody_and_orders_that_make_no_sense_are_refused() {
    let (node, idp) = scene(Rules::default()).await;
    let caller = Caller::command_line();
    people::set_role(&node.core, &caller, EMAIL, Role::Admin).await.unwrap();
    providers::link(&node.core, &caller, "corp", EMAIL, "ana-there").await.unwrap();
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    assert!(providers::link(&node.core, &caller, "corp", EMAIL, "other").await.is_err());
    assert!(providers::link(&node.core, &caller, "none", EMAIL, "x").await.is_err());
    let tested = providers::test(&node.core, "corp").await.unwrap();
    assert_eq!(tested.warnings, [""; 0]);
    let new = |id: &str, issuer: &str| providers::NewProvider {
        id: id.to_owned(),
        name: "N".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "c".to_owned(),
        secret: postern::types::secret::Secret::new("s".to_owned()),
        rules: Rules::default(),
    };
    for (id, issuer) in [
        ("corp", "https://a.example"),
        ("Corp", "https://a.example"),
        ("b", "a.example"),
        ("b", "https://a.example?x"),
        ("b", "https://u:p@a.example"),
        ("b", node.issuer()),
    ] {
        assert!(providers::add(&node.core, &caller, new(id, issuer)).await.is_err(), "{id} {issuer}");
    }
}

#[tokio::test]
async fn what_the_token_leaves_out_is_asked_at_the_userinfo_endpoint() {
    let rules = Rules { groups: vec![("dev".to_owned(), "developers".to_owned())], ..open() };
    let (node, idp) = scene(rules).await;
    let thin = json!({ "email": null, "email_verified": null, "name": null });
    let said = json!({ "sub": "ana-there", "email": EMAIL, "email_verified": true, "groups": ["dev"] });
    idp.says(&thin).tells(200, &said);
    let browser = Browser::new(&node);
    came_in(&browser.sign_in_at(&idp, "corp").await);
    let ana = people::find(&node.core, EMAIL).await.unwrap();
    assert!(ana.groups.iter().any(|group| group == "developers"), "{:?}", ana.groups);
    let asked = idp.asked("/userinfo");
    // What the token says is not asked for again, and not replaced by what is said elsewhere.
    idp.says(&json!({ "groups": ["dev"] }))
        .tells(200, &json!({ "sub": "ana-there", "email": "evil@example.com" }));
    came_in(&Browser::new(&node).sign_in_at(&idp, "corp").await);
    assert_eq!(idp.asked("/userinfo"), asked);
}

#[tokio::test]
async fn userinfo_of_somebody_else_or_none_brings_nobody_in() {
    let (node, idp) = scene(open()).await;
    idp.says(&json!({ "email": null, "email_verified": null }));
    for (said, status) in [
        (json!({ "sub": "somebody-else", "email": EMAIL, "email_verified": true }), 502),
        (json!({ "email": EMAIL, "email_verified": true }), 502),
        (json!([EMAIL]), 503),
        // Its word about an address that it has not verified links nobody.
        (json!({ "sub": "ana-there", "email": EMAIL, "email_verified": "true" }), 403),
    ] {
        idp.tells(200, &said);
        let browser = Browser::new(&node);
        let page = browser.sign_in_at(&idp, "corp").await;
        stayed_out(&browser, &page, status);
    }
    idp.tells(500, &Value::Null);
    let browser = Browser::new(&node);
    stayed_out(&browser, &browser.sign_in_at(&idp, "corp").await, 503);
}
