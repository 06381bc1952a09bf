//! The smallest HTTP/1.1 client that can tell what was answered from what was not: one connection, kept alive.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer that came whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| member(line, name))
    }

    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.head.lines().skip(1).filter_map(move |line| member(line, name))
    }
}

fn member<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = line.split_once(':')?;
    key.eq_ignore_ascii_case(name).then(|| value.trim())
}

/// A connection; opened when first needed, and again after the server has closed it.
pub struct Connection {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub fn to(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Sends a request and waits for its answer. An error says that the outcome is unknown.
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        let outcome = self.try_exchange(request);
        let closes =
            |reply: &Reply| reply.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
        if outcome.as_ref().map_or(true, closes) {
            self.stream = None;
        }
        outcome
    }

    fn try_exchange(&mut self, request: &[u8]) -> io::Result<Reply> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            self.stream = Some(BufReader::with_capacity(16 * 1024, stream));
        }
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.get_mut().write_all(request)?;
        let mut head = String::new();
        loop {
            let before = head.len();
            if stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if head.len() - before <= 2 {
                break;
            }
        }
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let mut reply = Reply { status, head, body: Vec::new() };
        let length: usize = match reply.header("content-length") {
            Some(text) => text.parse().map_err(|_| bad())?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err(bad()),
        };
        reply.body.resize(length, 0);
        stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }
}

/// The bytes of a request.
pub fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        text.extend([*name, ": ", *value, "\r\n"]);
    }
    if method != "GET" {
        text.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

/// The bytes of a form that is posted.
pub fn form(target: &str, headers: &[(&str, &str)], pairs: &[(&str, &str)]) -> Vec<u8> {
    let body = encode(pairs);
    let mut all = vec![("Content-Type", "application/x-www-form-urlencoded")];
    all.extend_from_slice(headers);
    request("POST", target, &all, &body)
}

pub fn encode(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `Authorization: Basic` (RFC 6749 §2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}")))
}
