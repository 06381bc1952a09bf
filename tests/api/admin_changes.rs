//! What administrators change in the console, and what is answered about who can do what; the same over the admin API.

use postern::flow::core::Caller;
use postern::flow::roles::{self, Change};
use postern::flow::{access, alerts, audit as log, people};
use postern::storage::audit::AuditFilter;
use postern::storage::grants::GrantFilter;
use postern::types::access_rule::{Holder, Who};
use postern::types::alert::{Action, Detector};
use postern::types::audit::AuditKind;
use postern::types::id::ResourceId;
use postern::types::resource::{ClientRule, Resource};
use postern::types::user::Role;
use serde_json::{Value, json};

use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD, Page};

const ROOT: &str = "root@example.com";

struct World {
    node: Node,
    app: App,
    admin: Browser,
    server: ResourceId,
    /// The member's access and refresh token.
    tokens: (String, String),
}

async fn world() -> World {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let member = Browser::signed_in(&node).await;
    let tokens = app.tokens(&node, &member).await;
    node.add_person(ROOT, PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), ROOT, Role::Admin).await.unwrap();
    let admin = Browser::new(&node);
    admin.sign_in(ROOT, PASSWORD).await;
    let server = node.core.live.view().resource(NOTES).unwrap().id;
    let tokens = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    World { node, app, admin, server, tokens }
}

impl World {
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.admin.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
        let mut all = fields.to_vec();
        all.push(("csrf", &csrf));
        let answer = self.admin.send(self.admin.request("POST", path).form(&all)).await;
        self.admin.follow(answer).await
    }

    async fn change(&self, fields: &[(&str, &str)]) -> Page {
        self.send(&format!("/admin/servers/{}", self.server), fields).await
    }

    fn resource(&self) -> Resource {
        self.node.core.live.view().resource(NOTES).unwrap().clone()
    }

    /// Who did the last thing of this kind.
    async fn done_by(&self, kind: AuditKind) -> Value {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        log::list(&self.node.core, filter).await.unwrap().pop().unwrap().detail["by"].clone()
    }
}

#[tokio::test]
async fn roles_are_defined_given_taken_and_removed() {
    let world = world().await;
    let page = world.change(&[("do", "define"), ("role", "writer"), ("scope", "notes:write")]).await;
    assert!(page.words().contains("Saved."), "{}", page.words());
    let page = world.change(&[("do", "give"), ("role", "writer"), ("who", "person"), ("name", ROOT)]).await;
    assert!(page.words().contains(&format!("writer: {ROOT}")), "{}", page.words());
    assert!(!world.node.is_active(&world.tokens.0).await, "the member has no role now");
    assert_eq!(world.done_by(AuditKind::ResourceRolesSet).await, ROOT);
    let holder = serde_json::to_string(&world.resource().access_rule.holders[0]).unwrap();
    world.change(&[("do", "take"), ("holder", &holder)]).await;
    assert!(world.resource().access_rule.is_open());
    world.change(&[("do", "remove"), ("role", "writer")]).await;
    assert_eq!(world.resource().access_rule.roles, []);
    for (bad, why) in [
        (vec![("do", "give"), ("role", "nonsense"), ("who", "everyone")], "there is no role"),
        (
            vec![("do", "give"), ("role", "reader"), ("who", "person"), ("name", "no@example.com")],
            "there is no",
        ),
        (vec![("do", "give"), ("role", "reader"), ("who", "group"), ("name", "")], "cannot be the name"),
        (vec![("do", "give"), ("role", "reader"), ("who", "")], "say who"),
        (vec![("do", "take"), ("holder", "{")], "say from whom"),
        (vec![("do", "define"), ("role", "x"), ("scope", "nonsense")], "no permission"),
    ] {
        let page = world.change(&bad).await;
        assert_eq!(page.status, 422, "{bad:?}: {}", page.text);
        assert!(page.words().contains(why), "{bad:?}: {}", page.words());
    }
    assert_eq!(world.change(&[("do", "nonsense")]).await.status, 404);
}

#[tokio::test]
async fn a_server_s_settings_change_and_apps_that_may_not_ask_any_more_are_out() {
    let world = world().await;
    let settings = |second: &'static str, clients: &'static str, listed: &'static str| -> [(&str, &str); 5] {
        [
            ("do", "settings"),
            ("name", "Their notes"),
            ("second_factor", second),
            ("clients", clients),
            ("more", listed),
        ]
    };
    world.change(&settings("required", "anyone", "")).await;
    assert!(world.resource().second_factor_required && world.resource().name == "Their notes");
    assert!(world.node.is_active(&world.tokens.0).await, "from the next approval on");
    let mut listed = settings("optional", "listed", " example.com ").to_vec();
    listed.push(("listed", world.app.id.as_str()));
    world.change(&listed).await;
    let ClientRule::Only { clients, domains } = world.resource().client_rule else { panic!("no list") };
    assert_eq!((clients, domains), (vec![world.app.id.clone()], vec!["example.com".to_owned()]));
    assert!(world.node.is_active(&world.tokens.0).await, "it is on the list");
    let page = world.change(&settings("optional", "listed", "")).await;
    assert!(page.status == 422 && page.words().contains("at least one"), "{}", page.words());
    world.change(&settings("optional", "added", "")).await;
    assert!(!world.node.is_active(&world.tokens.0).await);
    world.app.refresh(&world.node, &world.tokens.1).await.is_error(400, "invalid_grant");
    assert_eq!(world.done_by(AuditKind::ResourceChanged).await, ROOT);
    assert_eq!(world.done_by(AuditKind::GrantRevoked).await, ROOT);
}

#[tokio::test]
async fn groups_change_and_what_came_through_them_ends() {
    let world = world().await;
    let caller = Caller::command_line();
    roles::set_groups(&world.node.core, &caller, EMAIL, vec!["Writers".to_owned()]).await.unwrap();
    let holder = Holder { role: "injector".to_owned(), who: Who::Group("Writers".to_owned()) };
    roles::change(&world.node.core, &caller, NOTES, Change::Give(holder)).await.unwrap();
    assert!(world.node.is_active(&world.tokens.0).await);
    let id = people::find(&world.node.core, EMAIL).await.unwrap().id;
    let path = format!("/admin/people/{id}");
    let page = world.admin.get(&path).await.words();
    assert!(
        page.contains("Exactly what apps can do for them now") && page.contains("injector, as group Writers"),
        "{page}"
    );
    world.send(&path, &[("do", "groups"), ("group", "Readers"), ("more", " Others ")]).await;
    assert_eq!(people::find(&world.node.core, EMAIL).await.unwrap().groups, ["Others", "Readers"]);
    assert!(!world.node.is_active(&world.tokens.0).await);
    assert_eq!(world.done_by(AuditKind::UserGroupsSet).await, ROOT);
    let long = "x".repeat(101);
    let page = world.send(&path, &[("do", "groups"), ("more", &long)]).await;
    assert!(page.status == 422 && page.words().contains("cannot be the name of a group"), "{}", page.words());
}

#[tokio::test]
async fn an_approval_is_narrowed_where_it_is_seen() {
    let world = world().await;
    let grant = access::list(&world.node.core, GrantFilter::default()).await.unwrap().remove(0).grant;
    let path = format!("/admin/access/{}", grant.id);
    assert!(world.send(&path, &[("do", "narrow")]).await.words().contains("nothing would stay"));
    let all = [("do", "narrow"), ("scope", "notes:read"), ("scope", "notes:write")];
    assert!(world.send(&path, &all).await.words().contains("all of it stays"));
    assert!(world.node.is_active(&world.tokens.0).await);
    let page = world.send(&path, &[("do", "narrow"), ("scope", "notes:read")]).await;
    assert!(page.words().contains("with less than was approved"), "{}", page.words());
    assert!(!world.node.is_active(&world.tokens.0).await);
    let anew = world.app.refresh(&world.node, &world.tokens.1).await;
    assert_eq!(anew.body["scope"], "notes:read", "{}", anew.text);
    assert_eq!(world.done_by(AuditKind::GrantNarrowed).await, ROOT);
}

#[tokio::test]
async fn whoever_leaves_is_offboarded_from_their_page() {
    let world = world().await;
    let id = people::find(&world.node.core, EMAIL).await.unwrap().id;
    let path = format!("/admin/people/{id}");
    world.send(&path, &[("do", "second_factor"), ("second_factor", "required")]).await;
    assert!(people::find(&world.node.core, EMAIL).await.unwrap().second_factor_required);
    world.send(&path, &[("do", "second_factor"), ("second_factor", "optional")]).await;
    assert!(!people::find(&world.node.core, EMAIL).await.unwrap().second_factor_required);

    let page = world.send(&path, &[("do", "offboard"), ("reason", " ")]).await;
    assert!(page.words().contains("say why"), "{}", page.words());
    assert!(world.node.is_active(&world.tokens.0).await, "nothing was done without a reason");
    let page = world.send(&path, &[("do", "offboard"), ("reason", "left on Friday")]).await;
    assert!(
        page.words().contains("Offboarded:") && page.words().contains("left on Friday"),
        "{}",
        page.words()
    );
    assert!(page.words().contains("Last accepted anywhere"), "{}", page.words());
    assert!(!world.node.is_active(&world.tokens.0).await);
    world.app.refresh(&world.node, &world.tokens.1).await.is_error(400, "invalid_grant");
    assert_ne!(Browser::new(&world.node).sign_in(EMAIL, PASSWORD).await.status, 303);
    assert_eq!(world.done_by(AuditKind::UserOffboarded).await, ROOT);
    // Nobody is left who could undo what the last administrator does to themselves.
    let root = people::find(&world.node.core, ROOT).await.unwrap().id;
    let page = world.send(&format!("/admin/people/{root}"), &[("do", "offboard"), ("reason", "me")]).await;
    assert!(page.words().contains("this is the last administrator"), "{}", page.words());
}

#[tokio::test]
async fn a_detector_s_rule_is_tried_before_it_is_set() {
    let world = world().await;
    for _ in 0..3 {
        world.node.advance(20).await;
        Browser::new(&world.node).sign_in(EMAIL, "not the password at all").await;
    }
    let path = "/admin/alerts/failed-sign-ins";
    assert!(!world.admin.get(path).await.has_form(path), "nothing to set before it was tried");
    let asked = "?on=yes&threshold=3&window=5m&action=isolate&isolate_for=10m";
    let page = world.admin.get(&format!("{path}{asked}")).await;
    assert!(page.words().contains("would have raised 1 alerts in the last 30 days"), "{}", page.words());
    let rule = || async {
        let rules = alerts::rules(&world.node.core).await.unwrap();
        rules.into_iter().find(|rule| rule.detector == Detector::FailedSignIns).unwrap()
    };
    assert_eq!(rule().await.action, Action::Alert, "trying sets nothing");
    let answer = world.admin.submit(&page.form(path)).await;
    assert!(world.admin.follow(answer).await.words().contains("Saved."));
    assert_eq!((rule().await.threshold, rule().await.action.as_str()), (3, "isolate"));
    assert_eq!(world.done_by(AuditKind::DetectorSet).await, ROOT);
    for bad in [
        "?on=yes&threshold=0&window=5m&action=alert",
        "?on=yes&threshold=x&window=5m&action=alert",
        "?on=yes&threshold=3&window=2d&action=alert",
        "?on=yes&threshold=3&window=5m&action=isolate&isolate_for=",
        "?on=yes&threshold=3&window=5m&action=explode",
    ] {
        assert_eq!(world.admin.get(&format!("{path}{bad}")).await.status, 422, "{bad}");
    }
    assert_eq!(world.admin.get("/admin/alerts/nonsense").await.status, 404);
}

#[tokio::test]
async fn who_can_do_one_thing_and_through_what() {
    let world = world().await;
    let path = |scope: &str| format!("/admin/servers/{}/who?permission={scope}", world.server);
    let page = world.admin.get(&path("notes%3Aread")).await.words();
    assert!(page.contains(EMAIL) && page.contains(ROOT) && page.contains("open to everyone"), "{page}");
    assert_eq!(world.admin.get(&path("notes%25")).await.status, 404);
    let caller = Caller::command_line();
    let id = people::find(&world.node.core, EMAIL).await.unwrap().id;
    let holder = Holder { role: "reader".to_owned(), who: Who::Person(id) };
    roles::change(&world.node.core, &caller, NOTES, Change::Give(holder)).await.unwrap();
    let page = world.admin.get(&path("notes%3Aread")).await.words();
    assert!(page.contains("reader, as this person"), "{page}");
    let page = world.admin.get(&path("notes%3Awrite")).await.words();
    assert!(page.contains("Nobody on this page.") && page.contains("None stands."), "{page}");
}

/// A program with a token for the admin API.
async fn program(node: &Node, scope: &str) -> String {
    postern::flow::admin_api::ensure(&node.core).await.unwrap();
    let app = node.add_client(json!({ "client_name": "Tool", "grant_types": ["client_credentials"] })).await;
    let uri = format!("{}/admin/api/v1", node.issuer());
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.id.as_str()),
        ("client_secret", app.secret.as_deref().unwrap()),
        ("resource", uri.as_str()),
        ("scope", scope),
    ];
    node.token(&form).await.text_of("access_token")
}

async fn call(node: &Node, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let mut request = node.request(method, &format!("/admin/api/v1{path}")).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn programs_ask_and_change_the_same() {
    let world = world().await;
    let node = &world.node;
    let token = program(node, "admin:read admin:write").await;
    let server = format!("/servers/{}", world.server);
    let who = call(node, &token, "GET", &format!("{server}/who?permission=notes:read"), None).await;
    let emails: Vec<&str> =
        who.body["items"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap()).collect();
    assert_eq!(emails, [EMAIL, ROOT], "{}", who.text);
    assert_eq!(who.body["items"][0]["grants"].as_array().unwrap().len(), 1);
    let first = call(node, &token, "GET", &format!("{server}/who?permission=notes:read&limit=1"), None).await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let next = format!("{server}/who?permission=notes:read&limit=1&cursor={cursor}");
    let second = call(node, &token, "GET", &next, None).await;
    assert_eq!(second.body["items"][0]["email"], ROOT);
    let held = call(node, &token, "GET", &format!("{server}/approvals?permission=notes:read"), None).await;
    assert_eq!(held.body["items"].as_array().unwrap().len(), 1, "{}", held.text);
    let bad = call(node, &token, "GET", &format!("{server}/who?permission=nonsense"), None).await;
    assert_eq!(bad.status, 422);

    let change = json!({ "second_factor_required": true, "client_rule": "pre_registered" });
    let done = call(node, &token, "PATCH", &server, Some(change)).await;
    assert_eq!((done.status, &done.body["ended"]), (200, &json!(1)), "{}", done.text);
    assert!(!node.is_active(&world.tokens.0).await);
    let list = json!({ "client_rule": { "only": { "domains": ["Example.com"] } } });
    assert_eq!(call(node, &token, "PATCH", &server, Some(list)).await.status, 422);
    let own = node.core.live.view().resource(&format!("{}/admin/api/v1", node.issuer())).unwrap().id;
    let open = json!({ "client_rule": "anyone" });
    let refused = call(node, &token, "PATCH", &format!("/servers/{own}"), Some(open)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);

    let reader = program(node, "admin:read").await;
    let denied = call(node, &reader, "PATCH", &server, Some(json!({ "name": "x" }))).await;
    assert_eq!(denied.status, 403);
}
