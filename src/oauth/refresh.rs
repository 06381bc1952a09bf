//! Rotating a refresh token (RFC 6749 §6, OAuth 2.1 §4.3): what a presented token means.
//!
//! A lost answer must not lock a client out, and must not fork the family. The successor of a token is computed from
//! it, so that every repeat within the window gets the same one; the schema has one place a generation.

use std::time::Duration;

use super::refusal::Reason;
use crate::types::client::Client;
use crate::types::grant::{RefreshToken, TokenFamily};
use crate::types::policy::CONCURRENT_REPEAT;
use crate::types::time::Timestamp;

/// Why a used token came again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Several processes share one token.
    Concurrent,
    /// The first answer did not arrive, or was not saved.
    LostAnswer,
    /// Someone else has it, or the client went back to an old one.
    Reuse,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Concurrent, Self::LostAnswer, Self::Reuse];

    /// Its name in the audit log and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::LostAnswer => "lost_answer",
            Self::Reuse => "reuse",
        }
    }
}

/// What is to be done with a presented token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// Exchange it: this is its first use.
    Advance,
    /// Answer with the same successor once more.
    Repeat(Cause),
    /// Refuse and revoke the grant.
    Reuse,
}

/// Judges a token that was looked up by its digest. `successor` is the token one generation on, if there is one.
///
/// # Errors
/// Unknown, expired, revoked, another client's.
pub fn rotate(
    token: &RefreshToken,
    successor: Option<&RefreshToken>,
    family: &TokenFamily,
    client: &Client,
    retry_window: Duration,
    now: Timestamp,
) -> Result<Rotation, Reason> {
    if family.client_id != client.id || family.revoked_at.is_some() || now >= family.expires_at {
        return Err(Reason::BadRefreshToken);
    }
    let Some(used_at) = token.used_at else {
        return if now < token.expires_at { Ok(Rotation::Advance) } else { Err(Reason::BadRefreshToken) };
    };
    let successor_unused = successor.is_some_and(|next| next.used_at.is_none());
    let age = now.since(used_at);
    if !successor_unused || age > retry_window {
        return Ok(Rotation::Reuse);
    }
    Ok(Rotation::Repeat(if age <= CONCURRENT_REPEAT { Cause::Concurrent } else { Cause::LostAnswer }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::types::client::{ClientId, ClientKind, ClientMetadata};
    use crate::types::id::{FamilyId, UserId};
    use crate::types::random::SeededRng;
    use crate::types::token::TokenDigest;

    const WINDOW: Duration = Duration::from_secs(30);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + seconds)
    }

    fn client(id: &str) -> Client {
        Client {
            id: ClientId::parse(id).unwrap(),
            kind: ClientKind::Dynamic,
            metadata: ClientMetadata::default(),
            secret_digest: None,
            registration_digest: None,
            resources: Vec::new(),
            created_at: at(0),
            updated_at: at(0),
            disabled_at: None,
            first_granted_at: None,
            document_fresh_until: None,
            document_version: 0,
        }
    }

    fn family() -> TokenFamily {
        let rng = SeededRng::new(1);
        TokenFamily {
            id: FamilyId::new(at(0), &rng),
            client_id: ClientId::parse("a").unwrap(),
            user_id: UserId::new(at(0), &rng),
            auth_time: at(0),
            methods: crate::types::factor::Methods::default(),
            identity_id: None,
            offline: false,
            created_at: at(0),
            expires_at: at(1_000_000),
            revoked_at: None,
            resources: Vec::new(),
        }
    }

    fn token(family: &TokenFamily, generation: i64, used_at: Option<Timestamp>) -> RefreshToken {
        RefreshToken {
            digest: TokenDigest::of(&generation.to_string()),
            family_id: family.id,
            generation,
            created_at: at(0),
            expires_at: at(500_000),
            used_at,
        }
    }

    #[test]
    fn the_table_of_cases() {
        let family = family();
        let (fresh, used) = (token(&family, 0, None), token(&family, 0, Some(at(100))));
        let (next, next_used) = (token(&family, 1, None), token(&family, 1, Some(at(110))));
        let rotate_at = |token, next, now| rotate(token, next, &family, &client("a"), WINDOW, at(now));
        assert_eq!(rotate_at(&fresh, None, 100), Ok(Rotation::Advance));
        assert_eq!(rotate_at(&used, Some(&next), 100), Ok(Rotation::Repeat(Cause::Concurrent)));
        assert_eq!(rotate_at(&used, Some(&next), 105), Ok(Rotation::Repeat(Cause::Concurrent)));
        assert_eq!(rotate_at(&used, Some(&next), 106), Ok(Rotation::Repeat(Cause::LostAnswer)));
        assert_eq!(rotate_at(&used, Some(&next), 130), Ok(Rotation::Repeat(Cause::LostAnswer)));
        assert_eq!(rotate_at(&used, Some(&next), 131), Ok(Rotation::Reuse));
        assert_eq!(rotate_at(&used, Some(&next_used), 111), Ok(Rotation::Reuse));
        assert_eq!(rotate_at(&used, None, 101), Ok(Rotation::Reuse));
        assert_eq!(rotate_at(&fresh, None, 500_000), Err(Reason::BadRefreshToken));
        assert_eq!(rotate_at(&fresh, None, 1_000_000), Err(Reason::BadRefreshToken));
        assert_eq!(
            rotate(&fresh, None, &family, &client("b"), WINDOW, at(1)),
            Err(Reason::BadRefreshToken),
            "another client's token"
        );
        let revoked = TokenFamily { revoked_at: Some(at(1)), ..family.clone() };
        assert_eq!(rotate(&fresh, None, &revoked, &client("a"), WINDOW, at(2)), Err(Reason::BadRefreshToken));
    }

    proptest! {
        /// However presentations interleave, there is one live leaf, a repeat gives the successor of the first
        /// answer, and after a reuse nothing is given any more.
        #[test]
        fn a_family_is_a_chain(steps in proptest::collection::vec((0usize..6, 0i64..40), 1..60)) {
            let mut family = family();
            let mut chain = vec![token(&family, 0, None)];
            let mut answers: HashMap<usize, usize> = HashMap::new();
            let mut now = 0;
            for (back, pause) in steps {
                now += pause;
                let index = chain.len().saturating_sub(1 + back);
                let verdict = rotate(&chain[index], chain.get(index + 1), &family, &client("a"), WINDOW, at(now));
                match verdict {
                    Ok(Rotation::Advance) => {
                        prop_assert_eq!(index + 1, chain.len(), "only the leaf advances");
                        chain[index].used_at = Some(at(now));
                        chain.push(token(&family, i64::try_from(index).unwrap() + 1, None));
                        prop_assert!(answers.insert(index, index + 1).is_none());
                    }
                    Ok(Rotation::Repeat(_)) => prop_assert_eq!(answers.get(&index), Some(&(index + 1))),
                    Ok(Rotation::Reuse) => family.revoked_at = Some(at(now)),
                    Err(_) => prop_assert!(family.revoked_at.is_some()),
                }
                prop_assert_eq!(chain.iter().filter(|t| t.used_at.is_none()).count(), 1);
            }
        }
    }
}
