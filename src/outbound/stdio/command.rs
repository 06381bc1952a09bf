//! What is run, and what it finds in its environment.

use std::collections::BTreeMap;
use std::path::Path;

use crate::types::policy::MAX_PARAMETER;
use crate::types::secret::Secret;

/// How an upstream begins that is a command.
const SCHEME: &str = "stdio:";

/// A program and its arguments, as an administrator wrote them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CommandLine {
    words: Vec<String>,
}

impl CommandLine {
    /// Whether an upstream is a command.
    #[must_use]
    pub fn is_one(upstream: &str) -> bool {
        upstream.starts_with(SCHEME)
    }

    /// Reads `stdio:PROGRAM ARGUMENT…`. It is split into words as a shell does, with quotes and backslashes; no shell ever
    /// sees it, so that nothing else in it means anything.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(upstream: &str) -> Result<Self, String> {
        let text = upstream.strip_prefix(SCHEME).ok_or("a command begins with stdio:")?.trim();
        if text.len() > MAX_PARAMETER || text.contains(['\0', '\n', '\r']) {
            return Err(format!(
                "the command after stdio: is one line of at most {MAX_PARAMETER} characters"
            ));
        }
        let words = shlex::split(text).ok_or("the command after stdio: has a quote that is not closed")?;
        if words.first().is_none_or(String::is_empty) {
            return Err("stdio: is followed by the program to run, and its arguments".to_owned());
        }
        Ok(Self { words })
    }

    /// The text that [`CommandLine::parse`] reads; `None` when a word cannot be written down.
    #[must_use]
    pub fn written<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<String> {
        Some(format!("{SCHEME}{}", shlex::try_join(words).ok()?))
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// Its arguments.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// What a process finds in its environment: where programs are, where it may write, and the secrets that the vault keeps for
/// it. Nothing of ours: least of all the master key.
#[derive(Clone, Default)]
pub struct Environment {
    search_path: String,
    secrets: BTreeMap<String, Secret<String>>,
}

impl Environment {
    /// With this search path for programs, and no secrets.
    #[must_use]
    pub fn new(search_path: String) -> Self {
        Self { search_path, secrets: BTreeMap::new() }
    }

    /// With these secrets.
    #[must_use]
    pub fn with(&self, secrets: BTreeMap<String, Secret<String>>) -> Self {
        Self { search_path: self.search_path.clone(), secrets }
    }

    /// Whether a variable can be given under this name: one that would change what is run cannot.
    #[must_use]
    pub fn may_be_named(name: &str) -> bool {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let ours = ["PATH", "HOME", "TMPDIR", "LANG"].contains(&name) || name.starts_with("LD_");
        first && plain && !ours && name.len() <= 128
    }

    /// The variables of a process that works in this folder.
    pub(super) fn variables(&self, folder: &Path) -> Vec<(String, std::ffi::OsString)> {
        let mut out = vec![
            ("PATH".to_owned(), self.search_path.clone().into()),
            ("HOME".to_owned(), folder.into()),
            ("TMPDIR".to_owned(), folder.into()),
            ("LANG".to_owned(), "C.UTF-8".into()),
        ];
        out.extend(self.secrets.iter().map(|(name, value)| (name.clone(), value.expose().into())));
        out
    }

    /// A text without any of the secrets.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in self.secrets.values().filter(|secret| !secret.expose().is_empty()) {
            if out.contains(secret.expose()) {
                out = out.replace(secret.expose(), "[removed]");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_words_and_nothing_more() {
        let read = |text: &str| CommandLine::parse(text);
        let found = read(r#"stdio:npx -y "a server" --say 'x $HOME; rm -rf' \$b"#).unwrap();
        assert_eq!(found.program(), "npx");
        assert_eq!(found.arguments(), ["-y", "a server", "--say", "x $HOME; rm -rf", "$b"]);
        for bad in ["stdio:", "stdio:  ", "stdio:'a", "stdio:a\nb", "stdio:a\0", "stdio:''", "npx"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
        let words = ["a b", "it's", "$x"];
        let again = read(&CommandLine::written(words).unwrap()).unwrap();
        assert_eq!((again.program(), again.arguments()), ("a b", &["it's".to_owned(), "$x".to_owned()][..]));
    }

    #[test]
    fn no_variable_changes_what_is_run() {
        for good in ["API_KEY", "_x", "npm_config_cache"] {
            assert!(Environment::may_be_named(good), "{good}");
        }
        for bad in ["", "PATH", "HOME", "LD_PRELOAD", "A=B", "1A", "A B", "Ä"] {
            assert!(!Environment::may_be_named(bad), "{bad}");
        }
    }

    #[test]
    fn what_it_says_is_kept_without_its_secrets() {
        let secrets = BTreeMap::from([("K".to_owned(), Secret::new("s3cret".to_owned()))]);
        let environment = Environment::new("/bin".to_owned()).with(secrets);
        assert_eq!(environment.without_secrets("bad key s3cret!"), "bad key [removed]!");
        let names: Vec<String> =
            environment.variables(Path::new("/x")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["PATH", "HOME", "TMPDIR", "LANG", "K"]);
    }
}
