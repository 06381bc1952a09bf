//! What is unusual about the use of an approval, judged from when and from where it was used before.

use crate::types::grant::Grant;
use crate::types::network::Network;
use crate::types::policy::IDLE_WORTH_NOTING;
use crate::types::time::Timestamp;

const DAY: u64 = 86_400;

/// The network it was used from before, when this use comes from another. A household that has both kinds of addresses uses
/// them in turn, so that only addresses of one kind are compared.
#[must_use]
pub fn moved_from(before: &Grant, address: Option<&str>) -> Option<(Network, Network)> {
    let old = Network::around(before.last_used_address.as_deref()?)?;
    let new = Network::around(address?)?;
    (old != new && old.is_ipv4() == new.is_ipv4()).then_some((old, new))
}

/// How many whole days it was not used, where that is long.
#[must_use]
pub fn idle_days(before: &Grant, now: Timestamp) -> Option<u64> {
    let idle = now.since(before.last_used_at?);
    (idle >= IDLE_WORTH_NOTING).then_some(idle.as_secs() / DAY)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::client::ClientId;
    use crate::types::id::{GrantId, ResourceId};
    use crate::types::random::SystemRng;
    use crate::types::scope::ScopeSet;

    fn grant(address: Option<&str>, used: Option<Timestamp>) -> Grant {
        let now = Timestamp::from_seconds(1_800_000_000);
        Grant {
            id: GrantId::new(now, &SystemRng),
            user_id: None,
            client_id: ClientId::parse("app").unwrap(),
            resource_id: ResourceId::new(now, &SystemRng),
            scopes: ScopeSet::default(),
            client_fingerprint: String::new(),
            created_at: now,
            updated_at: now,
            expires_at: now,
            last_used_at: used,
            last_used_address: address.map(str::to_owned),
            revoked_at: None,
            narrowed_at: None,
        }
    }

    #[test]
    fn neighbours_are_one_network() {
        for (before, now, moved) in [
            (Some("192.0.2.7"), Some("192.0.2.200"), false),
            (Some("192.0.2.7"), Some("198.51.100.7"), true),
            (Some("2001:db8:1:2::7"), Some("2001:db8:1:9::1"), false),
            (Some("2001:db8:1::7"), Some("2001:db8:2::7"), true),
            (Some("192.0.2.7"), Some("2001:db8::7"), false),
            (Some("::ffff:192.0.2.7"), Some("192.0.2.9"), false),
            (None, Some("192.0.2.7"), false),
            (Some("192.0.2.7"), None, false),
            (Some("nonsense"), Some("192.0.2.7"), false),
        ] {
            assert_eq!(moved_from(&grant(before, None), now).is_some(), moved, "{before:?} {now:?}");
        }
    }

    #[test]
    fn only_long_pauses_count() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let ago = |days: u64| grant(None, Some(now.minus(Duration::from_secs(days * DAY))));
        assert_eq!(idle_days(&grant(None, None), now), None, "the first use");
        assert_eq!(idle_days(&ago(1), now), None);
        assert_eq!(idle_days(&ago(40), now), Some(40));
    }
}
