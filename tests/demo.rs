//! The demo server over real HTTP, with a verifier that the test decides for.
#![cfg(feature = "demo")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use postern::demo::{Caller, DemoSettings, READ, Refused, TokenVerifier, WRITE, serve};
use postern::types::issuer::Issuer;
use postern::types::resource_uri::ResourceUri;
use postern::types::time::{ManualClock, Timestamp};
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

/// Tokens that hold: `PERSON.r`, `PERSON.w`, `PERSON.rw`, `PERSON.none`; `unknowable` cannot be decided.
struct Fake;

impl TokenVerifier for Fake {
    fn verify(&self, token: &str) -> Result<Caller, Refused> {
        if token == "unknowable" {
            return Err(Refused::Unavailable);
        }
        let (sub, may) = token.split_once('.').ok_or(Refused::Invalid)?;
        let scopes: &[&str] = match may {
            "none" => &[],
            "r" => &[READ],
            "w" => &[WRITE],
            "rw" => &[READ, WRITE, "openid"],
            _ => return Err(Refused::Invalid),
        };
        Ok(Caller {
            sub: sub.to_owned(),
            client_id: "https://client.example/id".to_owned(),
            scopes: scopes.iter().copied().collect(),
            grant_id: Some("grant-1".to_owned()),
        })
    }
}

struct Demo {
    origin: String,
    http: Client,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Demo {
    async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let settings = DemoSettings {
            issuer: Issuer::parse("http://localhost:8080").unwrap(),
            resource: ResourceUri::parse(&format!("{origin}/mcp")).unwrap(),
            notes_file: folder.join("notes.jsonl"),
            clock: Arc::new(ManualClock::new(Timestamp::from_seconds(1_795_000_000))),
        };
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(serve(listener, settings, Arc::new(Fake), async {
            let _ = stopped.await;
        }));
        Self { origin, http: Client::new(), stop, ended }
    }

    /// Ends the server while the client still holds its idle connections.
    async fn end(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap().unwrap();
        drop(self.http);
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.origin))
    }

    fn post(&self, token: &str) -> RequestBuilder {
        self.request(Method::POST, "/mcp")
            .bearer_auth(token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
    }

    /// One message in the form of a revision.
    async fn send(&self, token: &str, version: &str, method: &str, params: Value) -> Response {
        let mut params = params;
        let mut request = self.post(token).header("mcp-protocol-version", version);
        if version == NEW {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": NEW,
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            request = request.header("mcp-method", method);
            if let Some(name) = params["name"].as_str() {
                request = request.header("mcp-name", name);
            }
        }
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn call(&self, token: &str, version: &str, tool: &str, arguments: Value) -> Response {
        self.send(token, version, "tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// The structured content of a tool call that works.
    async fn result(&self, token: &str, version: &str, tool: &str, arguments: Value) -> Value {
        let response = self.call(token, version, tool, arguments).await;
        assert_eq!(response.status(), StatusCode::OK, "{version} {tool}");
        let mut body: Value = response.json().await.unwrap();
        assert_eq!(body["result"].get("isError").and_then(Value::as_bool), Some(false), "{body}");
        body["result"]["structuredContent"].take()
    }

    fn metadata_url(&self) -> String {
        format!("{}/.well-known/oauth-protected-resource/mcp", self.origin)
    }
}

fn challenge(response: &Response) -> String {
    response.headers()["www-authenticate"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn speaks_both_lifecycles_and_every_older_revision() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for version in ["2025-03-26", "2025-06-18", OLD] {
        let params = json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let response = demo.send("ada.none", version, "initialize", params).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("mcp-session-id"), "a session would outlive its token");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["result"]["protocolVersion"], version);
        assert_eq!(body["result"]["serverInfo"]["name"], "postern-notes");
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let ready = demo.post("ada.none").header("mcp-protocol-version", version).body(ready.to_string());
        assert_eq!(ready.send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    let response = demo.send("ada.none", NEW, "server/discover", json!({})).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body: Value = response.json().await.unwrap();
    let versions = body["result"]["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(OLD)) && versions.contains(&json!(NEW)), "{body}");

    for version in [OLD, NEW] {
        let body: Value = demo.send("ada.none", version, "tools/list", json!({})).await.json().await.unwrap();
        let tools: BTreeMap<_, _> = body["result"]["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| {
                (
                    tool["name"].as_str().unwrap().to_owned(),
                    tool["annotations"]["readOnlyHint"].as_bool().unwrap(),
                )
            })
            .collect();
        let expected = [("note_add", false), ("note_list", true), ("whoami", true)];
        assert_eq!(tools, expected.map(|(name, reads)| (name.to_owned(), reads)).into(), "{version}");
    }
    // What the server does not declare, it does not have.
    for method in ["prompts/list", "resources/list", "resources/templates/list"] {
        let response = demo.send("ada.rw", NEW, method, json!({})).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{method}");
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["code"], -32_601, "{body}");
    }
    demo.end().await;
}

#[tokio::test]
async fn each_tool_wants_its_scope_and_the_challenge_names_all_that_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    // Token, tool, and the scopes to ask for when it is refused.
    let table = [
        ("ada.none", "whoami", Some(("notes:read", "notes:read"))),
        ("ada.none", "note_list", Some(("notes:read", "notes:read"))),
        ("ada.none", "note_add", Some(("notes:write", "notes:read notes:write"))),
        ("ada.r", "whoami", None),
        ("ada.r", "note_list", None),
        ("ada.r", "note_add", Some(("notes:write", "notes:read notes:write"))),
        ("ada.w", "whoami", Some(("notes:read", "notes:read notes:write"))),
        ("ada.w", "note_list", Some(("notes:read", "notes:read notes:write"))),
        ("ada.w", "note_add", None),
        ("ada.rw", "whoami", None),
        ("ada.rw", "note_list", None),
        ("ada.rw", "note_add", None),
    ];
    for version in [OLD, NEW] {
        for (token, tool, refused) in table {
            let arguments = if tool == "note_add" { json!({"text": "milk"}) } else { json!({}) };
            let response = demo.call(token, version, tool, arguments).await;
            let Some((missing, ask)) = refused else {
                assert_eq!(response.status(), StatusCode::OK, "{version} {token} {tool}");
                continue;
            };
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{version} {token} {tool}");
            assert_eq!(
                challenge(&response),
                format!(
                    "Bearer error=\"insufficient_scope\", error_description=\"This needs the scope {missing}\", \
                     scope=\"{ask}\", resource_metadata=\"{}\"",
                    demo.metadata_url()
                ),
            );
            let body: Value = response.json().await.unwrap();
            assert_eq!(body["error"], "insufficient_scope");
        }
    }
    let kept = demo.result("ada.rw", NEW, "note_list", json!({})).await;
    assert_eq!(kept["total"], 4, "only the allowed calls added a note");
    demo.end().await;
}

#[tokio::test]
async fn a_missing_and_a_bad_token_are_told_where_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    let at = demo.metadata_url();
    for method in [Method::POST, Method::GET, Method::DELETE, Method::PUT] {
        let response = demo.request(method.clone(), "/mcp").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method}");
        assert_eq!(challenge(&response), format!("Bearer resource_metadata=\"{at}\", scope=\"notes:read\""));
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    let basic = demo.request(Method::POST, "/mcp").header(AUTHORIZATION, "Basic YTpi").send().await.unwrap();
    assert_eq!(challenge(&basic), format!("Bearer resource_metadata=\"{at}\", scope=\"notes:read\""));

    for bad in ["Bearer nobody", "bearer nobody", "Bearer", "Bearer  ", "Bearer a b", "Bearer \"x\""] {
        let response = demo.request(Method::POST, "/mcp").header(AUTHORIZATION, bad).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(
            challenge(&response),
            format!(
                "Bearer error=\"invalid_token\", error_description=\"The access token is expired, revoked, or not \
                 meant for this server\", resource_metadata=\"{at}\", scope=\"notes:read\""
            ),
            "{bad}"
        );
    }
    let response = demo.call("unknowable", NEW, "whoami", json!({})).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(!response.headers().contains_key("www-authenticate"), "a client must not drop its token");

    let twice = demo.post("ada.rw").header(AUTHORIZATION, "Bearer bob.rw").body("{}").send().await.unwrap();
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    assert!(challenge(&twice).starts_with("Bearer error=\"invalid_request\""));
    demo.end().await;
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_even_beside_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for query in ["access_token=ada.rw", "x=1&%61ccess_token=ada.rw"] {
        for header in [None, Some("Bearer ada.rw")] {
            let mut request = demo.request(Method::POST, &format!("/mcp?{query}"));
            if let Some(header) = header {
                request = request.header(AUTHORIZATION, header);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
            assert!(challenge(&response).starts_with("Bearer error=\"invalid_request\""));
        }
    }
    demo.end().await;
}

#[tokio::test]
async fn the_metadata_names_the_issuer_and_browsers_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let response =
            demo.request(Method::GET, path).header(ORIGIN, "https://app.example").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["content-type"], "application/json");
        let body: Value = response.json().await.unwrap();
        assert_eq!(
            body,
            json!({
                "resource": format!("{}/mcp", demo.origin),
                "authorization_servers": ["http://localhost:8080"],
                "scopes_supported": ["notes:read"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Notes",
            })
        );
        let preflight =
            demo.request(Method::OPTIONS, path).header(ORIGIN, "https://app.example").send().await.unwrap();
        assert_eq!(preflight.status(), StatusCode::NO_CONTENT);
        let allowed = preflight.headers()["access-control-allow-headers"].to_str().unwrap().to_owned();
        assert!(allowed.contains("mcp-protocol-version") && allowed.contains("authorization"), "{allowed}");
    }
    for path in [
        "/token",
        "/mcp/",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/x",
    ] {
        assert_eq!(
            demo.request(Method::GET, path).send().await.unwrap().status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    let front = demo.request(Method::GET, "/").send().await.unwrap().text().await.unwrap();
    assert!(front.contains(&format!("{}/mcp", demo.origin)), "{front}");
    demo.end().await;
}

#[tokio::test]
async fn foreign_origins_and_hosts_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    let port = demo.origin.rsplit(':').next().unwrap().to_owned();
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
        let response = demo.post("ada.r").header(ORIGIN, origin).body(list.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
        assert!(!response.headers().contains_key("access-control-allow-origin"));
        let preflight = demo.request(Method::OPTIONS, "/mcp").header(ORIGIN, origin).send().await.unwrap();
        assert_eq!(preflight.status(), StatusCode::FORBIDDEN, "{origin}");
    }
    for origin in [demo.origin.clone(), "http://localhost:6274".to_owned()] {
        let response = demo.post("ada.r").header(ORIGIN, &origin).body(list.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{origin}");
        assert_eq!(response.headers()["access-control-allow-origin"], origin);
        let refused = demo.request(Method::POST, "/mcp").header(ORIGIN, &origin).send().await.unwrap();
        let exposed = refused.headers()["access-control-expose-headers"].to_str().unwrap().to_owned();
        assert!(exposed.contains("www-authenticate"), "a browser must be able to read the challenge");
    }
    for host in ["evil.example", "evil.example:80", "localhost", "localhost:1"] {
        for path in ["/mcp", "/.well-known/oauth-protected-resource/mcp"] {
            let response = demo.request(Method::GET, path).header(HOST, host).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{host}{path}");
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), format!("LocalHost:{port}")] {
        let response = demo.post("ada.r").header(HOST, &host).body(list.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{host}");
    }
    demo.end().await;
}

#[tokio::test]
async fn no_body_slips_past_the_scope() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    let add = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"note_add","arguments":{"text":"x"}}}"#;
    let batch = format!("[{add}]");
    let twice = add.replace("\"method\"", "\"method\":\"tools/list\",\"method\"");
    let inner = add.replace("\"name\"", "\"name\":\"whoami\",\"name\"");
    let trailing = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}}{add}");
    for body in [batch.as_str(), &twice, &inner, &trailing, "", "null", "{"] {
        let response = demo.post("ada.r").body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let error: Value = response.json().await.unwrap();
        assert!(error["error"]["code"].is_i64(), "{error}");
    }
    // A header that lies about the tool changes nothing.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let lying = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "note_add", "arguments": {"text": "x"}, "_meta": meta}});
    let lie = |token| {
        demo.post(token)
            .header("mcp-protocol-version", NEW)
            .header("mcp-method", "tools/call")
            .header("mcp-name", "whoami")
    };
    let response = lie("ada.r").body(lying.to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let response = lie("ada.rw").body(lying.to_string()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);

    let form = demo.request(Method::POST, "/mcp").bearer_auth("ada.rw");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(
        form.body("access_token=x").send().await.unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let large = format!("{}{add}", " ".repeat(64 * 1024));
    assert_eq!(demo.post("ada.rw").body(large).send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
    let unknown = demo.call("ada.r", NEW, "note_burn", json!({})).await;
    let error: Value = unknown.json().await.unwrap();
    assert!(error.get("error").is_some(), "{error}");
    assert_eq!(demo.result("ada.rw", OLD, "note_list", json!({})).await["total"], 0);
    demo.end().await;
}

#[tokio::test]
async fn there_is_no_session_to_ride_on() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let request = demo.request(method.clone(), "/mcp").bearer_auth("ada.rw");
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    demo.end().await;
}

#[tokio::test]
async fn whoami_says_who_is_behind_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for version in [OLD, NEW] {
        assert_eq!(
            demo.result("ada.rw", version, "whoami", json!({})).await,
            json!({
                "sub": "ada",
                "client_id": "https://client.example/id",
                "scopes": ["notes:read", "notes:write", "openid"],
                "grant_id": "grant-1",
            })
        );
    }
    demo.end().await;
}

#[tokio::test]
async fn notes_belong_to_one_person_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    let note = demo.result("ada.rw", NEW, "note_add", json!({"text": "milk — \"two\"\nlitres"})).await;
    assert_eq!(
        note,
        json!({"number": 1, "added_at": "2026-11-18T11:06:40Z", "text": "milk — \"two\"\nlitres"})
    );
    demo.result("bob.w", OLD, "note_add", json!({"text": "bread"})).await;
    let of = async |demo: &Demo, token: &str| demo.result(token, NEW, "note_list", json!({})).await;
    let before = [of(&demo, "ada.r").await, of(&demo, "bob.r").await, of(&demo, "eve.r").await];
    assert_eq!(before[0], json!({"notes": [note], "total": 1}));
    assert_eq!(before[1]["notes"][0]["text"], "bread");
    assert_eq!(before[2], json!({"notes": [], "total": 0}));
    demo.end().await;

    let demo = Demo::start(folder.path()).await;
    assert_eq!([of(&demo, "ada.r").await, of(&demo, "bob.r").await, of(&demo, "eve.r").await], before);
    demo.end().await;
}

#[tokio::test]
async fn a_note_that_cannot_be_kept_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path()).await;
    for (text, why) in [("  ", "a note needs a text"), (&*"x".repeat(4_097), "a note has at most 4096 bytes")]
    {
        let body: Value =
            demo.call("ada.rw", NEW, "note_add", json!({"text": text})).await.json().await.unwrap();
        assert_eq!(body["result"]["isError"], true, "{body}");
        assert_eq!(body["result"]["content"][0]["text"], why);
    }
    demo.end().await;
}

#[tokio::test]
async fn refuses_to_start_under_a_url_that_tokens_would_not_match() {
    let folder = tempfile::tempdir().unwrap();
    for wrong in ["http://localhost:1/", "http://localhost:1/mcp/", "http://localhost:1/other/mcp"] {
        let settings = DemoSettings {
            issuer: Issuer::parse("http://localhost:8080").unwrap(),
            resource: ResourceUri::parse(wrong).unwrap(),
            notes_file: folder.path().join("notes.jsonl"),
            clock: Arc::new(ManualClock::new(Timestamp::from_seconds(0))),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = serve(listener, settings, Arc::new(Fake), async {}).await.unwrap_err();
        assert!(error.to_string().contains(wrong), "{error}");
    }
}
