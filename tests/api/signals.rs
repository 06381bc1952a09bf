//! Whom we tell: webhooks, receivers of shared signals, and streams of the audit log, each with a real peer on the wire.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use postern::flow::core::Caller;
use postern::flow::cut::{self, By, Order};
use postern::flow::endpoints::{self, NewEndpoint};
use postern::flow::{people, signals, stream};
use postern::types::cut::Kind;
use postern::types::key::SigningAlg;
use postern::types::secret::Secret;
use postern::types::signal::{Endpoint, EndpointKind, SubjectFormat};
use serde_json::Value;
use sha2::Sha256;

use crate::harness::{Browser, EMAIL, Node};

/// A peer that takes what is posted to it, and answers as it is told.
struct Peer {
    origin: String,
    state: Arc<Mutex<(u16, Vec<Posted>)>>,
}

#[derive(Clone, Debug)]
struct Posted {
    headers: Vec<(String, String)>,
    body: String,
}

impl Posted {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

impl Peer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new((200, Vec::new())));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                take(connection, &shared);
            }
        });
        Self { origin, state }
    }

    fn answers(&self, status: u16) {
        self.state.lock().unwrap().0 = status;
    }

    fn posted(&self) -> Vec<Posted> {
        self.state.lock().unwrap().1.clone()
    }
}

fn take(mut connection: TcpStream, state: &Mutex<(u16, Vec<Posted>)>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut headers = Vec::new();
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(':').unwrap();
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut posted = Posted { headers, body: String::new() };
    let mut body = vec![0; posted.header("content-length").parse().unwrap_or(0)];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    posted.body = String::from_utf8(body).unwrap();
    let status = {
        let mut state = state.lock().unwrap();
        state.1.push(posted);
        state.0
    };
    let _ = connection.write_all(
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").as_bytes(),
    );
}

async fn node() -> Node {
    Node::with(|policy| policy.outgoing_private = true).await
}

async fn add(node: &Node, new: NewEndpoint) -> (Endpoint, Option<Secret<String>>) {
    endpoints::add(&node.core, &Caller::command_line(), new).await.unwrap()
}

async fn webhook(node: &Node, peer: &Peer, events: &[&str]) -> (Endpoint, String) {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    let (made, secret) =
        add(node, NewEndpoint::Webhook { url: format!("{}/hook", peer.origin), events }).await;
    (made, secret.unwrap().expose().clone())
}

async fn cut_person(node: &Node, reason: &str) {
    let target = cut::target_of(&node.core, "person", EMAIL).await.unwrap();
    let order = Order { target, kind: Kind::Revoke, reason: reason.to_owned(), by: By::command_line() };
    cut::cut(&node.core, &Caller::command_line(), order).await.unwrap();
}

/// The signature as the specification says, computed here and not by the code under test.
fn signature(secret: &str, posted: &Posted) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, at) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
    mac.update(format!("{id}.{at}.{}", posted.body).as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[actix_web::test]
async fn a_webhook_is_told_what_it_asked_for_signed() {
    let (node, peer) = (node().await, Peer::start());
    let (_, secret) = webhook(&node, &peer, &["access.*"]).await;
    assert!(!node.database().holds(&secret));
    cut_person(&node, "laptop lost").await;
    people::set_role(&node.core, &Caller::command_line(), EMAIL, postern::types::user::Role::Auditor)
        .await
        .unwrap();
    signals::tell(&node.core).await.unwrap();
    let posted = peer.posted();
    assert_eq!(posted.len(), 1, "{posted:?}");
    assert_eq!(posted[0].header("webhook-signature"), signature(&secret, &posted[0]));
    let at: i64 = posted[0].header("webhook-timestamp").parse().unwrap();
    assert_eq!(at, node.core.now().seconds());
    let body: Value = serde_json::from_str(&posted[0].body).unwrap();
    assert_eq!(body["type"], "access.cut");
    assert!(posted[0].body.contains("laptop lost"), "{body}");
    // Told once.
    signals::tell(&node.core).await.unwrap();
    assert_eq!(peer.posted().len(), 1);
}

#[actix_web::test]
async fn what_was_not_taken_comes_again_as_the_same_message() {
    let (node, peer) = (node().await, Peer::start());
    let (_, secret) = webhook(&node, &peer, &["access.cut"]).await;
    peer.answers(503);
    cut_person(&node, "test").await;
    signals::tell(&node.core).await.unwrap();
    signals::tell(&node.core).await.unwrap();
    assert_eq!(peer.posted().len(), 1, "it waits before it tries again");
    peer.answers(204);
    // Also after a restart.
    let node = node.restart();
    node.advance(3_600).await;
    signals::tell(&node.core).await.unwrap();
    node.advance(3_600).await;
    signals::tell(&node.core).await.unwrap();
    let posted = peer.posted();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[0].header("webhook-id"), posted[1].header("webhook-id"));
    assert_eq!(posted[0].body, posted[1].body);
    // Signed for the moment at which it is sent.
    assert_ne!(posted[0].header("webhook-timestamp"), posted[1].header("webhook-timestamp"));
    assert_eq!(posted[1].header("webhook-signature"), signature(&secret, &posted[1]));
}

#[actix_web::test]
async fn a_new_secret_signs_beside_the_old_one() {
    let (node, peer) = (node().await, Peer::start());
    let (made, old) = webhook(&node, &peer, &["access.cut"]).await;
    let id = made.id.to_string();
    let caller = Caller::command_line();
    let (_, new) = endpoints::rotate_secret(&node.core, &caller, EndpointKind::Webhook, &id).await.unwrap();
    cut_person(&node, "test").await;
    signals::tell(&node.core).await.unwrap();
    let posted = peer.posted().pop().unwrap();
    let signatures: Vec<&str> = posted.header("webhook-signature").split(' ').collect();
    assert_eq!(signatures.len(), 2);
    for secret in [&old, new.expose()] {
        assert!(signatures.contains(&signature(secret, &posted).as_str()));
    }
}

#[actix_web::test]
async fn a_webhook_that_is_gone_is_switched_off() {
    let (node, peer) = (node().await, Peer::start());
    let (made, _) = webhook(&node, &peer, &["access.cut"]).await;
    peer.answers(410);
    cut_person(&node, "test").await;
    signals::tell(&node.core).await.unwrap();
    let found = endpoints::find(&node.core, EndpointKind::Webhook, &made.id.to_string()).await.unwrap();
    assert!(found.disabled_at.is_some());
    node.advance(7 * 86_400).await;
    signals::tell(&node.core).await.unwrap();
    assert_eq!(peer.posted().len(), 1);
}

#[actix_web::test]
async fn two_nodes_tell_a_thing_once() {
    let (first, peer) = (node().await, Peer::start());
    let second = first.second();
    webhook(&first, &peer, &["access.cut"]).await;
    for n in 0..5 {
        cut_person(&first, &format!("number {n}")).await;
    }
    let all = futures_util::future::join_all((0..6).map(|n| {
        let core = Arc::clone(if n % 2 == 0 { &first.core } else { &second.core });
        async move { signals::tell(&core).await }
    }))
    .await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    signals::tell(&first.core).await.unwrap();
    let mut ids: Vec<String> = peer.posted().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(ids.len(), 5);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[actix_web::test]
async fn two_who_are_first_at_once_are_both_added() {
    let (first, peer) = (node().await, Peer::start());
    let second = first.second();
    let add = |node: &Node, n: usize| {
        let core = Arc::clone(&node.core);
        let url = format!("{}/{n}", peer.origin);
        async move {
            let new = NewEndpoint::Webhook { url, events: vec!["access.cut".to_owned()] };
            endpoints::add(&core, &Caller::command_line(), new).await
        }
    };
    let all =
        futures_util::future::join_all((0..8).map(|n| add(if n % 2 == 0 { &first } else { &second }, n)))
            .await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    cut_person(&first, "test").await;
    signals::tell(&first.core).await.unwrap();
    assert_eq!(peer.posted().len(), 8);
}

#[actix_web::test]
async fn no_address_inside_is_told_anything_unless_the_operator_says_so() {
    let (node, peer) = (Node::start().await, Peer::start());
    let url = format!("{}/hook", peer.origin);
    let refused = endpoints::add(
        &node.core,
        &Caller::command_line(),
        NewEndpoint::Webhook { url, events: vec!["access.cut".to_owned()] },
    )
    .await;
    assert!(refused.is_err());
    // A name that leads inside is found out when it is used.
    let url = "https://localhost:9/hook".to_owned();
    let new = NewEndpoint::Webhook { url, events: vec!["access.cut".to_owned()] };
    if endpoints::add(&node.core, &Caller::command_line(), new).await.is_ok() {
        cut_person(&node, "test").await;
        signals::tell(&node.core).await.unwrap();
    }
    assert!(peer.posted().is_empty());
}

#[actix_web::test]
async fn a_receiver_learns_of_ended_sign_ins_and_changed_passwords() {
    let (node, peer) = (node().await, Peer::start());
    let new = NewEndpoint::Receiver {
        url: format!("{}/events", peer.origin),
        audience: "https://rp.example.com".to_owned(),
        subject: SubjectFormat::Email,
        alg: SigningAlg::ES256,
        authorization: Some(Secret::new("Bearer letmein".to_owned())),
    };
    add(&node, new).await;
    let browser = Browser::new(&node);
    browser.sign_in(EMAIL, crate::harness::PASSWORD).await;
    let caller = Caller::command_line();
    let password = Secret::new("another long password".to_owned());
    people::set_password(&node.core, &caller, EMAIL, password).await.unwrap();
    signals::tell(&node.core).await.unwrap();
    let posted = peer.posted();
    assert!(!posted.is_empty());
    let mut kinds = String::new();
    let keys = node.get("/jwks.json").await.body;
    for one in &posted {
        assert_eq!(one.header("content-type"), "application/secevent+jwt");
        assert_eq!(one.header("authorization"), "Bearer letmein");
        let parts: Vec<&str> = one.body.split('.').collect();
        let part = |n: usize| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[n]).unwrap()).unwrap()
        };
        let (header, claims) = (part(0), part(1));
        assert_eq!(header["typ"], "secevent+jwt");
        assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
        assert_eq!(claims["iss"], node.issuer());
        assert_eq!(claims["aud"], "https://rp.example.com");
        assert_eq!(claims["sub_id"]["email"], EMAIL);
        assert!(claims["jti"].is_string() && claims["iat"].is_i64() && claims.get("exp").is_none());
        kinds.push_str(&claims["events"].to_string());
    }
    assert!(kinds.contains("caep/event-type/credential-change"), "{kinds}");
    assert!(!kinds.contains("password\":\"another"), "{kinds}");
}

fn ids_in(posted: &[Posted]) -> Vec<String> {
    let mut ids = Vec::new();
    for one in posted {
        collect(&serde_json::from_str(&one.body).unwrap(), &mut ids);
    }
    ids
}

/// Ids of records, wherever they stand in a batch.
fn collect(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect(one, ids)),
        Value::Object(all) if all.contains_key("chain") && all.contains_key("id") => {
            ids.push(all["id"].as_str().unwrap().to_owned());
        }
        Value::Object(all) => all.values().for_each(|one| collect(one, ids)),
        _ => {}
    }
}

#[actix_web::test]
async fn a_stream_misses_nothing_also_when_its_target_was_away() {
    let (node, peer) = (node().await, Peer::start());
    let new = NewEndpoint::Stream {
        url: format!("{}/batches", peer.origin),
        from_beginning: true,
        authorization: None,
        ca: None,
    };
    let (_, secret) = add(&node, new).await;
    stream::stream(&node.core).await.unwrap();
    let before = ids_in(&peer.posted()).len();
    assert!(before >= 2, "{:?}", peer.posted());
    let first = peer.posted()[0].clone();
    assert_eq!(first.header("webhook-signature"), signature(secret.unwrap().expose(), &first));
    // Away, while things happen, and while the node is replaced.
    peer.answers(500);
    cut_person(&node, "one").await;
    stream::stream(&node.core).await.unwrap();
    let node = node.restart();
    cut_person(&node, "two").await;
    peer.answers(200);
    let refused = peer.posted().len();
    node.advance(86_400).await;
    stream::stream(&node.core).await.unwrap();
    let mut taken = ids_in(&peer.posted()[..1]);
    taken.extend(ids_in(&peer.posted()[refused..]));
    let all = postern::flow::audit::list(&node.core, postern::storage::audit::AuditFilter::default())
        .await
        .unwrap();
    let missing: Vec<_> = all.iter().filter(|event| !taken.contains(&event.id.to_string())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[actix_web::test]
async fn a_collector_of_syslog_gets_one_frame_a_record() {
    let node = node().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("syslog+tcp://{}", listener.local_addr().unwrap());
    let reader = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let mut bytes = vec![0; 1 << 16];
        let mut text = String::new();
        // Until the frame that the test waits for has come.
        while !text.contains("laptop lost") {
            let read = connection.read(&mut bytes).unwrap();
            assert_ne!(read, 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
        text
    });
    let new = NewEndpoint::Stream { url, from_beginning: false, authorization: None, ca: None };
    add(&node, new).await;
    cut_person(&node, "laptop lost").await;
    stream::stream(&node.core).await.unwrap();
    let text = reader.join().unwrap();
    // RFC 6587 §3.4.1: the length, a space, the message.
    let mut rest = text.as_str();
    let mut frames = 0;
    while let Some((length, message)) = rest.split_once(' ') {
        let length: usize = length.parse().unwrap();
        if message.len() < length {
            break;
        }
        assert!(message.starts_with('<') && message[..length].contains(">1 "), "{message}");
        rest = &message[length..];
        frames += 1;
    }
    assert!(frames >= 1);
}
