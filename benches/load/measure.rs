//! Measuring: latency at the client, CPU time and memory of the server, and what a signature costs.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use josekit::jwk::Jwk;
use josekit::jwk::alg::ec::EcCurve;
use josekit::jws::{ES256, JwsSigner as _};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use super::http::{Connection, Reply};

/// One client: makes the next request, and sees its answer; without a next request it is done.
pub trait Worker: Send {
    fn next(&mut self) -> Option<Vec<u8>>;
    fn answered(&mut self, reply: &Reply);
}

/// What a run showed. Times in microseconds.
pub struct Run {
    pub per_second: f64,
    pub median: f64,
    pub p99: f64,
    pub cpu: f64,
}

/// Lets every worker send one request after the other on a connection of its own.
pub fn under_load(pid: u32, address: SocketAddr, workers: Vec<Box<dyn Worker>>, most: Duration) -> Run {
    let start = Barrier::new(workers.len() + 1);
    let (mut latencies, elapsed, cpu) = std::thread::scope(|scope| {
        let running: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                let start = &start;
                scope.spawn(move || {
                    let mut connection = Connection::to(address);
                    let mut latencies = Vec::with_capacity(100_000);
                    start.wait();
                    let began = Instant::now();
                    while began.elapsed() < most {
                        let Some(request) = worker.next() else { break };
                        let sent = Instant::now();
                        let reply = connection.exchange(&request).expect("an answer");
                        latencies.push(sent.elapsed());
                        worker.answered(&reply);
                    }
                    latencies
                })
            })
            .collect();
        let before = cpu_time(pid);
        start.wait();
        let began = Instant::now();
        let latencies: Vec<Duration> =
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (latencies, began.elapsed(), cpu_time(pid) - before)
    });
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e6;
    let count = latencies.len() as f64;
    Run { per_second: count / elapsed.as_secs_f64(), median: at(0.5), p99: at(0.99), cpu: cpu / count }
}

/// Microseconds of CPU that all threads of a process have used, those that have ended included (proc(5), `stat`).
pub fn cpu_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // USER_HZ is 100 on every Linux that matters here.
    ticks * 10_000.0
}

/// A member of `/proc/PID/status` in MiB.
pub fn memory(pid: u32, member: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with(member)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}

/// What is signed to measure a signature: as long as a token of ours.
const MESSAGE: [u8; 600] = [b'x'; 600];

/// Microseconds that one ES256 signature by josekit, which is OpenSSL's, takes here and now: the yardstick.
pub fn signature() -> f64 {
    let key = Jwk::generate_ec_key(EcCurve::P256).unwrap();
    let signer = ES256.signer_from_jwk(&key).unwrap();
    each(|| signer.sign(std::hint::black_box(&MESSAGE)).unwrap())
}

/// Microseconds that one takes by the library that the server signs with.
pub fn own_signature() -> f64 {
    let rng = SystemRandom::new();
    let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = EcdsaKeyPair::generate_pkcs8(alg, &rng).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(alg, key.as_ref(), &rng).unwrap();
    each(|| key.sign(&rng, std::hint::black_box(&MESSAGE)).unwrap())
}

fn each<T>(sign: impl Fn() -> T) -> f64 {
    let round = || {
        let began = Instant::now();
        for _ in 0..2_000 {
            std::hint::black_box(sign());
        }
        began.elapsed().as_secs_f64() * 1e6 / 2_000.0
    };
    let mut rounds: Vec<f64> = (0..7).map(|_| round()).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[3]
}
