//! Which passwords may be set (NIST SP 800-63B §5.1.1.2: length counts, composition rules do not).

use crate::types::policy::{MAX_PASSWORD, MIN_PASSWORD};

/// Why a password will not do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordProblem {
    /// Too short.
    #[error("use at least {MIN_PASSWORD} characters; a few words together work well")]
    Short,
    /// Longer than is hashed.
    #[error("use at most {MAX_PASSWORD} bytes")]
    Long,
    /// Among the first that are tried.
    #[error("this password is among the first that are tried; choose another")]
    Guessable,
}

/// Judges a new password.
///
/// # Errors
/// Why it will not do.
pub fn check(password: &str, email: &str) -> Result<(), PasswordProblem> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(PasswordProblem::Short);
    }
    if password.len() > MAX_PASSWORD {
        return Err(PasswordProblem::Long);
    }
    let lower = password.to_lowercase();
    let mut letters = lower.chars();
    let first = letters.next();
    if letters.all(|letter| Some(letter) == first)
        || lower == email.to_lowercase()
        || COMMON.contains(&lower.as_str())
    {
        return Err(PasswordProblem::Guessable);
    }
    Ok(())
}

/// Passwords of at least eight characters that are guessed first.
const COMMON: [&str; 16] = [
    "password",
    "password1",
    "password123",
    "12345678",
    "123456789",
    "1234567890",
    "qwertyuiop",
    "qwerty123",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "letmein1",
    "welcome1",
    "changeme",
];
