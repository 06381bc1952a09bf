//! When the database fails: our trouble is never told as the client's, nothing is half done, and it heals by itself.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use postern::storage::DatabaseUrl;

use crate::harness::{Answer, Browser, EMAIL, Node, PASSWORD};

const WEB: &str = "https://app.example/cb";

#[track_caller]
fn is_our_trouble(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.body["error"].as_str()),
        (503, Some("temporarily_unavailable")),
        "{}",
        answer.text
    );
    assert!(!answer.header("retry-after").is_empty());
    assert!(!answer.headers.contains_key("www-authenticate"));
    for leak in ["sqlite", "SQLite", "postgres", "locked", "diesel", "terminating", "connection to"] {
        assert!(!answer.text.contains(leak), "{}", answer.text);
    }
}

#[tokio::test]
async fn while_nothing_can_be_written_nothing_is_said_to_be_invalid() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    let refresh = tokens.text_of("refresh_token");
    let Some(held) = node.database.hold_writes() else { return };
    let (redeemed, refreshed) = tokio::join!(app.redeem(&node, &code), app.refresh(&node, &refresh));
    is_our_trouble(&redeemed);
    is_our_trouble(&refreshed);
    assert!(node.is_active(&tokens.text_of("access_token")).await, "what only reads goes on");
    drop(held);
    assert_eq!(app.redeem(&node, &code).await.status, 200, "the code was not spent");
    assert_eq!(app.refresh(&node, &refresh).await.status, 200, "nor was the refresh token");
}

#[tokio::test]
async fn a_database_that_answers_nonsense_is_our_mistake_and_not_the_clients() {
    let node = Node::start().await;
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    let DatabaseUrl::Sqlite(path) = &node.database.url else { return };
    let mut hand = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    hand.batch_execute("PRAGMA busy_timeout = 5000; ALTER TABLE refresh_token RENAME TO elsewhere").unwrap();
    for answer in [app.redeem(&node, &code).await, app.refresh(&node, &tokens.text_of("refresh_token")).await]
    {
        assert_eq!(
            (answer.status, answer.body["error"].as_str()),
            (500, Some("server_error")),
            "{}",
            answer.text
        );
        assert!(!answer.text.contains("refresh_token") && !answer.text.contains("table"), "{}", answer.text);
    }
    hand.batch_execute("ALTER TABLE elsewhere RENAME TO refresh_token").unwrap();
    assert_eq!(app.redeem(&node, &code).await.status, 200, "what failed left nothing behind");
    assert_eq!(app.refresh(&node, &tokens.text_of("refresh_token")).await.status, 200);
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_granted_and_the_keys_still_answer() {
    let node = Node::start().await;
    if !node.database.is_postgres() {
        return;
    }
    let app = node.register(WEB).await;
    let browser = Browser::new(&node);
    let tokens = app.tokens(&node, &browser).await;
    let code = app.code(&browser).await;
    let (access, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    let login = Browser::new(&node).get("/login").await;
    node.database.unplug(true);
    is_our_trouble(&app.redeem(&node, &code).await);
    is_our_trouble(&app.refresh(&node, &refresh).await);
    let (id, secret) = &node.notes;
    let asked = node.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("token", &access)]);
    is_our_trouble(&Answer::of(asked).await);
    is_our_trouble(&node.post("/revoke", &[("token", &access), ("client_id", &app.id)]).await);
    is_our_trouble(&node.post_json("/register", &serde_json::json!({"redirect_uris": [WEB]})).await);
    is_our_trouble(&node.get("/health/ready").await);
    let page = browser.get(&app.ask().path()).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{}", page.text);
    let page = browser.submit(&login.login_form(EMAIL, PASSWORD)).await;
    assert_ne!(page.status, 303);
    for path in ["/jwks.json", "/.well-known/oauth-authorization-server", "/health/live"] {
        assert_eq!(node.get(path).await.status, 200, "{path}");
    }
    node.database.unplug(false);
    let mut ready = false;
    for _ in 0..40 {
        ready = ready || node.get("/health/ready").await.status == 200;
    }
    assert!(ready, "it heals without an operator");
    assert_eq!(app.refresh(&node, &refresh).await.status, 200);
    assert_eq!(app.redeem(&node, &code).await.status, 200);
    assert!(node.is_active(&access).await);
}

#[tokio::test]
async fn the_health_of_a_healthy_node() {
    let node = Node::start().await;
    assert_eq!(node.get("/health/live").await.status, 200);
    assert_eq!(node.get("/health/ready").await.status, 200);
    let missing = node.get("/nothing/here").await;
    missing.is_error(404, "not_found");
    let page = Browser::new(&node).get("/nothing/here").await;
    assert!(page.status == 404 && page.header("content-type").starts_with("text/html"));
}
