//! SQLite's single writer: one thread takes what waits, runs it in one transaction, commits once, then answers all.
//!
//! A commit costs a disk flush; sharing it is what makes full durability affordable. A job that errs undoes only
//! itself: the batch is rolled back and its jobs are run again one by one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::audit_chain;
use super::dialect::AnyConnection;
use super::error::StoreError;
use super::store::{Value, Writing, settled};
use crate::types::audit::AuditEvent;
use crate::types::audit_chain::AuditKey;
use crate::types::policy::{WRITE_BATCH, WRITE_CROWD, WRITE_LINGER, WRITE_LINGERS, WRITE_QUEUE};

/// A write that can be run, run again, and answered.
pub(super) struct Pending {
    f: Writing,
    outcome: Option<Result<Value, StoreError>>,
    reply: oneshot::Sender<Result<Value, StoreError>>,
}

impl Pending {
    /// Of what is to be done, and who waits for it.
    pub(super) const fn new(f: Writing, reply: oneshot::Sender<Result<Value, StoreError>>) -> Self {
        Self { f, outcome: None, reply }
    }

    /// Runs it and hands over its audit records; `false` when it erred and must be undone.
    fn run(&mut self, connection: &mut AnyConnection, records: &mut Vec<Arc<AuditEvent>>) -> bool {
        let outcome = settled(connection, &self.f).map(|(value, mut own)| {
            records.append(&mut own);
            value
        });
        let fine = outcome.is_ok();
        self.outcome = Some(outcome);
        fine
    }

    /// Tells the caller: its own result, or that the commit failed.
    fn answer(self, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Database("a write was abandoned".to_owned())),
        };
        let _ = self.reply.send(outcome);
    }
}

/// What the writer has to do and has done, for the metrics.
#[derive(Debug, Default)]
pub struct Load {
    /// Writes that wait.
    pub waiting: AtomicI64,
    /// Writes done.
    pub jobs: AtomicU64,
    /// Transactions they were done in.
    pub batches: AtomicU64,
}

/// The handle by which jobs reach the writer thread.
pub(super) struct Writer {
    load: Arc<Load>,
    queue: Option<Sender<Pending>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread that owns `connection`.
    pub(super) fn start(connection: AnyConnection, key: AuditKey) -> Result<Self, StoreError> {
        let (queue, jobs) = channel();
        let load = Arc::new(Load::default());
        let seen = Arc::clone(&load);
        let thread = std::thread::Builder::new()
            .name("postern-writer".to_owned())
            .spawn(move || work(connection, &key, &jobs, &seen))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { load, queue: Some(queue), thread: Some(thread) })
    }

    /// Hands in a job; [`StoreError::Busy`] when too many wait.
    pub(super) fn submit(&self, job: Pending) -> Result<(), StoreError> {
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        // Counted rather than given room for: a channel of that size would be in memory whole.
        if self.load.waiting.fetch_add(1, Ordering::Relaxed) >= WRITE_QUEUE {
            self.load.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreError::Busy);
        }
        queue.send(job).map_err(|_| stopped())
    }
}

impl Writer {
    /// What it has to do and has done.
    pub(super) fn load(&self) -> &Load {
        &self.load
    }
}

impl Drop for Writer {
    /// Waits until everything handed in is committed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(mut connection: AnyConnection, key: &AuditKey, jobs: &Receiver<Pending>, load: &Load) {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut before = 1;
    while let Ok(first) = jobs.recv() {
        batch.push(first);
        batch.extend(jobs.try_iter().take(WRITE_BATCH - 1));
        // Where many write at once, the next are on their way: a flush for more of them costs as much as for few.
        for _ in 0..WRITE_LINGERS {
            if before < WRITE_CROWD || batch.len() >= before {
                break;
            }
            std::thread::park_timeout(WRITE_LINGER);
            batch.extend(jobs.try_iter().take(WRITE_BATCH - batch.len()));
        }
        before = batch.len();
        let taken = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        load.waiting.fetch_sub(i64::try_from(taken).unwrap_or(i64::MAX), Ordering::Relaxed);
        load.jobs.fetch_add(taken, Ordering::Relaxed);
        load.batches.fetch_add(1, Ordering::Relaxed);
        commit_together(&mut connection, key, &mut batch);
    }
}

fn commit_together(connection: &mut AnyConnection, key: &AuditKey, batch: &mut Vec<Pending>) {
    if let Err(error) = connection.begin_write() {
        let text = error.to_string();
        let busy = matches!(error, StoreError::Busy);
        for job in batch.drain(..) {
            job.answer(Err(if busy { StoreError::Busy } else { StoreError::Unavailable(text.clone()) }));
        }
        return;
    }
    let mut records = Vec::new();
    let clean = batch.iter_mut().all(|job| run_caught(job, connection, &mut records));
    if clean {
        // The chain's end is read and written once for all of them.
        let committed = audit_chain::append(connection, key, &records).and_then(|()| connection.commit());
        if committed.is_err() {
            connection.rollback();
        }
        let failure = committed.err().map(|error| error.to_string());
        for job in batch.drain(..) {
            job.answer(failure.clone().map_or(Ok(()), |text| Err(StoreError::Unavailable(text))));
        }
        return;
    }
    connection.rollback();
    if batch.len() == 1 {
        for job in batch.drain(..) {
            job.answer(Ok(()));
        }
        return;
    }
    for job in std::mem::take(batch) {
        commit_together(connection, key, &mut vec![job]);
    }
}

fn run_caught(job: &mut Pending, connection: &mut AnyConnection, records: &mut Vec<Arc<AuditEvent>>) -> bool {
    catch_unwind(AssertUnwindSafe(|| job.run(connection, records))).unwrap_or(false)
}
