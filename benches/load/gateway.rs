//! Calls of a tool through the gateway, and straight to the server behind it.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern::config::Config;
use postern::flow::core::Caller;
use postern::flow::grant_tokens::{self, NewGrantToken};
use postern::flow::resources::{self, NewResource};
use postern::flow::vault::{self, NewCredential};
use postern::types::key::SigningAlg;
use postern::types::policy::{CALLS_A_MINUTE, CALLS_AT_ONCE};
use postern::types::random::SystemRng;
use postern::types::resource::ClientRule;
use postern::types::secret::Secret;
use postern::types::time::SystemClock;
use serde_json::{Value, json};

use super::http::{Connection, Reply, request};
use super::measure::Worker;
use super::seed::EMAIL;
use super::server::Installation;

/// Approvals, each with a token: one alone may not call so often.
const TOKENS: usize = 400;
/// Tools that the server lists.
const TOOLS: usize = 500;

/// A tool whose answer is a stream that lasts.
const LASTS: &str = "read499";

/// Streams of the server behind the gateway, on which nothing ever comes.
static LISTENING: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());

/// A server behind the gateway, and tokens for it.
#[derive(Clone)]
pub struct Gate {
    pub upstream: SocketAddr,
    tokens: Arc<Mutex<VecDeque<String>>>,
}

/// Puts a server behind the gateway of an installation that does not run.
pub fn gate(installation: &Installation) -> Gate {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tokens = runtime.block_on(async {
        let config = Config::load(None, installation.settings.clone(), &installation.folder).unwrap();
        let core = postern::run::open(&config, Arc::new(SystemClock), Arc::new(SystemRng)).await.unwrap();
        let me = Caller::command_line();
        let uri = core.policy.issuer.url("/mcp/bench");
        let server = NewResource {
            uri: uri.clone(),
            name: "Bench".to_owned(),
            scopes: resources::gated_scopes(),
            access_token_ttl: None,
            signing_alg: SigningAlg::ES256,
            is_default: false,
            client_rule: ClientRule::Anyone,
            second_factor_required: false,
            slug: Some("bench".to_owned()),
            upstream: Some(format!("http://{upstream}/mcp")),
        };
        resources::add(&core, &me, server).await.unwrap();
        let key = NewCredential::Header("X-Api-Key".to_owned(), Secret::new("a-key-of-the-bench".to_owned()));
        vault::set(&core, &me, &uri, key).await.unwrap();
        let mut tokens = VecDeque::new();
        for at in 0..TOKENS {
            let new = NewGrantToken {
                user: EMAIL.to_owned(),
                resource: uri.clone(),
                name: format!("driver {at}"),
                scopes: vec!["tools:read".to_owned(), "tools:write".to_owned()],
                tools: Vec::new(),
                ttl: Duration::from_secs(86_400),
            };
            tokens.push_back(grant_tokens::create(&core, &me, new).await.unwrap().1.expose().to_owned());
        }
        tokens
    });
    Gate { upstream, tokens: Arc::new(Mutex::new(tokens)) }
}

/// The smallest MCP server that answers: it lists tools, and says the same to every call.
fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let tools: Vec<Value> = (0..TOOLS)
        .map(|at| {
            let name = if at == 0 { "write".to_owned() } else { format!("read{at}") };
            json!({
                "name": name,
                "description": "A tool of the bench, with a description as long as they are.",
                "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
                "annotations": {"readOnlyHint": at > 0, "destructiveHint": false},
            })
        })
        .collect();
    let list = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).to_string();
    let called =
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "done"}]}});
    let called = called.to_string();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut length, mut listens) = (0, false);
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => listens |= line.starts_with("GET "),
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        if listens {
            return begin(stream);
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let asked = String::from_utf8_lossy(&body);
        if asked.contains(LASTS) {
            return begin(stream);
        }
        let asks_for_list = asked.contains("tools/list");
        let answer = if asks_for_list { &list } else { &called };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

/// Begins an event stream. It stays open for as long as the bench runs, and no thread waits for it.
fn begin(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(format!("{head}8\r\n: open\n\n\r\n").as_bytes()).is_ok() {
        LISTENING.lock().unwrap().push(stream);
    }
}

fn message(token: Option<&str>, method: &str, params: &Value) -> Vec<u8> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", "2025-11-25"),
    ];
    headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
    request("POST", if token.is_some() { "/mcp/bench" } else { "/mcp" }, &headers, &body)
}

fn call(token: Option<&str>, tool: &str) -> Vec<u8> {
    message(token, "tools/call", &json!({"name": tool, "arguments": {"text": "some words"}}))
}

/// The same call, under one approval after the other.
struct Calls {
    gate: Gate,
    tool: &'static str,
    left: usize,
    request: Vec<u8>,
}

impl Worker for Calls {
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.left == 0 {
            let token =
                self.gate.tokens.lock().unwrap().pop_front().expect("approvals that are left: fewer seconds");
            self.request = match self.tool {
                "" => message(Some(&token), "tools/list", &json!({})),
                tool => call(Some(&token), tool),
            };
            self.left = CALLS_A_MINUTE - 1;
        }
        self.left -= 1;
        Some(self.request.clone())
    }

    fn answered(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// Straight to the server.
struct Direct(Vec<u8>);

impl Worker for Direct {
    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }

    fn answered(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// Workers that call through the gateway; the list of tools when `tool` is empty.
pub fn through(gate: &Gate, address: SocketAddr, clients: usize, tool: &'static str) -> Vec<Box<dyn Worker>> {
    note_tools(gate, address);
    let one =
        || Box::new(Calls { gate: gate.clone(), tool, left: 0, request: Vec::new() }) as Box<dyn Worker>;
    std::iter::repeat_with(one).take(clients).collect()
}

/// The first list is noted, and every later call goes by it.
pub fn note_tools(gate: &Gate, address: SocketAddr) {
    let token = gate.tokens.lock().unwrap().pop_front().unwrap();
    let list = message(Some(&token), "tools/list", &json!({}));
    assert_eq!(Connection::to(address).exchange(&list).unwrap().status, 200);
}

/// Opens so many streams through the gateway, every other one in answer to a call, and waits until each has shown its first
/// event; as long as what is returned lives, so do they.
pub fn listen(gate: &Gate, address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let tokens: Vec<String> = gate.tokens.lock().unwrap().drain(..count.div_ceil(CALLS_AT_ONCE)).collect();
    let open = |token: &str, calls: bool| {
        let authorization = format!("Bearer {token}");
        let headers = [("Accept", "text/event-stream"), ("Authorization", &*authorization)];
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let listens = || request("GET", "/mcp/bench", &headers, "");
        stream.write_all(&if calls { call(Some(token), LASTS) } else { listens() }).unwrap();
        let (mut seen, mut part) = (Vec::new(), [0; 1024]);
        while !seen.windows(6).any(|window| window == b": open") {
            let read = stream.read(&mut part).unwrap_or_default();
            assert!(read > 0, "the first event of a stream: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&part[..read]);
        }
        stream
    };
    (0..count).map(|at| open(&tokens[at / CALLS_AT_ONCE], at % 2 == 1)).collect()
}

/// Workers that call without it.
pub fn direct(clients: usize, tool: &str) -> Vec<Box<dyn Worker>> {
    let request = if tool.is_empty() { message(None, "tools/list", &json!({})) } else { call(None, tool) };
    std::iter::repeat_with(|| Box::new(Direct(request.clone())) as Box<dyn Worker>).take(clients).collect()
}
