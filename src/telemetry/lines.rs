//! The way of log lines to stderr. A write for each would be one of the dearer things that a request does, so lines that can
//! wait are gathered for some milliseconds and written as one.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::types::policy::{LOG_GATHER, LOG_GATHERED};

/// Lines on their way to `W`, in the order in which they came.
pub(super) struct Lines<W> {
    gathered: Mutex<Vec<u8>>,
    out: Mutex<Out<W>>,
    writer: OnceLock<Thread>,
}

struct Out<W> {
    sink: W,
    /// What is being written; empty otherwise, and kept for its room.
    taken: Vec<u8>,
}

impl<W: Write + Send + 'static> Lines<W> {
    /// Towards `sink`.
    pub(super) const fn new(sink: W) -> Self {
        Self {
            gathered: Mutex::new(Vec::new()),
            out: Mutex::new(Out { sink, taken: Vec::new() }),
            writer: OnceLock::new(),
        }
    }

    /// Starts the thread that writes what has been gathered. Where it cannot be started, every line is written as it comes.
    pub(super) fn start(&'static self) {
        let thread = std::thread::Builder::new().name("postern-log".to_owned());
        if let Ok(thread) = thread.spawn(move || self.work()) {
            let _ = self.writer.set(thread.thread().clone());
        }
    }

    fn work(&self) -> ! {
        loop {
            std::thread::park();
            std::thread::park_timeout(LOG_GATHER);
            self.flush();
        }
    }

    /// Takes a line; an urgent one, and all before it, has been written when this returns.
    fn add(&self, line: &[u8], urgent: bool) {
        let mut gathered = locked(&self.gathered);
        let first = gathered.is_empty();
        gathered.extend_from_slice(line);
        let full = gathered.len() >= LOG_GATHERED;
        drop(gathered);
        match self.writer.get() {
            Some(writer) if !urgent && !full => {
                if first {
                    writer.unpark();
                }
            }
            _ => self.flush(),
        }
    }

    /// Writes what has been gathered. A sink that takes nothing more silences the log and ends nothing.
    pub(super) fn flush(&self) {
        let mut out = locked(&self.out);
        let Out { sink, taken } = &mut *out;
        std::mem::swap(taken, &mut *locked(&self.gathered));
        if !taken.is_empty() {
            let _ = sink.write_all(taken).and_then(|()| sink.flush());
            taken.clear();
        }
    }
}

/// Bytes are whole lines also where a thread has panicked over them.
fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one event is written to, as one piece.
pub(super) struct Line<W: 'static> {
    lines: &'static Lines<W>,
    urgent: bool,
}

impl<W: Write + Send + 'static> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines.add(bytes, self.urgent);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush();
        Ok(())
    }
}

impl<W: Write + Send + 'static> MakeWriter<'_> for &'static Lines<W> {
    type Writer = Line<W>;

    fn make_writer(&self) -> Self::Writer {
        Line { lines: self, urgent: true }
    }

    /// Warnings and errors do not wait: they may be the last that a process has to say.
    fn make_writer_for(&self, of: &Metadata<'_>) -> Self::Writer {
        Line { lines: self, urgent: *of.level() <= Level::WARN }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A sink that hands over every write.
    struct Told(Sender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let told = self.0.send(String::from_utf8(bytes.to_vec()).unwrap());
            told.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (&'static Lines<Told>, Receiver<String>) {
        let (sender, told) = channel();
        (Box::leak(Box::new(Lines::new(Told(sender)))), told)
    }

    /// As if its thread ran, but never came to write.
    fn gathering() -> (&'static Lines<Told>, Receiver<String>) {
        let (lines, told) = lines();
        lines.writer.set(std::thread::current()).unwrap();
        (lines, told)
    }

    #[test]
    fn lines_are_gathered_and_written_as_one_in_their_order() {
        let (lines, told) = gathering();
        lines.add(b"one\n", false);
        lines.add(b"two\n", false);
        assert!(told.try_recv().is_err());
        lines.flush();
        lines.flush();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), ["one\ntwo\n"]);
    }

    #[test]
    fn a_warning_takes_along_what_waits() {
        let (lines, told) = gathering();
        let layer = tracing_subscriber::fmt::layer().with_writer(lines).without_time().with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!("calm");
            assert!(told.try_recv().is_err());
            tracing::warn!("urgent");
        });
        let written: Vec<String> = told.try_iter().collect();
        assert_eq!(written.len(), 1, "{written:?}");
        assert!(written[0].find("calm").unwrap() < written[0].find("urgent").unwrap());
    }

    #[test]
    fn what_is_gathered_has_a_bound() {
        let (lines, told) = gathering();
        let line = [b'x'; 1024];
        for _ in 0..=LOG_GATHERED / line.len() {
            lines.add(&line, false);
        }
        assert_eq!(told.try_recv().unwrap().len(), LOG_GATHERED);
    }

    #[test]
    fn the_thread_writes_what_nobody_flushes() {
        let (lines, told) = lines();
        lines.start();
        for line in ["one\n", "two\n"] {
            lines.add(line.as_bytes(), false);
            assert_eq!(told.recv().unwrap(), line);
        }
    }

    #[test]
    fn without_its_thread_and_with_nobody_who_reads_it_goes_on() {
        let (lines, told) = lines();
        lines.add(b"one\n", false);
        assert_eq!(told.recv().unwrap(), "one\n");
        drop(told);
        lines.add(b"two\n", true);
        lines.add(b"three\n", false);
        assert!(locked(&lines.gathered).is_empty());
    }
}
