//! `postern import`: a client's configuration, with its keys in it, becomes servers behind the gateway, keys in the vault, and
//! a configuration that holds nothing secret.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::args::ImportArgs;
use super::output::{CliError, Said};
use crate::flow::core::{Caller, Core};
use crate::flow::people::OrderError;
use crate::flow::resources::{self, NewResource};
use crate::flow::vault::{self, NewCredential};
use crate::outbound::stdio::{CommandLine, Environment};
use crate::outbound::upstream_mcp::Upstreams;
use crate::types::key::SigningAlg;
use crate::types::resource::ClientRule;
use crate::types::secret::Secret;

/// Largest configuration that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Where the servers stand: Claude Code and Cursor, VS Code, Codex.
const TABLES: [&str; 3] = ["mcpServers", "servers", "mcp_servers"];
/// Where their headers stand.
const HEADERS: [&str; 2] = ["headers", "http_headers"];
/// Members of a server that name a key kept elsewhere, and go with the rest.
const ELSEWHERE: [&str; 3] = ["env_http_headers", "bearer_token_env_var", "bearer_token"];

/// Members of a server over stdio that mean nothing behind the gateway.
const STDIO: [&str; 5] = ["command", "args", "env", "envFile", "cwd"];
const NAMELESS: &str = "its name has no letter or digit that a URL could hold";

/// A configuration as it was read, and how it is written.
struct File {
    value: Value,
    is_toml: bool,
}

/// What becomes of one server.
struct Plan {
    name: String,
    slug: String,
    upstream: String,
    credential: Option<NewCredential>,
    /// What a person has to know.
    note: Option<String>,
}

pub(super) async fn run(core: &Core, args: ImportArgs) -> Result<Said, CliError> {
    let mut file = read(&args.file)?;
    let table = TABLES.into_iter().find(|name| file.value.get(*name).is_some_and(Value::is_object));
    let table = table.ok_or_else(|| {
        CliError::Usage(format!(
            "{} has no MCP servers: expected a member mcpServers (Claude Code, Cursor), servers (VS Code) or mcp_servers (Codex)",
            args.file.display()
        ))
    })?;
    if let Some(out) = args.out.as_deref().filter(|out| out.exists() && !same(out, &args.file)) {
        return Err(CliError::Usage(format!("{} is there already; name a file that is not", out.display())));
    }
    let mut rows = Vec::new();
    let (mut moved, mut left) = (0, 0);
    let servers = file.value.get(table).and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, server) in &servers {
        let here = |slug: &str| core.policy.issuer.url(&format!("/mcp/{slug}"));
        let (state, note, slug) = match plan(name, server, args.stdio) {
            Err(why) => ("left", Some(why), None),
            Ok(plan) if plan.upstream.starts_with(&core.policy.issuer.url("/mcp/")) => {
                ("left", Some("it is behind the gateway already".to_owned()), None)
            }
            Ok(plan) if args.out.is_none() => ("would move", plan.note.clone(), Some(plan.slug)),
            Ok(plan) => {
                let (slug, note) = (plan.slug.clone(), plan.note.clone());
                match carry_out(core, plan, here(&slug)).await {
                    Ok(()) => ("moved", note, Some(slug)),
                    Err(error) => ("left", Some(error), None),
                }
            }
        };
        match &slug {
            Some(slug) => {
                moved += 1;
                let entry = file.value.get_mut(table).and_then(|all| all.get_mut(name));
                if let Some(Value::Object(entry)) = entry {
                    rewrite(entry, &here(slug), file.is_toml);
                }
            }
            None => left += 1,
        }
        rows.push(json!({
            "name": name, "state": state, "url": slug.as_deref().map(here), "note": note,
        }));
    }
    let mut said = Said::list(rows.clone(), &["name", "state", "url", "note"]);
    let written = if let (Some(out), true) = (&args.out, moved > 0) {
        write(out, &file)?;
        said.lines.push(format!(
            "{} is written: {moved} servers point to the gateway. Put it in the place of {}, whose keys are in the vault now, and delete that one.",
            out.display(),
            args.file.display()
        ));
        Value::from(out.display().to_string())
    } else {
        if args.out.is_none() {
            said.lines.push("Nothing was changed. To do it: add --out FILE.".to_owned());
        }
        Value::Null
    };
    said.json = json!({ "servers": rows, "moved": moved, "left": left, "written": written });
    Ok(said)
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn read(path: &Path) -> Result<File, CliError> {
    let failed = |why: &str| CliError::Failed(format!("{}: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| failed(&error.to_string()))?.len();
    if length > LARGEST {
        return Err(failed("it is too large for a client's configuration"));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
    let is_toml = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml"));
    let value = if is_toml {
        toml::from_str::<Value>(&text).map_err(|error| failed(error.message()))
    } else {
        serde_json::from_str(&text).map_err(|error| {
            failed(&format!("it is no JSON ({error}); comments and commas at the end have to go first"))
        })
    }?;
    Ok(File { value, is_toml })
}

/// Readable by its owner alone, like the one it takes the place of.
fn write(path: &Path, file: &File) -> Result<(), CliError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let text = if file.is_toml {
        toml::to_string_pretty(&file.value).map_err(|error| CliError::Failed(error.to_string()))?
    } else {
        format!("{:#}\n", file.value)
    };
    let opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut out| out.write_all(text.as_bytes()).and_then(|()| out.sync_all()))
        .map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))
}

/// What can be done with a server; with one over stdio only where that was asked for.
fn plan(name: &str, server: &Value, stdio: bool) -> Result<Plan, String> {
    if server.get("command").is_some() {
        return if stdio {
            plan_stdio(name, server)
        } else {
            Err("it runs on its user's machine over stdio; with --stdio it is run here instead".to_owned())
        };
    }
    let Some(url) = server.get("url").or_else(|| server.get("serverUrl")).and_then(Value::as_str) else {
        return Err("it has no URL".to_owned());
    };
    if server.get("type").and_then(Value::as_str) == Some("sse") {
        return Err("it speaks the old HTTP+SSE transport, which the gateway does not".to_owned());
    }
    if url.contains("${") {
        return Err("its URL is put together from variables; write it out first".to_owned());
    }
    let upstream = Upstreams::check(url)?;
    if upstream.query().is_some_and(|query| !query.is_empty()) {
        return Err(
            "its URL has a query, which often holds a key; add it by hand with `postern resource add`"
                .to_owned(),
        );
    }
    let slug = slug_of(name).ok_or(NAMELESS)?;
    let none = Map::new();
    let headers = HEADERS.iter().find_map(|key| server.get(*key)?.as_object()).unwrap_or(&none);
    let mut given = headers.iter();
    let credential = match (given.next(), given.next()) {
        (Some(_), Some(_)) => {
            let names: Vec<&String> = headers.keys().collect();
            return Err(format!(
                "it sends several headers ({names:?}), and the gateway keeps one for each server"
            ));
        }
        (Some((header, Value::String(value))), None) => Some((header, value)),
        (Some((header, _)), None) => return Err(format!("its header {header:?} is no text")),
        (None, _) => None,
    };
    let elsewhere = ELSEWHERE.into_iter().any(|key| server.get(key).is_some());
    let by_hand = "its key is kept elsewhere: give it to the gateway with `postern upstream set`";
    let (credential, note) = match credential {
        Some((_, value)) if value.contains("${") => (None, Some(by_hand.to_owned())),
        Some((header, value)) => (Some(credential_of(header, value)), None),
        None => (None, elsewhere.then(|| by_hand.to_owned())),
    };
    Ok(Plan { name: name.to_owned(), slug, upstream: upstream.to_string(), credential, note })
}

/// A server over stdio: its variables go into the vault, but for those that are too short to be secrets.
fn plan_stdio(name: &str, server: &Value) -> Result<Plan, String> {
    let text =
        |value: &Value, what: &str| value.as_str().map(str::to_owned).ok_or(format!("its {what} is no text"));
    let program = text(server.get("command").unwrap_or(&Value::Null), "command")?;
    if server.get("cwd").is_some() || (program.contains('/') && !program.starts_with('/')) {
        return Err(
            "it is run in a folder of its user's; add it by hand with `postern resource add`".to_owned()
        );
    }
    let arguments = match server.get("args") {
        None => Vec::new(),
        Some(Value::Array(all)) => all.iter().map(|one| text(one, "argument")).collect::<Result<_, _>>()?,
        Some(_) => return Err("its args are no list".to_owned()),
    };
    let (mut words, mut secrets) = (Vec::new(), BTreeMap::new());
    let mut note = "it runs on this machine from now on, for each person apart".to_owned();
    let (none, mut by_hand) = (Map::new(), Vec::new());
    let variables = server.get("env").and_then(Value::as_object).unwrap_or(&none);
    for (name, value) in variables {
        let value = text(value, "environment")?;
        if !Environment::may_be_named(name) {
            return Err(format!("it sets {name}, which the gateway sets itself"));
        }
        if value.contains("${") {
            by_hand.push(name.as_str());
        } else if value.len() < 8 {
            words.push(format!("{name}={value}"));
        } else {
            secrets.insert(name.clone(), Secret::new(value));
        }
    }
    if !by_hand.is_empty() {
        note = format!("{note}; give it {} with `postern upstream set --env`", by_hand.join(", "));
    }
    if !words.is_empty() {
        words.insert(0, "env".to_owned());
    }
    words.push(program);
    words.extend(arguments);
    if words.iter().any(|word| word.contains("${")) {
        return Err("its command is put together from variables; write it out first".to_owned());
    }
    let upstream =
        CommandLine::written(words.iter().map(String::as_str)).ok_or("its command cannot be written down")?;
    CommandLine::parse(&upstream)?;
    let credential = (!secrets.is_empty()).then_some(NewCredential::Environment(secrets));
    let slug = slug_of(name).ok_or(NAMELESS)?;
    Ok(Plan { name: name.to_owned(), slug, upstream, credential, note: Some(note) })
}

fn credential_of(header: &str, value: &str) -> NewCredential {
    let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match bearer.filter(|_| header.eq_ignore_ascii_case("authorization")) {
        Some((_, token)) => NewCredential::Bearer(Secret::new(token.trim().to_owned())),
        None => NewCredential::Header(header.to_owned(), Secret::new(value.to_owned())),
    }
}

fn slug_of(name: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().map(plain).take(64).collect();
    let slug = slug.trim_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

/// The server, and then its key; without the key the server is taken back, so that trying again begins anew.
async fn carry_out(core: &Core, plan: Plan, uri: String) -> Result<(), String> {
    let caller = Caller::command_line();
    let text = |error: OrderError| CliError::from(error).text();
    let new = NewResource {
        uri: uri.clone(),
        name: plan.name,
        scopes: resources::gated_scopes(),
        access_token_ttl: None,
        signing_alg: SigningAlg::ES256,
        is_default: false,
        client_rule: ClientRule::Anyone,
        second_factor_required: false,
        slug: Some(plan.slug),
        upstream: Some(plan.upstream),
    };
    resources::add(core, &caller, new).await.map_err(text)?;
    if let Some(credential) = plan.credential
        && let Err(error) = vault::set(core, &caller, &uri, credential).await
    {
        resources::remove(core, &caller, &uri).await.map_err(text)?;
        return Err(text(error));
    }
    Ok(())
}

/// Points a client to the gateway; what else it says of the server stays.
fn rewrite(entry: &mut Map<String, Value>, url: &str, is_toml: bool) {
    let was_stdio = entry.contains_key("command");
    for name in HEADERS.into_iter().chain(ELSEWHERE).chain(STDIO) {
        entry.remove(name);
    }
    if was_stdio && !is_toml {
        entry.insert("type".to_owned(), "http".into());
    }
    let member = if entry.contains_key("serverUrl") { "serverUrl" } else { "url" };
    entry.insert(member.to_owned(), url.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(server: Value) -> Result<Plan, String> {
        plan("My Notes!", &server, false)
    }

    #[test]
    fn a_server_over_stdio_is_run_here_where_that_is_asked_for() {
        let server = json!({"type": "stdio", "command": "npx", "args": ["-y", "@x/a server"],
            "env": {"DEBUG": "1", "API_KEY": "abcdefgh"}});
        assert!(planned(server.clone()).is_err());
        let found = plan("My Notes!", &server, true).unwrap();
        let command = CommandLine::parse(&found.upstream).unwrap();
        assert_eq!(
            (command.program(), command.arguments().join("|").as_str()),
            ("env", "DEBUG=1|npx|-y|@x/a server")
        );
        let Some(NewCredential::Environment(secrets)) = found.credential else { panic!("no secrets") };
        assert_eq!(
            secrets.into_iter().map(|(name, value)| (name, value.expose().clone())).collect::<Vec<_>>(),
            [("API_KEY".to_owned(), "abcdefgh".to_owned())]
        );
        assert!(!found.upstream.contains("abcdefgh"));
        let mut entry = server;
        rewrite(entry.as_object_mut().unwrap(), "https://p.example/mcp/n", false);
        assert_eq!(entry, json!({"type": "http", "url": "https://p.example/mcp/n"}));
        for left in [
            json!({"command": "./run"}),
            json!({"command": "npx", "cwd": "/home/me"}),
            json!({"command": "npx", "args": ["${TOKEN}"]}),
            json!({"command": "npx", "env": {"PATH": "/opt/bin"}}),
            json!({"command": ["npx"]}),
        ] {
            assert!(plan("n", &left, true).is_err(), "{left}");
        }
    }

    #[test]
    fn a_server_with_one_key_is_moved_whole() {
        let found = planned(json!({"type": "http", "url": "https://n.example/mcp", "headers": {"Authorization": "Bearer abc"}})).unwrap();
        assert_eq!((found.slug.as_str(), found.upstream.as_str()), ("my-notes", "https://n.example/mcp"));
        assert!(matches!(found.credential, Some(NewCredential::Bearer(key)) if key.expose() == "abc"));
        let found =
            planned(json!({"url": "https://n.example/mcp", "http_headers": {"X-Key": "abc"}})).unwrap();
        assert!(matches!(found.credential, Some(NewCredential::Header(name, _)) if name == "X-Key"));
        let found =
            planned(json!({"url": "https://n.example/mcp", "headers": {"X-Key": "${input:key}"}})).unwrap();
        assert!(found.credential.is_none() && found.note.is_some(), "the key is not here");
        assert!(
            planned(json!({"url": "https://n.example/mcp", "bearer_token_env_var": "K"}))
                .unwrap()
                .note
                .is_some()
        );
    }

    #[test]
    fn what_cannot_be_moved_whole_is_left_and_says_why() {
        for server in [
            json!({"command": "npx", "args": ["x"]}),
            json!({"url": "https://n.example/mcp?key=abc"}),
            json!({"url": "https://u:p@n.example/mcp"}),
            json!({"url": "http://169.254.169.254/mcp"}),
            json!({"url": "https://n.example/mcp", "headers": {"A": "1", "B": "2"}}),
            json!({"url": "https://n.example/sse", "type": "sse"}),
            json!({"url": "https://${HOST}/mcp"}),
            json!({}),
        ] {
            assert!(planned(server.clone()).is_err(), "{server}");
        }
        assert!(plan("…", &json!({"url": "https://n.example/mcp"}), false).is_err());
    }

    #[test]
    fn what_is_written_holds_no_key() {
        let mut entry = json!({"url": "https://n.example/mcp", "headers": {"X-Key": "abc"}, "timeout": 5});
        rewrite(entry.as_object_mut().unwrap(), "https://p.example/mcp/n", false);
        assert_eq!(entry, json!({"url": "https://p.example/mcp/n", "timeout": 5}));
    }
}
