//! A forgotten password: what is mailed to whom, what a link does, and what whoever has none, or an old one, gets to see.

use postern::flow::core::Caller;
use postern::flow::{audit, outbox, people};
use postern::storage::audit::AuditFilter;
use postern::types::audit::AuditKind;
use postern::types::mail::SmtpSecurity;
use postern::types::policy::{MAILS_PER_ACCOUNT, MAILS_PER_NETWORK, RESET_TTL};
use postern::types::secret::Secret;

use crate::harness::{Browser, EMAIL, MailServer, Node, PASSWORD, Page};
use crate::second_factor::{Phone, half, must};

const NEW: &str = "nine purple umbrellas";

struct World {
    node: Node,
    mail: MailServer,
}

async fn world() -> World {
    let mail = MailServer::start();
    let policy = mail.policy(SmtpSecurity::None);
    World { node: Node::with(|all| all.mail = policy).await, mail }
}

impl World {
    async fn ask(&self, email: &str) -> Page {
        let browser = Browser::new(&self.node);
        let form = browser.get("/reset").await.form("/reset").set("email", email);
        browser.submit(&form).await
    }

    /// The path and query of the link that was mailed last.
    async fn link(&self) -> String {
        // Asking leaves work for the job, and that leaves a mail.
        outbox::deliver(&self.node.core).await.unwrap();
        outbox::deliver(&self.node.core).await.unwrap();
        let arrived = self.mail.arrived();
        let text = arrived.last().unwrap().text.replace("=\r\n", "").replace("=3D", "=");
        let line =
            text.lines().find(|line| line.contains("/reset?token=")).unwrap_or_else(|| panic!("{text}"));
        line[line.find("/reset?").unwrap()..].trim().to_owned()
    }

    async fn follow(&self, link: &str, password: &str) -> Page {
        let browser = Browser::new(&self.node);
        let page = browser.get(link).await;
        if !page.has_form("/reset") {
            return page;
        }
        browser.submit(&page.form("/reset").set("password", password)).await
    }

    async fn signs_in(&self, password: &str) -> bool {
        Browser::new(&self.node).sign_in(EMAIL, password).await.status == 303
    }

    async fn count(&self, kind: AuditKind) -> usize {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        audit::list(&self.node.core, filter).await.unwrap().len()
    }
}

fn is_dead(page: &Page) -> bool {
    page.status == 403 && page.words().contains("does not work any more")
}

#[actix_web::test]
async fn a_link_sets_a_new_password_once_and_signs_nobody_in() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    assert!(Browser::new(&world.node).get("/login").await.text.contains("/reset"));
    let page = world.ask(EMAIL).await;
    assert!(page.status == 200 && page.words().contains("Look into your mail"), "{}", page.words());
    assert_eq!(world.mail.tries(), 0, "no request waits for a mail server");
    let link = world.link().await;
    assert_eq!(world.mail.arrived()[0].to, [EMAIL]);
    let token = link.split_once('=').unwrap().1;
    assert!(token.starts_with("pst_ml_") && !world.node.database().holds(token), "only a digest is kept");
    // Whatever scans mail follows links.
    for _ in 0..3 {
        assert_eq!(Browser::new(&world.node).get(&link).await.status, 200);
    }
    let short = world.follow(&link, "short").await;
    assert_eq!(short.status, 400);
    assert!(world.signs_in(PASSWORD).await, "nothing has changed yet");
    let done = world.follow(&link, NEW).await;
    assert!(done.status == 200 && done.words().contains("Your new password is set"), "{}", done.words());
    assert_eq!(browser.get("/account").await.status, 303, "every browser is signed out");
    assert!(!world.signs_in(PASSWORD).await);
    assert!(world.signs_in(NEW).await);
    assert!(is_dead(&world.follow(&link, PASSWORD).await), "it works once");
    assert_eq!(world.count(AuditKind::PasswordResetAsked).await, 1);
    assert_eq!(world.count(AuditKind::PasswordReset).await, 1);
    outbox::deliver(&world.node.core).await.unwrap();
    let last = world.mail.arrived().pop().unwrap().text;
    assert!(last.contains("Your password was changed") && !last.contains("pst_ml_"), "{last}");
}

#[actix_web::test]
async fn of_two_at_once_one_wins() {
    let world = world().await;
    world.ask(EMAIL).await;
    let link = world.link().await;
    let (one, two) =
        futures_util::future::join(world.follow(&link, NEW), world.follow(&link, "seven yellow teapots"))
            .await;
    let done = |page: &Page| page.words().contains("Your new password is set");
    assert!(done(&one) != done(&two), "{} / {}", one.words(), two.words());
    assert_eq!(world.signs_in(NEW).await, done(&one));
}

#[actix_web::test]
async fn an_unknown_address_looks_the_same_and_gets_nothing() {
    let world = world().await;
    world.node.add_person("off@example.com", PASSWORD).await;
    people::disable(&world.node.core, &Caller::command_line(), "off@example.com").await.unwrap();
    let known = world.ask(EMAIL).await;
    for nobody in ["nobody@example.com", "off@example.com"] {
        let page = world.ask(nobody).await;
        assert_eq!((page.status, page.words()), (known.status, known.words()), "{nobody}");
    }
    outbox::deliver(&world.node.core).await.unwrap();
    outbox::deliver(&world.node.core).await.unwrap();
    let to: Vec<_> = world.mail.arrived().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, [EMAIL]);
    assert_eq!(world.ask("no address").await.status, 400);
}

#[actix_web::test]
async fn a_link_ends_with_its_time_with_another_and_with_the_password_it_was_for() {
    let world = world().await;
    world.ask(EMAIL).await;
    let first = world.link().await;
    world.ask(EMAIL).await;
    let second = world.link().await;
    assert!(is_dead(&world.follow(&first, NEW).await), "the last one counts");
    let caller = Caller::command_line();
    let set = async |password: &str| {
        let secret = Secret::new(password.to_owned());
        people::set_password(&world.node.core, &caller, EMAIL, secret).await.unwrap();
    };
    set("seven yellow teapots").await;
    assert!(is_dead(&world.follow(&second, NEW).await), "the password has changed since");
    world.ask(EMAIL).await;
    let third = world.link().await;
    people::disable(&world.node.core, &caller, EMAIL).await.unwrap();
    assert!(is_dead(&world.follow(&third, NEW).await), "whoever is switched off stays so");
    people::enable(&world.node.core, &caller, EMAIL).await.unwrap();
    world.node.advance(RESET_TTL.as_secs()).await;
    assert!(is_dead(&world.follow(&third, NEW).await), "its time is over");
    for odd in ["/reset?token=", "/reset?token=pst_ml_nonsense", "/reset?token=pst_su_x"] {
        let page = Browser::new(&world.node).get(odd).await;
        assert!(!page.text.contains("name=\"password\""), "{odd}");
    }
    assert!(world.signs_in("seven yellow teapots").await);
}

#[actix_web::test]
async fn nobody_is_flooded_with_mail() {
    let world = world().await;
    for _ in 0..MAILS_PER_ACCOUNT {
        assert_eq!(world.ask(EMAIL).await.status, 200);
    }
    let page = world.ask(EMAIL).await;
    assert_eq!(page.status, 429);
    assert!(page.header("retry-after").parse::<u64>().unwrap() > 0);
    // One network, many addresses.
    let mut asked = MAILS_PER_ACCOUNT + 1;
    let refused = loop {
        let page = world.ask(&format!("somebody-{asked}@example.com")).await;
        if page.status == 429 {
            break asked;
        }
        asked += 1;
    };
    assert!(refused <= MAILS_PER_NETWORK + 1, "{refused}");
    world.node.advance(3_601).await;
    assert_eq!(world.ask(EMAIL).await.status, 200);
}

#[actix_web::test]
async fn a_form_that_is_not_ours_does_nothing() {
    let world = world().await;
    let browser = Browser::new(&world.node);
    let forged =
        browser.send(browser.request("POST", "/reset").form(&[("email", EMAIL), ("csrf", "x")])).await;
    assert_eq!(forged.status, 403);
    outbox::deliver(&world.node.core).await.unwrap();
    assert_eq!(world.mail.arrived().len(), 0);
    world.ask(EMAIL).await;
    let link = world.link().await;
    let token = link.split_once('=').unwrap().1;
    let fields = [("token", token), ("password", NEW), ("csrf", "x")];
    assert_eq!(browser.send(browser.request("POST", "/reset").form(&fields)).await.status, 403);
    assert!(world.signs_in(PASSWORD).await);
}

#[actix_web::test]
async fn without_mail_there_is_no_such_page() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    assert!(!browser.get("/login").await.text.contains("/reset"));
    assert_eq!(browser.get("/reset").await.status, 404);
    let csrf = browser.get("/login").await.form("/login").values("csrf").remove(0).to_owned();
    let fields = [("email", EMAIL), ("csrf", &csrf)];
    assert_eq!(browser.send(browser.request("POST", "/reset").form(&fields)).await.status, 404);
}

#[actix_web::test]
async fn a_second_factor_is_still_asked_for() {
    let world = world().await;
    must(&world.node, EMAIL).await;
    let (browser, page) = half(&world.node).await;
    let phone = Phone::reading(&page);
    browser.submit(&page.form("/login/second/enrol").set("code", &phone.code(&world.node))).await;
    world.ask(EMAIL).await;
    assert!(world.follow(&world.link().await, NEW).await.words().contains("Your new password is set"));
    let browser = Browser::new(&world.node);
    let answer = browser.sign_in(EMAIL, NEW).await;
    assert!(browser.cookie("session").is_none(), "whoever reads the mail has one factor");
    assert_eq!(browser.get("/account").await.status, 303);
    let page = browser.follow(answer).await;
    assert!(page.has_form("/login/second") && !page.text.contains("class=\"key\">"), "{}", page.words());
    world.node.advance(30).await;
    browser.submit(&page.form("/login/second").set("code", &phone.code(&world.node))).await;
    assert_eq!(browser.get("/account").await.status, 200);
}
