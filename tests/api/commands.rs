//! Commands on either database; what they say is tested in `tests/cli.rs`.

use std::process::{Command, Output};

use postern::storage::DatabaseUrl;

use crate::harness::Database;

fn run(line: &str, database: &Database) -> Output {
    let url = match &database.url {
        DatabaseUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        DatabaseUrl::Postgres(url) => url.clone(),
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
    command.args(line.split(' ')).env_clear().current_dir(database.folder());
    command.env("POSTERN_ISSUER", "http://127.0.0.1:8080").env("POSTERN_DATABASE_URL", url).output().unwrap()
}

#[test]
fn a_command_that_wants_a_database_makes_none_where_there_is_none() {
    let database = Database::fresh();
    for line in ["user list", "grant revoke --all", "audit verify"] {
        let refused = run(line, &database);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("there is no database "), "{line}: {said}");
        assert!(!said.contains("postgres:"), "the URL may hold a password: {said}");
        assert!(!database.url.has_begun().unwrap(), "{line} made one");
    }
    assert!(run("migrate", &database).status.success());
    assert!(database.url.has_begun().unwrap());
    let listed = run("user list --json", &database);
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "[]");
}
