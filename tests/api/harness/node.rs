//! A node of the issuer, composed through the library and served on a socket of its own.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use postern::app::{Parts, audit_key, compose};
use postern::crypto::roots::Roots;
use postern::crypto::seal::MasterKey;
use postern::flow::core::{Caller, Core};
use postern::flow::people::NewUser;
use postern::flow::resources::NewResource;
use postern::flow::stdio::Place;
use postern::flow::{keys, live, people, resources};
use postern::server::{Serving, serve};
use postern::storage::Store;
use postern::telemetry::Metrics;
use postern::types::issuer::Issuer;
use postern::types::key::SigningAlg;
use postern::types::network::{Network, TrustedProxies};
use postern::types::policy::Policy;
use postern::types::random::SeededRng;
use postern::types::resource::{ClientRule, ResourceScope, Risk};
use postern::types::secret::Secret;
use postern::types::time::{Clock as _, ManualClock, Timestamp};
use postern::types::user::Role;
use postern::web::site::{Brand, Site};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Map, Value, json};

use super::app::App;
use super::database::Database;
use super::{EMAIL, NOTES, PASSWORD};

/// The master key of every node, unless it is given another.
pub const MASTER: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static SEED: AtomicU64 = AtomicU64::new(1);

/// A running node. It stops when dropped.
pub struct Node {
    pub core: Arc<Core>,
    /// Where it is reached, with the issuer's path.
    pub base: String,
    pub clock: ManualClock,
    pub database: Arc<Database>,
    /// The credentials with which the server at [`NOTES`] may introspect.
    pub notes: (String, String),
    http: Client,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// A node with a person and an MCP server.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with another policy.
    pub async fn with(change: impl FnOnce(&mut Policy)) -> Self {
        let mut node = Self::bare("", change);
        node.add_person(EMAIL, PASSWORD).await;
        node.notes = node.add_resource(NOTES, |_| {}).await;
        node
    }

    /// An empty node whose issuer has this path.
    pub fn bare(path: &str, change: impl FnOnce(&mut Policy)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}{path}", listener.local_addr().unwrap());
        let mut policy = Policy::new(Issuer::parse(&issuer).unwrap());
        change(&mut policy);
        let clock = ManualClock::new(Timestamp::from_seconds(1_795_000_000));
        launch(listener, Arc::new(Database::fresh()), clock, policy, TrustedProxies::default())
    }

    /// [`Node::start`] on a database from before there were root keys: its signing keys are sealed under the master key
    /// itself.
    pub async fn inherited() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let policy = Policy::new(Issuer::parse(&issuer).unwrap());
        let clock = ManualClock::new(Timestamp::from_seconds(1_795_000_000));
        let (database, rng) = (Arc::new(Database::fresh()), SeededRng::new(7));
        let before = Roots::of(MasterKey::from_base64(MASTER).unwrap());
        let (store, _) = Store::open(&database.url, audit_key(&before)).unwrap();
        keys::ensure_in(&store, &before, &rng, SigningAlg::ES256, clock.now()).await.unwrap();
        drop(store);
        let mut node = launch(listener, database, clock, policy, TrustedProxies::default());
        node.add_person(EMAIL, PASSWORD).await;
        node.notes = node.add_resource(NOTES, |_| {}).await;
        node
    }

    /// A second node on the same database that is configured with another master key.
    pub fn second_under(&self, master: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let parts = self.parts(master);
        let mut node = launch_parts(
            listener,
            parts,
            (Arc::clone(&self.database), self.clock.clone()),
            TrustedProxies::default(),
        );
        node.notes.clone_from(&self.notes);
        node
    }

    /// Why a node with this master key does not start.
    pub async fn why_not_under(&self, master: &str) -> String {
        compose(self.parts(master)).await.err().expect("it starts").to_string()
    }

    fn parts(&self, master: &str) -> Parts {
        parts(&self.database, &self.clock, self.core.policy.clone(), master)
    }

    /// A node that believes what this machine says of where a request comes from.
    pub async fn behind_proxy() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let policy = Policy::new(Issuer::parse(&issuer).unwrap());
        let clock = ManualClock::new(Timestamp::from_seconds(1_795_000_000));
        let proxies = TrustedProxies::new(vec![Network::parse("127.0.0.1").unwrap()]);
        let node = launch(listener, Arc::new(Database::fresh()), clock, policy, proxies);
        node.add_person(EMAIL, PASSWORD).await;
        node
    }

    /// Stops this node and starts another on its database, as after an upgrade.
    pub fn restart(self) -> Self {
        self.second()
    }

    /// A second node of the same issuer on the same database.
    pub fn second(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (database, policy) = (Arc::clone(&self.database), self.core.policy.clone());
        let mut node = launch(listener, database, self.clock.clone(), policy, TrustedProxies::default());
        node.notes.clone_from(&self.notes);
        node
    }

    /// A second node whose operator has decided otherwise.
    pub fn second_with(&self, policy: Policy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let database = Arc::clone(&self.database);
        let mut node = launch(listener, database, self.clock.clone(), policy, TrustedProxies::default());
        node.notes.clone_from(&self.notes);
        node
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    pub fn issuer(&self) -> &str {
        self.core.policy.issuer.as_str()
    }

    pub async fn add_person(&self, email: &str, password: &str) {
        let new = NewUser {
            email: email.to_owned(),
            name: None,
            role: Role::Member,
            groups: Vec::new(),
            password: Secret::new(password.to_owned()),
        };
        people::add(&self.core, &Caller::command_line(), new).await.unwrap();
    }

    /// Adds an MCP server; returns its credentials.
    pub async fn add_resource(&self, uri: &str, change: impl FnOnce(&mut NewResource)) -> (String, String) {
        let scope = |name: &str, description: &str, risk, default| ResourceScope {
            name: name.to_owned(),
            description: description.to_owned(),
            risk,
            default,
        };
        let mut new = NewResource {
            uri: uri.to_owned(),
            name: "Team notes".to_owned(),
            scopes: vec![
                scope("notes:read", "Read your notes", Risk::Reads, true),
                scope("notes:write", "Write and change notes", Risk::Changes, false),
            ],
            access_token_ttl: None,
            signing_alg: SigningAlg::ES256,
            is_default: false,
            client_rule: ClientRule::Anyone,
            second_factor_required: false,
            slug: None,
            upstream: None,
        };
        change(&mut new);
        let (resource, secret) = resources::add(&self.core, &Caller::command_line(), new).await.unwrap();
        (resource.client_id, secret.expose().to_owned())
    }

    /// A client that an administrator adds.
    pub async fn add_client(&self, metadata: Value) -> App {
        let Value::Object(members) = metadata else { panic!("metadata is an object") };
        let members: Map<String, Value> = members;
        let caller = Caller::command_line();
        let answer =
            postern::flow::client_admin::add(&self.core, &caller, &members, Vec::new()).await.unwrap();
        App::from_registration(answer)
    }

    /// A client that registers itself: public, with refresh tokens.
    pub async fn register(&self, redirect_uri: &str) -> App {
        let answer = self
            .post_json(
                "/register",
                &json!({
                    "client_name": "Inspector",
                    "redirect_uris": [redirect_uri],
                    "grant_types": ["authorization_code", "refresh_token"],
                    "token_endpoint_auth_method": "none",
                }),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        App::from_registration(answer.body)
    }

    /// Moves the time, and lets the node look for changes as its job does every moment.
    pub async fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.catch_up().await;
    }

    /// What the job does that follows changes.
    pub async fn catch_up(&self) {
        live::refresh(&self.core).await.unwrap();
    }

    pub fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.http.request(method.parse().unwrap(), url)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.request("POST", path).form(form)).await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request("POST", path).json(body)).await
    }

    pub async fn token(&self, form: &[(&str, &str)]) -> Answer {
        self.post("/token", form).await
    }

    /// Introspects as the server at [`NOTES`].
    pub async fn introspect(&self, token: &str) -> Value {
        let (id, secret) = &self.notes;
        let request =
            self.request("POST", "/introspect").basic_auth(id, Some(secret)).form(&[("token", token)]);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    pub async fn is_active(&self, token: &str) -> bool {
        self.introspect(token).await["active"] == true
    }

    /// How often something stands in the audit log.
    pub async fn audited(&self, kind: postern::types::audit::AuditKind) -> usize {
        let filter = postern::storage::audit::AuditFilter { kind: Some(kind), ..Default::default() };
        postern::flow::audit::list(&self.core, filter).await.unwrap().len()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn launch(
    listener: TcpListener,
    database: Arc<Database>,
    clock: ManualClock,
    policy: Policy,
    proxies: TrustedProxies,
) -> Node {
    let parts = parts(&database, &clock, policy, MASTER);
    launch_parts(listener, parts, (database, clock), proxies)
}

fn parts(database: &Database, clock: &ManualClock, policy: Policy, master: &str) -> Parts {
    Parts {
        database: database.url.clone(),
        policy,
        master: MasterKey::from_base64(master).unwrap(),
        stdio: Place { folder: database.folder().join("stdio"), search_path: std::env::var("PATH").unwrap() },
        clock: Arc::new(clock.clone()),
        rng: Arc::new(SeededRng::new(SEED.fetch_add(1, Ordering::Relaxed))),
    }
}

fn launch_parts(
    listener: TcpListener,
    parts: Parts,
    (database, clock): (Arc<Database>, ManualClock),
    proxies: TrustedProxies,
) -> Node {
    let base = format!("http://{}{}", listener.local_addr().unwrap(), parts.policy.issuer.path());
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let core = Arc::new(compose(parts).await.unwrap());
            let serving = Serving {
                core: web::Data::from(Arc::clone(&core)),
                site: web::Data::new(Site::new(&core.policy.issuer, Brand::default())),
                proxies: web::Data::new(proxies),
                metrics: web::Data::new(Metrics::default()),
                workers: Some(2),
            };
            let (server, _) = serve(serving, listener).unwrap();
            tell.send((core, server.handle())).unwrap();
            server.await.unwrap();
        });
    });
    let (core, handle) = told.recv().unwrap();
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let notes = (String::new(), String::new());
    Node { core, base, clock, database, notes, http, handle, thread: Some(thread) }
}

/// What an endpoint said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON; null when it is none.
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { status, headers, text, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts an error of RFC 6749 §5.2 in every respect that all of them share.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(code)), "{}", self.text);
        assert!(self.body["error_description"].as_str().is_some_and(|text| text.len() > 10), "{}", self.text);
        assert_eq!(self.header("cache-control"), "no-store");
        assert!(self.header("content-type").starts_with("application/json"));
        assert_eq!(self.headers.contains_key("www-authenticate"), status == 401, "{:?}", self.headers);
    }

    #[track_caller]
    pub fn text_of(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no {member} in {}", self.text)).to_owned()
    }
}
