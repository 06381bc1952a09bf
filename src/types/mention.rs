//! Where a text names a person by e-mail address, and the text without it.

/// Whether `text` names the address, whatever its case. A longer address that contains it is another one.
#[must_use]
pub fn names(text: &str, email: &str) -> bool {
    first(&text.to_ascii_lowercase(), &email.to_ascii_lowercase()).is_some()
}

/// The text with `instead` wherever it names the address.
#[must_use]
pub fn without(text: &str, email: &str, instead: &str) -> String {
    let (lower, email) = (text.to_ascii_lowercase(), email.to_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    // Small letters of ASCII take as many bytes as they took before.
    while let (Some(rest), Some(lower)) = (text.get(from..), lower.get(from..)) {
        let Some(at) = first(lower, &email) else {
            out.push_str(rest);
            break;
        };
        out.push_str(rest.get(..at).unwrap_or_default());
        out.push_str(instead);
        from += at + email.len();
    }
    out
}

fn first(text: &str, email: &str) -> Option<usize> {
    if email.is_empty() {
        return None;
    }
    text.match_indices(email).map(|(at, _)| at).find(|at| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let mut after = text.get(at + email.len()..).unwrap_or_default().chars();
        let goes_on = match after.next() {
            Some('.') => after.next().is_some_and(|c| c.is_ascii_alphanumeric()),
            Some(c) => c.is_ascii_alphanumeric() || c == '-',
            None => false,
        };
        !goes_on && !before.is_some_and(|c| c.is_ascii_alphanumeric() || "._%+-".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_where_it_stands_alone() {
        for (text, found) in [
            ("ana@example.com", true),
            (r#"{"by":"Ana@Example.com through console"}"#, true),
            ("asked by ana@example.com.", true),
            ("joana@example.com", false),
            ("x.ana@example.com", false),
            ("ana@example.com.au", false),
            ("ana@example.community", false),
            ("", false),
        ] {
            assert_eq!(names(text, "ana@example.com"), found, "{text}");
        }
    }

    #[test]
    fn the_rest_of_the_text_stays() {
        let text = "ana@example.com, joana@example.com and ANA@example.com: é";
        assert_eq!(without(text, "ana@example.com", "…"), "…, joana@example.com and …: é");
        assert_eq!(without("nobody", "ana@example.com", "…"), "nobody");
    }
}
