//! A web server for tests: it answers with the bytes it was given and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

type Answers = dyn Fn(&str) -> String + Send + Sync;

/// A server on a free port of this machine; gone when dropped.
pub(super) struct TestServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TestServer {
    /// Answers every request with these bytes and closes the connection.
    pub(super) fn answering(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::with(move |_| answer.clone())
    }

    /// Sends these bytes and then nothing, on a connection that stays open.
    pub(super) fn hanging_after(start: &str) -> Self {
        let start = start.to_owned();
        Self::start(Arc::new(move |_: &str| start.clone()), true)
    }

    /// Answers by the request's head.
    pub(super) fn with(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(answer), false)
    }

    fn start(answers: Arc<Answers>, hang: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let (asked, stop, kept) = (Arc::clone(&requests), Arc::clone(&stopped), Arc::clone(&open));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let Some(mut stream) = head(stream).map(|(head, stream)| {
                    asked.lock().unwrap().push(head);
                    stream
                }) else {
                    continue;
                };
                let answer = answers(asked.lock().unwrap().last().unwrap());
                // The other side may have given up already.
                let _ = stream.write_all(answer.as_bytes());
                if hang {
                    kept.lock().unwrap().push(stream);
                }
            }
        });
        Self { address, requests, stopped, open, thread: Some(thread) }
    }

    /// The URL of a path on it.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.open.lock().unwrap().clear();
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads up to the empty line; `None` when it is not HTTP (a TLS hello) or breaks off.
fn head(mut stream: TcpStream) -> Option<(String, TcpStream)> {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 1_024];
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).ok()?;
        bytes.extend_from_slice(&buffer[..count]);
        if count == 0 || bytes[0] == 0x16 {
            return None;
        }
    }
    String::from_utf8(bytes).ok().map(|head| (head, stream))
}
