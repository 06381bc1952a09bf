//! What `postern quickstart` says: the addresses, the login, the line for each client, and what to try. Text for a person,
//! or one JSON value for a program.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a running quickstart has to tell.
#[derive(Clone, Debug)]
pub struct Quickstart {
    /// How this binary is called, for the commands that are shown.
    pub program: String,
    /// The issuer's URL.
    pub issuer: String,
    /// The demo server's URL, which is the resource too.
    pub mcp_url: String,
    /// The demo person's e-mail address.
    pub email: String,
    /// The demo person's password; absent when an earlier run made the person and printed it then.
    pub password: Option<String>,
    /// The folder with everything that outlives this run.
    pub data_dir: PathBuf,
}

/// The name under which the clients know the demo server.
const SERVER: &str = "notes";

/// The text for a person: at most 15 lines.
#[must_use]
pub fn lines(about: &Quickstart) -> Vec<String> {
    let Quickstart { program, issuer, mcp_url, email, .. } = about;
    let commands = Commands::of(mcp_url);
    let folder = quoted(&about.data_dir);
    let password = match &about.password {
        Some(password) => format!("password {password}"),
        None => "with the password that the first run printed".to_owned(),
    };
    vec![
        format!("Postern is running. Issuer      {issuer}"),
        format!("                    MCP server  {mcp_url}   (tools: whoami, note_add, note_list)"),
        format!("                    Sign in as  {email}   {password}"),
        format!("                    Kept in     {}", about.data_dir.display()),
        String::new(),
        "Add the MCP server to a client; the client opens the browser, you sign in and approve:".to_owned(),
        format!("  Claude Code  {}   then /mcp inside", commands.claude_code),
        format!("  Codex        {} && {}", commands.codex, commands.codex_login),
        format!("  VS Code      {}", commands.vscode),
        format!("  Cursor       in ~/.cursor/mcp.json: {}", commands.cursor),
        String::new(),
        "Then ask for \"whoami\", then for a note: that needs one more approval, for notes:write.".to_owned(),
        "(A client that only reports the missing right asks for it when you authenticate again, as with /mcp.)".to_owned(),
        format!("Take it all back: POSTERN_DATA_DIR={folder} {program} grant revoke --all"),
        "Protect your own server: docs/PROTECT_YOUR_SERVER.md. Ctrl+C stops; the next start goes on from here.".to_owned(),
    ]
}

/// The same for a program.
#[must_use]
pub fn json(about: &Quickstart) -> Value {
    let commands = Commands::of(&about.mcp_url);
    json!({
        "issuer": about.issuer,
        "mcp_url": about.mcp_url,
        "resource": about.mcp_url,
        "email": about.email,
        "password": about.password,
        "data_dir": about.data_dir,
        "commands": {
            "claude_code": commands.claude_code,
            "codex": commands.codex,
            "codex_login": commands.codex_login,
            "vscode": commands.vscode,
            "cursor_mcp_json": commands.cursor,
            "cursor_link": commands.cursor_link,
        },
    })
}

struct Commands {
    claude_code: String,
    codex: String,
    codex_login: String,
    vscode: String,
    cursor: String,
    cursor_link: String,
}

impl Commands {
    fn of(url: &str) -> Self {
        let vscode = json!({"name": SERVER, "type": "http", "url": url});
        let cursor = json!({"url": url});
        let config: String =
            url::form_urlencoded::byte_serialize(STANDARD.encode(cursor.to_string()).as_bytes()).collect();
        Self {
            claude_code: format!("claude mcp add --transport http {SERVER} {url}"),
            codex: format!("codex mcp add {SERVER} --url {url}"),
            codex_login: format!("codex mcp login {SERVER}"),
            vscode: format!("code --add-mcp '{vscode}'"),
            cursor: json!({"mcpServers": {SERVER: cursor}}).to_string(),
            cursor_link: format!(
                "cursor://anysphere.cursor-deeplink/mcp/install?name={SERVER}&config={config}"
            ),
        }
    }
}

/// For a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> Quickstart {
        Quickstart {
            program: "target/release/postern".to_owned(),
            issuer: "http://localhost:8080".to_owned(),
            mcp_url: "http://localhost:8081/mcp".to_owned(),
            email: "demo@example.com".to_owned(),
            password: Some("correct-horse-battery".to_owned()),
            data_dir: PathBuf::from("./postern-data"),
        }
    }

    #[test]
    fn fits_a_terminal() {
        for about in [about(), Quickstart { password: None, ..about() }] {
            let lines = lines(&about);
            assert!(lines.len() <= 15, "{} lines", lines.len());
            for line in lines {
                assert!(line.chars().count() <= 110, "{} columns: {line}", line.chars().count());
                assert_eq!(line.trim_end(), line);
            }
        }
    }

    #[test]
    fn says_where_and_who_and_the_line_for_each_client() {
        let text = lines(&about()).join("\n");
        for part in [
            "http://localhost:8080\n",
            "demo@example.com   password correct-horse-battery\n",
            "claude mcp add --transport http notes http://localhost:8081/mcp ",
            "codex mcp add notes --url http://localhost:8081/mcp && codex mcp login notes\n",
            "code --add-mcp '{\"name\":\"notes\",\"type\":\"http\",\"url\":\"http://localhost:8081/mcp\"}'\n",
            "{\"mcpServers\":{\"notes\":{\"url\":\"http://localhost:8081/mcp\"}}}\n",
            "POSTERN_DATA_DIR=./postern-data target/release/postern grant revoke --all\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing from\n{text}");
        }
        let again = lines(&Quickstart { password: None, ..about() }).join("\n");
        assert!(
            again.contains("the password that the first run printed") && !again.contains("correct"),
            "{again}"
        );
    }

    #[test]
    fn tells_a_program_the_same() {
        let value = json(&about());
        for (key, expected) in [
            ("issuer", "http://localhost:8080"),
            ("mcp_url", "http://localhost:8081/mcp"),
            ("resource", "http://localhost:8081/mcp"),
            ("email", "demo@example.com"),
            ("password", "correct-horse-battery"),
            ("data_dir", "./postern-data"),
        ] {
            assert_eq!(value[key], expected);
        }
        let link = url::Url::parse(value["commands"]["cursor_link"].as_str().unwrap()).unwrap();
        let config = link.query_pairs().find(|(name, _)| name == "config").unwrap().1.into_owned();
        let config: Value = serde_json::from_slice(&STANDARD.decode(config).unwrap()).unwrap();
        assert_eq!(config, json!({"url": "http://localhost:8081/mcp"}));
    }

    #[test]
    fn a_folder_with_a_space_stays_one_word() {
        assert_eq!(quoted(Path::new("/tmp/a b'c")), r"'/tmp/a b'\''c'");
    }
}
