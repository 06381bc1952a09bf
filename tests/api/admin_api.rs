//! `/admin/api/v1`: who may call it, that it does what the console does, and what it says when it does not.

use postern::flow::core::Caller;
use postern::flow::{admin_api, people};
use postern::storage::audit::AuditFilter;
use postern::types::audit::AuditKind;
use postern::types::user::Role;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, EMAIL, Guarded, Made, Mcp, NOTES, Node, PASSWORD};

const API: &str = "/admin/api/v1";
const EVERYTHING: &str = "admin:read admin:revoke admin:write";

/// A node with the API, and a program that an administrator has let in.
struct World {
    node: Node,
    resource: String,
    program: App,
}

async fn world() -> World {
    let node = Node::start().await;
    admin_api::ensure(&node.core).await.unwrap();
    let resource = format!("{}{API}", node.issuer());
    let program = program(&node, &resource).await;
    World { node, resource, program }
}

async fn program(node: &Node, resource: &str) -> App {
    let metadata = json!({
        "client_name": "Night watch",
        "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
        "redirect_uris": ["https://watch.example.com/cb"],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": EVERYTHING,
    });
    let (caller, members) = (Caller::command_line(), metadata.as_object().unwrap());
    let added =
        postern::flow::client_admin::add(&node.core, &caller, members, vec![resource.to_owned()]).await;
    App::from_registration(added.unwrap())
}

impl World {
    /// The program's own token.
    async fn token(&self, scope: &str) -> String {
        let answer = self
            .node
            .token(&[
                ("grant_type", "client_credentials"),
                ("client_id", &self.program.id),
                ("client_secret", self.program.secret.as_deref().unwrap()),
                ("resource", &self.resource),
                ("scope", scope),
            ])
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["access_token"].as_str().unwrap().to_owned()
    }

    /// What a person lets the program do: the answer of the token endpoint, or where the browser was sent.
    async fn delegated(&self, email: &str, scope: &str) -> Answer {
        let browser = Browser::new(&self.node);
        browser.sign_in(email, PASSWORD).await;
        let ask = self.program.ask().set("resource", &self.resource).set("scope", scope);
        let code = browser.approve(&ask).await;
        self.program.redeem(&self.node, &code).await
    }

    async fn person(&self, email: &str, role: Role) {
        self.node.add_person(email, PASSWORD).await;
        people::set_role(&self.node.core, &Caller::command_line(), email, role).await.unwrap();
    }

    async fn call(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        call(&self.node, Some(token), method, path, body, None).await
    }

    async fn get(&self, token: &str, path: &str) -> Value {
        let answer = self.call(token, "GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body
    }
}

async fn call(
    node: &Node,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<Value>,
    key: Option<&str>,
) -> Answer {
    let mut request = node.request(method, &format!("{API}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{}", answer.text);
}

/// Every operation of the document: method, path with names filled in, and the scope it needs.
async fn operations(node: &Node) -> Vec<(String, String, String)> {
    let document = node.get(&format!("{API}/openapi.json")).await.body;
    let mut all = Vec::new();
    for (path, members) in document["paths"].as_object().unwrap() {
        for (method, operation) in members.as_object().unwrap() {
            let path =
                path.replace("{id}", "0198f000-0000-7000-8000-000000000000").replace("{role}", "reader");
            let path = path.replace("{rule}", "0198f000-0000-7000-8000-000000000000");
            let path = path.replace("{person}", "ada@example.com");
            let path = path.replace("{kind}", "webhook").replace("{name}", "corp");
            let needs = operation["security"][0]["oauth"][0].as_str().unwrap().to_owned();
            all.push((method.to_uppercase(), path, needs));
        }
    }
    all
}

#[actix_web::test]
async fn every_operation_refuses_whoever_may_not() {
    let world = world().await;
    let node = &world.node;
    // A token of this issuer, for another place.
    let app = node.register("https://app.example.com/cb").await;
    let elsewhere =
        app.tokens(node, &Browser::new(node)).await.body["access_token"].as_str().unwrap().to_owned();
    let all = operations(node).await;
    assert!(all.len() > 30, "{}", all.len());
    for (method, path, needs) in &all {
        let at = format!("{method} {path}");
        let nobody = call(node, None, method, path, None, None).await;
        refused(&nobody, 401, "token_missing");
        let challenge = nobody.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains(&format!("scope=\"{needs}\"")), "{at}: {challenge}");
        assert!(
            challenge.contains("/.well-known/oauth-protected-resource/admin/api/v1\""),
            "{at}: {challenge}"
        );
        for token in [elsewhere.as_str(), "nonsense", &format!("{elsewhere}x")] {
            refused(&call(node, Some(token), method, path, None, None).await, 401, "invalid_token");
        }
        // Everything but what it needs.
        let rest: Vec<&str> = EVERYTHING.split(' ').filter(|scope| scope != needs).collect();
        let token = world.token(&rest.join(" ")).await;
        let answer = world.call(&token, method, path, None).await;
        refused(&answer, 403, "insufficient_scope");
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("error=\"insufficient_scope\""), "{at}: {challenge}");
    }
    assert_eq!(node.audited(AuditKind::AdminApiRefused).await, all.len());
}

#[actix_web::test]
async fn a_persons_role_bounds_what_their_token_may_do_as_it_is_now() {
    let world = world().await;
    world.person("root@example.com", Role::Admin).await;
    world.person("eye@example.com", Role::Auditor).await;
    // The auditor is offered reading and nothing else, whatever the program asks for.
    let answer = world.delegated("eye@example.com", EVERYTHING).await;
    assert_eq!(answer.body["scope"], "admin:read", "{}", answer.text);
    let eye = answer.body["access_token"].as_str().unwrap();
    assert_eq!(world.get(eye, "/people").await["items"].as_array().unwrap().len(), 3);
    refused(
        &world.call(eye, "DELETE", "/sessions/0198f000-0000-7000-8000-000000000000", None).await,
        403,
        "role",
    );

    let answer = world.delegated("root@example.com", EVERYTHING).await;
    assert_eq!(answer.body["scope"], EVERYTHING, "{}", answer.text);
    let root = answer.body["access_token"].as_str().unwrap().to_owned();
    let new = json!({ "email": "new@example.com", "password": "a long enough password" });
    assert_eq!(world.call(&root, "POST", "/people", Some(new)).await.status, 201);

    // Demoted, whoever holds the token holds nothing, at once and also elsewhere.
    people::set_role(&world.node.core, &Caller::command_line(), "root@example.com", Role::Member)
        .await
        .unwrap();
    let answer = world.call(&root, "GET", "/people", None).await;
    assert!(answer.status == 401 || answer.status == 403, "{}", answer.text);
    // And promoted again, the old token does not come back to what it was.
    people::set_role(&world.node.core, &Caller::command_line(), "root@example.com", Role::Admin)
        .await
        .unwrap();
    let new = json!({ "email": "late@example.com", "password": "a long enough password" });
    assert_eq!(world.call(&root, "POST", "/people", Some(new)).await.status, 401);
}

#[actix_web::test]
async fn a_member_has_nothing_to_grant_and_a_stranger_nothing_to_ask() {
    let world = world().await;
    // A member: the app is sent back, with nothing.
    let browser = Browser::new(&world.node);
    browser.sign_in(EMAIL, PASSWORD).await;
    let ask = world.program.ask().set("resource", &world.resource).set("scope", EVERYTHING);
    let page = browser.reach(&ask).await;
    assert!(page.callback().contains_key("error"), "{page:?}");
    // An app that registered itself, even before an administrator.
    world.person("root@example.com", Role::Admin).await;
    let app = world.node.register("https://app.example.com/cb").await;
    let browser = Browser::new(&world.node);
    browser.sign_in("root@example.com", PASSWORD).await;
    let page = browser.reach(&app.ask().set("resource", &world.resource).set("scope", EVERYTHING)).await;
    assert_eq!(page.callback()["error"], "invalid_target");
    // And nobody is told to ask for it.
    let metadata = world.node.get("/.well-known/oauth-authorization-server").await.text;
    assert!(!metadata.contains("admin:"), "{metadata}");
}

#[actix_web::test]
async fn a_cut_through_the_api_is_a_cut() {
    let world = world().await;
    let node = &world.node;
    let app = node.register("https://app.example.com/cb").await;
    let tokens = app.tokens(node, &Browser::new(node)).await.body;
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let admin = world.token(EVERYTHING).await;

    let whose = json!({ "target": "person", "value": EMAIL });
    let seen = world.call(&admin, "POST", "/cuts/preview", Some(whose)).await;
    assert_eq!((seen.status, &seen.body["grants"]), (200, &json!(1)), "{}", seen.text);
    assert!(node.is_active(access).await);

    let cut = json!({ "target": "person", "value": EMAIL, "how": "revoke", "reason": "laptop lost" });
    let made = world.call(&admin, "POST", "/cuts", Some(cut)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(!node.is_active(access).await);
    assert_eq!(app.refresh(node, refresh).await.body["error"], "invalid_grant");

    let id = made.body["id"].as_str().unwrap();
    let shown = world.get(&admin, &format!("/cuts/{id}")).await;
    assert_eq!(shown["reason"], "laptop lost");
    assert!(shown["by"].as_str().unwrap().contains(&world.program.id), "{shown}");
    let records = world.get(&admin, "/audit?kind=access.cut").await;
    let text = records.to_string();
    assert!(text.contains(&world.program.id) && text.contains("laptop lost"), "{text}");
}

#[actix_web::test]
async fn a_repeat_with_the_same_key_does_nothing_twice() {
    let world = world().await;
    let (node, token) = (&world.node, world.token(EVERYTHING).await);
    let client = |name: &str| json!({ "metadata": { "client_name": name, "grant_types": ["client_credentials"] }, "servers": [NOTES] });
    let post = |name: &'static str, key: &'static str| {
        let (token, body) = (token.clone(), client(name));
        async move { call(node, Some(&token), "POST", "/clients", Some(body), Some(key)).await }
    };
    let mut lost = client("Robot");
    lost["servers"] = json!([NOTES, "https://nowhere.example/mcp"]);
    let lost = call(node, Some(&token), "POST", "/clients", Some(lost), Some("none")).await;
    assert!(lost.status == 422 && lost.text.contains("https://nowhere.example/mcp"), "{}", lost.text);
    let first = post("Robot", "one").await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = post("Robot", "one").await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    refused(&post("Other", "one").await, 422, "idempotency_key_used");
    // Another caller's key is another key.
    let other = program(node, &world.resource).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", other.id.as_str()),
        ("client_secret", other.secret.as_deref().unwrap()),
        ("resource", world.resource.as_str()),
        ("scope", EVERYTHING),
    ];
    let theirs = node.token(&form).await.body["access_token"].as_str().unwrap().to_owned();
    let answer = call(node, Some(&theirs), "POST", "/clients", Some(client("Robot")), Some("one")).await;
    assert_eq!(answer.status, 201);
    assert_ne!(answer.body["client_id"], first.body["client_id"]);
    // At once, one does it; the others are told to wait, or get its answer.
    let all = futures_util::future::join_all((0..8).map(|_| post("Robot", "two"))).await;
    let made: std::collections::HashSet<String> =
        all.iter().filter(|answer| answer.status == 201).map(|answer| answer.text.clone()).collect();
    assert_eq!(made.len(), 1);
    for answer in all.iter().filter(|answer| answer.status != 201) {
        refused(answer, 409, "running");
    }
    // The secret in a kept answer is not in the database to be read.
    let secret = first.body["client_secret"].as_str().unwrap();
    assert!(!node.database().holds(secret));
    assert!(node.database().holds(&world.program.id));
    // What was refused may be tried again with the same key, put right.
    refused(
        &call(node, Some(&token), "POST", "/clients", Some(json!({ "metadata": 1 })), Some("three")).await,
        400,
        "bad_request",
    );
    assert_eq!(post("Robot", "three").await.status, 201);
}

#[actix_web::test]
async fn pages_show_every_row_once() {
    let world = world().await;
    for n in 0..7 {
        world.node.add_person(&format!("p{n}@example.com"), PASSWORD).await;
    }
    let token = world.token("admin:read").await;
    let (mut seen, mut path) = (Vec::new(), "/people?limit=3".to_owned());
    loop {
        let page = world.get(&token, &path).await;
        let rows = page["items"].as_array().unwrap();
        assert!(rows.len() <= 3);
        seen.extend(rows.iter().map(|row| row["email"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/people?limit=3&cursor={cursor}");
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (8, &sorted));
}

#[actix_web::test]
async fn bad_input_gets_a_problem_that_helps() {
    let world = world().await;
    let token = world.token(EVERYTHING).await;
    let send = |method: &'static str, path: &'static str, body: Option<Value>| {
        let (world, token) = (&world, token.clone());
        async move { world.call(&token, method, path, body).await }
    };
    refused(&send("GET", "/nothing", None).await, 404, "not_found");
    refused(&send("GET", "/people/none", None).await, 404, "not_found");
    refused(&send("GET", "/people?limit=0", None).await, 400, "bad_request");
    refused(&send("GET", "/people?limit=2&limit=3", None).await, 400, "bad_request");
    refused(&send("GET", "/people?size=2", None).await, 400, "bad_request");
    refused(&send("GET", "/people?cursor=%21", None).await, 422, "cursor");
    refused(&send("GET", "/audit?since=yesterday", None).await, 400, "bad_request");
    refused(&send("POST", "/people", Some(json!({ "email": "x@example.com" }))).await, 400, "bad_request");
    let unknown = json!({ "email": "x@example.com", "password": "a long enough password", "admin": true });
    refused(&send("POST", "/people", Some(unknown)).await, 400, "bad_request");
    let short = json!({ "email": "x@example.com", "password": "x" });
    refused(&send("POST", "/people", Some(short)).await, 422, "refused");
    let twice = json!({ "email": EMAIL.to_uppercase(), "password": "a long enough password" });
    refused(&send("POST", "/people", Some(twice)).await, 409, "exists");
    let answer = send("DELETE", "/people", None).await;
    refused(&answer, 405, "method");
    assert_eq!(answer.headers["allow"], "GET, POST");
    let form =
        world.node.request("POST", &format!("{API}/people")).bearer_auth(&token).form(&[("email", "x")]);
    refused(&Answer::of(form).await, 415, "media_type");
    let large = world.node.request("POST", &format!("{API}/people")).bearer_auth(&token);
    let large = large.header("content-type", "application/json").body("x".repeat(65 * 1024));
    refused(&Answer::of(large).await, 413, "too_large");
}

#[actix_web::test]
async fn the_last_administrator_stays() {
    let world = world().await;
    world.person("root@example.com", Role::Admin).await;
    let token = world.token(EVERYTHING).await;
    let people = world.get(&token, "/people?email=root").await;
    let path = format!("/people/{}", people["items"][0]["id"].as_str().unwrap());
    for change in [json!({ "role": "member" }), json!({ "disabled": true })] {
        refused(&world.call(&token, "PATCH", &path, Some(change)).await, 409, "last_administrator");
    }
    let leave = Some(json!({ "reason": "gone" }));
    refused(&world.call(&token, "POST", &format!("{path}/offboard"), leave).await, 409, "last_administrator");
}

#[actix_web::test]
async fn the_api_is_no_server_to_be_removed_or_to_introspect() {
    let world = world().await;
    let token = world.token(EVERYTHING).await;
    assert!(!world.get(&token, "/servers").await.to_string().contains(API));
    let error =
        postern::flow::resources::remove(&world.node.core, &Caller::command_line(), &world.resource).await;
    assert!(error.is_err());
    // A token for it is nobody else's business.
    assert_eq!(world.node.introspect(&token).await, json!({ "active": false }));
}

/// What the gateway shows in TLS and whom it trusts, and which certificates callers need.
#[actix_web::test]
async fn certificates_are_managed_and_keys_never_shown() {
    let world = world().await;
    let admin = world.token(EVERYTHING).await;
    let (ca, uri) = (Made::authority("Ledger"), format!("{}/mcp/ledger", world.node.issuer()));
    let own = ca.client("gateway");
    let new =
        json!({"uri": uri, "name": "Ledger", "slug": "ledger", "upstream": "https://ledger.example/mcp"});
    let added = world.call(&admin, "POST", "/servers", Some(new)).await;
    let server = format!("/servers/{}", added.body["server"]["id"].as_str().unwrap());
    let tls = format!("{server}/tls");
    assert_eq!(world.get(&admin, &tls).await, json!({"client": null, "cas": []}));
    let keep = json!({"client_cert": own.pem(), "client_key": own.key_pem(), "ca": ca.pem()});
    let kept = world.call(&admin, "PUT", &tls, Some(keep)).await;
    assert_eq!(kept.status, 200, "{}", kept.text);
    assert_eq!(kept.body["client"]["subject"], "CN=gateway");
    assert_eq!(kept.body["client"]["issuer"], "CN=Ledger");
    assert_eq!(kept.body["client"]["expires_at"], "2040-01-01T00:00:00Z");
    assert_eq!(kept.body["cas"][0]["sha256"], ca.sha256());
    assert_eq!(world.get(&admin, &tls).await, kept.body);
    let alone = world.call(&admin, "PUT", &tls, Some(json!({"client_cert": own.pem()}))).await;
    refused(&alone, 422, "refused");
    let other = ca.client("other").key_pem();
    let mixed = json!({"client_cert": own.pem(), "client_key": other});
    let mixed = world.call(&admin, "PUT", &tls, Some(mixed)).await;
    assert_eq!(mixed.status, 422, "{}", mixed.text);
    let line = own.key_pem().lines().nth(1).unwrap().to_owned();
    for text in [&kept.text, &mixed.text] {
        assert!(!text.contains(&line) && !text.contains("PRIVATE") && !text.contains(&other), "{text}");
    }
    let wanted = json!({"gateway": {"client_certificate": {"sha256": [own.sha256()], "ca": ca.pem()}}});
    let changed = world.call(&admin, "PATCH", &server, Some(wanted)).await;
    let shown = &changed.body["server"]["gateway"]["client_certificate"];
    assert_eq!(
        (&shown["sha256"][0], &shown["cas"][0]["subject"]),
        (&json!(own.sha256()), &json!("CN=Ledger"))
    );
    let none =
        world.call(&admin, "PATCH", &server, Some(json!({"gateway": {"client_certificate": {}}}))).await;
    assert_eq!(none.body["server"]["gateway"]["client_certificate"], Value::Null, "{}", none.text);
    assert_eq!(world.call(&admin, "DELETE", &tls, None).await.status, 204);
    assert_eq!(world.get(&admin, &tls).await["client"], Value::Null);
    let events = postern::flow::audit::list(&world.node.core, AuditFilter::default()).await.unwrap();
    assert!(events.iter().all(|event| !event.detail.to_string().contains(&line)));
}

/// A whole life of a server behind the gateway, over the API alone.
#[actix_web::test]
async fn a_server_behind_the_gateway_is_managed() {
    let world = world().await;
    let (admin, mcp) = (world.token(EVERYTHING).await, Mcp::start());
    let done = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = world.call(&admin, method, path, Some(body).filter(|body| !body.is_null())).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.body
    };
    let uri = format!("{}/mcp/bank", world.node.issuer());
    let new = json!({"uri": uri, "name": "Bank", "slug": "bank", "upstream": mcp.url});
    let added = done("POST", "/servers", new, 201).await;
    assert_eq!(added["server"]["scopes"].as_array().unwrap().len(), 3);
    let server = format!("/servers/{}", added["server"]["id"].as_str().unwrap());
    let key = json!({"kind": "header", "name": "X-Api-Key", "secret": "a-key-of-the-bank"});
    done("PUT", &format!("{server}/credential"), key, 204).await;
    let wrong = json!({"kind": "bearer", "name": "x", "secret": "a-key-of-the-bank"});
    done("PUT", &format!("{server}/credential"), wrong, 422).await;
    let token = json!({
        "email": EMAIL, "server": uri, "name": "laptop", "ttl_seconds": 3_600,
        "scopes": ["tools:read", "tools:write"],
    });
    let made = done("POST", "/grant-tokens", token, 201).await;
    let token = made["token"].as_str().unwrap();
    let send = async |body: Value| {
        Answer::of(world.node.request("POST", "/mcp/bank").bearer_auth(token).json(&body)).await
    };
    let call = |tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    };
    send(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
    assert_eq!(mcp.seen()[0].header("x-api-key"), Some("a-key-of-the-bank"));
    let tools = done("GET", &format!("{server}/tools"), Value::Null, 200).await;
    assert_eq!(tools.as_array().unwrap().len(), 4);
    let decision = json!({"names": ["odd"], "approve": true, "class": "read"});
    let decided = done("PATCH", &format!("{server}/tools"), decision, 200).await;
    assert_eq!((&decided[0]["state"], &decided[0]["class"]), (&json!("approved"), &json!("read")));
    done("PATCH", &format!("{server}/tools"), json!({"names": ["no"], "approve": false}), 404).await;
    let rule = json!({
        "about": {"tool": "add"}, "when": ["amount > 100"], "effect": "ask", "reason": "Large ones are looked at.",
    });
    let rule = done("POST", &format!("{server}/rules"), rule, 201).await;
    let odd = json!({"about": "every_tool", "when": ["amount is large"], "effect": "deny", "reason": "no"});
    let refused_rule = done("POST", &format!("{server}/rules"), odd, 422).await;
    assert!(refused_rule["detail"].as_str().unwrap().contains("operator"), "{refused_rule}");
    let explain = json!({"email": EMAIL, "name": "add", "arguments": {"amount": 500}});
    let why = done("POST", &format!("{server}/explain"), explain, 200).await;
    assert_eq!((&why[0]["goes_through"], &why[0]["rule"]), (&json!(false), &json!("approval_required")));
    assert_eq!(send(call("add", json!({"amount": 500}))).await.body["error"]["code"], -32_001);
    let waiting = world.get(&admin, "/calls").await;
    assert_eq!(waiting["items"][0]["arguments"], json!({"amount": 500}));
    let id = waiting["items"][0]["id"].as_str().unwrap().to_owned();
    done("POST", &format!("/calls/{id}/decision"), json!({"allow": true}), 200).await;
    done("POST", &format!("/calls/{id}/decision"), json!({"allow": true}), 422).await;
    assert!(send(call("add", json!({"amount": 500}))).await.body["result"].is_object());
    assert_eq!(world.get(&admin, &format!("/calls/{id}")).await["stage"], "used");
    assert_eq!(world.get(&admin, "/calls?all=true&limit=1").await["items"].as_array().unwrap().len(), 1);
    for n in 0..5 {
        send(call("add", json!({"amount": 600 + n}))).await;
    }
    for all in ["false", "true"] {
        let (mut seen, mut path) = (Vec::new(), format!("/calls?all={all}&limit=2"));
        while seen.len() < 10 {
            let page = world.get(&admin, &path).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|row| row["id"].to_string()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/calls?all={all}&limit=2&cursor={cursor}");
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((count, seen.len()), if all == "true" { (6, 6) } else { (5, 5) }, "each row once");
    }
    let other = format!("{server}/rules/0198f000-0000-7000-8000-000000000000");
    done("DELETE", &other, Value::Null, 404).await;
    let rule = rule["id"].as_str().unwrap();
    let notes = world.node.core.live.view().resource(NOTES).unwrap().id;
    done("DELETE", &format!("/servers/{notes}/rules/{rule}"), Value::Null, 404).await;
    done("DELETE", &format!("{server}/rules/{rule}"), Value::Null, 204).await;
    assert_eq!(world.get(&admin, &format!("{server}/rules")).await, json!([]));
    let cedar = format!("{server}/cedar");
    done("GET", &cedar, Value::Null, 404).await;
    let text = "permit(principal, action, resource == Tool::\"look\");";
    let refused_set = done("PUT", &cedar, json!({"policies": "permit(principal);"}), 422).await;
    assert!(refused_set["detail"].as_str().unwrap().contains("line 1"), "{refused_set}");
    let set = done("PUT", &cedar, json!({ "policies": text }), 200).await;
    assert_eq!((&set["policies"], &set["warnings"]), (&json!(text), &json!([])));
    let shown = world.get(&admin, &cedar).await;
    assert_eq!((&shown["digest"], &shown["problem"]), (&set["digest"], &Value::Null));
    assert_eq!(send(call("add", json!({}))).await.body["error"]["code"], -32_001);
    let explain = json!({"email": EMAIL, "name": "look"});
    let why = done("POST", &format!("{server}/explain"), explain, 200).await;
    assert_eq!((&why[0]["goes_through"], &why[0]["policies"]), (&json!(true), &json!(["policy0"])));
    done("DELETE", &cedar, Value::Null, 204).await;
    done("DELETE", &cedar, Value::Null, 404).await;
    let settings = json!({"gateway": {"accepts": ["app"], "calls_a_minute": 5}});
    let changed = done("PATCH", &server, settings, 200).await;
    assert_eq!(changed["server"]["gateway"]["accepts"], json!(["app"]));
    assert_eq!(send(call("look", json!({}))).await.status, 403);
    let back = done("PATCH", &server, json!({"gateway": {"accepts": [], "calls_a_minute": 0}}), 200).await;
    assert_eq!(back["server"]["gateway"]["calls_a_minute"], Value::Null);
    let elsewhere = format!("/servers/{notes}");
    done("PATCH", &elsewhere, json!({"gateway": {"record_first": true}}), 422).await;
    done("DELETE", &format!("{server}/credential"), Value::Null, 204).await;
    assert_eq!(send(call("look", json!({}))).await.status, 200);
    assert_eq!(mcp.calls().last().unwrap().header("x-api-key"), None);
    // In each person's own name: what the other side lacks is said, and who has connected is listed.
    let there = Guarded::start();
    let way = json!({"by": "oauth", "issuer": there.issuer});
    let set = done("PUT", &format!("{server}/per-person"), way, 200).await;
    assert_eq!((&set["registration"], &set["revokes"]), (&json!("dynamic"), &json!(true)), "{set}");
    let way = json!({"by": "id_jag", "issuer": there.issuer});
    done("PUT", &format!("{server}/per-person"), way, 422).await;
    assert_eq!(done("GET", &format!("{server}/connections"), Value::Null, 200).await, json!([]));
    done("DELETE", &format!("{server}/connections/{EMAIL}"), Value::Null, 404).await;
    // A program that cuts by signed messages.
    let made = done("POST", "/cut-hooks", json!({"name": "siem", "targets": ["server"]}), 201).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let listed = done("GET", "/cut-hooks", Value::Null, 200).await;
    assert_eq!((&listed[0]["targets"], listed[0].get("secret")), (&json!(["server"]), None));
    let hook = format!("/cut-hooks/{}", made["id"].as_str().unwrap());
    done("DELETE", &hook, Value::Null, 204).await;
    done("DELETE", &hook, Value::Null, 404).await;
}

/// Whom we tell, over the API alone.
#[actix_web::test]
async fn others_are_managed() {
    let world = world().await;
    let admin = world.token(EVERYTHING).await;
    let done = async |method: &str, path: &str, body: Value, status: u16| {
        let answer = world.call(&admin, method, path, Some(body).filter(|body| !body.is_null())).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        answer.body
    };
    let hook = json!({"kind": "webhook", "url": "https://hooks.example/x", "events": ["alert.*"]});
    let made = done("POST", "/outgoing", hook, 201).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let one = format!("/outgoing/webhook/{}", made["id"].as_str().unwrap());
    let listed = done("GET", "/outgoing", Value::Null, 200).await;
    assert_eq!((&listed[0]["state"], listed[0].get("secret")), (&made["state"], None));
    assert_ne!(done("POST", &format!("{one}/secret"), Value::Null, 201).await["secret"], secret);
    assert_eq!(done("GET", &format!("{one}/deliveries"), Value::Null, 200).await, json!([]));
    done("POST", &format!("{one}/enable"), Value::Null, 200).await;
    let stream = json!({"kind": "stream", "url": "ftp://x"});
    done("POST", "/outgoing", stream, 422).await;
    done("DELETE", &one, Value::Null, 204).await;
    done("DELETE", &one, Value::Null, 404).await;
    done("DELETE", "/outgoing/letters/x", Value::Null, 404).await;
}

/// What holds at the gateway beyond that: limits, pages, and arguments that are kept.
#[actix_web::test]
async fn what_holds_at_the_gateway_is_set_and_shown() {
    let world = world().await;
    let admin = world.token(EVERYTHING).await;
    let uri = format!("{}/mcp/ledger", world.node.issuer());
    let new =
        json!({"uri": uri, "name": "Ledger", "slug": "ledger", "upstream": "https://ledger.example/mcp"});
    let added = world.call(&admin, "POST", "/servers", Some(new)).await;
    let server = format!("/servers/{}", added.body["server"]["id"].as_str().unwrap());
    let wanted = json!({"gateway": {
        "limits": ["person calls 5/1h tool wipe"], "origins": ["https://app.example"], "kept_arguments": ["amount"],
    }});
    let changed = world.call(&admin, "PATCH", &server, Some(wanted)).await;
    let shown = &changed.body["server"]["gateway"];
    assert_eq!(shown["limits"], json!(["person calls 5/1h tool wipe"]), "{}", changed.text);
    assert_eq!(shown["origins"], json!(["https://app.example"]));
    assert_eq!(shown["kept_arguments"], json!(["amount"]));
    for bad in [
        json!({"limits": ["person calls"]}),
        json!({"origins": ["http://app.example"]}),
        json!({"kept_arguments": ["a..b"]}),
    ] {
        let answer = world.call(&admin, "PATCH", &server, Some(json!({ "gateway": bad }))).await;
        refused(&answer, 422, "refused");
        assert!(answer.text.contains("expected"), "{}", answer.text);
    }
}
