//! Servers behind the gateway that are used in each person's own name: out to the authorization server in front of them and
//! back, what is shown on calls, and how it ends.

use std::sync::Arc;
use std::sync::mpsc::channel;

use postern::flow::call_rules::{self, NewRule};
use postern::flow::core::Caller;
use postern::flow::cut::By;
use postern::flow::grant_tokens::{self, NewGrantToken};
use postern::flow::people::OrderError;
use postern::flow::upstream_auth::{self, NewAuth};
use postern::flow::{
    alerts, call_approvals, connections, erase, give_back, offboard, people, resources, vault,
};
use postern::types::audit::AuditKind;
use postern::types::call_rule::{Effect, Subject};
use postern::types::callers::CallerRule;
use postern::types::secret::Secret;
use postern::types::upstream_auth::{AuthKind, AuthSettings};
use serde_json::{Value, json};

use crate::harness::{
    Answer, App, Ask, Browser, EMAIL, Guarded, Node, PASSWORD, Page, claims_of, header_of, verified,
};

const CALLBACK: &str = "http://127.0.0.1:7777/callback";
const BOB: &str = "bob@example.com";

struct World {
    node: Node,
    there: Guarded,
    uri: String,
    app: App,
}

fn oauth() -> NewAuth {
    NewAuth { kind: AuthKind::OAuth, issuer: None, client_id: None, secret: None, scopes: Vec::new() }
}

/// A node with a server behind it that people use in their own name, and an app.
async fn world() -> World {
    let world = unset().await;
    world.set(oauth()).await.unwrap();
    world
}

async fn unset() -> World {
    let node = Node::with(|policy| policy.allow_private_networks = true).await;
    node.add_person(BOB, PASSWORD).await;
    let there = Guarded::start();
    let uri = format!("{}/mcp/mail", node.issuer());
    node.add_resource(&uri, |new| {
        "Mail".clone_into(&mut new.name);
        new.slug = Some("mail".to_owned());
        new.upstream = Some(there.url.clone());
    })
    .await;
    let app = node.register(CALLBACK).await;
    World { node, there, uri, app }
}

impl World {
    async fn set(&self, new: NewAuth) -> Result<AuthSettings, OrderError> {
        let done = upstream_auth::set(&self.node.core, &Caller::command_line(), &self.uri, new).await;
        done.map(|(_, auth)| auth.settings)
    }

    fn ask(&self) -> Ask {
        self.app.ask().set("resource", &self.uri).set("scope", "notes:read")
    }

    async fn browser(&self, email: &str) -> Browser {
        let browser = Browser::new(&self.node);
        let page = browser.sign_in(email, PASSWORD).await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// The address at the other side to which somebody is sent.
    async fn out(&self, browser: &Browser) -> String {
        let page = browser.get("/account/connect/mail").await;
        browser.submit(&page.form("/account/connect/mail")).await.location().unwrap()
    }

    /// Connects whoever is signed in, as `who` at the other side.
    async fn connect(&self, browser: &Browser, who: &str) -> Page {
        let back = self.there.allow(&self.out(browser).await, who);
        let page = browser.get(&back).await;
        browser.follow(page).await
    }

    /// A token of this issuer's, for somebody who has connected or goes on without.
    async fn token(&self, browser: &Browser) -> String {
        let mut page = browser.open(&self.ask()).await;
        if page.has_form("/account/connect/mail") {
            let mut later = page.text.split("href=\"").filter_map(|part| part.split('"').next());
            let later = later.find(|to| to.contains("/authorize?continue=")).unwrap().to_owned();
            page = browser.get(&later).await;
        }
        let page = if page.has_form("/consent") {
            browser.submit(&page.form("/consent").decide("allow")).await
        } else {
            page
        };
        let code = page.callback()["code"].clone();
        let answer = self.app.redeem(&self.node, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.text_of("access_token")
    }

    async fn send(&self, node: &Node, token: &str, body: &Value) -> Answer {
        let request = node.request("POST", "/mcp/mail").bearer_auth(token);
        Answer::of(request.header("accept", "application/json, text/event-stream").json(body)).await
    }

    async fn call(&self, token: &str) -> Answer {
        self.send(&self.node, token, &call()).await
    }

    async fn give_back(&self) {
        give_back::deliver(&self.node.core).await.unwrap();
    }
}

fn call() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look", "arguments": {}}})
}

fn said(answer: &Answer) -> String {
    answer.body["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .to_owned()
}

#[track_caller]
fn wants_a_link(answer: &Answer) -> String {
    assert_eq!((answer.status, &answer.body["error"]["code"]), (200, &json!(-32_042)), "{}", answer.text);
    let ask = &answer.body["error"]["data"]["elicitations"][0];
    assert_eq!(ask["mode"], "url");
    ask["url"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn each_person_uses_the_server_in_their_own_name() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    // The app's request leads there first, and then to the question that it came for.
    let page = ana.open(&world.ask()).await;
    assert!(page.words().contains("Let Mail act as you at 127.0.0.1?"), "{}", page.words());
    assert!(page.words().contains("mail:read, mail:send"), "{}", page.words());
    let to = ana.submit(&page.form("/account/connect/mail")).await.location().unwrap();
    let back = ana.get(&world.there.allow(&to, "ana-there")).await;
    let page = ana.follow(back).await;
    let page = ana.submit(&page.form("/consent").decide("allow")).await;
    let answer = world.app.redeem(&world.node, &page.callback()["code"]).await;
    let token = answer.text_of("access_token");
    let answer = world.call(&token).await;
    // What she showed there comes back to nobody.
    assert_eq!(said(&answer), "you are ana-there, and showed Bearer [removed]");
    let bob = world.browser(BOB).await;
    let page = world.connect(&bob, "bob-there").await;
    assert!(page.words().contains("Mail is connected"), "{}", page.words());
    let other = world.token(&bob).await;
    world.call(&other).await;
    world.call(&token).await;
    assert_eq!(world.there.callers(), ["ana-there", "bob-there", "ana-there"]);
    // What was sent there: the server by name, the proof of the registration, and never a token of ours.
    let form = &world.there.forms("/token")[0];
    assert_eq!(
        (form["resource"].as_str(), form.contains_key("code_verifier")),
        (world.there.url.as_str(), true)
    );
    let basic = world.there.asked("/token")[0].header("authorization").unwrap().to_owned();
    assert!(basic.starts_with("Basic "), "{basic}");
    for seen in world.there.asked("/mcp") {
        assert!(!format!("{:?}", seen.headers).contains(&token), "a token of ours goes nowhere");
    }
    assert_eq!(world.node.audited(AuditKind::UpstreamConnected).await, 2);
    // The page knows, and the database tells nobody.
    let page = ana.get("/account/connections").await;
    assert!(page.words().contains("Mail as you at 127.0.0.1 Connected"), "{}", page.words());
    let mut secrets = world.there.secrets();
    secrets.push("registered-secret-1".to_owned());
    assert!(secrets.len() >= 5);
    for secret in secrets {
        assert!(!world.node.database().holds(&secret), "{secret} can be read in the database");
    }
}

#[actix_web::test]
async fn whoever_has_not_connected_is_told_where_and_nothing_goes_out() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    let token = world.token(&ana).await;
    let link = wants_a_link(&world.call(&token).await);
    assert!(link.starts_with(&format!("{}/account/connect/mail?for=", world.node.issuer())), "{link}");
    // Whoever can be asked in the result is asked there, with what it brought along.
    let modern = |more: Value| {
        let mut params = json!({"name": "look", "arguments": {}, "requestState": "of the server", "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}},
        }});
        for (name, value) in more.as_object().unwrap() {
            params[name] = value.clone();
        }
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
    };
    let answer = world.send(&world.node, &token, &modern(json!({}))).await;
    let result = &answer.body["result"];
    assert_eq!(
        (result["resultType"].as_str(), result["requestState"].as_str()),
        (Some("input_required"), Some("of the server"))
    );
    let asked = &result["inputRequests"]["postern_connect"];
    assert_eq!(
        (asked["method"].as_str(), asked["params"]["url"].as_str()),
        (Some("elicitation/create"), Some(link.as_str()))
    );
    // A list, a notification and a stream say it in their way; a machine cannot connect anything.
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    wants_a_link(&world.send(&world.node, &token, &list).await);
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(world.send(&world.node, &token, &note).await.status, 403);
    let get =
        world.node.request("GET", "/mcp/mail").bearer_auth(&token).header("accept", "text/event-stream");
    assert_eq!(Answer::of(get).await.status, 403);
    assert_eq!(
        world.there.callers().len() + world.there.asked("/mcp").len(),
        1,
        "only the set-up has looked"
    );
    // However often it is tried, that is no attack.
    alerts::watch(&world.node.core).await.unwrap();
    for _ in 0..12 {
        wants_a_link(&world.call(&token).await);
    }
    world.node.advance(1).await;
    alerts::watch(&world.node.core).await.unwrap();
    assert_eq!(alerts::list(&world.node.core, true).await.unwrap(), []);
    // The link is somebody's: another person who opens it is not connected by it.
    let bob = world.browser(BOB).await;
    let page = bob.get(&link).await;
    assert_eq!(page.status, 403);
    assert!(page.words().contains("made for somebody else"), "{}", page.words());
    let page = ana.get(&link).await;
    let to = ana.submit(&page.form("/account/connect/mail")).await.location().unwrap();
    ana.get(&world.there.allow(&to, "ana-there")).await;
    // The answer to our question is not for the server, what is the server's own is.
    let inputs =
        json!({"inputResponses": {"postern_connect": {"action": "accept"}, "own": {"action": "accept"}}});
    let answer = world.send(&world.node, &token, &modern(inputs)).await;
    assert!(said(&answer).starts_with("you are ana-there"));
    let sent = world.there.asked("/mcp").last().unwrap().json();
    assert_eq!(sent["params"]["inputResponses"], json!({"own": {"action": "accept"}}));
    assert_eq!(sent["params"]["requestState"], "of the server");
}

#[actix_web::test]
async fn nobody_is_asked_about_a_call_whose_person_has_yet_to_connect() {
    let world = world().await;
    let bob = world.browser(BOB).await;
    world.connect(&bob, "bob").await;
    said(&world.call(&world.token(&bob).await).await);
    let rule = NewRule {
        subject: Subject::EveryTool,
        conditions: Vec::new(),
        callers: CallerRule::default(),
        effect: Effect::Ask,
        reason: "Somebody looks first.".to_owned(),
    };
    call_rules::add(&world.node.core, &Caller::command_line(), &world.uri, rule).await.unwrap();
    let browser = world.browser(EMAIL).await;
    let token = world.token(&browser).await;
    let waiting = async || call_approvals::list(&world.node.core, false, None, 10).await.unwrap().len();
    wants_a_link(&world.call(&token).await);
    assert_eq!(waiting().await, 0, "a decision would be used up in vain");
    world.connect(&browser, "ana").await;
    assert!(world.call(&token).await.text.contains("Somebody looks first."));
    assert_eq!(waiting().await, 1);
}

#[actix_web::test]
async fn a_token_without_oauth_works_once_its_person_has_connected_and_a_machine_does_not() {
    let world = world().await;
    let new = NewGrantToken {
        user: EMAIL.to_owned(),
        resource: world.uri.clone(),
        name: "Build machine".to_owned(),
        scopes: vec!["notes:read".to_owned()],
        tools: Vec::new(),
        ttl: std::time::Duration::from_secs(86_400),
    };
    let (_, token) = grant_tokens::create(&world.node.core, &Caller::command_line(), new).await.unwrap();
    wants_a_link(&world.call(token.expose()).await);
    world.connect(&world.browser(EMAIL).await, "ana-there").await;
    assert!(said(&world.call(token.expose()).await).starts_with("you are ana-there"));
    let machine = world
        .node
        .add_client(json!({"client_name": "Robot", "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": "client_secret_post"}))
        .await;
    let registration = &machine.registration;
    let answer = world
        .node
        .token(&[
            ("grant_type", "client_credentials"),
            ("client_id", registration["client_id"].as_str().unwrap()),
            ("client_secret", registration["client_secret"].as_str().unwrap()),
            ("resource", &world.uri),
            ("scope", "notes:read"),
        ])
        .await;
    let answer = world.call(&answer.text_of("access_token")).await;
    assert_eq!(answer.status, 403, "{}", answer.text);
    assert_eq!(world.there.callers(), ["ana-there"]);
}

#[actix_web::test]
async fn an_answer_counts_once_in_the_browser_and_session_that_asked_and_from_who_was_asked() {
    let world = world().await;
    let (ana, bob) = (world.browser(EMAIL).await, world.browser(BOB).await);
    // Ana is sent Mallory's answer: his account must not become what she uses, nor hers what he uses.
    let of_bob = world.there.allow(&world.out(&bob).await, "mallory");
    assert_eq!(ana.get(&of_bob).await.status, 400);
    let nobody = Browser::new(&world.node);
    assert_eq!(nobody.get(&of_bob).await.status, 400);
    // Another browser of the same person is another browser.
    let elsewhere = world.browser(EMAIL).await;
    let of_ana = world.there.allow(&world.out(&ana).await, "ana-there");
    assert_eq!(elsewhere.get(&of_ana).await.status, 400);
    // From another server, or from nobody in particular although it names itself (RFC 9207).
    let iss = world.there.issuer.clone();
    let encoded: String = url::form_urlencoded::byte_serialize(iss.as_bytes()).collect();
    for instead in ["&iss=https%3A%2F%2Fevil.example", ""] {
        let to = world.out(&ana).await;
        let forged = world.there.allow(&to, "mallory").replace(&format!("&iss={encoded}"), instead);
        let page = ana.get(&forged).await;
        assert_eq!(page.status, 502, "{}", page.words());
    }
    assert_eq!(world.there.forms("/token").len(), 0, "no code was shown to anybody");
    // A code of somebody else's flow does not fit ours (RFC 7636).
    let (first, second) = (world.out(&ana).await, world.out(&ana).await);
    let (stolen, own) = (world.there.allow(&first, "mallory"), world.there.allow(&second, "ana-there"));
    let code_of = |path: &str| path.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(ana.get(&own.replace(&code_of(&own), &code_of(&stolen))).await.status, 502);
    // Nothing of all that has connected anybody.
    let page = ana.get("/account/connections").await;
    assert!(page.words().contains("Not connected"), "{}", page.words());
    // And a good one counts once.
    let good = world.there.allow(&world.out(&ana).await, "ana-there");
    assert_eq!(ana.get(&good).await.status, 303);
    assert_eq!(ana.get(&good).await.status, 400);
    // A form of another origin starts nothing.
    let page = ana.get("/account/connect/mail").await;
    let forged = page.form("/account/connect/mail").set("csrf", "forged");
    assert_eq!(ana.submit(&forged).await.status, 403);
    let forged = ana.get("/account/connections").await.form("/account/connections/remove").set("csrf", "x");
    assert_eq!(ana.submit(&forged).await.status, 403);
    // It declines, and says so where it was begun.
    let to = world.out(&ana).await;
    let state =
        url::Url::parse(&to).unwrap().query_pairs().find(|(name, _)| name == "state").unwrap().1.to_string();
    let page = ana.get(&format!("/gateway/callback?error=access_denied&state={state}&iss={encoded}")).await;
    assert!(page.words().contains("It was not allowed there."), "{}", page.words());
}

#[actix_web::test]
async fn a_way_that_was_changed_meanwhile_takes_no_answer() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    let answer = world.there.allow(&world.out(&ana).await, "ana-there");
    world.node.advance(1).await;
    world.set(oauth()).await.unwrap();
    assert_eq!(ana.get(&answer).await.status, 400);
    assert_eq!(world.there.forms("/token").len(), 0);
}

#[actix_web::test]
async fn one_renewal_serves_everybody_who_waits_and_outlives_who_asked() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    world.connect(&ana, "ana-there").await;
    let second = world.node.second();
    world.node.advance(580).await;
    second.catch_up().await;
    let token = world.token(&ana).await;
    let (go, signal) = channel();
    world.there.waits_for(signal);
    // Whoever asks first goes away while the other side thinks.
    let mut impatient = Box::pin(world.call(&token));
    let before = world.there.forms("/token").len();
    let begun = async {
        while world.there.forms("/token").len() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { _ = &mut impatient => panic!("it waits"), () = begun => {} }
    drop(impatient);
    let calls = (0..8).map(|_| world.call(&token));
    let body = call();
    let others = (0..8).map(|_| world.send(&second, &token, &body));
    let all =
        async { tokio::join!(futures_util::future::join_all(calls), futures_util::future::join_all(others)) };
    let release = async {
        go.send(()).unwrap();
        drop(go);
    };
    let ((here, elsewhere), ()) = tokio::join!(all, release);
    for answer in here.iter().chain(&elsewhere) {
        assert!(said(answer).starts_with("you are ana-there"), "{}", answer.text);
    }
    assert_eq!(world.there.forms("/token").len() - before, 1, "each refresh token is used once");
    // And the new one is what is used next.
    world.node.advance(590).await;
    second.catch_up().await;
    let token = world.token(&ana).await;
    assert!(said(&world.send(&second, &token, &call()).await).starts_with("you are ana-there"));
    assert_eq!(world.there.forms("/token").last().unwrap()["refresh_token"], "upstream-refresh-3");
}

#[actix_web::test]
async fn a_token_that_is_refused_is_renewed_and_one_that_is_gone_is_asked_for_anew() {
    let world = world().await;
    world.there.expires_in(None);
    let ana = world.browser(EMAIL).await;
    world.connect(&ana, "ana-there").await;
    let token = world.token(&ana).await;
    world.call(&token).await;
    world.there.forgets_access();
    assert!(said(&world.call(&token).await).starts_with("you are ana-there"), "the same call goes on");
    // The other side is in trouble: that says nothing about the person.
    world.there.forgets_access();
    world.there.instead("/token", Some((503, json!({"error": "invalid_grant"}))));
    assert_eq!(world.call(&token).await.status, 502);
    world.there.instead("/token", None);
    assert!(said(&world.call(&token).await).starts_with("you are ana-there"));
    assert_eq!(world.node.audited(AuditKind::UpstreamConnectionEnded).await, 0);
    world.there.forgets_all();
    wants_a_link(&world.call(&token).await);
    let asked = world.there.forms("/token").len();
    wants_a_link(&world.call(&token).await);
    assert_eq!(world.there.forms("/token").len(), asked, "a token that was refused is not tried again");
    assert_eq!(world.node.audited(AuditKind::UpstreamConnectionEnded).await, 1);
    let page = ana.get("/account/connections").await;
    assert!(page.words().contains("Ended there"), "{}", page.words());
    world.connect(&ana, "ana-there").await;
    assert!(said(&world.call(&token).await).starts_with("you are ana-there"));
}

#[actix_web::test]
async fn what_is_taken_back_is_used_no_more_on_any_node_and_revoked_there_until_it_is_done() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    world.connect(&ana, "ana-there").await;
    let token = world.token(&ana).await;
    let second = world.node.second();
    assert_eq!(world.send(&second, &token, &call()).await.status, 200);
    world.there.instead("/revoke", Some((503, json!({}))));
    let form = ana.get("/account/connections").await.form("/account/connections/remove");
    let page = ana.submit(&form).await;
    assert!(page.words().contains("Taken back. Mail is no longer used as you."), "{}", page.words());
    wants_a_link(&world.call(&token).await);
    second.catch_up().await;
    wants_a_link(&world.send(&second, &token, &call()).await);
    world.give_back().await;
    assert_eq!(world.there.forms("/revoke").len(), 1);
    // Not at once again, and not for ever.
    world.give_back().await;
    assert_eq!(world.there.forms("/revoke").len(), 1);
    world.there.instead("/revoke", None);
    world.node.advance(60).await;
    world.give_back().await;
    let form = world.there.forms("/revoke").pop().unwrap();
    assert_eq!(
        (form["token"].as_str(), form["token_type_hint"].as_str()),
        ("upstream-refresh-2", "refresh_token")
    );
    assert_eq!(world.node.audited(AuditKind::UpstreamRevoked).await, 1);
    world.node.advance(4_000).await;
    world.give_back().await;
    assert_eq!(world.there.forms("/revoke").len(), 2, "once it is done it is done");
}

#[actix_web::test]
async fn whoever_leaves_and_whatever_is_removed_leaves_nothing_behind_there() {
    let world = world().await;
    let caller = Caller::command_line();
    let core = &world.node.core;
    let browsers = [world.browser(EMAIL).await, world.browser(BOB).await];
    for (browser, who) in browsers.iter().zip(["ana-there", "bob-there"]) {
        world.connect(browser, who).await;
    }
    let revoked = async || {
        world.give_back().await;
        world.there.forms("/revoke").len()
    };
    let bob = people::find(core, BOB).await.unwrap();
    offboard::offboard(core, &caller, By::command_line(), bob.id, String::new()).await.unwrap();
    assert_eq!(revoked().await, 1);
    erase::erase(core, &caller, By::command_line(), bob.id).await.unwrap();
    // Connected anew, with another account: the first one is given back.
    world.connect(&browsers[0], "ana-there-too").await;
    assert_eq!(revoked().await, 2);
    assert!(connections::disconnect(core, &caller, &world.uri, EMAIL).await.unwrap());
    assert!(!connections::disconnect(core, &caller, &world.uri, EMAIL).await.unwrap());
    assert_eq!(revoked().await, 3);
    world.connect(&browsers[0], "ana-there").await;
    assert!(vault::clear(core, &caller, &world.uri).await.unwrap());
    assert_eq!(revoked().await, 4);
    world.set(oauth()).await.unwrap();
    world.connect(&browsers[0], "ana-there").await;
    resources::remove(core, &caller, &world.uri).await.unwrap();
    assert_eq!(revoked().await, 5);
    assert!(core.store.lookup(postern::storage::connections::ways).await.unwrap().is_empty());
}

#[actix_web::test]
async fn a_renewal_that_comes_after_the_person_has_left_is_given_back_too() {
    let world = world().await;
    let ana = world.browser(EMAIL).await;
    world.connect(&ana, "ana-there").await;
    world.node.advance(590).await;
    let token = world.token(&ana).await;
    let (go, signal) = channel();
    world.there.waits_for(signal);
    let before = world.there.forms("/token").len();
    let leaves = async {
        while world.there.forms("/token").len() == before {
            tokio::task::yield_now().await;
        }
        connections::disconnect(&world.node.core, &Caller::command_line(), &world.uri, EMAIL).await.unwrap();
        drop(go);
    };
    let (answer, ()) = tokio::join!(world.call(&token), leaves);
    wants_a_link(&answer);
    world.give_back().await;
    let tokens: Vec<String> =
        world.there.forms("/revoke").into_iter().map(|mut form| form.remove("token").unwrap()).collect();
    // The one it had, and the one that came too late.
    for token in ["upstream-refresh-2", "upstream-refresh-3"] {
        assert!(tokens.iter().any(|sent| sent == token), "{tokens:?}");
    }
}

#[actix_web::test]
async fn the_issuers_word_is_exchanged_for_a_token_of_the_persons() {
    for (kind, grant, named, typ) in [
        (AuthKind::IdJag, "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", "oauth-id-jag+jwt"),
        (AuthKind::Exchange, "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", "JWT"),
    ] {
        let world = unset().await;
        let new = NewAuth {
            kind,
            client_id: Some("gateway".to_owned()),
            secret: Some(Secret::new("a secret of ours: ä%+".to_owned())),
            ..oauth()
        };
        world.set(new).await.unwrap();
        let ana = world.browser(EMAIL).await;
        let token = world.token(&ana).await;
        let (go, signal) = channel();
        world.there.waits_for(signal);
        let calls = futures_util::future::join_all((0..8).map(|_| world.call(&token)));
        let release = async {
            go.send(()).unwrap();
            drop(go);
        };
        let (answers, ()) = tokio::join!(calls, release);
        for answer in answers {
            assert!(said(&answer).starts_with(&format!("you are {EMAIL}")), "{}", answer.text);
        }
        assert_eq!(world.there.forms("/token").len(), 1, "one asks for all who wait");
        world.call(&token).await;
        let forms = world.there.forms("/token");
        assert_eq!(forms.len(), 1, "what is known is used");
        let form = &forms[0];
        assert_eq!(
            (form["grant_type"].as_str(), form["resource"].as_str()),
            (grant, world.there.url.as_str())
        );
        let word = &form[named];
        let claims = verified(&world.node, word).await;
        assert_eq!(header_of(word)["typ"], typ);
        assert_eq!((&claims["aud"], &claims["client_id"]), (&json!(world.there.issuer), &json!("gateway")));
        assert_eq!(claims["sub"], claims_of(&token)["sub"]);
        assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 60);
        // It opens nothing here: it is no access token.
        assert_eq!(world.call(word).await.status, 401);
        assert!(!world.node.is_active(word).await);
        // A time after, it is asked for anew; whoever is switched off gets no word.
        world.node.advance(595).await;
        let token = world.token(&ana).await;
        world.call(&token).await;
        assert_eq!(world.there.forms("/token").len(), 2);
        world.there.forgets_all();
        world.there.instead("/token", Some((400, json!({"error": "invalid_client"}))));
        assert_eq!(world.call(&token).await.status, 502);
        assert!(!world.node.database().holds("a secret of ours"));
    }
}

#[actix_web::test]
async fn what_the_other_side_lacks_is_said_when_it_is_set() {
    let world = unset().await;
    let refused = async |new: NewAuth| match world.set(new).await {
        Err(OrderError::Bad(why)) => why,
        other => panic!("{other:?}"),
    };
    let there = &world.there;
    // Whoever says that it is somebody else's server would be given tokens for that one.
    there.is_protected("resource", json!("https://bank.example/mcp"));
    assert!(refused(oauth()).await.contains("tokens for another server are not asked for"));
    there.is_protected("resource", json!(there.url));
    there.is_protected("authorization_servers", json!([there.issuer, "https://other.example"]));
    assert!(refused(oauth()).await.contains("choose with --issuer"));
    there.is_protected("authorization_servers", json!([]));
    assert!(refused(oauth()).await.contains("give its issuer with --issuer"));
    there.is_protected("authorization_servers", json!([there.issuer]));
    there.describes_itself("issuer", json!("https://evil.example"));
    assert!(refused(oauth()).await.contains("have to be the same"));
    there.describes_itself("issuer", json!(there.issuer));
    there.describes_itself("code_challenge_methods_supported", json!(["plain"]));
    assert!(refused(oauth()).await.contains("PKCE"));
    there.describes_itself("code_challenge_methods_supported", json!(["S256"]));
    there.describes_itself("registration_endpoint", Value::Null);
    assert!(refused(oauth()).await.contains("/gateway/callback"));
    let id_jag = NewAuth { kind: AuthKind::IdJag, ..oauth() };
    assert!(refused(id_jag.clone()).await.contains("--client-id"));
    there.describes_itself("grant_types_supported", json!(["authorization_code"]));
    let given = NewAuth { client_id: Some("gateway".to_owned()), ..id_jag };
    assert!(refused(given).await.contains("jwt-bearer"));
    let secret = NewAuth { secret: Some(Secret::new("x".to_owned())), ..oauth() };
    assert!(refused(secret).await.contains("--client-id"));
    let words = NewAuth { scopes: vec!["two words".to_owned()], ..oauth() };
    assert!(refused(words).await.contains("scope"));
    there.describes_itself("token_endpoint", json!("ftp://x.example/token"));
    let given = NewAuth { client_id: Some("gateway".to_owned()), ..oauth() };
    assert!(refused(given.clone()).await.contains("cannot be used"));
    there.describes_itself("token_endpoint", json!(format!("{}/token", there.issuer)));
    assert_eq!(world.set(given).await.unwrap().client_id, "gateway");
}

#[actix_web::test]
async fn only_an_administrator_leads_the_gateway_to_a_private_address() {
    let world = unset().await;
    let mut policy = world.node.core.policy.clone();
    policy.allow_private_networks = false;
    let strict = world.node.second_with(policy);
    let caller = Caller::command_line();
    let found = upstream_auth::set(&strict.core, &caller, &world.uri, oauth()).await;
    assert!(matches!(found, Err(OrderError::Bad(_))), "named by the server alone");
    let named = NewAuth { issuer: Some(world.there.issuer.clone()), ..oauth() };
    upstream_auth::set(&strict.core, &caller, &world.uri, named).await.unwrap();
}

#[actix_web::test]
async fn the_gateway_says_who_it_is_and_its_tokens_are_their_owners() {
    let world = world().await;
    let document = world.node.get("/gateway/client.json").await;
    assert_eq!(document.body["client_id"], format!("{}/gateway/client.json", world.node.issuer()));
    assert_eq!(document.body["redirect_uris"], json!([format!("{}/gateway/callback", world.node.issuer())]));
    for browser in [world.browser(EMAIL).await, world.browser(BOB).await] {
        world.connect(&browser, "somebody").await;
    }
    // Whoever can write to the database gives one person's tokens to the other.
    world.node.database().tamper(
        "UPDATE upstream_connection SET sealed_key = (SELECT sealed_key FROM upstream_connection ORDER BY user_id LIMIT 1), \
         sealed_tokens = (SELECT sealed_tokens FROM upstream_connection ORDER BY user_id LIMIT 1)",
    );
    let fresh = Arc::new(world.node.second());
    let mut statuses = Vec::new();
    for email in [EMAIL, BOB] {
        let token = world.token(&world.browser(email).await).await;
        statuses.push(world.send(&fresh, &token, &call()).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 500]);
}
