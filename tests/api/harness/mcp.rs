//! An MCP server that knows nothing of OAuth, as the gateway finds one: it notes what reaches it, and says what the test
//! wants it to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

struct State {
    tools: Value,
    seen: Vec<Seen>,
    /// Instead of what it would say.
    instead: Option<String>,
    /// What goes out on event streams, and word when their readers have gone.
    events: Option<Receiver<String>>,
    gone: Sender<()>,
}

/// The server. Its threads end with the test.
pub struct Mcp {
    pub url: String,
    state: Arc<Mutex<State>>,
    gone: Receiver<()>,
}

impl Mcp {
    /// With `look` (read-only), `add` (changes), `wipe` (destructive) and `odd` (which does not say).
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let (tell, gone) = channel();
        let tools = json!([
            tool("look", Some(json!({"readOnlyHint": true}))),
            tool("add", Some(json!({"readOnlyHint": false, "destructiveHint": false}))),
            tool("wipe", Some(json!({"destructiveHint": true}))),
            tool("odd", None),
        ]);
        let state = State { tools, seen: Vec::new(), instead: None, events: None, gone: tell };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { url, state, gone }
    }

    /// Lists other tools from now on.
    pub fn tools(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.state.lock().unwrap().tools);
    }

    /// Answers this, raw, from now on.
    pub fn instead(&self, response: Option<String>) {
        self.state.lock().unwrap().instead = response;
    }

    /// The next call is answered with an event stream of what is sent here.
    pub fn stream(&self) -> Sender<String> {
        let (sender, receiver) = channel();
        self.state.lock().unwrap().events = Some(receiver);
        sender
    }

    /// Everything that has arrived.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Calls of tools that have arrived.
    pub fn calls(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.json()["method"] == "tools/call").collect()
    }

    /// Waits until the reader of an event stream has gone.
    pub async fn wait_gone(&self) {
        let gone = async {
            while self.gone.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.expect("the stream is closed");
    }
}

pub fn tool(name: &str, annotations: Option<Value>) -> Value {
    let mut tool = json!({"name": name, "description": "A tool", "inputSchema": {"type": "object"}});
    if let Some(annotations) = annotations {
        tool["annotations"] = annotations;
    }
    tool
}

/// Reads one request; nothing when its sender has gone.
pub(super) fn read(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return None;
    }
    let mut parts = line.split(' ').map(str::to_owned);
    let (method, path) = (parts.next()?, parts.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        headers.push((name.to_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Seen { method, path, headers, body: String::from_utf8(body).unwrap() })
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let Some(seen) = read(&stream) else { return };
    let (message, said) = (seen.json(), seen.header("x-api-key").map(str::to_owned));
    let (tools, instead, events, gone) = {
        let mut state = state.lock().unwrap();
        let is_get = seen.method == "GET";
        state.seen.push(seen);
        let events = if is_get || message["method"] == "tools/call" { state.events.take() } else { None };
        (state.tools.clone(), state.instead.clone(), events, state.gone.clone())
    };
    if let Some(raw) = instead {
        let _ = stream.write_all(raw.as_bytes());
        return;
    }
    if let Some(events) = events {
        let head = "HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        loop {
            // A closed reader shows as soon as something is written or read.
            match events.recv_timeout(std::time::Duration::from_millis(20)) {
                Ok(event) => {
                    if stream.write_all(format!("data: {event}\n\n").as_bytes()).is_err() {
                        break;
                    }
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    stream.set_nonblocking(true).unwrap();
                    let closed = matches!(stream.peek(&mut [0]), Ok(0));
                    stream.set_nonblocking(false).unwrap();
                    if closed {
                        break;
                    }
                }
            }
        }
        let _ = gone.send(());
        return;
    }
    let id = &message["id"];
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x"}})
        }
        "tools/list" => json!({"tools": tools, "ttlMs": 3_600_000, "cacheScope": "public"}),
        // It says what it should keep to itself.
        "tools/call" => {
            json!({"content": [{"type": "text", "text": format!("key {}", said.unwrap_or_default())}]})
        }
        _ => json!({}),
    };
    let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    let session =
        if message["method"] == "initialize" { "mcp-session-id: upstream-session-1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 200 x\r\ncontent-type: application/json\r\nset-cookie: secret=1\r\nx-internal: 1\r\n{session}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
