//! Children that work into a file: their data is seen by its growth.

use std::time::{Duration, Instant};

use resguardo_model::CancelToken;

use super::{Command, Ended, GroupLog, POLL, Process, ProcessError};

/// Runs a command to its end, for as long as it gets on: `progress` tells a number that changes while it
/// does.
///
/// # Errors
/// [`ProcessError::Silent`] once the number has stayed the same for `silence`; as [`super::run`] otherwise.
pub fn run_watched(
    command: &Command,
    silence: Duration,
    cancel: &CancelToken,
    log: &dyn GroupLog,
    progress: &mut dyn FnMut() -> u64,
) -> Result<Ended, ProcessError> {
    let mut process = Process::start(command, log)?;
    let mut last = (progress(), Instant::now());
    loop {
        if process.has_exited()? {
            return process.reap();
        }
        if let Err(cancelled) = cancel.check() {
            process.end();
            return Err(cancelled.into());
        }
        let now = progress();
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() >= silence {
            process.end();
            return Err(ProcessError::Silent {
                name: command.name(),
                seconds: silence.as_secs(),
                output: process.output(),
            });
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::super::NoLog;
    use super::*;

    fn run(line: &str, progress: &mut dyn FnMut() -> u64) -> Result<Ended, ProcessError> {
        let command = Command::shell(line, "/");
        let silence = Duration::from_millis(200);
        run_watched(&command, silence, &CancelToken::new(), &NoLog, progress)
    }

    #[test]
    fn who_gets_on_is_waited_for_and_who_does_not_is_ended() {
        let mut steps = 0;
        let ended = run("sleep 0.5; exit 7", &mut || {
            steps += 1;
            steps
        });
        assert_eq!(ended.unwrap().status.code(), Some(7));
        let stuck = run("echo waiting >&2; exec sleep 600", &mut || 0);
        let Err(ProcessError::Silent { output, .. }) = stuck else {
            panic!("{stuck:?}");
        };
        assert_eq!(output.said(), "waiting");
    }
}
