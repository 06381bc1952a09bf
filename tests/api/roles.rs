//! Roles: what no role allows cannot be granted, and what a change takes away is gone at once.

use postern::flow::core::Caller;
use postern::flow::people::OrderError;
use postern::flow::roles::{self, Change};
use postern::types::access_rule::{Holder, NamedRole, Who};
use postern::types::audit::AuditKind;

use crate::harness::{App, Browser, EMAIL, NOTES, Node, PASSWORD, claims_of};

const BACK: &str = "http://127.0.0.1:7777/callback";

async fn change(node: &Node, change: Change) -> Result<usize, OrderError> {
    let changed = roles::change(&node.core, &Caller::command_line(), NOTES, change).await?;
    Ok(changed.narrowed)
}

fn holder(role: &str, who: Who) -> Holder {
    Holder { role: role.to_owned(), who }
}

fn group(role: &str, name: &str) -> Change {
    Change::Give(holder(role, Who::Group(name.to_owned())))
}

async fn groups(node: &Node, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    roles::set_groups(&node.core, &Caller::command_line(), EMAIL, names).await.unwrap();
}

async fn both(node: &Node) -> (App, Browser) {
    (node.register(BACK).await, Browser::signed_in(node).await)
}

#[tokio::test]
async fn without_a_role_everyone_may_be_granted_everything() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    let page = browser.get(&app.ask().set("scope", "notes:read notes:write").path()).await;
    assert_eq!(page.form("/consent").values("scope"), ["notes:read", "notes:write"]);
}

#[tokio::test]
async fn what_no_role_allows_is_not_asked_and_not_granted() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    let ask = app.ask().set("scope", "notes:read notes:write");
    change(&node, group("reader", "staff")).await.unwrap();
    // In no group: nothing is left of the request.
    assert_eq!(browser.get(&ask.path()).await.callback()["error"], "invalid_scope");
    groups(&node, &["staff"]).await;
    let page = browser.get(&ask.path()).await;
    assert_eq!(page.form("/consent").values("scope"), ["notes:read"]);
    // Ticking what was not shown gives nothing more.
    let form = page.form("/consent").decide("allow").tick(&["notes:read", "notes:write"]);
    let code = browser.submit(&form).await.callback()["code"].clone();
    let answer = app.redeem(&node, &code).await;
    assert_eq!(answer.body["scope"], "notes:read");
    assert_eq!(claims_of(&answer.text_of("access_token"))["scope"], "notes:read");
    change(&node, group("injector", "writers")).await.unwrap();
    groups(&node, &["staff", "writers"]).await;
    let page = browser.get(&ask.path()).await;
    // What is new comes first.
    assert_eq!(page.form("/consent").values("scope"), ["notes:write", "notes:read"]);
}

#[tokio::test]
async fn a_role_that_goes_while_the_page_is_open_is_gone() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    change(&node, group("maintainer", "staff")).await.unwrap();
    groups(&node, &["staff"]).await;
    let page = browser.get(&app.ask().set("scope", "notes:read notes:write").path()).await;
    let form = page.form("/consent").decide("allow").tick(&["notes:read", "notes:write"]);
    groups(&node, &[]).await;
    let after = browser.submit(&form).await;
    assert!(after.location().is_none(), "{:?}", after.location());
    assert!((400..500).contains(&after.status), "{}", after.status);
    let filter = postern::storage::grants::GrantFilter::default();
    assert!(postern::flow::access::list(&node.core, filter).await.unwrap().is_empty());
}

#[tokio::test]
async fn leaving_a_group_takes_its_permissions_from_tokens_that_are_out() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    change(&node, group("reader", "staff")).await.unwrap();
    change(&node, group("injector", "writers")).await.unwrap();
    groups(&node, &["staff", "writers"]).await;
    let code = browser.approve(&app.ask().set("scope", "notes:read notes:write")).await;
    let tokens = app.redeem(&node, &code).await;
    let wide = tokens.text_of("access_token");
    assert!(node.is_active(&wide).await);
    groups(&node, &["staff"]).await;
    assert!(!node.is_active(&wide).await, "a token that says more than any role allows");
    let next = app.refresh(&node, &tokens.text_of("refresh_token")).await;
    assert_eq!((next.status, next.body["scope"].as_str()), (200, Some("notes:read")));
    let narrow = next.text_of("access_token");
    groups(&node, &[]).await;
    assert!(!node.is_active(&narrow).await);
    app.refresh(&node, &next.text_of("refresh_token")).await.is_error(400, "invalid_grant");
    assert_eq!(node.audited(AuditKind::GrantNarrowed).await, 1);
    assert_eq!(node.audited(AuditKind::GrantRevoked).await, 1);
    assert_eq!(node.audited(AuditKind::UserGroupsSet).await, 3);
}

#[tokio::test]
async fn a_code_that_is_under_way_does_not_outlive_its_role() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    let code = browser.approve(&app.ask().set("scope", "notes:read notes:write")).await;
    let narrowed = change(&node, Change::Give(holder("reader", Who::Everyone))).await.unwrap();
    assert_eq!(narrowed, 1);
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
}

#[tokio::test]
async fn the_first_role_closes_a_server_and_other_people_keep_what_they_have() {
    let node = Node::start().await;
    let eve = "eve@example.com";
    node.add_person(eve, PASSWORD).await;
    let app = node.register(BACK).await;
    let (ana, hers) = (Browser::signed_in(&node).await, Browser::new(&node));
    assert_eq!(hers.sign_in(eve, PASSWORD).await.status, 303);
    let first = app.tokens(&node, &ana).await.text_of("access_token");
    let second = app.tokens(&node, &hers).await.text_of("access_token");
    let id = postern::flow::people::find(&node.core, EMAIL).await.unwrap().id;
    change(&node, Change::Give(holder("maintainer", Who::Person(id)))).await.unwrap();
    assert!(node.is_active(&first).await);
    assert!(!node.is_active(&second).await);
    assert_eq!(hers.get(&app.ask().path()).await.callback()["error"], "invalid_scope");
    // Taking the last one back opens the server again.
    change(&node, Change::Take(holder("maintainer", Who::Person(id)))).await.unwrap();
    assert!(hers.get(&app.ask().path()).await.has_form("/consent"));
}

#[tokio::test]
async fn a_role_of_ones_own_allows_what_it_names() {
    let node = Node::start().await;
    let (app, browser) = both(&node).await;
    let role = |scopes: &[&str]| {
        Change::Define(NamedRole { name: "scribe".to_owned(), scopes: scopes.iter().copied().collect() })
    };
    assert!(matches!(change(&node, role(&["notes:burn"])).await, Err(OrderError::Bad(_))));
    assert!(matches!(change(&node, group("scribe", "staff")).await, Err(OrderError::NotFound(_))));
    change(&node, role(&["notes:write"])).await.unwrap();
    change(&node, Change::Give(holder("scribe", Who::Everyone))).await.unwrap();
    let ask = app.ask().set("scope", "notes:read notes:write");
    assert_eq!(browser.get(&ask.path()).await.form("/consent").values("scope"), ["notes:write"]);
    // Removing the only role that anyone has would open the server: it has to be said.
    assert!(matches!(change(&node, Change::Remove("scribe".to_owned())).await, Err(OrderError::Bad(_))));
    assert!(matches!(change(&node, Change::Remove("reader".to_owned())).await, Err(OrderError::NotFound(_))));
    change(&node, Change::Give(holder("reader", Who::Everyone))).await.unwrap();
    change(&node, Change::Remove("scribe".to_owned())).await.unwrap();
    assert_eq!(browser.get(&ask.path()).await.form("/consent").values("scope"), ["notes:read"]);
    assert_eq!(node.audited(AuditKind::ResourceRolesSet).await, 4);
}

#[tokio::test]
async fn a_client_for_itself_has_no_roles() {
    let node = Node::start().await;
    let app = node
        .add_client(serde_json::json!({
            "client_name": "Nightly", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_post", "scope": "notes:read",
        }))
        .await;
    change(&node, group("reader", "staff")).await.unwrap();
    let secret = app.registration["client_secret"].as_str().unwrap().to_owned();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.id.as_str()),
        ("client_secret", secret.as_str()),
        ("resource", NOTES),
        ("scope", "notes:read"),
    ];
    assert_eq!(node.token(&form).await.status, 200);
}

#[tokio::test]
async fn the_console_says_who_may_be_granted_what() {
    let node = Node::start().await;
    let role = postern::types::user::Role::Auditor;
    postern::flow::people::set_role(&node.core, &Caller::command_line(), EMAIL, role).await.unwrap();
    change(&node, group("reader", "staff")).await.unwrap();
    groups(&node, &["staff"]).await;
    let browser = Browser::signed_in(&node).await;
    let person = postern::flow::people::find(&node.core, EMAIL).await.unwrap();
    let words = browser.get(&format!("/admin/people/{}", person.id)).await.words();
    assert!(words.contains("notes:read") && words.contains("reader, as group staff"), "{words}");
    let server = postern::flow::resources::find(&node.core, NOTES).await.unwrap();
    let words = browser.get(&format!("/admin/servers/{}", server.id)).await.words();
    assert!(words.contains("group staff") && words.contains("maintainer"), "{words}");
}
