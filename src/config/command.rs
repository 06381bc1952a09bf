//! The master key from a command: a program of the operator's that asks a secret store for it.

use std::io::Read as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use zeroize::Zeroizing;

use super::ConfigError;
use crate::crypto::seal::MasterKey;
use crate::types::policy::{MASTER_KEY_COMMAND_OUTPUT, MASTER_KEY_COMMAND_TIMEOUT};

/// How long to wait before looking again.
const TICK: Duration = Duration::from_millis(20);

type Output = Result<Zeroizing<Vec<u8>>, String>;

/// Splits a command into words as a POSIX shell would; nothing is expanded.
///
/// # Errors
/// A sentence that says what was expected.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    match shlex::split(text) {
        Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(words),
        Some(_) => Err("expected a command, found nothing".to_owned()),
        None => Err("expected a command whose quotes are closed".to_owned()),
    }
}

/// Runs the command and reads the key from its standard output. What it says on standard error goes where ours goes.
///
/// # Errors
/// When it cannot be run, fails, takes too long, or prints no key; never with what it printed.
pub(super) fn master_key(words: &[String]) -> Result<MasterKey, ConfigError> {
    run(words, MASTER_KEY_COMMAND_TIMEOUT).and_then(|output| key_in(&output)).map_err(|problem| {
        ConfigError::one(format!(
            "master_key_command: expected a command that prints 32 bytes in base64, {problem}"
        ))
    })
}

fn key_in(output: &[u8]) -> Result<MasterKey, String> {
    let text = std::str::from_utf8(output).map_err(|_| "found output that is not text".to_owned())?;
    if text.trim().is_empty() {
        return Err("found no output".to_owned());
    }
    MasterKey::from_base64(text).map_err(|_| "found something else in its output".to_owned())
}

fn run(words: &[String], within: Duration) -> Output {
    let Some((program, arguments)) = words.split_first() else { return Err("found nothing".to_owned()) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("but {program:?} cannot be run: {error}"))?;
    let outcome = watch(&mut child, within);
    if outcome.is_err() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    let (output, status) = outcome?;
    if status.success() {
        return Ok(output);
    }
    Err(status
        .code()
        .map_or_else(|| format!("but it ended by {status}"), |code| format!("but it ended with {code}")))
}

/// Waits for the output's end and the program's, both within the time.
fn watch(child: &mut Child, within: Duration) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), String> {
    let reading = child.stdout.take().map(read_aside).ok_or("but its output cannot be read")?;
    let mut output = None;
    let mut left = within;
    loop {
        if output.is_none()
            && let Ok(read) = reading.try_recv()
        {
            output = Some(read?);
        }
        if let Some(read) = output.take() {
            match child.try_wait() {
                Ok(Some(status)) => return Ok((read, status)),
                Ok(None) => output = Some(read),
                Err(error) => return Err(format!("but it cannot be waited for: {error}")),
            }
        }
        let late = || format!("but it did not end within {} s", within.as_secs_f32());
        left = left.checked_sub(TICK).ok_or_else(late)?;
        std::thread::park_timeout(TICK);
    }
}

/// Reads on a thread of its own: a program that neither prints nor ends would hold this one.
fn read_aside(output: ChildStdout) -> Receiver<Output> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let most = MASTER_KEY_COMMAND_OUTPUT;
        // Room for all of it: what grows is copied, and copies are not wiped.
        let room = usize::try_from(most).unwrap_or_default() + 64;
        let mut read = Zeroizing::new(Vec::with_capacity(room));
        let outcome = output.take(most + 1).read_to_end(&mut read);
        let _ = tell.send(match outcome {
            Ok(bytes) if bytes as u64 > most => Err(format!("found more than {most} bytes")),
            Ok(_) => Ok(read),
            Err(error) => Err(format!("but its output cannot be read: {error}")),
        });
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[test]
    fn words_are_split_as_a_shell_would_but_nothing_is_expanded() {
        let split = |text| words(text).unwrap();
        assert_eq!(split("vault kv get -field=key a/b"), ["vault", "kv", "get", "-field=key", "a/b"]);
        assert_eq!(
            split(r#"op read "op://My vault/x" 'a  b' c\ d"#),
            ["op", "read", "op://My vault/x", "a  b", "c d"]
        );
        assert_eq!(split("echo $HOME `x` *"), ["echo", "$HOME", "`x`", "*"]);
        for bad in ["", "  ", "op 'x", "''"] {
            assert!(words(bad).unwrap_err().starts_with("expected a command"), "{bad}");
        }
    }

    #[test]
    fn what_a_command_prints_is_the_key() {
        let found = master_key(&shell(&format!("echo; echo {KEY}"))).unwrap();
        assert_eq!(found.to_base64().expose(), KEY);
    }

    #[test]
    fn a_command_that_gives_no_key_is_named_and_nothing_it_printed_is_repeated() {
        for (script, why) in [
            ("exit 0", "found no output"),
            ("echo s3cret", "found something else in its output"),
            ("printf 's3cret\\377'", "found output that is not text"),
            ("echo s3cret; exit 7", "but it ended with 7"),
            ("echo s3cret; kill -9 $$", "signal: 9"),
            ("while :; do echo s3cret; done", "found more than 1024 bytes"),
        ] {
            let problem = master_key(&shell(script)).unwrap_err().to_string();
            assert!(
                problem.starts_with("master_key_command: expected a command that prints 32 bytes"),
                "{problem}"
            );
            assert!(problem.contains(why) && !problem.contains("s3cret"), "{script}: {problem}");
        }
        let problem = master_key(&["/nowhere/vault".to_owned()]).unwrap_err().to_string();
        assert!(problem.contains("\"/nowhere/vault\" cannot be run"), "{problem}");
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        for script in ["exec sleep 600", "echo x; exec sleep 600 >&-"] {
            let problem = run(&shell(script), Duration::from_millis(200)).unwrap_err();
            assert_eq!(problem, "but it did not end within 0.2 s", "{script}");
        }
    }
}
