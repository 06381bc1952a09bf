//! What a command says: one JSON value for a program, or lines for a person, and how it ends.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::config::ConfigError;
use crate::flow::failure::Fault;
use crate::flow::people::OrderError;
use crate::run::RunError;
use crate::types::time::Timestamp;

/// What a command has to say.
pub(super) struct Said {
    /// For a program.
    pub(super) json: Value,
    /// For a person.
    pub(super) lines: Vec<String>,
}

impl Said {
    pub(super) const fn new(json: Value, lines: Vec<String>) -> Self {
        Self { json, lines }
    }

    /// One thing, its members a line each.
    pub(super) fn thing(json: Value) -> Self {
        let mut lines = Vec::new();
        if let Some(members) = json.as_object() {
            let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
            let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            for (name, value) in members.iter().filter(|(_, value)| !empty(value)) {
                lines.push(format!("{name:width$}  {}", shown(value)));
            }
        }
        Self { json, lines }
    }

    /// A list of things, as a table of some of their members.
    pub(super) fn list(things: Vec<Value>, columns: &[&str]) -> Self {
        let mut rows = vec![columns.iter().map(|name| name.replace('_', " ")).collect::<Vec<_>>()];
        for thing in &things {
            let cell = |name: &&str| thing.get(*name).map_or_else(String::new, shown);
            rows.push(columns.iter().map(cell).collect());
        }
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let lines = rows.iter().map(line).collect();
        Self { json: Value::Array(things), lines }
    }

    /// Prints it. A reader that has gone away is no reason to fail.
    pub(super) fn print(&self, as_json: bool) {
        let mut out = io::stdout().lock();
        if as_json {
            let _ = writeln!(out, "{}", self.json);
        } else {
            for line in &self.lines {
                let _ = writeln!(out, "{}", harmless(line));
            }
        }
        let _ = out.flush();
    }
}

/// How a command fails.
#[derive(Debug)]
pub(super) enum CliError {
    /// Bad usage or configuration: exit code 2.
    Usage(String),
    /// It could not: exit code 1.
    Failed(String),
}

impl CliError {
    /// The exit code.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Failed(_) => 1,
        }
    }

    /// What it says.
    pub(super) fn text(self) -> String {
        let (Self::Usage(text) | Self::Failed(text)) = self;
        text
    }

    /// A command line that cannot be read, without the usage and the help that a person gets with it.
    pub(super) fn misused(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let what = text.split("\n\nUsage:").next().unwrap_or_default();
        let what = what.split("\n\nFor more information").next().unwrap_or_default();
        Self::Usage(what.strip_prefix("error: ").unwrap_or(what).to_owned())
    }

    /// Says on stderr, in one line, what and what to do; a program gets it as JSON too.
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            self.print_json();
        }
        let _ = writeln!(io::stderr().lock(), "postern: {}", harmless(&self.line()));
    }

    /// Says the same on stdout, as one JSON value.
    pub(super) fn print_json(&self) {
        let _ = writeln!(io::stdout().lock(), "{}", json!({ "error": self.line() }));
    }

    fn line(&self) -> String {
        let (Self::Usage(text) | Self::Failed(text)) = self;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Config(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<OrderError> for CliError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Bad(text) => Self::Usage(text),
            OrderError::NotFound(text) | OrderError::Exists(text) => Self::Failed(text),
            OrderError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

/// A warning on stderr.
pub(super) fn warn(text: &str) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = writeln!(io::stderr().lock(), "postern: warning: {}", harmless(&line));
}

/// A moment as programs and people read it.
pub(super) fn moment(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::from(at.rfc3339()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Names come from strangers: nothing in them may drive the terminal.
fn harmless(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_a_table_and_an_array() {
        let said = Said::list(
            vec![json!({"name": "é", "n": 1, "groups": ["a", "b"]}), json!({"name": "longer", "n": null})],
            &["name", "n", "groups"],
        );
        assert_eq!(said.lines, ["name    n  groups", "é       1  a, b", "longer"]);
        assert_eq!(said.json.as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_thing_is_a_line_a_member() {
        let said = Said::thing(json!({"client_id": "x", "gone": null, "uses": 3, "none": []}));
        assert_eq!(said.lines, ["client_id  x", "uses       3"]);
    }

    #[test]
    fn terminals_are_not_driven_by_names() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\u{9b}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }
}
