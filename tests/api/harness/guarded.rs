//! An MCP server behind an authorization server of its own, as the gateway finds one: it takes nothing but tokens that were
//! given for it, each refresh token once, and notes what it was asked.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::app::challenge_of;
use super::mcp::{Seen, read, tool};

#[derive(Default)]
struct State {
    /// Members of its metadata that are different.
    metadata: HashMap<String, Value>,
    protected: HashMap<String, Value>,
    /// Codes, with the challenge of each and for whom.
    codes: HashMap<String, (String, String)>,
    /// Access tokens that count, with whom they are of.
    access: HashMap<String, String>,
    refresh: HashMap<String, String>,
    /// Refresh tokens that were used.
    used: HashSet<String>,
    asked: Vec<Seen>,
    next: usize,
    expires_in: Option<i64>,
    /// The token endpoint answers when something comes, or its other end is gone.
    waits: Option<Arc<Mutex<Receiver<()>>>>,
    /// Instead of what an endpoint would say.
    instead: HashMap<String, (u16, Value)>,
}

/// Both servers. Their threads end with the test.
pub struct Guarded {
    pub issuer: String,
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Guarded {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { expires_in: Some(600), ..State::default() }));
        let (shared, own) = (Arc::clone(&state), issuer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, own) = (Arc::clone(&shared), own.clone());
                std::thread::spawn(move || serve(stream, &own, &shared));
            }
        });
        Self { url: format!("{issuer}/mcp"), issuer, state }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Its metadata says this from now on; null leaves a member out.
    pub fn describes_itself(&self, name: &str, value: Value) {
        self.state().metadata.insert(name.to_owned(), value);
    }

    /// The MCP server's metadata says this from now on.
    pub fn is_protected(&self, name: &str, value: Value) {
        self.state().protected.insert(name.to_owned(), value);
    }

    /// Says this at an endpoint, until nothing is given.
    pub fn instead(&self, path: &str, answer: Option<(u16, Value)>) {
        let mut state = self.state();
        match answer {
            Some(answer) => state.instead.insert(path.to_owned(), answer),
            None => state.instead.remove(path),
        };
    }

    /// Tokens live so long.
    pub fn expires_in(&self, seconds: Option<i64>) {
        self.state().expires_in = seconds;
    }

    /// The token endpoint answers once per message.
    pub fn waits_for(&self, signal: Receiver<()>) {
        self.state().waits = Some(Arc::new(Mutex::new(signal)));
    }

    /// What was asked at a path.
    pub fn asked(&self, path: &str) -> Vec<Seen> {
        let state = self.state();
        state.asked.iter().filter(|seen| seen.path.split('?').next() == Some(path)).cloned().collect()
    }

    /// Forms that were sent to a path.
    pub fn forms(&self, path: &str) -> Vec<HashMap<String, String>> {
        self.asked(path).iter().map(|seen| form(&seen.body)).collect()
    }

    /// Who the calls of tools came for, by their tokens.
    pub fn callers(&self) -> Vec<String> {
        let calls = self.asked("/mcp").into_iter().filter(|seen| seen.json()["method"] == "tools/call");
        calls.filter_map(|seen| seen.header("x-test-whose").map(str::to_owned)).collect()
    }

    /// Every token that was ever given.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.state();
        state.access.keys().chain(state.refresh.keys()).chain(&state.used).cloned().collect()
    }

    /// Access tokens that count no more, though their time is not over.
    pub fn forgets_access(&self) {
        self.state().access.clear();
    }

    /// Nothing that was given counts any more.
    pub fn forgets_all(&self) {
        let mut state = self.state();
        state.access.clear();
        state.refresh.clear();
    }

    /// Somebody allows what the address asks for; the address, at the gateway, to which they are sent back.
    pub fn allow(&self, to: &str, who: &str) -> String {
        let url = reqwest::Url::parse(to).unwrap();
        assert_eq!(url.path(), "/authorize");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(
            (asked["response_type"].as_str(), asked["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!(asked["resource"], self.url);
        let mut state = self.state();
        state.next += 1;
        let code = format!("upstream-code-{}", state.next);
        state.codes.insert(code.clone(), (asked["code_challenge"].clone(), who.to_owned()));
        let mut back = reqwest::Url::parse(&asked["redirect_uri"]).unwrap();
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .append_pair("iss", &self.issuer);
        format!("{}?{}", back.path(), back.query().unwrap())
    }
}

fn form(body: &str) -> HashMap<String, String> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

fn serve(mut stream: TcpStream, issuer: &str, shared: &Mutex<State>) {
    let Some(mut seen) = read(&stream) else { return };
    let path = seen.path.split('?').next().unwrap_or_default().to_owned();
    let bearer =
        seen.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let waits = {
        let mut state = shared.lock().unwrap();
        let whose = bearer.as_ref().and_then(|token| state.access.get(token).cloned());
        seen.headers.extend(whose.map(|whose| ("x-test-whose".to_owned(), whose)));
        state.asked.push(seen.clone());
        (path == "/token").then(|| state.waits.clone()).flatten()
    };
    if let Some(signal) = waits {
        let _ = signal.lock().unwrap().recv();
    }
    let mut state = shared.lock().unwrap();
    let (status, body) = match state.instead.get(&path).cloned() {
        Some(answer) => answer,
        None => state.answer(issuer, &path, &seen),
    };
    drop(state);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let challenge = if status == 401 && path == "/mcp" {
        format!(
            "www-authenticate: Bearer resource_metadata=\"{issuer}/.well-known/oauth-protected-resource/mcp\"\r\n"
        )
    } else {
        String::new()
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{challenge}content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

impl State {
    fn answer(&mut self, issuer: &str, path: &str, seen: &Seen) -> (u16, Value) {
        match path {
            "/.well-known/oauth-protected-resource/mcp" => {
                let known = json!({
                    "resource": format!("{issuer}/mcp"),
                    "authorization_servers": [issuer],
                    "scopes_supported": ["mail:read", "mail:send"],
                });
                (200, with(known, &self.protected))
            }
            "/.well-known/oauth-authorization-server" => {
                let known = json!({
                    "issuer": issuer,
                    "authorization_endpoint": format!("{issuer}/authorize"),
                    "token_endpoint": format!("{issuer}/token"),
                    "revocation_endpoint": format!("{issuer}/revoke"),
                    "registration_endpoint": format!("{issuer}/register"),
                    "code_challenge_methods_supported": ["S256"],
                    "authorization_response_iss_parameter_supported": true,
                    "grant_types_supported": [
                        "authorization_code", "refresh_token",
                        "urn:ietf:params:oauth:grant-type:token-exchange",
                        "urn:ietf:params:oauth:grant-type:jwt-bearer",
                    ],
                });
                (200, with(known, &self.metadata))
            }
            "/register" => {
                let mut client = seen.json();
                client["client_id"] = json!("registered-1");
                client["client_secret"] = json!("registered-secret-1");
                client["token_endpoint_auth_method"] = json!("client_secret_basic");
                (201, client)
            }
            "/token" => self.token(&form(&seen.body)),
            "/revoke" => {
                let token = form(&seen.body)["token"].clone();
                let whose = self.refresh.remove(&token).or_else(|| self.access.get(&token).cloned());
                self.access.retain(|_, of| Some(&*of) != whose.as_ref());
                (200, Value::Null)
            }
            "/mcp" => mcp(seen),
            _ => (404, json!({})),
        }
    }

    fn token(&mut self, form: &HashMap<String, String>) -> (u16, Value) {
        let refused = (400, json!({"error": "invalid_grant", "error_description": "no such thing"}));
        let of = |name: &str| form.get(name).cloned().unwrap_or_default();
        let whose = match of("grant_type").as_str() {
            "authorization_code" => match self.codes.remove(&of("code")) {
                Some((challenge, whose)) if challenge == challenge_of(&of("code_verifier")) => whose,
                _ => return refused,
            },
            "refresh_token" => {
                let token = of("refresh_token");
                let Some(whose) = self.refresh.remove(&token) else {
                    // Used twice: whoever has it may have stolen it.
                    if self.used.contains(&token) {
                        self.refresh.clear();
                        self.access.clear();
                    }
                    return refused;
                };
                self.used.insert(token);
                whose
            }
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => subject(&of("assertion")),
            "urn:ietf:params:oauth:grant-type:token-exchange" => subject(&of("subject_token")),
            _ => return (400, json!({"error": "unsupported_grant_type"})),
        };
        self.next += 1;
        let (access, refresh) =
            (format!("upstream-access-{}", self.next), format!("upstream-refresh-{}", self.next));
        self.access.insert(access.clone(), whose.clone());
        let mut answer = json!({"access_token": access, "token_type": "Bearer"});
        if !of("grant_type").starts_with("urn:") {
            self.refresh.insert(refresh.clone(), whose);
            answer["refresh_token"] = json!(refresh);
        }
        if let Some(seconds) = self.expires_in {
            answer["expires_in"] = json!(seconds);
        }
        (200, answer)
    }
}

fn mcp(seen: &Seen) -> (u16, Value) {
    let Some(whose) = seen.header("x-test-whose") else { return (401, json!({})) };
    let message = seen.json();
    let result = match message["method"].as_str().unwrap_or_default() {
        "tools/list" => json!({"tools": [tool("look", Some(json!({"readOnlyHint": true})))]}),
        "tools/call" => {
            let said = seen.header("authorization").unwrap_or_default();
            json!({"content": [{"type": "text", "text": format!("you are {whose}, and showed {said}")}]})
        }
        _ => json!({}),
    };
    (200, json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}

/// Whom a word that was given for somebody is about. Whether it is signed, the test looks at.
fn subject(jwt: &str) -> String {
    super::claims_of(jwt)["email"].as_str().unwrap_or_default().to_owned()
}

fn with(mut known: Value, other: &HashMap<String, Value>) -> Value {
    for (name, value) in other {
        match value {
            Value::Null => known.as_object_mut().unwrap().remove(name).map(drop).unwrap_or_default(),
            value => known[name] = value.clone(),
        }
    }
    known
}
