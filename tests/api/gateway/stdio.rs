//! Servers that are run here, over standard input and output: for each person apart, with their secrets and nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use postern::flow::core::Caller;
use postern::flow::cut::{By, Order, cut};
use postern::flow::people::OrderError;
use postern::flow::vault::{self, NewCredential};
use postern::flow::{erase, live, stdio};
use postern::types::cut::{Kind, Target};
use postern::types::id::UserId;
use postern::types::secret::Secret;
use serde_json::{Value, json};

use super::{CALLBACK, behind, message};
use crate::harness::{Answer, App, Browser, Node, PASSWORD, claims_of};

const KEY: &str = "stdio-key-0123456789";
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/harness/stdio_server.sh");

struct World {
    node: Node,
    uri: String,
    app: App,
}

/// Somebody's session with the server.
struct Client {
    token: String,
    session: String,
}

async fn world() -> World {
    let node = Node::start().await;
    let uri = format!("{}/mcp/small", node.issuer());
    behind(&node, "small", &format!("stdio:sh '{SERVER}'")).await;
    let app = node.register(CALLBACK).await;
    let world = World { node, uri, app };
    world.set_key(KEY).await.unwrap();
    world
}

impl World {
    async fn set_key(&self, key: &str) -> Result<(), OrderError> {
        let variables = BTreeMap::from([("API_KEY".to_owned(), Secret::new(key.to_owned()))]);
        let new = NewCredential::Environment(variables);
        vault::set(&self.node.core, &Caller::command_line(), &self.uri, new).await.map(|_| ())
    }

    async fn token(&self, browser: &Browser) -> String {
        let ask = self.app.ask().set("resource", &self.uri).set("scope", "notes:read");
        let code = browser.approve(&ask).await;
        self.app.redeem(&self.node, &code).await.text_of("access_token")
    }

    /// Of somebody else.
    async fn token_of_ben(&self) -> String {
        self.node.add_person("ben@example.com", PASSWORD).await;
        let browser = Browser::new(&self.node);
        assert_eq!(browser.sign_in("ben@example.com", PASSWORD).await.status, 303);
        self.token(&browser).await
    }

    fn request(&self, method: &str, token: &str, session: &str) -> reqwest::RequestBuilder {
        let request = self.node.request(method, "/mcp/small").bearer_auth(token);
        let request = request.header("accept", "application/json, text/event-stream");
        if session.is_empty() { request } else { request.header("mcp-session-id", session) }
    }

    async fn begin(&self, token: &str, capabilities: Value) -> Client {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities,
            "clientInfo": {"name": "test", "version": "1"}});
        let sent = self.request("POST", token, "").json(&message("initialize", params)).send().await.unwrap();
        let session = sent.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let body: Value = sent.json().await.unwrap();
        assert_eq!(body["result"]["serverInfo"]["name"], "small", "{body}");
        assert_eq!(body["id"], 1);
        let client = Client { token: token.to_owned(), session };
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = self.request("POST", &client.token, &client.session).json(&note);
        assert_eq!(answer.send().await.unwrap().status(), 202);
        client
    }

    async fn send(&self, client: &Client, body: &Value) -> Answer {
        Answer::of(self.request("POST", &client.token, &client.session).json(body)).await
    }

    async fn call(&self, client: &Client, tool: &str) -> Answer {
        self.send(client, &message("tools/call", json!({"name": tool}))).await
    }

    /// What `who` says.
    async fn who(&self, client: &Client) -> BTreeMap<String, String> {
        let answer = self.call(client, "who").await;
        let text = answer.body["result"]["content"][0]["text"].as_str();
        let text = text.unwrap_or_else(|| panic!("{}", answer.text));
        let (rest, folder) = text.split_once(" folder=").unwrap();
        let (rest, names) = rest.split_once(" names=").unwrap();
        let mut out: BTreeMap<String, String> = rest
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .map(|(a, b)| (a.into(), b.into()))
            .collect();
        out.insert("names".to_owned(), names.trim().to_owned());
        out.insert("folder".to_owned(), folder.to_owned());
        out
    }
}

/// Whether a process of this id runs.
fn runs(pid: &str) -> bool {
    // One that has ended and was not waited for has no command line any more.
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn each_person_has_a_process_with_the_servers_secrets_and_nothing_of_ours() {
    let world = world().await;
    let ana = world.token(&Browser::signed_in(&world.node).await).await;
    let ben = world.token_of_ben().await;
    let first = world.begin(&ana, json!({})).await;
    let second = world.begin(&ana, json!({})).await;
    let other = world.begin(&ben, json!({})).await;
    let one = world.who(&first).await;
    assert_eq!(one["names"], "API_KEY HOME LANG PATH PWD TMPDIR", "nothing of ours is in its environment");
    assert_eq!(one["calls"], "1");
    let two = world.who(&second).await;
    assert_eq!((&two["pid"], two["calls"].as_str()), (&one["pid"], "2"), "one process for one person");
    let three = world.who(&other).await;
    assert_ne!(three["pid"], one["pid"], "and another one for another");
    assert_ne!(three["folder"], one["folder"]);
    // Somebody else's session is one that there is not.
    let stolen = Client { token: ben.clone(), session: first.session.clone() };
    assert_eq!(world.call(&stolen, "who").await.status, 404);
    // Clients that can do other things do not share one.
    let able = world.begin(&ana, json!({"roots": {}})).await;
    assert_ne!(world.who(&able).await["pid"], one["pid"]);
    let asked = std::fs::read_to_string(PathBuf::from(&one["folder"]).join("asked")).unwrap();
    assert_eq!(asked.matches("\"initialize\"").count(), 2, "each process is begun once:\n{asked}");
    assert_eq!(asked.matches("notifications/initialized").count(), 2, "{asked}");
}

#[actix_web::test]
async fn its_secret_does_not_come_back_and_is_in_no_dump() {
    let world = world().await;
    let client = world.begin(&world.token(&Browser::signed_in(&world.node).await).await, json!({})).await;
    let answer = world.call(&client, "leak").await;
    assert!(answer.text.contains("the key is [removed]"), "{}", answer.text);
    let dump = world.node.database().dump();
    assert!(!dump.windows(KEY.len()).any(|window| window == KEY.as_bytes()));
    // And one that is set anew takes effect at once: what has the old one ends.
    let before = world.who(&client).await;
    world.set_key("another-key-9876543210").await.unwrap();
    assert_eq!(world.call(&client, "who").await.status, 404, "the session was with the old one");
    let client = world.begin(&client.token, json!({})).await;
    assert_ne!(world.who(&client).await["pid"], before["pid"]);
    stdio::tidy(&world.node.core).await.unwrap();
    until(|| !runs(&before["pid"])).await;
}

#[actix_web::test]
async fn calls_of_one_process_are_kept_apart() {
    let world = world().await;
    let token = world.token(&Browser::signed_in(&world.node).await).await;
    let (one, two) = (world.begin(&token, json!({})).await, world.begin(&token, json!({})).await);
    let slow = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "slow", "arguments": {"id": 1}, "_meta": {"progressToken": "mine"}}});
    let sent = world.request("POST", &one.token, &one.session).json(&slow).send().await.unwrap();
    assert_eq!(sent.headers()["content-type"], "text/event-stream");
    let mut events = sent.bytes_stream();
    let event = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.contains(r#""progressToken":"mine""#), "{event}");
    let asked = || {
        let folder = world.node.database().folder().join("stdio");
        let server = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
        let person = std::fs::read_dir(server).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(person.join("asked")).unwrap_or_default()
    };
    // Another session cannot give up what is not its own; and whoever goes away gives up.
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(world.send(&two, &cancel).await.status, 202);
    assert!(!asked().contains("notifications/cancelled"), "{}", asked());
    drop(events);
    until(|| asked().contains("notifications/cancelled")).await;
    assert_eq!(world.who(&two).await["calls"], "1", "it goes on for the others");
    let asked = asked();
    assert!(asked.contains(r#""arguments":{"id":1}"#), "nothing else of a message changes: {asked}");
}

#[actix_web::test]
async fn what_a_server_asks_is_answered_by_the_session_that_it_asks() {
    let world = world().await;
    let token = world.token(&Browser::signed_in(&world.node).await).await;
    let (one, two) = (world.begin(&token, json!({})).await, world.begin(&token, json!({})).await);
    let body = message("tools/call", json!({"name": "roots"}));
    let sent = world.request("POST", &one.token, &one.session).json(&body).send().await.unwrap();
    let mut events = sent.bytes_stream();
    let event = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.contains("roots/list"), "{event}");
    let answer = json!({"jsonrpc": "2.0", "id": "r1", "result": {"roots": []}});
    // Not by another one: the server, which reads one line, would have read it.
    assert_eq!(world.send(&two, &answer).await.status, 202);
    assert_eq!(world.send(&one, &answer).await.status, 202);
    let event = String::from_utf8(events.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(event.contains("it was answered"), "{event}");
}

#[actix_web::test]
async fn one_that_dies_is_begun_anew_and_others_go_on() {
    let world = world().await;
    let ana = world.token(&Browser::signed_in(&world.node).await).await;
    let ben = world.token_of_ben().await;
    let (ana, ben) = (world.begin(&ana, json!({})).await, world.begin(&ben, json!({})).await);
    let (before, ben_before) = (world.who(&ana).await, world.who(&ben).await);
    let answer = world.call(&ana, "die").await;
    assert_eq!(
        (answer.status, answer.body["error"]["code"].as_i64()),
        (502, Some(-32_603)),
        "{}",
        answer.text
    );
    until(|| !runs(&before["pid"])).await;
    assert_eq!(world.call(&ana, "who").await.status, 404, "its sessions are over");
    let ana = world.begin(&ana.token, json!({})).await;
    assert_ne!(world.who(&ana).await["pid"], before["pid"]);
    assert_eq!(world.who(&ben).await["pid"], ben_before["pid"]);
}

#[actix_web::test]
async fn what_runs_for_somebody_who_was_cut_ends() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    let client = world.begin(&world.token(&browser).await, json!({})).await;
    let who = world.who(&client).await;
    stdio::tidy(&world.node.core).await.unwrap();
    assert!(runs(&who["pid"]), "it stays while it counts");
    let order = Order {
        target: Target::Person(UserId::parse(claims_of(&client.token)["sub"].as_str().unwrap()).unwrap()),
        kind: Kind::Revoke,
        reason: "test".to_owned(),
        by: By::command_line(),
    };
    cut(&world.node.core, &Caller::command_line(), order).await.unwrap();
    live::refresh(&world.node.core).await.unwrap();
    stdio::tidy(&world.node.core).await.unwrap();
    until(|| !runs(&who["pid"])).await;
    assert_eq!(world.call(&client, "who").await.status, 401);
}

#[actix_web::test]
async fn an_erased_person_leaves_nothing_in_its_folder() {
    let world = world().await;
    let ben = world.token_of_ben().await;
    let client = world.begin(&ben, json!({})).await;
    let who = world.who(&client).await;
    assert!(PathBuf::from(&who["folder"]).join("asked").exists());
    let person = UserId::parse(claims_of(&ben)["sub"].as_str().unwrap()).unwrap();
    erase::erase(&world.node.core, &Caller::command_line(), By::command_line(), person).await.unwrap();
    assert!(!PathBuf::from(&who["folder"]).exists());
    assert!(!runs(&who["pid"]));
}

#[actix_web::test]
async fn a_revision_without_sessions_is_served_by_one_process_too() {
    let world = world().await;
    let token = world.token(&Browser::signed_in(&world.node).await).await;
    let client = Client { token, session: String::new() };
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let body = message("tools/call", json!({"name": "who", "_meta": meta}));
    let first = world.send(&client, &body).await;
    let second = world.send(&client, &body).await;
    let pid = |answer: &Answer| {
        let text = answer.body["result"]["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("{}", answer.text)).split(' ').next().unwrap().to_owned()
    };
    assert_eq!(pid(&first), pid(&second));
    // A server that does not know the revision says so, as one over HTTP would: clients begin a session then.
    let answer = world.send(&client, &message("server/discover", json!({"_meta": meta}))).await;
    assert_eq!(
        (answer.status, answer.body["error"]["code"].as_i64()),
        (404, Some(-32_601)),
        "{}",
        answer.text
    );
    for method in ["GET", "DELETE"] {
        let answer = Answer::of(world.request(method, &client.token, "")).await;
        assert_eq!(answer.status, 405, "{method}");
    }
}

#[actix_web::test]
async fn a_session_ends_when_its_client_says_so() {
    let world = world().await;
    let token = world.token(&Browser::signed_in(&world.node).await).await;
    let (one, two) = (world.begin(&token, json!({})).await, world.begin(&token, json!({})).await);
    let who = world.who(&one).await;
    assert_eq!(Answer::of(world.request("DELETE", &token, &one.session)).await.status, 200);
    assert_eq!(world.call(&one, "who").await.status, 404);
    assert_eq!(world.who(&two).await["pid"], who["pid"], "the other one goes on");
    assert_eq!(Answer::of(world.request("DELETE", &token, &two.session)).await.status, 200);
    until(|| !runs(&who["pid"])).await;
}

#[actix_web::test]
async fn what_cannot_be_run_is_said() {
    let world = world().await;
    for (slug, upstream) in [("absent", "stdio:/nowhere/at/all"), ("mute", "stdio:true")] {
        behind(&world.node, slug, upstream).await;
        let uri = format!("{}/mcp/{slug}", world.node.issuer());
        let ask = world.app.ask().set("resource", &uri).set("scope", "notes:read");
        let code = Browser::signed_in(&world.node).await.approve(&ask).await;
        let token = world.app.redeem(&world.node, &code).await.text_of("access_token");
        let request = world.node.request("POST", &format!("/mcp/{slug}")).bearer_auth(&token);
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {}});
        let answer = Answer::of(request.json(&message("initialize", params))).await;
        assert_eq!((answer.status, answer.body["error"]["code"].as_i64()), (502, Some(-32_603)), "{slug}");
    }
    // What is at a URL has no environment of ours, and what is run here gets no header.
    behind(&world.node, "web", "http://127.0.0.1:9/mcp").await;
    let elsewhere = format!("{}/mcp/web", world.node.issuer());
    let variable = |name: &str| {
        NewCredential::Environment(BTreeMap::from([(name.to_owned(), Secret::new(KEY.to_owned()))]))
    };
    let bearer = NewCredential::Bearer(Secret::new(KEY.to_owned()));
    let wrong =
        [(&elsewhere, variable("API_KEY")), (&world.uri, bearer), (&world.uri, variable("LD_PRELOAD"))];
    for (uri, new) in wrong {
        let refused = vault::set(&world.node.core, &Caller::command_line(), uri, new).await;
        assert!(matches!(refused, Err(OrderError::Bad(_))), "{uri}");
    }
}
