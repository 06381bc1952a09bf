//! The notes: in memory, and in a file of JSON lines to which every new note is appended and synced before it is
//! acknowledged. What was acknowledged is there after a crash; what was torn by it never was acknowledged and is cut off.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{MAX_NOTE, MAX_NOTES, MAX_NOTES_FILE, NOTES_A_PAGE};
use crate::types::time::Timestamp;

/// One note of one person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Note {
    /// Its number among the person's notes, from 1.
    pub number: usize,
    /// When it was added.
    pub at: Timestamp,
    /// What it says.
    pub text: String,
}

/// A page of a person's notes, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Page {
    /// At most [`NOTES_A_PAGE`] notes.
    pub notes: Vec<Note>,
    /// How many notes the person has in all.
    pub total: usize,
}

/// Why a note was not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// Nothing in it.
    #[error("a note needs a text")]
    Empty,
    /// Longer than [`MAX_NOTE`].
    #[error("a note has at most {MAX_NOTE} bytes")]
    TooLong,
    /// The person has [`MAX_NOTES`], or the file is full.
    #[error("there is no room for more notes")]
    Full,
    /// The disk refused; nothing was kept.
    #[error("the note could not be written")]
    Disk(#[from] io::Error),
}

/// Everybody's notes.
#[derive(Debug)]
pub(super) struct Notes(Mutex<Book>);

#[derive(Debug)]
struct Book {
    file: File,
    /// Length of the file up to the last whole note.
    length: u64,
    /// A failed write could not be undone, so nothing may be appended behind it.
    broken: bool,
    people: HashMap<String, Vec<(Timestamp, String)>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    sub: String,
    at: Timestamp,
    text: String,
}

impl Notes {
    /// Opens the file, or makes it with mode 0600, and reads it. The file stays locked: two servers on one file would
    /// not know of each other's notes.
    ///
    /// # Errors
    /// When it cannot be read, is in use, or holds a line that is not a note; the message names the line.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| about(path, &error.to_string(), error.kind()))?;
        if file.try_lock().is_err() {
            return Err(about(path, "another server uses it", io::ErrorKind::WouldBlock));
        }
        let mut book = Book { file, length: 0, broken: false, people: HashMap::new() };
        book.read(path)?;
        // The file's name must survive a crash too.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(Self(Mutex::new(book)))
    }

    /// Keeps a note; it is on the disk when this returns. Blocks.
    ///
    /// # Errors
    /// [`NotKept`]; then nothing was kept.
    pub(super) fn add(&self, sub: &str, text: String, at: Timestamp) -> Result<Note, NotKept> {
        if text.trim().is_empty() {
            return Err(NotKept::Empty);
        }
        if text.len() > MAX_NOTE {
            return Err(NotKept::TooLong);
        }
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = book.people.get(sub).map_or(0, Vec::len);
        let line = Line { sub: sub.to_owned(), at, text: text.clone() };
        let mut bytes = serde_json::to_vec(&line).map_err(io::Error::from)?;
        bytes.push(b'\n');
        if count >= MAX_NOTES || book.length.saturating_add(bytes.len() as u64) > MAX_NOTES_FILE {
            return Err(NotKept::Full);
        }
        book.append(&bytes)?;
        book.people.entry(line.sub).or_default().push((at, line.text));
        Ok(Note { number: count + 1, at, text })
    }

    /// The newest notes of one person; with `before`, those with a smaller number.
    pub(super) fn list(&self, sub: &str, before: Option<usize>) -> Page {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = book.people.get(sub).map(Vec::as_slice).unwrap_or_default();
        let end = before.map_or(all.len(), |number| number.saturating_sub(1)).min(all.len());
        let notes = all.iter().enumerate().take(end).rev().take(NOTES_A_PAGE);
        let notes = notes.map(|(index, (at, text))| Note { number: index + 1, at: *at, text: text.clone() });
        Page { notes: notes.collect(), total: all.len() }
    }
}

impl Book {
    fn read(&mut self, path: &Path) -> io::Result<()> {
        let mut reader = BufReader::new(self.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let read = reader.read_until(b'\n', &mut bytes)?;
            if read == 0 {
                break;
            }
            if bytes.last() != Some(&b'\n') {
                tracing::warn!(file = %path.display(), "cut off a note that a crash had torn");
                self.file.set_len(self.length)?;
                self.file.sync_all()?;
                break;
            }
            let line: Line = serde_json::from_slice(&bytes).map_err(|_| {
                let what = format!("line {number} is not a note; move the file away to start afresh");
                about(path, &what, io::ErrorKind::InvalidData)
            })?;
            self.people.entry(line.sub).or_default().push((line.at, line.text));
            self.length += read as u64;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed and could not be undone"));
        }
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        if written.is_ok() {
            self.length += bytes.len() as u64;
        } else {
            let undone = self.file.set_len(self.length).and_then(|()| self.file.sync_data());
            self.broken = undone.is_err();
        }
        written
    }
}

fn about(path: &Path, what: &str, kind: io::ErrorKind) -> io::Error {
    io::Error::new(kind, format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn keeps_each_person_apart_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        let notes = Notes::open(&path).unwrap();
        notes.add("ada", "one\ntwo \"three\"".to_owned(), at(1)).unwrap();
        notes.add("bob", "four".to_owned(), at(2)).unwrap();
        assert_eq!(notes.add("ada", "five".to_owned(), at(3)).unwrap().number, 2);
        let before = (notes.list("ada", None), notes.list("bob", None), notes.list("eve", None));
        assert!(Notes::open(&path).is_err(), "a second server on the file");
        drop(notes);
        let notes = Notes::open(&path).unwrap();
        assert_eq!((notes.list("ada", None), notes.list("bob", None), notes.list("eve", None)), before);
        assert_eq!(before.0.notes.iter().map(|note| note.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(before.2.total, 0);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_reads_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        Notes::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn cuts_off_a_torn_note_and_goes_on_behind_the_last_whole_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        let notes = Notes::open(&path).unwrap();
        notes.add("ada", "whole".to_owned(), at(1)).unwrap();
        drop(notes);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"sub":"ada","at":2,"te"#).unwrap();
        drop(file);
        let notes = Notes::open(&path).unwrap();
        notes.add("ada", "next".to_owned(), at(3)).unwrap();
        drop(notes);
        let texts = Notes::open(&path).unwrap().list("ada", None).notes;
        assert_eq!(texts.into_iter().map(|note| note.text).collect::<Vec<_>>(), ["next", "whole"]);
    }

    #[test]
    fn says_which_line_is_no_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.jsonl");
        std::fs::write(&path, "{\"sub\":\"a\",\"at\":1,\"text\":\"x\"}\nnonsense\n").unwrap();
        let error = Notes::open(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("notes.jsonl"), "{error}");
    }

    #[test]
    fn is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(&folder.path().join("notes.jsonl")).unwrap();
        assert!(matches!(notes.add("ada", " \n".to_owned(), at(1)), Err(NotKept::Empty)));
        assert!(matches!(notes.add("ada", "x".repeat(MAX_NOTE + 1), at(1)), Err(NotKept::TooLong)));
        for number in 1..=MAX_NOTES {
            notes
                .0
                .lock()
                .unwrap()
                .people
                .entry("ada".to_owned())
                .or_default()
                .push((at(1), number.to_string()));
        }
        assert!(matches!(notes.add("ada", "x".to_owned(), at(1)), Err(NotKept::Full)));
        assert!(notes.add("bob", "x".repeat(MAX_NOTE), at(1)).is_ok());
    }

    #[test]
    fn pages_reach_every_note_once() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::open(&folder.path().join("notes.jsonl")).unwrap();
        for number in 1..=(2 * NOTES_A_PAGE + 1) {
            notes
                .0
                .lock()
                .unwrap()
                .people
                .entry("ada".to_owned())
                .or_default()
                .push((at(1), number.to_string()));
        }
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let page = notes.list("ada", before).notes;
            let Some(last) = page.last() else { break };
            before = Some(last.number);
            seen.extend(page.iter().map(|note| note.number));
        }
        assert_eq!(seen, (1..=(2 * NOTES_A_PAGE + 1)).rev().collect::<Vec<_>>());
        assert!(notes.list("ada", Some(0)).notes.is_empty());
    }
}
