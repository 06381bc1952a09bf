//! What a person puts into their client so that it finds an MCP server: commands and configuration, never a secret.

use serde_json::json;

/// One client's way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// The client.
    pub client: &'static str,
    /// Where it goes.
    pub place: &'static str,
    /// What goes there.
    pub text: String,
}

/// How each client is told of the server at `url`, under a name made from `name`.
#[must_use]
pub fn snippets(name: &str, url: &str) -> Vec<Snippet> {
    let name = short(name);
    let pretty = |value| serde_json::to_string_pretty(&value).unwrap_or_default();
    let named = |value: serde_json::Value| {
        let mut servers = serde_json::Map::new();
        servers.insert(name.clone(), value);
        json!({ "mcpServers": servers })
    };
    let vscode = json!({ "name": name, "type": "http", "url": url }).to_string();
    let at = shell(url);
    vec![
        Snippet {
            client: "Claude Code",
            place: "In a terminal; then /mcp in a session",
            text: format!("claude mcp add --transport http {name} {at}"),
        },
        Snippet {
            client: "Cursor",
            place: "In ~/.cursor/mcp.json",
            text: pretty(named(json!({ "url": url }))),
        },
        Snippet {
            client: "VS Code",
            place: "In a terminal",
            text: format!("code --add-mcp {}", shell(&vscode)),
        },
        Snippet {
            client: "Codex",
            place: "In a terminal",
            text: format!("codex mcp add {name} --url {at}\ncodex mcp login {name}"),
        },
        Snippet {
            client: "Another app",
            place: "In its configuration",
            text: pretty(named(json!({ "type": "http", "url": url }))),
        },
    ]
}

/// A name that every client takes: small letters, digits and hyphens.
fn short(name: &str) -> String {
    let words: Vec<String> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if words.is_empty() { "server".to_owned() } else { words.join("-").chars().take(40).collect() }
}

/// For a POSIX shell.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_is_told_in_its_own_words() {
        let all = snippets("Team notes", "https://auth.example.com/mcp/notes");
        let texts: Vec<(&str, &str)> = all.iter().map(|one| (one.client, one.text.as_str())).collect();
        let cursor = "{\n  \"mcpServers\": {\n    \"team-notes\": {\n      \"url\": \"https://auth.example.com/mcp/notes\"\n    }\n  }\n}";
        let other = "{\n  \"mcpServers\": {\n    \"team-notes\": {\n      \"type\": \"http\",\n      \"url\": \"https://auth.example.com/mcp/notes\"\n    }\n  }\n}";
        assert_eq!(
            texts,
            [
                (
                    "Claude Code",
                    "claude mcp add --transport http team-notes https://auth.example.com/mcp/notes"
                ),
                ("Cursor", cursor),
                (
                    "VS Code",
                    r#"code --add-mcp '{"name":"team-notes","type":"http","url":"https://auth.example.com/mcp/notes"}'"#
                ),
                (
                    "Codex",
                    "codex mcp add team-notes --url https://auth.example.com/mcp/notes\ncodex mcp login team-notes"
                ),
                ("Another app", other),
            ]
        );
    }

    #[test]
    fn a_shell_reads_nothing_into_it() {
        let all = snippets("$(id); x' -- \u{e4}", "https://a.example/mcp?a='$(id)'&b=1");
        assert_eq!(
            all[0].text,
            r"claude mcp add --transport http id-x 'https://a.example/mcp?a='\''$(id)'\''&b=1'"
        );
        assert_eq!(short("\u{e4}"), "server");
    }
}
