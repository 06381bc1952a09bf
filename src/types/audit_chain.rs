//! The hash chain of the audit log: what makes an edit, a deletion or a reordering show.
//!
//! Records form *lanes*, one on SQLite and several on PostgreSQL, so that transactions which end at the same moment need
//! not wait for one another. In its lane a record has a position and a hash over its predecessor's hash, its position and
//! its contents; address and detail enter through a salted commitment, so that they can be erased and the chain still
//! holds. The last position and hash of each lane are authenticated with a key that is not in the database: who can
//! write the database alone can neither cut the end off nor compute the chain anew.

use hmac::{Hmac, Mac as _};
use sha2::{Digest, Sha256};

use super::audit::AuditEvent;
use super::client::ClientId;
use super::id::{GrantId, ResourceId, UserId};

/// Bytes of a hash.
pub type Hash = [u8; 32];

/// The hash before the first record of a lane.
pub const BEGINNING: Hash = [0; 32];

/// What stands in place of the detail of a record that was erased.
pub const ERASED: &str = r#"{"erased":true}"#;

/// Bytes of a salt.
pub const SALT: usize = 16;

/// The key that authenticates the end of each lane. It comes from the master key.
#[derive(Clone)]
pub struct AuditKey(Hmac<Sha256>);

impl std::fmt::Debug for AuditKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("AuditKey")
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Which lane.
    pub lane: i64,
    /// Records appended so far; the next one gets this position.
    pub count: i64,
    /// Hash of the last record.
    pub hash: Hash,
}

/// What a head is authenticated as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The end of a lane.
    Head,
    /// The place up to which retention has removed a lane's beginning.
    Anchor,
    /// One lane's place at the moment of a checkpoint.
    Checkpoint,
    /// The record at this position, with this hash, whose address and detail were erased.
    Erasure,
}

impl AuditKey {
    /// From the bytes that the master key gives.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        // A block of SHA-256 is the length for which HMAC takes a key as it is.
        let mut block = [0_u8; 64];
        for (to, from) in block.iter_mut().zip(bytes) {
            *to = from;
        }
        Self(<Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into()))
    }

    /// Authenticates a place in the chain.
    #[must_use]
    pub fn mac(&self, mark: Mark, head: &Head) -> Hash {
        self.code(mark, head).finalize().into_bytes().into()
    }

    /// Whether `mac` is [`AuditKey::mac`], in constant time.
    #[must_use]
    pub fn verifies(&self, mark: Mark, head: &Head, mac: &[u8]) -> bool {
        self.code(mark, head).verify_slice(mac).is_ok()
    }

    fn code(&self, mark: Mark, head: &Head) -> Hmac<Sha256> {
        let label: &[u8] = match mark {
            Mark::Head => b"head",
            Mark::Anchor => b"anchor",
            Mark::Checkpoint => b"checkpoint",
            Mark::Erasure => b"erasure",
        };
        let mut code = self.0.clone();
        for part in [label, &head.lane.to_be_bytes(), &head.count.to_be_bytes(), &head.hash] {
            code.update(&(part.len() as u64).to_be_bytes());
            code.update(part);
        }
        code
    }
}

/// The commitment to what can be erased.
#[must_use]
pub fn commitment(salt: &[u8], address: Option<&str>, detail: &str) -> Hash {
    let mut hash = Encoder::new("postern audit commitment 1");
    hash.bytes(salt);
    hash.text(address);
    hash.text(Some(detail));
    hash.finish()
}

/// A record's own hash. `commitment` stands for address and detail.
#[must_use]
pub fn link(previous: &Hash, lane: i64, position: i64, event: &AuditEvent, commitment: &Hash) -> Hash {
    let mut hash = Encoder::new("postern audit record 1");
    hash.bytes(previous);
    hash.bytes(&lane.to_be_bytes());
    hash.bytes(&position.to_be_bytes());
    hash.bytes(event.id.uuid().as_bytes());
    hash.bytes(&event.at.micros().to_be_bytes());
    hash.text(Some(event.kind.as_str()));
    hash.id(event.user_id.map(UserId::uuid));
    hash.text(event.client_id.as_ref().map(ClientId::as_str));
    hash.id(event.grant_id.map(GrantId::uuid));
    hash.id(event.resource_id.map(ResourceId::uuid));
    hash.text(event.request_id.as_deref());
    hash.bytes(commitment);
    hash.finish()
}

/// Writes parts so that no two sequences of parts give the same bytes: each with its length before it, an absent one as a
/// length that no part has.
struct Encoder {
    hash: Sha256,
    /// What is to be hashed next: hashing one text is quicker than hashing thirty.
    ahead: [u8; 512],
    used: usize,
}

impl Encoder {
    fn new(domain: &str) -> Self {
        let mut encoder = Self { hash: Sha256::new(), ahead: [0; 512], used: 0 };
        encoder.bytes(domain.as_bytes());
        encoder
    }

    fn bytes(&mut self, part: &[u8]) {
        self.raw(&(part.len() as u64).to_be_bytes());
        self.raw(part);
    }

    fn raw(&mut self, part: &[u8]) {
        if self.used + part.len() > self.ahead.len() {
            self.flush();
        }
        match self.ahead.get_mut(self.used..self.used + part.len()) {
            Some(place) => {
                place.copy_from_slice(part);
                self.used += part.len();
            }
            None => self.hash.update(part),
        }
    }

    fn flush(&mut self) {
        self.hash.update(self.ahead.get(..self.used).unwrap_or_default());
        self.used = 0;
    }

    fn text(&mut self, part: Option<&str>) {
        match part {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.raw(&u64::MAX.to_be_bytes()),
        }
    }

    fn id(&mut self, id: Option<uuid::Uuid>) {
        match id {
            Some(id) => self.bytes(id.as_bytes()),
            None => self.raw(&u64::MAX.to_be_bytes()),
        }
    }

    fn finish(mut self) -> Hash {
        self.flush();
        self.hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::audit::AuditKind;
    use crate::types::id::AuditId;
    use crate::types::random::SeededRng;
    use crate::types::time::Timestamp;

    type Edit = fn(&mut AuditEvent);

    fn event() -> AuditEvent {
        let (now, rng) = (Timestamp::from_seconds(1_800_000_000), SeededRng::new(7));
        AuditEvent {
            by: None,
            id: AuditId::new(now, &rng),
            at: now,
            kind: AuditKind::TokenIssued,
            user_id: Some(UserId::new(now, &rng)),
            client_id: ClientId::parse("app"),
            grant_id: None,
            resource_id: None,
            address: Some("192.0.2.1".into()),
            request_id: Some("r".into()),
            detail: serde_json::json!({}),
            salt: [0; SALT],
        }
    }

    #[test]
    fn every_part_of_a_record_counts() {
        let known = commitment(&[1; SALT], Some("192.0.2.1"), "{}");
        let first = link(&BEGINNING, 0, 0, &event(), &known);
        let edits: [Edit; 6] = [
            |event| event.at = Timestamp::from_micros(event.at.micros() + 1),
            |event| event.kind = AuditKind::TokenRevoked,
            |event| event.user_id = None,
            |event| event.client_id = None,
            |event| event.request_id = None,
            |event| event.grant_id = Some(crate::types::id::GrantId::new(event.at, &SeededRng::new(1))),
        ];
        for (number, edit) in edits.into_iter().enumerate() {
            let mut other = event();
            edit(&mut other);
            assert_ne!(link(&BEGINNING, 0, 0, &other, &known), first, "edit {number}");
        }
        assert_ne!(link(&first, 0, 0, &event(), &known), first);
        assert_ne!(link(&BEGINNING, 1, 0, &event(), &known), first);
        assert_ne!(link(&BEGINNING, 0, 1, &event(), &known), first);
        for other in [
            commitment(&[2; SALT], Some("192.0.2.1"), "{}"),
            commitment(&[1; SALT], None, "{}"),
            commitment(&[1; SALT], Some("192.0.2.1"), "{} "),
            // What moves from one part to the next is another record.
            commitment(&[1; SALT], Some("192.0.2.1{"), "}"),
        ] {
            assert_ne!(link(&BEGINNING, 0, 0, &event(), &other), first);
        }
    }

    /// As the module says it, put together in one piece.
    fn plain(parts: &[Option<&[u8]>]) -> Hash {
        let mut text = Vec::new();
        for part in parts {
            text.extend(part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            text.extend(part.unwrap_or_default());
        }
        Sha256::digest(text).into()
    }

    #[test]
    fn what_is_hashed_stays_what_it_is() {
        // Logs that are there have to verify for ever.
        for length in (0..600).chain([1_000, 5_000]) {
            let detail = "x".repeat(length);
            let parts = [
                Some(b"postern audit commitment 1".as_slice()),
                Some(&[7; SALT]),
                (length % 2 == 0).then_some(b"192.0.2.1".as_slice()),
                Some(detail.as_bytes()),
            ];
            let address = (length % 2 == 0).then_some("192.0.2.1");
            assert_eq!(commitment(&[7; SALT], address, &detail), plain(&parts), "{length}");
        }
        let event = event();
        let record = [
            Some(b"postern audit record 1".as_slice()),
            Some(&[1; 32]),
            Some(&2_i64.to_be_bytes()),
            Some(&3_i64.to_be_bytes()),
            Some(event.id.uuid().as_bytes()),
            Some(&1_800_000_000_000_000_i64.to_be_bytes()),
            Some(b"token.issued"),
            Some(event.user_id.unwrap().uuid().as_bytes()),
            Some(b"app"),
            None,
            None,
            Some(b"r"),
            Some(&[4; 32]),
        ]
        .map(|part| part.map(<[u8]>::to_vec));
        let record: Vec<Option<&[u8]>> = record.iter().map(|part| part.as_deref()).collect();
        assert_eq!(link(&[1; 32], 2, 3, &event, &[4; 32]), plain(&record));
    }

    #[test]
    fn a_head_is_good_for_its_place_and_its_purpose() {
        let (key, head) = (AuditKey::new([9; 32]), Head { lane: 0, count: 3, hash: [1; 32] });
        let mac = key.mac(Mark::Head, &head);
        assert!(key.verifies(Mark::Head, &head, &mac));
        assert!(!key.verifies(Mark::Anchor, &head, &mac));
        assert!(!key.verifies(Mark::Head, &Head { count: 2, ..head }, &mac));
        assert!(!AuditKey::new([8; 32]).verifies(Mark::Head, &head, &mac));
        assert!(!key.verifies(Mark::Head, &head, &mac[..31]));
    }
}
