//! Evidence that a stranger can verify, and what it takes to fool them.

use std::io::Cursor;
use std::time::Duration;

use postern::flow::audit_chain::checkpoint;
use postern::flow::core::Caller;
use postern::flow::cut::By;
use postern::flow::evidence::{Bundle, Scope};
use postern::flow::evidence_check::{Flaw, Proven, check};
use postern::flow::{erase, keys, people};
use serde_json::{Value, json};

use crate::harness::{Browser, EMAIL, Node, PASSWORD};

async fn bundle(node: &Node, narrow: impl FnOnce(&mut Scope)) -> String {
    let now = node.core.now();
    let mut scope = Scope::new(now.minus(Duration::from_secs(3_600)), now.plus(Duration::from_secs(1)));
    narrow(&mut scope);
    let mut bundle = Bundle::begin(&node.core, &Caller::command_line(), scope).await.unwrap();
    let mut file = Vec::new();
    while let Some(lines) = bundle.next(&node.core).await.unwrap() {
        file.extend(lines);
    }
    String::from_utf8(file).unwrap()
}

fn verify(file: &str, trusted: Option<&[Value]>) -> Result<Proven, Flaw> {
    check(&mut Cursor::new(file.as_bytes()), trusted)
}

async fn published(node: &Node) -> Vec<Value> {
    node.get("/jwks.json").await.body["keys"].as_array().unwrap().clone()
}

/// A node on which things happened, some signed, over some hours.
async fn busy() -> Node {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    app.tokens(&node, &Browser::new(&node)).await;
    checkpoint(&node.core).await.unwrap();
    node.add_person("bob@example.com", PASSWORD).await;
    for _ in 0..3 {
        node.advance(1_000).await;
        Browser::new(&node).sign_in(EMAIL, "wrong").await;
        Browser::new(&node).sign_in("bob@example.com", PASSWORD).await;
        checkpoint(&node.core).await.unwrap();
    }
    node.advance(1_000).await;
    Browser::new(&node).sign_in(EMAIL, PASSWORD).await;
    node
}

#[tokio::test]
async fn a_stranger_can_verify_it_with_public_keys_alone() {
    let node = busy().await;
    let trusted = published(&node).await;
    let file = bundle(&node, |_| {}).await;
    let proven = verify(&file, Some(&trusted)).unwrap();
    assert!(proven.trusted && proven.whole >= 6 && proven.checkpoints >= 3, "{proven:?}");
    assert_eq!(proven.issuer, node.issuer());
    assert!(!verify(&file, None).unwrap().trusted);
    assert!(file.lines().next().unwrap().contains("verify-evidence"), "it says how to read it");
    // Another span, of the past alone.
    let now = node.core.now();
    let early = bundle(&node, |scope| {
        scope.since = now.minus(Duration::from_secs(2_500));
        scope.until = now.minus(Duration::from_secs(1_500));
    })
    .await;
    let early = verify(&early, Some(&trusted)).unwrap();
    assert!(early.whole >= 1 && early.records < proven.records + 2, "{early:?}");
}

#[tokio::test]
async fn others_are_there_without_what_is_theirs() {
    let node = busy().await;
    let bob = people::find(&node.core, "bob@example.com").await.unwrap();
    let file = bundle(&node, |scope| scope.user_id = Some(bob.id)).await;
    let proven = verify(&file, None).unwrap();
    assert!(proven.whole >= 3 && proven.withheld >= 4, "{proven:?}");
    assert!(!file.contains(EMAIL), "somebody else's address is in it");
    for line in file.lines().filter(|line| line.contains("withheld")) {
        let value: Value = serde_json::from_str(line).unwrap();
        if value.get("record").is_some() {
            assert!(
                value["record"].get("detail").is_none() && value["record"].get("address").is_none(),
                "{line}"
            );
        }
    }
}

#[tokio::test]
async fn erased_records_are_shown_as_such() {
    let node = busy().await;
    let bob = people::find(&node.core, "bob@example.com").await.unwrap();
    erase::erase(&node.core, &Caller::command_line(), By::command_line(), bob.id).await.unwrap();
    let file = bundle(&node, |_| {}).await;
    let proven = verify(&file, None).unwrap();
    assert!(proven.erased >= 4, "{proven:?}");
    assert!(!file.contains("bob@example.com"));
}

#[tokio::test]
async fn checkpoints_of_keys_that_are_gone_still_count() {
    let node = busy().await;
    for _ in 0..3 {
        keys::rotate(&node.core, &Caller::command_line()).await.unwrap();
        node.advance(3 * 86_400).await;
        keys::rotate_due(&node.core).await.unwrap();
        postern::flow::sweep::sweep(&node.core).await.unwrap();
        node.catch_up().await;
    }
    let now = node.core.now();
    let file = bundle(&node, |scope| scope.since = now.minus(Duration::from_secs(30 * 86_400))).await;
    let proven = verify(&file, Some(&published(&node).await)).unwrap();
    assert!(proven.checkpoints >= 4, "{proven:?}");
}

/// The file with other lines in place of those of the record at this place among the records.
fn with_record(file: &str, number: usize, change: impl Fn(&mut Value)) -> String {
    let mut seen = 0;
    let mut out = String::new();
    for line in file.lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if value.get("record").is_some() {
            seen += 1;
            if seen == number + 1 {
                change(&mut value["record"]);
            }
        }
        if !value.is_null() {
            out.extend([value.to_string().as_str(), "\n"]);
        }
    }
    out
}

fn lines_of(file: &str) -> Vec<String> {
    file.lines().map(|line| format!("{line}\n")).collect()
}

fn first(lines: &[String], member: &str) -> usize {
    lines.iter().position(|line| line.starts_with(&format!("{{\"{member}\""))).unwrap()
}

/// Seals a file anew with the key of whoever has an issuer of their own, whose keys are put into the head.
fn resealed(evil: &Node, evil_keys: &[Value], file: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let mut lines = lines_of(file);
    lines.pop();
    let mut head: Value = serde_json::from_str(&lines[0]).unwrap();
    let iss = head["issuer"].clone();
    let mut keys = head["keys"].as_array().unwrap().clone();
    keys.extend(evil_keys.iter().cloned());
    head["keys"] = json!(keys);
    lines[0] = format!("{head}\n");
    let body = lines.concat();
    let digest = postern::types::hex::hex(&Sha256::digest(body.as_bytes()));
    let now = evil.core.now();
    let claims = json!({ "iss": iss, "iat": now.seconds(), "sha256": digest });
    let seal = evil
        .core
        .live
        .view()
        .keys
        .sign(postern::types::key::SigningAlg::ES256, "postern-audit-evidence+jwt", &claims, now)
        .unwrap();
    format!("{body}{}\n", json!({ "seal": seal }))
}

#[tokio::test]
async fn attacks_show() {
    let node = busy().await;
    let evil = busy().await;
    let (trusted, evil_keys) = (published(&node).await, published(&evil).await);
    let file = bundle(&node, |_| {}).await;
    let foreign = bundle(&evil, |_| {}).await;
    let lines = lines_of(&file);
    let a_record = first(&lines, "record");
    let statement = first(&lines, "checkpoint");
    let without = |at: usize| {
        let mut lines = lines.clone();
        lines.remove(at);
        lines.concat()
    };
    let swapped = |a: usize, b: usize| {
        let mut lines = lines.clone();
        lines.swap(a, b);
        lines.concat()
    };
    let foreign_lines = lines_of(&foreign);
    let mut with_foreign = lines.clone();
    with_foreign[statement].clone_from(&foreign_lines[first(&foreign_lines, "checkpoint")]);
    let mut doubled = lines.clone();
    doubled.insert(a_record, lines[a_record].clone());
    let cut_off = lines[..lines.len() - 1].concat();
    let fewer = {
        // The last record of the lane goes, and the lane says so.
        let last = lines.len() - 2;
        let mut lines = lines.clone();
        lines.remove(last);
        let at = lines.iter().position(|line| line.contains("\"previous\"")).unwrap();
        let mut lane: Value = serde_json::from_str(&lines[at]).unwrap();
        lane["to"] = json!(lane["to"].as_i64().unwrap() - 1);
        lines[at] = format!("{lane}\n");
        lines.concat()
    };
    let attacks = [
        ("a detail edited", with_record(&file, 2, |record| record["detail"] = json!("{}"))),
        ("a time edited", with_record(&file, 2, |record| record["at"] = json!(1))),
        ("a kind edited", with_record(&file, 2, |record| record["kind"] = json!("login.ended"))),
        ("a person edited", with_record(&file, 2, |record| record["user_id"] = Value::Null)),
        (
            "a record passed off as erased",
            with_record(&file, 2, |record| {
                let members = record.as_object_mut().unwrap();
                for gone in ["detail", "address", "salt"] {
                    members.remove(gone);
                }
                members.insert("shown".to_owned(), json!("erased"));
            }),
        ),
        (
            "a record withheld",
            with_record(&file, 2, |record| {
                let members = record.as_object_mut().unwrap();
                for gone in ["detail", "address", "salt"] {
                    members.remove(gone);
                }
                members.insert("shown".to_owned(), json!("withheld"));
            }),
        ),
        ("a record dropped", without(a_record + 1)),
        ("the last record dropped", fewer),
        ("records in another order", swapped(a_record, a_record + 1)),
        ("a record twice", doubled.concat()),
        ("a checkpoint dropped", without(statement)),
        ("a foreign checkpoint", with_foreign.concat()),
        ("no seal", cut_off.clone()),
        ("cut off in the middle of a line", file[..file.len() / 2].to_owned()),
        ("more after the seal", format!("{file}{{}}\n")),
        ("a foreign seal", format!("{cut_off}{}", foreign_lines.last().unwrap())),
        ("nothing", String::new()),
        ("no evidence", "{}\n".to_owned()),
        ("no JSON", "evidence\n".to_owned()),
    ];
    // Whoever could seal could also say that a record was erased: only the issuer's seal speaks against it.
    let by_the_seal_alone = ["a record passed off as erased", "a checkpoint dropped"];
    assert!(verify(&resealed(&evil, &evil_keys, &file), Some(&trusted)).is_err(), "another's seal");
    for (what, forged) in attacks {
        let flaw = verify(&forged, Some(&trusted));
        assert!(flaw.is_err(), "{what} goes unseen");
        // Sealed anew by whoever edited it: the chain and the checkpoints still tell.
        if !by_the_seal_alone.contains(&what)
            && forged.lines().last().is_some_and(|last| last.starts_with("{\"seal\""))
        {
            let again = resealed(&evil, &evil_keys, &forged);
            let seen = verify(&again, None);
            let own = ["a foreign seal", "a foreign checkpoint"].contains(&what);
            assert!(seen.is_err() || own, "{what}, sealed anew, goes unseen");
        }
    }
}

#[tokio::test]
async fn a_foreign_checkpoint_is_another_issuers_even_when_its_key_is_put_in() {
    let node = busy().await;
    let evil = busy().await;
    let evil_keys = published(&evil).await;
    let (file, foreign) = (bundle(&node, |_| {}).await, bundle(&evil, |_| {}).await);
    let (mut lines, foreign_lines) = (lines_of(&file), lines_of(&foreign));
    let at = first(&lines, "checkpoint");
    lines[at].clone_from(&foreign_lines[first(&foreign_lines, "checkpoint")]);
    let flaw = verify(&resealed(&evil, &evil_keys, &lines.concat()), None).unwrap_err();
    assert!(flaw.what.contains("another issuer"), "{flaw}");
}

#[tokio::test]
async fn making_it_is_recorded_and_auditors_may() {
    use postern::types::audit::AuditKind;
    use postern::types::user::Role;
    let node = busy().await;
    node.add_person("audit@example.com", PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), "audit@example.com", Role::Auditor).await.unwrap();
    let auditor = Browser::new(&node);
    auditor.sign_in("audit@example.com", PASSWORD).await;
    let answer = auditor.get("/admin/export/evidence").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.header("content-disposition").starts_with("attachment"));
    verify(&answer.text, Some(&published(&node).await)).unwrap();
    let filter = postern::storage::audit::AuditFilter {
        kind: Some(AuditKind::EvidenceExported),
        ..postern::storage::audit::AuditFilter::default()
    };
    let said = postern::flow::audit::list(&node.core, filter).await.unwrap();
    assert_eq!(said[0].detail["by"], "audit@example.com");
    let member = Browser::signed_in(&node).await;
    assert_eq!(member.get("/admin/export/evidence").await.status, 403);
    for bad in
        ["?since=yesterday", "?cut=x", "?person=x", "?since=2030-01-01T00:00:00Z&until=2029-01-01T00:00:00Z"]
    {
        assert_eq!(auditor.get(&format!("/admin/export/evidence{bad}")).await.status, 404, "{bad}");
    }
}
