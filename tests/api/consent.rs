//! `/consent`: what the page says, and that its answer is bound to browser, person and request.

use postern::types::audit::AuditKind;
use serde_json::json;

use crate::harness::{Browser, EMAIL, NOTES, Node, PASSWORD, Page};

const WEB: &str = "https://app.example/cb";

#[track_caller]
fn leads_nowhere(page: &Page) {
    assert!(page.location().is_none(), "{:?}", page.location());
    assert!((400..500).contains(&page.status), "{} {}", page.status, page.text);
}

#[tokio::test]
async fn the_page_says_who_what_where_and_how_long() {
    let node = Node::start().await;
    let app = node.register("http://127.0.0.1:7777/cb").await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().path()).await;
    let words = page.words();
    for part in [
        "Inspector",
        "Team notes",
        "notes.example/mcp",
        EMAIL,
        "Unverified",
        "Read your notes",
        "Write and change notes",
        "127.0.0.1:7777",
        "an app on this computer",
        "until",
    ] {
        assert!(words.contains(part), "{part:?} is not in {words:?}");
    }
    let form = page.form("/consent");
    assert_eq!(form.values("scope"), ["notes:read", "notes:write"]);
    let administrators = node
        .add_client(json!({
            "client_name": "Backoffice",
            "redirect_uris": [WEB],
            "token_endpoint_auth_method": "none",
        }))
        .await;
    let words = browser.get(&administrators.ask().path()).await.words();
    assert!(words.contains("Added by your administrator"), "{words}");
    assert!(words.contains("app.example") && !words.contains("this computer"), "{words}");
}

#[tokio::test]
async fn names_are_text_and_nothing_else() {
    let node = Node::start().await;
    let body = json!({
        "client_name": "<script>alert(1)</script><img src=x onerror=alert(2)>",
        "redirect_uris": ["https://app.example/cb?\u{27}x"],
        "token_endpoint_auth_method": "none",
    });
    let answer = node.post_json("/register", &body).await;
    if answer.status != 201 {
        return answer.is_error(400, "invalid_client_metadata");
    }
    let app = crate::harness::App::from_registration(answer.body);
    let page = Browser::signed_in(&node).await.get(&app.ask().path()).await;
    assert!(!page.text.contains("<script") && !page.text.contains("<img"), "{}", page.text);
}

#[tokio::test]
async fn pages_defend_themselves() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let login = browser.open(&app.ask()).await;
    let answer = browser.submit(&login.login_form(EMAIL, PASSWORD)).await;
    let consent = browser.follow(answer).await;
    let problem = browser.get("/authorize?client_id=nobody").await;
    let account = browser.get("/account").await;
    for page in [&login, &consent, &problem, &account] {
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(!page.headers.contains_key("strict-transport-security"), "the issuer is http");
        assert!(!page.text.contains("<script") && !page.text.contains(" style="), "{}", page.text);
    }
    for page in [&login, &consent] {
        assert!(
            !page.header("content-security-policy").contains("form-action"),
            "it would block the way back"
        );
    }
}

#[tokio::test]
async fn with_https_cookies_and_transport_are_strict() {
    let node = Node::with(|policy| {
        policy.issuer = postern::types::issuer::Issuer::parse("https://auth.example").unwrap();
    })
    .await;
    let browser = Browser::new(&node);
    let page = browser.get("/login").await;
    assert!(page.header("strict-transport-security").contains("max-age="));
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-"), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{part} is not in {cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
    // The browser would not send a secure cookie here, so it is handed over by hand, as https would.
    let pair = cookie.split(';').next().unwrap().to_owned();
    let form = page.login_form(EMAIL, PASSWORD);
    let request = browser.request("POST", "/login").header("cookie", pair).form(&form.fields);
    let answer = browser.send(request).await;
    let session = answer.header("set-cookie");
    assert!(session.starts_with("__Host-postern_session") && session.contains("Secure"), "{answer:?}");
}

#[tokio::test]
async fn with_http_on_this_computer_cookies_still_are_out_of_reach_of_scripts() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    let page = browser.get("/login").await;
    let answer = browser.submit(&page.login_form(EMAIL, PASSWORD)).await;
    for cookie in [page.header("set-cookie"), answer.header("set-cookie")] {
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        assert!(!cookie.contains("Secure"), "{cookie}");
    }
}

#[tokio::test]
async fn the_person_may_grant_less() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().path()).await;
    let back = browser.submit(&page.form("/consent").tick(&["notes:read"]).decide("allow")).await;
    let answer = app.redeem(&node, &back.callback()["code"]).await;
    assert_eq!(answer.body["scope"], "notes:read");
    assert_eq!(crate::harness::claims_of(&answer.text_of("access_token"))["scope"], "notes:read");
}

#[tokio::test]
async fn no_tick_adds_what_was_not_asked() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().set("scope", "notes:read").path()).await;
    let form =
        page.form("/consent").tick(&["notes:read", "notes:write", "admin", "1 notes:write"]).decide("allow");
    let answer = app.redeem(&node, &browser.submit(&form).await.callback()["code"]).await;
    assert_eq!(answer.body["scope"], "notes:read");
}

#[tokio::test]
async fn a_step_up_shows_what_is_new_and_merges() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let code = browser.approve(&app.ask().set("scope", "notes:read")).await;
    let first = app.redeem(&node, &code).await;
    let page = browser.get(&app.ask().set("scope", "notes:read notes:write").path()).await;
    let words = page.words();
    assert!(words.contains("New Write and change notes"), "{words}");
    assert!(words.contains("Read your notes Allowed before"), "{words}");
    let back = browser.submit(&page.form("/consent").decide("allow")).await;
    let second = app.redeem(&node, &back.callback()["code"]).await;
    assert_eq!(second.body["scope"], "notes:read notes:write");
    let (one, two) = (first.text_of("access_token"), second.text_of("access_token"));
    assert_eq!(
        crate::harness::claims_of(&one)["grant_id"],
        crate::harness::claims_of(&two)["grant_id"],
        "one approval, wider"
    );
    let silent = browser.get(&app.ask().path()).await;
    assert!(silent.callback().contains_key("code"), "the union stands");
    let old = app.refresh(&node, &first.text_of("refresh_token")).await;
    assert_eq!(
        (old.status, old.body["scope"].as_str()),
        (200, Some("notes:read")),
        "the old family stays as it was"
    );
}

#[tokio::test]
async fn asking_for_another_part_keeps_the_first() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    browser.approve(&app.ask().set("scope", "notes:read")).await;
    browser.approve(&app.ask().set("scope", "notes:write")).await;
    let both = browser.get(&app.ask().path()).await;
    assert!(both.callback().contains_key("code"), "both stand: {}", both.text);
}

#[tokio::test]
async fn a_denial_goes_back_and_leaves_nothing() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().path()).await;
    let back = browser.submit(&page.form("/consent").decide("deny")).await.callback();
    assert_eq!((back["error"].as_str(), back["iss"].as_str()), ("access_denied", node.issuer()));
    assert!(!back.contains_key("code"));
    assert!(browser.get(&app.ask().path()).await.has_form("/consent"), "it is asked again");
    assert_eq!(node.audited(AuditKind::ConsentDenied).await, 1);
    let nothing = browser.get(&app.ask().path()).await.form("/consent").tick(&[]).decide("allow");
    assert_eq!(browser.submit(&nothing).await.callback()["error"], "access_denied", "nothing ticked");
}

#[tokio::test]
async fn an_answer_counts_once() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let form = browser.get(&app.ask().path()).await.form("/consent").decide("allow");
    assert!(browser.submit(&form).await.callback().contains_key("code"));
    leads_nowhere(&browser.submit(&form).await);
    leads_nowhere(&browser.submit(&form.clone().decide("deny")).await);
    let form = browser.get(&app.ask().and("prompt", "consent").path()).await.form("/consent");
    let both = (form.clone().decide("allow"), form.decide("deny"));
    let (one, two) = tokio::join!(browser.submit(&both.0), browser.submit(&both.1));
    assert_eq!([&one, &two].iter().filter(|page| page.location().is_some()).count(), 1, "{one:?} {two:?}");
}

#[tokio::test]
async fn another_browser_cannot_answer() {
    let node = Node::start().await;
    node.add_person("eve@example.com", PASSWORD).await;
    let app = node.register(WEB).await;
    let ana = Browser::signed_in(&node).await;
    let eve = Browser::new(&node);
    eve.sign_in("eve@example.com", PASSWORD).await;
    let hers = ana.get(&app.ask().path()).await.form("/consent").decide("allow");
    let eves = eve.get(&app.ask().path()).await.form("/consent").decide("allow");
    // Her own anti-forgery value, another's request: both ways round.
    leads_nowhere(&eve.submit(&eves.clone().set("request", hers.values("request")[0])).await);
    leads_nowhere(&ana.submit(&hers.clone().set("request", eves.values("request")[0])).await);
    // The whole form of another.
    leads_nowhere(&eve.submit(&hers).await);
    leads_nowhere(&Browser::new(&node).submit(&hers).await);
    // The same person in another browser.
    leads_nowhere(&Browser::signed_in(&node).await.submit(&hers).await);
    assert_eq!(node.audited(AuditKind::CodeIssued).await, 0);
    assert!(ana.submit(&hers).await.callback().contains_key("code"), "the attacks spent nothing");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let form = browser.get(&app.ask().path()).await.form("/consent").decide("allow");
    let mut without = form.clone();
    without.fields.retain(|(name, _)| name != "csrf");
    leads_nowhere(&browser.submit(&without).await);
    leads_nowhere(&browser.submit(&form.clone().set("csrf", "")).await);
    leads_nowhere(&browser.submit(&form.clone().set("csrf", "AAAA")).await);
    let mut twice = form.clone();
    twice.fields.push(("csrf".to_owned(), form.values("csrf")[0].to_owned()));
    leads_nowhere(&browser.submit(&twice).await);
    leads_nowhere(&browser.submit(&form.clone().decide("maybe")).await);
    assert_eq!(node.audited(AuditKind::CodeIssued).await, 0);
}

#[tokio::test]
async fn fields_that_the_form_does_not_have_change_nothing() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let form = browser.get(&app.ask().path()).await.form("/consent").decide("allow");
    let form = form
        .set("redirect_uri", "https://evil.example/cb")
        .set("client_id", "pst_client_evil")
        .set("state", "evil")
        .set("resource", "https://evil.example/mcp")
        .set("code_challenge", "evil");
    let back = browser.submit(&form).await;
    assert!(back.location().unwrap().starts_with(WEB), "{:?}", back.location());
    assert_eq!(back.callback()["state"], crate::harness::STATE);
    assert_eq!(
        app.redeem(&node, &back.callback()["code"]).await.status,
        200,
        "the challenge is the request's"
    );
}

#[tokio::test]
async fn a_page_does_not_wait_for_ever_nor_outlive_the_session() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let late = browser.get(&app.ask().path()).await.form("/consent").decide("allow");
    node.advance(601).await;
    leads_nowhere(&browser.submit(&late).await);
    let open = browser.get(&app.ask().path()).await;
    let cookies = browser.cookies();
    browser.submit(&open.form("/logout")).await;
    leads_nowhere(&browser.submit(&open.form("/consent").decide("allow")).await);
    // Even with the old cookie back in place.
    for (name, value) in cookies {
        browser.plant(&name, &value);
    }
    leads_nowhere(&browser.submit(&open.form("/consent").decide("allow")).await);
}

#[tokio::test]
async fn a_change_of_the_app_is_asked_about_again() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    browser.approve(&app.ask()).await;
    let open = browser.get(&app.ask().and("prompt", "consent").path()).await.form("/consent").decide("allow");
    let body = json!({
        "client_id": app.id,
        "client_name": "Inspector",
        "redirect_uris": [WEB, "https://elsewhere.example/cb"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let bearer = app.registration["registration_access_token"].as_str().unwrap();
    let update = node.request("PUT", &format!("/register/{}", app.id)).bearer_auth(bearer).json(&body);
    assert_eq!(crate::harness::Answer::of(update).await.status, 200);
    leads_nowhere(&browser.submit(&open).await);
    let page = browser.get(&app.ask().path()).await;
    assert!(page.words().contains("This app has changed"), "{}", page.words());
    assert!(browser.submit(&page.form("/consent").decide("allow")).await.callback().contains_key("code"));
    assert!(browser.get(&app.ask().path()).await.callback().contains_key("code"), "and then remembered");
}

#[tokio::test]
async fn several_servers_are_asked_for_together_and_each_token_names_one() {
    let node = Node::start().await;
    let mail = "https://mail.example/mcp";
    node.add_resource(mail, |new| new.name = "Mail".to_owned()).await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get(&app.ask().and("resource", mail).path()).await;
    let form = page.form("/consent");
    assert_eq!(form.values("scope").len(), 4, "{form:?}");
    // Less at the second than at the first.
    let form = form.tick(&["notes:read", "notes:write", "1 notes:read"]).decide("allow");
    let code = browser.submit(&form).await.callback().remove("code").unwrap();
    let ambiguous = app.redeem(&node, &code).await;
    ambiguous.is_error(400, "invalid_target");
    let first = app.redeem_with(&node, &code, &[("resource", NOTES)]).await;
    assert_eq!(first.status, 200, "a refusal spends nothing: {}", first.text);
    let claims = crate::harness::claims_of(&first.text_of("access_token"));
    assert_eq!(
        (claims["aud"].as_str(), claims["scope"].as_str()),
        (Some(NOTES), Some("notes:read notes:write"))
    );
    let refresh = first.text_of("refresh_token");
    let second = app.refresh_with(&node, &refresh, &[("resource", mail)]).await;
    let claims = crate::harness::claims_of(&second.text_of("access_token"));
    assert_eq!((claims["aud"].as_str(), claims["scope"].as_str()), (Some(mail), Some("notes:read")));
    let other = [("resource", "https://other.example/mcp")];
    app.refresh_with(&node, &second.text_of("refresh_token"), &other).await.is_error(400, "invalid_target");
}
