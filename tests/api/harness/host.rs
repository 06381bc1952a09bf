//! A web host of a client: it serves what the test puts there and counts who asks.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// What stands at one path.
#[derive(Clone, Debug)]
pub struct Served {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Served {
    pub fn json(body: &Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.to_string() }
            .header("content-type", "application/json")
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[derive(Default)]
struct State {
    served: HashMap<String, Served>,
    hits: HashMap<String, usize>,
    connections: usize,
}

/// The host. Its thread ends with the test.
pub struct Host {
    pub origin: String,
    state: Arc<Mutex<State>>,
}

impl Host {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.lock().unwrap().connections += 1;
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { origin, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    pub fn put(&self, path: &str, served: Served) {
        self.state.lock().unwrap().served.insert(path.to_owned(), served);
    }

    /// How often a path was asked for.
    pub fn hits(&self, path: &str) -> usize {
        self.state.lock().unwrap().hits.get(path).copied().unwrap_or_default()
    }

    /// How often anybody connected at all.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let served = {
        let mut state = state.lock().unwrap();
        *state.hits.entry(path.clone()).or_default() += 1;
        state.served.get(&path).cloned().unwrap_or_else(|| Served::status(404))
    };
    let tag = served.headers.iter().find(|(name, _)| name == "etag").map(|(_, value)| value.clone());
    let known = headers.iter().any(|line| {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        name.eq_ignore_ascii_case("if-none-match") && Some(value) == tag.as_deref()
    });
    let (status, body) = if known { (304, "") } else { (served.status, served.body.as_str()) };
    let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in &served.headers {
        head.extend([&**name, ": ", &**value, "\r\n"]);
    }
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}
