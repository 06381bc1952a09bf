//! Spans of time as people write them: `90s`, `5m`, `12h`, `30d`.

use std::time::Duration;

/// Reads a whole number followed by `s`, `m`, `h` or `d`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let complain = || format!("expected a span like 90s, 5m, 12h or 30d, found {text:?}");
    let unit = text.chars().last().ok_or_else(complain)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(complain()),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(complain());
    }
    let count: u64 = number.parse().map_err(|_| complain())?;
    count.checked_mul(seconds).filter(|s| *s <= 3_650 * 86_400).map(Duration::from_secs).ok_or_else(complain)
}

/// Writes a span in the largest unit that divides it; the inverse of [`parse`].
#[must_use]
pub fn format(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds > 0 && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// Writes a span in words for a page: "5 minutes", "30 days".
#[must_use]
pub fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    for (unit, size) in [("day", 86_400), ("hour", 3_600), ("minute", 60)] {
        if seconds >= size && seconds.is_multiple_of(size) {
            let count = seconds / size;
            return format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

/// How long to wait after this many tries that failed before: `first`, then twice as long each time, up to `longest`.
#[must_use]
pub fn doubling(first: Duration, longest: Duration, failed: i64) -> Duration {
    let doubled = 1u32.checked_shl(u32::try_from(failed).unwrap_or(31)).unwrap_or(u32::MAX);
    first.saturating_mul(doubled).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_span() {
        for bad in ["", "5", "m", "5 m", "-5m", "5y", "1e3s", "99999999999999999999s", "5ms", "５m"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn format_and_parse_agree(seconds in 0u64..3_650 * 86_400) {
            let span = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&format(span)), Ok(span));
        }
    }
}
