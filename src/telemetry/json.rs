//! A log line as one JSON object, written straight into the line's buffer: time, level, target, the fields of the
//! spans from the outermost in, then those of the event, all side by side.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::types::time::{Clock as _, SystemClock};

/// Formats an event.
pub(super) struct Line;

/// Formats the fields of spans and events, each with a comma before it.
pub(super) struct Fields;

impl<S> FormatEvent<S, Fields> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, Fields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        write!(
            writer,
            "{{\"time\":\"{}\",\"level\":\"{}\",\"target\":",
            SystemClock.now(),
            metadata.level()
        )?;
        quoted(&mut writer, metadata.target())?;
        for span in ctx.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<Fields>>() {
                writer.write_str(&fields.fields)?;
            }
        }
        ctx.format_fields(writer.by_ref(), event)?;
        writer.write_str("}\n")
    }
}

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, outcome: Ok(()) };
        fields.record(&mut visitor);
        visitor.outcome
    }
}

struct Visitor<'w> {
    writer: Writer<'w>,
    outcome: fmt::Result,
}

impl Visitor<'_> {
    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.outcome.is_ok() {
            self.outcome =
                write!(self.writer, ",\"{}\":", field.name()).and_then(|()| value(&mut self.writer));
        }
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |writer| quoted(writer, value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, |writer| write!(writer, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, |writer| {
            if value.is_finite() { write!(writer, "{value}") } else { writer.write_str("null") }
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, |writer| {
            writer.write_char('"')?;
            write!(Escaped(writer), "{value:?}")?;
            writer.write_char('"')
        });
    }
}

fn quoted(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    writer.write_char('"')?;
    Escaped(writer).write_str(text)?;
    writer.write_char('"')
}

/// Escapes what a JSON string cannot hold (RFC 8259 §7).
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all of what is logged.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c.is_control()) {
            let (plain, special) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = special.chars();
            match chars.next() {
                Some(quote @ ('"' | '\\')) => write!(self.0, "\\{quote}")?,
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A log kept in memory.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        /// Logs everything that happens on this thread until the guard is dropped.
        pub(in crate::telemetry) fn start(&self) -> tracing::subscriber::DefaultGuard {
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(self.clone())
                .fmt_fields(Fields)
                .event_format(Line);
            tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
        }

        /// The lines so far.
        pub(in crate::telemetry) fn lines(&self) -> Vec<Value> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
        }
    }

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn every_line_is_one_json_object() {
        let kept = Kept::default();
        let guard = kept.start();
        let span = tracing::info_span!("outer", request_id = %"r-1", late = tracing::field::Empty);
        span.in_scope(|| {
            span.record("late", "x\"y");
            let hostile = "a\"b\\c\nd\u{1b}[31m\u{7f}\u{85}é\u{0}";
            tracing::info!(text = hostile, debug = ?hostile, shown = %hostile, n = -1, u = 2u64, f = f64::NAN, yes = true, "said {}", hostile);
        });
        tracing::warn!(nothing = Option::<&str>::None, "outside");
        drop(guard);
        let lines = kept.lines();
        assert_eq!(lines.len(), 2);
        let first = &lines[0];
        let hostile = json!("a\"b\\c\nd\u{1b}[31m\u{7f}\u{85}é\u{0}");
        assert_eq!((&first["text"], &first["shown"]), (&hostile, &hostile));
        assert_eq!((&first["request_id"], &first["late"]), (&json!("r-1"), &json!("x\"y")));
        assert_eq!(
            (&first["n"], &first["u"], &first["f"], &first["yes"]),
            (&json!(-1), &json!(2), &json!(null), &json!(true))
        );
        assert_eq!(
            (&first["level"], &first["target"]),
            (&json!("INFO"), &json!("postern::telemetry::json::tests"))
        );
        assert!(first["message"].as_str().unwrap().starts_with("said a\"b"));
        assert!(crate::types::time::Timestamp::parse_rfc3339(first["time"].as_str().unwrap()).is_some());
        assert!(lines[1].get("request_id").is_none() && lines[1].get("nothing").is_none());
    }
}
