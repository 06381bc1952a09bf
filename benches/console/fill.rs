//! Filling a database by its own statements: rows are made where they are stored.

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::{PgConnection, SqliteConnection};
use postern::storage::DatabaseUrl;

/// How much of everything.
pub struct Amount {
    pub people: i64,
    pub apps: i64,
    pub grants: i64,
    pub records: i64,
    /// When the oldest record happened, in microseconds; the newest happened just now.
    pub since: i64,
}

const SERVERS: i64 = 20;
const DAYS: i64 = 90;

impl Amount {
    pub fn of(scale: f64) -> Self {
        let of = |most: f64| (most * scale) as i64;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Self {
            people: of(100_000.0),
            apps: of(100_000.0),
            grants: of(1_000_000.0),
            records: of(10_000_000.0),
            since: now.as_micros() as i64 - DAYS * 86_400_000_000,
        }
    }

    pub fn words(&self) -> String {
        format!(
            "{} people, {} apps, {} approvals, {} audit records",
            self.people, self.apps, self.grants, self.records
        )
    }
}

/// What the two databases spell differently.
struct Dialect {
    postgres: bool,
}

impl Dialect {
    /// `INSERT INTO table (columns) SELECT values FROM` the numbers below `count`, as `i`.
    fn insert(&self, table: &str, columns: &str, values: &str, count: i64) -> String {
        if self.postgres {
            format!(
                "INSERT INTO {table} ({columns}) SELECT {values} FROM generate_series(0::bigint, {count} - 1) AS n(i)"
            )
        } else {
            format!(
                "INSERT INTO {table} ({columns}) WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1) SELECT {values} FROM n"
            )
        }
    }

    /// Twelve hexadecimal digits.
    fn hex(&self, number: &str) -> String {
        if self.postgres {
            format!("lpad(to_hex(({number})::bigint), 12, '0')")
        } else {
            format!("printf('%012x', {number})")
        }
    }

    /// An id of the moment `at`, in microseconds, that `number` tells from others; `kind` from those of other tables.
    fn id(&self, at: &str, kind: u16, number: &str) -> String {
        let at = self.hex(&format!("({at}) / 1000"));
        format!(
            "substr({at}, 1, 8) || '-' || substr({at}, 9, 4) || '-7{kind:03x}-8000-' || {}",
            self.hex(number)
        )
    }

    /// 32 bytes that `number` tells from others.
    fn bytes(&self, number: &str) -> String {
        if self.postgres {
            format!("decode(lpad({}, 64, '0'), 'hex')", self.hex(number))
        } else {
            format!("CAST(printf('%032d', {number}) AS BLOB)")
        }
    }
}

/// Makes a database on its server, if it is not there.
pub fn create(url: &str) {
    if PgConnection::establish(url).is_ok() {
        return;
    }
    let mut server = url::Url::parse(url).unwrap();
    let name = server.path().trim_start_matches('/').to_owned();
    server.set_path("postgres");
    PgConnection::establish(server.as_str())
        .unwrap()
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .unwrap();
}

/// Fills an installation that has a person, an app and a server of its own.
pub fn fill(url: &DatabaseUrl, amount: &Amount) {
    match url {
        DatabaseUrl::Sqlite(path) => {
            let mut connection = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
            connection.batch_execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN").unwrap();
            for statement in statements(&Dialect { postgres: false }, amount) {
                connection.batch_execute(&statement).unwrap();
            }
            connection.batch_execute("COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
        DatabaseUrl::Postgres(url) => {
            let mut connection = PgConnection::establish(url).unwrap();
            let indexes: Vec<Index> = diesel::sql_query(
                "SELECT indexname::text AS name, indexdef AS statement FROM pg_indexes WHERE tablename IN \
                 ('audit_event', 'access_grant') AND indexname NOT LIKE '%_pkey'",
            )
            .load(&mut connection)
            .unwrap();
            connection
                .batch_execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
                .unwrap();
            for index in &indexes {
                connection.batch_execute(&format!("DROP INDEX {}", index.name)).unwrap();
            }
            for statement in statements(&Dialect { postgres: true }, amount) {
                connection.batch_execute(&statement).unwrap();
            }
            for index in &indexes {
                connection.batch_execute(&index.statement).unwrap();
            }
            connection.batch_execute("VACUUM ANALYZE").unwrap();
        }
    }
}

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    statement: String,
}

pub const PERSON: u16 = 1;
pub const APP: u16 = 2;
pub const GRANT: u16 = 3;
pub const SERVER: u16 = 4;
pub const RECORD: u16 = 5;
pub const SESSION: u16 = 6;
pub const REQUEST: u16 = 7;

/// An id as [`Dialect::id`] writes it.
pub fn id(at: i64, kind: u16, number: i64) -> String {
    let at = format!("{:012x}", at / 1_000);
    format!("{}-{}-7{kind:03x}-8000-{number:012x}", &at[..8], &at[8..])
}

fn statements(dialect: &Dialect, amount: &Amount) -> Vec<String> {
    let Amount { people, apps, grants, records, since } = amount;
    let step = DAYS * 86_400_000_000 / records;
    let person = |number: &str| dialect.id(&since.to_string(), PERSON, number);
    let app = |number: &str| dialect.id(&since.to_string(), APP, number);
    let server = |number: &str| dialect.id(&since.to_string(), SERVER, number);
    // One approval in five is one of ten apps that everybody uses.
    let app_of = |grant: &str| {
        app(&format!("CASE WHEN ({grant}) % 5 = 0 THEN ({grant}) % 10 ELSE (({grant}) * 7919) % {apps} END"))
    };
    let person_of = |grant: &str| person(&format!("({grant}) % {people}"));
    let server_of =
        |grant: &str| server(&format!("(({grant}) % {people} + ({grant}) / {people}) % {SERVERS}"));
    let grant = |number: &str| dialect.id(&format!("{since} + ({number}) * 1000"), GRANT, number);
    let year = since + 400 * 86_400_000_000;
    let mut all = vec![
        dialect.insert(
            "users",
            "id, email, email_key, name, role, groups, created_at, updated_at",
            &format!(
                "{}, 'person' || {hex} || '@example.com', 'person' || {hex} || '@example.com', 'Person ' || i, 'member', \
                 '[\"team-' || (i % 50) || '\"]', {since}, {since}",
                person("i"),
                hex = dialect.hex("i")
            ),
            *people,
        ),
        dialect.insert(
            "client",
            "id, kind, metadata, resources, created_at, updated_at, first_granted_at, document_version",
            &format!(
                "{}, 'dynamic', '{{\"client_name\":\"Tool ' || i || '\",\"redirect_uris\":[\"https://app' || (i % 5000) || \
                 '.example.com/callback\"],\"grant_types\":[\"authorization_code\",\"refresh_token\"],\
                 \"response_types\":[\"code\"],\"token_endpoint_auth_method\":\"none\"}}', '[]', {since} + i, {since} + i, \
                 {since} + i, 0",
                app("i")
            ),
            *apps,
        ),
        dialect.insert(
            "resource",
            "id, uri, uri_key, name, scopes, signing_alg, is_default, client_rule, client_id, secret_digest, created_at, updated_at",
            &format!(
                "{}, 'https://server' || i || '.example.com/mcp', 'https://server' || i || '.example.com/mcp', 'Server ' || i, \
                 '[{{\"name\":\"notes:read\",\"description\":\"Read\",\"risk\":\"reads\",\"default\":true}}]', 'ES256', \
                 {}, '\"anyone\"', 'server-' || i, {}, {since}, {since}",
                server("i"),
                if dialect.postgres { "FALSE" } else { "0" },
                dialect.bytes("i")
            ),
            SERVERS,
        ),
        dialect.insert(
            "session",
            "id, digest, user_id, auth_time, created_at, last_seen_at, expires_at, address, user_agent",
            &format!(
                "{}, {}, {}, {now} - i * 1000, {now} - i * 1000, {now} - i * 300000, {year}, '198.51.100.' || (i % 250), 'Mozilla/5.0 Firefox/130.0'",
                dialect.id(&format!("{since} + i * 1000"), SESSION, "i"),
                dialect.bytes("i"),
                person("i"),
                now = since + DAYS * 86_400_000_000
            ),
            *people,
        ),
        dialect.insert(
            "access_grant",
            "id, user_id, client_id, resource_id, scopes, client_fingerprint, created_at, updated_at, expires_at, \
             last_used_at, last_used_address, revoked_at",
            &format!(
                "{}, {}, {}, {}, 'notes:read', '', {since} + i * 1000, {since}, {year}, {since} + i * 5000000, \
                 '203.0.113.' || (i % 250), CASE WHEN i % 10 = 3 THEN {since} + i * 1000000 END",
                grant("i"),
                person_of("i"),
                app_of("i"),
                server_of("i")
            ),
            *grants,
        ),
    ];
    let of = format!("((i * 31) % {grants})");
    let kind = "CASE WHEN i % 100000 = 77777 THEN 'refresh.reused' WHEN i % 100 < 55 THEN 'token.issued' \
        WHEN i % 100 < 75 THEN 'login.succeeded' WHEN i % 100 < 80 THEN 'login.failed' \
        WHEN i % 100 < 85 THEN 'consent.allowed' WHEN i % 100 < 90 THEN 'code.issued' \
        WHEN i % 100 < 93 THEN 'token.revoked' WHEN i % 100 < 96 THEN 'grant.revoked' \
        WHEN i % 100 < 98 THEN 'client.registered' WHEN i % 100 = 98 THEN 'refresh.repeated' ELSE 'consent.denied' END";
    let moment = format!("{since} + i * {step}");
    let hash = dialect.bytes("i");
    all.push(dialect.insert(
        "audit_event",
        "lane, position, id, at, kind, user_id, client_id, grant_id, resource_id, address, request_id, detail, salt, commitment, hash",
        &format!(
            "1000, i, {}, {moment}, {kind}, {}, {}, {}, {}, '203.0.113.' || (i % 250), {}, '{{\"scope\":\"notes:read\"}}', {hash}, {hash}, {hash}",
            dialect.id(&moment, RECORD, "i"),
            person_of(&of),
            app_of(&of),
            grant(&of),
            server_of(&of),
            dialect.id(&moment, REQUEST, "i"),
        ),
        *records,
    ));
    all
}
