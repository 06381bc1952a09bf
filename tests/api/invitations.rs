//! Invitations: who may invite, what a link does, and what becomes of it.

use postern::flow::core::Caller;
use postern::flow::invitations::{self, NewInvitation};
use postern::flow::people::{self, NewUser, OrderError};
use postern::flow::{audit, outbox};
use postern::storage::audit::AuditFilter;
use postern::types::audit::AuditKind;
use postern::types::mail::SmtpSecurity;
use postern::types::policy::INVITATION_TTL;
use postern::types::secret::Secret;
use postern::types::user::Role;

use crate::harness::{Browser, EMAIL, MailServer, Node, PASSWORD, Page};

const GUEST: &str = "guest@example.com";
const NEW: &str = "nine purple umbrellas";

fn guest() -> NewInvitation {
    NewInvitation {
        email: GUEST.to_owned(),
        name: Some("Guest".to_owned()),
        role: Role::Auditor,
        groups: vec!["night".to_owned(), "night".to_owned()],
    }
}

/// The link's path and query, where no mail is sent.
async fn link(node: &Node) -> String {
    let made = invitations::invite(&node.core, &Caller::command_line(), guest()).await.unwrap();
    made.link.unwrap().strip_prefix(node.issuer()).unwrap().to_owned()
}

async fn accept(node: &Node, link: &str, password: &str) -> (Browser, Page) {
    let browser = Browser::new(node);
    let page = browser.get(link).await;
    if !page.has_form("/invitation") {
        return (browser, page);
    }
    let answer = browser.submit(&page.form("/invitation").set("password", password)).await;
    (browser, answer)
}

fn is_dead(page: &Page) -> bool {
    page.status == 403 && page.words().contains("does not work any more")
}

#[actix_web::test]
async fn an_invited_person_makes_their_account_once() {
    let node = Node::start().await;
    let link = link(&node).await;
    let token = link.split_once('=').unwrap().1;
    assert!(token.starts_with("pst_iv_") && !node.database().holds(token), "only a digest is kept");
    for _ in 0..3 {
        assert_eq!(Browser::new(&node).get(&link).await.status, 200, "looking does not use it up");
    }
    assert_eq!(accept(&node, &link, "short").await.1.status, 400);
    let ((one, first), (_, second)) =
        futures_util::future::join(accept(&node, &link, NEW), accept(&node, &link, "seven yellow teapots"))
            .await;
    let made = [&first, &second].iter().filter(|page| page.status == 303).count();
    assert_eq!(made, 1, "{} / {}", first.words(), second.words());
    if first.status == 303 {
        assert_eq!(one.get("/account").await.status, 200, "they are signed in");
    }
    let user = people::find(&node.core, GUEST).await.unwrap();
    assert_eq!((user.role, user.groups.as_slice()), (Role::Auditor, ["night".to_owned()].as_slice()));
    assert_eq!(user.name.as_deref(), Some("Guest"));
    assert!(is_dead(&accept(&node, &link, NEW).await.1));
    for kind in [AuditKind::InvitationMade, AuditKind::InvitationAccepted] {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        assert_eq!(audit::list(&node.core, filter).await.unwrap().len(), 1, "{kind:?}");
    }
}

#[actix_web::test]
async fn a_link_ends_with_its_time_with_another_and_when_it_is_taken_back() {
    let node = Node::start().await;
    let first = link(&node).await;
    let second = link(&node).await;
    assert!(is_dead(&accept(&node, &first, NEW).await.1), "the last one counts");
    let open = invitations::list(&node.core, None, 10).await.unwrap();
    let id = open.iter().find(|one| one.state(node.core.now()) == "open").unwrap().id.to_string();
    invitations::revoke(&node.core, &Caller::command_line(), &id).await.unwrap();
    let again = invitations::revoke(&node.core, &Caller::command_line(), &id).await;
    assert!(matches!(again, Err(OrderError::NotFound(_))));
    assert!(is_dead(&accept(&node, &second, NEW).await.1), "it was taken back");
    let third = link(&node).await;
    node.advance(INVITATION_TTL.as_secs()).await;
    assert!(is_dead(&accept(&node, &third, NEW).await.1), "its time is over");
    for odd in
        ["/invitation", "/invitation?token=", "/invitation?token=pst_iv_x", "/invitation?token=pst_su_x"]
    {
        assert!(is_dead(&Browser::new(&node).get(odd).await), "{odd}");
    }
    assert!(people::find(&node.core, GUEST).await.is_err());
}

#[actix_web::test]
async fn an_account_that_is_there_is_not_taken_over() {
    let node = Node::start().await;
    let caller = Caller::command_line();
    let known = NewInvitation { email: EMAIL.to_owned(), ..guest() };
    let refused = invitations::invite(&node.core, &caller, known).await;
    assert!(matches!(refused, Err(OrderError::Exists(_))));
    let link = link(&node).await;
    let person = NewUser {
        email: GUEST.to_owned(),
        name: None,
        role: Role::Member,
        groups: Vec::new(),
        password: Secret::new(PASSWORD.to_owned()),
    };
    people::add(&node.core, &caller, person).await.unwrap();
    let (browser, page) = accept(&node, &link, NEW).await;
    assert_eq!(page.status, 409);
    assert!(page.words().contains("You have an account already"), "{}", page.words());
    assert_eq!(browser.get("/account").await.status, 303, "nobody is signed in");
    assert_eq!(people::find(&node.core, GUEST).await.unwrap().role, Role::Member);
    assert_eq!(Browser::new(&node).sign_in(GUEST, PASSWORD).await.status, 303, "their password is theirs");
}

#[actix_web::test]
async fn bad_invitations_are_refused_and_mail_carries_the_good() {
    let mail = MailServer::start();
    let policy = mail.policy(SmtpSecurity::None);
    let node = Node::with(|all| all.mail = policy).await;
    let caller = Caller::command_line();
    for bad in [
        NewInvitation { email: "no address".to_owned(), ..guest() },
        NewInvitation { name: Some("two\nlines".to_owned()), ..guest() },
        NewInvitation { name: Some("x".repeat(201)), ..guest() },
        NewInvitation { groups: vec![" ".to_owned()], ..guest() },
    ] {
        let refused = invitations::invite(&node.core, &caller, bad.clone()).await;
        assert!(matches!(refused, Err(OrderError::Bad(_))), "{bad:?}");
    }
    let made = invitations::invite(&node.core, &caller, guest()).await.unwrap();
    assert!(made.link.is_none(), "the link is for whoever reads the mail, and nobody else");
    outbox::deliver(&node.core).await.unwrap();
    let arrived = mail.arrived();
    assert_eq!((arrived.len(), arrived[0].to.as_slice()), (1, [GUEST.to_owned()].as_slice()));
    assert!(arrived[0].text.contains("/invitation?token"), "{}", arrived[0].text);
}

#[actix_web::test]
async fn administrators_invite_in_the_console_and_nobody_else_does() {
    let node = Node::start().await;
    let caller = Caller::command_line();
    node.add_person("root@example.com", PASSWORD).await;
    people::set_role(&node.core, &caller, "root@example.com", Role::Admin).await.unwrap();
    let send = async |email: &str, fields: &[(&str, &str)]| {
        let browser = Browser::new(&node);
        browser.sign_in(email, PASSWORD).await;
        let csrf = browser.get("/account").await.form("/logout").values("csrf").remove(0).to_owned();
        let mut all = fields.to_vec();
        all.push(("csrf", &csrf));
        let answer = browser.send(browser.request("POST", "/admin/invitations").form(&all)).await;
        browser.follow(answer).await
    };
    let fields =
        [("do", "invite"), ("email", GUEST), ("name", ""), ("role", "member"), ("groups", "night, day")];
    assert_eq!(send(EMAIL, &fields).await.status, 403, "a member does not");
    people::set_role(&node.core, &caller, EMAIL, Role::Auditor).await.unwrap();
    assert_eq!(send(EMAIL, &fields).await.status, 403, "nor does an auditor");
    let page = send("root@example.com", &fields).await;
    assert!(page.words().contains("/invitation?token=pst_iv_"), "{}", page.words());
    let root = Browser::new(&node);
    root.sign_in("root@example.com", PASSWORD).await;
    let words = root.get("/admin/people").await.words();
    assert!(words.contains(GUEST) && words.contains("day, night") && !words.contains("pst_iv_"), "{words}");
    let id = invitations::list(&node.core, None, 1).await.unwrap()[0].id.to_string();
    let back = [("do", "revoke"), ("invitation", id.as_str())];
    assert_eq!(send(EMAIL, &back).await.status, 403);
    assert!(send("root@example.com", &back).await.words().contains("Taken back."));
    for bad in [&[("do", "invite"), ("email", GUEST), ("role", "king")][..], &[("do", "other")], &back] {
        assert!(send("root@example.com", bad).await.status >= 400, "{bad:?}");
    }
}

#[actix_web::test]
async fn an_invitation_ends_with_the_standing_of_whoever_made_it() {
    let node = Node::start().await;
    node.add_person("root@example.com", PASSWORD).await;
    let line = Caller::command_line();
    people::set_role(&node.core, &line, "root@example.com", Role::Admin).await.unwrap();
    let root = Caller { by: Some("root@example.com".to_owned()), ..Caller::command_line() };
    let made = invitations::invite(&node.core, &root, guest()).await.unwrap();
    let link = made.link.unwrap().strip_prefix(node.issuer()).unwrap().to_owned();
    assert_eq!(Browser::new(&node).get(&link).await.status, 200);
    people::set_role(&node.core, &line, "root@example.com", Role::Member).await.unwrap();
    assert!(is_dead(&accept(&node, &link, NEW).await.1), "they administer no more");
    people::set_role(&node.core, &line, "root@example.com", Role::Admin).await.unwrap();
    people::disable(&node.core, &line, "root@example.com").await.unwrap();
    assert!(is_dead(&accept(&node, &link, NEW).await.1), "they are switched off");
    assert!(people::find(&node.core, GUEST).await.is_err());
}

#[actix_web::test]
async fn a_form_that_is_not_ours_makes_no_account() {
    let node = Node::start().await;
    let link = link(&node).await;
    let token = link.split_once('=').unwrap().1;
    let browser = Browser::new(&node);
    let fields = [("token", token), ("name", ""), ("password", NEW), ("csrf", "x")];
    assert_eq!(browser.send(browser.request("POST", "/invitation").form(&fields)).await.status, 403);
    assert!(people::find(&node.core, GUEST).await.is_err());
}
