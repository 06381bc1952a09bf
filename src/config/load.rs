//! Reading the configuration: the defaults, then the file, then the environment, each through the same table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::brand::Brand;
use super::given::Given;
use super::keys::{Draft, KEYS, Key};
use super::mail::MailDraft;
use super::{Config, ConfigError, LogConfig, LogFormat, MasterKeySource};
use crate::types::duration;
use crate::types::issuer::Issuer;
use crate::types::network::TrustedProxies;
use crate::types::policy::Policy;

/// The variable that names the file.
const FILE_VARIABLE: &str = "POSTERN_CONFIG";
/// The file that is read when nothing names one.
const DEFAULT_FILE: &str = "postern.toml";
const PREFIX: &str = "POSTERN_";
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// One key as it is in force.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Setting {
    /// The key's name in the file.
    pub key: &'static str,
    /// Its value; passwords are left out, and the master key is only ever `set`.
    pub value: String,
    /// `default`, the file, or the variable.
    pub source: String,
}

impl Config {
    /// Reads the file (`file`, else `POSTERN_CONFIG`, else `postern.toml` in `cwd` if there is one) and puts the
    /// environment over it.
    ///
    /// # Errors
    /// Every problem there is, at once.
    pub fn load(file: Option<PathBuf>, env: Vec<(String, String)>, cwd: &Path) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(cwd);
        let named = file.or_else(|| {
            let variable = env.iter().find(|(name, _)| name == FILE_VARIABLE);
            variable.map(|(_, value)| PathBuf::from(value))
        });
        reader.read_file(named, cwd);
        reader.read_environment(&env);
        reader.finish()
    }

    /// Whether the file or the environment sets a key.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.key == key && setting.source != "default")
    }

    /// How a problem names a key: with the file or the variable that sets it.
    pub(super) fn place(&self, key: &str) -> String {
        let setting = self.settings.iter().find(|setting| setting.key == key);
        place(key, setting.map(|setting| setting.source.as_str()).filter(|source| *source != "default"))
    }

    /// [`Config::load`] with the environment and the folder of this process.
    ///
    /// # Errors
    /// Every problem there is, at once.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn from_process(file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let mut env = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let text = value.into_string().map_err(|_| {
                ConfigError::one(format!("the environment variable {name}: expected text in UTF-8"))
            })?;
            env.push((name.to_owned(), text));
        }
        let cwd = std::env::current_dir()
            .map_err(|error| ConfigError::one(format!("the current folder cannot be read: {error}")))?;
        let mut config = Self::load(file, env, &cwd)?;
        if let Ok(path) = std::env::var("PATH") {
            config.search_path = path;
        }
        Ok(config)
    }
}

/// Where programs are unless the environment says otherwise.
const SEARCH_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

struct Reader {
    draft: Draft,
    sources: Vec<Option<String>>,
    problems: Vec<String>,
}

impl Reader {
    fn new(cwd: &Path) -> Self {
        let mut problems = Vec::new();
        let mut draft = blank(cwd);
        for key in KEYS {
            if let Some(default) = key.default {
                problems.extend((key.set)(&mut draft, Given::Text(default)).err());
            }
        }
        Self { draft, sources: vec![None; KEYS.len()], problems }
    }

    fn read_file(&mut self, named: Option<PathBuf>, cwd: &Path) {
        let must_exist = named.is_some();
        let path = cwd.join(named.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE)));
        let shown = path.display().to_string();
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return,
            Err(error) => {
                self.problems
                    .push(format!("{shown}: expected a configuration file that can be read: {error}"));
                return;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.read_table(&shown, "", &table),
            Err(error) => {
                let line = error
                    .span()
                    .and_then(|span| text.get(..span.start))
                    .map_or(1, |head| head.matches('\n').count() + 1);
                // Only the library's sentence: its picture of the line could show a secret.
                self.problems
                    .push(format!("{shown}: line {line}: expected TOML: {}", first_line(error.message())));
            }
        }
    }

    fn read_table(&mut self, file: &str, path: &str, table: &toml::Table) {
        for (name, value) in table {
            let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let is_table_of_keys =
                KEYS.iter().any(|key| key.name.strip_prefix(&full).is_some_and(|rest| rest.starts_with('.')));
            match (find(&full), value) {
                (Some((index, key)), value) => {
                    self.set(index, key, Given::File(value), &format!("{file}: {full}"), file);
                }
                (None, toml::Value::Table(inner)) if is_table_of_keys || !inner.is_empty() => {
                    self.read_table(file, &full, inner);
                }
                (None, _) if is_table_of_keys => {
                    self.problems.push(format!("{file}: {full}: expected a table, written [{full}]"));
                }
                (None, _) => {
                    let names = KEYS.iter().map(|key| key.name.to_owned());
                    self.problems.push(format!("{file}: unknown key {full}{}", advice(&full, names)));
                }
            }
        }
    }

    fn read_environment(&mut self, env: &[(String, String)]) {
        for (name, value) in env {
            if !name.starts_with(PREFIX) || name == FILE_VARIABLE {
                continue;
            }
            let known = KEYS.iter().enumerate().find(|(_, key)| key.variable() == *name);
            if let Some((index, key)) = known {
                let place = place(key.name, Some(name));
                self.set(index, key, Given::Text(value), &place, name);
                continue;
            }
            let names = KEYS.iter().map(Key::variable).chain([FILE_VARIABLE.to_owned()]);
            let advice = service_link(value).unwrap_or_else(|| advice(name, names));
            self.problems.push(format!("unknown environment variable {name}{advice}"));
        }
    }

    fn set(&mut self, index: usize, key: &Key, given: Given<'_>, place: &str, source: &str) {
        match (key.set)(&mut self.draft, given) {
            Ok(()) => {
                if let Some(slot) = self.sources.get_mut(index) {
                    *slot = Some(source.to_owned());
                }
            }
            Err(problem) => self.problems.push(format!("{place}: {problem}")),
        }
    }

    fn source(&self, name: &str) -> Option<&str> {
        find(name).and_then(|(index, _)| self.sources.get(index)).and_then(Option::as_deref)
    }

    fn place(&self, name: &str) -> String {
        place(name, self.source(name))
    }

    /// Keys that contradict each other. A default gives way in silence: whoever sets only the longest life need not know of
    /// the other.
    fn contradictions(&mut self) {
        let policy = &self.draft.policy;
        for (idle, longest, spans) in [
            (
                "tokens.refresh_token_idle_ttl",
                "tokens.refresh_token_max_ttl",
                (policy.refresh_token_idle_ttl, policy.refresh_token_max_ttl),
            ),
            (
                "login.session_idle_ttl",
                "login.session_max_ttl",
                (policy.session_idle_ttl, policy.session_max_ttl),
            ),
        ] {
            if spans.0 > spans.1 && self.source(idle).is_some() {
                self.problems.push(format!(
                    "{}: expected at most {longest}, which is {}, found {}",
                    self.place(idle),
                    duration::format(spans.1),
                    duration::format(spans.0)
                ));
            }
        }
        let listen = self.draft.listen;
        if let Some(metrics) = self.draft.metrics_listen
            && metrics.port() == listen.port()
            && listen.port() != 0
            && (metrics.ip() == listen.ip() || metrics.ip().is_unspecified() || listen.ip().is_unspecified())
        {
            self.problems.push(format!(
                "{}: expected another port than that of listen, which is {listen}, found {metrics}",
                self.place("metrics_listen")
            ));
        }
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        let set = |name: &&str| self.source(name).is_some();
        let keys: Vec<&str> =
            ["master_key", "master_key_file", "master_key_command"].into_iter().filter(set).collect();
        match keys.as_slice() {
            [] | [_] => {}
            [one, other] => {
                self.problems.push(format!("{one} and {other} are both set: expected one of them"));
            }
            all => self.problems.push(format!("{} are all set: expected one of them", all.join(", "))),
        }
        if let Some(MasterKeySource::File(path)) = &self.draft.master_key
            && let Err(error) = fs::metadata(path)
        {
            let place = self.place("master_key_file");
            self.problems.push(format!("{place}: expected a file, found {}: {error}", path.display()));
        }
        self.contradictions();
        let policy = &self.draft.policy;
        if let Err(why) = policy.inactivity.check() {
            self.problems.push(why.to_owned());
        }
        if let Some((kept, longest)) = policy.audit_retention.zip(policy.inactivity.longest())
            && kept < longest
        {
            self.problems.push(
                "audit.retention: expected at least the longest span of inactivity, whose signs of life are audit records"
                    .to_owned(),
            );
        }
        match self.draft.mail.finish() {
            Ok(mail) => self.draft.policy.mail = mail,
            Err(problem) => self.problems.push(problem),
        }
        if !self.problems.is_empty() {
            return Err(ConfigError { problems: self.problems });
        }
        let draft = self.draft;
        let settings = KEYS.iter().zip(&self.sources).map(|(key, source)| Setting {
            key: key.name,
            value: (key.show)(&draft),
            source: source.clone().unwrap_or_else(|| "default".to_owned()),
        });
        Ok(Config {
            settings: settings.collect(),
            database_url: draft.database(),
            policy: draft.policy,
            listen: draft.listen,
            data_dir: draft.data_dir,
            search_path: SEARCH_PATH.to_owned(),
            master_key: draft.master_key.unwrap_or(MasterKeySource::DataDir),
            metrics_listen: draft.metrics_listen,
            trusted_proxies: draft.trusted_proxies.with_certificates_in(draft.client_cert_header),
            brand: draft.brand,
            log: draft.log,
        })
    }
}

/// How a problem names a key: with the file or the variable that sets it.
pub(super) fn place(key: &str, source: Option<&str>) -> String {
    match source {
        None => key.to_owned(),
        Some(variable) if variable.starts_with(PREFIX) => {
            format!("the environment variable {variable} ({key})")
        }
        Some(file) => format!("{file}: {key}"),
    }
}

/// A draft with nothing in it yet; the defaults of the table are put over it.
#[expect(clippy::expect_used, reason = "a constant; every test would fail")]
fn blank(cwd: &Path) -> Draft {
    Draft {
        cwd: cwd.to_owned(),
        policy: Policy::new(Issuer::parse("http://localhost:8080").expect("the default issuer is an issuer")),
        listen: ([127, 0, 0, 1], 8_080).into(),
        data_dir: cwd.to_owned(),
        database_url: None,
        master_key: None,
        metrics_listen: None,
        trusted_proxies: TrustedProxies::default(),
        client_cert_header: String::new(),
        brand: Brand { name: String::new(), logo: None, accent: None },
        log: LogConfig { format: LogFormat::Json, level: String::new() },
        mail: MailDraft::default(),
    }
}

fn find(name: &str) -> Option<(usize, &'static Key)> {
    KEYS.iter().enumerate().find(|(_, key)| key.name == name)
}

fn read(path: &Path) -> io::Result<String> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    fs::read_to_string(path)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Kubernetes puts `POSTERN_PORT=tcp://…` and the like into every container beside a service named `postern`.
fn service_link(value: &str) -> Option<String> {
    value.starts_with("tcp://").then(|| {
        "; Kubernetes sets it for a service named postern: set enableServiceLinks: false in the pod"
            .to_owned()
    })
}

/// What to say after an unknown name.
fn advice(name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.map(|known| (distance(name, &known), known)).min();
    match near {
        Some((distance, known)) if distance <= known.len() / 3 => format!("; did you mean {known}?"),
        _ => "; expected one of those that docs/CONFIG.md lists".to_owned(),
    }
}

/// How many characters must be typed anew to get from one word to the other (Levenshtein), whatever their case.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.to_lowercase().chars().take(200).enumerate() {
        let mut next = vec![line + 1];
        for (column, other) in to.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let changed = cell(&row, column) + usize::from(letter != *other);
            next.push(changed.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
