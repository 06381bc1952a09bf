//! Migrations: embedded, run before anything else, and a newer schema is refused.

use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::dialect::AnyConnection;
use super::error::StoreError;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Held while migrations run, so that nodes that start together do not run them twice.
const ADVISORY_LOCK: i64 = 0x0070_6f73_7465_726e;

/// Brings the schema up to date and returns the names of the migrations that ran.
pub(super) fn run(connection: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    match connection {
        AnyConnection::Sqlite(inner) => apply(inner, SQLITE),
        AnyConnection::Postgres(inner) => {
            inner.batch_execute(&format!(
                "SET lock_timeout = '60s'; SELECT pg_advisory_lock({ADVISORY_LOCK})"
            ))?;
            let outcome = apply(inner, POSTGRES);
            inner.batch_execute(&format!(
                "SELECT pg_advisory_unlock({ADVISORY_LOCK}); SET lock_timeout = '5s'"
            ))?;
            outcome
        }
    }
}

fn apply<B, C>(connection: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, StoreError>
where
    B: diesel::backend::Backend,
    C: MigrationHarness<B>,
    EmbeddedMigrations: diesel::migration::MigrationSource<B>,
{
    use diesel::migration::MigrationSource as _;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Migration(error.to_string());
    let applied = connection.applied_migrations().map_err(failed)?;
    let known: Vec<String> = source
        .migrations()
        .map_err(failed)?
        .iter()
        .map(|m| m.name().version().as_owned().to_string())
        .collect();
    if let Some(newer) = applied.iter().find(|version| !known.contains(&version.to_string())) {
        return Err(StoreError::Migration(format!(
            "the database has the migration {newer}, which this version of postern does not know; use the newer version"
        )));
    }
    let ran = connection.run_pending_migrations(source).map_err(failed)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}
