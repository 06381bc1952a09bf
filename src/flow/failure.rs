//! How a use case fails: the caller is refused, or we are at fault.

use crate::crypto::keyring::CryptoError;
use crate::oauth::refusal::Reason;
use crate::storage::StoreError;

/// A fault of ours. The wire sees 500 or 503 and an id, never the cause; a fault is never `invalid_grant` or
/// `invalid_client`, on which clients throw their tokens away.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of the keys.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Too much is going on.
    #[error("too many requests of this kind are waiting")]
    Busy,
    /// Our copy of what has been revoked is too old to be trusted.
    #[error("the database has not been heard of for too long")]
    Stale,
    /// Somebody whom we had to ask does not answer.
    #[error("another server that has to be asked does not answer")]
    Upstream,
    /// Something that cannot be.
    #[error("{0}")]
    Bug(&'static str),
}

impl Fault {
    /// Whether trying again soon may help: 503 rather than 500.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Stale
                | Self::Upstream
                | Self::Store(StoreError::Busy | StoreError::Unavailable(_) | StoreError::Retry(_))
        )
    }
}

/// Why a use case gave no answer.
#[derive(Debug)]
pub enum Failure {
    /// The caller is refused.
    Refused(Reason),
    /// We are at fault.
    Fault(Fault),
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason)
    }
}

/// Lets `?` turn our faults into an error type that has a `Fault` arm.
macro_rules! from_faults {
    ($target:ty) => {
        impl From<$crate::flow::failure::Fault> for $target {
            fn from(fault: $crate::flow::failure::Fault) -> Self {
                Self::Fault(fault)
            }
        }

        impl From<$crate::storage::StoreError> for $target {
            fn from(error: $crate::storage::StoreError) -> Self {
                Self::Fault(error.into())
            }
        }
    };
}
pub(crate) use from_faults;

from_faults!(Failure);
