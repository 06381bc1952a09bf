//! The store's two verbs, `read` and `write`, the same on both databases.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};
use scheduled_thread_pool::ScheduledThreadPool;
use tokio::sync::{Semaphore, oneshot};

use super::audit_chain;
use super::dialect::{AnyConnection, has_tables, open_postgres, open_sqlite};
use super::error::StoreError;
use super::generations::{self, Topic};
use super::migrate;
use super::writer::{Load, Pending, Writer};
use crate::types::audit::AuditEvent;
use crate::types::audit_chain::AuditKey;
use crate::types::policy::{POOL_WAIT, POSTGRES_CONNECTIONS, POSTGRES_OPENERS, READ_CONNECTIONS};

/// A connection that may write.
fn connect(url: &DatabaseUrl) -> Result<AnyConnection, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => open_sqlite(&path.to_string_lossy(), false),
        DatabaseUrl::Postgres(url) => open_postgres(url),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Which database, decided by the URL's scheme and nothing else: a mistyped PostgreSQL URL must not become a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DatabaseUrl {
    /// A file, embedded.
    Sqlite(PathBuf),
    /// A server; the whole URL.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// A sentence that says what was expected; it never repeats the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
                return Err("expected sqlite:PATH with the path of a file".to_owned());
            }
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err("expected sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE".to_owned())
    }

    /// Whether there is a database of Postern; nothing is made by looking.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn has_begun(&self) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(path) => Ok(path.exists()),
            Self::Postgres(url) => has_tables(url),
        }
    }
}

/// A transaction. What is done through it happens wholly or not at all.
pub struct Tx<'a> {
    connection: &'a mut AnyConnection,
    changed: Vec<Topic>,
    records: Vec<Arc<AuditEvent>>,
}

impl<'a> Tx<'a> {
    pub(super) const fn new(connection: &'a mut AnyConnection) -> Self {
        Self { connection, changed: Vec::new(), records: Vec::new() }
    }

    pub(super) const fn connection(&mut self) -> &mut AnyConnection {
        self.connection
    }

    /// Notes that a counter has to move. It moves at the end of the transaction, so that the rows that everybody
    /// updates are locked last, in one order, and for as short as can be.
    pub(super) fn note(&mut self, topic: Topic) {
        if !self.changed.contains(&topic) {
            self.changed.push(topic);
        }
    }

    /// Takes an audit record in, to be chained when the transaction ends.
    pub(super) fn record(&mut self, event: Arc<AuditEvent>) {
        self.records.push(event);
    }

    /// Moves the counters; what ends a transaction calls it before the commit.
    fn settle(&mut self) -> Result<(), StoreError> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.into_iter().try_for_each(|topic| generations::count_up(self, topic))
    }
}

/// A value of whatever type a transaction returns. There are hundreds of transactions: what runs them is compiled once, and not
/// once for each of them.
pub(super) type Value = Box<dyn Any + Send>;
/// A transaction that reads.
type Reading = Box<dyn FnOnce(&mut Tx<'_>) -> Result<Value, StoreError> + Send>;
/// A transaction that writes.
pub(super) type Writing = Box<dyn Fn(&mut Tx<'_>) -> Result<Value, StoreError> + Send>;
/// Something that is done on a thread that may wait.
type Work = Box<dyn FnOnce(Pool<Opener>) -> Result<Value, StoreError> + Send>;

/// A value as what it was.
fn typed<T: 'static>(value: Value) -> Result<T, StoreError> {
    let value = value.downcast().map_err(|_| StoreError::Database("a value of another type".to_owned()))?;
    Ok(*value)
}

/// Runs `f`, then moves the counters that it wants moved; returns with its value the audit records to be chained.
pub(super) fn settled(
    connection: &mut AnyConnection,
    f: &Writing,
) -> Result<(Value, Vec<Arc<AuditEvent>>), StoreError> {
    let mut tx = Tx::new(connection);
    let value = f(&mut tx)?;
    tx.settle()?;
    Ok((value, tx.records))
}

/// The database.
pub struct Store {
    url: DatabaseUrl,
    readers: Pool<Opener>,
    permits: Arc<Semaphore>,
    /// Authenticates the audit log's chain.
    key: AuditKey,
    /// SQLite only; PostgreSQL writes through the pool.
    writer: Option<Writer>,
}

impl Store {
    /// Opens the database and brings its schema up to date; returns the names of the migrations that ran.
    ///
    /// # Errors
    /// When it cannot be opened, or its schema is newer than this program.
    pub fn open(url: &DatabaseUrl, key: AuditKey) -> Result<(Self, Vec<String>), StoreError> {
        Self::open_with(url, |_| Ok(key.clone()))
    }

    /// [`Store::open`] where what authenticates the audit log comes from the database itself: `prepare` runs in a transaction
    /// of its own once the schema is up to date, and may be run more than once.
    ///
    /// # Errors
    /// What `prepare` says, and those of [`Store::open`].
    pub fn open_with<F>(url: &DatabaseUrl, prepare: F) -> Result<(Self, Vec<String>), StoreError>
    where
        F: Fn(&mut Tx<'_>) -> Result<AuditKey, StoreError>,
    {
        // On a thread of its own, as a connection of its own: what a whole schema takes in memory goes with both.
        let migrated = std::thread::scope(|scope| scope.spawn(|| migrate::run(&mut connect(url)?)).join());
        let ran = migrated.map_err(|_| StoreError::Database("the migrations broke off".to_owned()))??;
        let mut first = connect(url)?;
        let key = prepared(&mut first, prepare)?;
        let (size, idle, writer) = match url {
            DatabaseUrl::Sqlite(_) => (READ_CONNECTIONS, 1, Some(Writer::start(first, key.clone())?)),
            DatabaseUrl::Postgres(_) => (POSTGRES_CONNECTIONS, 1, None),
        };
        // Whoever opens connections keeps memory for it; a file is opened at once.
        let openers = if writer.is_some() { 1 } else { POSTGRES_OPENERS };
        let readers = Pool::builder()
            .max_size(size)
            .thread_pool(Arc::new(ScheduledThreadPool::builder().num_threads(openers).build()))
            .min_idle(Some(idle))
            .connection_timeout(POOL_WAIT)
            .test_on_check_out(false)
            .error_handler(Box::new(diesel::r2d2::NopErrorHandler))
            .build_unchecked(Opener(url.clone()));
        let at_once = usize::try_from(size).unwrap_or(1);
        // Whoever reads a file keeps a core busy, and each of its threads memory; whoever asks a server waits.
        let at_once = if writer.is_some() { at_once.min(cores().max(2)) } else { at_once };
        let permits = Arc::new(Semaphore::new(at_once));
        Ok((Self { url: url.clone(), readers, permits, key, writer }, ran))
    }

    /// What authenticates the audit log's chain.
    #[must_use]
    pub const fn audit_key(&self) -> &AuditKey {
        &self.key
    }

    /// Which database this is.
    #[must_use]
    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Runs `f` in a read-only transaction that sees one moment of the database.
    ///
    /// # Errors
    /// What `f` says, or a fault of the database.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        typed(self.read_value(Box::new(move |tx| Ok(Box::new(f(tx)?)))).await?)
    }

    /// [`Store::read`] for a few rows found by their keys. On SQLite it runs where it is called: it takes less time than
    /// handing it to another thread would, and readers wait for nobody.
    ///
    /// # Errors
    /// What `f` says, or a fault of the database.
    pub async fn lookup<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let f: Reading = Box::new(move |tx| Ok(Box::new(f(tx)?)));
        if self.writer.is_some()
            && let Some(mut connection) = self.readers.try_get()
        {
            connection.begin_read()?;
            return typed(ended(&mut connection, f)?);
        }
        typed(self.read_value(f).await?)
    }

    /// Runs `f` in a transaction and returns after it is durable. `f` may be run more than once and must have no
    /// effect but through the transaction. When it errs, nothing it did remains.
    ///
    /// # Errors
    /// What `f` says, or a fault of the database.
    pub async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        typed(self.write_value(Box::new(move |tx| Ok(Box::new(f(tx)?)))).await?)
    }

    async fn read_value(&self, f: Reading) -> Result<Value, StoreError> {
        let work = |pool: Pool<Opener>| ended(&mut *begun(&pool, AnyConnection::begin_read)?, f);
        self.blocking(Box::new(work)).await
    }

    async fn write_value(&self, f: Writing) -> Result<Value, StoreError> {
        if let Some(writer) = &self.writer {
            let (reply, answer) = oneshot::channel();
            writer.submit(Pending::new(f, reply))?;
            return answer.await.map_err(|_| StoreError::Unavailable("the writer has stopped".to_owned()))?;
        }
        let key = self.key.clone();
        let work = move |pool: Pool<Opener>| {
            let mut tries = 0;
            loop {
                tries += 1;
                let mut connection = begun(&pool, AnyConnection::begin_write)?;
                match in_transaction(&mut connection, &key, &f) {
                    Err(StoreError::Retry(_)) if tries < 5 => {}
                    other => return other,
                }
            }
        };
        self.blocking(Box::new(work)).await
    }

    /// What the single writer has to do and has done; PostgreSQL has none.
    #[must_use]
    pub fn writer_load(&self) -> Option<&Load> {
        self.writer.as_ref().map(Writer::load)
    }

    /// Proves that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let work = |pool: Pool<Opener>| begun(&pool, AnyConnection::ping).map(|_| Box::new(()) as Value);
        self.blocking(Box::new(work)).await.map(drop)
    }

    /// Writes a consistent copy of the embedded database to `path`.
    ///
    /// # Errors
    /// When the file exists already, cannot be written, or the database is PostgreSQL.
    pub async fn copy_to(&self, path: PathBuf) -> Result<(), StoreError> {
        let url = self.url.clone();
        let work = move |_| {
            let DatabaseUrl::Sqlite(source) = url else {
                return Err(StoreError::Database(
                    "backup copies the embedded database; for PostgreSQL use pg_dump".to_owned(),
                ));
            };
            open_sqlite(&source.to_string_lossy(), false)?.copy_to(&path.to_string_lossy())?;
            Ok(Box::new(()) as Value)
        };
        self.blocking(Box::new(work)).await.map(drop)
    }

    /// Rewrites the embedded database's file so that nothing of what was deleted is left in it, nor in its write-ahead log.
    /// PostgreSQL does so by itself, in its own time.
    ///
    /// # Errors
    /// When somebody reads or writes it all the time.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let url = self.url.clone();
        let work = move |_| {
            if let DatabaseUrl::Sqlite(path) = url {
                open_sqlite(&path.to_string_lossy(), false)?.compact()?;
            }
            Ok(Box::new(()) as Value)
        };
        self.blocking(Box::new(work)).await.map(drop)
    }

    async fn blocking(&self, work: Work) -> Result<Value, StoreError> {
        let permits = Arc::clone(&self.permits);
        let permit = match Arc::clone(&permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout(POOL_WAIT, permits.acquire_owned())
                .await
                .map_err(|_| StoreError::Busy)?
                .map_err(|_| StoreError::Busy)?,
        };
        let pool = self.readers.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = work(pool);
            drop(permit);
            outcome
        })
        .await
        .map_err(|error| StoreError::Database(error.to_string()))?
    }
}

/// A connection on which `first` has worked. Connections that went stale while they were idle, because the server was
/// restarted say, are put aside one after the other: they are no reason to refuse a request.
fn begun(
    pool: &Pool<Opener>,
    first: impl Fn(&mut AnyConnection) -> Result<(), StoreError>,
) -> Result<PooledConnection<Opener>, StoreError> {
    let mut tries = pool.max_size();
    loop {
        let mut connection = pool.get().map_err(unavailable)?;
        match first(&mut connection) {
            Ok(()) => return Ok(connection),
            Err(_) if tries > 0 && connection.is_broken() => tries -= 1,
            Err(error) => return Err(error),
        }
    }
}

fn unavailable(error: diesel::r2d2::PoolError) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Runs `prepare` in a transaction that writes no audit records.
fn prepared(
    connection: &mut AnyConnection,
    prepare: impl Fn(&mut Tx<'_>) -> Result<AuditKey, StoreError>,
) -> Result<AuditKey, StoreError> {
    let mut tries = 0;
    loop {
        tries += 1;
        connection.begin_write()?;
        let mut tx = Tx::new(connection);
        let outcome = prepare(&mut tx).and_then(|value| tx.settle().map(|()| value));
        let outcome = outcome.and_then(|value| connection.commit().map(|()| value));
        match outcome {
            Ok(value) => return Ok(value),
            Err(error) => {
                connection.rollback();
                if !(matches!(error, StoreError::Retry(_)) && tries < 5) {
                    return Err(error);
                }
            }
        }
    }
}

/// Runs `f` in the transaction that was begun, and ends it.
fn ended(connection: &mut AnyConnection, f: Reading) -> Result<Value, StoreError> {
    match f(&mut Tx::new(connection)) {
        Ok(value) => connection.commit().map(|()| value),
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

fn in_transaction(connection: &mut AnyConnection, key: &AuditKey, f: &Writing) -> Result<Value, StoreError> {
    let chained = settled(connection, f).and_then(|(value, records)| {
        audit_chain::append(connection, key, &records)?;
        Ok(value)
    });
    match chained {
        Ok(value) => {
            if let Err(error) = connection.commit() {
                connection.rollback();
                return Err(error);
            }
            Ok(value)
        }
        Err(error) => {
            connection.rollback();
            Err(error)
        }
    }
}

/// Opens connections for the pool.
struct Opener(DatabaseUrl);

impl ManageConnection for Opener {
    type Connection = AnyConnection;
    type Error = StoreError;

    fn connect(&self) -> Result<AnyConnection, StoreError> {
        match &self.0 {
            DatabaseUrl::Sqlite(path) => open_sqlite(&path.to_string_lossy(), true),
            DatabaseUrl::Postgres(url) => open_postgres(url),
        }
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        connection.ping()
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        connection.is_broken()
    }
}
