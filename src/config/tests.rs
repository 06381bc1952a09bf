use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::crypto::seal::MasterKey;
use crate::types::issuer::Issuer;
use crate::types::policy::{FIXED, RegistrationMode};
use crate::types::random::{SeededRng, SystemRng};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn load(env: &[(&str, &str)], cwd: &Path) -> Result<Config, ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::load(None, env, cwd)
}

fn load_text(toml: &str) -> Result<Config, ConfigError> {
    let folder = folder();
    std::fs::write(folder.path().join("postern.toml"), toml).unwrap();
    load(&[], folder.path())
}

fn problem(outcome: Result<Config, ConfigError>) -> String {
    outcome.err().expect("a refusal").to_string()
}

#[test]
fn the_defaults_are_those_of_the_policy() {
    let folder = folder();
    let config = load(&[], folder.path()).unwrap();
    let policy = Policy::new(Issuer::parse("http://localhost:8080").unwrap());
    assert_eq!(format!("{:?}", config.policy), format!("{policy:?}"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data_dir, folder.path().join("./postern-data"));
    assert_eq!(config.database_url, DatabaseUrl::Sqlite(folder.path().join("postern-data/postern.db")));
    assert!(matches!(config.master_key, MasterKeySource::DataDir));
    assert!(config.metrics_listen.is_none() && config.trusted_proxies.iter().next().is_none());
    assert_eq!(
        (config.brand.name.as_str(), config.log.level.as_str()),
        ("Postern", "info,actix_server=warn")
    );
    assert_eq!(config.log.format, LogFormat::Json);
    assert!(config.settings.iter().all(|setting| setting.source == "default"));
    assert!(!config.data_dir.exists(), "reading makes nothing");
}

#[test]
fn what_is_shown_is_what_can_be_written() {
    for key in keys::KEYS {
        let Some(default) = key.default.filter(|_| key.name != "data_dir") else { continue };
        let config = load(&[(&key.variable(), default)], Path::new("/nowhere")).unwrap();
        let shown = config.settings.iter().find(|setting| setting.key == key.name).unwrap();
        let equal = shown.value == default
            || (default, shown.value.as_str()) == ("60s", "1m")
            || (default, shown.value.as_str()) == ("12h", "12h");
        assert!(equal, "{} is shown as {:?}", key.name, shown.value);
        assert_eq!(shown.source, key.variable());
    }
}

#[test]
fn every_key_can_stand_in_the_file_and_the_environment_beats_it() {
    let folder = folder();
    std::fs::write(folder.path().join("logo.svg"), "<svg/>").unwrap();
    let file = folder.path().join("other.toml");
    let text = r##"
issuer = "https://auth.example.com/t1"
listen = "[::]:9000"
data_dir = "data"
database_url = "postgres://u:hunter2@db/postern?sslmode=require"
master_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
metrics_listen = "127.0.0.1:9100"
trusted_proxies = ["10.0.0.0/8", "::1"]
client_cert_header = "X-Peer-Cert"
registration.mode = "closed"
registration.client_id_metadata_documents = false
[tokens]
access_token_ttl = "10m"
authorization_code_ttl = "30s"
refresh_token_idle_ttl = "7d"
refresh_token_max_ttl = "90d"
refresh_retry_window = "0s"
[login]
session_idle_ttl = "1h"
session_max_ttl = "1d"
[brand]
name = "Example"
logo = "logo.svg"
accent = "#800020"
[log]
format = "text"
level = "warn,postern=debug"
"##;
    let text = format!("{text}[registration]\n").replace("[registration]\n", "");
    std::fs::write(&file, text).unwrap();
    let env = [
        ("POSTERN_CONFIG", file.to_str().unwrap()),
        ("POSTERN_REGISTRATION__MODE", "initial_access_token"),
        ("POSTERN_REGISTRATION__ALLOW_PRIVATE_NETWORKS", "true"),
        ("POSTERN_REGISTRATION__REDIRECT_SCHEMES", "cursor, com.example.app"),
        ("POSTERN_TOKENS__ACCESS_TOKEN_TTL", "1s"),
        ("PATH", "/bin"),
    ];
    let config = load(&env, folder.path()).unwrap();
    assert_eq!(config.policy.issuer.as_str(), "https://auth.example.com/t1");
    assert_eq!(config.policy.registration_mode, RegistrationMode::InitialAccessToken);
    assert!(!config.policy.client_id_metadata_documents && config.policy.allow_private_networks);
    assert_eq!(config.policy.redirect_schemes, ["cursor", "com.example.app"]);
    assert_eq!(config.policy.access_token_ttl.as_secs(), 1);
    assert_eq!(config.policy.refresh_retry_window.as_secs(), 0);
    assert_eq!(config.policy.session_max_ttl.as_secs(), 86_400);
    assert_eq!(config.trusted_proxies.iter().count(), 2);
    assert_eq!(config.trusted_proxies.certificate_header(), "X-Peer-Cert");
    assert_eq!(config.brand.accent.unwrap().hex(), "#800020");
    assert_eq!(config.brand.logo().unwrap().unwrap().1, "image/svg+xml");
    assert_eq!(config.log, LogConfig { format: LogFormat::Text, level: "warn,postern=debug".to_owned() });
    let shown = serde_json::to_string(&config.settings).unwrap();
    assert!(
        shown.contains("postgres://u@db/postern") && !shown.contains("hunter2") && !shown.contains("AAAA")
    );
    let setting = |key: &str| config.settings.iter().find(|setting| setting.key == key).unwrap();
    assert_eq!(setting("registration.mode").source, "POSTERN_REGISTRATION__MODE");
    assert_eq!(setting("listen").source, file.display().to_string());
}

#[test]
fn an_unknown_key_is_named_with_what_was_meant() {
    for (toml, said) in [
        ("isuer = 'x'", "unknown key isuer; did you mean issuer?"),
        ("registration.mod = 'open'", "unknown key registration.mod; did you mean registration.mode?"),
        ("[registration]\nmodes = 'open'", "unknown key registration.modes; did you mean registration.mode?"),
        ("[database]\nurl = 'x'", "unknown key database.url; did you mean database_url?"),
        ("[zebra]", "unknown key zebra; expected one of those that docs/CONFIG.md lists"),
        ("registration = 'open'", "registration: expected a table, written [registration]"),
        ("[issuer]\nx = 1", "issuer: expected text in quotes, found table"),
    ] {
        let problem = problem(load_text(toml));
        assert!(problem.contains("postern.toml: ") && problem.contains(said), "{toml}: {problem}");
    }
}

#[test]
fn an_unknown_variable_is_named_with_what_was_meant() {
    for (name, value, said) in [
        ("POSTERN_ISUER", "x", "did you mean POSTERN_ISSUER?"),
        ("POSTERN_REGISTRATION_MODE", "open", "did you mean POSTERN_REGISTRATION__MODE?"),
        ("POSTERN_issuer", "x", "did you mean POSTERN_ISSUER?"),
        ("POSTERN_ZEBRA_CROSSING_AHEAD", "x", "docs/CONFIG.md"),
        ("POSTERN_", "x", "docs/CONFIG.md"),
        ("POSTERN_PORT_8080_TCP", "tcp://10.0.0.1:8080", "enableServiceLinks: false"),
    ] {
        let problem = problem(load(&[(name, value)], Path::new("/nowhere")));
        assert!(
            problem.contains(&format!("unknown environment variable {name};")) && problem.contains(said),
            "{problem}"
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_what_was_expected() {
    for (key, value, expected) in [
        ("issuer", "http://auth.example.com", "https"),
        ("issuer", "https://auth.example.com/", "slash"),
        ("issuer", "https://auth.example.com/%61", "percent-encoded"),
        ("listen", "8080", "127.0.0.1:8080"),
        ("listen", "localhost:8080", "127.0.0.1:8080"),
        ("data_dir", "", "a path"),
        ("database_url", "mysql://x", "sqlite:PATH"),
        ("database_url", "postern.db", "sqlite:PATH"),
        ("metrics_listen", "yes", "127.0.0.1:8080"),
        ("trusted_proxies", "10.0.0.0/8,proxy", "10.0.0.0/8"),
        ("client_cert_header", "Authorization", "name of a header"),
        ("registration.mode", "opne", "open, initial_access_token or closed"),
        ("registration.client_id_metadata_documents", "yes", "true or false"),
        ("registration.allow_private_networks", "", "true or false"),
        ("registration.redirect_schemes", "cursor,javascript", "schemes that belong to apps"),
        ("registration.redirect_schemes", "Cursor", "lower case"),
        ("tokens.access_token_ttl", "0s", "1s to 1h"),
        ("tokens.access_token_ttl", "2h", "1s to 1h"),
        ("tokens.access_token_ttl", "5", "5m"),
        ("tokens.authorization_code_ttl", "11m", "1s to 10m"),
        ("tokens.refresh_token_idle_ttl", "0s", "1s to"),
        ("tokens.refresh_retry_window", "2d", "0s to 1d"),
        ("login.session_max_ttl", "forever", "90s, 5m, 12h or 30d"),
        ("brand.name", " ", "1 to 60 characters"),
        ("brand.logo", "/nowhere/logo.png", "can be read"),
        ("brand.accent", "#ffff00", "read on white"),
        ("log.format", "xml", "json or text"),
        ("log.level", "loud", "error, warn, info"),
        ("log.level", "postern=loud", "error, warn, info"),
    ] {
        let variable = format!("POSTERN_{}", key.replace('.', "__").to_uppercase());
        let problem = problem(load(&[(&variable, value)], Path::new("/nowhere")));
        assert!(
            problem.contains(&variable) && problem.contains(key) && problem.contains(expected),
            "{problem}"
        );
        let (table, last) = key.rsplit_once('.').unwrap_or(("", key));
        let header = if table.is_empty() { String::new() } else { format!("[{table}]\n") };
        let problem = self::problem(load_text(&format!("{header}{last} = {value:?}")));
        assert!(problem.contains("postern.toml: ") && problem.contains(key), "{problem}");
    }
    for wrong_kind in [
        "issuer = 7",
        "trusted_proxies = 7",
        "trusted_proxies = [7]",
        "[tokens]\naccess_token_ttl = 300",
        "[registration]\nallow_private_networks = 1",
    ] {
        assert!(problem(load_text(wrong_kind)).contains("expected"), "{wrong_kind}");
    }
}

#[test]
fn keys_that_contradict_each_other_are_named_together() {
    for (toml, one, other) in [
        (
            "[tokens]\nrefresh_token_idle_ttl = '8d'\nrefresh_token_max_ttl = '7d'",
            "tokens.refresh_token_idle_ttl",
            "tokens.refresh_token_max_ttl, which is 7d",
        ),
        ("tokens.refresh_token_idle_ttl = '366d'", "tokens.refresh_token_idle_ttl", "which is 365d"),
        (
            "[login]\nsession_idle_ttl = '2h'\nsession_max_ttl = '1h'",
            "login.session_idle_ttl",
            "login.session_max_ttl, which is 1h",
        ),
        ("metrics_listen = '127.0.0.1:8080'", "metrics_listen", "listen, which is 127.0.0.1:8080"),
        ("metrics_listen = '0.0.0.0:8080'", "metrics_listen", "another port"),
    ] {
        let problem = problem(load_text(toml));
        assert!(problem.contains(&format!("postern.toml: {one}: ")) && problem.contains(other), "{problem}");
    }
    for fine in [
        "[tokens]\nrefresh_token_max_ttl = '7d'",
        "[login]\nsession_max_ttl = '1h'",
        "[login]\nsession_idle_ttl = '1h'\nsession_max_ttl = '1h'",
        "metrics_listen = '127.0.0.2:8080'",
        "listen = '127.0.0.1:0'\nmetrics_listen = '127.0.0.1:0'",
    ] {
        assert!(load_text(fine).is_ok(), "{fine}: {}", problem(load_text(fine)));
    }
}

#[test]
fn secrets_are_not_repeated_in_a_refusal() {
    for (name, value) in
        [("POSTERN_MASTER_KEY", "hunter2hunter2"), ("POSTERN_DATABASE_URL", "pg://u:hunter2@db")]
    {
        assert!(!problem(load(&[(name, value)], Path::new("/nowhere"))).contains("hunter2"));
    }
    let problem = problem(load_text("issuer = 'http://localhost:1'\nmaster_key = 'hunter2"));
    assert!(problem.contains("line 2: expected TOML") && !problem.contains("hunter2"), "{problem}");
}

#[test]
fn every_problem_is_told_at_once() {
    let error =
        load(&[("POSTERN_LISTEN", "x"), ("POSTERN_ISSUER", "x"), ("POSTERN_X", "x")], Path::new("/nowhere"));
    assert_eq!(error.err().unwrap().problems.len(), 3);
}

#[test]
fn a_named_file_must_be_there_and_be_readable() {
    let folder = folder();
    let missing = folder.path().join("missing.toml");
    for (file, env) in [
        (Some(missing.clone()), vec![]),
        (None, vec![("POSTERN_CONFIG".to_owned(), missing.display().to_string())]),
        (Some(folder.path().to_owned()), vec![]),
    ] {
        let problem = problem(Config::load(file, env, folder.path()));
        assert!(problem.contains("expected a configuration file that can be read"), "{problem}");
    }
    std::fs::write(folder.path().join("postern.toml"), b"issuer = '\xff'").unwrap();
    assert!(problem(load(&[], folder.path())).contains("postern.toml"));
    // A file named on the command line beats the one named in the environment.
    let good = folder.path().join("good.toml");
    std::fs::write(&good, "listen = '127.0.0.1:1'").unwrap();
    let env = vec![("POSTERN_CONFIG".to_owned(), missing.display().to_string())];
    assert_eq!(Config::load(Some(good), env, folder.path()).unwrap().listen.port(), 1);
}

#[test]
fn the_master_key_is_made_once_and_kept_to_its_owner() {
    let folder = folder();
    let config = load(&[], folder.path()).unwrap();
    let key = config.master_key(&SystemRng).unwrap();
    let again = load(&[], folder.path()).unwrap().master_key(&SystemRng).unwrap();
    assert_eq!(key.derive("x"), again.derive("x"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&config.data_dir), 0o700);
    assert_eq!(mode(&config.data_dir.join("master.key")), 0o600);
    assert_eq!(std::fs::read_dir(&config.data_dir).unwrap().count(), 1, "no draft is left");
}

#[test]
fn processes_that_start_at_once_agree_on_the_master_key() {
    let folder = folder();
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let start = |seed: u64| {
            let cwd = folder.path();
            scope
                .spawn(move || load(&[], cwd).unwrap().master_key(&SeededRng::new(seed)).unwrap().derive("x"))
        };
        let threads: Vec<_> = (0..8).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| Some(key) == keys.first()));
}

#[test]
fn a_master_key_file_must_be_there_and_hold_a_key() {
    let folder = folder();
    let path = folder.path().join("key");
    let text = path.to_str().unwrap();
    let variable = "the environment variable POSTERN_MASTER_KEY_FILE (master_key_file): ";
    let missing = problem(load(&[("POSTERN_MASTER_KEY_FILE", text)], folder.path()));
    assert!(missing.starts_with(&format!("{variable}expected a file, found {text}")), "{missing}");
    let config = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        load(&[("POSTERN_MASTER_KEY_FILE", text)], folder.path()).unwrap().master_key(&SystemRng)
    };
    assert!(config(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").is_ok());
    for bad in [b"".as_slice(), b"AAAA", b"\xff\xfe", &[b'A'; 4_096]] {
        let said = config(bad).unwrap_err().to_string();
        assert!(said.starts_with(variable) && said.contains("32 bytes in base64"), "{said}");
    }
    std::fs::write(folder.path().join("postern.toml"), "master_key_file = 'key'\ndata_dir = 'key/data'")
        .unwrap();
    let config = load(&[], folder.path()).unwrap();
    let file = |key: &str| format!("{}: {key}: expected", folder.path().join("postern.toml").display());
    let said = config.check_master_key().unwrap_err().to_string();
    assert!(said.starts_with(&file("master_key_file").replace("expected", "")), "{said}");
    let said = config.make_data_dir().unwrap_err().to_string();
    assert!(said.starts_with(&file("data_dir")), "{said}");
    std::fs::remove_file(folder.path().join("postern.toml")).unwrap();
    let both = [
        ("POSTERN_MASTER_KEY_FILE", text),
        ("POSTERN_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    assert!(problem(load(&both, folder.path())).contains("expected one of them"));
}

#[test]
fn the_master_key_may_come_from_a_command() {
    let folder = folder();
    let load = |more: &[(&str, &str)]| {
        let command = "sh -c 'echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= '";
        let env = [&[("POSTERN_MASTER_KEY_COMMAND", command)], more].concat();
        load(&env, folder.path())
    };
    let config = load(&[]).unwrap();
    config.check_master_key().unwrap();
    let given = MasterKey::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    assert_eq!(config.master_key(&SystemRng).unwrap().derive("x"), given.derive("x"));
    let shown = config.settings.iter().find(|setting| setting.key == "master_key_command").unwrap();
    assert_eq!(shown.value, "sh", "an argument may be a secret");
    let file = folder.path().join("key");
    std::fs::write(&file, "x").unwrap();
    let file = ("POSTERN_MASTER_KEY_FILE", file.to_str().unwrap());
    let key = ("POSTERN_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let both = "master_key_file and master_key_command are both set: expected one of them";
    assert!(problem(load(&[file])).contains(both));
    let both = "master_key and master_key_command are both set: expected one of them";
    assert!(problem(load(&[key])).contains(both));
    let all = "master_key, master_key_file, master_key_command are all set: expected one of them";
    assert!(problem(load(&[key, file])).contains(all));
}

#[test]
fn the_document_lists_every_key_and_number() {
    let text = docs::markdown();
    for key in keys::KEYS {
        assert!(text.contains(&format!("| `{}` | `{}` |", key.name, key.variable())), "{}", key.name);
    }
    for (name, value, _) in FIXED {
        assert!(text.contains(&format!("| `{name}` | {value:?} |")), "{name}");
    }
    assert!(
        text.lines().all(|line| !line.starts_with('|') || line.matches(" | ").count() <= 3),
        "a table is broken"
    );
}
