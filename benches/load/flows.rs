//! The flows that are measured, and what has to be there before the clock starts.

use std::collections::VecDeque;

use std::net::SocketAddr;

use serde_json::json;

use super::browser::{Browser, Step};
use super::gateway::{self, Gate};
use super::http::{Connection, Reply, basic, form, request};
use super::measure::Worker;
use super::seed::{CALLBACK, RESOURCE, Seeded};

/// What a flow is prepared with.
pub struct Prepared<'a> {
    pub address: SocketAddr,
    pub seeded: &'a Seeded,
    pub clients: usize,
    pub seconds: f64,
    pub gate: &'a Gate,
}

pub struct Flow {
    pub name: &'static str,
    /// Whether it goes to the server behind the gateway, for comparison; then the CPU time says nothing.
    pub elsewhere: bool,
    pub prepare: fn(&Prepared<'_>) -> Vec<Box<dyn Worker>>,
}

const fn flow(name: &'static str, prepare: fn(&Prepared<'_>) -> Vec<Box<dyn Worker>>) -> Flow {
    Flow { name, elsewhere: false, prepare }
}

const fn straight(name: &'static str, prepare: fn(&Prepared<'_>) -> Vec<Box<dyn Worker>>) -> Flow {
    Flow { name, elsewhere: true, prepare }
}

pub const FLOWS: [Flow; 11] = [
    flow("discovery", discovery),
    flow("client_credentials", client_credentials),
    flow("introspection", introspection),
    flow("code", code),
    flow("refresh", refresh),
    flow("registration", registration),
    straight("call_direct", |prepared| gateway::direct(prepared.clients, "read1")),
    flow("call_read", |prepared| through(prepared, "read1")),
    flow("call_write", |prepared| through(prepared, "write")),
    straight("list_direct", |prepared| gateway::direct(prepared.clients, "")),
    flow("list", |prepared| through(prepared, "")),
];

fn through(prepared: &Prepared<'_>, tool: &'static str) -> Vec<Box<dyn Worker>> {
    gateway::through(prepared.gate, prepared.address, prepared.clients, tool)
}

const VERIFIER: &str = "a-verifier-of-sufficient-length-for-rfc-7636-section-4-1";

/// Codes that a second of load may use up; preparing them takes longer than redeeming them.
const CODES_A_SECOND: f64 = 2_500.0;

/// The same request, over and over.
struct Same {
    request: Vec<u8>,
    expected: u16,
}

impl Worker for Same {
    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.request.clone())
    }

    fn answered(&mut self, reply: &Reply) {
        assert_eq!(reply.status, self.expected, "{}", reply.text());
    }
}

fn same(prepared: &Prepared<'_>, request: &[u8]) -> Vec<Box<dyn Worker>> {
    let one = || Box::new(Same { request: request.to_vec(), expected: 200 }) as Box<dyn Worker>;
    std::iter::repeat_with(one).take(prepared.clients).collect()
}

fn discovery(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    same(prepared, &request("GET", "/.well-known/oauth-authorization-server", &[], ""))
}

fn client_credentials(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    same(
        prepared,
        &token_request(prepared.seeded, &[("grant_type", "client_credentials"), ("resource", RESOURCE)]),
    )
}

fn introspection(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    let get = token_request(prepared.seeded, &[("grant_type", "client_credentials"), ("resource", RESOURCE)]);
    let reply = Connection::to(prepared.address).exchange(&get).unwrap();
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let resource = &prepared.seeded.resource;
    let authorization = basic(&resource.id, &resource.secret);
    let ask = form("/introspect", &[("Authorization", &authorization)], &[("token", &token)]);
    assert_eq!(Connection::to(prepared.address).exchange(&ask).unwrap().json()["active"], true);
    same(prepared, &ask)
}

/// One-time requests.
struct Queue(VecDeque<Vec<u8>>);

impl Worker for Queue {
    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.pop_front()
    }

    fn answered(&mut self, reply: &Reply) {
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    }
}

fn code(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    let count = (prepared.seconds * CODES_A_SECOND) as usize;
    let requests: Vec<Vec<u8>> =
        codes(prepared, count).iter().map(|code| redemption(prepared.seeded, code)).collect();
    let share = requests.len().div_ceil(prepared.clients);
    requests
        .chunks(share)
        .map(|chunk| Box::new(Queue(VecDeque::from(chunk.to_vec()))) as Box<dyn Worker>)
        .collect()
}

/// Refreshes one family, each time with the token of the last answer.
struct Chain {
    seeded: Seeded,
    token: String,
}

impl Worker for Chain {
    fn next(&mut self) -> Option<Vec<u8>> {
        Some(token_request(&self.seeded, &[("grant_type", "refresh_token"), ("refresh_token", &self.token)]))
    }

    fn answered(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["refresh_token"].as_str().unwrap().clone_into(&mut self.token);
    }
}

fn refresh(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    let mut connection = Connection::to(prepared.address);
    let chain = |code: &String| {
        let reply = connection.exchange(&redemption(prepared.seeded, code)).unwrap();
        let token = reply.json()["refresh_token"].as_str().expect("a refresh token").to_owned();
        Box::new(Chain { seeded: prepared.seeded.clone(), token }) as Box<dyn Worker>
    };
    codes(prepared, prepared.clients).iter().map(chain).collect()
}

/// Registrations, each from another network: one network may not register so often.
struct Registrations {
    client: usize,
    count: usize,
}

impl Worker for Registrations {
    fn next(&mut self) -> Option<Vec<u8>> {
        self.count += 1;
        let address = format!("2001:db8:{:x}:{:x}::1", self.client, self.count);
        let body = json!({
            "client_name": "Driver",
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", address.as_str())];
        Some(request("POST", "/register", &headers, &body.to_string()))
    }

    fn answered(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
}

fn registration(prepared: &Prepared<'_>) -> Vec<Box<dyn Worker>> {
    (0..prepared.clients)
        .map(|at| {
            Box::new(Registrations { client: prepared.clients * 100 + at, count: 0 }) as Box<dyn Worker>
        })
        .collect()
}

fn token_request(seeded: &Seeded, pairs: &[(&str, &str)]) -> Vec<u8> {
    let authorization = basic(&seeded.client.id, &seeded.client.secret);
    form("/token", &[("Authorization", &authorization)], pairs)
}

fn redemption(seeded: &Seeded, code: &str) -> Vec<u8> {
    token_request(
        seeded,
        &[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ],
    )
}

/// Codes through sign-in and consent; after the first approval the answer comes without a page.
fn codes(prepared: &Prepared<'_>, count: usize) -> Vec<String> {
    let share = count.div_ceil(16);
    let mut codes: Vec<String> = std::thread::scope(|scope| {
        let minting: Vec<_> = (0..16)
            .map(|at| scope.spawn(move || mint(prepared, share.min(count.saturating_sub(share * at)))))
            .collect();
        minting.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    codes.truncate(count);
    codes
}

fn mint(prepared: &Prepared<'_>, count: usize) -> Vec<String> {
    if count == 0 {
        return Vec::new();
    }
    let mut browser = Browser::new(prepared.address);
    assert!(browser.sign_in().unwrap(), "sign-in was refused");
    let client = &prepared.seeded.client.id;
    (0..count)
        .map(|_| {
            let mut step = browser.authorize(client, VERIFIER).unwrap();
            if let Step::Consent(fields) = &step {
                step = browser.approve(fields).unwrap();
            }
            match step {
                Step::Code(code) => code,
                other => panic!("no code but {other:?}"),
            }
        })
        .collect()
}
