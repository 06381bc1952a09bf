//! MCP servers that speak over standard input and output (MCP, stdio). Each person has processes of their own, with the
//! server's secrets in their environment and nothing else of ours; towards the gateway they answer as a server over
//! streamable HTTP does.

mod command;
mod process;
mod splice;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::runtime::Handle;
use tokio::time::timeout;

pub use self::command::{CommandLine, Environment};
use self::process::{Event, Process, Wait};
use self::splice::Outline;
use super::upstream_mcp::{Broken, Forward, Headers, NoAnswer, Streamed};
use crate::types::id::{ResourceId, UserId};
use crate::types::policy::{STDIO_A_PERSON, STDIO_GRACE, STDIO_PROCESSES, STDIO_SESSIONS};
use crate::types::token::TokenDigest;

/// Who is served by a process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    /// The server behind the gateway.
    pub server: ResourceId,
    /// The person's id, or the machine's: the `sub` of their tokens.
    pub person: String,
}

/// What has to be the same for two messages to go to one process.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    owner: Owner,
    command: CommandLine,
    /// Which secrets are in its environment.
    secrets: Vec<u8>,
    /// What its clients can do, as they said when they began; none in revisions without a beginning.
    clients: Option<String>,
}

struct Session {
    key: Key,
    process: Arc<Process>,
    number: u64,
}

#[derive(Default)]
struct State {
    running: HashMap<Key, Arc<Process>>,
    sessions: HashMap<String, Session>,
}

/// What is to be run for a message.
pub struct Target<'a> {
    /// For whom.
    pub owner: Owner,
    /// What.
    pub command: &'a CommandLine,
    /// Which secrets it has: another text for each time that they were set. Never the secrets.
    pub secrets: &'a [u8],
    /// How the log calls it.
    pub name: &'a str,
}

/// The running servers.
pub struct Processes {
    folder: PathBuf,
    /// Distinguishes sessions of this run from those of an earlier one.
    run: String,
    /// Where they are looked after: threads that serve end before they do.
    runtime: Option<Handle>,
    next: AtomicU64,
    state: Mutex<State>,
}

impl Processes {
    /// None running yet. Each works in a folder of its own below `folder`; `run` is a name that no other run has had.
    #[must_use]
    pub fn new(folder: PathBuf, run: String) -> Self {
        let runtime = Handle::try_current().ok();
        Self { folder, run, runtime, next: AtomicU64::new(0), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends a message as to a server over streamable HTTP, and returns as soon as it has begun to answer.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn send(
        &self,
        target: Target<'_>,
        forward: Forward,
        environment: &Environment,
    ) -> Result<Streamed, NoAnswer> {
        let session = forward.headers.get("mcp-session-id");
        match forward.method {
            "GET" => return Ok(self.listen(&target, session)),
            "DELETE" => return Ok(self.leave(&target, session)),
            _ => {}
        }
        let text = std::str::from_utf8(&forward.body).map_err(|_| NoAnswer::Unsendable)?;
        let outline = Outline::read(text).ok_or(NoAnswer::Unsendable)?;
        if outline.method.as_deref() == Some("initialize") {
            let work = self.begin(&target, text, &outline, environment);
            return timeout(forward.patience, work).await.map_err(|_| NoAnswer::TimedOut)?;
        }
        let process = match session {
            Some(id) => match self.of_session(&target, id) {
                Some(process) => process,
                None => return Ok(no_session()),
            },
            None => self.process(key_of(&target, None), target.name, environment)?,
        };
        process.used.store(self.number(), Ordering::Relaxed);
        if outline.method.is_none() || outline.id.is_none() {
            process.tell(text, &outline, session).await?;
            return Ok(plain(202));
        }
        let wait = process.ask(text, &outline, session).await?;
        let answer = answer(wait, session.is_none(), forward.patience).await?;
        // Who does not know how to be discovered knows nothing of messages without a beginning.
        if outline.method.as_deref() == Some("server/discover") && answer.status != 200 {
            process.end();
        }
        Ok(answer)
    }

    /// Begins a session: with the process that serves clients like this one, begun now if it is not running.
    async fn begin(
        &self,
        target: &Target<'_>,
        text: &str,
        outline: &Outline<'_>,
        environment: &Environment,
    ) -> Result<Streamed, NoAnswer> {
        let Some(id) = outline.id else { return Err(NoAnswer::Unsendable) };
        let key = key_of(target, Some(splice::abilities(outline)));
        let process = self.process(key.clone(), target.name, environment)?;
        process.used.store(self.number(), Ordering::Relaxed);
        let mut refused = None;
        let begun = process
            .begun
            .get_or_try_init(|| async {
                let mut wait = process.ask(text, outline, None).await.map_err(Some)?;
                loop {
                    match wait.events.recv().await {
                        Some(Event::Notice(_)) => {}
                        Some(Event::Answer(answer)) => match splice::result_of(&answer) {
                            Some(result) => return Ok(result),
                            None => {
                                refused = Some(answer);
                                return Err(None);
                            }
                        },
                        None => return Err(Some(NoAnswer::Broken)),
                    }
                }
            })
            .await;
        let result = match begun {
            Ok(result) => result,
            Err(why) => {
                process.end();
                return match (refused, why) {
                    (Some(answer), _) => Ok(json(200, answer)),
                    (None, why) => Err(why.unwrap_or(NoAnswer::Broken)),
                };
            }
        };
        let session = format!("{}-{}", self.run, self.number());
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.get());
        process.heard_of(&session);
        let mut state = self.state();
        let owned = state.sessions.iter().filter(|(_, one)| one.key.owner == target.owner);
        let (count, oldest) = (owned.clone().count(), owned.min_by_key(|(_, one)| one.number));
        if count >= STDIO_SESSIONS
            && let Some(oldest) = oldest.map(|(id, _)| id.clone())
            && let Some(gone) = state.sessions.remove(&oldest)
        {
            gone.process.forget(&oldest);
        }
        let number = self.number();
        state.sessions.insert(session.clone(), Session { key, process, number });
        drop(state);
        let mut answer = json(200, body);
        answer.headers.add("mcp-session-id", session.as_bytes());
        Ok(answer)
    }

    /// The process of a session, while it runs and is what the server is now.
    fn of_session(&self, target: &Target<'_>, id: &str) -> Option<Arc<Process>> {
        let state = self.state();
        let session = state.sessions.get(id)?;
        let key = &session.key;
        let same =
            key.owner == target.owner && key.command == *target.command && key.secrets == *target.secrets;
        if !same || session.process.is_over() {
            return None;
        }
        session.process.heard_of(id);
        Some(Arc::clone(&session.process))
    }

    fn listen(&self, target: &Target<'_>, session: Option<&str>) -> Streamed {
        let Some(id) = session else { return plain(405) };
        let Some(process) = self.of_session(target, id) else { return no_session() };
        let events = stream::unfold(process.listen(id), |mut events| async move {
            let (Event::Notice(text) | Event::Answer(text)) = events.recv().await?;
            Some((Ok(framed(&text)), events))
        });
        Streamed { status: 200, headers: kind("text/event-stream"), body: events.boxed().into() }
    }

    fn leave(&self, target: &Target<'_>, session: Option<&str>) -> Streamed {
        let Some(id) = session else { return plain(405) };
        if self.of_session(target, id).is_none() {
            return no_session();
        }
        let mut state = self.state();
        if let Some(left) = state.sessions.remove(id) {
            left.process.forget(id);
            if !state.sessions.values().any(|other| Arc::ptr_eq(&other.process, &left.process)) {
                left.process.end();
            }
        }
        plain(200)
    }

    /// The process of a key, started now if it is not running.
    fn process(&self, key: Key, name: &str, environment: &Environment) -> Result<Arc<Process>, NoAnswer> {
        let mut state = self.state();
        state.running.retain(|_, process| !process.is_over());
        state.sessions.retain(|_, session| !session.process.is_over());
        if let Some(process) = state.running.get(&key) {
            return Ok(Arc::clone(process));
        }
        let own = state.running.iter().filter(|(other, _)| other.owner == key.owner);
        if own.clone().count() >= STDIO_A_PERSON {
            make_room(own.map(|(_, process)| process))?;
        } else if state.running.len() >= STDIO_PROCESSES {
            make_room(state.running.values())?;
        }
        let folder = self.folder_of(&key.owner);
        let started = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let _inside = self.runtime.as_ref().map(Handle::enter);
            let name = format!("{name} for {}", key.owner.person);
            Process::start(name, &key.command, &folder, environment)
        };
        let process = started().map_err(|error| {
            tracing::error!(server = name, command = key.command.program(), %error, "a server over stdio cannot be started");
            NoAnswer::Unreachable
        })?;
        process.used.store(self.number(), Ordering::Relaxed);
        state.running.insert(key, Arc::clone(&process));
        Ok(process)
    }

    fn folder_of(&self, owner: &Owner) -> PathBuf {
        self.folder.join(owner.server.to_string()).join(folder_name(&owner.person))
    }

    /// For whom something runs.
    #[must_use]
    pub fn owners(&self) -> Vec<Owner> {
        let mut state = self.state();
        state.running.retain(|_, process| !process.is_over());
        state.running.keys().map(|key| key.owner.clone()).collect()
    }

    /// Ends what runs for somebody, unless it is this, with these secrets.
    pub fn end_all_but(&self, owner: &Owner, command: Option<(&CommandLine, &[u8])>) {
        for (key, process) in &self.state().running {
            let stays =
                command.is_some_and(|(command, secrets)| key.command == *command && key.secrets == *secrets);
            if key.owner == *owner && !stays {
                process.end();
            }
        }
    }

    /// Ends everything, and waits until nothing is left.
    pub async fn end(&self) {
        let all: Vec<_> = self.state().running.drain().map(|(_, process)| process).collect();
        for process in &all {
            process.end();
        }
        let gone = async {
            for process in &all {
                process.gone().await;
            }
        };
        let _ = timeout(STDIO_GRACE * 4, gone).await;
    }

    /// Removes what the processes of a person have written on this machine, once they have ended.
    ///
    /// # Errors
    /// When a folder cannot be removed.
    pub async fn erase(&self, person: UserId) -> std::io::Result<()> {
        let person = person.to_string();
        let ended: Vec<_> = {
            let state = self.state();
            let own = state.running.iter().filter(|(key, _)| key.owner.person == person);
            own.map(|(_, process)| Arc::clone(process)).collect()
        };
        for process in &ended {
            process.end();
            let _ = timeout(STDIO_GRACE * 4, process.gone()).await;
        }
        erase_below(&self.folder, &folder_name(&person))
    }
}

fn erase_below(folder: &Path, name: &str) -> std::io::Result<()> {
    let servers = match std::fs::read_dir(folder) {
        Ok(servers) => servers,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for server in servers {
        match std::fs::remove_dir_all(server?.path().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A person's id as it is; what may be anything, such as the URL of a machine's client, as a digest.
fn folder_name(person: &str) -> String {
    match UserId::parse(person) {
        Some(id) => id.to_string(),
        None => TokenDigest::of(person).hex(),
    }
}

fn key_of(target: &Target<'_>, clients: Option<String>) -> Key {
    Key {
        owner: target.owner.clone(),
        command: target.command.clone(),
        secrets: target.secrets.to_vec(),
        clients,
    }
}

/// Ends the one that has not been used for longest of those that nobody waits for.
fn make_room<'a>(running: impl Iterator<Item = &'a Arc<Process>>) -> Result<(), NoAnswer> {
    let idle = running.filter(|process| !process.is_busy());
    let oldest = idle.min_by_key(|process| process.used.load(Ordering::Relaxed)).ok_or(NoAnswer::Full)?;
    oldest.end();
    Ok(())
}

/// The answer to a request: whole, or as events where something comes before it.
async fn answer(mut wait: Wait, stateless: bool, patience: Duration) -> Result<Streamed, NoAnswer> {
    let first = timeout(patience, wait.events.recv()).await.map_err(|_| NoAnswer::TimedOut)?;
    match first {
        None => Err(NoAnswer::Broken),
        Some(Event::Answer(text)) => {
            // Where there are no sessions, the status says it too (MCP 2026-07-28, streamable HTTP).
            let unknown = stateless && splice::is_unknown_method(&text);
            Ok(json(if unknown { 404 } else { 200 }, text))
        }
        Some(Event::Notice(text)) => {
            let first = stream::iter([Ok(framed(&text))]);
            let rest = stream::unfold(Some(wait), |wait| async move {
                let mut wait = wait?;
                match wait.events.recv().await {
                    Some(Event::Notice(text)) => Some((Ok(framed(&text)), Some(wait))),
                    Some(Event::Answer(text)) => Some((Ok(framed(&text)), None)),
                    None => Some((Err(Broken), None)),
                }
            });
            Ok(Streamed {
                status: 200,
                headers: kind("text/event-stream"),
                body: first.chain(rest).boxed().into(),
            })
        }
    }
}

fn framed(text: &str) -> Bytes {
    format!("event: message\ndata: {text}\n\n").into()
}

fn kind(kind: &str) -> Headers {
    Headers::of("content-type", kind)
}

fn json(status: u16, text: String) -> Streamed {
    let body = stream::iter([Ok(Bytes::from(text))]).boxed().into();
    Streamed { status, headers: kind("application/json"), body }
}

fn plain(status: u16) -> Streamed {
    Streamed { status, headers: Headers::default(), body: stream::empty().boxed().into() }
}

fn no_session() -> Streamed {
    let text = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"There is no such session; begin a new one."}}"#;
    json(404, text.to_owned())
}
