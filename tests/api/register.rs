//! `/register` (RFC 7591) and `/register/{client_id}` (RFC 7592).

use postern::flow::core::Caller;
use postern::flow::{client_admin, sweep};
use postern::types::policy::{REGISTRATION_BURST, RegistrationMode};
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, Node};

const WEB: &str = "https://app.example/cb";

fn body() -> Value {
    json!({"client_name": "Inspector", "redirect_uris": [WEB], "token_endpoint_auth_method": "none"})
}

async fn manage(node: &Node, method: &str, id: &str, bearer: &str, body: Option<Value>) -> Answer {
    let mut request = node.request(method, &format!("/register/{id}"));
    if !bearer.is_empty() {
        request = request.bearer_auth(bearer);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn a_registration_says_what_was_registered_and_nothing_absent() {
    let node = Node::start().await;
    let answer = node.post_json("/register", &body()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text.contains("null"), "{}", answer.text);
    let id = answer.text_of("client_id");
    assert!(!id.starts_with("http"), "no generated id looks like a document's");
    assert_eq!(answer.body["registration_client_uri"], format!("{}/register/{id}", node.issuer()));
    assert!(answer.text_of("registration_access_token").starts_with("pst_rat_"));
    assert_eq!(answer.body["token_endpoint_auth_method"], "none");
    assert!(answer.body.get("client_secret").is_none());
    for list in ["redirect_uris", "grant_types", "response_types"] {
        assert!(answer.body[list].is_array(), "{list}");
    }
    let secret = node.post_json("/register", &json!({"redirect_uris": [WEB]})).await;
    assert_eq!(secret.body["token_endpoint_auth_method"], "client_secret_basic", "the default of RFC 7591");
    assert!(secret.text_of("client_secret").starts_with("pst_cs_"));
    assert_eq!(secret.body["client_secret_expires_at"], 0);
}

#[tokio::test]
async fn of_mixed_addresses_the_good_ones_stay() {
    let node = Node::start().await;
    let mixed = json!({
        "redirect_uris": [
            "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "http://evil.example/cb",
            "https://app.example/cb#f", "https://u:p@app.example/cb", "evil-app://cb", WEB,
            "http://localhost:1/cb", "cursor://anysphere.cursor-mcp/oauth/callback",
        ],
        "token_endpoint_auth_method": "none",
    });
    let answer = node.post_json("/register", &mixed).await;
    let good = json!([WEB, "http://localhost:1/cb", "cursor://anysphere.cursor-mcp/oauth/callback"]);
    assert_eq!((answer.status, &answer.body["redirect_uris"]), (201, &good), "{}", answer.text);
    assert_eq!(answer.body["warnings"].as_array().unwrap().len(), 7, "{}", answer.text);
    for bad in
        [json!(["javascript:alert(1)"]), json!([]), json!(null), json!("https://app.example/cb"), json!([1])]
    {
        let answer = node.post_json("/register", &json!({"redirect_uris": bad})).await;
        answer.is_error(400, answer.body["error"].as_str().unwrap());
        assert!(["invalid_redirect_uri", "invalid_client_metadata"].contains(&&*answer.text_of("error")));
    }
    node.post_json("/register", &json!({"redirect_uris": ["javascript:alert(1)"]}))
        .await
        .is_error(400, "invalid_redirect_uri");
}

#[tokio::test]
async fn what_we_do_not_have_is_left_out() {
    let node = Node::start().await;
    let wide = json!({
        "redirect_uris": [WEB],
        "grant_types": ["authorization_code", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types": ["code", "token"],
        "token_endpoint_auth_method": "none",
        "resource": "https://notes.example/mcp",
        "something_new": {"a": 1},
        "logo_uri": null,
    });
    let answer = node.post_json("/register", &wide).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.body["grant_types"], json!(["authorization_code"]));
    assert_eq!(answer.body["response_types"], json!(["code"]));
    assert!(!answer.text.contains("null"), "{}", answer.text);
}

#[tokio::test]
async fn what_is_no_registration_is_refused_in_words_of_the_rfc() {
    let node = Node::start().await;
    for text in
        ["", "[]", "null", "{", "{\"redirect_uris\":[\"https://a/\"],\"redirect_uris\":[\"https://b/\"]}"]
    {
        let request = node.request("POST", "/register").header("content-type", "application/json");
        Answer::of(request.body(text)).await.is_error(400, "invalid_client_metadata");
    }
    let form = Answer::of(node.request("POST", "/register").form(&[("redirect_uris", WEB)])).await;
    form.is_error(400, "invalid_client_metadata");
    let huge = json!({"redirect_uris": [WEB], "client_name": "x".repeat(70_000)});
    node.post_json("/register", &huge).await.is_error(413, "invalid_request");
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let request = node.request("POST", "/register").header("content-type", "application/json");
    Answer::of(request.body(deep)).await.is_error(400, "invalid_client_metadata");
    let both = json!({"redirect_uris": [WEB], "jwks": {"keys": []}, "jwks_uri": "https://app.example/jwks"});
    node.post_json("/register", &both).await.is_error(400, "invalid_client_metadata");
}

#[tokio::test]
async fn keys_that_verify_nothing_are_refused_when_they_come() {
    let node = Node::start().await;
    let with = |key: Value| json!({"redirect_uris": [WEB], "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}});
    // RFC 8037 appendix A.2.
    let good = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let registered = node.post_json("/register", &with(good.clone())).await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    let mut sealing = good;
    sealing["use"] = json!("enc");
    let too_short = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"});
    let strange = json!({"kty": "strange"});
    let (id, token) = (registered.text_of("client_id"), registered.text_of("registration_access_token"));
    for key in [sealing, too_short, strange] {
        let mut asked = with(key);
        let refused = node.post_json("/register", &asked).await;
        refused.is_error(400, "invalid_client_metadata");
        assert!(refused.text_of("error_description").contains("jwks: "), "{}", refused.text);
        asked["client_id"] = json!(id);
        manage(&node, "PUT", &id, &token, Some(asked)).await.is_error(400, "invalid_client_metadata");
    }
}

#[tokio::test]
async fn a_client_manages_its_own_registration_and_no_other() {
    let node = Node::start().await;
    let mine = node.register(WEB).await;
    let other = node.register(WEB).await;
    let token = mine.registration["registration_access_token"].as_str().unwrap();
    let shown = manage(&node, "GET", &mine.id, token, None).await;
    assert_eq!((shown.status, shown.body["client_id"].as_str()), (200, Some(&*mine.id)));
    for (id, bearer) in
        [(&*other.id, token), (&*mine.id, ""), (&*mine.id, "x"), ("gone", token), (&*mine.id, &token[..30])]
    {
        for (method, body) in [("GET", None), ("PUT", Some(body())), ("DELETE", None)] {
            let answer = manage(&node, method, id, bearer, body).await;
            answer.is_error(401, "invalid_token");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge.contains("error="), !bearer.is_empty(), "{method}: {challenge}");
        }
    }
    let update = |extra: Value| {
        let mut all = body();
        all["client_id"] = json!(mine.id);
        all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        all
    };
    let renamed = manage(&node, "PUT", &mine.id, token, Some(update(json!({"client_name": "New"})))).await;
    assert_eq!(
        (renamed.status, renamed.body["client_name"].as_str()),
        (200, Some("New")),
        "{}",
        renamed.text
    );
    let bad = update(json!({"client_id": other.id}));
    manage(&node, "PUT", &mine.id, token, Some(bad)).await.is_error(400, "invalid_client_metadata");
    let bad = update(json!({"redirect_uris": ["javascript:alert(1)"]}));
    manage(&node, "PUT", &mine.id, token, Some(bad)).await.is_error(400, "invalid_redirect_uri");
    let shown = manage(&node, "GET", &mine.id, token, None).await;
    assert_eq!(shown.body["redirect_uris"], json!([WEB]), "a refused update changes nothing");
}

#[tokio::test]
async fn a_client_that_removes_itself_takes_its_tokens_along() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let bearer = app.registration["registration_access_token"].as_str().unwrap();
    let gone = manage(&node, "DELETE", &app.id, bearer, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert!(!node.is_active(&tokens.text_of("access_token")).await);
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(401, "invalid_client");
    manage(&node, "GET", &app.id, bearer, None).await.is_error(401, "invalid_token");
    assert_eq!(browser.get(&app.ask().path()).await.status, 400);
}

#[tokio::test]
async fn an_update_to_a_secret_gives_one_and_back_takes_it() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let bearer = app.registration["registration_access_token"].as_str().unwrap();
    let mut change = body();
    change["client_id"] = json!(app.id);
    change["token_endpoint_auth_method"] = json!("client_secret_post");
    let secret = manage(&node, "PUT", &app.id, bearer, Some(change.clone())).await.text_of("client_secret");
    let confidential = App { secret: Some(secret), ..app.clone() };
    let code = confidential.code(&Browser::new(&node)).await;
    app.redeem(&node, &code).await.is_error(401, "invalid_client");
    assert_eq!(confidential.redeem(&node, &code).await.status, 200);
    let shown = manage(&node, "GET", &app.id, bearer, None).await;
    assert!(shown.body.get("client_secret").is_none(), "secrets are shown once");
}

#[tokio::test]
async fn nobody_registers_when_it_is_closed() {
    let node = Node::with(|policy| policy.registration_mode = RegistrationMode::Closed).await;
    node.post_json("/register", &body()).await.is_error(403, "access_denied");
}

#[tokio::test]
async fn an_initial_access_token_lets_in_as_often_as_it_says() {
    let node = Node::with(|policy| policy.registration_mode = RegistrationMode::InitialAccessToken).await;
    let caller = Caller::command_line();
    let hour = std::time::Duration::from_secs(3_600);
    let (_, token) =
        client_admin::add_initial_access_token(&node.core, &caller, "ci".to_owned(), Some(hour), Some(2))
            .await
            .unwrap();
    let (_, late) =
        client_admin::add_initial_access_token(&node.core, &caller, "late".to_owned(), Some(hour), None)
            .await
            .unwrap();
    let with = async |bearer: &str| {
        let mut request = node.request("POST", "/register").json(&body());
        if !bearer.is_empty() {
            request = request.bearer_auth(bearer);
        }
        Answer::of(request).await
    };
    assert!(token.expose().starts_with("pst_iat_"));
    for bad in ["", "x", "pst_iat_0000000000000000000000000000000000000000000000000"] {
        let answer = with(bad).await;
        answer.is_error(401, "invalid_token");
        // RFC 6750 §3.1: whoever shows nothing is not told that it is invalid.
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.contains("error="), !bad.is_empty(), "{bad:?}: {challenge}");
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
    }
    let bad = json!({"redirect_uris": ["javascript:alert(1)"]});
    let request = node.request("POST", "/register").bearer_auth(token.expose()).json(&bad);
    Answer::of(request).await.is_error(400, "invalid_redirect_uri");
    let answers = futures_util::future::join_all((0..8).map(|_| with(token.expose()))).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        2,
        "twice, and a refusal spends none"
    );
    node.advance(3_601).await;
    with(late.expose()).await.is_error(401, "invalid_token");
}

#[tokio::test]
async fn who_registers_too_often_has_to_wait() {
    let node = Node::start().await;
    let mut last = node.post_json("/register", &body()).await;
    // A slow machine gives some back meanwhile.
    for _ in 0..2 * REGISTRATION_BURST {
        if last.status == 429 {
            break;
        }
        last = node.post_json("/register", &body()).await;
    }
    assert_eq!(last.status, 429, "{}", last.text);
    assert!(!last.header("retry-after").is_empty());
    assert_eq!(last.header("access-control-allow-origin"), "*");
    // Nobody's word for where it comes from counts. Some is given back meanwhile; were each of these addresses one of its own,
    // all of them would be let in.
    let spoofed = |n: usize| {
        Answer::of(
            node.request("POST", "/register")
                .header("x-forwarded-for", format!("203.0.113.{n}"))
                .json(&body()),
        )
    };
    let answers = futures_util::future::join_all((0..32).map(spoofed)).await;
    assert!(answers.iter().any(|answer| answer.status == 429));
}

#[tokio::test]
async fn what_nobody_approves_is_swept_and_what_somebody_approved_stays() {
    let node = Node::start().await;
    let unused = node.register(WEB).await;
    let used = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = used.tokens(&node, &browser).await;
    let administrators = node.add_client(body()).await;
    node.advance(86_399).await;
    sweep::sweep(&node.core).await.unwrap();
    let bearer = unused.registration["registration_access_token"].as_str().unwrap();
    assert_eq!(manage(&node, "GET", &unused.id, bearer, None).await.status, 200, "a day is not over");
    node.advance(2).await;
    sweep::sweep(&node.core).await.unwrap();
    manage(&node, "GET", &unused.id, bearer, None).await.is_error(401, "invalid_token");
    assert_eq!(used.refresh(&node, &tokens.text_of("refresh_token")).await.status, 200);
    assert!(client_admin::find(&node.core, &administrators.id).await.is_ok());
    node.advance(29 * 86_400).await;
    sweep::sweep(&node.core).await.unwrap();
    assert!(client_admin::find(&node.core, &used.id).await.is_ok());
}
