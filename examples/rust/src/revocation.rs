//! Tells whether an access token has been revoked, from the issuer's Token Status List, without a request per token.

use std::collections::HashMap;
use std::io::Read;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::postern::{IssuerKeys, Refused};

const LARGEST_LIST: u64 = 16 * 1024 * 1024;

/// Where the state of one token stands.
#[derive(Clone, Deserialize)]
pub struct StatusReference {
    idx: usize,
    uri: String,
}

/// Keeps each list for as long as the issuer allows (`ttl`), at most `max_age`.
pub struct StatusLists {
    max_age: Duration,
    known: Mutex<HashMap<String, List>>,
}

struct List {
    bits: usize,
    bytes: Vec<u8>,
    fresh_until: Instant,
}

#[derive(Deserialize)]
struct StatusListToken {
    sub: String,
    ttl: Option<u64>,
    status_list: Packed,
}

#[derive(Deserialize)]
struct Packed {
    bits: usize,
    lst: String,
}

impl StatusLists {
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, known: Mutex::default() }
    }

    /// A token whose state cannot be found out is not a good token, but it is not a bad one either.
    pub async fn revoked(&self, reference: &StatusReference, keys: &IssuerKeys) -> Result<bool, Refused> {
        let mut known = self.known.lock().await;
        if known.get(&reference.uri).is_none_or(|list| list.fresh_until <= Instant::now()) {
            let list = self.fetch(&reference.uri, keys).await.ok_or(Refused::Unknown)?;
            known.insert(reference.uri.clone(), list);
        }
        let list = known.get(&reference.uri).ok_or(Refused::Unknown)?;
        let position = reference.idx * list.bits;
        let byte = list.bytes.get(position / 8).ok_or(Refused::Unknown)?;
        Ok((byte >> (position % 8)) & (u8::MAX >> (8 - list.bits)) != 0)
    }

    async fn fetch(&self, uri: &str, keys: &IssuerKeys) -> Option<List> {
        uri.strip_prefix(&keys.issuer)?.strip_prefix('/')?;
        let request = keys.http.get(uri).header("Accept", "application/statuslist+jwt");
        let signed = request.send().await.ok()?.error_for_status().ok()?.text().await.ok()?;
        let token: StatusListToken = keys.verify(&signed, "statuslist+jwt", None).await.ok()?;
        if token.sub != uri || ![1, 2, 4, 8].contains(&token.status_list.bits) {
            return None;
        }
        let packed = URL_SAFE_NO_PAD.decode(token.status_list.lst).ok()?;
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(packed.as_slice()).take(LARGEST_LIST).read_to_end(&mut bytes).ok()?;
        let age = token.ttl.map_or(self.max_age, |ttl| self.max_age.min(Duration::from_secs(ttl)));
        Some(List { bits: token.status_list.bits, bytes, fresh_until: Instant::now() + age })
    }
}
