//! Where the two databases differ: opening, transactions, and the few statements that diesel's common subset lacks.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::error::StoreError;
use super::schema::{access_grant, client, resource, token_family, users};

/// A connection to either database.
#[derive(diesel::MultiConnection)]
pub(super) enum AnyConnection {
    /// The embedded default.
    Sqlite(SqliteConnection),
    /// For several nodes.
    Postgres(PgConnection),
}

/// Runs a statement on the inner connection, which finds the prepared one by the statement's type. Through the enum
/// diesel writes its text anew every time, and twice: for the statements that every request runs, that is most of
/// their cost.
macro_rules! on_either {
    ($tx:expr, $connection:ident => $statement:expr) => {
        match $tx.connection() {
            $crate::storage::dialect::AnyConnection::Sqlite($connection) => $statement,
            $crate::storage::dialect::AnyConnection::Postgres($connection) => $statement,
        }
    };
}
pub(super) use on_either;

/// A statement whose text never changes, so that a connection prepares it once. Diesel prepares its own UPDATEs anew every
/// time, which costs more than running them, and walks three times through an INSERT of many columns.
macro_rules! prepared {
    ($name:ident { $($field:ident: $rust:ty),* $(,)? } $($text:literal ($bind:ident as $sql:ty))* $(, $tail:literal)?) => {
        #[derive(diesel::query_builder::QueryId)]
        struct $name { $($field: $rust),* }

        impl<DB> diesel::query_builder::QueryFragment<DB> for $name
        where
            DB: diesel::backend::Backend $(+ diesel::sql_types::HasSqlType<$sql>)*,
            i64: diesel::serialize::ToSql<diesel::sql_types::BigInt, DB>,
            Vec<u8>: diesel::serialize::ToSql<diesel::sql_types::Binary, DB>,
            String: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
        {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> diesel::QueryResult<()> {
                $(
                    out.push_sql($text);
                    out.push_bind_param::<$sql, _>(&self.$bind)?;
                )*
                $(out.push_sql($tail);)?
                Ok(())
            }
        }

        impl<C> diesel::RunQueryDsl<C> for $name {}
    };
}
pub(super) use prepared;

// Rows are found by unique keys with `get_result`, never `first`: `first` adds a bound LIMIT, and SQLite plans a
// statement with a bound LIMIT anew for every value that is bound to it.

/// Settings of every SQLite connection. FULL: a commit that was acknowledged survives a power cut.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 4000;";

/// Makes the file for nobody else to read where it is missing: it holds password hashes and addresses. What SQLite puts beside
/// it has the same mode.
fn own_file(path: &str) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::Unavailable(format!("{path}: {error}"))),
    }
}

/// Opens a SQLite file; the caller has decided by the URL's scheme that it is one.
pub(super) fn open_sqlite(path: &str, read_only: bool) -> Result<AnyConnection, StoreError> {
    if !read_only {
        own_file(path)?;
    }
    let mut connection =
        SqliteConnection::establish(path).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    connection.batch_execute(SQLITE_SETTINGS)?;
    if read_only {
        connection.batch_execute("PRAGMA query_only = ON; PRAGMA cache_size = -2048;")?;
    }
    Ok(AnyConnection::Sqlite(connection))
}

/// Opens a PostgreSQL connection.
pub(super) fn open_postgres(url: &str) -> Result<AnyConnection, StoreError> {
    let mut connection =
        PgConnection::establish(url).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    connection
        .batch_execute("SET statement_timeout = '15s'; SET lock_timeout = '5s'; SET TIME ZONE 'UTC';")?;
    Ok(AnyConnection::Postgres(connection))
}

/// Whether a database on a PostgreSQL server has tables of Postern. Looks, and makes nothing.
#[expect(clippy::disallowed_methods, reason = "diesel has no words for what a database says of itself")]
pub(super) fn has_tables(url: &str) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        found: bool,
    }
    let mut connection =
        PgConnection::establish(url).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let found: Found = diesel::sql_query("SELECT to_regclass('audit_head') IS NOT NULL AS found")
        .get_result(&mut connection)?;
    Ok(found.found)
}

impl AnyConnection {
    /// Begins a transaction that will write. On SQLite it takes the write lock at once: a deferred one would fail
    /// half-way with SQLITE_BUSY, whatever the busy timeout.
    pub(super) fn begin_write(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN IMMEDIATE")?,
            Self::Postgres(inner) => AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN")?,
        }
        Ok(())
    }

    /// Begins a transaction that sees one moment of the database.
    pub(super) fn begin_read(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => AnsiTransactionManager::begin_transaction_sql(inner, "BEGIN")?,
            Self::Postgres(inner) => {
                AnsiTransactionManager::begin_transaction_sql(
                    inner,
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                )?;
            }
        }
        Ok(())
    }

    /// Commits.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => AnsiTransactionManager::commit_transaction(inner)?,
            Self::Postgres(inner) => AnsiTransactionManager::commit_transaction(inner)?,
        }
        Ok(())
    }

    /// Rolls back; a connection that cannot is found broken at its next use.
    pub(super) fn rollback(&mut self) {
        let _ = match self {
            Self::Sqlite(inner) => AnsiTransactionManager::rollback_transaction(inner),
            Self::Postgres(inner) => AnsiTransactionManager::rollback_transaction(inner),
        };
    }

    /// Whether a transaction was left open or broken.
    pub(super) fn is_broken(&mut self) -> bool {
        match self {
            Self::Sqlite(inner) => AnsiTransactionManager::is_broken_transaction_manager(inner),
            Self::Postgres(inner) => AnsiTransactionManager::is_broken_transaction_manager(inner),
        }
    }

    /// A statement that proves the connection works.
    pub(super) fn ping(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => inner.batch_execute("SELECT 1")?,
            Self::Postgres(inner) => inner.batch_execute("SELECT 1")?,
        }
        Ok(())
    }

    /// Rewrites a SQLite file without its free pages, and empties its write-ahead log.
    #[expect(clippy::disallowed_methods, reason = "a pragma that answers a row has no other way in diesel")]
    pub(super) fn compact(&mut self) -> Result<(), StoreError> {
        #[derive(QueryableByName)]
        struct Outcome {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            busy: i32,
        }
        let Self::Sqlite(inner) = self else { return Ok(()) };
        // Whoever writes or reads meanwhile is waited for.
        inner.batch_execute("PRAGMA busy_timeout = 10000; VACUUM;")?;
        let outcome: Outcome = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(inner)?;
        if outcome.busy == 0 { Ok(()) } else { Err(StoreError::Busy) }
    }

    /// How many audit records of a kind there are in each piece of time of `step` since a moment, both in microseconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "diesel groups by columns, not by what is computed from them"
    )]
    pub(super) fn counts(&mut self, kind: &str, from: i64, step: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            place: i64,
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            count: i64,
        }
        let query = diesel::sql_query(
            "SELECT at / $1 AS place, count(*) AS count FROM audit_event WHERE kind = $2 AND at >= $3 GROUP BY at / $1",
        );
        let query = query
            .bind::<diesel::sql_types::BigInt, _>(step)
            .bind::<diesel::sql_types::Text, _>(kind)
            .bind::<diesel::sql_types::BigInt, _>(from);
        let rows: Vec<Count> = match self {
            Self::Sqlite(inner) => query.load(inner)?,
            Self::Postgres(inner) => query.load(inner)?,
        };
        Ok(rows.into_iter().map(|row| (row.place, row.count)).collect())
    }

    /// Writes a consistent copy of a SQLite database to `path`, while others read and write it.
    pub(super) fn copy_to(&mut self, path: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(inner) => {
                if fs::exists(path).is_ok_and(|there| there) {
                    return Err(StoreError::Database(format!("{path} exists already")));
                }
                own_file(path)?;
                let quoted = path.replace('\'', "''");
                inner.batch_execute(&format!("VACUUM INTO '{quoted}'")).map_err(|error| {
                    // What is not whole is no backup.
                    let _ = fs::remove_file(path);
                    error.into()
                })
            }
            Self::Postgres(_) => Err(StoreError::Database(
                "backup copies the embedded database; for PostgreSQL use pg_dump".to_owned(),
            )),
        }
    }
}

/// Takes a shared lock on a row by its text id, so that a revocation that runs at the same moment either is seen by
/// us or sees what we insert. SQLite has one writer and needs none.
macro_rules! share_lock {
    ($connection:expr, $table:ident, $id:expr) => {
        if let AnyConnection::Postgres(inner) = $connection {
            $table::table.find($id).select($table::id).for_share().execute(inner)?;
        }
    };
}

/// What tokens may be issued for under a grant, if any: it stands, its person and its client are not switched off, its resource
/// has not been removed. Also when its client last changed.
pub(super) fn grant_is_open(
    connection: &mut AnyConnection,
    id: &str,
    now: i64,
) -> Result<Option<(String, i64)>, StoreError> {
    share_lock!(connection, access_grant, id);
    let query = access_grant::table
        .inner_join(client::table.on(client::id.eq(access_grant::client_id)))
        .inner_join(resource::table.on(resource::id.eq(access_grant::resource_id)))
        .left_join(users::table.on(access_grant::user_id.eq(users::id.nullable())))
        .filter(access_grant::id.eq(id))
        .filter(access_grant::revoked_at.is_null())
        .filter(access_grant::expires_at.gt(now))
        .filter(client::disabled_at.is_null())
        .filter(resource::removed_at.is_null())
        .filter(users::disabled_at.nullable().is_null())
        .select((access_grant::scopes, client::updated_at));
    Ok(match connection {
        AnyConnection::Sqlite(inner) => query.get_result(inner),
        AnyConnection::Postgres(inner) => query.get_result(inner),
    }
    .optional()?)
}

/// Whether a token family still stands.
pub(super) fn family_is_open(connection: &mut AnyConnection, id: &str, now: i64) -> Result<bool, StoreError> {
    share_lock!(connection, token_family, id);
    let query = token_family::table
        .find(id)
        .filter(token_family::revoked_at.is_null())
        .filter(token_family::expires_at.gt(now))
        .select(token_family::expires_at);
    let found: Option<i64> = match connection {
        AnyConnection::Sqlite(inner) => query.get_result(inner),
        AnyConnection::Postgres(inner) => query.get_result(inner),
    }
    .optional()?;
    Ok(found.is_some())
}

/// The condition that an id is one of a JSON list, which is `$1`.
pub(super) const fn in_json_list(connection: &AnyConnection) -> &'static str {
    match connection {
        AnyConnection::Sqlite(_) => "id IN (SELECT value FROM json_each($1))",
        AnyConnection::Postgres(_) => "id IN (SELECT json_array_elements_text($1::json))",
    }
}

/// The beginning of the condition that a text, which follows, stands in `groups`, with its case; ` > 0` ends it.
pub(super) const fn found_in_groups(connection: &AnyConnection) -> &'static str {
    match connection {
        AnyConnection::Sqlite(_) => "instr(groups, ",
        AnyConnection::Postgres(_) => "strpos(groups, ",
    }
}

/// Lets the statements of this transaction run for as long as they need.
pub(super) fn take_your_time(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(_) => Ok(()),
        AnyConnection::Postgres(inner) => {
            Ok(inner.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;")?)
        }
    }
}
