//! An app, and what it asks for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::browser::Browser;
use super::node::{Answer, Node};
use super::{NOTES, STATE};

/// The PKCE verifier of every test.
pub const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters.~";

pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// A registered client.
#[derive(Clone, Debug)]
pub struct App {
    pub id: String,
    pub secret: Option<String>,
    pub redirect_uri: String,
    pub registration: Value,
}

impl App {
    pub fn from_registration(registration: Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            id: text(&registration["client_id"]).unwrap(),
            secret: text(&registration["client_secret"]),
            redirect_uri: text(&registration["redirect_uris"][0]).unwrap_or_default(),
            registration,
        }
    }

    /// A client known by the URL of its metadata document.
    pub fn documented(id: &str, redirect_uri: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: None,
            redirect_uri: redirect_uri.to_owned(),
            registration: Value::Null,
        }
    }

    pub fn ask(&self) -> Ask {
        Ask::of(self)
    }

    async fn send(&self, node: &Node, mut form: Vec<(&str, &str)>) -> Answer {
        form.push(("client_id", &self.id));
        if let Some(secret) = &self.secret {
            form.push(("client_secret", secret));
        }
        node.token(&form).await
    }

    pub async fn redeem(&self, node: &Node, code: &str) -> Answer {
        self.redeem_with(node, code, &[]).await
    }

    pub async fn redeem_with(&self, node: &Node, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        form.extend(more);
        self.send(node, form).await
    }

    pub async fn refresh(&self, node: &Node, token: &str) -> Answer {
        self.refresh_with(node, token, &[]).await
    }

    pub async fn refresh_with(&self, node: &Node, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(more);
        self.send(node, form).await
    }

    /// Through sign-in and consent to a code.
    pub async fn code(&self, browser: &Browser) -> String {
        browser.approve(&self.ask()).await
    }

    /// Through sign-in, consent and token endpoint: the whole answer.
    pub async fn tokens(&self, node: &Node, browser: &Browser) -> Answer {
        let code = self.code(browser).await;
        let answer = self.redeem(node, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    }
}

/// An authorization request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub pairs: Vec<(String, String)>,
}

impl Ask {
    pub fn of(app: &App) -> Self {
        let pairs = [
            ("response_type", "code"),
            ("client_id", &app.id),
            ("redirect_uri", &app.redirect_uri),
            ("scope", "notes:read notes:write"),
            ("state", STATE),
            ("resource", NOTES),
            ("code_challenge", &challenge_of(VERIFIER)),
            ("code_challenge_method", "S256"),
        ];
        Self { pairs: pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect() }
    }

    pub fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(known, _)| known != name);
        self
    }

    /// Sends one more parameter, whether it is there already or not.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.pairs.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    pub fn query(&self) -> String {
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.pairs).finish()
    }

    pub fn path(&self) -> String {
        format!("/authorize?{}", self.query())
    }
}
