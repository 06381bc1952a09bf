//! What the tables must say, whatever was cut short.

use std::collections::BTreeSet;

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;

/// Each counts rows that may not be.
const NEVER: [(&str, &str); 7] = [
    (
        "a family has two tokens that could be used next",
        "SELECT count(*) AS total FROM (SELECT family_id FROM refresh_token WHERE used_at IS NULL \
         GROUP BY family_id HAVING count(*) > 1) AS forked",
    ),
    (
        "a family is no chain without gaps",
        "SELECT count(*) AS total FROM (SELECT family_id FROM refresh_token GROUP BY family_id \
         HAVING count(*) <> max(generation) + 1 OR min(generation) <> 0) AS broken",
    ),
    (
        "a refresh token is used and has no successor",
        "SELECT count(*) AS total FROM refresh_token t WHERE used_at IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM refresh_token n WHERE n.family_id = t.family_id AND n.generation = t.generation + 1)",
    ),
    (
        "a code is redeemed and gave nothing",
        "SELECT count(*) AS total FROM authorization_code c WHERE consumed_at IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM token_family f WHERE f.id = c.family_id)",
    ),
    (
        "a code gave something and is not redeemed",
        "SELECT count(*) AS total FROM authorization_code c WHERE consumed_at IS NULL AND EXISTS \
         (SELECT 1 FROM token_family f WHERE f.id = c.family_id)",
    ),
    (
        "an access token belongs to no family or no grant",
        "SELECT count(*) AS total FROM access_token t WHERE NOT EXISTS (SELECT 1 FROM access_grant g \
         WHERE g.id = t.grant_id) OR (family_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM token_family f \
         WHERE f.id = t.family_id))",
    ),
    (
        "tokens and the audit records of their issue differ in number",
        "SELECT abs((SELECT count(*) FROM access_token) - (SELECT count(*) FROM audit_event \
         WHERE kind = 'token.issued')) AS total",
    ),
];

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// A look at the tables beside the running server.
pub enum Database {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    pub fn open(url: &str) -> Self {
        match url.strip_prefix("sqlite:") {
            Some(path) => Self::Sqlite(SqliteConnection::establish(path).expect("the database file")),
            None => Self::Postgres(PgConnection::establish(url).expect("the database")),
        }
    }

    /// Asserts that the tables hold together.
    pub fn check(&mut self) {
        if matches!(self, Self::Sqlite(_)) {
            assert_eq!(self.lines("SELECT integrity_check AS line FROM pragma_integrity_check"), ["ok"]);
            let orphans = self.lines("SELECT \"table\" AS line FROM pragma_foreign_key_check");
            assert!(orphans.is_empty(), "rows without what they refer to: {orphans:?}");
        }
        for (what, query) in NEVER {
            let query = diesel::sql_query(query);
            let count: Count = match self {
                Self::Sqlite(connection) => query.get_result(connection).unwrap(),
                Self::Postgres(connection) => query.get_result(connection).unwrap(),
            };
            assert_eq!(count.total, 0, "{what}");
        }
    }

    /// Asserts that each of these clients has a standing grant.
    pub fn has_grants_of<'a>(&mut self, clients: impl Iterator<Item = &'a str>) {
        let lines = self.lines("SELECT client_id AS line FROM access_grant WHERE revoked_at IS NULL");
        let standing: BTreeSet<String> = lines.into_iter().collect();
        for client in clients {
            assert!(standing.contains(client), "the acknowledged approval of {client} is lost");
        }
    }

    fn lines(&mut self, query: &str) -> Vec<String> {
        let query = diesel::sql_query(query);
        let lines: Vec<Line> = match self {
            Self::Sqlite(connection) => query.load(connection).unwrap(),
            Self::Postgres(connection) => query.load(connection).unwrap(),
        };
        lines.into_iter().map(|line| line.line).collect()
    }
}

/// A PostgreSQL database of this run's own.
pub struct Temporary {
    server: String,
    name: String,
    pub url: String,
}

impl Temporary {
    pub fn create(server: &str) -> Self {
        let name = format!("postern_durability_{}", std::process::id());
        let mut address = url::Url::parse(server).expect("POSTERN_TEST_DATABASE is a URL");
        address.set_path(&name);
        let own = Self { server: server.to_owned(), name, url: address.to_string() };
        own.order("CREATE DATABASE");
        own
    }

    fn order(&self, what: &str) {
        let mut connection = PgConnection::establish(&self.server).expect("a PostgreSQL server");
        diesel::sql_query(format!("{what} {}", self.name)).execute(&mut connection).expect(what);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.order("DROP DATABASE IF EXISTS");
        }
    }
}
