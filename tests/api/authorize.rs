//! `/authorize`: what is answered by a page, what by redirect, and who is asked what.

use postern::types::audit::AuditKind;
use postern::types::resource::ClientRule;

use crate::harness::{App, Ask, Browser, EMAIL, NOTES, Node, PASSWORD, Page, STATE};

const WEB: &str = "https://app.example/cb?from=postern";
const LOCAL: &str = "http://127.0.0.1:7777/cb";

#[track_caller]
fn is_page(page: &Page) {
    assert_eq!(page.status, 400, "{}", page.text);
    assert!(page.location().is_none());
    assert!(page.header("content-type").starts_with("text/html"));
}

#[track_caller]
fn is_redirect(node: &Node, page: &Page, to: &str, error: &str) {
    let location = page.location().unwrap_or_else(|| panic!("no redirect: {} {}", page.status, page.text));
    assert!(location.starts_with(to), "{location}");
    let back = page.callback();
    assert_eq!(back.get("error").map(String::as_str), Some(error), "{location}");
    assert_eq!(back.get("iss").map(String::as_str), Some(node.issuer()));
    assert_eq!(back.get("state").map(String::as_str), Some(STATE));
    assert!(!back.contains_key("code"));
    assert!(!back["error_description"].is_empty());
}

#[tokio::test]
async fn what_is_not_proven_is_answered_by_a_page() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    for (what, ask) in [
        ("no client", app.ask().without("client_id")),
        ("unknown client", app.ask().set("client_id", "pst_client_unknown")),
        ("client twice", app.ask().and("client_id", &app.id)),
        ("an empty client", app.ask().set("client_id", "")),
        ("unregistered redirect", app.ask().set("redirect_uri", "https://evil.example/cb")),
        ("a longer path", app.ask().set("redirect_uri", "https://app.example/cb/../evil?from=postern")),
        ("without its query", app.ask().set("redirect_uri", "https://app.example/cb")),
        ("more query", app.ask().set("redirect_uri", &format!("{WEB}&x=1"))),
        ("another case", app.ask().set("redirect_uri", "https://APP.example/cb?from=postern")),
        ("a port", app.ask().set("redirect_uri", "https://app.example:443/cb?from=postern")),
        (
            "user information",
            app.ask().set("redirect_uri", "https://app.example@evil.example/cb?from=postern"),
        ),
        ("a fragment", app.ask().set("redirect_uri", &format!("{WEB}#x"))),
        ("redirect twice", app.ask().and("redirect_uri", WEB)),
        ("a second redirect", app.ask().and("redirect_uri", "https://evil.example/cb")),
        ("a control character in the client", app.ask().set("client_id", "a\r\nset-cookie: x")),
        ("a control character in the redirect", app.ask().set("redirect_uri", &format!("{WEB}\n"))),
        ("a control character in a name", app.ask().and("x\ny", "1")),
    ] {
        let page = browser.get(&ask.path()).await;
        assert_eq!(page.status, 400, "{what}");
        is_page(&page);
    }
    let page = browser.get(&app.ask().set("client_id", "pst_client_gone").path()).await;
    assert!(page.text.contains("Cursor"), "the page says how to clear a registration: {}", page.words());
}

#[tokio::test]
async fn what_is_proven_is_answered_by_redirect_with_state_and_issuer() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    for (ask, error) in [
        (app.ask().without("response_type"), "invalid_request"),
        (app.ask().set("response_type", "token"), "unsupported_response_type"),
        (app.ask().set("response_type", "code token"), "unsupported_response_type"),
        (app.ask().and("response_type", "code"), "invalid_request"),
        (app.ask().without("code_challenge"), "invalid_request"),
        (app.ask().without("code_challenge_method"), "invalid_request"),
        (app.ask().set("code_challenge_method", "plain"), "invalid_request"),
        (app.ask().set("code_challenge_method", "s256"), "invalid_request"),
        (app.ask().set("code_challenge", "short"), "invalid_request"),
        (app.ask().and("code_challenge", "x"), "invalid_request"),
        (app.ask().set("response_mode", "fragment"), "invalid_request"),
        (app.ask().and("request_uri", "https://evil.example/r"), "invalid_request"),
        (app.ask().and("request", "e30.e30."), "invalid_request"),
        (app.ask().set("resource", "https://unknown.example/mcp"), "invalid_target"),
        (app.ask().set("resource", "https://notes.example/mcp2"), "invalid_target"),
        (app.ask().set("resource", "not a url"), "invalid_target"),
        (app.ask().and("resource", "https://unknown.example/mcp"), "invalid_target"),
        (app.ask().without("resource"), "invalid_target"),
        (app.ask().set("scope", "calendar:read"), "invalid_scope"),
        (app.ask().set("scope", "bad\"scope"), "invalid_scope"),
        (app.ask().and("prompt", "none"), "login_required"),
        (app.ask().and("prompt", "none login"), "invalid_request"),
        (app.ask().and("max_age", "soon"), "invalid_request"),
        (app.ask().and("max_age", "-1"), "invalid_request"),
        (app.ask().and("anything", "1").and("anything", "2"), "invalid_request"),
    ] {
        let page = browser.get(&ask.path()).await;
        is_redirect(&node, &page, WEB, error);
    }
    let twice = browser.get(&app.ask().and("state", "other").path()).await;
    let back = twice.callback();
    assert_eq!((back.get("error").map(String::as_str), back.get("state")), (Some("invalid_request"), None));
    for state in ["a\r\nset-cookie: x", "\0", "a\u{7f}"] {
        let page = browser.get(&app.ask().set("state", state).path()).await;
        let back = page.callback();
        assert_eq!(back.get("error").map(String::as_str), Some("invalid_request"), "{state:?}");
        assert_eq!((back.get("state"), back.get("iss").map(String::as_str)), (None, Some(node.issuer())));
    }
    let page = browser.get(&app.ask().and("nonce", "a\nb").path()).await;
    is_redirect(&node, &page, WEB, "invalid_request");
    let missing = browser.get(&app.ask().without("resource").path()).await.callback();
    assert!(missing["error_description"].contains("resource"), "{missing:?}");
}

#[tokio::test]
async fn a_parameter_in_query_and_body_is_not_merged() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let post = async |query: &str, ask: &Ask| {
        browser.send(browser.request("POST", &format!("/authorize{query}")).form(&ask.pairs)).await
    };
    let good = post("", &app.ask()).await;
    assert!(good.location().unwrap().contains("/login"), "{good:?}");
    is_page(&post("?client_id=other", &app.ask()).await);
    is_page(&post("?redirect_uri=https%3A%2F%2Fevil.example", &app.ask()).await);
    is_redirect(&node, &post("?scope=notes%3Aread", &app.ask()).await, WEB, "invalid_request");
    let json = browser.request("POST", "/authorize").header("content-type", "application/json").body("{}");
    is_page(&browser.send(json).await);
}

#[tokio::test]
async fn a_code_comes_back_with_the_state_as_it_was_and_the_issuer() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let page = browser.reach(&app.ask()).await;
    let back = browser.submit(&page.form("/consent").decide("allow")).await;
    assert_eq!(back.status, 303, "a 307 would repeat the form at the client");
    assert!(back.location().unwrap().starts_with(&format!("{WEB}&code=pst_ac_")), "{:?}", back.location());
    let back = back.callback();
    assert_eq!(
        (back["state"].as_str(), back["iss"].as_str(), back["from"].as_str()),
        (STATE, node.issuer(), "postern")
    );
    let stateless = browser.open(&app.ask().without("state")).await.callback();
    assert!(!stateless.contains_key("state"));
}

#[tokio::test]
async fn looking_ahead_with_head_issues_nothing() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    browser.approve(&app.ask()).await;
    let before = node.audited(AuditKind::CodeIssued).await;
    let page = browser.send(browser.request("HEAD", &app.ask().path())).await;
    assert!(!page.header("location").contains("code="), "{page:?}");
    assert_eq!(node.audited(AuditKind::CodeIssued).await, before);
}

#[tokio::test]
async fn an_approval_is_remembered_for_a_proven_address() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    browser.approve(&app.ask()).await;
    let silent = browser.get(&app.ask().path()).await;
    assert!(silent.callback().contains_key("code"), "silent for https");
    let none = browser.get(&app.ask().and("prompt", "none").path()).await;
    assert!(none.callback().contains_key("code"));
    let asked = browser.get(&app.ask().and("prompt", "consent").path()).await;
    assert!(asked.has_form("/consent"), "the app wants the page");
    let less = browser.get(&app.ask().set("scope", "notes:read").path()).await;
    assert!(less.callback().contains_key("code"));
}

#[tokio::test]
async fn a_program_on_this_computer_never_gets_a_silent_answer() {
    let node = Node::start().await;
    for redirect in
        [LOCAL, "http://localhost:9/x", "http://[::1]/cb", "cursor://anysphere.cursor-mcp/oauth/callback"]
    {
        let app = node.register(redirect).await;
        let browser = Browser::signed_in(&node).await;
        browser.approve(&app.ask()).await;
        let again = browser.get(&app.ask().path()).await;
        assert_eq!(again.status, 200, "never silent at {redirect}");
        assert!(again.words().contains("You allowed this on"), "{}", again.words());
        let none = browser.get(&app.ask().and("prompt", "none").path()).await;
        is_redirect(&node, &none, redirect, "consent_required");
        let back = browser.submit(&again.form("/consent").decide("allow")).await;
        assert!(back.callback().contains_key("code"), "one click is enough");
    }
}

#[tokio::test]
async fn an_approval_is_one_persons_for_one_app() {
    let node = Node::start().await;
    node.add_person("ben@example.com", PASSWORD).await;
    let app = node.register(WEB).await;
    Browser::signed_in(&node).await.approve(&app.ask()).await;
    let ben = Browser::new(&node);
    ben.sign_in("ben@example.com", PASSWORD).await;
    assert!(ben.get(&app.ask().path()).await.has_form("/consent"));
    let twin = node.register(WEB).await;
    let ana = Browser::signed_in(&node).await;
    assert!(ana.get(&twin.ask().path()).await.has_form("/consent"), "same name and address, another client");
}

#[tokio::test]
async fn the_loopback_port_is_free_and_nothing_else() {
    let node = Node::start().await;
    let app = node.register(LOCAL).await;
    let browser = Browser::signed_in(&node).await;
    for other in ["http://127.0.0.1:65000/cb", "http://127.0.0.1/cb"] {
        let page = browser.get(&app.ask().set("redirect_uri", other).path()).await;
        assert!(page.has_form("/consent"), "{other}");
    }
    for other in [
        "http://localhost:7777/cb",
        "http://[::1]:7777/cb",
        "http://127.0.0.1:7777/cb2",
        "http://127.0.0.1:7777/cb?x=1",
        "https://127.0.0.1:7777/cb",
        "http://127.0.0.2:7777/cb",
        "http://127.0.0.1.evil.example:7777/cb",
        "http://127.1:7777/cb",
        "http://127.0.0.1:7777@evil.example/cb",
    ] {
        is_page(&browser.get(&app.ask().set("redirect_uri", other).path()).await);
    }
}

#[tokio::test]
async fn an_app_with_one_address_need_not_name_it_and_one_with_two_must() {
    let node = Node::start().await;
    let one = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    assert!(browser.get(&one.ask().without("redirect_uri").path()).await.has_form("/consent"));
    let body = serde_json::json!({
        "redirect_uris": [WEB, "https://app.example/second"],
        "token_endpoint_auth_method": "none",
    });
    let two = App::from_registration(node.post_json("/register", &body).await.body);
    is_page(&browser.get(&two.ask().without("redirect_uri").path()).await);
}

#[tokio::test]
async fn prompt_login_asks_once_more_and_ends() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    node.advance(60).await;
    let page = browser.open(&app.ask().and("prompt", "login")).await;
    let form = page.login_form(EMAIL, PASSWORD);
    let answer = browser.submit(&form).await;
    let page = browser.follow(answer).await;
    assert!(page.has_form("/consent"), "the loop ends: {}", page.words());
    let silent = browser.get(&app.ask().and("prompt", "none").path()).await;
    is_redirect(&node, &silent, WEB, "consent_required");
}

#[tokio::test]
async fn max_age_wants_a_fresh_sign_in() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    browser.approve(&app.ask()).await;
    node.advance(100).await;
    assert!(browser.get(&app.ask().and("max_age", "100").path()).await.callback().contains_key("code"));
    let stale = browser.get(&app.ask().and("max_age", "99").and("prompt", "none").path()).await;
    is_redirect(&node, &stale, WEB, "login_required");
    for age in ["99", "0"] {
        let page = browser.open(&app.ask().and("max_age", age)).await;
        let answer = browser.submit(&page.login_form(EMAIL, PASSWORD)).await;
        let back = browser.follow(answer).await;
        assert!(back.callback().contains_key("code"), "max_age={age} ends");
        node.advance(100).await;
    }
}

#[tokio::test]
async fn login_hint_fills_the_field_and_nothing_more() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let hint = "\"><script>alert(1)</script>@example.com";
    let page = browser.open(&app.ask().and("login_hint", hint)).await;
    assert_eq!(page.form("/login").values("email"), [hint]);
    assert!(!page.text.contains("<script"), "{}", page.text);
}

#[tokio::test]
async fn the_sign_in_page_cannot_be_made_to_lead_elsewhere() {
    let node = Node::start().await;
    for evil in ["https://evil.example", "//evil.example", "/\\evil.example", "AAAA/../x", "?x", "%0d%0ax"] {
        let browser = Browser::new(&node);
        let page = browser.get("/login").await;
        let form = page.login_form(EMAIL, PASSWORD).set("continue", evil);
        let to = browser.submit(&form).await.location().unwrap();
        assert_eq!(to, "/account", "{evil:?}");
    }
    let browser = Browser::signed_in(&node).await;
    let altered = browser.get("/authorize?continue=AAAA").await;
    is_page(&altered);
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_starts_again() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let page = browser.open(&app.ask()).await;
    node.advance(3_601).await;
    let answer = browser.submit(&page.login_form(EMAIL, PASSWORD)).await;
    is_page(&browser.follow(answer).await);
}

#[tokio::test]
async fn without_resource_the_default_is_meant() {
    let node = Node::start().await;
    node.add_resource("https://mail.example/mcp", |new| {
        new.is_default = true;
        new.name = "Mail".to_owned();
    })
    .await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().without("resource").path()).await;
    assert!(page.words().contains("Mail"), "{}", page.words());
    let code = browser.approve(&app.ask().without("resource")).await;
    let answer = app.redeem(&node, &code).await;
    assert_eq!(crate::harness::claims_of(&answer.text_of("access_token"))["aud"], "https://mail.example/mcp");
}

#[tokio::test]
async fn a_resource_is_found_however_its_host_is_written() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    for same in ["HTTPS://Notes.Example/mcp", "https://notes.example:443/mcp", "https://notes.example/mcp/"] {
        let code = browser.approve(&app.ask().set("resource", same)).await;
        let answer = app.redeem_with(&node, &code, &[("resource", same)]).await;
        assert_eq!(crate::harness::claims_of(&answer.text_of("access_token"))["aud"], NOTES, "{same}");
    }
    for other in ["https://notes.example/MCP", "http://notes.example/mcp", "https://notes.example:8443/mcp"] {
        is_redirect(
            &node,
            &browser.get(&app.ask().set("resource", other).path()).await,
            WEB,
            "invalid_target",
        );
    }
}

#[tokio::test]
async fn a_resource_decides_which_clients_may_ask() {
    let node = Node::start().await;
    let known = node.register(WEB).await;
    let stranger = node.register(WEB).await;
    node.add_resource("https://vault.example/mcp", |new| {
        new.client_rule = ClientRule::Only { clients: vec![known.id.clone()], domains: Vec::new() };
    })
    .await;
    let browser = Browser::signed_in(&node).await;
    let ask = |app: &App| app.ask().set("resource", "https://vault.example/mcp");
    is_redirect(&node, &browser.get(&ask(&stranger).path()).await, WEB, "invalid_target");
    assert!(browser.get(&ask(&known).path()).await.has_form("/consent"));
}

#[tokio::test]
async fn a_disabled_client_is_told_so_by_a_page() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let caller = postern::flow::core::Caller::command_line();
    postern::flow::client_admin::disable(&node.core, &caller, &app.id).await.unwrap();
    is_page(&Browser::signed_in(&node).await.get(&app.ask().path()).await);
}

#[tokio::test]
async fn a_page_that_is_too_large_to_ask_for_is_refused() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let long = browser.get(&app.ask().set("state", &"s".repeat(20_000)).path()).await;
    assert!((400..500).contains(&long.status), "{}", long.status);
    let body = browser.request("POST", "/authorize").form(&[("x", "y".repeat(70_000))]);
    assert_eq!(browser.send(body).await.status, 413);
}
