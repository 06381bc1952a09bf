//! The console's pages about whom we tell what happens here.

use postern::flow::core::Caller;
use postern::flow::{endpoints, people};
use postern::types::signal::EndpointKind;
use postern::types::user::Role;

use crate::harness::{Browser, EMAIL, Host, Node, PASSWORD};

async fn admin(node: &Node) -> Browser {
    people::set_role(&node.core, &Caller::command_line(), EMAIL, Role::Admin).await.unwrap();
    Browser::signed_in(node).await
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
    // Nothing is served there: that is no success.
    let tested = act("test").await.words();
    assert!(tested.contains("The test just now") && tested.contains("404"), "{tested}");
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
