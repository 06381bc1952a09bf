//! Durability: full flows against the real binary, which is killed with SIGKILL at random moments while requests are
//! in flight, and started again. Whatever was acknowledged before must hold after, and what was not acknowledged must
//! have happened wholly or not at all.
//!
//! `DURABILITY_BINARY` names the binary (the one built with this test when absent; `scripts/test release` hands over the
//! release build), `DURABILITY_KILLS` sets how often (50 when absent), `DURABILITY_SEED` repeats a run's choices.
//! PostgreSQL is exercised too when `POSTERN_TEST_DATABASE` names a server on which databases may be created.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "the test is the client: it looks at the clock, at the environment and at the tables"
)]

mod browser;
mod chance;
mod database;
mod http;
mod ledger;
mod seed;
mod server;
mod settle;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use chance::Chance;
use database::Database;
use http::{Connection, request};
use ledger::Counts;
use server::Installation;
use worker::Worker;

/// Clients that work at once.
const WORKERS: u64 = 8;
/// How soon the server must be ready again.
const READY: Duration = Duration::from_secs(5);

#[test]
fn nothing_acknowledged_is_lost_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data").join("postern.db");
    survive(folder.path(), &format!("sqlite:{}", path.display()));
}

#[test]
fn nothing_acknowledged_is_lost_on_postgres() {
    let Ok(server) = std::env::var("POSTERN_TEST_DATABASE") else {
        eprintln!("not exercised: POSTERN_TEST_DATABASE names no PostgreSQL server");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let own = database::Temporary::create(&server);
    survive(folder.path(), &own.url);
}

fn survive(folder: &Path, url: &str) {
    let kills: u32 =
        std::env::var("DURABILITY_KILLS").map_or(50, |text| text.parse().expect("a number of kills"));
    let seed: u64 = std::env::var("DURABILITY_SEED")
        .map_or_else(|_| chance::fresh(), |text| text.parse().expect("a seed"));
    let binary = binary();
    println!("seed {seed}, {kills} kills of {}", binary.display());
    let settings = [
        ("POSTERN_DATABASE_URL", url),
        ("POSTERN_TOKENS__ACCESS_TOKEN_TTL", "1h"),
        ("POSTERN_TOKENS__AUTHORIZATION_CODE_TTL", "10m"),
        ("POSTERN_TOKENS__REFRESH_RETRY_WINDOW", "2m"),
    ];
    let installation = Installation::new(&binary, folder, &settings);
    let seeded = seed::seed(&installation);
    let mut chance = Chance::new(seed);
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|at| Worker::new(at, installation.address, &seeded, Chance::new(seed + 1 + at)))
        .collect();

    let (mut server, _) = installation.start();
    let keys = key_set(&installation);
    let mut slowest = Duration::ZERO;
    for kill in 1..=kills {
        let moment = Duration::from_micros(chance.between(50_000, 900_000));
        let (_never, timer) = channel::<()>();
        workers = std::thread::scope(|scope| {
            let working: Vec<_> =
                workers.into_iter().map(|worker| scope.spawn(move || worker.work_until_gone())).collect();
            let _ = timer.recv_timeout(moment);
            server.kill();
            working.into_iter().map(|thread| thread.join().expect("a worker has found no fault")).collect()
        });
        let (again, ready) = installation.start();
        server = again;
        slowest = slowest.max(ready);
        assert!(ready <= READY, "ready {ready:?} after kill {kill}");
        assert_eq!(key_set(&installation), keys, "the signing keys after kill {kill}");
        Database::open(url).check();
        let last = kill == kills;
        workers = std::thread::scope(|scope| {
            let settling: Vec<_> = workers
                .into_iter()
                .map(|mut worker| {
                    scope.spawn(move || {
                        worker.settle(last);
                        worker
                    })
                })
                .collect();
            settling.into_iter().map(|thread| thread.join().expect("nothing acknowledged is lost")).collect()
        });
        let mut database = Database::open(url);
        database.check();
        database.has_grants_of(workers.iter().flat_map(Worker::approved));
    }
    let counts = workers.iter().fold(Counts::default(), |sum, worker| sum.plus(&worker.counts));
    println!("{kills} kills; slowest start {slowest:?}\n{counts}");
    assert!(counts.unknown() >= u64::from(kills), "the kills hit too few requests to prove anything");
}

/// The binary that is killed. A relative path counts from the package's folder, where tests run.
fn binary() -> PathBuf {
    match std::env::var_os("DURABILITY_BINARY") {
        Some(given) => std::fs::canonicalize(given).expect("DURABILITY_BINARY names a binary"),
        None => PathBuf::from(env!("CARGO_BIN_EXE_postern")),
    }
}

fn key_set(installation: &Installation) -> String {
    let reply =
        Connection::to(installation.address).exchange(&request("GET", "/jwks.json", &[], "")).unwrap();
    assert_eq!(reply.status, 200);
    reply.text()
}
