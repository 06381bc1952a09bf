//! How long an answer holds, from its own headers (RFC 9111 §4.2). This server is its only reader, so the rules are
//! those of a private cache: `private` and `s-maxage` mean nothing to it.

use std::time::Duration;

use hyper::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What an answer says of its own life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Freshness {
    /// How long it holds from now; absent when the answer does not say.
    pub max_age: Option<Duration>,
    /// Whether it asks not to be kept.
    pub no_store: bool,
}

/// Reads `Cache-Control`, then `Expires`, and takes off the `Age` it has on arrival.
#[must_use]
pub fn freshness(headers: &HeaderMap) -> Freshness {
    let mut found = Freshness::default();
    let mut no_cache = false;
    for directive in
        headers.get_all(CACHE_CONTROL).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','))
    {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("no-store") {
            found.no_store = true;
        } else if name.eq_ignore_ascii_case("no-cache") {
            no_cache = true;
        } else if name.eq_ignore_ascii_case("max-age") {
            // RFC 9111 §4.2.1: of several, the first; one that cannot be read counts as stale.
            found.max_age = found.max_age.or(Some(seconds(value).unwrap_or_default()));
        }
    }
    let lifetime =
        if no_cache { Some(Duration::ZERO) } else { found.max_age.or_else(|| until_expires(headers)) };
    let age = text(headers, AGE).and_then(seconds).unwrap_or_default();
    found.max_age = lifetime.map(|lifetime| lifetime.saturating_sub(age));
    found
}

/// RFC 9111 §1.2.2: digits only; what is too large is as large as can be.
fn seconds(text: &str) -> Option<Duration> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| Duration::from_secs(text.parse::<u32>().unwrap_or(u32::MAX).into()))
}

/// RFC 9111 §5.3: the difference to the answer's own `Date`, so that no clock of ours is needed; an `Expires` that is no
/// date, like the usual `0`, is in the past.
fn until_expires(headers: &HeaderMap) -> Option<Duration> {
    let Some(expires) = text(headers, EXPIRES).and_then(date) else {
        return headers.contains_key(EXPIRES).then_some(Duration::ZERO);
    };
    let difference = expires - text(headers, DATE).and_then(date)?;
    Some(Duration::try_from(difference).unwrap_or_default())
}

fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc2822).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Freshness {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        freshness(&headers)
    }

    #[test]
    fn reads_what_servers_send() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (headers, max_age) in [
            (vec![], None),
            (vec![("cache-control", "max-age=300")], Some(300)),
            (vec![("cache-control", "public, Max-Age=\"300\" , must-revalidate")], Some(300)),
            (vec![("cache-control", "private"), ("cache-control", "max-age=5")], Some(5)),
            (vec![("cache-control", "max-age=5, max-age=900")], Some(5)),
            (vec![("cache-control", "max-age=-1")], Some(0)),
            (vec![("cache-control", "max-age")], Some(0)),
            (vec![("cache-control", "max-age=99999999999999999999")], Some(u64::from(u32::MAX))),
            (vec![("cache-control", "max-age=300, no-cache")], Some(0)),
            (vec![("cache-control", "s-maxage=300")], None),
            (vec![("cache-control", "max-age=300"), ("age", "100")], Some(200)),
            (vec![("cache-control", "max-age=300"), ("age", "999")], Some(0)),
            (vec![date, ("expires", "Sun, 06 Nov 1994 09:49:37 GMT")], Some(3_600)),
            (vec![date, ("expires", "Sun, 06 Nov 1994 07:49:37 GMT")], Some(0)),
            (
                vec![date, ("expires", "Sun, 06 Nov 1994 09:49:37 GMT"), ("cache-control", "max-age=7")],
                Some(7),
            ),
            (vec![("expires", "Sun, 06 Nov 1994 09:49:37 GMT")], None),
            (vec![("expires", "0")], Some(0)),
        ] {
            let found = of(&headers);
            assert_eq!(found.max_age, max_age.map(Duration::from_secs), "{headers:?}");
            assert!(!found.no_store);
        }
        assert!(of(&[("cache-control", "No-Store, max-age=9")]).no_store);
    }
}
