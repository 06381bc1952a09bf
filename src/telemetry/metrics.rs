//! Counters for Prometheus. Every label comes from a closed set: nothing a caller sends can make a new series.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::process;
use super::request::RoutePattern;
use crate::flow::core::Core;
use crate::oauth::refresh::Cause;
use crate::storage::audit::RECORDED;
use crate::types::client::GrantType;

/// Upper bounds of the request durations that are told apart, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

type Durations = Family<Route, Histogram, fn() -> Histogram>;

/// What is counted.
pub struct Metrics {
    registry: Registry,
    requests: Family<Ended, Counter>,
    durations: Durations,
    in_flight: Gauge,
    refusals: Family<Reason, Counter>,
    events: Family<Kind, Counter>,
    password_hashes: Gauge,
    issued: Family<Kind, Counter>,
    repeated: Family<Kind, Counter>,
    writes_waiting: Gauge,
    writes: Counter,
    commits: Counter,
    messages_waiting: Gauge,
    behind: Family<Stream, Gauge>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Stream(String);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Route(RoutePattern);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Ended {
    route: RoutePattern,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Reason(&'static str);

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Kind(&'static str);

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("postern");
        let durations: Durations = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let metrics = Self {
            requests: Family::default(),
            durations: durations.clone(),
            in_flight: Gauge::default(),
            refusals: Family::default(),
            events: Family::default(),
            password_hashes: Gauge::default(),
            issued: Family::default(),
            repeated: Family::default(),
            writes_waiting: Gauge::default(),
            writes: Counter::default(),
            commits: Counter::default(),
            messages_waiting: Gauge::default(),
            behind: Family::default(),
            registry: Registry::default(),
        };
        registry.register(
            "build",
            "The running program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "requests",
            "Requests answered, by route and class of status",
            metrics.requests.clone(),
        );
        registry.register_with_unit("request_duration", "Time to answer", Unit::Seconds, durations);
        registry.register("requests_in_flight", "Requests being answered", metrics.in_flight.clone());
        registry.register("refusals", "Requests refused, by reason", metrics.refusals.clone());
        registry.register("events", "Events of the audit log, by kind", metrics.events.clone());
        let waiting = metrics.password_hashes.clone();
        registry.register("password_hashes", "Password hashes that run or wait", waiting);
        registry.register("tokens_issued", "Token answers, by grant type", metrics.issued.clone());
        let repeated = metrics.repeated.clone();
        registry.register("refresh_repeats", "Used refresh tokens that came again, by cause", repeated);
        let waiting = metrics.writes_waiting.clone();
        registry.register("writes_waiting", "Writes that wait for the embedded database", waiting);
        registry.register("writes", "Writes to the embedded database", metrics.writes.clone());
        registry.register("commits", "Transactions that they shared", metrics.commits.clone());
        let waiting = metrics.messages_waiting.clone();
        registry.register(
            "messages_waiting",
            "Messages to webhooks and receivers that have not been taken",
            waiting,
        );
        let behind = metrics.behind.clone();
        registry.register("stream_behind", "Audit records that a stream has yet to send", behind);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// A request has arrived.
    pub(super) fn request_begins(&self) {
        self.in_flight.inc();
    }

    /// A request has been answered, or its client has gone away (no status).
    pub(super) fn request_ends(
        &self,
        method: &Method,
        route: Option<RoutePattern>,
        status: Option<StatusCode>,
        took: Duration,
    ) {
        self.in_flight.dec();
        let route = route.unwrap_or_else(RoutePattern::none);
        if status.is_some() {
            self.durations.get_or_create(&Route(route.clone())).observe(took.as_secs_f64());
        }
        let ended = Ended { route, method: known(method), status: status.map_or("lost", class) };
        self.requests.get_or_create(&ended).inc();
    }

    /// A request was refused; the reason is one of a closed set.
    pub(super) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason(reason)).inc();
    }

    /// Takes over what the core has counted.
    pub(super) fn observe_core(&self, core: &Core) {
        for (kind, count) in RECORDED.counts() {
            catch_up(&self.events.get_or_create(&Kind(kind.as_str())), count);
        }
        for (grant, count) in GrantType::ALL.iter().zip(core.issued.counts()) {
            catch_up(&self.issued.get_or_create(&Kind(grant.as_str())), count);
        }
        for (cause, count) in Cause::ALL.iter().zip(core.repeated.counts()) {
            catch_up(&self.repeated.get_or_create(&Kind(cause.as_str())), count);
        }
        if let Some(load) = core.store.writer_load() {
            self.writes_waiting.set(load.waiting.load(Ordering::Relaxed).max(0));
            catch_up(&self.writes, load.jobs.load(Ordering::Relaxed));
            catch_up(&self.commits, load.batches.load(Ordering::Relaxed));
        }
        let outgoing = core.outgoing_state.lock().unwrap_or_else(PoisonError::into_inner);
        self.messages_waiting.set(outgoing.waiting);
        // Streams that were removed go.
        self.behind.clear();
        for (id, behind) in &outgoing.lag {
            self.behind.get_or_create(&Stream(id.clone())).set(*behind);
        }
        drop(outgoing);
        self.password_hashes.set(i64::try_from(core.hasher.load()).unwrap_or(i64::MAX));
    }

    /// Everything in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        if let Some(body) = text.strip_suffix("# EOF\n") {
            text.truncate(body.len());
        }
        process::render(&mut text);
        let _ = text.write_str("# EOF\n");
        text
    }
}

fn catch_up(counter: &Counter, count: u64) {
    counter.inc_by(count.saturating_sub(counter.get()));
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

fn labels(encoder: &mut LabelSetEncoder<'_>, pairs: &[(&str, &str)]) -> std::fmt::Result {
    pairs
        .iter()
        .try_for_each(|pair| prometheus_client::encoding::EncodeLabel::encode(pair, encoder.encode_label()))
}

impl EncodeLabelSet for Route {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        labels(encoder, &[("route", self.0.as_str())])
    }
}

impl EncodeLabelSet for Stream {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        labels(encoder, &[("stream", &self.0)])
    }
}

impl EncodeLabelSet for Ended {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        labels(encoder, &[("route", self.route.as_str()), ("method", self.method), ("status", self.status)])
    }
}

impl EncodeLabelSet for Reason {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        labels(encoder, &[("reason", self.0)])
    }
}

impl EncodeLabelSet for Kind {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        labels(encoder, &[("kind", self.0)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_cannot_make_new_series() {
        let metrics = Metrics::default();
        for count in 0..1_000 {
            let method = Method::from_bytes(format!("M{count}").as_bytes()).unwrap();
            metrics.request_begins();
            metrics.request_ends(&method, None, StatusCode::from_u16(200 + count % 800).ok(), Duration::ZERO);
        }
        let text = metrics.render();
        assert!(
            text.lines().filter(|line| line.starts_with("postern_requests_total")).count() <= 5,
            "{text}"
        );
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1);
        assert!(
            text.contains("postern_request_duration_seconds_bucket{le=\"0.0005\",route=\"none\"} 1000"),
            "{text}"
        );
    }
}
