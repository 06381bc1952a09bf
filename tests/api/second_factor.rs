//! The second step of signing in: codes, recovery codes, setting up on the way, and what an app may ask for.

use postern::crypto::one_time::{SECRET_BYTES, code_at};
use postern::flow::core::Caller;
use postern::flow::{people, resources};
use postern::types::audit::AuditKind;
use postern::types::secret::Secret;

use crate::harness::{App, Browser, EMAIL, NOTES, Node, PASSWORD, Page, claims_of};

const BACK: &str = "http://127.0.0.1:7777/callback";
const TWO: &str = "urn:postern:acr:2";

/// An authenticator app.
#[derive(Clone)]
pub struct Phone(Secret<[u8; SECRET_BYTES]>);

impl Phone {
    /// Reads the key from the page that offers it.
    pub fn reading(page: &Page) -> Self {
        let key = page.text.split("class=\"key\">").nth(1).unwrap().split('<').next().unwrap();
        let (mut bits, mut held, mut bytes) = (0, 0u32, Vec::new());
        for letter in key.bytes().filter(|b| *b != b'-') {
            let value =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
            held = (held << 5) | u32::try_from(value).unwrap();
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from((held >> bits) & 255).unwrap());
            }
        }
        Self(Secret::new(bytes.try_into().unwrap()))
    }

    pub fn code(&self, node: &Node) -> String {
        code_at(&self.0, node.core.now()).unwrap()
    }
}

pub async fn must(node: &Node, email: &str) {
    people::require_second_factor(&node.core, &Caller::command_line(), email, true).await.unwrap();
}

/// The page after the password.
pub async fn half(node: &Node) -> (Browser, Page) {
    let browser = Browser::new(node);
    let answer = browser.sign_in(EMAIL, PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert!(browser.cookie("session").is_none(), "no session before the second step");
    let page = browser.follow(answer).await;
    (browser, page)
}

/// A node whose person has an authenticator app, with the recovery codes; the code of the present moment is used up.
async fn enrolled() -> (Node, Phone, Vec<String>, Browser) {
    let node = Node::start().await;
    let (phone, codes, browser) = enrol(&node).await;
    (node, phone, codes, browser)
}

/// Makes the person of a node have an authenticator app, as [`enrolled`] does.
pub async fn enrol(node: &Node) -> (Phone, Vec<String>, Browser) {
    must(node, EMAIL).await;
    let (browser, page) = half(node).await;
    let phone = Phone::reading(&page);
    let page = browser.submit(&page.form("/login/second/enrol").set("code", &phone.code(node))).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let codes: Vec<String> = page
        .text
        .split("<li><code>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    assert_eq!(codes.len(), 10);
    assert!(browser.get("/account").await.words().contains("Your access"));
    (phone, codes, browser)
}

pub async fn code(browser: &Browser, page: &Page, code: &str) -> Page {
    browser.submit(&page.form("/login/second").set("code", code)).await
}

pub async fn recovery(browser: &Browser, page: &Page, code: &str) -> Page {
    let mut form = page.form("/login/second");
    form.fields.retain(|(name, _)| name != "code");
    browser.submit(&form.set("recovery", code)).await
}

#[track_caller]
pub fn came_in(page: &Page) {
    assert_eq!((page.status, page.location().as_deref()), (303, Some("/account")), "{}", page.text);
}

#[tokio::test]
async fn who_must_have_a_second_factor_sets_it_up_before_anything_else() {
    let node = Node::start().await;
    let before = Browser::signed_in(&node).await;
    must(&node, EMAIL).await;
    assert!(before.get("/account").await.location().is_some(), "sessions of one factor have ended");
    let (browser, page) = half(&node).await;
    assert!(page.words().contains("Set up an authenticator app"), "{}", page.words());
    assert!(browser.get("/account").await.location().is_some());
    let phone = Phone::reading(&page);
    let wrong = browser.submit(&page.form("/login/second/enrol").set("code", "000000")).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(Phone::reading(&wrong).code(&node), phone.code(&node), "what was photographed stays good");
    let done = browser.submit(&wrong.form("/login/second/enrol").set("code", &phone.code(&node))).await;
    assert!(done.words().contains("Keep these recovery codes"), "{}", done.words());
    assert_eq!(done.header("cache-control"), "no-store");
    assert!(browser.get("/account").await.words().contains("Your access"));
    assert_eq!(node.audited(AuditKind::AuthenticatorAdded).await, 1);
}

#[tokio::test]
async fn a_code_is_taken_once_also_in_a_race() {
    let (node, phone, ..) = enrolled().await;
    let (browser, page) = half(&node).await;
    let used = code(&browser, &page, &phone.code(&node)).await;
    assert_eq!(used.status, 401, "the code that set it up is used up");
    node.advance(30).await;
    let now = phone.code(&node);
    let mut browsers = Vec::new();
    for _ in 0..6 {
        browsers.push(half(&node).await);
    }
    let tries = browsers.iter().map(|(browser, page)| code(browser, page, &now));
    let pages = futures_util::future::join_all(tries).await;
    assert_eq!(pages.iter().filter(|page| page.status == 303).count(), 1);
    node.advance(60).await;
    let (browser, page) = half(&node).await;
    assert_eq!(code(&browser, &page, &now).await.status, 401, "too old");
    node.advance(60).await;
    came_in(&code(&browser, &page, &phone.code(&node)).await);
}

#[tokio::test]
async fn codes_are_not_guessed_over_many_sign_ins() {
    let (node, phone, ..) = enrolled().await;
    node.advance(30).await;
    let mut halves = Vec::new();
    for _ in 0..8 {
        halves.push(half(&node).await);
    }
    let mut statuses = Vec::new();
    for (guess, (browser, page)) in halves.iter().enumerate().skip(1) {
        statuses.push(code(browser, page, &format!("00000{guess}")).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let (browser, page) = &halves[0];
    let right = code(browser, page, &phone.code(&node)).await;
    assert_eq!(right.status, 429, "even the right code waits");
    assert!(!right.header("retry-after").is_empty());
    node.advance(5).await;
    came_in(&code(browser, page, &phone.code(&node)).await);
    assert_eq!(node.audited(AuditKind::SecondFactorFailed).await, 5);
}

#[tokio::test]
async fn a_recovery_code_works_once() {
    let (node, _, codes, _) = enrolled().await;
    let (browser, page) = half(&node).await;
    assert_eq!(recovery(&browser, &page, "aaaa-bbbb-cccc-dddd").await.status, 401);
    came_in(&recovery(&browser, &page, &codes[3].to_uppercase().replace('-', " ")).await);
    let (browser, page) = half(&node).await;
    assert_eq!(recovery(&browser, &page, &codes[3]).await.status, 401, "used up");
    came_in(&recovery(&browser, &page, &codes[4]).await);
    assert_eq!(node.audited(AuditKind::RecoveryCodeUsed).await, 2);
}

#[tokio::test]
async fn half_a_sign_in_opens_nothing() {
    let (node, phone, ..) = enrolled().await;
    node.advance(30).await;
    let (browser, page) = half(&node).await;
    let step = browser.cookie("step").unwrap();
    let known = Browser::new(&node);
    known.get("/login").await;
    let name = browser.cookies().into_keys().find(|name| name.contains("step")).unwrap();
    for place in [name.replace("step", "session"), name.replace("step", "browser")] {
        let thief = Browser::new(&node);
        thief.plant(&place, &step);
        assert!(thief.get("/account").await.location().unwrap().contains("/login"), "{place}");
    }
    // The cookie alone, in another browser, does not make a form of ours.
    let thief = Browser::new(&node);
    thief.plant(&name, &step);
    let form = page.form("/login/second").set("code", &phone.code(&node));
    assert_eq!(thief.submit(&form).await.status, 403);
    let forged = page.form("/login/second").set("csrf", "wrong").set("code", &phone.code(&node));
    assert_eq!(browser.submit(&forged).await.status, 403);
    // It does not wait for ever.
    node.advance(301).await;
    let late = code(&browser, &page, &phone.code(&node)).await;
    assert!(late.location().unwrap().contains("/login?"), "{}", late.text);
    assert!(browser.cookie("session").is_none());
    // A step that was taken is over.
    let (browser, page) = half(&node).await;
    let step = browser.cookie("step").unwrap();
    came_in(&code(&browser, &page, &phone.code(&node)).await);
    node.advance(30).await;
    browser.plant(&name, &step);
    let again = browser.get("/login/second").await;
    assert!(again.location().unwrap().contains("/login?"));
}

#[tokio::test]
async fn a_new_password_ends_what_began_with_the_old_one() {
    let (node, phone, ..) = enrolled().await;
    node.advance(30).await;
    let (browser, page) = half(&node).await;
    let new = Secret::new("nine blue ladders".to_owned());
    people::set_password(&node.core, &Caller::command_line(), EMAIL, new).await.unwrap();
    let late = code(&browser, &page, &phone.code(&node)).await;
    assert!(late.location().unwrap().contains("/login?"));
}

#[tokio::test]
async fn an_offer_serves_only_whom_it_was_made_for() {
    let node = Node::start().await;
    node.add_person("eve@example.com", PASSWORD).await;
    for email in [EMAIL, "eve@example.com"] {
        must(&node, email).await;
    }
    let eve = Browser::new(&node);
    let answer = eve.sign_in("eve@example.com", PASSWORD).await;
    let hers = eve.follow(answer).await;
    let phone = Phone::reading(&hers);
    let (browser, page) = half(&node).await;
    let offer = hers.form("/login/second/enrol").values("offer")[0].to_owned();
    let form = page.form("/login/second/enrol").set("offer", &offer).set("code", &phone.code(&node));
    assert_eq!(browser.submit(&form).await.status, 403, "a secret that Eve knows is not taken");
    assert!(browser.cookie("session").is_none());
}

#[tokio::test]
async fn tokens_say_how_their_person_signed_in() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    let answer = app.tokens(&node, &browser).await;
    let claims = claims_of(&answer.text_of("access_token"));
    assert_eq!(claims["acr"], "urn:postern:acr:1");
    assert_eq!(claims["amr"], serde_json::json!(["pwd"]));
    let again = app.refresh(&node, &answer.text_of("refresh_token")).await;
    assert_eq!(claims_of(&again.text_of("access_token"))["amr"], serde_json::json!(["pwd"]));
    let metadata = node.get("/.well-known/oauth-authorization-server").await.body;
    assert_eq!(metadata["acr_values_supported"], serde_json::json!(["urn:postern:acr:1", TWO]));
}

/// From a request that asks for two factors, by somebody who has shown one and has no second, to the token.
async fn step_up(node: &Node, app: &App, ask: crate::harness::Ask) -> Phone {
    let browser = Browser::signed_in(node).await;
    let old = browser.cookie("session").unwrap();
    let page = browser.open(&ask).await;
    assert!(page.words().contains("second factor"), "{}", page.words());
    let phone = Phone::reading(&page);
    let page = browser.submit(&page.form("/login/second/enrol").set("code", &phone.code(node))).await;
    assert_ne!(browser.cookie("session").unwrap(), old, "a session that is worth more is another one");
    let onward = page.text.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = browser.get(onward).await;
    let page = browser.submit(&page.form("/consent").decide("allow")).await;
    let answer = app.redeem(node, &page.callback()["code"]).await;
    let claims = claims_of(&answer.text_of("access_token"));
    assert_eq!(claims["acr"], TWO);
    assert_eq!(claims["amr"], serde_json::json!(["pwd", "otp", "mfa"]));
    phone
}

#[tokio::test]
async fn an_app_that_asks_for_two_factors_gets_them_or_is_told() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let ask = app.ask().set("acr_values", TWO);
    let browser = Browser::signed_in(&node).await;
    let silent = browser.open(&ask.clone().set("prompt", "none")).await;
    assert_eq!(silent.callback()["error"], "unmet_authentication_requirements");
    let unknown = browser.open(&app.ask().set("acr_values", "urn:else:9")).await;
    assert_eq!(unknown.callback()["error"], "unmet_authentication_requirements");
    let page = browser.open(&ask).await;
    let declined = browser.submit(&page.form("/login/second/cancel")).await;
    let told = declined.callback();
    assert_eq!(told["error"], "unmet_authentication_requirements");
    assert_eq!(told["iss"], node.issuer());
    assert!(browser.get("/account").await.words().contains("Your access"), "still signed in");
    let phone = step_up(&node, &app, ask.clone()).await;
    // With a second factor at hand, one is asked to show it at sign-in, and that is enough.
    node.advance(30).await;
    let (browser, page) = half(&node).await;
    came_in(&code(&browser, &page, &phone.code(&node)).await);
    let silent = browser.open(&ask.set("prompt", "none")).await;
    assert_eq!(silent.callback()["error"], "consent_required", "a program on this computer always asks");
}

#[tokio::test]
async fn a_server_may_demand_two_factors_of_everyone() {
    let node = Node::start().await;
    resources::remove(&node.core, &Caller::command_line(), NOTES).await.unwrap();
    node.add_resource(NOTES, |new| new.second_factor_required = true).await;
    let app = node.register(BACK).await;
    step_up(&node, &app, app.ask()).await;
}

#[tokio::test]
async fn a_step_up_dies_with_the_session_it_came_from() {
    let node = Node::start().await;
    let app = node.register(BACK).await;
    let browser = Browser::signed_in(&node).await;
    let page = browser.open(&app.ask().set("acr_values", TWO)).await;
    let phone = Phone::reading(&page);
    let account = browser.get("/account").await;
    browser.submit(&account.form("/logout")).await;
    let form = page.form("/login/second/enrol").set("code", &phone.code(&node));
    let late = browser.submit(&form).await;
    assert!(late.status == 403 || late.status == 401, "{} {}", late.status, late.text);
    assert!(browser.cookie("session").is_none());
}
