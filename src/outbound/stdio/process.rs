//! One running server: what is written to it, what it writes, and its end.

use std::collections::HashMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{self, OwnedPermit, Receiver, Sender};
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::splice::{Outline, exchanged};
use super::{CommandLine, Environment};
use crate::outbound::upstream_mcp::NoAnswer;
use crate::types::policy::{
    MAX_UPSTREAM_MESSAGE, STDIO_COMPLAINT, STDIO_COMPLAINTS, STDIO_EVENTS, STDIO_GRACE, STDIO_IDLE,
    STDIO_LINES,
};

/// What comes for somebody who waits.
pub(super) enum Event {
    /// Something on the way.
    Notice(String),
    /// The answer; nothing comes after it.
    Answer(String),
}

/// A request that has gone to the server.
struct Waiter {
    /// The id that its client knows it by, as JSON.
    id: Box<RawValue>,
    /// The token under which its client wants to hear how far it is.
    token: Option<Box<RawValue>>,
    session: Option<String>,
    events: Sender<Event>,
    /// A place for the answer, whatever else has come.
    last: OwnedPermit<Event>,
    may_be_given_up: bool,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    calls: HashMap<u64, Waiter>,
    /// Requests of the server's, by id, and the session that is to answer.
    asked: HashMap<String, String>,
    /// What the sessions have open to listen.
    streams: HashMap<String, Sender<Event>>,
    /// The session that was heard of last.
    last: Option<String>,
}

/// One running server.
pub(super) struct Process {
    /// Whom it serves, for the log.
    name: String,
    lines: Sender<Bytes>,
    waiting: Mutex<Waiting>,
    over: watch::Sender<bool>,
    gone: watch::Sender<bool>,
    active: Notify,
    /// What it answered when it was begun, where it is one that is begun.
    pub begun: OnceCell<String>,
    initialized: AtomicBool,
    /// When it was used last, by the counter of the house.
    pub used: AtomicU64,
}

/// Kills what a server has left behind.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // It fails where nobody is left, which is what is wanted.
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Somebody who waits. Dropped before the answer has come, the request is given up.
pub(super) struct Wait {
    process: Arc<Process>,
    number: u64,
    pub events: Receiver<Event>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.process.give_up(self.number);
    }
}

impl Process {
    /// Starts a server in a folder of its own, with nothing in its environment but what is given.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        name: String,
        command: &CommandLine,
        folder: &Path,
        environment: &Environment,
    ) -> std::io::Result<Arc<Self>> {
        let mut child = Command::new(command.program())
            .args(command.arguments())
            .current_dir(folder)
            .env_clear()
            .envs(environment.variables(folder))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let missing = || std::io::Error::other("a pipe is missing");
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (stdin, stdout, stderr) =
            (stdin.ok_or_else(missing)?, stdout.ok_or_else(missing)?, stderr.ok_or_else(missing)?);
        let (lines, to_write) = mpsc::channel(STDIO_LINES);
        let process = Arc::new(Self {
            name,
            lines,
            waiting: Mutex::default(),
            over: watch::Sender::new(false),
            gone: watch::Sender::new(false),
            active: Notify::new(),
            begun: OnceCell::new(),
            initialized: AtomicBool::new(false),
            used: AtomicU64::new(0),
        });
        tracing::info!(server = process.name, "a server over stdio was started");
        tokio::spawn(write(stdin, to_write, process.over.subscribe()));
        tokio::spawn(read(stdout, Arc::clone(&process)));
        let complaints = tokio::spawn(complain(stderr, process.name.clone(), environment.clone()));
        tokio::spawn(supervise(child, group, Arc::clone(&process), complaints));
        Ok(process)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is over with it.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Ends it; it has a moment to do so itself.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Waits until it has ended and nothing of it is left.
    pub(super) async fn gone(&self) {
        until(&mut self.gone.subscribe()).await;
    }

    /// Whether somebody waits for something.
    pub(super) fn is_busy(&self) -> bool {
        let waiting = self.waiting();
        !waiting.calls.is_empty() || waiting.streams.values().any(|stream| !stream.is_closed())
    }

    /// Sends a request under a number of its own.
    ///
    /// # Errors
    /// When the server has ended.
    pub(super) async fn ask(
        self: &Arc<Self>,
        text: &str,
        outline: &Outline<'_>,
        session: Option<&str>,
    ) -> Result<Wait, NoAnswer> {
        let Some(id) = outline.id else { return Err(NoAnswer::Unsendable) };
        let token = outline.asks_for_progress();
        let (events, receiver) = mpsc::channel(STDIO_EVENTS);
        let last = events.clone().try_reserve_owned().map_err(|_| NoAnswer::Broken)?;
        let waiter = Waiter {
            id: id.to_owned(),
            token: token.map(ToOwned::to_owned),
            session: session.map(str::to_owned),
            events,
            last,
            may_be_given_up: outline.method.as_deref() != Some("initialize"),
        };
        let number = {
            let mut waiting = self.waiting();
            waiting.next += 1;
            let number = waiting.next;
            waiting.calls.insert(number, waiter);
            number
        };
        let wait = Wait { process: Arc::clone(self), number, events: receiver };
        let own = number.to_string();
        let mut parts = vec![(id, own.as_str())];
        parts.extend(token.map(|token| (token, own.as_str())));
        self.say(exchanged(text, &parts)).await?;
        Ok(wait)
    }

    /// Sends a notification, or the answer to something the server has asked.
    ///
    /// # Errors
    /// When the server has ended.
    pub(super) async fn tell(
        &self,
        text: &str,
        outline: &Outline<'_>,
        session: Option<&str>,
    ) -> Result<(), NoAnswer> {
        let line = match (outline.method.as_deref(), outline.id) {
            // It is begun once, whoever comes later.
            (Some("notifications/initialized"), _) if self.initialized.swap(true, Ordering::Relaxed) => {
                return Ok(());
            }
            (Some("notifications/cancelled"), _) => {
                let Some(request) = outline.gives_up() else { return Ok(()) };
                let Some(number) = self.number_of(request, session) else { return Ok(()) };
                exchanged(text, &[(request, &number.to_string())])
            }
            (Some(_), _) => exchanged(text, &[]),
            (None, Some(id)) => {
                let mut waiting = self.waiting();
                if session.is_none() || waiting.asked.get(id.get()).map(String::as_str) != session {
                    return Ok(());
                }
                waiting.asked.remove(id.get());
                exchanged(text, &[])
            }
            (None, None) => return Ok(()),
        };
        self.say(line).await
    }

    fn number_of(&self, id: &RawValue, session: Option<&str>) -> Option<u64> {
        let waiting = self.waiting();
        let mut calls = waiting.calls.iter();
        let is = |waiter: &Waiter| waiter.id.get() == id.get() && waiter.session.as_deref() == session;
        calls.find(|(_, waiter)| is(waiter)).map(|(number, _)| *number)
    }

    async fn say(&self, mut line: String) -> Result<(), NoAnswer> {
        self.active.notify_one();
        line.push('\n');
        self.lines.send(line.into()).await.map_err(|_| NoAnswer::Broken)
    }

    /// Opens a session's stream; one that it had before ends.
    pub(super) fn listen(&self, session: &str) -> Receiver<Event> {
        self.active.notify_one();
        let (events, receiver) = mpsc::channel(STDIO_EVENTS);
        self.waiting().streams.insert(session.to_owned(), events);
        receiver
    }

    /// Notes that a session was heard of.
    pub(super) fn heard_of(&self, session: &str) {
        let mut waiting = self.waiting();
        if waiting.last.as_deref() != Some(session) {
            waiting.last = Some(session.to_owned());
        }
    }

    /// Forgets a session.
    pub(super) fn forget(&self, session: &str) {
        let mut waiting = self.waiting();
        waiting.streams.remove(session);
        waiting.asked.retain(|_, asked| asked != session);
    }

    /// Never waits: a server that does not read while it writes would wait for us, and we for it.
    fn reply(&self, line: &str) {
        let _ = self.lines.try_send(format!("{line}\n").into());
    }

    fn give_up(&self, number: u64) {
        let Some(waiter) = self.waiting().calls.remove(&number) else { return };
        self.active.notify_one();
        if waiter.may_be_given_up {
            self.reply(&format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{number},\"reason\":\"nobody waits any more\"}}}}"
            ));
        }
    }

    /// What the server writes.
    fn hear(&self, text: &str) {
        if text.trim_start().starts_with('[') {
            // A batch (MCP 2025-03-26).
            for one in serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default() {
                self.hear_one(one.get());
            }
        } else {
            self.hear_one(text);
        }
    }

    fn hear_one(&self, text: &str) {
        let Some(outline) = Outline::read(text) else {
            if !text.trim().is_empty() {
                tracing::debug!(server = self.name, "it wrote something that is no message");
            }
            return;
        };
        match (outline.method.as_deref(), outline.id) {
            (None, Some(id)) if outline.result.is_some() || outline.error.is_some() => {
                self.answered(text, id);
            }
            (Some("ping"), Some(id)) => {
                self.reply(&format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{}}}}", id.get()));
            }
            (Some(_), Some(id)) => {
                if !self.asks(text, id) {
                    let line = format!(
                        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":-32601,\"message\":\"Nobody is there to be asked.\"}}}}",
                        id.get()
                    );
                    self.reply(&line);
                }
            }
            (Some(_), None) => self.notified(text, &outline),
            (None, _) => {}
        }
    }

    fn answered(&self, text: &str, id: &RawValue) {
        let Ok(number) = id.get().parse() else { return };
        let Some(waiter) = self.waiting().calls.remove(&number) else { return };
        self.active.notify_one();
        waiter.last.send(Event::Answer(exchanged(text, &[(id, waiter.id.get())])));
    }

    fn notified(&self, text: &str, outline: &Outline<'_>) {
        let waiting = self.waiting();
        let about = |part: &RawValue| waiting.calls.get(&part.get().parse().ok()?);
        if outline.method.as_deref() == Some("notifications/progress") {
            if let Some(part) = outline.progress_of()
                && let Some(waiter) = about(part)
                && let Some(token) = &waiter.token
            {
                pass_on(&waiter.events, exchanged(text, &[(part, token.get())]));
            }
            return;
        }
        if let Some(part) = outline.subscription() {
            if let Some(waiter) = about(part) {
                pass_on(&waiter.events, exchanged(text, &[(part, waiter.id.get())]));
            }
            return;
        }
        let line = exchanged(text, &[]);
        for stream in waiting.streams.values() {
            pass_on(stream, line.clone());
        }
        let mut told: Vec<Option<&str>> = Vec::new();
        for waiter in waiting.calls.values() {
            let session = waiter.session.as_deref();
            // Of people without sessions, nobody can say to whose request it belongs unless there is one.
            let alone = session.is_some() || waiting.calls.len() == 1;
            let listens = session.is_some_and(|session| waiting.streams.contains_key(session));
            if alone && !listens && !told.contains(&session) {
                told.push(session);
                pass_on(&waiter.events, line.clone());
            }
        }
    }

    /// Hands on what the server asks of its client; whether there was one to ask.
    fn asks(&self, text: &str, id: &RawValue) -> bool {
        let mut waiting = self.waiting();
        let mut busy: Vec<&str> = waiting.calls.values().filter_map(|one| one.session.as_deref()).collect();
        busy.sort_unstable();
        busy.dedup();
        let session = match (busy.as_slice(), &waiting.last) {
            ([one], _) => (*one).to_owned(),
            (_, Some(last)) => last.clone(),
            _ => return false,
        };
        let own = waiting.calls.values().find(|one| one.session.as_ref() == Some(&session));
        let Some(to) = own.map(|one| &one.events).or_else(|| waiting.streams.get(&session)) else {
            return false;
        };
        if to.try_send(Event::Notice(exchanged(text, &[]))).is_err() {
            return false;
        }
        waiting.asked.insert(id.get().to_owned(), session);
        true
    }

    /// Everybody who waits waits in vain.
    fn finish(&self) {
        self.end();
        let mut waiting = self.waiting();
        waiting.calls.clear();
        waiting.streams.clear();
    }
}

async fn until(mark: &mut watch::Receiver<bool>) {
    let _ = mark.wait_for(|mark| *mark).await;
}

/// A notification for which there is no room is left out: whoever does not read gets less.
fn pass_on(to: &Sender<Event>, line: String) {
    let _ = to.try_send(Event::Notice(line));
}

async fn write(mut stdin: ChildStdin, mut lines: Receiver<Bytes>, mut over: watch::Receiver<bool>) {
    loop {
        let line = tokio::select! {
            biased;
            () = until(&mut over) => return,
            line = lines.recv() => line,
        };
        let Some(line) = line else { return };
        let written = tokio::select! {
            biased;
            () = until(&mut over) => return,
            written = async { stdin.write_all(&line).await?; stdin.flush().await } => written,
        };
        if written.is_err() {
            return;
        }
    }
}

async fn read(stdout: ChildStdout, process: Arc<Process>) {
    let mut lines = FramedRead::new(stdout, LinesCodec::new_with_max_length(MAX_UPSTREAM_MESSAGE));
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => process.hear(&line),
            Err(cause) => {
                tracing::warn!(server = process.name, %cause, "what a server over stdio writes cannot be read");
                break;
            }
        }
    }
    process.end();
}

/// What a server complains of goes to the log without its secrets; the end of it is kept for when it dies.
async fn complain(stderr: ChildStderr, name: String, environment: Environment) -> Vec<String> {
    let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(STDIO_COMPLAINT * 16));
    let mut kept = std::collections::VecDeque::new();
    while let Some(line) = lines.next().await {
        let Ok(line) = line else { continue };
        let line: String = environment.without_secrets(&line).chars().take(STDIO_COMPLAINT).collect();
        tracing::debug!(server = name, line, "a server over stdio says");
        if kept.len() == STDIO_COMPLAINTS {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept.into()
}

async fn supervise(
    mut child: Child,
    group: Group,
    process: Arc<Process>,
    complaints: tokio::task::JoinHandle<Vec<String>>,
) {
    let ended = watch_over(&mut child, &process).await;
    let wanted = process.is_over() && ended.is_none();
    process.finish();
    let status = match ended {
        Some(status) => Some(status),
        None => leave(&mut child, &group).await,
    };
    drop(group);
    if wanted {
        tracing::info!(server = process.name, "a server over stdio was ended");
    } else {
        let said = timeout(STDIO_GRACE, complaints).await.ok().and_then(Result::ok).unwrap_or_default();
        let said = said.join(" | ");
        let status = status.map(|status| status.to_string()).unwrap_or_default();
        tracing::warn!(server = process.name, status, said, "a server over stdio has ended by itself");
    }
    process.gone.send_replace(true);
}

/// Until it ends, is ended, or nobody has used it for a while.
async fn watch_over(child: &mut Child, process: &Process) -> Option<ExitStatus> {
    let mut over = process.over.subscribe();
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return status.ok(),
            () = until(&mut over) => {
                // It may have closed its output because it ends.
                return timeout(STDIO_GRACE / 4, child.wait()).await.ok().and_then(Result::ok);
            }
            () = process.active.notified() => {}
            () = tokio::time::sleep(STDIO_IDLE) => if !process.is_busy() { process.end() },
        }
    }
}

/// Its input is closed already; then it is asked, and then it is made to (MCP, stdio, Shutdown).
async fn leave(child: &mut Child, group: &Group) -> Option<ExitStatus> {
    if let Ok(status) = timeout(STDIO_GRACE, child.wait()).await {
        return status.ok();
    }
    group.signal(Signal::TERM);
    if let Ok(status) = timeout(STDIO_GRACE, child.wait()).await {
        return status.ok();
    }
    group.signal(Signal::KILL);
    child.wait().await.ok()
}
