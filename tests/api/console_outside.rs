//! The console's pages about others: identity providers, and whom we tell what happens here.

use postern::flow::core::Caller;
use postern::flow::{endpoints, people, providers};
use postern::types::audit::AuditKind;
use postern::types::identity::{Linking, Rules};
use postern::types::signal::EndpointKind;
use postern::types::user::Role;

use crate::harness::{Browser, EMAIL, Host, Idp, Node, PASSWORD};

async fn admin(node: &Node) -> Browser {
    people::set_role(&node.core, &Caller::command_line(), EMAIL, Role::Admin).await.unwrap();
    Browser::signed_in(node).await
}

#[actix_web::test]
async fn an_administrator_manages_identity_providers() {
    let node = Node::with(|policy| policy.allow_private_networks = true).await;
    let idp = Idp::start(&node.clock);
    let root = admin(&node).await;
    let form = root.get("/admin/providers").await.form("/admin/providers");
    let filled = form
        .set("id", "corp")
        .set("name", "Example Corp")
        .set("issuer", &idp.issuer)
        .set("client_id", "postern")
        .set("client_secret", "a secret of theirs")
        .set("groups", "CN=dev,DC=corp=developers; ops=operators")
        .set("roles", "audit=auditor")
        .set("domains", "example.com, example.org")
        .set("link", "verified-email")
        .set("create", "never")
        .set("second_factor", "no")
        .set("private", "yes");
    for (name, value, why) in [
        ("id", "Not A Name", "short name"),
        ("roles", "audit=member", "neither admin nor auditor"),
        ("groups", "nonsense", "THERE=HERE"),
        ("issuer", "corp", "issuer"),
    ] {
        let page = root.submit(&filled.clone().set(name, value)).await;
        assert_eq!(page.status, 422, "{name}");
        assert!(page.words().contains("Not done") && page.words().contains(why), "{}", page.words());
    }
    assert!(providers::list(&node.core).await.unwrap().is_empty());
    let page = root.submit(&filled).await;
    let page = root.follow(page).await;
    let words = page.words();
    assert!(words.contains(&format!("{}/login/idp/corp/callback", node.issuer())), "{words}");
    assert!(words.contains("CN=dev,DC=corp = developers; ops = operators"), "{words}");
    assert!(!page.text.contains("a secret of theirs") && !node.database().holds("a secret of theirs"));
    let rules = providers::find(&node.core, "corp").await.unwrap().rules;
    assert_eq!((rules.linking, rules.creates_people), (Linking::VerifiedEmail, false));
    assert_eq!(rules.allowed_domains, ["example.com", "example.org"]);
    assert_eq!(rules.scopes, Rules::default().scopes);
    let act = async |what: &str, confirm: &str| {
        let form = root.get("/admin/providers/corp").await.form("/admin/providers/corp");
        let page = root.submit(&form.set("do", what).set("confirm", confirm)).await;
        if page.status == 303 { root.follow(page).await } else { page }
    };
    let tested = act("test", "").await;
    assert!(tested.words().contains("token_endpoint"), "{}", tested.words());
    act("disable", "").await;
    assert!(!Browser::new(&node).get("/login").await.has_form("/login/idp/corp"));
    act("enable", "").await;
    assert!(Browser::new(&node).get("/login").await.has_form("/login/idp/corp"));
    assert_eq!(act("remove", "not its name").await.status, 422);
    act("remove", "corp").await;
    assert!(providers::list(&node.core).await.unwrap().is_empty());
    assert_eq!(root.get("/admin/providers/corp").await.status, 404);
    assert_eq!(node.audited(AuditKind::ProviderRemoved).await, 1);
}

#[actix_web::test]
async fn an_administrator_manages_whom_we_tell() {
    let node = Node::with(|policy| policy.outgoing_private = true).await;
    let host = Host::start();
    let root = admin(&node).await;
    let form = |kind: &'static str| {
        let root = &root;
        async move {
            let page = root.get("/admin/outgoing").await;
            page.form("/admin/outgoing").set("kind", kind)
        }
    };
    let wrong = form("webhook").await.set("url", "ftp://x.example").set("events", "alert.*");
    assert_eq!(root.submit(&wrong).await.status, 422);
    let wrong = form("webhook").await.set("url", &host.url("/hook")).set("events", "no.such.event");
    assert_eq!(root.submit(&wrong).await.status, 422);
    let page = root
        .submit(&form("webhook").await.set("url", &host.url("/hook")).set("events", "alert.* access.cut"))
        .await;
    assert_eq!(page.status, 200, "{}", page.text);
    let secret = page.text.split("whsec_").nth(1).unwrap().split('<').next().unwrap().trim().to_owned();
    let made = endpoints::list(&node.core, EndpointKind::Webhook).await.unwrap().remove(0);
    assert_eq!(made.events, ["alert.*", "access.cut"]);
    let here = format!("/admin/outgoing/webhook/{}", made.id);
    let seen = root.get(&here).await;
    assert!(!seen.text.contains(&secret) && !node.database().holds(&secret), "it is shown once");
    let act = async |what: &str| {
        let page = root.submit(&root.get(&here).await.form(&here).set("do", what)).await;
        if page.status == 303 { root.follow(page).await } else { page }
    };
    let page = act("rotate").await;
    assert!(page.text.contains("whsec_") && !page.text.contains(&secret));
    assert!(act("test").await.words().contains("The test just now"));
    // A receiver with a secret of its own, and a stream.
    let receiver = form("receiver")
        .await
        .set("url", &host.url("/events"))
        .set("audience", "https://siem.example")
        .set("subject", "email")
        .set("alg", "ES256")
        .set("authorization", "Bearer of-the-receiver-1");
    let page = root.submit(&receiver).await;
    let page = root.follow(page).await;
    assert!(page.words().contains("https://siem.example"), "{}", page.words());
    assert!(!page.text.contains("of-the-receiver-1") && !node.database().holds("of-the-receiver-1"));
    let stream = form("stream").await.set("url", "syslog+udp://127.0.0.1:5140").set("from", "now");
    assert_eq!(root.submit(&stream).await.status, 303);
    let all = root.get("/admin/outgoing").await.words();
    for words in ["access.cut", "https://siem.example", "every record"] {
        assert!(all.contains(words), "{all}");
    }
    // Who is a member, or has not just signed in, changes nothing.
    node.add_person("bob@example.com", PASSWORD).await;
    let bob = Browser::new(&node);
    bob.sign_in("bob@example.com", PASSWORD).await;
    assert_eq!(bob.get(&here).await.status, 403);
    node.advance(601).await;
    let form = root.get(&here).await.form(&here).set("do", "remove");
    assert!(root.submit(&form).await.location().unwrap().contains("fresh=1"));
    let again = Browser::signed_in(&node).await;
    let page = again.submit(&again.get(&here).await.form(&here).set("do", "remove")).await;
    assert_eq!(page.location().as_deref(), Some("/admin/outgoing?done=changed"));
    assert!(endpoints::list(&node.core, EndpointKind::Webhook).await.unwrap().is_empty());
    assert_eq!(again.get(&here).await.status, 404);
    assert_eq!(again.get("/admin/outgoing/nothing/x").await.status, 404);
}
