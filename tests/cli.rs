//! The built binary as an operator meets it: exit codes, one JSON value, one line of complaint, and commands that take
//! effect in a server that runs beside them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and a client looks at the clock"
)]

#[path = "api/harness/certificates.rs"]
#[expect(dead_code, reason = "tests of the wire need more")]
mod certificates;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery staple";

struct House {
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
        command.args(line.split(' ')).env_clear().current_dir(self.folder.path());
        command.env("POSTERN_LISTEN", "127.0.0.1:0").env("POSTERN_ISSUER", "http://127.0.0.1:8080");
        command
    }

    fn run(&self, line: &str) -> Ended {
        self.run_with(line, "")
    }

    fn run_with(&self, line: &str, stdin: &str) -> Ended {
        let mut command = self.command(line);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that refuses without reading closes its end first.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        Ended::of(line, child.wait_with_output().unwrap())
    }

    fn add_ada(&self) -> Value {
        self.run_with("user add ada@example.com --name Ada --password-stdin --json", PASSWORD).json()
    }
}

struct Ended {
    line: String,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It went well and said exactly one JSON value.
    fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{}: {}", self.line, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{}: {}", self.line, self.stdout))
    }

    /// It failed with `code` and one line that holds `part`.
    fn refused(&self, code: i32, part: &str) {
        assert_eq!(self.code, code, "{}: {}{}", self.line, self.stdout, self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}: {}", self.line, self.stderr);
        assert!(self.stderr.contains(part), "{}: {}", self.line, self.stderr);
    }
}

struct Served {
    child: Child,
    address: String,
    said: Value,
    /// Read as it is written: a server whose log nobody reads stops when the pipe is full.
    log: std::thread::JoinHandle<String>,
}

impl Served {
    fn start(house: &House, extra: &[(&str, &str)]) -> Self {
        let mut command = house.command("serve --json");
        command.envs(extra.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).expect("the server says where it listens");
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        Self { address: said["address"].as_str().unwrap().to_owned(), said, child, log }
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        get(&self.address, path, headers)
    }

    /// Ends it as an operator does; returns its exit code and its log.
    fn stop(mut self) -> (i32, String) {
        let killed = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap();
        assert!(killed.success());
        let log = self.log.join().unwrap();
        (self.child.wait().unwrap().code().expect("an exit code"), log)
    }
}

fn get(address: &str, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

#[test]
fn people_are_managed() {
    let house = House::new();
    let ada = house.add_ada();
    assert_eq!((&ada["email"], &ada["role"]), (&"ada@example.com".into(), &"member".into()));
    house.run_with("user add ADA@example.com --password-stdin", PASSWORD).refused(1, "already");
    house.run_with("user add bob@example.com --password-stdin", "short").refused(1, "8 characters");
    house.run_with("user add bob@example.com --password-stdin", "two\nlines of it").refused(1, "one line");
    house.run_with("user add bob --password-stdin", PASSWORD).refused(2, "e-mail");
    assert_eq!(house.run("user set-role ada@example.com admin --json").json()["role"], "admin");
    assert!(house.run("user disable ada@example.com --json").json()["disabled_at"].is_string());
    assert!(house.run("user enable ada@example.com --json").json()["disabled_at"].is_null());
    house.run("user disable eve@example.com").refused(1, "postern user list");
    assert_eq!(house.run("user list --json").json().as_array().unwrap().len(), 1);
    let log = house.run("audit list --user ada@example.com --json").json();
    let kinds: Vec<&str> =
        log.as_array().unwrap().iter().filter_map(|event| event["kind"].as_str()).collect();
    assert_eq!(kinds, ["user.added", "user.role_set", "user.disabled", "user.enabled"]);
    assert!(!log.to_string().contains("correct horse"));
}

#[test]
fn resources_and_clients_are_managed() {
    let house = House::new();
    let uri = "https://mcp.example.com/mcp";
    let added = house
        .run(&format!("resource add {uri} --name Notes --scope notes:read=Read --scope notes:write --default-scope notes:read --access-token-ttl 2m --signing-alg EdDSA --default --no-look --json"))
        .json();
    assert!(added["client_secret"].as_str().unwrap().starts_with("pst_cs_"));
    assert_eq!(
        (&added["uri"], &added["access_token_ttl"], &added["default"]),
        (&uri.into(), &"2m".into(), &true.into())
    );
    assert_eq!(added["scopes"][0]["default"], true);
    house.run(&format!("resource add {uri}/ --name Again --no-look")).refused(1, "already");
    house.run("resource add http://mcp.example.com/mcp#x --name X --no-look").refused(2, "");
    house.run("resource add https://other.example.com --no-look").refused(2, "--name");
    let listed = house.run("resource list --json").json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains("pst_cs_"));

    let client = house.run(&format!("client add --name Bot --resource {uri} --json")).json();
    assert!(client["client_secret"].as_str().unwrap().starts_with("pst_cs_"));
    assert_eq!(client["grant_types"], serde_json::json!(["client_credentials"]));
    house
        .run(&format!("client add --name Bot --resource {uri} --resource {uri}2"))
        .refused(2, &format!("there is no resource {uri}2; see `postern resource list`"));
    let api = "client add --name Bot --resource http://127.0.0.1:8080/admin/api/v1 --json";
    assert!(house.run(api).json()["client_id"].is_string(), "the admin API is there from the start");
    house
        .run("client add --name T --auth none --grant-type client_credentials")
        .refused(2, "method none cannot");
    house
        .run("client add --name T --auth none --redirect-uri http://127.0.0.1/cb --grant-type client_credentials --grant-type authorization_code")
        .refused(2, "client_credentials needs a client that can authenticate");
    house.run("client add --name T --auth none").refused(2, "--redirect-uri");
    let odd = r#"{"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA"},{"kty":"RSA","alg":"RS512","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}]}"#;
    std::fs::write(house.folder.path().join("odd.json"), odd).unwrap();
    house
        .run("client add --name T --auth private_key_jwt --jwks odd.json")
        .refused(2, "no key of the key set can verify ES256");
    let good = odd.replace("RS512", "RS256");
    std::fs::write(house.folder.path().join("good.json"), good).unwrap();
    house.run("client add --name T --auth private_key_jwt --jwks good.json --json").json();
    let public =
        house.run("client add --name App --redirect-uri http://127.0.0.1/cb --auth none --json").json();
    assert!(public.get("client_secret").is_none());
    house.run("client add --name T --auth tls_client_auth").refused(1, "not available yet");
    house.run("client add --name T --auth basic").refused(2, "client_secret_basic");
    house.run("client add --name T --redirect-uri javascript:alert(1)").refused(2, "");
    house.run("client add --name T --auth private_key_jwt --jwks missing.json").refused(2, "missing.json");
    let id = client["client_id"].as_str().unwrap();
    assert!(house.run(&format!("client disable {id} --json")).json()["disabled_at"].is_string());
    house.run(&format!("client remove {id} --json")).json();
    house.run(&format!("client remove {id}")).refused(1, "postern client list");
    house.run(&format!("resource remove {uri} --json")).json();
    assert_eq!(house.run("resource list --json").json(), serde_json::json!([]));
}

#[test]
fn grants_keys_and_tickets_are_managed() {
    let house = House::new();
    house.add_ada();
    assert_eq!(house.run("grant list --json").json(), serde_json::json!([]));
    assert_eq!(house.run("grant revoke --all --json").json()["revoked"], 0);
    house.run("grant revoke --id 01890a5d-ac96-774b-bcce-b302099a8057").refused(1, "postern grant list");
    house.run("grant revoke --user eve@example.com").refused(1, "postern user list");
    house.run("grant revoke --client nope").refused(1, "postern client list");
    assert_eq!(house.run("grant revoke").code, 2);
    assert_eq!(house.run("key list --json").json().as_array().unwrap().len(), 2);
    let rotated = house.run("key rotate");
    assert_eq!(rotated.code, 0);
    assert_eq!(house.run("key rotate --json").json().as_array().unwrap().len(), 3);
    let keys = house.run("key list --json").json();
    let next = &keys[1];
    assert_eq!(next["state"], "next", "{keys}");
    let (kid, at) = (next["kid"].as_str().unwrap(), next["activates_at"].as_str().unwrap());
    let says = format!("{kid} takes over from the current ES256 key by itself at {at}");
    assert!(rotated.stdout.contains(&says), "{says}: {}", rotated.stdout);
    let ticket = house.run("initial-access-token add --uses 1 --json").json();
    assert!(ticket["initial_access_token"].as_str().unwrap().starts_with("pst_iat_"));
    let id = ticket["id"].as_str().unwrap();
    house.run(&format!("initial-access-token remove {id} --json")).json();
    house.run(&format!("initial-access-token remove {id}")).refused(1, id);
}

#[test]
fn what_needs_a_database_makes_none() {
    let house = House::new();
    let data = house.folder.path().join("postern-data");
    for line in [
        "user list",
        "user disable ada@example.com",
        "resource list",
        "client list",
        "client remove x",
        "grant list",
        "grant revoke --all",
        "cut list",
        "cut --all --reason x",
        "key list",
        "key rotate",
        "audit list",
        "audit verify",
        "audit export",
        "audit stream list",
        "alert list",
        "detector list",
        "webhook list",
        "tool list https://r.example/mcp",
        "backup copy.db",
    ] {
        let ended = house.run(line);
        ended.refused(1, "there is no database at ");
        let path = data.join("postern.db");
        assert!(
            ended.stderr.contains(&*path.to_string_lossy()) && ended.stderr.contains("postern serve"),
            "{line}"
        );
        assert!(!data.exists(), "{line} made something");
    }
    let elsewhere =
        house.command("user list --json").env("POSTERN_DATABASE_URL", "sqlite:no/where.db").output();
    let elsewhere = Ended::of("user list", elsewhere.unwrap());
    elsewhere.refused(1, "no/where.db");
    assert!(elsewhere.stdout.starts_with("{\"error\":"), "{}", elsewhere.stdout);
    assert!(!data.exists());
    assert_eq!(house.run("migrate").code, 0);
    assert_eq!(house.run("user list --json").json(), serde_json::json!([]));
}

#[test]
fn bad_usage_is_told_to_programs_too() {
    let house = House::new();
    for (line, what) in [
        ("user add ada@example.com --json", "--password-stdin"),
        ("--json nonsense", "nonsense"),
        ("grant list --jsn --json", "--jsn"),
        ("user --json", "subcommand"),
        ("resource add https://r/mcp --access-token-ttl 5 --json", "--access-token-ttl"),
    ] {
        let ended = house.run(line);
        assert_eq!(ended.code, 2, "{line}");
        let said: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{line}: {}", ended.stdout));
        let text = said["error"].as_str().unwrap();
        assert!(
            text.contains(what) && !text.contains("Usage:") && !text.contains('\u{1b}'),
            "{line}: {text}"
        );
        assert!(ended.stderr.contains(what), "{line}: people are told as before");
    }
    assert_eq!(house.run("nonsense").stdout, "");
    assert!(house.run("user list --help").stdout.contains("Usage:"));
}

#[test]
fn bad_configuration_stops_everything() {
    let house = House::new();
    for line in ["serve", "user list", "check-config", "migrate", "health"] {
        let mut command = house.command(line);
        let output = command.env("POSTERN_ISUER", "x").output().unwrap();
        Ended::of(line, output).refused(2, "POSTERN_ISUER; did you mean POSTERN_ISSUER?");
    }
    std::fs::write(house.folder.path().join("postern.toml"), "listn = '127.0.0.1:1'").unwrap();
    let refused = house.run("check-config --json");
    refused.refused(2, "postern.toml: unknown key listn; did you mean listen?");
    let said: Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(said["error"].as_str().unwrap().contains("listn"));
    assert!(!house.folder.path().join("postern-data").exists());
}

#[test]
fn a_command_that_gives_no_master_key_is_bad_configuration() {
    let house = House::new();
    for line in ["check-config", "migrate", "serve"] {
        for (fetch, why) in
            [("sh -c 'echo s3cret; exit 3'", "ended with 3"), ("echo s3cret", "something else")]
        {
            let mut command = house.command(line);
            let output = command.env("POSTERN_MASTER_KEY_COMMAND", fetch).output().unwrap();
            let ended = Ended::of(line, output);
            ended.refused(2, "master_key_command: expected a command that prints 32 bytes in base64");
            assert!(ended.stderr.contains(why) && !ended.stderr.contains("s3cret"), "{}", ended.stderr);
        }
    }
    let mut command = house.command("check-config");
    let fetch = "echo AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let output = command.env("POSTERN_MASTER_KEY_COMMAND", fetch).output().unwrap();
    assert_eq!(Ended::of("check-config", output).code, 0);
}

#[test]
fn another_master_key_takes_over_beside_a_running_server() {
    let house = House::new();
    house.add_ada();
    let old = Served::start(&house, &[]);
    let keys = old.get("/jwks.json", "").1;
    house.run("key retire-master").refused(2, "nothing to retire");
    let done = house.run("key rotate-master --generate new.key --json").json();
    assert_eq!(done["resealed"]["signing_key.sealed_private"], 2);
    assert_eq!((&done["goes_on"], &done["root"]), (&false.into(), &3.into()));
    house.run("key rotate-master --generate new.key").refused(2, "exists already");
    house.run("key retire-master").refused(2, "run this with the new one");
    // Both work, until the old one is retired.
    assert_eq!(old.get("/jwks.json", "").1, keys);
    let new = [("POSTERN_MASTER_KEY_FILE", "new.key"), ("POSTERN_TOKENS__REFRESH_RETRY_WINDOW", "0s")];
    let served = Served::start(&house, &new);
    assert_eq!(served.get("/jwks.json", "").1, keys);
    let output = house.command("key retire-master").envs(new).output().unwrap();
    let retired = Ended::of("key retire-master", output);
    assert!(retired.code == 0 && retired.stdout.contains("retired the master key"), "{}", retired.stderr);
    assert_eq!((old.get("/jwks.json", "").1, served.get("/jwks.json", "").1), (keys.clone(), keys));
    assert_eq!(old.stop().0, 0);
    house.run("user list").refused(1, "was it retired?");
    let output = house.command("audit verify").envs(new).output().unwrap();
    assert_eq!(Ended::of("audit verify", output).code, 0);
    served.stop();
}

#[test]
fn a_copy_of_the_database_serves_again() {
    let house = House::new();
    house.add_ada();
    let served = Served::start(&house, &[]);
    let copy = house.folder.path().join("copy.db");
    let path = copy.to_str().unwrap().to_owned();
    assert!(house.run(&format!("backup {path} --json")).json()["bytes"].as_u64().unwrap() > 0);
    house.run(&format!("backup {path}")).refused(1, "exists already");
    let data = house.folder.path().join("postern-data");
    for file in [&copy, &data.join("postern.db")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    served.stop();
    let restored =
        house.command("user list --json").env("POSTERN_DATABASE_URL", format!("sqlite:{path}")).output();
    assert!(Ended::of("user list", restored.unwrap()).json().to_string().contains("ada@example.com"));
    let stranger = house
        .command("user list")
        .env("POSTERN_DATABASE_URL", format!("sqlite:{path}"))
        .env("POSTERN_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        .output();
    Ended::of("user list", stranger.unwrap()).refused(1, "master key");
    // A key that is missing beside its database is not made anew: it would open nothing, and look like the right one.
    let key = data.join("master.key");
    std::fs::rename(&key, data.join("kept")).unwrap();
    house.run("user list").refused(2, "there is a database beside it");
    assert!(!key.exists());
    std::fs::rename(data.join("kept"), &key).unwrap();
    assert_eq!(house.run("user list").code, 0);
}

#[test]
fn the_server_says_where_it_is_logs_without_secrets_and_stops_when_told() {
    let house = House::new();
    let served = Served::start(&house, &[]);
    let link = served.said["setup_url"].as_str().unwrap().to_owned();
    assert!(link.starts_with("http://127.0.0.1:8080/setup?token=pst_su_"));
    assert_eq!(served.get("/health/ready", "").0, 200);
    let secrets = "Authorization: Bearer pst_rt_hidden\r\nCookie: s=pst_ss_hidden\r\n";
    served.get("/authorize?client_id=x&state=hidden&code=pst_ac_hidden", secrets);
    served.get(link.split_once(":8080").unwrap().1, "");
    let health = house.command("health --json").env("POSTERN_LISTEN", &served.address).output().unwrap();
    assert_eq!(Ended::of("health", health).json()["ready"], true);
    house.add_ada();
    let (code, log) = served.stop();
    assert_eq!(code, 0);
    assert!(!log.contains("hidden") && !log.contains("pst_"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests = lines.iter().filter(|line| line["target"] == "postern::request").count();
    assert_eq!(requests, 4, "{log}");
    let again = Served::start(&house, &[]);
    assert!(again.said["setup_url"].is_null());
    again.stop();
    let gone = house.command("health").env("POSTERN_LISTEN", "127.0.0.1:1").output().unwrap();
    Ended::of("health", gone).refused(1, "is the server running?");
}

#[test]
fn a_command_takes_effect_in_a_running_server_within_a_second() {
    let house = House::new();
    let served = Served::start(&house, &[]);
    let before = served.get("/jwks.json", "").1;
    let keys = house.run("key rotate --json").json();
    let fresh = keys.as_array().unwrap().last().unwrap()["kid"].as_str().unwrap().to_owned();
    assert!(!before.contains(&fresh));
    let start = Instant::now();
    while !served.get("/jwks.json", "").1.contains(&fresh) {
        assert!(start.elapsed() < Duration::from_secs(1), "the new key is not published");
    }
    served.stop();
}

#[test]
fn the_audit_log_is_exported_and_proves_itself() {
    let house = House::new();
    house.add_ada();
    assert_eq!(house.run("audit verify --json").json()["records"], 1);
    house.run("user disable ada@example.com");
    let whole = house.run("audit verify");
    assert_eq!(
        (whole.code, whole.stdout.starts_with("the chain holds: 2 records")),
        (0, true),
        "{}",
        whole.stdout
    );

    let lines = house.run("audit export --format jsonl").stdout;
    let records: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["user.added", "user.disabled"]);
    assert_eq!(records[1]["chain"]["position"], 1);
    let whole = house.run("--json audit export").json();
    assert_eq!(whole, Value::from(records.clone()), "one JSON value, as of every command");
    let nothing = house.run("audit export --json --format jsonl --until 2001-01-01").json();
    assert_eq!(nothing, serde_json::json!([]));
    house.run("audit export --json --format csv").refused(2, "--out");
    let table = house.run("audit export --format csv --user ada@example.com").stdout;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("id,at,kind,"), "{table}");
    let into = format!("audit export --out {}", house.folder.path().join("log.jsonl").display());
    assert_eq!(house.run(&into).code, 0);
    assert_eq!(house.run(&into).code, 1, "what is there is not written over");

    let mut database =
        SqliteConnection::establish(&house.folder.path().join("postern-data/postern.db").to_string_lossy())
            .unwrap();
    database.batch_execute("UPDATE audit_event SET kind = 'user.enabled' WHERE position = 1").unwrap();
    let broken = house.run("audit verify");
    assert_eq!(broken.code, 1);
    let id = records[1]["id"].as_str().unwrap();
    assert!(broken.stderr.contains(id) && broken.stderr.lines().count() == 1, "{}", broken.stderr);
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let house = House::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let served = Served::start(&house, &[("POSTERN_METRICS_LISTEN", port.as_str())]);
    served.get("/jwks.json", "");
    let (status, text) = get(&port, "/metrics", "");
    assert_eq!(status, 200);
    assert!(
        text.contains(r#"postern_requests_total{route="/jwks.json",method="GET",status="2xx"} 1"#),
        "{text}"
    );
    for series in ["postern_writes_waiting 0", "postern_commits_total", "postern_tokens_issued_total"] {
        assert!(text.contains(series), "{series}: {text}");
    }
    assert_eq!(served.get("/metrics", "").0, 404);
    served.stop();
}

#[test]
fn papers_are_printed_without_any_configuration() {
    let house = House::new();
    for (line, part) in [
        ("completions bash", "check-config"),
        ("completions zsh", "#compdef postern"),
        ("man", ".TH postern 1"),
        ("docs config", "| `tokens.access_token_ttl` | `POSTERN_TOKENS__ACCESS_TOKEN_TTL` | `5m` |"),
        ("policy cedar schema", "entity Tool in [Server]"),
        ("--version", "postern 0."),
    ] {
        let ended = Ended::of(line, house.command(line).env("POSTERN_NONSENSE", "x").output().unwrap());
        assert!(ended.code == 0, "{line}: {}", ended.stderr);
        assert!(ended.stdout.contains(part), "{line}: {}", ended.stdout);
    }
}

#[test]
fn a_clients_configuration_is_moved_behind_the_gateway() {
    let house = House::new();
    let path = |name: &str| house.folder.path().join(name);
    let before = r#"{"mcpServers":{
        "notes":{"type":"http","url":"http://127.0.0.1:9/mcp","headers":{"Authorization":"Bearer very-secret-key"}},
        "files":{"command":"npx","args":["files"],"env":{"TOKEN":"another-secret"}}
    },"theme":"dark"}"#;
    std::fs::write(path("mcp.json"), before).unwrap();
    let tried = house.run("import mcp.json --json");
    assert!(!tried.stdout.contains("very-secret-key"));
    assert_eq!((tried.json()["moved"].as_u64(), tried.json()["left"].as_u64()), (Some(1), Some(1)));
    assert_eq!(house.run("resource list --json").json().as_array().unwrap().len(), 0, "nothing was done");
    let done = house.run("import mcp.json --out new.json --json").json();
    assert_eq!(done["servers"].as_array().unwrap().len(), 2);
    let after: Value = serde_json::from_str(&std::fs::read_to_string(path("new.json")).unwrap()).unwrap();
    let moved = &after["mcpServers"]["notes"];
    assert_eq!(moved["url"], "http://127.0.0.1:8080/mcp/notes");
    assert!(moved.get("headers").is_none() && after["theme"] == "dark");
    assert_eq!(
        after["mcpServers"]["files"]["env"]["TOKEN"], "another-secret",
        "what is left is left as it is"
    );
    assert_eq!(std::fs::read_to_string(path("mcp.json")).unwrap(), before, "nothing is lost");
    let servers = house.run("resource list --json").json();
    assert_eq!(servers[0]["upstream"], "http://127.0.0.1:9/mcp");
    let database = std::fs::read(path("postern-data/postern.db")).unwrap();
    assert!(!database.windows(15).any(|part| part == b"very-secret-key"));
    assert_eq!(
        house.run("import mcp.json --out new.json --json").code,
        2,
        "a file that is there is not written over"
    );
    let again = house.run("import mcp.json --out newer.json --json").json();
    assert_eq!((again["moved"].as_u64(), again["written"].is_null()), (Some(0), true), "it is there already");
    std::fs::write(path("codex.toml"), "[mcp_servers.mail]\nurl = \"http://127.0.0.1:9/mail\"\nhttp_headers = { X-Key = \"very-secret-key\" }\n").unwrap();
    house.run("import codex.toml --out codex-new.toml --json").json();
    let text = std::fs::read_to_string(path("codex-new.toml")).unwrap();
    assert!(text.contains("/mcp/mail") && !text.contains("very-secret-key"), "{text}");
    std::fs::write(path("empty.json"), "{}").unwrap();
    assert_eq!(house.run("import empty.json").code, 2);
    assert_eq!(house.run("import missing.json").code, 1);
}

fn policies_are_kept(house: &House) {
    let uri = "http://127.0.0.1:8080/mcp/notes";
    let good = "@id(\"all\")\npermit(principal,\taction, resource);\nforbid(principal, action, resource == Tool::\"x\");\n";
    house.run(&format!("policy cedar show {uri}")).refused(1, "has no Cedar policies");
    let bad = "permit(principal, action, resource);\npermit(principal in Team::\"x\", action, resource);";
    for line in ["policy cedar check -".to_owned(), format!("policy cedar set {uri} -")] {
        house.run_with(&line, bad).refused(2, "line 2, column 21");
    }
    assert_eq!(house.run_with("policy cedar check - --json", good).json()["policies"], 2);
    let set = house.run_with(&format!("policy cedar set {uri} - --json"), good).json();
    assert!(set["warnings"][0].as_str().unwrap().contains("no tool \"x\""), "{set}");
    assert_eq!(house.run(&format!("policy cedar show {uri}")).stdout, good);
    let shown = house.run(&format!("policy cedar show {uri} --json")).json();
    assert_eq!((&shown["policies"], &shown["digest"]), (&Value::from(good), &set["digest"]));
    assert_eq!(house.run(&format!("policy cedar remove {uri} --json")).json()["digest"], set["digest"]);
    house.run("policy cedar check no-such-file").refused(2, "cannot read no-such-file");
}

fn certificates_are_kept(house: &House) {
    let ca = certificates::Made::authority("Ledger");
    let own = ca.client("gateway");
    for (name, text) in [("ca.pem", ca.pem()), ("own.pem", own.pem()), ("own.key", own.key_pem())] {
        std::fs::write(house.folder.path().join(name), text).unwrap();
    }
    let uri = "http://127.0.0.1:8080/mcp/ledger";
    house
        .run(&format!(
            "resource add {uri} --name Ledger --slug ledger --upstream https://127.0.0.1:9/mcp --json"
        ))
        .json();
    let tls = |rest: &str| house.run(&format!("upstream tls {uri}{rest}"));
    assert_eq!(tls(" --json").json()["client"], Value::Null);
    let kept = tls(" --client-cert own.pem --client-key own.key --ca ca.pem --json").json();
    assert_eq!(
        (&kept["client"]["subject"], &kept["cas"][0]["subject"]),
        (&"CN=gateway".into(), &"CN=Ledger".into())
    );
    assert_eq!(tls(" --json").json(), kept);
    for wrong in [
        " --client-cert own.pem",
        " --client-cert missing.pem --client-key own.key",
        " --client-cert own.pem --client-key ca.pem",
        " --ca own.key",
        " --clear --ca ca.pem",
    ] {
        assert_eq!(tls(wrong).code, 2, "{wrong}");
    }
    assert_eq!(tls(" --json").json(), kept, "what is refused changes nothing");
    assert_eq!(tls(" --clear --json").json()["cleared"], true);
    let set = |rest: &str| house.run(&format!("resource set {uri} {rest} --json"));
    let listed = set(&format!("--client-cert-sha256 {} --client-cert-ca ca.pem", own.sha256())).json();
    let rule = &listed["gateway"]["client_certificate"];
    assert_eq!((&rule["sha256"][0], &rule["cas"][0]["subject"]), (&own.sha256().into(), &"CN=Ledger".into()));
    assert_eq!(set("--client-cert-sha256 ab").code, 2);
    assert_eq!(set("--client-cert-ca own.pem").code, 2, "it signs nothing");
    assert_eq!(set("--no-client-cert").json()["gateway"]["client_certificate"], Value::Null);
}

#[test]
fn the_gateway_is_managed() {
    let house = House::new();
    house.add_ada();
    let uri = "http://127.0.0.1:8080/mcp/notes";
    let added = house.run(&format!(
        "resource add {uri} --name Notes --slug notes --upstream http://127.0.0.1:9/mcp --json"
    ));
    assert_eq!(added.json()["scopes"].as_array().unwrap().len(), 3);
    assert_eq!(
        house.run(&format!("resource add {uri}x --name X --slug x --upstream ftp://h/ --json")).code,
        2
    );
    assert_eq!(
        house.run_with(&format!("upstream set {uri} --header X-Key --json"), "a-secret-key").json()["set"],
        true
    );
    assert_eq!(house.run_with(&format!("upstream set {uri} --header Host"), "a-secret-key").code, 2);
    assert_eq!(house.run(&format!("upstream set {uri}")).code, 2, "one of the kinds has to be named");
    assert_eq!(house.run(&format!("upstream clear {uri} --json")).json()["cleared"], true);
    certificates_are_kept(&house);
    policies_are_kept(&house);
    assert_eq!(house.run(&format!("tool list {uri} --json")).json().as_array().unwrap().len(), 0);
    assert_eq!(house.run(&format!("tool approve {uri} never --class read")).code, 1);
    assert_eq!(house.run(&format!("tool approve {uri} x --class harmless")).code, 2);
    let made = house
        .run(&format!("grant create --user ada@example.com --resource {uri} --name laptop --json"))
        .json();
    assert!(made["token"].as_str().unwrap().starts_with("pst_gt_"));
    let listed = house.run("grant list --user ada@example.com --json").json();
    assert_eq!((&listed[0]["id"], &listed[0]["client_name"]), (&made["id"], &Value::from("laptop")));
    house.run(&format!("grant revoke --id {} --json", made["id"].as_str().unwrap())).json();
}
