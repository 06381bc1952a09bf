//! The shape of the house, as tests: who may name whom, what stays pure, how long a file may be, and which documents
//! must agree with the code. `docs/ARCHITECTURE.md` draws the same picture for people.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use source::{Source, files, read_all};

/// The floors from the ground up, with the rooms on each. A room may name rooms on lower floors only; on the roof, where
/// everything is put together, the rooms may also name each other.
const FLOORS: [(&str, &[&str]); 7] = [
    ("ground", &["types"]),
    ("workshops", &["crypto", "storage", "outbound"]),
    ("decisions", &["oauth", "account"]),
    ("use cases", &["flow"]),
    ("threshold", &["wire"]),
    ("doors", &["http", "web", "gateway", "demo"]),
    ("roof", &["app", "server", "cli", "config", "telemetry", "jobs", "quickstart", "run", "main", "lib"]),
];

/// Rooms whose view is narrower than "everything below": decisions see plain types and nothing of the workshops, and the
/// gateway stands behind a wall.
const NARROWER: [(&str, &[&str]); 3] = [
    ("oauth", &["types"]),
    ("account", &["types"]),
    ("gateway", &["types", "crypto", "outbound", "flow", "wire"]),
];

/// What decisions may not name: they are functions of their arguments, without input, output, clock or chance.
const IMPURE_NAMES: [&str; 14] = [
    "actix_web",
    "actix_http",
    "diesel",
    "tokio",
    "hyper",
    "josekit",
    "getrandom",
    "SystemTime",
    "Instant",
    "now_utc",
    "new_v4",
    "now_v7",
    "async",
    "await",
];
const IMPURE_PATHS: [&str; 5] = ["std::fs", "std::env", "std::net::TcpStream", "std::process", "std::thread"];

/// A crate that one room alone may name.
const KEPT_IN: [(&str, &[&str]); 4] = [
    ("storage", &["diesel", "diesel_migrations", "libsqlite3_sys", "pq_sys"]),
    ("crypto", &["josekit"]),
    ("outbound", &["hyper", "hyper_rustls", "hyper_util", "lettre"]),
    ("account", &["cedar_policy"]),
];

/// How a route could be made without the route table's own function, which demands to know how it knows its caller.
const ROUTE_MACROS: [&str; 9] =
    ["get", "post", "put", "delete", "head", "patch", "options", "trace", "route"];

const LONGEST_FILE: usize = 600;

#[test]
fn use_points_down() {
    refuse(house().iter().flat_map(arrows_up_or_sideways));
}

#[test]
fn decisions_are_pure() {
    refuse(house().iter().flat_map(impurities));
}

#[test]
fn databases_signatures_and_sockets_stay_in_their_rooms() {
    refuse(house().iter().flat_map(strays));
}

#[test]
fn no_file_is_too_long() {
    let long = |s: &Source| {
        (s.lines > LONGEST_FILE)
            .then(|| format!("src/{}: {} lines, {LONGEST_FILE} at most (tests apart)", s.path, s.lines))
    };
    refuse(house().iter().filter_map(long));
}

#[test]
fn every_route_says_how_it_knows_its_caller() {
    refuse(house().iter().flat_map(undeclared_routes));
    let table = house().into_iter().find(|s| s.path == "server.rs").expect("the route table");
    assert_eq!(table.paths("web::resource").len(), 1, "routes are made in one function of src/server.rs");
    assert!(table.paths("Access").len() > 10, "every route names its access");
}

#[test]
fn both_databases_have_the_same_migrations() {
    let names = |database: &str| -> BTreeSet<String> {
        let root = repository().join("migrations").join(database);
        files(&root).iter().map(|p| p.strip_prefix(&root).unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn storage_document_lists_every_table() {
    let sql = files(&repository().join("migrations/sqlite"));
    let up = sql.iter().filter(|p| p.ends_with("up.sql")).map(|p| fs::read_to_string(p).unwrap());
    let document = fs::read_to_string(repository().join("docs/STORAGE.md")).expect("docs/STORAGE.md");
    refuse(differences(&tables(&up.collect::<Vec<_>>()), &documented_tables(&document)));
}

#[test]
fn tests_never_sleep() {
    let spellings = [
        ["thread::", "sleep"],
        ["time::", "sleep"],
        ["time.", "sleep"],
        ["asyncio.", "sleep"],
        ["waitFor", "Timeout"],
    ];
    let mut found = Vec::new();
    for path in files(&repository().join("tests")) {
        // Installed packages of the interoperability tests are not ours.
        if path
            .components()
            .any(|c| matches!(c.as_os_str().to_str(), Some("node_modules" | ".venv" | "target")))
        {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (n, line) in text.lines().enumerate() {
            if spellings.iter().any(|s| line.contains(&s.concat())) {
                found.push(format!(
                    "{}:{}: wait on a condition, or move the clock: {}",
                    path.display(),
                    n + 1,
                    line.trim()
                ));
            }
        }
    }
    refuse(found);
}

#[test]
fn templates_never_switch_escaping_off() {
    let mut found = Vec::new();
    for path in files(&repository().join("templates")) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let unescaped = |l: &str| l.split('|').skip(1).any(|filter| filter.trim_start().starts_with("safe"));
        let lines = text.lines().enumerate().filter(|(_, l)| unescaped(l));
        found.extend(lines.map(|(n, l)| format!("{}:{}: {}", path.display(), n + 1, l.trim())));
    }
    refuse(found);
}

#[test]
fn documents_link_to_what_exists() {
    let root = repository();
    let top = ["README.md", "CHANGELOG.md"].map(|name| root.join(name));
    let documents =
        files(&root.join("docs")).into_iter().chain(top).filter(|p| p.extension().is_some_and(|e| e == "md"));
    let mut found = Vec::new();
    for path in documents {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let dead = links(&text).into_iter().filter(|link| !path.with_file_name(link).exists());
        found.extend(dead.map(|link| format!("{}: links to {link}, which is not there", path.display())));
    }
    refuse(found);
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn house() -> Vec<Source> {
    let sources = read_all(&repository().join("src"));
    assert!(!sources.is_empty(), "no source found");
    sources
}

/// Fails with every offence, one a line.
fn refuse(offences: impl IntoIterator<Item = String>) {
    let all: Vec<String> = offences.into_iter().collect();
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

fn may_name(from: &str, to: &str) -> bool {
    let (Some(here), Some(there)) = (floor(from), floor(to)) else { return false };
    if let Some((_, view)) = NARROWER.iter().find(|(room, _)| *room == from) {
        return from == to || view.contains(&to);
    }
    from == to || there < here || here == FLOORS.len() - 1
}

fn arrows_up_or_sideways(source: &Source) -> Vec<String> {
    let from = source.room();
    if floor(from).is_none() {
        return vec![format!(
            "src/{}: the room `{from}` is on no floor of tests/architecture.rs",
            source.path
        )];
    }
    let wrong = source.arrows().into_iter().filter(|a| !may_name(from, &a.room));
    wrong.map(|a| format!("src/{}:{}: `{from}` may not name `{}`", source.path, a.line, a.room)).collect()
}

fn impurities(source: &Source) -> Vec<String> {
    if !matches!(source.room(), "oauth" | "account") {
        return Vec::new();
    }
    let names = source.names(&IMPURE_NAMES);
    let paths =
        IMPURE_PATHS.iter().flat_map(|p| source.paths(p).into_iter().map(|line| (line, (*p).to_owned())));
    let all = names.into_iter().chain(paths);
    all.map(|(line, what)| format!("src/{}:{line}: a decision may not name `{what}`", source.path)).collect()
}

fn strays(source: &Source) -> Vec<String> {
    let elsewhere = KEPT_IN.iter().filter(|(room, _)| *room != source.room());
    let found =
        elsewhere.flat_map(|(room, words)| source.names(words).into_iter().map(move |hit| (room, hit)));
    found
        .map(|(room, (line, what))| format!("src/{}:{line}: `{what}` belongs to {room}/", source.path))
        .collect()
}

fn undeclared_routes(source: &Source) -> Vec<String> {
    if !matches!(source.room(), "server" | "http" | "web" | "gateway" | "wire") {
        return Vec::new();
    }
    let mut lines: Vec<usize> =
        if source.path == "server.rs" { Vec::new() } else { source.paths("web::resource") };
    // `.route("/x", …)`: literals are no tokens, so a comma follows the bracket.
    lines.extend(source.paths(".route(,"));
    lines.extend(ROUTE_MACROS.iter().flat_map(|name| source.paths(&format!("#[{name}("))));
    lines.extend(ROUTE_MACROS.iter().flat_map(|name| source.paths(&format!("#[actix_web::{name}("))));
    let say = |line| {
        format!(
            "src/{}:{line}: a route is made with `route` of src/server.rs, which asks who may call",
            source.path
        )
    };
    lines.into_iter().map(say).collect()
}

/// Tables that exist after all migrations.
fn tables(migrations: &[String]) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for sql in migrations {
        let code =
            sql.lines().map(|l| l.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
        for statement in code.split(';') {
            let words: Vec<String> = statement
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .filter(|w| !w.is_empty() && !["if", "not", "exists"].contains(&w.to_lowercase().as_str()))
                .map(str::to_lowercase)
                .collect();
            match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["create", "table", name, ..] => drop(tables.insert((*name).to_owned())),
                ["drop", "table", name, ..] => drop(tables.remove(*name)),
                ["alter", "table", old, "rename", "to", new, ..] => {
                    tables.remove(*old);
                    tables.insert((*new).to_owned());
                }
                _ => {}
            }
        }
    }
    tables
}

/// The names in the first column of the document's tables: rows that begin with a name in backticks.
fn documented_tables(document: &str) -> BTreeSet<String> {
    let cell =
        |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
    document.lines().filter_map(cell).collect()
}

fn differences(exist: &BTreeSet<String>, documented: &BTreeSet<String>) -> Vec<String> {
    let missing =
        exist.difference(documented).map(|t| format!("docs/STORAGE.md: no row for the table `{t}`"));
    let invented =
        documented.difference(exist).map(|t| format!("docs/STORAGE.md: no migration makes the table `{t}`"));
    missing.chain(invented).collect()
}

/// Files that a Markdown text links to or shows, fragments cut off.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let images = text.split(" src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let sets = text.split("srcset=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let local = |link: &&str| {
        !link.is_empty() && !link.contains("://") && !link.starts_with(['#', '<']) && !link.contains(' ')
    };
    let all = targets.chain(images).chain(sets).map(|link| link.split('#').next().unwrap_or_default());
    all.filter(local).map(str::to_owned).collect()
}

/// An image is built from what `.dockerignore` lets through: a script that cargo is told to run has to be among it.
#[test]
fn what_cargo_runs_to_build_is_there_also_in_an_image() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let config: toml::Table = read(".cargo/config.toml").parse().unwrap();
    let scripts = [&config["build"]["rustc-workspace-wrapper"], &config["env"]["OPENSSL_SRC_PERL"]["value"]];
    let let_through = read(".dockerignore");
    for script in scripts.map(|script| script.as_str().unwrap()) {
        assert!(root.join(script).is_file(), "{script} is not there");
        assert!(
            let_through.lines().any(|line| line.strip_prefix('!') == Some(script)),
            "{script} is left out"
        );
    }
    assert!(let_through.lines().any(|line| line == "!.cargo"));
}

/// The rules themselves can fail: each is shown a sample that breaks it.
mod rules {
    use super::*;

    #[test]
    fn arrows_up_and_sideways_are_refused() {
        let refused = [
            ("types/id.rs", "use crate::crypto::Key;"),
            ("crypto/jwt.rs", "use crate::storage::Tx;"),
            ("storage/code.rs", "use super::super::oauth::Refusal;"),
            ("oauth/code.rs", "use crate::crypto::verify;"),
            ("oauth/code.rs", "use crate::account::login;"),
            ("account/login.rs", "fn f(s: &crate::storage::Store) {}"),
            ("flow/token.rs", "use crate::{types::Id, http::limits};"),
            ("http/token.rs", "use crate::web::page;"),
            ("http/token.rs", "use crate::app::App;"),
            ("gateway/relay.rs", "use crate::oauth::issue;"),
            ("gateway/relay.rs", "use crate::storage::Store;"),
            ("helpers/x.rs", ""),
            ("oauth/code.rs", "use crate::Unheard;"),
        ];
        for (path, text) in refused {
            assert_eq!(arrows_up_or_sideways(&Source::new(path, text)).len(), 1, "{path}: {text}");
        }
        let allowed = [
            ("crypto/jwt.rs", "use crate::types::Id; use super::keys;"),
            ("flow/token.rs", "use crate::{types, crypto, storage, outbound, oauth, account, flow::login};"),
            ("web/login.rs", "use crate::{flow, account, types};"),
            ("cli/user.rs", "use crate::{config, app, flow, storage};"),
            ("main.rs", "fn main() { postern::cli::run() }"),
        ];
        for (path, text) in allowed {
            assert_eq!(arrows_up_or_sideways(&Source::new(path, text)), [""; 0], "{path}");
        }
    }

    #[test]
    fn impure_decisions_are_refused() {
        for text in
            ["use diesel::prelude::*;", "let t = SystemTime::now();", "async fn f() {}", "std::fs::read(p)"]
        {
            assert_eq!(impurities(&Source::new("oauth/code.rs", text)).len(), 1, "{text}");
        }
        assert!(
            impurities(&Source::new("account/login.rs", "/// No diesel, no tokio.\nfn f(now: Timestamp) {}"))
                .is_empty()
        );
        assert!(impurities(&Source::new("flow/login.rs", "use tokio::task;")).is_empty());
    }

    #[test]
    fn strays_are_refused() {
        assert_eq!(strays(&Source::new("flow/token.rs", "use diesel::prelude::*;")).len(), 1);
        assert_eq!(strays(&Source::new("storage/jwt.rs", "use josekit::jws;")).len(), 1);
        assert_eq!(
            strays(&Source::new("http/x.rs", "hyper_util::client::legacy::Client::builder(e)")).len(),
            1
        );
        assert!(strays(&Source::new("storage/code.rs", "use diesel::prelude::*;")).is_empty());
    }

    #[test]
    fn routes_past_the_table_are_refused() {
        for text in
            ["web::resource(path)", "app.route(\"/x\", web::get().to(f))", "#[get(\"/x\")]\nasync fn x() {}"]
        {
            assert_eq!(undeclared_routes(&Source::new("http/x.rs", text)).len(), 1, "{text}");
        }
        let table = "route(\"/x\", Access::Public).route(web::get().to(f))";
        assert!(undeclared_routes(&Source::new("server.rs", table)).is_empty());
    }

    #[test]
    fn tables_come_from_the_statements() {
        let first = "CREATE TABLE users (id BLOB);\n-- CREATE TABLE ghosts (x);\ncreate table if not exists codes(\n id TEXT);";
        let second = "DROP TABLE codes; ALTER TABLE users RENAME TO people; CREATE INDEX i ON people (id);";
        assert_eq!(tables(&[first.to_owned()]), ["codes", "users"].map(str::to_owned).into());
        assert_eq!(tables(&[first.to_owned(), second.to_owned()]), ["people".to_owned()].into());
        let document =
            "| table | holds |\n|---|---|\n| `people` | rows |\n| `codes` (old) | x |\nUse `users`.";
        assert_eq!(documented_tables(document), ["codes", "people"].map(str::to_owned).into());
        let exist = ["people", "grants"].map(str::to_owned).into();
        assert_eq!(differences(&exist, &documented_tables(document)).len(), 2);
    }

    #[test]
    fn links_are_found() {
        let text = "See [a](STYLE.md#x), [b](https://h/), [c](#here) and ![d](shots/d.png).\n<img src=\"e.png\" alt=\"\">";
        assert_eq!(links(text), ["STYLE.md", "shots/d.png", "e.png"]);
    }

    #[test]
    fn the_scanner_sees_the_whole_tree() {
        assert!(house().iter().any(|s| s.path == "lib.rs"));
        assert!(!read_all(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").as_path()).is_empty());
    }
}
