//! A mail server on this computer that keeps what it is given, and can be told to refuse (RFC 5321).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use postern::types::mail::{AlertsTo, MailPolicy, MailRoute, SmtpSecurity, SmtpServer};

/// A mail that arrived: for whom, and its text with the soft line breaks undone.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub to: Vec<String>,
    pub text: String,
}

#[derive(Default)]
struct State {
    arrived: Vec<Arrived>,
    tries: usize,
    refuses: bool,
}

pub struct MailServer {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl MailServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || converse(stream, &shared));
            }
        });
        Self { port, state }
    }

    /// A policy that sends here.
    pub fn policy(&self, security: SmtpSecurity) -> MailPolicy {
        MailPolicy {
            route: MailRoute::Smtp(SmtpServer {
                host: "127.0.0.1".to_owned(),
                port: self.port,
                security,
                login: None,
            }),
            from: "Postern <auth@example.com>".to_owned(),
            alerts_to: AlertsTo::These(vec!["team@example.com".to_owned()]),
        }
    }

    pub fn refuse(&self, refuses: bool) {
        self.state.lock().unwrap().refuses = refuses;
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.state.lock().unwrap().arrived.clone()
    }

    /// How many mails were begun, whether or not they were taken.
    pub fn tries(&self) -> usize {
        self.state.lock().unwrap().tries
    }
}

fn converse(stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).ok();
    say("220 test ESMTP")?;
    let mut to = Vec::new();
    while let Some(line) = lines.next() {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        match verb.as_str() {
            "EHLO" => say("250 test")?,
            "MAIL" => {
                let refuses = {
                    let mut state = state.lock().unwrap();
                    state.tries += 1;
                    state.refuses
                };
                say(if refuses { "451 later, secret-of-the-server" } else { "250 ok" })?;
            }
            "RCPT" => {
                let address = line.split(['<', '>']).nth(1).unwrap_or_default();
                to.push(address.to_owned());
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let text: Vec<String> = lines.by_ref().take_while(|line| line != ".").collect();
                let text = text.join("\n").replace("=\n", "");
                state.lock().unwrap().arrived.push(Arrived { to: std::mem::take(&mut to), text });
                say("250 taken")?;
            }
            "QUIT" => {
                say("221 bye")?;
                return Some(());
            }
            _ => say("250 ok")?,
        }
    }
    Some(())
}
