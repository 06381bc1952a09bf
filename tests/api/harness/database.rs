//! One fresh database for each test: a file, or on the server that `POSTERN_TEST_DATABASE` names.

use std::sync::atomic::{AtomicU32, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, RunQueryDsl as _, SqliteConnection};
use postern::storage::DatabaseUrl;
use tempfile::TempDir;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database that goes when the test does.
pub struct Database {
    pub url: DatabaseUrl,
    server: Option<(String, String)>,
    folder: TempDir,
}

impl Database {
    pub fn fresh() -> Self {
        // As the program does.
        postern::crypto::begin();
        let folder = tempfile::tempdir().unwrap();
        let Ok(server) = std::env::var("POSTERN_TEST_DATABASE") else {
            let url = DatabaseUrl::Sqlite(folder.path().join("postern.db"));
            return Self { url, server: None, folder };
        };
        let name = format!("postern_api_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::establish(&server).unwrap();
        connection.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let mut url = url::Url::parse(&server).unwrap();
        url.set_path(&name);
        Self { url: DatabaseUrl::Postgres(url.into()), server: Some((server, name)), folder }
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Everything that is in the database, as bytes.
    pub fn dump(&self) -> Vec<u8> {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                let mut all = std::fs::read(path).unwrap();
                for more in ["-wal", "-journal"] {
                    all.extend(std::fs::read(format!("{}{more}", path.display())).unwrap_or_default());
                }
                all
            }
            DatabaseUrl::Postgres(url) => {
                let output = std::process::Command::new("pg_dump").arg(url).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                output.stdout
            }
        }
    }

    /// Holds what every write needs until the value is dropped; `None` on PostgreSQL, which has no such thing.
    pub fn hold_writes(&self) -> Option<SqliteConnection> {
        let DatabaseUrl::Sqlite(path) = &self.url else { return None };
        let mut connection = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        connection.batch_execute("BEGIN IMMEDIATE").unwrap();
        Some(connection)
    }

    /// Cuts every connection and lets no new one in, or lets them in again; PostgreSQL only.
    pub fn unplug(&self, unplugged: bool) {
        let (server, name) = self.server.as_ref().unwrap();
        let mut connection = PgConnection::establish(server).unwrap();
        connection.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !unplugged)).unwrap();
        if unplugged {
            connection
                .batch_execute(&format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
                ))
                .unwrap();
        }
    }

    /// What somebody does who has got hold of the database and of nothing else.
    pub fn tamper(&self, sql: &str) {
        match &self.url {
            DatabaseUrl::Sqlite(path) => {
                SqliteConnection::establish(&path.to_string_lossy()).unwrap().batch_execute(sql).unwrap();
            }
            DatabaseUrl::Postgres(url) => {
                PgConnection::establish(url).unwrap().batch_execute(sql).unwrap();
            }
        }
    }

    /// What somebody reads who has got hold of the database: the bytes of one column that is called `found`.
    pub fn bytes(&self, sql: &str) -> Vec<Vec<u8>> {
        #[derive(diesel::QueryableByName)]
        struct Found {
            #[diesel(sql_type = diesel::sql_types::Binary)]
            found: Vec<u8>,
        }
        let query = diesel::sql_query(sql);
        let rows: Vec<Found> = match &self.url {
            DatabaseUrl::Sqlite(path) => {
                query.load(&mut SqliteConnection::establish(&path.to_string_lossy()).unwrap()).unwrap()
            }
            DatabaseUrl::Postgres(url) => query.load(&mut PgConnection::establish(url).unwrap()).unwrap(),
        };
        rows.into_iter().map(|row| row.found).collect()
    }

    /// Bytes as they are written in SQL.
    pub fn literal(&self, bytes: &[u8]) -> String {
        let hex = postern::types::hex::hex(bytes);
        if self.is_postgres() { format!("'\\x{hex}'::bytea") } else { format!("X'{hex}'") }
    }

    /// Whether somebody who reads the whole database finds this text in it.
    pub fn holds(&self, text: &str) -> bool {
        match &self.url {
            DatabaseUrl::Sqlite(path) => ["", "-wal"].iter().any(|end| {
                let bytes = std::fs::read(format!("{}{end}", path.display())).unwrap_or_default();
                bytes.windows(text.len()).any(|window| window == text.as_bytes())
            }),
            DatabaseUrl::Postgres(url) => {
                #[derive(diesel::QueryableByName)]
                struct Found {
                    #[diesel(sql_type = diesel::sql_types::Bool)]
                    found: bool,
                }
                let hex = postern::types::hex::hex(text.as_bytes());
                // Bytes print as hex.
                let sql = "SELECT coalesce(query_to_xml(format('SELECT r::text AS row FROM %I r', tablename), true, false, '')::text LIKE ANY (ARRAY[$1, $2]), false) AS found \
                           FROM pg_tables WHERE schemaname = 'public'";
                let rows: Vec<Found> = diesel::sql_query(sql)
                    .bind::<diesel::sql_types::Text, _>(format!("%{text}%"))
                    .bind::<diesel::sql_types::Text, _>(format!("%{hex}%"))
                    .load(&mut PgConnection::establish(url).unwrap())
                    .unwrap();
                assert!(rows.len() > 10);
                rows.iter().any(|row| row.found)
            }
        }
    }

    pub const fn is_postgres(&self) -> bool {
        self.server.is_some()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = &self.server else { return };
        if let Ok(mut connection) = PgConnection::establish(server) {
            let _ = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
    }
}
