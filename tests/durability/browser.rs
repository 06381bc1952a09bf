//! A person's browser: cookies, the sign-in page and the consent page.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use scraper::{Html, Selector};
use sha2::{Digest, Sha256};

use super::http::{Connection, Reply, encode, form, request};
use super::seed::{CALLBACK, EMAIL, PASSWORD, RESOURCE};

/// What a step of the browser led to.
#[derive(Debug)]
pub enum Step {
    /// Back to the client, with a code.
    Code(String),
    /// The consent page; holds the fields that an approval posts.
    Consent(Vec<(String, String)>),
    /// The sign-in page.
    SignIn,
    /// Anything else.
    Other,
}

/// A browser with its cookies.
pub struct Browser {
    address: SocketAddr,
    connection: Connection,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: Connection::to(address), cookies: BTreeMap::new() }
    }

    /// The cookies stay.
    pub fn reconnect(&mut self) {
        self.connection = Connection::to(self.address);
    }

    /// Signs in; `false` when the answer was a refusal.
    pub fn sign_in(&mut self) -> io::Result<bool> {
        let page = self.get("/login")?;
        let csrf = field(&page.text(), "csrf").unwrap_or_default();
        let answer = self
            .post("/login", &[("csrf", &csrf), ("continue", ""), ("email", EMAIL), ("password", PASSWORD)])?;
        Ok(answer.status == 303)
    }

    /// Whether the session still holds.
    pub fn is_signed_in(&mut self) -> io::Result<bool> {
        Ok(self.get("/account")?.status == 200)
    }

    /// Sends a client's authorization request.
    pub fn authorize(&mut self, client_id: &str, verifier: &str) -> io::Result<Step> {
        let query = encode(&[
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge(verifier)),
            ("code_challenge_method", "S256"),
            ("scope", "notes:read notes:write"),
            ("resource", RESOURCE),
            ("state", "s"),
        ]);
        let reply = self.get(&format!("/authorize?{query}"))?;
        Ok(read(&reply))
    }

    /// Approves everything that a consent page shows.
    pub fn approve(&mut self, fields: &[(String, String)]) -> io::Result<Step> {
        let pairs: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let reply = self.post("/consent", &pairs)?;
        Ok(read(&reply))
    }

    fn get(&mut self, target: &str) -> io::Result<Reply> {
        let cookies = self.cookie_header();
        let reply = self.connection.exchange(&request("GET", target, &[("Cookie", &cookies)], ""))?;
        self.keep(&reply);
        Ok(reply)
    }

    fn post(&mut self, target: &str, pairs: &[(&str, &str)]) -> io::Result<Reply> {
        let cookies = self.cookie_header();
        let reply = self.connection.exchange(&form(target, &[("Cookie", &cookies)], pairs))?;
        self.keep(&reply);
        Ok(reply)
    }

    fn cookie_header(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&mut self, reply: &Reply) {
        for line in reply.headers("set-cookie") {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// RFC 7636 §4.2.
pub fn challenge(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn read(reply: &Reply) -> Step {
    if let Some(to) = reply.header("location") {
        if let Some(query) = to.strip_prefix(CALLBACK).and_then(|rest| rest.strip_prefix('?')) {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            if let Some((_, code)) = pairs.find(|(name, _)| name == "code") {
                return Step::Code(code.into_owned());
            }
        }
        if to.contains("/login") {
            return Step::SignIn;
        }
        return Step::Other;
    }
    let page = reply.text();
    match (field(&page, "request"), field(&page, "csrf")) {
        (Some(request), Some(csrf)) if reply.status == 200 => {
            let mut fields = vec![("csrf".to_owned(), csrf), ("request".to_owned(), request)];
            fields.extend(boxes(&page).into_iter().map(|value| ("scope".to_owned(), value)));
            fields.push(("decision".to_owned(), "allow".to_owned()));
            Step::Consent(fields)
        }
        _ => Step::Other,
    }
}

fn field(page: &str, name: &str) -> Option<String> {
    let inputs = Selector::parse(&format!("input[name={name}]")).expect("a selector");
    Html::parse_document(page).select(&inputs).next()?.value().attr("value").map(str::to_owned)
}

fn boxes(page: &str) -> Vec<String> {
    let inputs = Selector::parse("input[name=scope]").expect("a selector");
    Html::parse_document(page)
        .select(&inputs)
        .filter_map(|input| input.value().attr("value"))
        .map(str::to_owned)
        .collect()
}
