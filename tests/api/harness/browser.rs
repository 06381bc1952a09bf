//! A browser without JavaScript: it keeps cookies, follows our redirects, and sends forms as they stand on the page.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::cookie::Jar;
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use scraper::{Html, Selector};
use url::Url;

use super::app::Ask;
use super::node::Node;
use super::{EMAIL, PASSWORD};

/// A person's browser at one node.
#[derive(Clone)]
pub struct Browser {
    base: String,
    http: Client,
    jar: Arc<Jar>,
}

/// What it shows.
#[derive(Clone, Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub url: Url,
    pub text: String,
}

/// A form as it stands on the page, with what a person changes in it.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Browser {
    pub fn new(node: &Node) -> Self {
        let jar = Arc::new(Jar::default());
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_provider(Arc::clone(&jar))
            .build()
            .unwrap();
        Self { base: node.base.clone(), http, jar }
    }

    /// A browser in which the person of the tests is signed in.
    pub async fn signed_in(node: &Node) -> Self {
        let browser = Self::new(node);
        let page = browser.sign_in(EMAIL, PASSWORD).await;
        assert_eq!(page.status, 303, "{}", page.text);
        browser
    }

    /// The cookies it would send, by name.
    pub fn cookies(&self) -> HashMap<String, String> {
        use reqwest::cookie::CookieStore as _;
        let header = self.jar.cookies(&Url::parse(&self.base).unwrap());
        let text = header.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        text.split("; ")
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The value of the cookie whose name has this in it.
    pub fn cookie(&self, part: &str) -> Option<String> {
        self.cookies().into_iter().find(|(name, _)| name.contains(part)).map(|(_, value)| value)
    }

    /// Plants a cookie, as an attacker on a sister domain could.
    pub fn plant(&self, name: &str, value: &str) {
        self.jar.add_cookie_str(&format!("{name}={value}; Path=/"), &Url::parse(&self.base).unwrap());
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = Url::parse(&self.base).unwrap().join(path).unwrap();
        let url = if path.starts_with('/') && !path.starts_with(Url::parse(&self.base).unwrap().path()) {
            format!("{}{path}", self.base).parse().unwrap()
        } else {
            url
        };
        self.http.request(method.parse().unwrap(), url).header("accept", "text/html")
    }

    pub async fn send(&self, request: RequestBuilder) -> Page {
        let response = request.send().await.unwrap();
        Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            url: response.url().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Page {
        self.send(self.request("GET", path)).await
    }

    /// Sends a form without following what it answers.
    pub async fn submit(&self, form: &Form) -> Page {
        self.send(self.request("POST", &form.action).form(&form.fields)).await
    }

    /// Follows redirects as long as they stay here.
    pub async fn follow(&self, mut page: Page) -> Page {
        for _ in 0..10 {
            let Some(to) = page.location() else { return page };
            let to = page.url.join(&to).unwrap();
            if !to.as_str().starts_with(&self.base) {
                return page;
            }
            page = self.get(to.as_str()).await;
        }
        panic!("a loop of redirects: {page:?}")
    }

    /// Opens an authorization request.
    pub async fn open(&self, ask: &Ask) -> Page {
        let page = self.get(&ask.path()).await;
        self.follow(page).await
    }

    /// Signs in from the sign-in page itself; the answer is not followed.
    pub async fn sign_in(&self, email: &str, password: &str) -> Page {
        let page = self.get("/login").await;
        self.submit(&page.login_form(email, password)).await
    }

    /// Opens a request and signs in where that is asked for; stops at the consent page or at the way back.
    pub async fn reach(&self, ask: &Ask) -> Page {
        let page = self.open(ask).await;
        if !page.has_form("/login") {
            return page;
        }
        let answer = self.submit(&page.login_form(EMAIL, PASSWORD)).await;
        self.follow(answer).await
    }

    /// Allows everything a request asks for; returns the code.
    pub async fn approve(&self, ask: &Ask) -> String {
        let mut page = self.reach(ask).await;
        if page.has_form("/consent") {
            page = self.submit(&page.form("/consent").decide("allow")).await;
        }
        page.callback().remove("code").unwrap_or_else(|| panic!("no code: {page:?}"))
    }
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn location(&self) -> Option<String> {
        (300..400).contains(&self.status).then(|| self.header("location").to_owned())
    }

    /// The parameters with which the browser was sent back to the app, each of which came once.
    #[track_caller]
    pub fn callback(&self) -> HashMap<String, String> {
        let Some(to) = self.location() else { panic!("no redirect: {} {}", self.status, self.text) };
        let mut found = HashMap::new();
        for (name, value) in Url::parse(&to).unwrap().query_pairs() {
            assert!(found.insert(name.to_string(), value.to_string()).is_none(), "{name} twice in {to}");
        }
        found
    }

    pub fn has_form(&self, action: &str) -> bool {
        self.find_form(action).is_some()
    }

    #[track_caller]
    pub fn form(&self, action: &str) -> Form {
        self.find_form(action).unwrap_or_else(|| panic!("no form {action}: {} {}", self.status, self.text))
    }

    pub fn login_form(&self, email: &str, password: &str) -> Form {
        self.form("/login").set("email", email).set("password", password)
    }

    fn find_form(&self, action: &str) -> Option<Form> {
        let html = Html::parse_document(&self.text);
        let inputs = Selector::parse("input").unwrap();
        let form = html.select(&Selector::parse("form").unwrap()).find(|form| {
            form.attr("method") == Some("post") && form.attr("action").unwrap().ends_with(action)
        })?;
        let mut fields = Vec::new();
        for input in form.select(&inputs) {
            let sent = input.attr("type") != Some("checkbox") || input.attr("checked").is_some();
            if let (true, Some(name)) = (sent, input.attr("name")) {
                fields.push((name.to_owned(), input.attr("value").unwrap_or_default().to_owned()));
            }
        }
        Some(Form { action: self.url.join(form.attr("action").unwrap()).unwrap().into(), fields })
    }

    /// What a person reads, with white space folded.
    pub fn words(&self) -> String {
        let html = Html::parse_document(&self.text);
        let body = html.select(&Selector::parse("main").unwrap()).next().unwrap();
        body.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl Form {
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(known, _)| known != name);
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn decide(self, decision: &str) -> Self {
        self.set("decision", decision)
    }

    /// Ticks exactly these boxes.
    pub fn tick(mut self, scopes: &[&str]) -> Self {
        self.fields.retain(|(known, _)| known != "scope");
        self.fields.extend(scopes.iter().map(|scope| ("scope".to_owned(), (*scope).to_owned())));
        self
    }

    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}
