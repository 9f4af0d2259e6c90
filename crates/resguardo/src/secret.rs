//! Secrets behind `file:` and `cmd:` references, read when they are needed and not before.

use std::path::Path;
use std::time::Duration;

use resguardo_engine::process::{self, Command, GroupLog, ProcessMark};
use resguardo_model::CancelToken;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::config::interpolate::SecretRef;
use crate::error::Failure;

/// Longest time for a password manager to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A group that is not written down: it is waited for at once.
struct NoLog;

impl GroupLog for NoLog {
    fn started(&self, _group: &ProcessMark) -> std::io::Result<()> {
        Ok(())
    }
}

/// The secret itself. Relative paths and commands are seen from `folder`.
///
/// # Errors
/// If the file cannot be read, the command fails, or either gives nothing.
pub fn read(
    reference: &SecretRef,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<SecretString, Failure> {
    let (text, from) = match reference {
        SecretRef::Value(secret) => return Ok(secret.clone()),
        SecretRef::File(path) => {
            let path = folder.join(path);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::io("reading the secret", &path, &error))?;
            (text, path.display().to_string())
        }
        SecretRef::Command(line) => (run(line, folder, cancel)?, format!("cmd:{line}")),
    };
    match text.lines().next() {
        Some(first) if !first.is_empty() => Ok(SecretString::from(first.to_owned())),
        _ => Err(Failure::user(format!(
            "{from} gives no secret: its first line is empty"
        ))),
    }
}

/// All of what a command prints: a key, which has more lines than one.
///
/// # Errors
/// If the command fails or prints nothing.
pub fn read_all(
    line: &str,
    folder: &Path,
    cancel: &CancelToken,
) -> Result<Zeroizing<String>, Failure> {
    let text = Zeroizing::new(run(line, folder, cancel)?);
    if text.trim().is_empty() {
        return Err(Failure::user(format!("cmd:{line} prints nothing")));
    }
    if text.contains(char::REPLACEMENT_CHARACTER) {
        return Err(Failure::user(format!("cmd:{line} prints something else than text"))
            .hint("keep the key as text: an identity that is protected in binary becomes text with `resguardo keys passphrase`"));
    }
    Ok(text)
}

fn run(line: &str, folder: &Path, cancel: &CancelToken) -> Result<String, Failure> {
    let command = Command::shell(line, folder);
    let ended = process::run(&command, TIMEOUT, cancel, &NoLog)
        .map_err(|error| Failure::user(format!("the secret of cmd:{line}")).because(&error))?;
    if ended.status.success() {
        return Ok(ended.output.stdout);
    }
    // Only standard error: what it printed before it failed may be the secret.
    let said = ended.output.stderr.trim().to_owned();
    let mut failure = Failure::user(format!("the secret of cmd:{line}: {}", ended.describe()));
    if !said.is_empty() {
        failure.causes.push(said);
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read_text(text: &str) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let reference = SecretRef::parse(text.to_owned());
        read(&reference, folder.path(), &CancelToken::new())
            .map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn the_first_line_counts() {
        assert_eq!(read_text("cmd:printf 'one\\ntwo\\n'").unwrap(), "one");
        assert_eq!(read_text("plain").unwrap(), "plain");
    }

    #[test]
    fn a_failing_command_says_why_without_its_output() {
        let failure = read_text("cmd:echo half-a-secret; echo locked >&2; exit 3").unwrap_err();
        assert!(
            failure.message.ends_with("exit code 3"),
            "{}",
            failure.message
        );
        assert_eq!(failure.causes, ["locked"]);
        assert!(read_text("cmd:true").is_err());
        assert!(read_text("file:nope").is_err());
    }
}
