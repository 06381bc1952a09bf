//! Comma-separated values (RFC 4180) that no spreadsheet takes for anything but text.

use serde_json::Value;

/// A line of cells, with its end.
#[must_use]
pub fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = cells.into_iter().map(cell).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// A value as the text of a cell: nothing for null, words of a list with a space between them.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) if all.iter().all(Value::is_string) => {
            all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// A cell (RFC 4180 §2). One that a spreadsheet would take for a formula gets an apostrophe before it: names and addresses
/// come from strangers.
fn cell(text: &str) -> String {
    let formula =
        text.trim_start_matches([' ', '"']).starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']);
    let safe = if formula { format!("'{text}") } else { text.to_owned() };
    if safe.contains([',', '"', '\n', '\r', ';', '\t']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_for_every_reader() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=HYPERLINK(\"http://evil\")"), "\"'=HYPERLINK(\"\"http://evil\"\")\"");
        for formula in ["@sum", "+1", "-1", "=1", "\t=1", " =1", "|calc", "%x", "\r=1", "\n=1"] {
            assert!(cell(formula).trim_start_matches('"').starts_with('\''), "{formula:?}");
        }
    }

    #[test]
    fn values_are_plain_text() {
        assert_eq!(text(&serde_json::json!(["a", "b"])), "a b");
        assert_eq!(text(&Value::Null), "");
        assert_eq!(line(["a", "", "b c"]), "a,,b c\r\n");
    }
}
