//! How long a sign-in has to wait after failures.

use std::time::Duration;

use crate::types::policy::{LOGIN_FIRST_WAIT, LOGIN_FREE_FAILURES, LOGIN_LONGEST_WAIT};
use crate::types::time::Timestamp;

/// What is remembered of one account or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failures {
    /// Failures in a row.
    pub count: i64,
    /// Until when nothing is tried.
    pub blocked_until: Timestamp,
}

/// How long the caller still has to wait; `None` when it may try.
#[must_use]
pub fn wait(failures: Option<Failures>, now: Timestamp) -> Option<Duration> {
    failures.filter(|f| now < f.blocked_until).map(|f| f.blocked_until.since(now))
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// One account.
    Account,
    /// One address, behind which may be a whole office: ten times as many failures are free.
    Network,
}

/// Until when nothing is tried after this many failures in a row. The wait doubles, up to a limit.
#[must_use]
pub fn blocked_until(counted: Counted, count: i64, now: Timestamp) -> Timestamp {
    let free = match counted {
        Counted::Account => LOGIN_FREE_FAILURES,
        Counted::Network => 10 * LOGIN_FREE_FAILURES,
    };
    let over = count - free;
    if over < 0 {
        return now;
    }
    let doubled = LOGIN_FIRST_WAIT
        .saturating_mul(1u32.checked_shl(u32::try_from(over).unwrap_or(31)).unwrap_or(u32::MAX));
    now.plus(doubled.min(LOGIN_LONGEST_WAIT))
}

/// The name under which an address is counted: an IPv6 address by its /64, which one subscriber owns as a whole.
#[must_use]
pub fn network_of(address: &str) -> String {
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        },
        Ok(std::net::IpAddr::V4(v4)) => v4.to_string(),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let wait_after = |n: i64| blocked_until(Counted::Account, n, now).since(now).as_secs();
        assert_eq!([1, 4, 5, 6, 7, 8].map(wait_after), [0, 0, 2, 4, 8, 16]);
        assert_eq!([14, 15, 40, 10_000].map(wait_after), [900, 900, 900, 900]);
        let of_network = |n: i64| blocked_until(Counted::Network, n, now).since(now).as_secs();
        assert_eq!([5, 49, 50, 51, 10_000].map(of_network), [0, 0, 2, 4, 900]);
    }

    #[test]
    fn one_subscriber_is_one_network() {
        assert_eq!(network_of("2001:db8:1:2:3:4:5:6"), network_of("2001:db8:1:2:ffff::1"));
        assert_ne!(network_of("2001:db8:1:2::1"), network_of("2001:db8:1:3::1"));
        assert_eq!(network_of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
