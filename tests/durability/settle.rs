//! After a restart: everything acknowledged is tried, and everything unknown is found out.

use super::http::{Connection, Reply};
use super::ledger::Fate;
use super::worker::{Worker, error};

/// What is tried again of what was found in order at an earlier restart, in percent; at the last one, everything.
const AGAIN: u64 = 8;
/// How often a busy server is asked again.
const TRIES: u32 = 20;

impl Worker {
    /// Compares the ledger with the server.
    pub fn settle(&mut self, everything: bool) {
        // The old connections ended with the old server.
        self.connection = Connection::to(self.address);
        self.browser.reconnect();
        if self.signed_in {
            // A busy server may answer 503; a lost session never comes back.
            let found = (0..TRIES).any(|_| self.browser.is_signed_in().expect("an answer"));
            assert!(found, "an acknowledged session is lost");
        }
        self.settle_clients(everything);
        self.settle_codes(everything);
        self.settle_families(everything);
        self.settle_access(everything);
    }

    fn settle_clients(&mut self, everything: bool) {
        let recent = self.clients.len().saturating_sub(12);
        for at in 0..self.clients.len() {
            let fate = self.clients[at].fate;
            if fate != Fate::Unsure && at < recent && !self.is_tried(everything) {
                continue;
            }
            let reply = self.must(&self.managing("GET", at));
            match (fate, reply.status) {
                (Fate::Live, 200) | (Fate::Dead, 401) => {}
                (Fate::Unsure, 200) => {
                    self.counts.turned_out("client removal", false);
                    self.clients[at].fate = Fate::Live;
                }
                (Fate::Unsure, 401) => {
                    self.counts.turned_out("client removal", true);
                    self.clients[at].fate = Fate::Dead;
                    self.end_approval(at, Fate::Dead);
                }
                (_, status) => panic!("a registration that is {fate:?} answers {status}: {}", reply.text()),
            }
        }
    }

    fn settle_codes(&mut self, everything: bool) {
        for code in std::mem::take(&mut self.doubtful) {
            let reply = self.must(&self.redemption(&code));
            let happened = reply.status != 200;
            self.counts.turned_out("code", happened);
            if happened {
                // The lost answer was the one redemption; this replay has ended what it gave.
                assert_eq!(error(&reply), "invalid_grant");
                continue;
            }
            self.begin_family(code.clone(), &reply.json());
            if self.chance.percent(30) {
                let again = self.must(&self.redemption(&code));
                assert_eq!(error(&again), "invalid_grant", "a code redeemed twice");
                self.families.last_mut().unwrap().meets(Fate::Dead);
            }
        }
        for code in std::mem::take(&mut self.waiting) {
            if !everything && self.chance.percent(50) {
                self.waiting.push(code);
                continue;
            }
            let reply = self.must(&self.redemption(&code));
            assert_eq!(reply.status, 200, "an acknowledged code is lost: {}", reply.text());
            self.begin_family(code, &reply.json());
        }
    }

    fn settle_families(&mut self, everything: bool) {
        let recent = self.families.len().saturating_sub(8);
        for at in 0..self.families.len() {
            let (fate, asked) = (self.families[at].fate, self.families[at].asked);
            if fate != Fate::Unsure && !asked && at < recent && !self.is_tried(everything) {
                continue;
            }
            let ask = self.refreshing(at, self.families[at].newest());
            let reply = self.must(&ask);
            if fate == Fate::Unsure {
                self.counts.turned_out("end of family", reply.status != 200);
            }
            match (fate, reply.status) {
                (Fate::Live | Fate::Unsure, 200) => {
                    self.families[at].fate = Fate::Live;
                    self.advance(at, &reply.json());
                    if asked {
                        // The same question once more: the same successor, or the family has forked.
                        let again = self.must(&ask);
                        assert_eq!(again.status, 200, "{}", again.text());
                        let successor = again.json()["refresh_token"].as_str().map(str::to_owned);
                        assert_eq!(
                            successor.as_deref(),
                            Some(self.families[at].newest()),
                            "a family has forked"
                        );
                    }
                }
                (Fate::Dead, _) if error(&reply) == "invalid_grant" || error(&reply) == "invalid_client" => {}
                (Fate::Unsure, _)
                    if error(&reply) == "invalid_grant" || error(&reply) == "invalid_client" =>
                {
                    // What ended it ended its tokens in the same transaction.
                    self.families[at].meets(Fate::Dead);
                }
                (_, status) => panic!("a refresh token that is {fate:?} answers {status}: {}", reply.text()),
            }
        }
    }

    fn settle_access(&mut self, everything: bool) {
        let recent = self.families.len().saturating_sub(8);
        for at in 0..self.families.len() {
            for which in 0..self.families[at].access.len() {
                let access = &self.families[at].access[which];
                if access.fate != Fate::Unsure && at < recent && !self.is_tried(everything) {
                    continue;
                }
                let ask = self.introspection(&self.families[at].access[which].jwt);
                let active = self.is_active(&ask);
                let fate = &mut self.families[at].access[which].fate;
                match (*fate, active) {
                    (Fate::Live, true) | (Fate::Dead, false) => {}
                    (Fate::Unsure, active) => *fate = if active { Fate::Live } else { Fate::Dead },
                    (Fate::Live, false) => panic!("an acknowledged access token is lost"),
                    (Fate::Dead, true) => panic!("a revoked access token is active"),
                }
            }
        }
        let recent = self.machine.len().saturating_sub(8);
        for at in 0..self.machine.len() {
            if at < recent && !self.is_tried(everything) {
                continue;
            }
            let ask = self.introspection(&self.machine[at].jwt);
            assert!(self.is_active(&ask), "an acknowledged access token is lost");
        }
    }

    fn is_tried(&mut self, everything: bool) -> bool {
        everything || self.chance.percent(AGAIN)
    }

    fn is_active(&mut self, ask: &[u8]) -> bool {
        let reply = self.must(ask);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["active"].as_bool().expect("active or not")
    }

    fn must(&mut self, request: &[u8]) -> Reply {
        let mut reply = self.connection.exchange(request).expect("an answer of a server that is ready");
        for _ in 0..TRIES {
            if reply.status != 503 {
                break;
            }
            reply = self.connection.exchange(request).expect("an answer of a server that is ready");
        }
        assert!(reply.status < 500, "{} {}", reply.status, reply.text());
        reply
    }
}
