//! `/token`: the code, its one redemption, and machines' own tokens.

use futures_util::future::join_all;
use postern::types::audit::AuditKind;
use serde_json::json;

use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD, VERIFIER, header_of, verified};

const WEB: &str = "https://app.example/cb";

#[tokio::test]
async fn a_code_gives_tokens_as_the_profile_says() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let answer = app.tokens(&node, &browser).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 300);
    assert_eq!(answer.body["scope"], "notes:read notes:write");
    assert!(answer.text_of("refresh_token").starts_with("pst_rt_"));
    let jwt = answer.text_of("access_token");
    let header = header_of(&jwt);
    assert_eq!((header["alg"].as_str(), header["typ"].as_str()), (Some("ES256"), Some("at+jwt")));
    let claims = verified(&node, &jwt).await;
    let now = 1_795_000_000;
    let person = postern::flow::people::find(&node.core, EMAIL).await.unwrap();
    assert_eq!(claims["iss"], node.issuer());
    assert_eq!(claims["sub"], person.id.to_string());
    assert_eq!(claims["aud"], NOTES);
    assert_eq!(claims["client_id"], app.id);
    assert_eq!(claims["scope"], "notes:read notes:write");
    assert_eq!((claims["iat"].as_i64(), claims["exp"].as_i64()), (Some(now), Some(now + 300)));
    assert_eq!(claims["auth_time"], now);
    assert!(claims["jti"].is_string() && claims["grant_id"].is_string(), "{claims}");
    let status = &claims["status"]["status_list"];
    assert!(status["idx"].as_i64().is_some_and(|index| index >= 0));
    assert_eq!(status["uri"], format!("{}/status-lists/0", node.issuer()));
    assert!(!jwt.contains(EMAIL) && !claims.to_string().contains('@'), "no e-mail in a token: {claims}");
}

#[tokio::test]
async fn whoever_lacks_one_thing_gets_nothing_and_spends_nothing() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let other = node.register(WEB).await;
    let browser = Browser::new(&node);
    let code = app.code(&browser).await;
    let form = |changes: &[(&'static str, &str)]| {
        let mut pairs = vec![
            ("grant_type".to_owned(), "authorization_code".to_owned()),
            ("code".to_owned(), code.clone()),
            ("redirect_uri".to_owned(), WEB.to_owned()),
            ("code_verifier".to_owned(), VERIFIER.to_owned()),
            ("client_id".to_owned(), app.id.clone()),
        ];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            if !value.is_empty() {
                pairs.push(((*name).to_owned(), (*value).to_owned()));
            }
        }
        pairs
    };
    let send =
        async |pairs: Vec<(String, String)>| Answer::of(node.request("POST", "/token").form(&pairs)).await;
    for (changes, error) in [
        (vec![("code_verifier", "another-verifier-of-at-least-forty-three-chars")], "invalid_grant"),
        (vec![("code_verifier", "")], "invalid_request"),
        (vec![("code_verifier", ""), ("client_id", other.id.as_str())], "invalid_grant"),
        (vec![("code_verifier", "short")], "invalid_grant"),
        (vec![("code_verifier", crate::harness::challenge_of(VERIFIER).as_str())], "invalid_grant"),
        (vec![("redirect_uri", "https://app.example/other")], "invalid_grant"),
        (vec![("redirect_uri", "https://APP.example/cb")], "invalid_grant"),
        (vec![("client_id", other.id.as_str())], "invalid_grant"),
        (vec![("code", "")], "invalid_request"),
        (vec![("code", &code[..code.len() - 1])], "invalid_grant"),
        (vec![("code", "pst_ac_0000000000000000000000000000000000000000000000000")], "invalid_grant"),
        (vec![("resource", "https://other.example/mcp")], "invalid_target"),
        (vec![("grant_type", "")], "invalid_request"),
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![("grant_type", "implicit")], "unsupported_grant_type"),
    ] {
        let answer = send(form(&changes)).await;
        assert_eq!(answer.body["error"], error, "{changes:?}");
        answer.is_error(400, error);
    }
    for name in ["code", "code_verifier", "client_id", "grant_type", "redirect_uri"] {
        let mut twice = form(&[]);
        let again = twice.iter().find(|(known, _)| known == name).unwrap().clone();
        twice.push(again);
        send(twice).await.is_error(400, "invalid_request");
    }
    send(form(&[("client_id", "pst_client_gone")])).await.is_error(401, "invalid_client");
    send(form(&[("client_id", "")])).await.is_error(401, "invalid_client");
    let good = send(form(&[])).await;
    assert_eq!(good.status, 200, "{}", good.text);
    let scopes = good.text_of("scope");
    assert_eq!(scopes, "notes:read notes:write");
}

#[tokio::test]
async fn a_code_may_be_redeemed_without_the_redirect_uri_and_narrower() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let code = app.code(&browser).await;
    let answer = node
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("code_verifier", VERIFIER),
            ("client_id", &app.id),
            ("scope", "notes:read"),
            ("resource", NOTES),
        ])
        .await;
    assert_eq!((answer.status, answer.body["scope"].as_str()), (200, Some("notes:read")), "{}", answer.text);
}

#[tokio::test]
async fn a_code_lives_a_minute() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let code = app.code(&browser).await;
    node.advance(59).await;
    assert_eq!(app.redeem(&node, &code).await.status, 200);
    let code = app.code(&browser).await;
    node.advance(60).await;
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_code_that_comes_twice_takes_back_what_it_gave() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let code = app.code(&browser).await;
    let first = app.redeem(&node, &code).await;
    let (access, refresh) = (first.text_of("access_token"), first.text_of("refresh_token"));
    let later = app.refresh(&node, &refresh).await;
    assert!(node.is_active(&access).await);
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    assert!(!node.is_active(&access).await);
    assert!(!node.is_active(&later.text_of("access_token")).await, "what came from a refresh, too");
    app.refresh(&node, &refresh).await.is_error(400, "invalid_grant");
    app.refresh(&node, &later.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    assert_eq!(node.audited(AuditKind::CodeReplayed).await, 1);
    // Long after it expired, as long as it is remembered.
    let code = app.code(&browser).await;
    let tokens = app.redeem(&node, &code).await;
    node.advance(3_600).await;
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_stranger_with_a_used_code_harms_nobody() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let stranger = node.register(WEB).await;
    let code = app.code(&Browser::new(&node)).await;
    let first = app.redeem(&node, &code).await;
    stranger.redeem(&node, &code).await.is_error(400, "invalid_grant");
    assert!(node.is_active(&first.text_of("access_token")).await);
    assert_eq!(app.refresh(&node, &first.text_of("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn sixty_four_redemptions_of_one_code_have_one_winner() {
    let node = Node::start().await;
    let other = node.second();
    let app = node.register(WEB).await;
    let code = app.code(&Browser::new(&node)).await;
    let all = (0..64).map(|number| app.redeem(if number % 2 == 0 { &node } else { &other }, &code));
    let answers = join_all(all).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in &lost {
        answer.is_error(400, "invalid_grant");
    }
    node.catch_up().await;
    assert!(!node.is_active(&won[0].text_of("access_token")).await, "the others prove that it leaked");
    app.refresh(&node, &won[0].text_of("refresh_token")).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn without_the_refresh_grant_there_is_a_refresh_token_only_for_offline_access() {
    let node = Node::start().await;
    let body = json!({
        "redirect_uris": [WEB],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
    });
    let app = App::from_registration(node.post_json("/register", &body).await.body);
    let browser = Browser::new(&node);
    let plain = app.tokens(&node, &browser).await;
    assert!(plain.body.get("refresh_token").is_none(), "{}", plain.text);
    let code = browser.approve(&app.ask().set("scope", "notes:read offline_access")).await;
    let offline = app.redeem(&node, &code).await;
    assert_eq!(offline.body["scope"], "notes:read offline_access");
    let again = app.refresh(&node, &offline.text_of("refresh_token")).await;
    assert_eq!((again.status, again.body["scope"].as_str()), (200, Some("notes:read offline_access")));
}

#[tokio::test]
async fn asking_too_much_gives_what_there_is() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let ask = app.ask().set("scope", "openid claudeai notes:read profile admin:*");
    let answer = app.redeem(&node, &browser.approve(&ask).await).await;
    assert_eq!(answer.body["scope"], "notes:read");
    let defaults = app.redeem(&node, &browser.approve(&app.ask().without("scope")).await).await;
    assert_eq!(defaults.body["scope"], "notes:read", "the resource's default scopes");
}

#[tokio::test]
async fn people_and_clients_that_are_switched_off_get_nothing() {
    let node = Node::start().await;
    node.add_person("ben@example.com", PASSWORD).await;
    let app = node.register(WEB).await;
    let caller = postern::flow::core::Caller::command_line();
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    postern::flow::people::disable(&node.core, &caller, EMAIL).await.unwrap();
    assert!(!node.is_active(&tokens.text_of("access_token")).await);
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    assert!(browser.open(&app.ask()).await.has_form("/login"), "the session has ended, too");
    postern::flow::people::enable(&node.core, &caller, EMAIL).await.unwrap();
    assert!(!node.is_active(&tokens.text_of("access_token")).await, "what was dead stays dead");
    let browser = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    postern::flow::client_admin::disable(&node.core, &caller, &app.id).await.unwrap();
    assert!(!node.is_active(&tokens.text_of("access_token")).await);
    app.redeem(&node, &code).await.is_error(401, "invalid_client");
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(401, "invalid_client");
}

#[tokio::test]
async fn a_resource_sets_the_life_of_its_tokens() {
    let node = Node::start().await;
    node.add_resource("https://short.example/mcp", |new| {
        new.access_token_ttl = Some(std::time::Duration::from_secs(7));
    })
    .await;
    let app = node.register(WEB).await;
    let ask = app.ask().set("resource", "https://short.example/mcp");
    let answer = app.redeem(&node, &Browser::new(&node).approve(&ask).await).await;
    assert_eq!(answer.body["expires_in"], 7);
}

#[tokio::test]
async fn a_resource_can_be_asked_for_as_soon_as_it_is_added() {
    let node = Node::start().await;
    let other = node.second();
    let robot = json!({"client_name": "Robot", "grant_types": ["client_credentials"]});
    let robot = node.add_client(robot).await;
    let app = node.register(WEB).await;
    let browser = Browser::signed_in(&other).await;
    // The other node has heard of neither, and nothing but the request makes it look.
    let (new, newer) = ("https://new.example/mcp", "https://newer.example/mcp");
    node.add_resource(new, |_| {}).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*robot.id),
        ("client_secret", robot.secret.as_deref().unwrap()),
        ("resource", new),
    ];
    let answer = other.token(&form).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    node.add_resource(newer, |_| {}).await;
    let page = browser.get(&app.ask().set("resource", newer).path()).await;
    assert!(page.has_form("/consent"), "{}", page.words());
}

#[tokio::test]
async fn what_is_no_form_is_refused_in_words_of_oauth() {
    let node = Node::start().await;
    let send = async |request: reqwest::RequestBuilder| Answer::of(request).await;
    let post = || node.request("POST", "/token");
    send(post().json(&json!({"grant_type": "refresh_token"}))).await.is_error(400, "invalid_request");
    send(post()).await.is_error(400, "invalid_request");
    send(post().body("grant_type=refresh_token")).await.is_error(400, "invalid_request");
    let form = "application/x-www-form-urlencoded";
    for body in ["%", "grant_type=%zz", "grant_type=%00", "grant_type=%ff", "=", "&&&", ""] {
        send(post().header("content-type", form).body(body)).await.is_error(400, "invalid_request");
    }
    let many = "a=1&".repeat(100);
    send(post().header("content-type", form).body(many)).await.is_error(400, "invalid_request");
    send(node.request("POST", "/token?grant_type=refresh_token").form(&[("client_id", "x")]))
        .await
        .is_error(400, "invalid_request");
    let large = post().header("content-type", form).body("a".repeat(64 * 1024 + 1));
    send(large).await.is_error(413, "invalid_request");
    let chunks = futures_util::stream::iter((0..80).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 1024])));
    let streamed = post().header("content-type", form).body(reqwest::Body::wrap_stream(chunks));
    send(streamed).await.is_error(413, "invalid_request");
    for method in ["GET", "PUT", "DELETE"] {
        let answer = send(node.request(method, "/token")).await;
        assert!([404, 405].contains(&answer.status), "{method} {}", answer.status);
        assert!(!answer.text.contains("<html"), "{}", answer.text);
    }
}

#[tokio::test]
async fn errors_look_like_this() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let unknown = app.redeem(&node, "pst_ac_x").await;
    insta::assert_snapshot!(unknown.text, @r#"{"error":"invalid_grant","error_description":"The authorization code is unknown, expired, or was issued to another client."}"#);
    let nobody =
        node.token(&[("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", "x")]).await;
    insta::assert_snapshot!(nobody.text, @r#"{"error":"invalid_client","error_description":"This client is not registered here (any more); register again."}"#);
    insta::assert_snapshot!(nobody.header("www-authenticate"), @r#"Basic realm="postern", charset="UTF-8""#);
}
