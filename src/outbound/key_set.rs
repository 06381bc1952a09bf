//! Clients' public keys by reference (`jwks_uri`, RFC 7591 §2), kept for as long as their server says.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use serde_json::{Value, json};

use super::fetch::{FetchError, Fetched, Fetcher, Validators};
use super::flight::Flights;
use crate::types::policy::{
    DOCUMENT_DEFAULT_FRESH, DOCUMENT_REST, KEY_SET_MAX_FRESH, KEY_SET_MAX_STALE, KEY_SET_REST, KEY_SETS_KEPT,
};
use crate::types::time::Timestamp;

/// The key sets of clients.
pub struct KeySets {
    fetcher: Fetcher,
    kept: Cache<String, Arc<Kept>>,
    flights: Flights<Result<Arc<Kept>, KeySetError>>,
}

/// Why there are no keys.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeySetError {
    /// They could not be fetched, and no copy is young enough.
    #[error("the client's key set could not be fetched: {0}")]
    Fetch(#[from] FetchError),
    /// What was fetched is no key set (RFC 7517 §5), and no copy is young enough.
    #[error("what is at the client's jwks_uri is not a key set")]
    NotAKeySet,
}

impl KeySetError {
    /// Whether the same request may succeed later (RFC 6749 has no code for it: answer 503, not `invalid_client`).
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_temporary(),
            Self::NotAKeySet => false,
        }
    }
}

struct Kept {
    set: Arc<Value>,
    validators: Validators,
    seen_at: Timestamp,
    fresh_until: Timestamp,
    tried_at: Timestamp,
}

impl KeySets {
    /// Fetches within the limits of `fetcher`.
    #[must_use]
    pub fn new(fetcher: Fetcher) -> Self {
        Self { fetcher, kept: Cache::new(KEY_SETS_KEPT), flights: Flights::default() }
    }

    /// The public keys at a client's `jwks_uri`, as a JWK set without symmetric or private keys. A copy serves while it
    /// is fresh and has the key that is asked for; otherwise it is fetched anew, at most once in ten seconds, and
    /// serves on where that fails.
    ///
    /// # Errors
    /// [`KeySetError`] when there is neither an answer nor a copy of the last 24 hours.
    pub async fn keys(
        &self,
        jwks_uri: &str,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Value>, KeySetError> {
        let kept = self.kept.get(jwks_uri).filter(|kept| now < kept.seen_at.plus(KEY_SET_MAX_STALE));
        if let Some(kept) = &kept {
            let serves = now < kept.fresh_until && kid.is_none_or(|kid| has_key(&kept.set, kid));
            if serves || now < kept.tried_at.plus(KEY_SET_REST) {
                return Ok(Arc::clone(&kept.set));
            }
        }
        let errand = || async {
            let next = self.renew(jwks_uri, kept.as_deref(), now).await.map(Arc::new);
            if let Ok(next) = &next {
                self.kept.insert(jwks_uri.to_owned(), Arc::clone(next));
            }
            next
        };
        self.flights.join(jwks_uri, errand).await.map(|kept| Arc::clone(&kept.set))
    }

    async fn renew(&self, uri: &str, old: Option<&Kept>, now: Timestamp) -> Result<Kept, KeySetError> {
        let known = old.map(|old| &old.validators);
        let fetched = self.fetcher.fetch(uri, "application/jwk-set+json, application/json", known).await;
        let read = fetched.map_err(KeySetError::from).and_then(|fetched| {
            let set = match old {
                Some(old) if fetched.status_not_modified => Arc::clone(&old.set),
                _ => Arc::new(public_keys(&fetched.body).ok_or(KeySetError::NotAKeySet)?),
            };
            Ok((set, fetched))
        });
        match (read, old) {
            (Ok((set, fetched)), _) => {
                let fresh_until = now.plus(freshness(&fetched));
                let validators = if fetched.status_not_modified {
                    old.map(|old| old.validators.clone()).unwrap_or_default()
                } else {
                    fetched.validators
                };
                Ok(Kept { set, validators, seen_at: now, fresh_until, tried_at: now })
            }
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "a client's key set could not be renewed; the last good copy serves on");
                Ok(Kept {
                    set: Arc::clone(&old.set),
                    validators: old.validators.clone(),
                    seen_at: old.seen_at,
                    fresh_until: old.fresh_until,
                    tried_at: now,
                })
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn freshness(fetched: &Fetched) -> Duration {
    let asked = if fetched.no_store { Some(Duration::ZERO) } else { fetched.max_age };
    asked.unwrap_or(DOCUMENT_DEFAULT_FRESH).clamp(DOCUMENT_REST, KEY_SET_MAX_FRESH)
}

/// The keys of a set that may be public; `None` when it is no set.
fn public_keys(body: &[u8]) -> Option<Value> {
    let set: Value = serde_json::from_slice(body).ok()?;
    let public = |key: &&Value| {
        let kind = key.get("kty").and_then(Value::as_str);
        kind.is_some_and(|kind| kind != "oct") && key.get("k").is_none() && key.get("d").is_none()
    };
    let keys: Vec<Value> = set.get("keys")?.as_array()?.iter().filter(public).cloned().collect();
    Some(json!({ "keys": keys }))
}

fn has_key(set: &Value, kid: &str) -> bool {
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter().any(|key| key.get("kid").and_then(Value::as_str) == Some(kid))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::outbound::test_server::TestServer;
    use crate::types::time::{Clock, ManualClock};

    /// A server whose answer can be changed, and the key sets behind a clock that can be moved.
    struct Scene {
        server: TestServer,
        answer: Arc<Mutex<String>>,
        clock: ManualClock,
        sets: KeySets,
    }

    fn ok(body: &str) -> String {
        format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=300\r\netag: \"e\"\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn scene(answer: &str) -> Scene {
        let answer = Arc::new(Mutex::new(answer.to_owned()));
        let said = Arc::clone(&answer);
        let server = TestServer::with(move |_| said.lock().unwrap().clone());
        let clock = ManualClock::new(Timestamp::from_seconds(1_790_000_000));
        let sets = KeySets::new(Fetcher::new(true));
        Scene { server, answer, clock, sets }
    }

    impl Scene {
        async fn keys(&self, kid: &str) -> Result<Arc<Value>, KeySetError> {
            self.sets.keys(&self.server.url("/jwks.json"), Some(kid), self.clock.now()).await
        }

        fn say(&self, answer: &str) {
            answer.clone_into(&mut self.answer.lock().unwrap());
        }

        fn fetches(&self) -> usize {
            self.server.requests().len()
        }
    }

    const ONE: &str = r#"{"keys":[{"kty":"RSA","kid":"one","n":"n","e":"AQAB"}]}"#;
    const TWO: &str = r#"{"keys":[{"kty":"RSA","kid":"two","n":"n","e":"AQAB"}]}"#;

    #[tokio::test]
    async fn a_fresh_copy_serves_and_an_old_one_is_renewed() {
        let scene = scene(&ok(ONE));
        let crowd = futures_util::future::join_all((0..10).map(|_| scene.keys("one"))).await;
        assert!(crowd.iter().all(|keys| keys.as_ref().is_ok_and(|keys| has_key(keys, "one"))));
        scene.clock.advance(Duration::from_secs(299));
        assert!(scene.keys("one").await.is_ok());
        assert_eq!(scene.fetches(), 1);
        scene.clock.advance(Duration::from_secs(2));
        scene.say(&ok(TWO));
        assert!(has_key(&scene.keys("one").await.unwrap(), "two"));
        assert_eq!(scene.fetches(), 2);
    }

    #[tokio::test]
    async fn an_unknown_key_is_looked_for_but_not_by_everyone() {
        let scene = scene(&ok(ONE));
        scene.keys("one").await.unwrap();
        for _ in 0..5 {
            assert!(!has_key(&scene.keys("two").await.unwrap(), "two"));
        }
        assert_eq!(scene.fetches(), 1);
        scene.clock.advance(KEY_SET_REST);
        scene.say(&ok(TWO));
        assert!(has_key(&scene.keys("two").await.unwrap(), "two"));
        assert_eq!(scene.fetches(), 2);
    }

    #[tokio::test]
    async fn the_last_good_copy_serves_on_for_a_day() {
        let scene = scene(&ok(ONE));
        scene.keys("one").await.unwrap();
        scene.clock.advance(Duration::from_secs(4_000));
        for broken in ["HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", &ok("not json"), &ok("{\"keys\":7}")] {
            scene.say(broken);
            let before = scene.fetches();
            assert!(has_key(&scene.keys("one").await.unwrap(), "one"));
            assert!(has_key(&scene.keys("one").await.unwrap(), "one"));
            assert_eq!(scene.fetches(), before + 1);
            scene.clock.advance(KEY_SET_REST);
        }
        scene.clock.advance(KEY_SET_MAX_STALE);
        assert_eq!(scene.keys("one").await, Err(KeySetError::NotAKeySet));
    }

    #[tokio::test]
    async fn an_error_is_never_kept() {
        let scene = scene("HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n");
        let error = scene.keys("one").await.unwrap_err();
        assert!(error.is_temporary(), "{error}");
        scene.say(&ok(ONE));
        assert!(scene.keys("one").await.is_ok());
    }

    #[tokio::test]
    async fn not_modified_makes_the_copy_fresh_again() {
        let scene = scene(&ok(ONE));
        scene.keys("one").await.unwrap();
        scene.say("HTTP/1.1 304 Not Modified\r\ncache-control: max-age=600\r\n\r\n");
        for _ in 0..2 {
            scene.clock.advance(Duration::from_secs(700));
            assert!(has_key(&scene.keys("one").await.unwrap(), "one"));
            let request = scene.server.requests().pop().unwrap().to_ascii_lowercase();
            assert!(request.contains("if-none-match: \"e\""), "{request}");
        }
        assert_eq!(scene.fetches(), 3);
    }

    #[test]
    fn only_public_keys_are_handed_on() {
        let body =
            r#"{"keys":[{"kty":"oct","k":"x"},{"kty":"EC","d":"x"},{"no":1},7,{"kty":"EC","kid":"good"}]}"#;
        assert_eq!(public_keys(body.as_bytes()), Some(json!({"keys": [{"kty": "EC", "kid": "good"}]})));
        for bad in ["", "[]", "{}", "{\"keys\":{}}", "null"] {
            assert_eq!(public_keys(bad.as_bytes()), None, "{bad}");
        }
    }
}
