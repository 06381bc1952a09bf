//! `POST /hooks/cut/{id}`: access is cut by a message that a program has signed, and by no other.

use postern::crypto::webhook::sign;
use postern::flow::core::Caller;
use postern::flow::cut::{self, By};
use postern::flow::cut_hooks;
use postern::flow::people::OrderError;
use postern::types::audit::AuditKind;
use postern::types::policy::REGISTRATION_BURST;
use serde_json::{Value, json};

use crate::harness::{Answer, Browser, EMAIL, NOTES, Node};

struct Hook {
    path: String,
    id: String,
    secret: String,
}

async fn hook(node: &Node, targets: &[&str]) -> Hook {
    let targets = targets.iter().map(|one| (*one).to_owned()).collect();
    let made =
        cut_hooks::add(&node.core, &Caller::command_line(), &By::command_line(), "siem", targets).await;
    let (hook, secret) = made.unwrap();
    Hook {
        path: format!("/hooks/cut/{}", hook.id),
        id: hook.id.to_string(),
        secret: secret.expose().to_owned(),
    }
}

impl Hook {
    async fn sends(&self, node: &Node, id: &str, body: &Value) -> Answer {
        let now = node.core.now().seconds();
        self.sends_at(node, (id, now), &body.to_string()).await
    }

    async fn sends_at(&self, node: &Node, (id, seconds): (&str, i64), body: &str) -> Answer {
        let signature = sign(&[&self.secret], id, seconds, body.as_bytes());
        raw(node, &self.path, (id, &seconds.to_string(), &signature), body).await
    }
}

async fn raw(node: &Node, path: &str, (id, seconds, signature): (&str, &str, &str), body: &str) -> Answer {
    let request = node.request("POST", path).header("content-type", "application/json");
    let request = request.header("webhook-id", id).header("webhook-timestamp", seconds);
    Answer::of(request.header("webhook-signature", signature).body(body.to_owned())).await
}

fn person() -> Value {
    json!({"target": "person", "value": EMAIL, "how": "revoke", "reason": "stolen laptop"})
}

#[actix_web::test]
async fn a_signed_message_cuts_access_on_every_node_and_says_who_did_it() {
    let node = Node::start().await;
    let second = node.second();
    let siem = hook(&node, &[]).await;
    let app = node.register("https://app.example/callback").await;
    let tokens = app.tokens(&node, &Browser::signed_in(&node).await).await;
    assert!(second.is_active(&tokens.text_of("access_token")).await);
    let answer = siem.sends(&node, "msg-1", &person()).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        (&answer.body["by"], &answer.body["how"]),
        (&json!("hook siem"), &json!("revoke")),
        "{}",
        answer.text
    );
    second.catch_up().await;
    assert!(!second.is_active(&tokens.text_of("access_token")).await);
    app.refresh(&node, &tokens.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    let cuts = cut::list(&node.core, None, 10).await.unwrap();
    assert_eq!((cuts.len(), cuts[0].by_name.as_str()), (1, "hook siem"));
    let hooks = cut_hooks::list(&node.core).await.unwrap();
    assert!(hooks[0].last_used_at.is_some());
    assert!(!node.database().holds(siem.secret.trim_start_matches("whsec_")));
}

#[actix_web::test]
async fn a_message_is_carried_out_once_however_often_it_comes() {
    let node = Node::start().await;
    let siem = hook(&node, &[]).await;
    let now = node.core.now().seconds();
    let body = person().to_string();
    assert_eq!(siem.sends_at(&node, ("msg-1", now), &body).await.status, 201);
    for _ in 0..3 {
        let again = siem.sends_at(&node, ("msg-1", now), &body).await;
        assert_eq!((again.status, &again.body), (200, &json!({"already": true})));
    }
    // Until it is too old to be anything but a replay.
    node.advance(299).await;
    assert_eq!(siem.sends_at(&node, ("msg-1", now), &body).await.status, 200);
    node.advance(2).await;
    assert_eq!(siem.sends_at(&node, ("msg-1", now), &body).await.status, 400);
    assert_eq!(siem.sends_at(&node, ("msg-2", node.core.now().seconds() + 120), &body).await.status, 400);
    assert_eq!(cut::list(&node.core, None, 10).await.unwrap().len(), 1);
    // One that could not be carried out is not used up.
    let wrong = json!({"target": "person", "value": "nobody@example.com", "how": "revoke", "reason": "x"});
    assert_eq!(siem.sends(&node, "msg-3", &wrong).await.status, 404);
    assert_eq!(siem.sends(&node, "msg-3", &person()).await.status, 201);
}

#[actix_web::test]
async fn nothing_but_the_right_signature_over_this_very_message_counts() {
    let node = Node::start().await;
    let (siem, other) = (hook(&node, &[]).await, hook(&node, &[]).await);
    let (body, seconds) = (person().to_string(), node.core.now().seconds());
    let text = seconds.to_string();
    let good = sign(&[&siem.secret], "m", seconds, body.as_bytes());
    let of_other = sign(&[&other.secret], "m", seconds, body.as_bytes());
    let later = (seconds + 1).to_string();
    let changed = body.replace("stolen", "sold");
    let unknown = "/hooks/cut/01900000-0000-7000-8000-000000000000";
    for (path, head, body) in [
        (&*siem.path, ("m", &*text, &*of_other), &*body),
        (&*siem.path, ("n", &*text, &*good), &*body),
        (&*siem.path, ("m", &*later, &*good), &*body),
        (&*siem.path, ("m", &*text, &*good), &*changed),
        (&*siem.path, ("m", &*text, ""), &*body),
        (&*siem.path, ("", &*text, &*good), &*body),
        (&*other.path, ("m", &*text, &*good), &*body),
        (unknown, ("m", &*text, &*good), &*body),
        ("/hooks/cut/x", ("m", &*text, &*good), &*body),
    ] {
        let answer = raw(&node, path, head, body).await;
        assert_eq!(
            (answer.status, answer.text_of("code").as_str()),
            (401, "bad_signature"),
            "{path} {head:?}"
        );
    }
    // An id that could be read together with the time in two ways (`a.1` at 2, `a` at `1.2`).
    let dotted = sign(&[&siem.secret], "m.1", seconds, body.as_bytes());
    assert_eq!(raw(&node, &siem.path, ("m.1", &text, &dotted), &body).await.status, 401);
    // Each of them is on record, but whoever floods is not.
    let noted = node.audited(AuditKind::CutHookRefused).await;
    assert_eq!(noted, 10);
    let mut statuses = Vec::new();
    for _ in 0..=REGISTRATION_BURST {
        statuses.push(raw(&node, &siem.path, ("m", &text, "v1,AAAA"), &body).await.status);
    }
    assert_eq!(statuses.last(), Some(&429));
    // And keeps nobody out whose signature fits.
    assert_eq!(raw(&node, &siem.path, ("m", &text, &good), &body).await.status, 201);
    let large = format!("{}{}", body, " ".repeat(70_000));
    assert_eq!(raw(&node, &siem.path, ("m", &text, &good), &large).await.status, 413);
    cut_hooks::remove(&node.core, &Caller::command_line(), &siem.id).await.unwrap();
    assert_ne!(siem.sends(&node, "m-9", &person()).await.status, 201);
    assert_eq!(cut::list(&node.core, None, 10).await.unwrap().len(), 1);
}

#[actix_web::test]
async fn a_hook_cuts_what_it_may_and_says_what_is_wrong() {
    let node = Node::start().await;
    let siem = hook(&node, &["person"]).await;
    let server = json!({"target": "server", "value": NOTES, "how": "isolate", "seconds": 60, "reason": "x"});
    let everything = json!({"target": "everything", "how": "revoke", "reason": "x"});
    for body in [&server, &everything] {
        assert_eq!(siem.sends(&node, "m", body).await.status, 403);
    }
    let usual = hook(&node, &[]).await;
    assert_eq!(usual.sends(&node, "m", &everything).await.status, 403, "not without being told so");
    assert_eq!(usual.sends(&node, "m", &server).await.status, 201);
    for (body, status) in [
        (json!({"target": "person", "value": EMAIL, "how": "revoke"}), 400),
        (json!({"target": "person", "value": EMAIL, "how": "revoke", "reason": ""}), 422),
        (json!({"target": "person", "value": EMAIL, "how": "isolate", "reason": "x"}), 422),
        (json!({"target": "person", "value": EMAIL, "how": "revoke", "reason": "x", "more": 1}), 400),
        (json!([]), 400),
    ] {
        assert_eq!(siem.sends(&node, "m-1", &body).await.status, status, "{body}");
    }
    let caller = Caller::command_line();
    for (name, target) in [("", "person"), (" x", "person"), ("x", "planet")] {
        let refused =
            cut_hooks::add(&node.core, &caller, &By::command_line(), name, vec![target.to_owned()]).await;
        assert!(matches!(refused, Err(OrderError::Bad(_))), "{name:?} {target}");
    }
}
