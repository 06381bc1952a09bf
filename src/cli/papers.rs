//! What is written from the definitions: completions, manual pages, docs/CONFIG.md.

use std::path::Path;

use clap::CommandFactory as _;
use serde_json::json;

use super::args::{Cli, Document};
use super::output::{CliError, Said};
use crate::config::docs;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Said, CliError> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "postern", &mut out);
    let script = String::from_utf8(out).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(Said::new(json!({ "shell": shell.to_string(), "script": script }), lines(&script)))
}

pub(super) fn manual(folder: Option<&Path>) -> Result<Said, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("the manual cannot be written: {error}"));
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
        let line = format!("wrote the pages into {}", folder.display());
        return Ok(Said::new(json!({ "folder": folder }), vec![line]));
    }
    let mut out = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut out).map_err(failed)?;
    let page = String::from_utf8_lossy(&out).into_owned();
    Ok(Said::new(json!({ "page": page }), lines(&page)))
}

pub(super) fn document(document: Document) -> Said {
    let text = match document {
        Document::Config => docs::markdown(),
    };
    Said::new(json!({ "markdown": text }), lines(&text))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_and_every_page_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            assert!(completions(shell).unwrap().lines.join("\n").contains("check-config"), "{shell}");
        }
        assert!(manual(None).unwrap().lines.join("\n").contains("check\\-config"));
        let folder = tempfile::tempdir().unwrap();
        manual(Some(folder.path())).unwrap();
        assert!(folder.path().join("postern-grant-revoke.1").exists());
    }
}
