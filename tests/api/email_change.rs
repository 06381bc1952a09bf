//! Another e-mail address: confirmed from there, told to the old one, and taken back from it.

use postern::flow::core::Caller;
use postern::flow::people::{self, NewUser};
use postern::flow::{audit, outbox};
use postern::storage::audit::AuditFilter;
use postern::types::audit::AuditKind;
use postern::types::mail::SmtpSecurity;
use postern::types::policy::{EMAIL_CONFIRM_TTL, EMAIL_UNDO_TTL, MAILS_PER_ACCOUNT};
use postern::types::secret::Secret;
use postern::types::user::Role;

use crate::harness::{Browser, EMAIL, MailServer, Node, PASSWORD, Page};

const NEW: &str = "ana@example.org";

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
    async fn ask(&self, browser: &Browser, email: &str) -> Page {
        let form = browser.get("/account/email").await.form("/account/email").set("email", email);
        browser.submit(&form).await
    }

    /// The link to this page in the last mail that has one.
    async fn link(&self, page: &str) -> String {
        outbox::deliver(&self.node.core).await.unwrap();
        let all: Vec<String> = self
            .mail
            .arrived()
            .iter()
            .map(|mail| mail.text.replace("=\r\n", "").replace("=3D", "="))
            .collect();
        let wanted = format!("{page}?token=");
        let text = all.iter().rev().find(|text| text.contains(&wanted)).unwrap_or_else(|| panic!("{all:?}"));
        let line = text.lines().find(|line| line.contains(&wanted)).unwrap();
        line[line.find(page).unwrap()..].trim().to_owned()
    }

    async fn follow(&self, link: &str) -> Page {
        let browser = Browser::new(&self.node);
        let page = browser.get(link).await;
        let action = link.split('?').next().unwrap();
        if page.has_form(action) { browser.submit(&page.form(action)).await } else { page }
    }

    async fn signs_in(&self, email: &str) -> bool {
        Browser::new(&self.node).sign_in(email, PASSWORD).await.status == 303
    }

    async fn count(&self, kind: AuditKind) -> usize {
        let filter = AuditFilter { kind: Some(kind), ..AuditFilter::default() };
        audit::list(&self.node.core, filter).await.unwrap().len()
    }

    /// To whom mail has gone.
    async fn told(&self) -> Vec<String> {
        outbox::deliver(&self.node.core).await.unwrap();
        self.mail.arrived().into_iter().flat_map(|mail| mail.to).collect()
    }
}

fn is_dead(page: &Page) -> bool {
    page.status == 403 && page.words().contains("does not work any more")
}

#[actix_web::test]
async fn an_address_is_changed_by_whoever_reads_its_mail_and_the_old_one_is_told() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    assert!(browser.get("/account/security").await.text.contains("/account/email"));
    let page = world.ask(&browser, NEW).await;
    assert!(page.words().contains("Look into your mail"), "{}", page.words());
    assert_eq!(world.told().await, [NEW]);
    assert!(world.signs_in(EMAIL).await && !world.signs_in(NEW).await, "nothing changes before");
    let link = world.link("/email/confirm").await;
    for _ in 0..3 {
        let seen = Browser::new(&world.node).get(&link).await;
        assert!(seen.words().contains(EMAIL) && seen.words().contains(NEW), "{}", seen.words());
    }
    assert!(world.follow(&link).await.words().contains("Your address is changed"));
    assert!(world.signs_in(NEW).await && !world.signs_in(EMAIL).await);
    assert!(is_dead(&world.follow(&link).await), "it works once");
    assert_eq!(world.told().await, [NEW, EMAIL]);
    for kind in [AuditKind::EmailChangeAsked, AuditKind::EmailChanged] {
        assert_eq!(world.count(kind).await, 1, "{kind:?}");
    }
}

/// Whoever takes a browser over changes address and password. The owner gets both back.
#[actix_web::test]
async fn the_old_address_takes_it_back_whatever_was_changed_since() {
    let world = world().await;
    let thief = Browser::signed_in(&world.node).await;
    world.ask(&thief, NEW).await;
    world.follow(&world.link("/email/confirm").await).await;
    let undo = world.link("/email/undo").await;
    let caller = Caller::command_line();
    let secret = Secret::new("seven yellow teapots".to_owned());
    people::set_password(&world.node.core, &caller, NEW, secret).await.unwrap();
    let thief = Browser::new(&world.node);
    thief.sign_in(NEW, "seven yellow teapots").await;
    world.ask(&thief, "thief@example.net").await;
    let next = world.link("/email/confirm").await;
    assert!(world.follow(&undo).await.words().contains("It is taken back"));
    assert_eq!(thief.get("/account").await.status, 303, "every browser is signed out");
    assert!(is_dead(&world.follow(&next).await), "what was set going from the new address ends");
    for email in [EMAIL, NEW] {
        let again = Browser::new(&world.node).sign_in(email, "seven yellow teapots").await;
        assert_eq!(again.status, 401, "the thief's password opens nothing");
    }
    let owner = Browser::new(&world.node);
    owner.submit(&owner.get("/reset").await.form("/reset").set("email", EMAIL)).await;
    outbox::deliver(&world.node.core).await.unwrap();
    let reset = world.link("/reset").await;
    let form = owner.get(&reset).await.form("/reset").set("password", "nine purple umbrellas");
    assert!(owner.submit(&form).await.words().contains("Your new password is set"));
    assert_eq!(owner.sign_in(EMAIL, "nine purple umbrellas").await.status, 303, "the owner is back");
    assert_eq!(people::find(&world.node.core, EMAIL).await.unwrap().email, EMAIL);
    assert!(is_dead(&world.follow(&undo).await), "it works once");
    assert_eq!(world.count(AuditKind::EmailChangeUndone).await, 1);
}

#[actix_web::test]
async fn whether_an_address_is_taken_is_told_to_its_owner_alone() {
    let world = world().await;
    world.node.add_person("ben@example.com", PASSWORD).await;
    let browser = Browser::signed_in(&world.node).await;
    let free = world.ask(&browser, NEW).await;
    let taken = world.ask(&browser, "ben@example.com").await;
    let same = |page: &Page, to: &str| page.words().replace(to, "…");
    assert_eq!(same(&free, NEW), same(&taken, "ben@example.com"));
    // Letters of one moment have no order.
    let mut told = world.told().await;
    told.sort_unstable();
    assert_eq!(told, [NEW, "ben@example.com"]);
    let arrived = world.mail.arrived();
    let to_ben = arrived.iter().find(|letter| letter.to.iter().any(|to| to == "ben@example.com")).unwrap();
    assert!(!to_ben.text.contains("token"));
    // Taken in the meantime.
    world.node.advance(3_601).await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    let link = world.link("/email/confirm").await;
    let person = NewUser {
        email: NEW.to_owned(),
        name: None,
        role: Role::Member,
        groups: Vec::new(),
        password: Secret::new(PASSWORD.to_owned()),
    };
    people::add(&world.node.core, &Caller::command_line(), person).await.unwrap();
    assert_eq!(world.follow(&link).await.status, 409);
    assert!(world.signs_in(EMAIL).await);
}

#[actix_web::test]
async fn links_have_their_time_their_purpose_and_rest_on_what_was() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    let confirm = world.link("/email/confirm").await;
    for other in ["/email/undo", "/reset"] {
        let page = world.follow(&confirm.replace("/email/confirm", other)).await;
        assert_eq!(page.status, 403, "a link of another purpose at {other}");
    }
    let secret = Secret::new("seven yellow teapots".to_owned());
    people::set_password(&world.node.core, &Caller::command_line(), EMAIL, secret).await.unwrap();
    assert!(is_dead(&world.follow(&confirm).await), "the password has changed since");
    let browser = Browser::new(&world.node);
    browser.sign_in(EMAIL, "seven yellow teapots").await;
    world.ask(&browser, NEW).await;
    let confirm = world.link("/email/confirm").await;
    world.node.advance(EMAIL_CONFIRM_TTL.as_secs()).await;
    assert!(is_dead(&world.follow(&confirm).await), "its time is over");
    let browser = Browser::new(&world.node);
    browser.sign_in(EMAIL, "seven yellow teapots").await;
    world.ask(&browser, NEW).await;
    world.follow(&world.link("/email/confirm").await).await;
    let undo = world.link("/email/undo").await;
    world.node.advance(EMAIL_UNDO_TTL.as_secs()).await;
    assert!(is_dead(&world.follow(&undo).await), "its time is over");
}

#[actix_web::test]
async fn it_needs_a_fresh_sign_in_a_form_of_ours_and_patience() {
    let world = world().await;
    assert_eq!(Browser::new(&world.node).get("/account/email").await.status, 303, "whoever is nobody");
    let browser = Browser::signed_in(&world.node).await;
    for bad in ["no address", EMAIL] {
        assert_eq!(world.ask(&browser, bad).await.status, 400, "{bad}");
    }
    let forged = [("email", NEW), ("csrf", "x")];
    assert!(browser.send(browser.request("POST", "/account/email").form(&forged)).await.status >= 400);
    for at in 0..MAILS_PER_ACCOUNT {
        assert_eq!(world.ask(&browser, &format!("ana-{at}@example.org")).await.status, 200);
    }
    assert_eq!(world.ask(&browser, NEW).await.status, 429, "whatever the address");
    let csrf = browser.get("/account/email").await.form("/account/email").values("csrf").remove(0).to_owned();
    world.node.advance(3_601).await;
    let late = [("email", NEW), ("csrf", csrf.as_str())];
    let page = browser.send(browser.request("POST", "/account/email").form(&late)).await;
    assert_eq!(page.status, 303, "sign in once more");
    assert!(page.location().unwrap().contains("fresh=1"), "{:?}", page.location());
    let without = Node::start().await;
    let browser = Browser::signed_in(&without).await;
    assert_eq!(browser.get("/account/email").await.status, 404, "no mail is sent there");
}

#[actix_web::test]
async fn of_two_at_once_one_wins() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    let link = world.link("/email/confirm").await;
    let (one, two) = futures_util::future::join(world.follow(&link), world.follow(&link)).await;
    let done = |page: &Page| page.words().contains("Your address is changed");
    assert!(done(&one) != done(&two), "{} / {}", one.words(), two.words());
    assert_eq!(world.count(AuditKind::EmailChanged).await, 1);
    assert_eq!(world.told().await, [NEW, EMAIL], "one mail to the old address");
    let undo = world.link("/email/undo").await;
    let (one, two) = futures_util::future::join(world.follow(&undo), world.follow(&undo)).await;
    let done = |page: &Page| page.words().contains("It is taken back");
    assert!(done(&one) != done(&two), "{} / {}", one.words(), two.words());
    assert_eq!(world.count(AuditKind::EmailChangeUndone).await, 1);
}

#[actix_web::test]
async fn an_old_address_that_somebody_else_has_now_stays_theirs() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    world.follow(&world.link("/email/confirm").await).await;
    let undo = world.link("/email/undo").await;
    world.node.add_person(EMAIL, "seven yellow teapots").await;
    let theirs = people::find(&world.node.core, EMAIL).await.unwrap().id;
    assert_eq!(world.follow(&undo).await.status, 409);
    assert_eq!(people::find(&world.node.core, EMAIL).await.unwrap().id, theirs);
    assert!(world.signs_in(NEW).await, "nothing was changed");
    assert_eq!(Browser::new(&world.node).sign_in(EMAIL, "seven yellow teapots").await.status, 303);
    assert_eq!(world.count(AuditKind::EmailChangeUndone).await, 0);
}

#[actix_web::test]
async fn a_form_that_is_not_ours_changes_nothing() {
    let world = world().await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    let forge = async |link: &str| {
        let (path, token) = link.split_once("?token=").unwrap();
        let fields = [("token", token), ("csrf", "x")];
        let stranger = Browser::new(&world.node);
        stranger.get(link).await;
        stranger.send(stranger.request("POST", path).form(&fields)).await.status
    };
    let confirm = world.link("/email/confirm").await;
    assert_eq!(forge(&confirm).await, 403);
    assert!(world.signs_in(EMAIL).await);
    world.follow(&confirm).await;
    assert_eq!(forge(&world.link("/email/undo").await).await, 403);
    assert!(world.signs_in(NEW).await);
}

#[actix_web::test]
async fn a_link_for_a_new_password_ends_with_the_address_it_went_to() {
    let world = world().await;
    let browser = Browser::new(&world.node);
    browser.submit(&browser.get("/reset").await.form("/reset").set("email", EMAIL)).await;
    outbox::deliver(&world.node.core).await.unwrap();
    let reset = world.link("/reset").await;
    let browser = Browser::signed_in(&world.node).await;
    world.ask(&browser, NEW).await;
    world.follow(&world.link("/email/confirm").await).await;
    assert!(is_dead(&world.follow(&reset).await));
    assert!(world.signs_in(NEW).await);
}
