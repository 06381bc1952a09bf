//! `/introspect`, `/revoke`, `/status-lists/…`: what is dead is dead at once, everywhere, and nothing else is.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern::flow::core::Caller;
use postern::flow::{access, client_admin, people, resources, verify};
use postern::storage::grants::GrantFilter;
use postern::types::resource_uri::ResourceUri;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD, claims_of, header_of, verified};

const WEB: &str = "https://app.example/cb";
const MAIL: &str = "https://mail.example/mcp";

/// Whether the bit of a token stands in the status list that the token names.
pub async fn is_listed(node: &Node, token: &str) -> bool {
    let status = &claims_of(token)["status"]["status_list"];
    let path = status["uri"].as_str().unwrap().strip_prefix(node.issuer()).unwrap().to_owned();
    let answer = node.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/statuslist+jwt");
    assert_eq!(header_of(&answer.text)["typ"], "statuslist+jwt");
    let claims = verified(node, &answer.text).await;
    assert_eq!(claims["sub"], status["uri"]);
    assert_eq!(claims["status_list"]["bits"], 1);
    let packed = URL_SAFE_NO_PAD.decode(claims["status_list"]["lst"].as_str().unwrap()).unwrap();
    let mut bits = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bits).unwrap();
    let index = usize::try_from(status["idx"].as_u64().unwrap()).unwrap();
    bits[index / 8] >> (index % 8) & 1 == 1
}

/// What a protected server in the same process would say.
fn accepted(node: &Node, token: &str) -> bool {
    verify::verify(&node.core, token, &ResourceUri::parse(NOTES).unwrap()).is_ok()
}

/// Live by every way of asking, or dead by every way.
async fn is_live(node: &Node, token: &str, live: bool) {
    assert_eq!(node.is_active(token).await, live, "introspection");
    assert_eq!(is_listed(node, token).await, !live, "status list");
    assert_eq!(accepted(node, token), live, "verification");
}

async fn introspect_as(node: &Node, id: &str, secret: &str, token: &str) -> Answer {
    let request = node.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("token", token)]);
    Answer::of(request).await
}

#[tokio::test]
async fn a_server_learns_all_about_a_token_for_it() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let token = app.tokens(&node, &Browser::new(&node)).await.text_of("access_token");
    let said = node.introspect(&token).await;
    let mut expected = claims_of(&token);
    expected["active"] = json!(true);
    expected["token_type"] = json!("Bearer");
    expected.as_object_mut().unwrap().remove("status");
    assert_eq!(said, expected);
    is_live(&node, &token, true).await;
}

#[tokio::test]
async fn only_those_a_token_is_meant_for_learn_of_it() {
    let node = Node::start().await;
    let (mail, mail_secret) = node.add_resource(MAIL, |_| {}).await;
    let metadata = json!({
        "client_name": "Web",
        "redirect_uris": [WEB],
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let app = node.add_client(metadata.clone()).await;
    let other = node.add_client(metadata).await;
    let public = node.register(WEB).await;
    let tokens = app.tokens(&node, &Browser::new(&node)).await;
    let (token, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    let inactive = json!({"active": false});
    assert_eq!(introspect_as(&node, &mail, &mail_secret, &token).await.body, inactive);
    let secret = |app: &App| app.secret.clone().unwrap();
    assert_eq!(introspect_as(&node, &app.id, &secret(&app), &token).await.body["active"], true);
    assert_eq!(introspect_as(&node, &other.id, &secret(&other), &token).await.body, inactive);
    assert_eq!(introspect_as(&node, &app.id, &secret(&app), &refresh).await.body["active"], true);
    assert_eq!(introspect_as(&node, &other.id, &secret(&other), &refresh).await.body, inactive);
    assert_eq!(node.introspect(&refresh).await, inactive, "a server has no business with refresh tokens");
    let nobody = node.post("/introspect", &[("token", &token)]).await;
    nobody.is_error(401, "invalid_client");
    node.post("/introspect", &[("token", &token), ("client_id", &public.id)])
        .await
        .is_error(401, "invalid_client");
    introspect_as(&node, &mail, "wrong", &token).await.is_error(401, "invalid_client");
    introspect_as(&node, &mail, &node.notes.1, &token).await.is_error(401, "invalid_client");
    let bearer = node.request("POST", "/introspect").bearer_auth(&token).form(&[("token", &token)]);
    Answer::of(bearer).await.is_error(401, "invalid_client");
    let (id, secret) = &node.notes;
    let missing = node.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("x", "y")]);
    Answer::of(missing).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn what_is_not_ours_is_inactive_and_says_no_more() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let token = app.tokens(&node, &Browser::new(&node)).await.text_of("access_token");
    let parts: Vec<&str> = token.split('.').collect();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let mut wide = claims_of(&token);
    wide["scope"] = json!("notes:read notes:write admin");
    let wide = URL_SAFE_NO_PAD.encode(wide.to_string());
    for bad in [
        "x".to_owned(),
        "..".to_owned(),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{}.{wide}.{}", parts[0], parts[2]),
        token[..token.len() - 2].to_owned(),
        format!("{token}A"),
        format!("{token}."),
        token.replace('.', " ."),
        "pst_rt_x".to_owned(),
        "\u{fc}".repeat(100),
    ] {
        assert_eq!(node.introspect(&bad).await, json!({"active": false}), "{bad}");
    }
    let list = node.get("/status-lists/0").await.text;
    assert_eq!(node.introspect(&list).await, json!({"active": false}), "a signed list is no access token");
    let (id, secret) = &node.notes;
    let large = "a".repeat(9_000);
    let too_long =
        node.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("token", &large)]);
    assert!([200, 400].contains(&Answer::of(too_long).await.status));
    node.advance(299).await;
    assert!(node.is_active(&token).await);
    node.advance(1).await;
    assert!(!node.is_active(&token).await, "it has expired");
}

#[tokio::test]
async fn a_revoked_access_token_is_dead_and_the_others_live() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let (one, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    let two = app.tokens(&node, &browser).await.text_of("access_token");
    let answer = node.post("/revoke", &[("token", &one), ("client_id", &app.id)]).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    is_live(&node, &one, false).await;
    is_live(&node, &two, true).await;
    let again = app.refresh(&node, &refresh).await;
    assert_eq!(again.status, 200, "one access token is not the approval");
    is_live(&node, &again.text_of("access_token"), true).await;
    let twice = node.post("/revoke", &[("token", &one), ("client_id", &app.id)]).await;
    assert_eq!(twice.status, 200, "dead already");
}

#[tokio::test]
async fn a_revoked_refresh_token_takes_its_access_tokens_along() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let other = app.tokens(&node, &browser).await;
    let next = app.refresh(&node, &tokens.text_of("refresh_token")).await;
    let form = [
        ("token", &*next.text_of("refresh_token")),
        ("client_id", &app.id),
        ("token_type_hint", "access_token"),
    ];
    assert_eq!(node.post("/revoke", &form).await.status, 200, "a wrong hint is no obstacle");
    for token in [&tokens, &next] {
        is_live(&node, &token.text_of("access_token"), false).await;
        app.refresh(&node, &token.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    }
    is_live(&node, &other.text_of("access_token"), true).await;
    assert_eq!(
        app.refresh(&node, &other.text_of("refresh_token")).await.status,
        200,
        "another sign-in stays"
    );
}

#[tokio::test]
async fn nobody_revokes_for_another() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let stranger = node.register(WEB).await;
    let tokens = app.tokens(&node, &Browser::new(&node)).await;
    for token in ["access_token", "refresh_token"] {
        let text = tokens.text_of(token);
        let answer = node.post("/revoke", &[("token", &text), ("client_id", &stranger.id)]).await;
        answer.is_error(400, "invalid_grant");
        assert!(answer.text_of("error_description").contains("issued to another client"), "{}", answer.text);
        node.post("/revoke", &[("token", &text), ("client_id", "gone")])
            .await
            .is_error(401, "invalid_client");
        node.post("/revoke", &[("token", &text)]).await.is_error(401, "invalid_client");
    }
    let confidential = node.add_client(json!({"client_name": "Web", "redirect_uris": [WEB]})).await;
    let form = [("token", "x"), ("client_id", &*confidential.id)];
    node.post("/revoke", &form).await.is_error(401, "invalid_client");
    is_live(&node, &tokens.text_of("access_token"), true).await;
    for unknown in ["x", "pst_rt_x", "a.b.c"] {
        let answer = node.post("/revoke", &[("token", unknown), ("client_id", &app.id)]).await;
        assert_eq!(answer.status, 200, "an unknown token is no error: {unknown}");
    }
    node.post("/revoke", &[("client_id", &*app.id)]).await.is_error(400, "invalid_request");
}

#[tokio::test]
async fn a_server_may_ask_as_soon_as_it_is_added() {
    let node = Node::start().await;
    let other = node.second();
    let (id, secret) = node.add_resource(MAIL, |_| {}).await;
    // The other node has not heard of it, and nothing but the question makes it look.
    let wrong = introspect_as(&other, &id, "pst_cs_wrong", "x").await;
    wrong.is_error(401, "invalid_client");
    assert!(wrong.text_of("error_description").contains("secret"), "{}", wrong.text);
    let more = node.add_resource("https://more.example/mcp", |_| {}).await;
    for (id, secret) in [(&id, &secret), (&more.0, &more.1)] {
        let answer = introspect_as(&other, id, secret, "x").await;
        assert_eq!((answer.status, &answer.body), (200, &json!({"active": false})), "{}", answer.text);
    }
    introspect_as(&other, "gone", "x", "x").await.is_error(401, "invalid_client");
}

#[tokio::test]
async fn the_kill_switch_cuts_by_every_axis_and_no_further() {
    let node = Node::start().await;
    node.add_person("ben@example.com", PASSWORD).await;
    node.add_resource(MAIL, |_| {}).await;
    let caller = Caller::command_line();
    let (first, second) = (node.register(WEB).await, node.register(WEB).await);
    let ana = Browser::signed_in(&node).await;
    let ben = Browser::new(&node);
    ben.sign_in("ben@example.com", PASSWORD).await;
    let person = people::find(&node.core, EMAIL).await.unwrap().id;
    let client = postern::types::client::ClientId::parse(&first.id).unwrap();
    let notes = resources::find(&node.core, NOTES).await.unwrap().id;
    let none = GrantFilter::default;
    for (what, filter, dead) in [
        ("a person", GrantFilter { user_id: Some(person), ..none() }, [true, true, false]),
        ("a client", GrantFilter { client_id: Some(client.clone()), ..none() }, [true, false, true]),
        ("a resource", GrantFilter { resource_id: Some(notes), ..none() }, [true, true, true]),
        ("everything", none(), [true, true, true]),
    ] {
        let all = [
            first.tokens(&node, &ana).await,
            second.tokens(&node, &ana).await,
            first.tokens(&node, &ben).await,
        ];
        let mail = second.ask().set("resource", MAIL);
        let mail = second.redeem(&node, &ben.approve(&mail).await).await;
        access::revoke(&node.core, &caller, filter, "test").await.unwrap();
        for (tokens, dead) in all.iter().zip(dead) {
            is_live(&node, &tokens.text_of("access_token"), !dead).await;
            let app = if std::ptr::eq(tokens, &raw const all[1]) { &second } else { &first };
            let status = app.refresh(&node, &tokens.text_of("refresh_token")).await.status;
            assert_eq!(status, if dead { 400 } else { 200 }, "{what}");
        }
        assert_eq!(is_listed(&node, &mail.text_of("access_token")).await, what == "everything", "{what}");
    }
    let page = ana.open(&first.ask()).await;
    assert!(page.has_form("/consent"), "what was taken back is asked for again");
    assert!(!page.words().contains("Allowed before"), "{}", page.words());
}

#[tokio::test]
async fn a_removed_resource_takes_its_tokens_along() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    let token = tokens.text_of("access_token");
    resources::remove(&node.core, &Caller::command_line(), NOTES).await.unwrap();
    assert!(is_listed(&node, &token).await);
    assert!(!accepted(&node, &token));
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    let (id, secret) = &node.notes;
    introspect_as(&node, id, secret, &token).await.is_error(401, "invalid_client");
    assert_eq!(browser.get(&app.ask().path()).await.callback()["error"], "invalid_target");
}

#[tokio::test]
async fn another_node_sees_it_after_one_look() {
    let node = Node::start().await;
    let other = node.second();
    let caller = Caller::command_line();
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let fresh = async || {
        let token = app.tokens(&node, &browser).await.text_of("access_token");
        other.catch_up().await;
        is_live(&other, &token, true).await;
        token
    };
    let dead = async |token: &str| {
        assert!(!other.is_active(token).await, "introspection reads the database");
        other.catch_up().await;
        is_live(&other, token, false).await;
    };
    let token = fresh().await;
    node.post("/revoke", &[("token", &token), ("client_id", &app.id)]).await;
    dead(&token).await;
    let token = fresh().await;
    access::revoke(&node.core, &caller, GrantFilter::default(), "test").await.unwrap();
    dead(&token).await;
    let token = fresh().await;
    client_admin::disable(&node.core, &caller, &app.id).await.unwrap();
    dead(&token).await;
    client_admin::enable(&node.core, &caller, &app.id).await.unwrap();
    let token = fresh().await;
    people::disable(&node.core, &caller, EMAIL).await.unwrap();
    dead(&token).await;
}

#[tokio::test]
async fn a_node_that_hears_nothing_says_nothing_is_unrevoked() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let token = app.tokens(&node, &Browser::new(&node)).await.text_of("access_token");
    node.clock.advance(std::time::Duration::from_secs(6));
    assert!(!accepted(&node, &token));
    let list = node.get("/status-lists/0").await;
    assert_eq!((list.status, list.body["error"].as_str()), (503, Some("temporarily_unavailable")));
    node.catch_up().await;
    assert!(accepted(&node, &token));
}

#[tokio::test]
async fn a_status_list_costs_little_when_nothing_changed() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let token = app.tokens(&node, &Browser::new(&node)).await.text_of("access_token");
    let first = node.get("/status-lists/0").await;
    let tag = first.header("etag").to_owned();
    assert!(first.text.len() < 2_000, "an empty list packs well: {}", first.text.len());
    let same = async |tag: &str| {
        Answer::of(node.request("GET", "/status-lists/0").header("if-none-match", tag)).await
    };
    assert_eq!(same(&tag).await.status, 304);
    node.post("/revoke", &[("token", &token), ("client_id", &app.id)]).await;
    assert_eq!(same(&tag).await.status, 200, "a revocation changes the tag");
    for missing in [
        "/status-lists/1",
        "/status-lists/-1",
        "/status-lists/x",
        "/status-lists/00",
        "/status-lists/9223372036854775807",
    ] {
        assert_eq!(node.get(missing).await.status, 404, "{missing}");
    }
    let all = node.get("/status-lists").await;
    assert_eq!(all.body["status_lists"], json!([format!("{}/status-lists/0", node.issuer())]));
}

#[tokio::test]
async fn a_person_takes_access_back_and_nobody_elses() {
    let node = Node::start().await;
    node.add_person("eve@example.com", PASSWORD).await;
    let app = node.register(WEB).await;
    let ana = Browser::new(&node);
    let tokens = app.tokens(&node, &ana).await;
    let token = tokens.text_of("access_token");
    let grant: Value = claims_of(&token)["grant_id"].clone();
    let eve = Browser::new(&node);
    eve.sign_in("eve@example.com", PASSWORD).await;
    app.tokens(&node, &eve).await;
    let hers = eve.get("/account").await.form("/account/remove").set("access", grant.as_str().unwrap());
    eve.submit(&hers).await;
    is_live(&node, &token, true).await;
    let page = ana.get("/account").await;
    assert!(page.words().contains("Team notes"), "{}", page.words());
    let form = page.form("/account/remove");
    let forged = ana.submit(&form.clone().set("csrf", "x")).await;
    assert_eq!(forged.status, 403);
    is_live(&node, &token, true).await;
    let after = ana.submit(&form).await;
    assert_eq!(after.status, 200);
    is_live(&node, &token, false).await;
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    assert!(!ana.get("/account").await.has_form("/account/remove"));
}
