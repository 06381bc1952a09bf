//! Searching everything, and taking lists away as files.

use postern::flow::core::Caller;
use postern::flow::people;
use postern::storage::audit::AuditFilter;
use postern::storage::grants::GrantFilter;
use postern::types::audit::AuditKind;
use postern::types::user::Role;
use serde_json::{Value, json};

use crate::harness::{Browser, EMAIL, NOTES, Node, PASSWORD};

struct World {
    node: Node,
    auditor: Browser,
    app: String,
    grant: String,
    person: String,
}

async fn world() -> World {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let member = Browser::new(&node);
    app.tokens(&node, &member).await;
    node.add_person("audit@example.com", PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), "audit@example.com", Role::Auditor).await.unwrap();
    let auditor = Browser::new(&node);
    auditor.sign_in("audit@example.com", PASSWORD).await;
    let grants = postern::flow::access::list(&node.core, GrantFilter::default()).await.unwrap();
    let grant = &grants[0].grant;
    let (grant, person, app) =
        (grant.id.to_string(), grant.user_id.unwrap().to_string(), grant.client_id.to_string());
    World { node, auditor, app, grant, person }
}

#[tokio::test]
async fn one_box_finds_everything_and_leads_there() {
    let world = world().await;
    let server =
        world.node.core.live.view().resources.values().find(|r| r.uri.as_str() == NOTES).unwrap().clone();
    let records = postern::flow::audit::list(&world.node.core, AuditFilter::default()).await.unwrap();
    let record = records.iter().find(|record| record.request_id.is_some()).unwrap();
    for (text, link) in [
        (EMAIL[..4].to_uppercase(), format!("/admin/people/{}", world.person)),
        (world.person.clone(), format!("/admin/people/{}", world.person)),
        ("INSPECT".to_owned(), format!("/admin/app?id={}", world.app)),
        ("app.example.com".to_owned(), format!("/admin/app?id={}", world.app)),
        (world.app.clone(), format!("/admin/app?id={}", world.app)),
        ("team no".to_owned(), format!("/admin/servers/{}", server.id)),
        (server.id.to_string(), format!("/admin/servers/{}", server.id)),
        (world.grant.clone(), format!("/admin/access/{}", world.grant)),
        ("login.failed".to_owned(), "/admin/audit?kind=login.failed".to_owned()),
        ("192.0.2.1".to_owned(), "/admin/audit?q=192.0.2.1".to_owned()),
        (record.id.to_string(), format!("kind={}", record.kind.as_str())),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", &text).finish();
        let page = world.auditor.get(&format!("/admin/search?{query}")).await;
        assert_eq!(page.status, 200, "{text}: {}", page.text);
        assert!(page.text.contains(&link), "{text} does not lead to {link}: {}", page.words());
    }
    for nothing in ["", "nobody-of-this-name", "%", "_", "01900000-0000-7000-8000-000000000000", "%00", "'"] {
        let page = world.auditor.get(&format!("/admin/search?q={nothing}")).await;
        assert_eq!(page.status, 200, "{nothing}");
        assert!(!page.text.contains(&world.person), "{nothing} finds somebody: {}", page.words());
    }
    let long = "x".repeat(2_000);
    assert_eq!(world.auditor.get(&format!("/admin/search?q={long}")).await.status, 200);
    let member = Browser::signed_in(&world.node).await;
    assert_eq!(member.get("/admin/search?q=ana").await.status, 403);
}

const LISTS: [&str; 9] =
    ["people", "apps", "access", "sessions", "audit", "servers", "alerts", "cut", "keys"];

#[tokio::test]
async fn every_list_leaves_as_a_file_and_the_log_says_so() {
    let world = world().await;
    for list in LISTS {
        let page = world.auditor.get(&format!("/admin/{list}")).await;
        for format in ["csv", "jsonl"] {
            let path = format!("/admin/export/{list}?format={format}");
            assert!(
                page.text.contains(&path.replace('&', "&#38;")) || page.text.contains(&path),
                "{list} does not lead to {path}"
            );
            let file = world.auditor.get(&path).await;
            assert_eq!(file.status, 200, "{path}: {}", file.text);
            assert!(file.header("content-disposition").contains(&format!("postern-{list}.{format}")));
            if format == "jsonl" {
                for line in file.text.lines() {
                    assert!(serde_json::from_str::<Value>(line).unwrap().is_object(), "{line}");
                }
            } else {
                assert!(file.text.ends_with("\r\n") && file.text.lines().count() >= 1, "{}", file.text);
            }
        }
    }
    let filter = AuditFilter { kind: Some(AuditKind::ListExported), ..AuditFilter::default() };
    let said = postern::flow::audit::list(&world.node.core, filter).await.unwrap();
    assert_eq!(said.len(), LISTS.len() * 2);
    assert_eq!(
        (said[0].detail["by"].as_str(), said[0].detail["list"].as_str()),
        (Some("audit@example.com"), Some("people"))
    );
    let member = Browser::signed_in(&world.node).await;
    let nobody = Browser::new(&world.node);
    for list in LISTS {
        let path = format!("/admin/export/{list}?format=csv");
        assert_eq!(member.get(&path).await.status, 403, "{path}");
        assert_eq!(nobody.get(&path).await.status, 303, "{path}");
    }
    for bad in [
        "people",
        "people?format=xls",
        "nothing?format=csv",
        "access?format=csv&state=x",
        "access?format=csv&network=x",
        "access?format=csv&domain=a%20b",
        "access?format=csv&used=x",
        "people?format=csv&role=x",
        "people?format=csv&state=x",
        "apps?format=csv&kind=x",
        "apps?format=csv&approved=x",
        "sessions?format=csv&network=x",
        "servers?format=csv&way=x",
        "keys?format=csv&alg=x",
        "keys?format=csv&state=x",
        "alerts?format=csv&detector=x",
        "alerts?format=csv&q=nobody%40example.com",
        "cut?format=csv&target=x",
        "cut?format=csv&state=x",
        "audit?format=csv&q=nonsense",
        "audit?format=csv&kind=x",
    ] {
        assert_eq!(world.auditor.get(&format!("/admin/export/{bad}")).await.status, 404, "{bad}");
    }
}

#[tokio::test]
async fn a_file_has_what_the_filter_shows_and_all_of_it() {
    let world = world().await;
    for number in 0..1_050 {
        let email = format!("many{number:04}@example.com");
        let mut user = people::find(&world.node.core, EMAIL).await.unwrap();
        user.id = postern::types::id::UserId::new(world.node.core.now(), world.node.core.rng.as_ref());
        user.email.clone_from(&email);
        let email = postern::types::user::Email::parse(&email).unwrap();
        world
            .node
            .core
            .store
            .write(move |tx| postern::storage::users::insert(tx, &user, &email))
            .await
            .unwrap();
    }
    let file = world.auditor.get("/admin/export/people?format=csv&q=many").await;
    assert_eq!(file.text.lines().count(), 1_051, "every row, over several reads, and the head");
    let file = world.auditor.get("/admin/export/people?format=jsonl&q=audit").await;
    assert_eq!(file.text.lines().count(), 1, "{}", file.text);
    let file = world
        .auditor
        .get("/admin/export/access?format=jsonl&person=01900000-0000-7000-8000-000000000000")
        .await;
    assert_eq!(file.text, "");
    let file = world.auditor.get("/admin/export/audit?format=jsonl&kind=user.role_set").await;
    assert_eq!(file.text.lines().count(), 1, "{}", file.text);
}

#[tokio::test]
async fn a_hostile_name_is_no_formula() {
    let world = world().await;
    for name in ["=HYPERLINK(\"https://evil.example\",\"x\")", "+1+1", "@SUM(1)", "-2", "\t=1"] {
        let answer = world
            .node
            .post_json(
                "/register",
                &json!({ "client_name": name, "redirect_uris": ["https://evil.example/cb"] }),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let file = world.auditor.get("/admin/export/apps?format=csv").await;
    for line in file.text.lines() {
        for cell in line.split(',') {
            let cell = cell.trim_start_matches('"');
            assert!(!cell.starts_with(['=', '+', '@', '-', '\t']), "{line}");
        }
    }
}

#[tokio::test]
async fn an_administrator_erases_from_the_console() {
    let world = world().await;
    node_admin(&world.node).await;
    let admin = Browser::new(&world.node);
    admin.sign_in("root@example.com", PASSWORD).await;
    let path = format!("/admin/people/{}", world.person);
    let csrf = admin.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
    let send = |email: &'static str| {
        let form = [("csrf", csrf.clone()), ("do", "erase".to_owned()), ("email", email.to_owned())];
        admin.send(admin.request("POST", &path).form(&form))
    };
    let wrong = send("somebody@example.com").await;
    assert!(wrong.location().unwrap().contains("refused=confirm"), "{wrong:?}");
    assert_eq!(admin.get(&path).await.status, 200);
    world.node.advance(3_600).await;
    let stale = send(EMAIL).await;
    assert!(stale.location().unwrap().contains("/login"), "a fresh sign-in is asked for: {stale:?}");
    let admin = Browser::new(&world.node);
    admin.sign_in("root@example.com", PASSWORD).await;
    let csrf = admin.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
    let form = [("csrf", csrf), ("do", "erase".to_owned()), ("email", EMAIL.to_owned())];
    let done = admin.send(admin.request("POST", &path).form(&form)).await;
    assert!(done.location().unwrap().contains("done=erased"), "{done:?}");
    assert_eq!(admin.get(&path).await.status, 404);
    let log = admin.get("/admin/audit").await;
    assert_eq!(log.status, 200);
    assert!(log.words().contains("erased: true") && !log.words().contains(EMAIL), "{}", log.words());
}

async fn node_admin(node: &Node) {
    node.add_person("root@example.com", PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), "root@example.com", Role::Admin).await.unwrap();
}
