//! The texts of a client that people get to see: bounded, and without characters that deceive.

use serde_json::Value;

use crate::oauth::client_metadata::{MetadataError, Reader};
use crate::types::policy::{MAX_CLIENT_CONTACTS, MAX_CLIENT_NAME, MAX_CLIENT_PAGE, MAX_CLIENT_TEXT};

/// `client_name` on one line, cut to a length that fits a page.
pub(super) fn name(reader: &mut Reader<'_>) -> Result<Option<String>, MetadataError> {
    const MEMBER: &str = "client_name";
    let Some(given) = reader.text(MEMBER)? else { return Ok(None) };
    let plain: String = given.chars().filter(|c| !deceives(*c)).collect();
    let tidy = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = tidy.chars().take(MAX_CLIENT_NAME).collect();
    let cut = cut.trim_end().to_owned();
    if plain.len() < given.len() {
        reader.note(MEMBER, "control characters and invisible formatting are left out");
    }
    if cut.len() < tidy.len() {
        reader.note(MEMBER, format!("cut to {MAX_CLIENT_NAME} characters"));
    }
    Ok(Some(cut).filter(|name| !name.is_empty()))
}

/// The address of a page for people: `http` or `https` and nothing else, so that no script gets into a link.
pub(super) fn web_page(
    reader: &mut Reader<'_>,
    member: &'static str,
) -> Result<Option<String>, MetadataError> {
    let Some(given) = reader.text(member)? else { return Ok(None) };
    if given.len() <= MAX_CLIENT_PAGE && is_web_page(given) {
        return Ok(Some(given.to_owned()));
    }
    reader.note(member, format!("{} is not a web address", quoted(given)));
    Ok(None)
}

/// A short text that is only echoed.
pub(super) fn short(reader: &mut Reader<'_>, member: &'static str) -> Result<Option<String>, MetadataError> {
    let Some(given) = reader.text(member)? else { return Ok(None) };
    if is_short(given) {
        return Ok(Some(given.to_owned()));
    }
    reader.note(member, format!("left out: longer than {MAX_CLIENT_TEXT} bytes, or with control characters"));
    Ok(None)
}

/// People to write to.
pub(super) fn contacts(reader: &mut Reader<'_>) -> Result<Vec<String>, MetadataError> {
    const MEMBER: &str = "contacts";
    let mut kept = Vec::new();
    let mut left_out = 0usize;
    for contact in reader.list(MEMBER)?.unwrap_or_default() {
        match contact {
            Value::String(text) if kept.len() < MAX_CLIENT_CONTACTS && !text.is_empty() && is_short(text) => {
                kept.push(text.clone());
            }
            _ => left_out += 1,
        }
    }
    if left_out > 0 {
        reader.note(MEMBER, format!("{left_out} left out"));
    }
    Ok(kept)
}

/// A text from outside, made safe and short for a sentence of ours.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

fn is_short(text: &str) -> bool {
    text.len() <= MAX_CLIENT_TEXT && !text.chars().any(|c| c.is_control() || deceives(c))
}

fn is_web_page(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'`'));
    let web = text.starts_with("https://") || text.starts_with("http://");
    plain
        && web
        && url::Url::parse(text)
            .is_ok_and(|url| url.has_host() && url.username().is_empty() && url.password().is_none())
}

/// Characters that are not seen but change what is: controls, direction marks and overrides, zero-width spaces,
/// line separators, tags. The joiners U+200C and U+200D stay: scripts and emoji need them.
fn deceives(c: char) -> bool {
    c.is_control() && !c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for good in ["https://claude.ai", "http://h/x?y#z", "https://xn--80ak6aa92e.com/"] {
            assert!(is_web_page(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "https:h",
            "https://",
            "//h",
            "https://u:p@h",
            "https://h/\"onclick=",
            "https://h/<script>",
            "https://h /",
            "https://h\\",
            "ftp://h",
            "h",
        ] {
            assert!(!is_web_page(bad), "{bad}");
        }
    }

    #[test]
    fn what_deceives_is_seen() {
        for c in ['\u{0}', '\u{1b}', '\u{7f}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{e0041}'] {
            assert!(deceives(c), "{c:?}");
        }
        for c in ['a', 'é', '名', '\u{200d}', '👩', ' '] {
            assert!(!deceives(c), "{c:?}");
        }
    }

    #[test]
    fn a_quotation_is_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), "\"a\\nb\"");
        assert!(quoted(&"x".repeat(500)).len() < 100);
    }
}
