//! Load over real loopback HTTP against the built binary, in a temporary folder, on the embedded database with full
//! durability: `cargo bench --bench load -- [--seconds N] [--concurrency 1,16,64] [--flows a,b] [--streams N] [--binary FILE]`.
//!
//! Printed for each flow: requests a second, latency, and the server's CPU time per request, which hardly depends on
//! what else the machine does; beside it, how many ES256 signatures by OpenSSL, in this same run, that is.
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
    reason = "it measures time, and shares its client with the durability test"
)]

#[path = "../../tests/durability/browser.rs"]
mod browser;
mod flows;
mod gateway;
#[path = "../../tests/durability/http.rs"]
mod http;
mod measure;
#[path = "../../tests/durability/seed.rs"]
mod seed;
#[path = "../../tests/durability/server.rs"]
mod server;

use std::path::PathBuf;
use std::time::Duration;

use flows::{FLOWS, Prepared};
use measure::{Run, memory, own_signature, signature, under_load};
use server::Installation;

struct Options {
    seconds: f64,
    /// How often each flow is run; the figures are the medians.
    rounds: usize,
    concurrency: Vec<usize>,
    flows: Vec<String>,
    /// Streams that are opened through the gateway at the end, on which nothing comes. Two descriptors each, here and there.
    streams: usize,
    binary: PathBuf,
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().unwrap();
    let more =
        [("POSTERN_TOKENS__AUTHORIZATION_CODE_TTL", "10m"), ("POSTERN_TOKENS__ACCESS_TOKEN_TTL", "1h")];
    let installation = Installation::new(&options.binary, folder.path(), &more);
    let seeded = seed::seed(&installation);
    let gate = gateway::gate(&installation);

    let mut starts: Vec<Duration> = (0..5).map(|_| installation.start().1).collect();
    starts.sort();
    let (server, _) = installation.start();
    let pid = server.child.id();
    let idle = memory(pid, "VmRSS");
    let sign = signature();
    println!(
        "binary            {:8.1} MiB",
        std::fs::metadata(&options.binary).unwrap().len() as f64 / 1_048_576.0
    );
    println!("start to ready    {:8.0} ms (median of 5; slowest {:.0} ms)", ms(starts[2]), ms(starts[4]));
    println!("idle memory       {idle:8.1} MiB");
    println!(
        "ES256 signature   {sign:8.1} µs by OpenSSL, the yardstick; {:.1} µs as the server signs",
        own_signature()
    );
    println!();
    println!(
        "flow                 clients      req/s    p50 µs    p99 µs   CPU µs/req  signature µs  signatures (all rounds)"
    );
    for flow in FLOWS {
        if !options.flows.is_empty() && !options.flows.iter().any(|name| name == flow.name) {
            continue;
        }
        for &clients in &options.concurrency {
            let prepared = Prepared {
                address: installation.address,
                seeded: &seeded,
                clients,
                seconds: options.seconds,
                gate: &gate,
            };
            let address = if flow.elsewhere { gate.upstream } else { installation.address };
            // A machine that is shared changes its pace by half from one second to the next, so the yardstick is taken on
            // both sides of each round.
            let mut before = signature();
            let rounds: Vec<(Run, f64)> = (0..options.rounds)
                .map(|_| {
                    let workers = (flow.prepare)(&prepared);
                    let run = under_load(pid, address, workers, Duration::from_secs_f64(options.seconds));
                    let after = signature();
                    (run, f64::midpoint(std::mem::replace(&mut before, after), after))
                })
                .collect();
            let of = |figure: fn(&(Run, f64)) -> f64| sorted(rounds.iter().map(figure));
            let in_signatures = of(|(run, sign)| run.cpu / sign);
            println!(
                "{:<20} {:>7} {:>10.0} {:>9.0} {:>9.0} {:>12.1} {:>13.1} {:>11.2} ({})",
                flow.name,
                clients,
                median(&of(|(run, _)| run.per_second)),
                median(&of(|(run, _)| run.median)),
                median(&of(|(run, _)| run.p99)),
                median(&of(|(run, _)| run.cpu)),
                median(&of(|(_, sign)| *sign)),
                median(&in_signatures),
                in_signatures.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ")
            );
        }
    }
    println!();
    println!("memory after load {:8.1} MiB, peak {:.1} MiB", memory(pid, "VmRSS"), memory(pid, "VmHWM"));
    if options.streams > 0 {
        gateway::note_tools(&gate, installation.address);
        let before = memory(pid, "VmRSS");
        let streams = gateway::listen(&gate, installation.address, options.streams);
        let cpu = measure::cpu_time(pid);
        std::thread::sleep(Duration::from_secs(5));
        let idle = (measure::cpu_time(pid) - cpu) / 5e4;
        let each = (memory(pid, "VmRSS") - before) * 1024.0 / streams.len() as f64;
        println!("{} idle streams: {each:.1} KiB each, {idle:.1} % of a core", streams.len());
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn options() -> Options {
    let mut options = Options {
        seconds: 1.0,
        rounds: 5,
        concurrency: vec![1, 16, 64],
        flows: Vec::new(),
        streams: 0,
        binary: PathBuf::from(env!("CARGO_BIN_EXE_postern")),
    };
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--seconds" => options.seconds = value.parse().expect("seconds"),
            "--rounds" => options.rounds = value.parse().expect("a number"),
            "--concurrency" => {
                options.concurrency = value.split(',').map(|n| n.parse().expect("a number")).collect();
            }
            "--flows" => options.flows = value.split(',').map(str::to_owned).collect(),
            "--streams" => options.streams = value.parse().expect("a number"),
            "--binary" => options.binary = std::fs::canonicalize(value).expect("the binary"),
            other => panic!("unknown option {other}"),
        }
    }
    options
}
