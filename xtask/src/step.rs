//! Runs other tools, one step at a time, and says what it runs and how long it took.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::failure::Failure;

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
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
