//! One worker: a person with a browser and the clients they use, doing one thing after the other until the server is
//! gone.

use std::io;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::browser::{Browser, Step};
use super::chance::Chance;
use super::http::{Connection, Reply, basic, form, request};
use super::ledger::{Access, Client, Code, Counts, Family, Fate};
use super::seed::{CALLBACK, RESOURCE, Seeded};

/// The server is gone, or went while a request was under way.
pub struct Gone;

/// A worker with its ledger. What one worker owns no other touches.
pub struct Worker {
    number: u64,
    pub(super) connection: Connection,
    pub(super) browser: Browser,
    pub(super) signed_in: bool,
    pub(super) seeded: Seeded,
    pub(super) chance: Chance,
    pub(super) clients: Vec<Client>,
    /// Codes that were never presented.
    pub(super) waiting: Vec<Code>,
    /// Codes that were presented, and the answer was lost.
    pub(super) doubtful: Vec<Code>,
    pub(super) families: Vec<Family>,
    /// Tokens of the client that stands for itself.
    pub(super) machine: Vec<Access>,
    pub(super) address: SocketAddr,
    pub counts: Counts,
}

impl Worker {
    pub fn new(number: u64, address: SocketAddr, seeded: &Seeded, chance: Chance) -> Self {
        Self {
            number,
            connection: Connection::to(address),
            browser: Browser::new(address),
            signed_in: false,
            seeded: seeded.clone(),
            chance,
            clients: Vec::new(),
            waiting: Vec::new(),
            doubtful: Vec::new(),
            families: Vec::new(),
            machine: Vec::new(),
            address,
            counts: Counts::default(),
        }
    }

    /// Works until a request meets no server.
    pub fn work_until_gone(mut self) -> Self {
        while self.step().is_ok() {}
        self
    }

    /// The clients whose approval was acknowledged and stands.
    pub fn approved(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().filter(|client| client.approved).map(|client| client.id.as_str())
    }

    fn step(&mut self) -> Result<(), Gone> {
        if !self.signed_in {
            return self.sign_in();
        }
        match self.chance.between(0, 100) {
            0..2 => {
                self.signed_in = false;
                self.browser = Browser::new(self.address);
                Ok(())
            }
            2..22 => self.register_and_approve(),
            22..26 => self.approve_again(),
            26..46 => self.redeem_waiting(),
            46..66 => self.refresh_some(),
            66..71 => self.repeat_refresh(),
            71..73 => self.reuse_refresh(),
            73..76 => self.replay_code(),
            76..81 => self.revoke_access(),
            81..85 => self.revoke_refresh(),
            85..87 => self.remove_client(),
            _ => self.client_credentials(),
        }
    }

    fn sign_in(&mut self) -> Result<(), Gone> {
        let outcome = self.browser.sign_in();
        let fine = self.said("sign-in", outcome)?;
        assert!(fine, "a right password was refused");
        self.signed_in = true;
        Ok(())
    }

    fn register_and_approve(&mut self) -> Result<(), Gone> {
        let body = json!({
            "client_name": format!("Worker {}", self.number),
            "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        let network = format!("2001:db8:{:x}:{:x}::1", self.number, self.chance.between(0, 0x1_0000));
        let headers = [("Content-Type", "application/json"), ("X-Forwarded-For", network.as_str())];
        let reply = self.ask("registration", &request("POST", "/register", &headers, &body.to_string()))?;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let answer = reply.json();
        self.clients.push(Client {
            id: text(&answer, "client_id"),
            management: text(&answer, "registration_access_token"),
            fate: Fate::Live,
            approved: false,
        });
        self.approve(self.clients.len() - 1)
    }

    fn approve_again(&mut self) -> Result<(), Gone> {
        let live: Vec<usize> =
            (0..self.clients.len()).filter(|at| self.clients[*at].fate == Fate::Live).collect();
        match self.chance.index(live.len()) {
            Some(at) => self.approve(live[at]),
            None => Ok(()),
        }
    }

    fn approve(&mut self, client: usize) -> Result<(), Gone> {
        let verifier =
            format!("{:016x}{:016x}{:016x}", self.chance.next(), self.chance.next(), self.chance.next());
        let id = self.clients[client].id.clone();
        let outcome = self.browser.authorize(&id, &verifier);
        let mut step = self.said("authorization", outcome)?;
        if let Step::Consent(fields) = step {
            assert!(!self.clients[client].approved, "an acknowledged approval is asked for again");
            let outcome = self.browser.approve(&fields);
            step = self.said("consent", outcome)?;
        }
        let Step::Code(code) = step else { panic!("no code but {step:?}") };
        self.clients[client].approved = true;
        self.waiting.push(Code { client, text: code, verifier });
        Ok(())
    }

    fn redeem_waiting(&mut self) -> Result<(), Gone> {
        let Some(at) = self.chance.index(self.waiting.len()) else { return Ok(()) };
        let code = self.waiting.swap_remove(at);
        self.doubtful.push(code.clone());
        let reply = self.ask("code", &self.redemption(&code))?;
        self.doubtful.pop();
        assert_eq!(reply.status, 200, "a good code: {}", reply.text());
        self.begin_family(code, &reply.json());
        Ok(())
    }

    pub(super) fn begin_family(&mut self, code: Code, answer: &Value) {
        self.families.push(Family {
            code,
            chain: vec![text(answer, "refresh_token")],
            asked: false,
            access: vec![access(answer)],
            fate: Fate::Live,
        });
    }

    fn refresh_some(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let ask = self.refreshing(at, self.families[at].newest());
        self.families[at].asked = true;
        let reply = self.ask("refresh", &ask)?;
        assert_eq!(reply.status, 200, "a good refresh token: {}", reply.text());
        self.advance(at, &reply.json());
        Ok(())
    }

    /// The newest token was answered: its successor is the newest now.
    pub(super) fn advance(&mut self, at: usize, answer: &Value) {
        let family = &mut self.families[at];
        family.asked = false;
        family.chain.push(text(answer, "refresh_token"));
        family.access.push(access(answer));
    }

    /// Presents the predecessor while its successor is unused: the same successor again.
    fn repeat_refresh(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let [.., before, newest] = self.families[at].chain.as_slice() else { return Ok(()) };
        let (ask, newest) = (self.refreshing(at, before), newest.clone());
        let reply = self.ask("refresh repeat", &ask)?;
        assert_eq!(reply.status, 200, "a repeat within the window: {}", reply.text());
        let answer = reply.json();
        assert_eq!(text(&answer, "refresh_token"), newest, "a family has forked");
        self.families[at].access.push(access(&answer));
        Ok(())
    }

    /// Presents a token whose successor has been used: everything that rests on the approval ends.
    fn reuse_refresh(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let [.., old, _, _] = self.families[at].chain.as_slice() else { return Ok(()) };
        let (ask, client) = (self.refreshing(at, old), self.families[at].code.client);
        self.end_approval(client, Fate::Unsure);
        let reply = self.ask("refresh reuse", &ask)?;
        assert_eq!(error(&reply), "invalid_grant", "a reused refresh token");
        self.end_approval(client, Fate::Dead);
        Ok(())
    }

    fn replay_code(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let ask = self.redemption(&self.families[at].code);
        self.families[at].meets(Fate::Unsure);
        let reply = self.ask("code replay", &ask)?;
        assert_eq!(error(&reply), "invalid_grant", "a code redeemed twice");
        self.families[at].meets(Fate::Dead);
        Ok(())
    }

    fn revoke_access(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let live = |access: &Access| access.fate == Fate::Live;
        let Some(which) = self.families[at].access.iter().position(live) else { return Ok(()) };
        let ask = self.revocation(at, &self.families[at].access[which].jwt);
        self.families[at].access[which].fate = Fate::Unsure;
        let reply = self.ask("revoke access", &ask)?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.families[at].access[which].fate = Fate::Dead;
        Ok(())
    }

    fn revoke_refresh(&mut self) -> Result<(), Gone> {
        let Some(at) = self.some_live_family() else { return Ok(()) };
        let ask = self.revocation(at, self.families[at].newest());
        self.families[at].meets(Fate::Unsure);
        let reply = self.ask("revoke refresh", &ask)?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.families[at].meets(Fate::Dead);
        Ok(())
    }

    fn remove_client(&mut self) -> Result<(), Gone> {
        let live: Vec<usize> =
            (0..self.clients.len()).filter(|at| self.clients[*at].fate == Fate::Live).collect();
        let Some(at) = self.chance.index(live.len()).map(|at| live[at]) else { return Ok(()) };
        let ask = self.managing("DELETE", at);
        self.clients[at].fate = Fate::Unsure;
        self.end_approval(at, Fate::Unsure);
        let reply = self.ask("client removal", &ask)?;
        assert_eq!(reply.status, 204, "{}", reply.text());
        self.clients[at].fate = Fate::Dead;
        self.end_approval(at, Fate::Dead);
        Ok(())
    }

    fn client_credentials(&mut self) -> Result<(), Gone> {
        let authorization = basic(&self.seeded.client.id, &self.seeded.client.secret);
        let pairs = [("grant_type", "client_credentials"), ("resource", RESOURCE)];
        let reply =
            self.ask("machine token", &form("/token", &[("Authorization", &authorization)], &pairs))?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        self.machine.push(access(&reply.json()));
        Ok(())
    }

    /// The approval of a client ends, or may have: with it everything that it was the ground of.
    pub(super) fn end_approval(&mut self, client: usize, fate: Fate) {
        self.clients[client].approved = false;
        // Nobody can say what a code is worth whose approval may be gone.
        self.waiting.retain(|code| code.client != client);
        for family in self.families.iter_mut().filter(|family| family.code.client == client) {
            family.meets(fate);
        }
    }

    fn some_live_family(&mut self) -> Option<usize> {
        let live = |at: &usize| self.families[*at].fate == Fate::Live && !self.families[*at].asked;
        // The newest ones, so that chains grow.
        let live: Vec<usize> = (0..self.families.len()).rev().filter(live).take(6).collect();
        self.chance.index(live.len()).map(|at| live[at])
    }

    pub(super) fn redemption(&self, code: &Code) -> Vec<u8> {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", self.clients[code.client].id.as_str()),
            ("code", code.text.as_str()),
            ("redirect_uri", CALLBACK),
            ("code_verifier", code.verifier.as_str()),
        ];
        form("/token", &[], &pairs)
    }

    pub(super) fn refreshing(&self, family: usize, token: &str) -> Vec<u8> {
        let id = self.clients[self.families[family].code.client].id.as_str();
        form("/token", &[], &[("grant_type", "refresh_token"), ("client_id", id), ("refresh_token", token)])
    }

    fn revocation(&self, family: usize, token: &str) -> Vec<u8> {
        let id = self.clients[self.families[family].code.client].id.as_str();
        form("/revoke", &[], &[("client_id", id), ("token", token)])
    }

    pub(super) fn managing(&self, method: &str, client: usize) -> Vec<u8> {
        let client = &self.clients[client];
        let bearer = format!("Bearer {}", client.management);
        request(method, &format!("/register/{}", client.id), &[("Authorization", &bearer)], "")
    }

    pub(super) fn introspection(&self, token: &str) -> Vec<u8> {
        let authorization = basic(&self.seeded.resource.id, &self.seeded.resource.secret);
        form("/introspect", &[("Authorization", &authorization)], &[("token", token)])
    }

    fn ask(&mut self, what: &'static str, request: &[u8]) -> Result<Reply, Gone> {
        let outcome = self.connection.exchange(request);
        let reply = self.said(what, outcome)?;
        assert!(reply.status < 500, "{what}: {} {}", reply.status, reply.text());
        Ok(reply)
    }

    /// Counts an answer, or its loss. Where nothing listened nothing was asked.
    fn said<T>(&mut self, what: &'static str, outcome: io::Result<T>) -> Result<T, Gone> {
        match outcome {
            Ok(answer) => {
                self.counts.acknowledged(what);
                Ok(answer)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::ConnectionRefused {
                    self.counts.lost(what);
                }
                Err(Gone)
            }
        }
    }
}

fn access(answer: &Value) -> Access {
    Access { jwt: text(answer, "access_token"), fate: Fate::Live }
}

pub(super) fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

pub(super) fn error(reply: &Reply) -> String {
    if reply.status == 200 { "none".to_owned() } else { text(&reply.json(), "error") }
}
