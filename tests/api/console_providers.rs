//! Identity providers as administrators see and change them, in the console and over the admin API.

use postern::flow::core::Caller;
use postern::flow::{people, providers};
use postern::types::audit::AuditKind;
use postern::types::identity::{Linking, Rules};
use postern::types::user::Role;
use serde_json::{Value, json};

use crate::harness::{Answer, Browser, EMAIL, Idp, Node, PASSWORD, Page, Refreshes};

const ROOT: &str = "root@example.com";
const SECRET: &str = "a secret with + and %";
const CORP: &str = "/admin/providers/corp";

async fn world() -> (Node, Idp, Browser) {
    let node = Node::with(|policy| policy.allow_private_networks = true).await;
    node.add_person(ROOT, PASSWORD).await;
    people::set_role(&node.core, &Caller::command_line(), ROOT, Role::Admin).await.unwrap();
    let admin = Browser::new(&node);
    admin.sign_in(ROOT, PASSWORD).await;
    let idp = Idp::start(&node.clock);
    (node, idp, admin)
}

async fn send(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> Page {
    let csrf = browser.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
    let mut all = fields.to_vec();
    all.push(("csrf", &csrf));
    let answer = browser.send(browser.request("POST", path).form(&all)).await;
    browser.follow(answer).await
}

const RULES: [(&str, &str); 8] = [
    ("do", "rules"),
    ("link", "yes"),
    ("create", "no"),
    ("domains", "example.com, example.org"),
    ("group_claim", "groups"),
    ("second_factor", "no"),
    ("scopes", "email profile"),
    ("more_group", "CN=dev,DC=corp=developers"),
];

#[tokio::test]
async fn a_provider_is_added_tested_ruled_and_removed() {
    let (node, idp, admin) = world().await;
    let fields = [
        ("id", "corp"),
        ("name", "The corp"),
        ("issuer", idp.issuer.as_str()),
        ("client_id", "postern-at-corp"),
        ("client_secret", SECRET),
    ];
    let page = send(&admin, "/admin/providers", &fields).await;
    assert!(page.words().contains("/login/idp/corp/callback"), "{}", page.words());
    assert!(!page.text.contains("a secret with") && !node.database().holds(SECRET), "never shown, sealed");
    assert_eq!(send(&admin, "/admin/providers", &fields).await.status, 422, "it is there already");
    let tested = send(&admin, CORP, &[("do", "test")]).await;
    assert!(tested.words().contains("it knows our client id and secret"), "{}", tested.words());
    idp.refreshes(Refreshes::Because("invalid_request"));
    let tested = send(&admin, CORP, &[("do", "test")]).await.words();
    assert!(tested.contains("refuses with invalid_request"), "the real error: {tested}");
    assert!(!tested.contains("does not take our client id"), "{tested}");
    idp.refreshes(Refreshes::Because("invalid_client"));
    let tested = send(&admin, CORP, &[("do", "test")]).await.words();
    assert!(tested.contains("does not take our client id and secret"), "{tested}");
    idp.refreshes(Refreshes::Gladly);

    let page = send(&admin, CORP, &RULES).await;
    assert!(page.words().contains("CN=dev,DC=corp is developers here"), "{}", page.words());
    let rules = providers::find(&node.core, "corp").await.unwrap().rules;
    let group = ("CN=dev,DC=corp".to_owned(), "developers".to_owned());
    assert_eq!((rules.groups, rules.linking), (vec![group], Linking::VerifiedEmail));
    assert_eq!(rules.allowed_domains, ["example.com", "example.org"]);
    assert_eq!(node.audited(AuditKind::ProviderChanged).await, 1);
    let mut role = RULES.to_vec();
    for bad in ["staff=king", "staff=member", "staff"] {
        role.push(("more_role", bad));
        assert_eq!(send(&admin, CORP, &role).await.status, 422, "{bad}");
        role.pop();
    }

    idp.says(&json!({ "groups": ["CN=dev,DC=corp"] }));
    let member = Browser::new(&node);
    let answer = member.sign_in_at(&idp, "corp").await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(people::find(&node.core, EMAIL).await.unwrap().groups, ["developers"]);
    let app = node.register("https://app.example.com/cb").await;
    let tokens = app.tokens(&node, &member).await;
    let access = tokens.text_of("access_token");
    assert!(node.is_active(&access).await);
    assert!(admin.get(CORP).await.words().contains("ana-there"));
    send(&admin, CORP, &[("do", "off")]).await;
    assert!(!node.is_active(&access).await, "at once, not at its end");
    assert!(!member.get("/login").await.text.contains("/login/idp/corp"));
    send(&admin, CORP, &[("do", "on")]).await;
    assert_eq!(Browser::new(&node).sign_in_at(&idp, "corp").await.status, 303);

    let page = send(&admin, CORP, &[("do", "remove"), ("name", "other")]).await;
    assert_eq!(page.status, 422);
    assert!(send(&admin, CORP, &[("do", "remove"), ("name", "corp")]).await.words().contains("Removed."));
    assert_eq!(admin.get(CORP).await.status, 404);
    assert_eq!(send(&admin, CORP, &[("do", "off")]).await.status, 422, "there is none");
}

#[tokio::test]
async fn links_are_made_and_taken_away() {
    let (node, idp, admin) = world().await;
    idp.join(&node, "corp", Rules::default()).await;
    send(&admin, CORP, &[("do", "link"), ("email", EMAIL), ("sub", "ana-there")]).await;
    let member = Browser::new(&node);
    assert_eq!(member.sign_in_at(&idp, "corp").await.status, 303);
    assert_eq!(member.get("/account").await.status, 200);
    send(&admin, CORP, &[("do", "unlink"), ("email", EMAIL)]).await;
    assert_eq!(member.get("/account").await.status, 303, "it came through the link");
    let again = send(&admin, CORP, &[("do", "unlink"), ("email", EMAIL)]).await;
    assert_eq!(again.status, 422);
}

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
    let path = format!("/admin/api/v1/identity-providers{path}");
    let mut request = node.request(method, &path).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn programs_do_the_same() {
    let (node, idp, _) = world().await;
    let token = program(&node, "admin:read admin:write").await;
    let new = json!({
        "id": "corp", "name": "The corp", "issuer": idp.issuer, "client_id": "postern-at-corp",
        "client_secret": SECRET,
        "rules": { "link": "verified_email", "roles": [{ "there": "it", "role": "auditor" }] },
    });
    let made = call(&node, &token, "POST", "", Some(new.clone())).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(!made.text.contains("a secret with"), "{}", made.text);
    assert_eq!(call(&node, &token, "POST", "", Some(new)).await.status, 409);
    let mut inside = made.body["rules"].clone();
    inside["private_network"] = json!(true);
    let refused = call(&node, &token, "PATCH", "/corp", Some(json!({ "rules": inside }))).await;
    assert_eq!(refused.status, 400, "that is said at the command line alone: {}", refused.text);
    let tested = call(&node, &token, "POST", "/corp/test", None).await;
    assert_eq!((tested.status, &tested.body["warnings"]), (200, &json!([])), "{}", tested.text);
    let link = json!({ "email": EMAIL, "sub": "ana-there" });
    assert_eq!(call(&node, &token, "POST", "/corp/links", Some(link)).await.status, 201);
    let links = call(&node, &token, "GET", "/corp/links", None).await;
    assert_eq!((&links.body["total"], &links.body["items"][0]["email"]), (&json!(1), &json!(EMAIL)));
    let gone = call(&node, &token, "DELETE", &format!("/corp/links?email={EMAIL}"), None).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    let off = call(&node, &token, "PATCH", "/corp", Some(json!({ "enabled": false }))).await;
    assert!(off.body["disabled_at"].is_string(), "{}", off.text);
    let all = call(&node, &token, "GET", "", None).await;
    assert_eq!(all.body[0]["rules"]["roles"][0]["role"], "auditor", "{}", all.text);
    let reader = program(&node, "admin:read").await;
    for (method, path) in [("PATCH", "/corp"), ("DELETE", "/corp"), ("POST", "/corp/test")] {
        let body = (method == "PATCH").then(|| json!({ "enabled": true }));
        assert_eq!(call(&node, &reader, method, path, body).await.status, 403, "{method} {path}");
    }
    assert_eq!(call(&node, &token, "DELETE", "/corp", None).await.status, 204);
    assert_eq!(call(&node, &token, "GET", "/corp", None).await.status, 404);
}
