//! The console at scale: fills a database and measures every list, search, filter, deep page, export and the overview
//! over HTTP. `cargo bench --bench console -- [--database URL] [--scale 1.0] [--rounds 40] [--binary FILE] [--keep DIR]`.
//!
//! At scale 1: 100,000 people, 100,000 apps, 1,000,000 approvals, 10,000,000 audit records, 100,000 sign-ins. Without a
//! database it is SQLite in a temporary folder. The database must be empty; one that this program has filled before is
//! measured again as it is when `--keep` names the folder that it was filled with.
//!
//! The audit records are rows in a lane of their own and chained to nothing: `postern audit verify` would say so, and is no
//! part of what is measured.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot go on ends"
)]
#![allow(
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    dead_code,
    missing_docs,
    reason = "it measures time, and shares its parts with the durability test"
)]

#[path = "../../tests/durability/browser.rs"]
mod browser;
mod fill;
#[path = "../../tests/durability/http.rs"]
mod http;
mod pages;
#[path = "../../tests/durability/seed.rs"]
mod seed;
#[path = "../../tests/durability/server.rs"]
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern::config::Config;
use postern::flow::core::Caller;
use postern::flow::people;
use postern::storage::DatabaseUrl;
use postern::types::random::SystemRng;
use postern::types::time::SystemClock;
use postern::types::user::Role;
use server::Installation;

struct Options {
    database: Option<String>,
    scale: f64,
    rounds: usize,
    binary: PathBuf,
    keep: Option<PathBuf>,
}

fn main() {
    let options = options();
    let temporary = tempfile::tempdir().unwrap();
    let folder = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).unwrap();
    let more: Vec<(&str, &str)> =
        options.database.iter().map(|url| ("POSTERN_DATABASE_URL", url.as_str())).collect();
    let installation = Installation::new(&options.binary, &folder, &more);
    let url = match &options.database {
        Some(url) => DatabaseUrl::parse(url).expect("a database"),
        None => DatabaseUrl::Sqlite(folder.join("data/postern.db")),
    };
    let mut amount = fill::Amount::of(options.scale);
    let mark = folder.join("filled");
    if let Some(url) = &options.database {
        fill::create(url);
    }
    if let Ok(since) = std::fs::read_to_string(&mark) {
        amount.since = since.parse().unwrap();
    } else {
        seed::seed(&installation);
        promote(&installation);
        let began = Instant::now();
        fill::fill(&url, &amount);
        println!("filled in {:.0} s", began.elapsed().as_secs_f64());
        std::fs::write(&mark, amount.since.to_string()).unwrap();
    }
    let (_server, started) = installation.start();
    println!("{} on {}", amount.words(), if options.database.is_some() { "PostgreSQL" } else { "SQLite" });
    println!("start to ready {:.0} ms; {} rounds", started.as_secs_f64() * 1_000.0, options.rounds);
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(pages::measure(installation.address, &amount, options.rounds));
}

/// The person of the seed becomes an administrator.
fn promote(installation: &Installation) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Config::load(None, installation.settings.clone(), &installation.folder).unwrap();
        let core = postern::run::open(&config, Arc::new(SystemClock), Arc::new(SystemRng)).await.unwrap();
        people::set_role(&core, &Caller::command_line(), seed::EMAIL, Role::Admin).await.unwrap();
    });
}

/// The value below which a part of the sorted `times` lies, in milliseconds.
fn at(times: &[Duration], part: f64) -> f64 {
    times[((times.len() - 1) as f64 * part).ceil() as usize].as_secs_f64() * 1_000.0
}

fn options() -> Options {
    let mut options = Options {
        database: None,
        scale: 0.1,
        rounds: 40,
        binary: PathBuf::from(env!("CARGO_BIN_EXE_postern")),
        keep: None,
    };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--database" => options.database = Some(value),
            "--scale" => options.scale = value.parse().expect("a number"),
            "--rounds" => options.rounds = value.parse().expect("a number"),
            "--binary" => options.binary = std::fs::canonicalize(value).expect("the binary"),
            "--keep" => options.keep = Some(PathBuf::from(value)),
            other => panic!("unknown option {other}"),
        }
    }
    options
}
