//! Runs other tools, one step at a time, and says what it runs and how long it took.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::Failure;

/// The command as one would type it into a shell.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The word in single quotes, if a shell would read it otherwise than as it stands.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command with our own output; prints it before and its time after.
///
/// # Errors
/// If it cannot be started or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let text = shown(command);
    eprintln!("xtask: $ {text}");
    let begin = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|source| Failure::Start {
            command: text.clone(),
            source,
        })?;
    eprintln!("xtask: {:.1} s, {status}", begin.elapsed().as_secs_f64());
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Exit {
            command: text,
            status,
        })
    }
}

/// Runs a command and takes its standard output; its errors go to ours.
///
/// # Errors
/// If it cannot be started or ends with another status than 0.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let text = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Failure::Start {
            command: text.clone(),
            source,
        })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Failure::Exit {
            command: text,
            status: output.status,
        })
    }
}

/// Does this command start and succeed? Its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_typed_as_they_are_shown() {
        let mut command = Command::new("pip");
        command.args(["install", "moto[server]==5.2.5", "it's", ""]);
        assert_eq!(
            shown(&command),
            r"pip install 'moto[server]==5.2.5' 'it'\''s' ''"
        );
    }
}
