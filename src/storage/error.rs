//! What can go wrong with the database. None of it is ever the caller's fault.

use diesel::result::{DatabaseErrorKind, Error};

/// A fault of the store; the wire sees 503 or 500, never an OAuth error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting already.
    #[error("the database is busy")]
    Busy,
    /// The database cannot be reached.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// A stored row does not read back: {0} names table and column.
    #[error("a stored row is damaged: {0}")]
    Corrupt(&'static str),
    /// A unique constraint refused a row.
    #[error("the row exists already")]
    Conflict,
    /// The schema is newer than this program, or a migration failed.
    #[error("{0}")]
    Migration(String),
    /// Anything else the database said.
    #[error("the database refused: {0}")]
    Database(String),
    /// The transaction lost against another and may be tried again.
    #[error("the transaction must be tried again: {0}")]
    Retry(String),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::Conflict,
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, info) => {
                Self::Retry(info.message().to_owned())
            }
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                info,
            ) => Self::Unavailable(info.message().to_owned()),
            Error::DatabaseError(_, info) => Self::of_message(info.message()),
            Error::BrokenTransactionManager => Self::Unavailable("the connection broke".to_owned()),
            other => Self::of_message(&other.to_string()),
        }
    }
}

/// The transaction lost; the same again may win.
const LOST: [&str; 2] = ["deadlock detected", "could not serialize access"];
/// Somebody else holds what we need for longer than we wait.
const HELD: [&str; 5] = [
    "database is locked",
    "database is busy",
    "database table is locked",
    "canceling statement due to",
    "too many clients",
];
/// The database, its server or its disk is out of reach.
const GONE: [&str; 17] = [
    "terminating connection",
    "closed the connection",
    "connection to server",
    "no connection to the server",
    "connection has been closed",
    "could not receive data",
    "could not send data",
    "connection not open",
    "connection timed out",
    "the database system is",
    "read-only transaction",
    "remaining connection slots",
    "disk is full",
    "disk I/O error",
    "unable to open database",
    "No space left",
    "could not extend file",
];

impl StoreError {
    /// Both databases say what is wrong in words; diesel has kinds for some of it only.
    fn of_message(message: &str) -> Self {
        let one_of = |words: &[&str]| words.iter().any(|word| message.contains(word));
        if one_of(&LOST) {
            Self::Retry(message.to_owned())
        } else if one_of(&HELD) {
            Self::Busy
        } else if one_of(&GONE) {
            Self::Unavailable(message.to_owned())
        } else {
            Self::Database(message.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let of = StoreError::of_message;
        assert!(matches!(of("deadlock detected"), StoreError::Retry(_)));
        assert!(matches!(of("database is locked"), StoreError::Busy));
        assert!(matches!(of("canceling statement due to lock timeout"), StoreError::Busy));
        for gone in [
            "FATAL:  the database system is shutting down",
            "SSL connection has been closed unexpectedly",
            "server closed the connection unexpectedly",
            "cannot execute UPDATE in a read-only transaction",
            "database or disk is full",
        ] {
            assert!(matches!(of(gone), StoreError::Unavailable(_)), "{gone}");
        }
        assert!(matches!(of("syntax error at or near"), StoreError::Database(_)));
    }
}
