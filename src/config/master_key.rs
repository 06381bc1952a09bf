//! Where the master key is kept: given, in a file, with whoever a command asks, or in a file that the first start makes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Config, ConfigError, MasterKeySource, command};
use crate::crypto::seal::MasterKey;
use crate::storage::DatabaseUrl;
use crate::types::random::Rng;

/// The file in the data folder.
const FILE: &str = "master.key";

impl Config {
    /// The folder for the data, made with mode 0700 when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or is not a folder.
    pub fn make_data_dir(&self) -> Result<(), ConfigError> {
        let folder = &self.data_dir;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            ConfigError::one(format!(
                "{}: expected a folder that can be made or written to, found {}: {error}",
                self.place("data_dir"),
                folder.display()
            ))
        })
    }

    /// Whether the master key, if there is one already, can be read or fetched; makes nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no key, or the command gives none.
    pub fn check_master_key(&self) -> Result<(), ConfigError> {
        let path = match &self.master_key {
            MasterKeySource::Given(_) => return Ok(()),
            MasterKeySource::Command(words) => return command::master_key(words).map(|_| ()),
            MasterKeySource::File(path) => path.clone(),
            MasterKeySource::DataDir => self.data_dir.join(FILE),
        };
        match &self.master_key {
            MasterKeySource::DataDir if !path.exists() => Ok(()),
            MasterKeySource::File(_) => self.read_named(&path).map(|_| ()),
            _ => read(&path).map(|_| ()),
        }
    }

    /// Reads the file that `master_key_file` names.
    fn read_named(&self, path: &Path) -> Result<MasterKey, ConfigError> {
        read(path).map_err(|error| ConfigError::one(format!("{}: {error}", self.place("master_key_file"))))
    }

    /// Reads the master key. Without one in the configuration it lives in the data folder, and is made there (mode
    /// 0600, on disk before this returns) when it is missing; of two processes that start at once, one makes it.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds no key, or the command gives none.
    pub fn master_key(&self, rng: &dyn Rng) -> Result<MasterKey, ConfigError> {
        match &self.master_key {
            MasterKeySource::Given(text) => MasterKey::from_base64(text.expose())
                .map_err(|problem| ConfigError::one(format!("master_key: {problem}"))),
            MasterKeySource::File(path) => self.read_named(path),
            MasterKeySource::Command(words) => command::master_key(words),
            MasterKeySource::DataDir => {
                self.make_data_dir()?;
                let path = self.data_dir.join(FILE);
                // A new key opens nothing of what is there, and might be taken for the right one. The database is looked for
                // first: whoever starts at this moment writes the key before it.
                let database = matches!(&self.database_url, DatabaseUrl::Sqlite(file) if file.exists());
                if database && !path.exists() {
                    return Err(ConfigError::one(format!(
                        "the master key {} is missing, and there is a database beside it: put back the key that belongs to it",
                        path.display()
                    )));
                }
                if !path.exists() {
                    create(&path, &MasterKey::generate(rng), rng).map_err(|error| {
                        ConfigError::one(format!(
                            "the master key {} cannot be written: {error}",
                            path.display()
                        ))
                    })?;
                }
                read(&path)
            }
        }
    }
}

/// Makes a master key and writes it to a new file, with mode 0600 and on disk before this returns.
///
/// # Errors
/// When the file exists already or cannot be written.
pub fn generate(path: &Path, rng: &dyn Rng) -> Result<MasterKey, ConfigError> {
    let complain = |problem: String| {
        ConfigError::one(format!("the new master key {} cannot be written: {problem}", path.display()))
    };
    if path.exists() {
        return Err(complain("the file exists already".to_owned()));
    }
    let key = MasterKey::generate(rng);
    create(path, &key, rng).map_err(|error| complain(error.to_string()))?;
    // Or somebody else has just written theirs.
    read(path)
}

/// Reads a master key from a file.
///
/// # Errors
/// When the file cannot be read, or holds no key.
pub fn read(path: &Path) -> Result<MasterKey, ConfigError> {
    let complain =
        |problem: String| ConfigError::one(format!("the master key {}: {problem}", path.display()));
    let metadata =
        fs::metadata(path).map_err(|error| complain(format!("expected a file that can be read: {error}")))?;
    if metadata.mode() & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "others may read the master key; chmod 600 it");
    }
    if !metadata.is_file() || metadata.len() > 1_024 {
        return Err(complain("expected a file with 32 bytes in base64".to_owned()));
    }
    let text =
        fs::read(path).map_err(|error| complain(format!("expected a file that can be read: {error}")))?;
    let text = Zeroizing::new(text);
    let text = std::str::from_utf8(&text).map_err(|_| complain("expected 32 bytes in base64".to_owned()))?;
    MasterKey::from_base64(text).map_err(complain)
}

/// Writes the key beside its place and links it there, which fails when the place is taken: nobody ever reads half a
/// key, and the key of whoever came first stays.
fn create(path: &Path, key: &MasterKey, rng: &dyn Rng) -> io::Result<()> {
    let mut name = [0u8; 8];
    rng.fill(&mut name);
    let draft = PathBuf::from(format!("{}.{:016x}", path.display(), u64::from_be_bytes(name)));
    let written = write(&draft, key).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = fs::remove_file(&draft);
    written?;
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write(path: &Path, key: &MasterKey) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.to_base64().expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}
