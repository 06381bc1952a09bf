//! Mail, with a mail server at the other end of the wire: what people and administrators are told, that it is told once, and
//! what becomes of it when the mail server does not answer.

use postern::flow::core::Caller;
use postern::flow::{alerts, audit, outbox, people};
use postern::storage::audit::AuditFilter;
use postern::types::mail::SmtpSecurity;
use postern::types::secret::Secret;

use crate::harness::{Browser, EMAIL, MailServer, Node, PASSWORD};

const NEW: &str = "nine purple umbrellas";

async fn with_mail(server: &MailServer) -> Node {
    let mail = server.policy(SmtpSecurity::None);
    Node::with(|policy| policy.mail = mail).await
}

async fn set_password(node: &Node) {
    let secret = Secret::new(NEW.to_owned());
    people::set_password(&node.core, &Caller::command_line(), EMAIL, secret).await.unwrap();
}

async fn given_up(node: &Node) -> usize {
    let all = audit::list(&node.core, AuditFilter::default()).await.unwrap();
    all.iter().filter(|event| event.kind.as_str() == "mail.given_up").count()
}

#[actix_web::test]
async fn a_person_is_told_of_a_changed_password() {
    let server = MailServer::start();
    let node = with_mail(&server).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.get("/account/security").await;
    let form = page.form("/account/security/password").set("old", PASSWORD).set("new", NEW);
    assert_eq!(browser.submit(&form).await.status, 200);
    assert_eq!(server.tries(), 0, "no request waits for a mail server");
    outbox::deliver(&node.core).await.unwrap();
    let arrived = server.arrived();
    assert_eq!(arrived.len(), 1, "{arrived:?}");
    assert_eq!(arrived[0].to, [EMAIL]);
    for part in ["Subject: Your password was changed", "127.0.0.1", "/account/security", "If it was not you"]
    {
        assert!(arrived[0].text.contains(part), "{part}: {}", arrived[0].text);
    }
    assert!(!arrived[0].text.contains(NEW) && !arrived[0].text.contains(PASSWORD));
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!(server.arrived().len(), 1);
}

#[actix_web::test]
async fn a_mail_that_is_refused_is_tried_again_and_sent_once() {
    let server = MailServer::start();
    let node = with_mail(&server).await;
    server.refuse(true);
    set_password(&node).await;
    outbox::deliver(&node.core).await.unwrap();
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!((server.tries(), server.arrived().len()), (1, 0), "it waits before it is tried again");
    node.advance(11).await;
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!(server.tries(), 2);
    server.refuse(false);
    node.advance(11).await;
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!(server.tries(), 2, "the wait has grown");
    node.advance(10).await;
    outbox::deliver(&node.core).await.unwrap();
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!(server.arrived().len(), 1);
    assert_eq!(given_up(&node).await, 0);
}

#[actix_web::test]
async fn a_mail_is_given_up_after_a_day_and_the_log_says_so() {
    let server = MailServer::start();
    let node = with_mail(&server).await;
    server.refuse(true);
    set_password(&node).await;
    for _ in 0..40 {
        outbox::deliver(&node.core).await.unwrap();
        node.advance(3_601).await;
    }
    assert_eq!(given_up(&node).await, 1);
    server.refuse(false);
    outbox::deliver(&node.core).await.unwrap();
    assert!(server.arrived().is_empty());
}

#[actix_web::test]
async fn two_nodes_send_a_mail_once() {
    let server = MailServer::start();
    let node = with_mail(&server).await;
    let other = node.second();
    for round in 1..=5 {
        set_password(&node).await;
        let (one, two) = tokio::join!(outbox::deliver(&node.core), outbox::deliver(&other.core));
        one.unwrap();
        two.unwrap();
        assert_eq!(server.arrived().len(), round);
    }
}

#[actix_web::test]
async fn without_starttls_nothing_is_sent() {
    let server = MailServer::start();
    let mail = server.policy(SmtpSecurity::StartTls);
    let node = Node::with(|policy| policy.mail = mail).await;
    set_password(&node).await;
    outbox::deliver(&node.core).await.unwrap();
    assert_eq!((server.tries(), server.arrived().len()), (0, 0));
}

#[actix_web::test]
async fn while_mail_is_off_nothing_is_written() {
    let node = Node::start().await;
    set_password(&node).await;
    outbox::deliver(&node.core).await.unwrap();
    let waiting = node.core.store.read(postern::storage::outbox::count).await.unwrap();
    assert_eq!(waiting, 0);
}

#[actix_web::test]
async fn a_storm_of_alerts_is_one_mail_a_window() {
    let server = MailServer::start();
    let node = with_mail(&server).await;
    let attack = async |email: &str| {
        node.add_person(email, PASSWORD).await;
        // Each in its own browser, with waits in between that let every try count.
        for _ in 0..12 {
            Browser::new(&node).sign_in(email, "a wrong password").await;
            node.clock.advance(std::time::Duration::from_secs(20));
        }
        alerts::watch(&node.core).await.unwrap();
        outbox::deliver(&node.core).await.unwrap();
    };
    attack("one@example.com").await;
    let about_accounts = || {
        let all = server.arrived();
        let of_kind = |text: &str| text.contains("Subject: Alert: Many failed sign-ins to one account");
        all.into_iter().filter(|mail| of_kind(&mail.text)).collect::<Vec<_>>()
    };
    assert_eq!(about_accounts().len(), 1, "{:?}", server.arrived());
    assert_eq!(about_accounts()[0].to, ["team@example.com"]);
    attack("two@example.com").await;
    attack("three@example.com").await;
    assert_eq!(about_accounts().len(), 1, "the rest waits");
    node.advance(901).await;
    outbox::deliver(&node.core).await.unwrap();
    outbox::deliver(&node.core).await.unwrap();
    let told = about_accounts();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].text.matches("last at").count(), 2, "{}", told[1].text);
}
