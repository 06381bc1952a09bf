//! The log of a whole flow, as talkative as it can be, holds no secret.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::clients::{BEARER, NOW, key, signed};
use crate::harness::{Answer, App, Browser, EMAIL, NOTES, Node, PASSWORD, VERIFIER, challenge_of};

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Paper {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const WRONG: &str = "wrong-password-of-ana";
const STATE: &str = "state-that-no-log-may-have";

#[tokio::test]
async fn no_secret_is_ever_logged() {
    let paper = Paper::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(paper.clone())
        .try_init()
        .unwrap();
    let mut secrets: BTreeMap<&str, String> = BTreeMap::new();
    let node = Node::start().await;
    secrets.insert("the secret of a resource", node.notes.1.clone());
    let body = json!({
        "redirect_uris": ["https://app.example/cb"],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    });
    let app = App::from_registration(node.post_json("/register", &body).await.body);
    let registration = app.registration["registration_access_token"].as_str().unwrap();
    secrets.insert("a registration access token", registration.to_owned());
    secrets.insert("a client secret", app.secret.clone().unwrap());
    let browser = Browser::new(&node);
    let ask = app.ask().set("state", STATE);
    let page = browser.open(&ask).await;
    secrets.insert("an anti-forgery value", page.form("/login").values("csrf")[0].to_owned());
    secrets.insert("a sealed request", page.form("/login").values("continue")[0].to_owned());
    browser.submit(&page.login_form(EMAIL, WRONG)).await;
    let answer = browser.submit(&page.login_form(EMAIL, PASSWORD)).await;
    let page = browser.follow(answer).await;
    let form = page.form("/consent").decide("allow");
    secrets.insert("a consent request", form.values("request")[0].to_owned());
    secrets.insert("a browser cookie", browser.cookie("browser").unwrap());
    secrets.insert("a session cookie", browser.cookie("session").unwrap());
    let code = browser.submit(&form).await.callback().remove("code").unwrap();
    let tokens = app.redeem(&node, &code).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    let (access, refresh) = (tokens.text_of("access_token"), tokens.text_of("refresh_token"));
    let next = app.refresh(&node, &refresh).await;
    app.refresh(&node, &next.text_of("refresh_token")).await;
    assert!(node.is_active(&access).await);
    node.post(
        "/revoke",
        &[("token", &access), ("client_id", &app.id), ("client_secret", app.secret.as_ref().unwrap())],
    )
    .await;
    // And all that goes wrong: reuse, replay, secrets in the wrong place.
    app.refresh(&node, &refresh).await.is_error(400, "invalid_grant");
    app.redeem(&node, &code).await.is_error(400, "invalid_grant");
    node.get(&format!("/token?code={code}&client_secret={}", app.secret.as_ref().unwrap())).await;
    node.get(&format!("/register/{}", app.id)).await;
    Answer::of(node.request("GET", &format!("/register/{}", app.id)).bearer_auth(registration)).await;
    Answer::of(node.request("POST", "/token").basic_auth(&app.id, app.secret.as_ref()).body("x")).await;
    browser.get(&format!("/authorize?client_id=x&code={code}&state={STATE}")).await;
    let (public, signer) = key("ES256");
    let metadata = json!({
        "client_name": "Keyed", "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [public]},
    });
    let keyed = node.add_client(metadata).await;
    let claims = json!({
        "iss": keyed.id, "sub": keyed.id, "aud": node.issuer(), "exp": NOW + 60, "jti": "a",
    });
    let jwt = signed(&claims, signer.as_ref());
    for _ in 0..2 {
        let form = [
            ("grant_type", "client_credentials"),
            ("resource", NOTES),
            ("client_assertion_type", BEARER),
            ("client_assertion", &jwt),
        ];
        node.token(&form).await;
    }
    let signature = |jwt: &str| jwt.rsplit('.').next().unwrap().to_owned();
    secrets.insert("a password", PASSWORD.to_owned());
    secrets.insert("a password in a form", PASSWORD.replace(' ', "+"));
    secrets.insert("a wrong password", WRONG.to_owned());
    secrets.insert("a state", STATE.to_owned());
    secrets.insert("a code", code);
    secrets.insert("a verifier", VERIFIER.to_owned());
    secrets.insert("a challenge", challenge_of(VERIFIER));
    secrets.insert("an access token", signature(&access));
    secrets.insert("a refreshed access token", signature(&next.text_of("access_token")));
    secrets.insert("a refresh token", refresh);
    secrets.insert("its successor", next.text_of("refresh_token"));
    secrets.insert("an assertion", signature(&jwt));
    let basic = STANDARD.encode(format!("{}:{}", app.id, app.secret.as_ref().unwrap()));
    secrets.insert("a basic header", basic);
    drop(node);
    let log = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert!(log.lines().count() > 20 && log.contains("/token"), "the log was written: {log}");
    // The browser of this test logs its own cookies and the forms it reads; the server has neither.
    let servers = |line: &&str| {
        ![" cookie_store::", " html5ever::", " selectors::"].iter().any(|own| line.contains(own))
    };
    for (what, secret) in &secrets {
        let found: Vec<&str> =
            log.lines().filter(servers).filter(|line| line.contains(secret.as_str())).collect();
        assert!(found.is_empty(), "{what} is in the log: {found:#?}");
    }
}
