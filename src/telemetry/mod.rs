//! What the server tells of itself: a log on stderr, one line a request, and metrics on a listener of their own.

mod json;
mod lines;
mod listener;
mod metrics;
mod process;
mod request;

use std::io::{self, IsTerminal as _};
use std::sync::LazyLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use lines::Lines;
pub use listener::serve_metrics;
pub use metrics::Metrics;
pub use request::{RequestSpan, RouteBase, RoutePattern, observe};

use crate::config::{LogConfig, LogFormat};

static LINES: LazyLock<Lines<io::Stderr>> = LazyLock::new(|| Lines::new(io::stderr()));

/// Begins to log to stderr. A closed pipe silences the log and ends nothing. Whoever ends the process calls [`flush`].
///
/// # Errors
/// A sentence when the level cannot be read or something logs already.
pub fn start(log: &LogConfig) -> Result<(), String> {
    let filter = EnvFilter::builder().parse(&log.level).map_err(|error| error.to_string())?;
    // Complaints of the log about itself would go to the same closed pipe, through a macro that panics.
    let layer = fmt::layer().with_writer(&*LINES).log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Json => registry.with(layer.fmt_fields(json::Fields).event_format(json::Line)).try_init(),
        LogFormat::Text => registry.with(layer.with_ansi(io::stderr().is_terminal()).compact()).try_init(),
    };
    started.map_err(|error| error.to_string())?;
    LINES.start();
    Ok(())
}

/// Writes the lines that still wait to be written.
pub fn flush() {
    LINES.flush();
}
