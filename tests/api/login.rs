//! `/login`, `/logout`, `/setup`: who gets in, who has to wait, and what a session is bound to.

use postern::flow::core::Caller;
use postern::flow::{people, setup};
use postern::types::audit::AuditKind;
use postern::types::secret::Secret;

use crate::harness::{Browser, EMAIL, Node, PASSWORD, Page};

#[track_caller]
fn came_in(page: &Page) {
    assert_eq!((page.status, page.location().as_deref()), (303, Some("/account")), "{}", page.text);
}

#[tokio::test]
async fn the_right_password_comes_in_and_the_wrong_one_does_not() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    let wrong = browser.sign_in(EMAIL, "wrong").await;
    assert_eq!(wrong.status, 401);
    assert!(browser.cookie("session").is_none());
    assert!(browser.get("/account").await.location().unwrap().ends_with("/login"));
    came_in(&browser.sign_in("ANA@Example.COM", PASSWORD).await);
    assert!(browser.get("/account").await.text.contains(EMAIL));
    for (email, password) in [("", PASSWORD), (EMAIL, ""), ("", "")] {
        assert_eq!(Browser::new(&node).sign_in(email, password).await.status, 401);
    }
    let long = Browser::new(&node).sign_in(EMAIL, &"x".repeat(5_000)).await;
    assert_eq!(long.status, 401, "too long to be hashed");
}

#[tokio::test]
async fn an_unknown_address_looks_like_a_known_one() {
    let node = Node::start().await;
    let caller = Caller::command_line();
    node.add_person("off@example.com", PASSWORD).await;
    people::disable(&node.core, &caller, "off@example.com").await.unwrap();
    let browser = Browser::new(&node);
    let known = browser.sign_in(EMAIL, "wrong").await;
    for (email, password) in
        [("nobody@example.com", "wrong"), ("off@example.com", PASSWORD), ("no address", "wrong")]
    {
        let other = browser.sign_in(email, password).await;
        assert_eq!(other.status, known.status);
        assert_eq!(other.text.replace(email, EMAIL), known.text, "{email}");
        let names = |page: &Page| {
            let mut names: Vec<_> = page.headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&other), names(&known));
    }
}

#[tokio::test]
async fn who_guesses_has_to_wait_however_the_name_is_written() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    for name in [EMAIL, "Ana@example.com", "ANA@EXAMPLE.COM", " ana@example.com", "ana@Example.com"] {
        assert_eq!(browser.sign_in(name, "wrong").await.status, 401, "{name}");
    }
    let page = browser.sign_in("aNa@example.com", PASSWORD).await;
    assert_eq!(page.status, 429, "even the right password waits: {}", page.words());
    assert_eq!(page.header("retry-after"), "2");
    assert_eq!(node.audited(AuditKind::LoginThrottled).await, 1);
    node.advance(3).await;
    assert_eq!(browser.sign_in(EMAIL, "wrong").await.status, 401);
    let page = browser.sign_in(EMAIL, PASSWORD).await;
    assert_eq!((page.status, page.header("retry-after")), (429, "4"), "the wait grows");
    node.advance(5).await;
    came_in(&browser.sign_in(EMAIL, PASSWORD).await);
}

#[tokio::test]
async fn who_tries_many_names_has_to_wait_too() {
    let node = Node::start().await;
    // Fewer than that may be an office where some have forgotten theirs.
    for number in 0..50 {
        let page = Browser::new(&node).sign_in(&format!("user{number}@example.com"), "password1").await;
        assert_eq!(page.status, 401);
    }
    assert_eq!(Browser::new(&node).sign_in("user9@example.com", "password1").await.status, 429);
    let browser = Browser::new(&node);
    let form = browser.get("/login").await.login_form(EMAIL, PASSWORD);
    let request =
        browser.request("POST", "/login").header("x-forwarded-for", "198.51.100.7").form(&form.fields);
    assert_eq!(browser.send(request).await.status, 429, "nobody's word for where it comes from");
}

#[tokio::test]
async fn a_subscribers_whole_network_waits_together() {
    let node = Node::behind_proxy().await;
    let browser = Browser::new(&node);
    let from = async |address: &str, name: &str| {
        let form = browser.get("/login").await.login_form(name, "password1");
        let request = browser.request("POST", "/login").header("x-forwarded-for", address).form(&form.fields);
        browser.send(request).await.status
    };
    for number in 0..50 {
        let address = format!("2001:db8:1:2:{number}::{number}");
        assert_eq!(from(&address, &format!("user{number}@example.com")).await, 401);
    }
    assert_eq!(from("2001:db8:1:2:ffff::9", "user9@example.com").await, 429, "the same /64");
    assert_eq!(from("2001:db8:1:3::9", "user9@example.com").await, 401, "the neighbours' /64");
    assert_eq!(from("198.51.100.7", "user9@example.com").await, 401);
    // What a client writes before the proxy's own word counts for nothing.
    assert_eq!(from("198.51.100.9, 2001:db8:1:2::5", "user8@example.com").await, 429);
}

#[tokio::test]
async fn a_flood_of_guesses_at_once_is_counted() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    let form = browser.get("/login").await.login_form(EMAIL, "wrong");
    let pages = futures_util::future::join_all((0..20).map(|_| browser.submit(&form))).await;
    for page in &pages {
        assert!([401, 429, 503].contains(&page.status), "{}", page.status);
    }
    assert_eq!(browser.sign_in(EMAIL, PASSWORD).await.status, 429);
}

#[tokio::test]
async fn a_planted_session_is_worth_nothing_after_signing_in() {
    let node = Node::start().await;
    let known = Browser::signed_in(&node).await;
    let name = known.cookies().into_keys().find(|name| name.contains("session")).unwrap();
    let attackers = Browser::signed_in(&node).await;
    let planted = attackers.cookie("session").unwrap();
    let victim = Browser::new(&node);
    victim.plant(&name, &planted);
    node.add_person("ben@example.com", PASSWORD).await;
    let page = victim.get("/logout").await;
    victim.submit(&page.form("/logout")).await;
    victim.plant(&name, "pst_ss_planted");
    came_in(&victim.sign_in("ben@example.com", PASSWORD).await);
    let fresh = victim.cookie("session").unwrap();
    assert!(fresh != planted && fresh != "pst_ss_planted", "the cookie changes at sign-in");
    assert!(victim.get("/account").await.text.contains("ben@example.com"));
    let old = attackers.get("/account").await;
    assert!(!old.text.contains("ben@example.com"), "{}", old.text);
}

#[tokio::test]
async fn signing_in_again_ends_the_session_before() {
    let node = Node::start().await;
    let app = node.register("https://app.example/cb").await;
    let browser = Browser::signed_in(&node).await;
    let before = browser.cookies();
    node.advance(10).await;
    let page = browser.open(&app.ask().and("prompt", "login")).await;
    browser.submit(&page.login_form(EMAIL, PASSWORD)).await;
    assert_ne!(
        browser.cookie("session"),
        before.iter().find(|(n, _)| n.contains("session")).map(|(_, v)| v.clone())
    );
    let old = Browser::new(&node);
    for (name, value) in &before {
        old.plant(name, value);
    }
    assert!(old.get("/account").await.location().is_some(), "the old cookie is dead");
}

#[tokio::test]
async fn a_sign_in_form_of_another_site_does_nothing() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    let form = browser.get("/login").await.login_form(EMAIL, PASSWORD);
    for csrf in ["", "x", &"A".repeat(43)] {
        assert_eq!(browser.submit(&form.clone().set("csrf", csrf)).await.status, 403);
    }
    assert_eq!(Browser::new(&node).submit(&form).await.status, 403, "a form of another browser");
    assert!(browser.cookie("session").is_none());
    let signed_in = Browser::signed_in(&node).await;
    let page = signed_in.get("/account").await;
    let old = form.values("csrf")[0].to_owned();
    assert_ne!(page.form("/logout").values("csrf")[0], old, "the value changes with the session");
}

#[tokio::test]
async fn signing_out_takes_a_form_and_ends_the_session_everywhere() {
    let node = Node::start().await;
    let browser = Browser::signed_in(&node).await;
    let cookies = browser.cookies();
    let page = browser.get("/logout").await;
    assert!(browser.get("/account").await.location().is_none(), "looking is not leaving");
    let form = page.form("/logout");
    assert_eq!(browser.submit(&form.clone().set("csrf", "x")).await.status, 403);
    assert!(browser.get("/account").await.location().is_none());
    assert_eq!(browser.submit(&form).await.status, 200);
    assert!(browser.cookie("session").is_none());
    for (name, value) in cookies {
        browser.plant(&name, &value);
    }
    assert!(browser.get("/account").await.location().is_some(), "a kept cookie is dead");
    assert_eq!(node.audited(AuditKind::LoggedOut).await, 1);
}

#[tokio::test]
async fn sessions_end() {
    let node = Node::start().await;
    let hour = 3_600;
    let idle = Browser::signed_in(&node).await;
    node.advance(12 * hour).await;
    assert!(idle.get("/account").await.location().is_some(), "twelve hours unused");
    let busy = Browser::signed_in(&node).await;
    for _ in 0..16 {
        node.advance(10 * hour).await;
        assert_eq!(busy.get("/account").await.status, 200);
    }
    node.advance(8 * hour).await;
    assert!(busy.get("/account").await.location().is_some(), "seven days in all");
    let changed = Browser::signed_in(&node).await;
    let secret = Secret::new("eight purple umbrellas".to_owned());
    people::set_password(&node.core, &Caller::command_line(), EMAIL, secret).await.unwrap();
    assert!(changed.get("/account").await.location().is_some(), "a new password ends what rests on the old");
    assert_eq!(changed.sign_in(EMAIL, PASSWORD).await.status, 401);
    came_in(&changed.sign_in(EMAIL, "eight purple umbrellas").await);
}

fn filled(page: &Page, email: &str, password: &str) -> crate::harness::Form {
    page.form("/setup").set("email", email).set("password", password).set("name", "Root")
}

#[tokio::test]
async fn the_first_administrator_comes_by_a_link_that_works_once() {
    let node = Node::bare("", |_| {});
    let link = setup::offer(&node.core).await.unwrap().unwrap();
    let second = setup::offer(&node.core).await.unwrap().unwrap();
    let browser = Browser::new(&node);
    for bad in ["/setup", "/setup?token=x", &format!("/setup?token=pst_su_{}", "0".repeat(49))] {
        assert_eq!(browser.get(bad).await.status, 403, "{bad}");
    }
    let page = browser.get(&link).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        browser.submit(&filled(&page, "root@example.com", PASSWORD).set("csrf", "x")).await.status,
        403
    );
    assert_eq!(browser.submit(&filled(&page, "root@example.com", "short")).await.status, 400);
    assert_eq!(browser.submit(&filled(&page, "root@example.com", "password")).await.status, 400);
    assert_eq!(browser.submit(&filled(&page, "nonsense", PASSWORD)).await.status, 400);
    let other = Browser::new(&node);
    let others = filled(&other.get(&second).await, "eve@example.com", PASSWORD);
    let form = filled(&page, "root@example.com", PASSWORD);
    let (one, two) = tokio::join!(browser.submit(&form), other.submit(&others));
    let made: Vec<_> = [&one, &two].into_iter().filter(|page| page.status == 303).collect();
    assert_eq!(made.len(), 1, "there is one first administrator");
    came_in(made[0]);
    assert_eq!(browser.get(&link).await.status, 403);
    assert_eq!(other.get(&second).await.status, 403, "no link works once there is somebody");
    assert!(setup::offer(&node.core).await.unwrap().is_none());
    let everybody = people::list(&node.core).await.unwrap();
    assert_eq!((everybody.len(), everybody[0].role), (1, postern::types::user::Role::Admin));
}

#[tokio::test]
async fn a_link_for_the_first_administrator_expires() {
    let node = Node::bare("", |_| {});
    let link = setup::offer(&node.core).await.unwrap().unwrap();
    node.advance(86_401).await;
    assert_eq!(Browser::new(&node).get(&link).await.status, 403);
}

#[tokio::test]
async fn signing_in_leads_back_to_pages_of_ours_and_nowhere_else() {
    let node = Node::start().await;
    for (asked, reached) in [
        ("/account", "/account"),
        ("/admin/apps?q=x", "/admin/apps?q=x"),
        ("//evil.example", "/account"),
        ("https://evil.example/account", "/account"),
        ("/admin/../register", "/account"),
        ("/account\\@evil.example", "/account"),
    ] {
        let browser = Browser::new(&node);
        let at: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
        let form = browser.get(&format!("/login?continue={at}")).await.login_form(EMAIL, PASSWORD);
        let answer = browser.submit(&form).await;
        assert_eq!((answer.status, answer.location().as_deref()), (303, Some(reached)), "{asked}");
    }
}

#[tokio::test]
async fn a_fresh_sign_in_is_asked_of_whoever_is_signed_in() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    came_in(&browser.sign_in(EMAIL, PASSWORD).await);
    assert_eq!(browser.get("/login?continue=%2Fadmin").await.location().as_deref(), Some("/admin"));
    let page = browser.get("/login?continue=%2Fadmin&fresh=1").await;
    assert!(page.text.contains("sign in once more") && page.text.contains(EMAIL), "{}", page.text);
    // Only for pages of ours: an app that wants a fresh sign-in says so in its own request.
    assert_eq!(browser.get("/login?continue=abc&fresh=1").await.status, 303);
}

#[tokio::test]
async fn a_form_of_another_kind_is_not_said_to_be_old() {
    let node = Node::start().await;
    let browser = Browser::new(&node);
    for request in [
        browser.request("POST", "/login").json(&[("email", EMAIL)]),
        browser.request("POST", "/login?x=1").form(&[("email", EMAIL)]),
        browser.request("POST", "/login").form(&[("email", "a\0b")]),
    ] {
        let page = browser.send(request).await;
        assert_eq!(page.status, 400);
        assert!(page.text.contains("What was sent could not be read"), "{}", page.words());
        assert!(!page.text.contains("open too long"), "{}", page.words());
    }
    let json = browser.send(browser.request("POST", "/login").json(&[("email", EMAIL)])).await;
    assert!(json.text.contains("application/x-www-form-urlencoded"), "{}", json.words());
}
