//! `/admin`: who gets in, who may act, and what a hostile name does to a page.

use postern::flow::core::Caller;
use postern::flow::people;
use postern::storage::grants::GrantFilter;
use postern::types::audit::AuditKind;
use postern::types::user::Role;
use serde_json::json;

use crate::harness::{Browser, EMAIL, Node, PASSWORD, Page};

const PAGES: [&str; 17] = [
    "/admin/providers",
    "/admin/outgoing",
    "/admin/search",
    "/admin/search?q=ana",
    "/admin/search?q=01900000-0000-7000-8000-000000000000",
    "/admin/alerts",
    "/admin/cut",
    "/admin/cut?q=ana%40example.com",
    "/admin",
    "/admin/access",
    "/admin/people",
    "/admin/apps",
    "/admin/servers",
    "/admin/sessions",
    "/admin/keys",
    "/admin/audit",
    "/admin/audit?q=login.failed",
];

const RULE: &str = "/admin/alerts/two-networks?on=yes&threshold=3&window=1h&action=alert&isolate_for=";

/// A node with a member who has let an app in, an auditor and an administrator, each signed in.
struct World {
    node: Node,
    member: Browser,
    auditor: Browser,
    admin: Browser,
    grant: String,
    person: String,
    app: String,
}

async fn world() -> World {
    let node = Node::start().await;
    let app = node.register("https://app.example.com/cb").await;
    let member = Browser::new(&node);
    app.tokens(&node, &member).await;
    for (email, role) in [("audit@example.com", Role::Auditor), ("root@example.com", Role::Admin)] {
        node.add_person(email, PASSWORD).await;
        people::set_role(&node.core, &Caller::command_line(), email, role).await.unwrap();
    }
    let (auditor, admin) = (Browser::new(&node), Browser::new(&node));
    auditor.sign_in("audit@example.com", PASSWORD).await;
    admin.sign_in("root@example.com", PASSWORD).await;
    let filter = GrantFilter::default();
    let grants = postern::flow::access::list(&node.core, filter).await.unwrap();
    let grant = &grants[0].grant;
    let (grant, person, app) =
        (grant.id.to_string(), grant.user_id.unwrap().to_string(), grant.client_id.to_string());
    World { node, member, auditor, admin, grant, person, app }
}

impl World {
    /// Every page there is, also those of one thing.
    fn pages(&self) -> Vec<String> {
        let server = self.node.core.live.view().resources.values().next().unwrap().id;
        let mut all: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
        all.push(format!("/admin/access/{}", self.grant));
        all.push(format!("/admin/people/{}", self.person));
        all.push(format!("/admin/app?id={}", self.app));
        all.push(format!("/admin/servers/{server}"));
        all.push(format!("/admin/servers/{server}/who?permission=notes%3Aread"));
        all.push("/admin/alerts/two-networks".to_owned());
        all.push(
            "/admin/alerts/two-networks?on=yes&threshold=3&window=1h&action=alert&isolate_for=".to_owned(),
        );
        all
    }

    /// Every form there is, with what it sends.
    fn forms(&self) -> Vec<(String, String, Vec<(&'static str, String)>)> {
        let act = |page: &str, to: &str, what: &str| {
            (page.to_owned(), to.to_owned(), vec![("do", what.to_owned()), ("role", "admin".to_owned())])
        };
        let (access, person) =
            (format!("/admin/access/{}", self.grant), format!("/admin/people/{}", self.person));
        let app = format!("/admin/app?id={}", self.app);
        let server = self.node.core.live.view().resources.values().next().unwrap().id;
        let server = format!("/admin/servers/{server}");
        let with = |page: &str, what: &str, more: &[(&'static str, &str)]| {
            let to = page.split('?').next().unwrap().to_owned();
            let mut fields = vec![("do", what.to_owned())];
            fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
            (page.to_owned(), to, fields)
        };
        let mut off = act(&app, "/admin/app", "disable");
        off.2.push(("id", self.app.clone()));
        vec![
            with(&access, "narrow", &[("scope", "notes:read")]),
            act(&access, &access, "revoke"),
            act(&person, &person, "revoke"),
            act(&person, &person, "disable"),
            act(&person, &person, "enable"),
            act(&person, &person, "role"),
            act(&person, &person, "erase"),
            with(&person, "second_factor", &[("second_factor", "required")]),
            with(&person, "offboard", &[("reason", "left")]),
            off,
            (
                format!("/admin/cut?kind=person&value={}", self.person),
                "/admin/cut".to_owned(),
                vec![
                    ("kind", "person".to_owned()),
                    ("value", self.person.clone()),
                    ("how", "revoke".to_owned()),
                    ("reason", "a test".to_owned()),
                ],
            ),
            act("/admin/keys", "/admin/keys", "rotate"),
            act(&person, &person, "groups"),
            act("/admin/people", "/admin/invitations", "invite"),
            act("/admin/providers", "/admin/providers", "add"),
            with("/admin/providers/corp", "off", &[]),
            with("/admin/providers/corp", "remove", &[("name", "corp")]),
            with("/admin/providers/corp", "rules", &[("link", "yes")]),
            with("/admin/providers/corp", "link", &[("email", EMAIL), ("sub", "x")]),
            with("/admin/providers/corp", "test", &[]),
            with(
                &server,
                "settings",
                &[("name", "Theirs"), ("second_factor", "optional"), ("clients", "anyone")],
            ),
            with(&server, "set_cedar", &[("policies", "permit(principal, action, resource);")]),
            with(&server, "remove_cedar", &[]),
            with(&server, "show_key", &[("kind", "bearer"), ("key", "a-key-of-the-server")]),
            with(&server, "forget_key", &[]),
            with(&server, "approve_tools", &[("tool", "add")]),
            with(&server, "block_tools", &[("tool", "add")]),
            with(
                &server,
                "add_rule",
                &[("about", "tool add"), ("when1", ""), ("effect", "deny"), ("reason", "never")],
            ),
            with(&server, "remove_rule", &[("rule", "x")]),
            with(&server, "define", &[("role", "all"), ("scope", "notes:read")]),
            with(&server, "remove", &[("role", "all")]),
            with(&server, "give", &[("role", "reader"), ("who", "everyone")]),
            with(&server, "take", &[("holder", "{}")]),
            with(
                "/admin/providers",
                "",
                &[("id", "corp"), ("name", "Corp"), ("issuer", "https://corp.example")],
            ),
            with("/admin/providers/corp", "disable", &[]),
            with(
                "/admin/outgoing",
                "",
                &[("kind", "webhook"), ("url", "https://x.example"), ("events", "*")],
            ),
            with("/admin/outgoing/webhook/x", "remove", &[]),
            with(RULE, "", &[("on", "no"), ("threshold", "3"), ("window", "1h"), ("action", "alert")]),
        ]
    }
}

/// Sends a form with a csrf field that this browser really has.
async fn send(browser: &Browser, to: &str, fields: &[(&'static str, String)], csrf: &str) -> Page {
    let mut all: Vec<(&str, String)> = fields.to_vec();
    all.push(("csrf", csrf.to_owned()));
    browser.send(browser.request("POST", to).form(&all)).await
}

/// The anti-forgery value of the sign-out form, which every page of a signed-in person has.
async fn csrf(browser: &Browser) -> String {
    browser.get("/account").await.form("/logout").values("csrf").remove(0).to_owned()
}

#[tokio::test]
async fn members_and_strangers_see_nothing() {
    let world = world().await;
    let nobody = Browser::new(&world.node);
    for path in world.pages() {
        let asked = nobody.get(&path).await;
        let to = asked.location().unwrap_or_default();
        assert!(asked.status == 303 && to.starts_with("/login?continue="), "{path}: {} {to}", asked.status);
        assert_eq!(world.member.get(&path).await.status, 403, "{path}");
        for browser in [&world.auditor, &world.admin] {
            let page = browser.get(&path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.text);
        }
    }
    let back = nobody.get("/admin/audit?q=login.failed").await;
    let form = nobody.follow(back).await.login_form("audit@example.com", PASSWORD);
    let answer = nobody.submit(&form).await;
    assert_eq!(
        answer.location().as_deref(),
        Some("/admin/audit?q=login.failed"),
        "back to where one wanted to go"
    );
}

#[tokio::test]
async fn only_administrators_act() {
    let world = world().await;
    for (page, to, fields) in world.forms() {
        let seen = world.auditor.get(&page).await;
        assert!(!seen.has_form(&to), "an auditor is shown the form of {to}");
        for browser in [&world.member, &world.auditor] {
            let token = csrf(browser).await;
            assert_eq!(send(browser, &to, &fields, &token).await.status, 403, "{to}");
        }
        let nobody = Browser::new(&world.node);
        let answer = send(&nobody, &to, &fields, "x").await;
        assert!(answer.status == 303 && answer.location().unwrap().starts_with("/login"), "{to}");
        // An administrator's browser that a strange page makes send a form.
        assert_eq!(send(&world.admin, &to, &fields, "forged").await.status, 403, "{to}");
    }
    assert_eq!(world.node.audited(AuditKind::GrantRevoked).await, 0);
    assert_eq!(world.node.audited(AuditKind::UserDisabled).await, 0);
    assert_eq!(world.node.audited(AuditKind::ClientDisabled).await, 0);
}

#[tokio::test]
async fn what_destroys_wants_a_fresh_sign_in() {
    let world = world().await;
    world.node.advance(601).await;
    let token = csrf(&world.admin).await;
    for (_, to, fields) in world.forms() {
        let answer = send(&world.admin, &to, &fields, &token).await;
        let location = answer.location().unwrap_or_default();
        assert!(answer.status == 303 && location.ends_with("&fresh=1"), "{to}: {location}");
    }
    assert_eq!(world.node.audited(AuditKind::GrantRevoked).await, 0);
}

#[tokio::test]
async fn an_approval_ends_where_it_is_seen() {
    let world = world().await;
    let path = format!("/admin/access/{}", world.grant);
    let page = world.admin.get(&path).await;
    assert!(page.text.contains(EMAIL) && page.text.contains("notes:read"), "{}", page.text);
    let answer = world.admin.submit(&page.form(&path)).await;
    let after = world.admin.follow(answer).await;
    assert!(after.words().contains("Ended. Every token under it is dead."), "{}", after.words());
    assert!(!after.has_form(&path), "what has ended cannot be ended again");
    assert_eq!(world.node.audited(AuditKind::GrantRevoked).await, 1);
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let world = world().await;
    let root = people::find(&world.node.core, "root@example.com").await.unwrap();
    let path = format!("/admin/people/{}", root.id);
    for (what, role) in [("disable", ""), ("role", "member")] {
        let token = csrf(&world.admin).await;
        let fields = [("do", what.to_owned()), ("role", role.to_owned())];
        let answer = send(&world.admin, &path, &fields, &token).await;
        assert_eq!(answer.location().unwrap(), format!("{path}?refused=last"));
    }
    let root = people::find(&world.node.core, "root@example.com").await.unwrap();
    assert!(root.role == Role::Admin && root.disabled_at.is_none());
}

#[tokio::test]
async fn a_hostile_name_is_text() {
    let world = world().await;
    let name = "<script>alert(1)</script>\"'><img src=x>";
    let answer = world
        .node
        .post_json("/register", &json!({ "client_name": name, "redirect_uris": ["https://evil.example/cb"] }))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    for path in ["/admin/apps", "/admin/audit"] {
        let page = world.admin.get(path).await;
        assert!(!page.text.contains("<script>") && !page.text.contains("<img src=x"), "{path}");
    }
}

#[tokio::test]
async fn lists_go_on_from_page_to_page() {
    let node = Node::start().await;
    for number in 0..60 {
        let name = format!("App {number}");
        let body = json!({ "client_name": name, "redirect_uris": ["https://app.example.com/cb"] });
        assert_eq!(node.post_json("/register", &body).await.status, 201);
    }
    people::set_role(&node.core, &Caller::command_line(), EMAIL, Role::Auditor).await.unwrap();
    let browser = Browser::signed_in(&node).await;
    let first = browser.get("/admin/apps").await;
    let next = first.text.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = browser.get(&next).await;
    let count = |page: &Page| page.text.matches("<tr>").count() - 1;
    assert_eq!((count(&first), count(&second)), (50, 10));
    let found = browser.get("/admin/apps?q=App%2059").await;
    assert_eq!(count(&found), 1);
    assert_eq!(browser.get("/admin/people?q=ANA").await.text.matches("<tr>").count(), 2);
}

#[tokio::test]
async fn access_is_cut_after_a_preview_and_a_reason_and_comes_back() {
    let world = world().await;
    let page = world.admin.get(&format!("/admin/cut?q={}", EMAIL.replace('@', "%40"))).await;
    assert!(page.words().contains("Approvals1") && page.words().contains(EMAIL), "{}", page.words());
    let form = page.form("/admin/cut").set("how", "suspend");
    let silent = world.admin.submit(&form.clone().set("reason", "  ")).await;
    assert!(silent.location().unwrap().contains("refused=reason"));
    assert_eq!(world.node.audited(AuditKind::AccessCut).await, 0);

    let made = world.admin.submit(&form.set("reason", "laptop stolen")).await;
    let cut = world.admin.follow(made).await;
    assert!(cut.words().contains("in force") && cut.words().contains("laptop stolen"), "{}", cut.words());
    assert_eq!(world.member.get("/account").await.status, 303, "signed out while it lasts");
    let to = cut.url.path().to_owned();
    assert!(!world.auditor.get(&to).await.has_form(&to));
    let undone = world.admin.submit(&cut.form(&to)).await;
    assert!(world.admin.follow(undone).await.words().contains("Undone."));
    assert_eq!(world.member.get("/account").await.status, 200, "as before");
    assert_eq!(world.admin.get("/admin/cut?q=nobody%40example.com").await.status, 200);
    assert_eq!(world.admin.get("/admin/cut/x").await.status, 404);
}
