//! Arguments that headers repeat (MCP 2026-07-28, `x-mcp-header`): somebody on the way may decide by them, so that one which
//! does not say what the body says is refused. One that no definition knows means nothing and goes on; one that is missing is
//! the server's to miss.

use serde_json::Value;

use super::envelope::decoded;

/// Deepest property of a schema that is looked at.
const DEEPEST: usize = 8;

/// Compares the headers that a tool's definition names with its arguments. `header` gives one by name, in small letters;
/// several of one name count as one that says nothing.
///
/// # Errors
/// The header that does not fit.
pub(super) fn check(
    definition: &Value,
    arguments: &Value,
    header: &impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let schema = definition.get("inputSchema").unwrap_or(&Value::Null);
    below(schema, Some(arguments), header, DEEPEST)
}

fn below(
    schema: &Value,
    arguments: Option<&Value>,
    header: &impl Fn(&str) -> Option<String>,
    deeper: usize,
) -> Result<(), String> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|_| deeper > 0) else {
        return Ok(());
    };
    for (name, schema) in properties {
        let value = arguments.and_then(|arguments| arguments.get(name));
        if let Some(named) = schema.get("x-mcp-header").and_then(Value::as_str) {
            let full = format!("{}{}", super::MIRRORED, named.to_ascii_lowercase());
            if header(&full)
                .is_some_and(|said| value.and_then(text).is_none_or(|text| decoded(&said) != Some(text)))
            {
                return Err(format!("Mcp-Param-{named}"));
            }
        }
        below(schema, value, header, deeper - 1)?;
    }
    Ok(())
}

/// A plain value as a header says it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_says_what_the_body_says_or_is_refused() {
        let definition = json!({"name": "q", "inputSchema": {"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "limit": {"type": "integer", "x-mcp-header": "Limit"},
            "deep": {"type": "object", "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry"}}},
            "plain": {"type": "string"},
        }}});
        let arguments = json!({"region": "grün", "limit": 10, "deep": {"dry": true}, "plain": "x"});
        let with = |headers: &[(&str, &str)]| {
            let header = |name: &str| {
                headers.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            check(&definition, &arguments, &header)
        };
        for good in [
            &[][..],
            &[
                ("mcp-param-region", "=?base64?Z3LDvG4=?="),
                ("mcp-param-limit", "10"),
                ("mcp-param-dry", "true"),
            ],
            &[("mcp-param-plain", "anything"), ("mcp-param-unknown", "x")],
        ] {
            assert_eq!(with(good), Ok(()), "{good:?}");
        }
        for (name, value) in [
            ("mcp-param-region", "eu"),
            ("mcp-param-region", ""),
            ("mcp-param-region", "=?base64?!?="),
            ("mcp-param-limit", "10.0"),
            ("mcp-param-dry", "false"),
        ] {
            assert!(with(&[(name, value)]).is_err(), "{name}: {value}");
        }
        let header = |name: &str| (name == "mcp-param-region").then(|| "eu".to_owned());
        assert_eq!(
            check(&definition, &json!({}), &header),
            Err("Mcp-Param-Region".to_owned()),
            "nothing to repeat"
        );
        assert_eq!(check(&json!({}), &arguments, &header), Ok(()), "nothing is known of it");
    }
}
