//! Requests that nobody honest sends, to every route: no fault of ours, no secret of the machine, and afterwards a
//! clean flow still works.

use reqwest::RequestBuilder;

use crate::harness::{Answer, Browser, Node};

const ROUTES: [&str; 29] = [
    "/",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/jwks.json",
    "/authorize",
    "/token",
    "/register",
    "/register/x",
    "/introspect",
    "/revoke",
    "/status-lists",
    "/status-lists/0",
    "/consent",
    "/login",
    "/logout",
    "/setup",
    "/account",
    "/account/remove",
    "/admin",
    "/admin/access",
    "/admin/access/x",
    "/admin/people/x",
    "/admin/app",
    "/admin/audit",
    "/admin/keys",
    "/static/postern.css",
    "/static/..%2f..%2fetc%2fpasswd",
    "/health/live",
    "/health/ready",
];

const QUERIES: [&str; 10] = [
    "?%",
    "?%00=%00",
    "?a=%ff%fe",
    "?client_id=%F0%9F%92%A9&redirect_uri=%00",
    "?client_id[]=1&client_id[]=2",
    "?continue=%2e%2e%2f&token=%27%20OR%201=1--",
    "?client_id=https%3A%2F%2F169.254.169.254%2Flatest",
    "?client_id=pst_client_x%27%3B%20DROP%20TABLE%20client%3B--",
    "?resource=http%3A%2F%2F%5B%3A%3A1&resource=%5C%5Chost&scope=%22",
    "?max_age=99999999999999999999&prompt=none%20none",
];

async fn harmless(what: &str, request: RequestBuilder) {
    let answer = Answer::of(request).await;
    assert!(answer.status < 500, "{what}: {} {}", answer.status, answer.text);
    for leak in ["panicked", "src/", "RUST_BACKTRACE", "root:x:0", "sqlite", "SELECT "] {
        assert!(!answer.text.contains(leak), "{what}: {}", answer.text);
    }
}

#[tokio::test]
async fn no_request_is_a_fault_of_ours() {
    let node = Node::start().await;
    let app = node.register("https://app.example/cb").await;
    for route in ROUTES {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND"] {
            harmless(&format!("{method} {route}"), node.request(method, route)).await;
        }
        for query in QUERIES {
            let path = format!("{route}{query}");
            harmless(&path, node.request("GET", &path)).await;
            let form =
                node.request("POST", route).header("content-type", "application/x-www-form-urlencoded");
            harmless(&format!("form {path}"), form.body(query[1..].to_owned())).await;
        }
        for (kind, body) in [
            ("application/json", &b"{\"client_id\":{\"$ne\":null}}"[..]),
            ("application/json", b"\xff\xfe"),
            ("application/json; charset=utf-7", b"+AHs-"),
            ("application/x-www-form-urlencoded", b"\x00\x01\x02=\xff"),
            ("multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"),
            ("text/xml", b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>"),
            ("", b"grant_type=client_credentials"),
        ] {
            let request = node.request("POST", route).header("content-type", kind).body(body.to_vec());
            harmless(&format!("{kind} {route}"), request).await;
        }
        for (name, value) in [
            ("authorization", &b"Basic \xff\xff"[..]),
            ("authorization", b"Bearer "),
            ("authorization", b"Basic AAAA"),
            ("cookie", b"postern_session=\xff; =; ;;;"),
            ("x-forwarded-for", b"not an address, \xff"),
            ("forwarded", b"for=\"[::1\";host=evil.example"),
            ("origin", b"null"),
            ("accept", b"\xff"),
            ("if-none-match", b"\xff"),
            ("user-agent", b"\xc3\x28"),
        ] {
            let value = reqwest::header::HeaderValue::from_bytes(value).unwrap();
            for method in ["GET", "POST"] {
                let request = node.request(method, route).header(name, value.clone());
                harmless(&format!("{method} {route} {name}"), request).await;
            }
        }
    }
    let tokens = app.tokens(&node, &Browser::new(&node)).await;
    assert!(node.is_active(&tokens.text_of("access_token")).await, "a clean flow still works");
}
