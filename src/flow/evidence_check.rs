//! Verifying a bundle of evidence with nothing but public keys: no database, no secret, no network.

use std::collections::HashMap;
use std::io::{BufRead, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::audit_chain::CHECKPOINT_TYPE;
use super::evidence::{SEAL_TYPE, Scope, VERSION};
use crate::crypto::statement::verify;
use crate::storage::audit_chain::{Chained, Opening};
use crate::types::audit::{AuditEvent, AuditKind};
use crate::types::audit_chain::{BEGINNING, Hash, Head, SALT, commitment, link};
use crate::types::client::ClientId;
use crate::types::hex::hex;
use crate::types::id::{AuditId, GrantId, ResourceId, UserId};
use crate::types::time::Timestamp;

/// Longest line that is read, in bytes.
const LONGEST: u64 = 4 * 1024 * 1024;

/// What a file proves.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Proven {
    /// Who made it.
    pub issuer: String,
    /// When it says that it was made.
    pub made_at: String,
    /// The span it is about, in words.
    pub span: String,
    /// Records in it.
    pub records: u64,
    /// Those that are shown whole.
    pub whole: u64,
    /// Those without address and detail, because they have nothing to do with the incident.
    pub withheld: u64,
    /// Those whose address and detail have been destroyed.
    pub erased: u64,
    /// Signed checkpoints that fit.
    pub checkpoints: u64,
    /// The key of the seal.
    pub sealed_by: String,
    /// Whether that key is one of those that the reader trusts; without any, the file vouches for itself alone.
    pub trusted: bool,
}

/// The first thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Flaw {
    /// On which line.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Verifies a file; `trusted` are keys that its reader has from elsewhere.
///
/// # Errors
/// The first flaw, the file being unreadable included.
pub fn check(input: &mut dyn BufRead, trusted: Option<&[Value]>) -> Result<Proven, Flaw> {
    let mut lines = Lines { input, number: 0, hash: Sha256::new() };
    let (bytes, head) = lines.next()?.ok_or_else(|| lines.flaw("the file is empty"))?;
    let mut reader = Reader::open(&head).map_err(|what| lines.flaw(what))?;
    lines.hash.update(&bytes);
    loop {
        let Some((bytes, value)) = lines.next()? else {
            return Err(lines.flaw("the file is cut off: it has no seal"));
        };
        if let Some(seal) = value.get("seal").and_then(Value::as_str) {
            let digest = hex(&lines.hash.clone().finalize());
            reader.seal(seal, &digest, trusted).map_err(|what| lines.flaw(what))?;
            if lines.next()?.is_some() {
                return Err(lines.flaw("something stands after the seal"));
            }
            return Ok(reader.proven);
        }
        reader.read(&value).map_err(|what| lines.flaw(what))?;
        lines.hash.update(&bytes);
    }
}

struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: usize,
    hash: Sha256,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Option<(Vec<u8>, Value)>, Flaw> {
        let mut bytes = Vec::new();
        self.number += 1;
        let read = (&mut *self.input).take(LONGEST).read_until(b'\n', &mut bytes);
        read.map_err(|error| self.flaw(error.to_string()))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.last() != Some(&b'\n') {
            return Err(self.flaw("the file is cut off in the middle of a line"));
        }
        let value = serde_json::from_slice(&bytes).map_err(|_| self.flaw("this is no JSON"))?;
        Ok(Some((bytes, value)))
    }

    fn flaw(&self, what: impl Into<String>) -> Flaw {
        Flaw { line: self.number, what: what.into() }
    }
}

/// What is vouched for at a place of a lane: the hash, and when it was stated.
type Vouched = (Hash, Option<i64>);

struct Reader {
    proven: Proven,
    scope: Scope,
    keys: Vec<Value>,
    /// Lanes and their ends, as the seal states them; each goes when its piece has been read.
    heads: HashMap<i64, Head>,
    points: HashMap<(i64, i64), Vouched>,
    piece: Option<Piece>,
}

struct Piece {
    at: Head,
    to: i64,
}

impl Reader {
    fn open(head: &Value) -> Result<Self, &'static str> {
        if head.get("postern_evidence").and_then(Value::as_i64) != Some(VERSION) {
            return Err("this is no evidence, or of a version that is not known here");
        }
        let text = |name: &str| head.get(name).and_then(Value::as_str).map(str::to_owned);
        let moment = |name: &str| head.get(name).and_then(Value::as_i64).map(Timestamp::from_micros);
        let none = "the head lacks something";
        let (since, until) = (moment("since").ok_or(none)?, moment("until").ok_or(none)?);
        let mut heads = HashMap::new();
        for end in head.get("heads").and_then(Value::as_array).ok_or(none)? {
            let end = place(end).ok_or(none)?;
            if heads.insert(end.lane, end).is_some() {
                return Err("the head names a lane twice");
            }
        }
        Ok(Self {
            proven: Proven {
                issuer: text("issuer").ok_or(none)?,
                made_at: text("made_at").ok_or(none)?,
                span: format!("{} to {}", since.rfc3339(), until.rfc3339()),
                ..Proven::default()
            },
            scope: Scope::read(since, until, head.get("about").ok_or(none)?).ok_or(none)?,
            keys: head.get("keys").and_then(Value::as_array).ok_or(none)?.clone(),
            heads,
            points: HashMap::new(),
            piece: None,
        })
    }

    fn read(&mut self, value: &Value) -> Result<(), String> {
        if let Some(statement) = value.get("checkpoint").and_then(Value::as_str) {
            return self.checkpoint(statement);
        }
        if let Some(record) = value.get("record") {
            return self.record(record);
        }
        if value.get("lane").is_some() {
            self.close()?;
            return self.begin(value);
        }
        Err("nobody knows what this is".to_owned())
    }

    fn checkpoint(&mut self, statement: &str) -> Result<(), String> {
        if self.piece.is_some() {
            return Err("a checkpoint stands among records".to_owned());
        }
        let (_, claims) = verify(statement, CHECKPOINT_TYPE, &self.keys)
            .map_err(|error| format!("the checkpoint does not hold: {error}"))?;
        self.is_the_issuers(&claims, "the checkpoint")?;
        let at = claims.get("iat").and_then(Value::as_i64);
        for lane in claims.get("lanes").and_then(Value::as_array).into_iter().flatten() {
            let place = place(lane).ok_or("the checkpoint names no place")?;
            match self.points.insert((place.lane, place.count), (place.hash, at)) {
                Some((other, _)) if other != place.hash => {
                    return Err("two checkpoints contradict each other".to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_the_issuers(&self, claims: &Map<String, Value>, what: &str) -> Result<(), String> {
        if claims.get("iss").and_then(Value::as_str) == Some(self.proven.issuer.as_str()) {
            return Ok(());
        }
        Err(format!("{what} is another issuer's"))
    }

    fn begin(&mut self, value: &Value) -> Result<(), String> {
        let number = |name: &str| value.get(name).and_then(Value::as_i64);
        let (Some(lane), Some(from), Some(to)) = (number("lane"), number("from"), number("to")) else {
            return Err("a piece does not say where it begins and ends".to_owned());
        };
        let previous = value.get("previous").and_then(Value::as_str).and_then(unhex);
        let previous = previous.ok_or("a piece does not say what was before it")?;
        if !self.heads.contains_key(&lane) {
            return Err("this lane is not in the head, or comes twice".to_owned());
        }
        let trimmed = value.get("trimmed").and_then(Value::as_bool) == Some(true);
        let known = match self.points.get(&(lane, from)) {
            Some((hash, at)) => {
                let early = at.is_some_and(|at| Timestamp::from_seconds(at) <= self.scope.since);
                *hash == previous && (early || from == 0 || trimmed)
            }
            None => trimmed || (from == 0 && previous == BEGINNING),
        };
        if !known {
            return Err("nothing vouches for where this piece begins".to_owned());
        }
        self.piece = Some(Piece { at: Head { lane, count: from, hash: previous }, to });
        Ok(())
    }

    /// Ends the piece that is being read, which must have come to where it was to end.
    fn close(&mut self) -> Result<(), String> {
        let Some(piece) = self.piece.take() else { return Ok(()) };
        if piece.at.count != piece.to {
            return Err("records are missing at the end of the piece before this line".to_owned());
        }
        let end = self.heads.remove(&piece.at.lane);
        if end.is_some_and(|end| end == piece.at) {
            return Ok(());
        }
        match self.points.get(&(piece.at.lane, piece.to)) {
            Some((hash, Some(at))) if *hash == piece.at.hash && *at >= self.scope.until.seconds() => Ok(()),
            _ => Err("nothing vouches for where the piece before this line ends".to_owned()),
        }
    }

    fn record(&mut self, value: &Value) -> Result<(), String> {
        let record = read(value).ok_or("this record cannot be read")?;
        let piece = self.piece.as_mut().ok_or("a record stands outside of every piece")?;
        if record.lane != piece.at.lane || record.position != piece.at.count {
            return Err(format!(
                "a record is missing, doubled or moved: position {} was due here",
                piece.at.count
            ));
        }
        let committed =
            Hash::try_from(record.commitment.as_slice()).map_err(|_| "the commitment is no hash")?;
        if let Some(opening) = &record.opening {
            let opened = commitment(&opening.salt, record.event.address.as_deref(), &opening.detail);
            if opened != committed {
                return Err("address or detail of this record have been changed".to_owned());
            }
        }
        let hash = link(&piece.at.hash, record.lane, record.position, &record.event, &committed);
        if hash.as_slice() != record.hash {
            return Err("this record, or the one before it, has been changed".to_owned());
        }
        piece.at = Head { lane: record.lane, count: record.position + 1, hash };
        if let Some((stated, _)) = self.points.get(&(record.lane, record.position + 1)) {
            if *stated != hash {
                return Err("this record does not fit the checkpoint made after it".to_owned());
            }
            self.proven.checkpoints += 1;
        }
        self.proven.records += 1;
        match value.get("shown").and_then(Value::as_str) {
            Some("whole") if record.opening.is_some() => self.proven.whole += 1,
            Some("erased") if record.opening.is_none() => self.proven.erased += 1,
            Some("withheld") if record.opening.is_none() => {
                // Of a network it cannot be said without the address.
                if self.scope.network.is_none() && self.scope.shows(&record) {
                    return Err("this record has to do with the incident and is withheld".to_owned());
                }
                self.proven.withheld += 1;
            }
            _ => return Err("this record is not shown as it says".to_owned()),
        }
        Ok(())
    }

    fn seal(&mut self, seal: &str, digest: &str, trusted: Option<&[Value]>) -> Result<(), String> {
        self.close()?;
        if let Some(lane) = self.heads.keys().min() {
            return Err(format!("lane {lane} is missing"));
        }
        let (kid, claims) = verify(seal, SEAL_TYPE, trusted.unwrap_or(&self.keys))
            .map_err(|error| format!("the seal does not hold: {error}"))?;
        self.is_the_issuers(&claims, "the seal")?;
        if claims.get("sha256").and_then(Value::as_str) != Some(digest) {
            return Err("the file has been changed since it was sealed".to_owned());
        }
        self.proven.sealed_by = kid;
        self.proven.trusted = trusted.is_some();
        Ok(())
    }
}

fn place(value: &Value) -> Option<Head> {
    Some(Head {
        lane: value.get("lane")?.as_i64()?,
        count: value.get("count")?.as_i64()?,
        hash: unhex(value.get("hash")?.as_str()?)?,
    })
}

fn unhex(text: &str) -> Option<Hash> {
    let bytes: Option<Vec<u8>> =
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect();
    Hash::try_from(bytes?.as_slice()).ok()
}

/// Nothing is another thing than something that is no id.
#[expect(clippy::option_option, reason = "an absent member is fine, an unreadable one is not")]
fn id<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    text.map_or(Some(None), |text| parse(text).map(Some))
}

/// A record as it stands in the file; a member that is there and is not what it should be makes it unreadable.
fn read(value: &Value) -> Option<Chained> {
    let text = |name: &str| match value.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) => Some(Some(text.as_str())),
        Some(_) => None,
    };
    let event = AuditEvent {
        id: AuditId::parse(text("id")??)?,
        at: Timestamp::from_micros(value.get("at")?.as_i64()?),
        kind: AuditKind::parse(text("kind")??)?,
        user_id: id(text("user_id")?, UserId::parse)?,
        client_id: id(text("client_id")?, ClientId::parse)?,
        grant_id: id(text("grant_id")?, GrantId::parse)?,
        resource_id: id(text("resource_id")?, ResourceId::parse)?,
        address: text("address")?.map(str::to_owned),
        request_id: text("request_id")?.map(str::to_owned),
        detail: Value::Null,
        by: None,
        salt: [0; SALT],
    };
    let opening = match (text("salt")?, text("detail")?) {
        (Some(salt), Some(detail)) => {
            Some(Opening { salt: URL_SAFE_NO_PAD.decode(salt).ok()?, detail: detail.to_owned() })
        }
        (None, None) if event.address.is_none() => None,
        _ => return None,
    };
    Some(Chained {
        event,
        lane: value.get("lane")?.as_i64()?,
        position: value.get("position")?.as_i64()?,
        opening,
        commitment: unhex(text("commitment")??)?.to_vec(),
        hash: unhex(text("hash")??)?.to_vec(),
        erased: None,
    })
}
