//! The one place that starts processes: the tools of a database, throwaway servers, migrations, check
//! commands and the applications that checks ask.
//!
//! Every child leads a process group of its own, reads nothing that it is not fed, has its output kept in
//! bounded tails, and is ended with its whole group: at its deadline, when the caller cancels, when its handle is
//! dropped, and when it ends by itself but leaves others of its group behind. A group is ended before
//! its leader is reaped, so that its number cannot have been given to somebody else meanwhile.
//!
//! [`run`] lets a child work by itself, [`read_from`] takes its standard output as it comes, [`write_to`]
//! feeds its standard input, [`run_watched`] lets it work into a file; these end a child that does not get on for too
//! long.
//!
//! If this process is killed, its children live on. Their groups are therefore written down by
//! [`GroupLog`] (the sandbox's marker), and the next start ends them.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use resguardo_model::{CancelToken, Cancelled};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

mod command;
mod mark;
mod stream;
mod tail;
mod watched;

pub use command::{Command, Listener, User};
pub use mark::ProcessMark;
use mark::as_pid;
pub use stream::{StreamError, read_from, write_to};
use tail::Tail;
pub use watched::run_watched;

/// Bytes of each output that are kept: the last ones.
const TAIL_BYTES_MAX: usize = 16 * 1024;
/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long a group may take to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);
/// How long the outputs may stay open after the group's end: somebody outside the group holds them.
const DRAIN: Duration = Duration::from_millis(500);

/// Where groups are written down before anything else is done with them.
pub trait GroupLog: Send + Sync {
    /// A group was started.
    ///
    /// # Errors
    /// If it could not be written down; the group is ended then.
    fn started(&self, group: &ProcessMark) -> std::io::Result<()>;
}

/// What went wrong with a process. `output` is the tail of what it said.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("starting {name} in {}", folder.display())]
    Start {
        /// The program.
        name: String,
        /// The working directory.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It could not be watched.
    #[error("watching {name}")]
    Watch {
        /// The program.
        name: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("{name} took longer than {seconds} s and was ended")]
    Timeout {
        /// The program.
        name: String,
        /// The limit in seconds.
        seconds: u64,
        /// What it said.
        output: Output,
    },
    /// It neither said nor took anything for too long and was ended.
    #[error("{name} was silent for {seconds} s and was ended")]
    Silent {
        /// The program.
        name: String,
        /// The limit in seconds.
        seconds: u64,
        /// What it said.
        output: Output,
    },
    /// Stopped by the caller; it was ended.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// The tails of what a process said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Of its standard output.
    pub stdout: String,
    /// Of its standard error.
    pub stderr: String,
}

impl Output {
    /// What a person wants to see: standard error, else standard output.
    #[must_use]
    pub fn said(&self) -> &str {
        if self.stderr.trim().is_empty() {
            self.stdout.trim()
        } else {
            self.stderr.trim()
        }
    }
}

/// A process that ended by itself.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// What it said.
    pub output: Output,
}

impl Ended {
    /// `exit code 1` or `signal 9`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// [`ProcessError`]; whichever it is, nothing of the group runs any more.
pub fn run(
    command: &Command,
    timeout: Duration,
    cancel: &CancelToken,
    log: &dyn GroupLog,
) -> Result<Ended, ProcessError> {
    let mut process = Process::start(command, log)?;
    let begun = Instant::now();
    loop {
        if process.has_exited()? {
            return process.reap();
        }
        if let Err(cancelled) = cancel.check() {
            process.end();
            return Err(cancelled.into());
        }
        if begun.elapsed() >= timeout {
            process.end();
            return Err(ProcessError::Timeout {
                name: command.name(),
                seconds: timeout.as_secs(),
                output: process.output(),
            });
        }
        std::thread::sleep(POLL);
    }
}

/// The ends of a child's pipes that are ours.
struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
}

/// A running process. Dropping it ends its group.
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    stdout: Tail,
    stderr: Tail,
    reaped: bool,
}

impl Process {
    /// Starts a command that reads nothing, and writes its group down.
    ///
    /// # Errors
    /// [`ProcessError::Start`].
    pub fn start(command: &Command, log: &dyn GroupLog) -> Result<Self, ProcessError> {
        let (mut process, pipes) = Self::start_piped(command, Stdio::null(), log)?;
        process.stdout = Tail::of(pipes.stdout, command.listener.clone());
        Ok(process)
    }

    /// Starts a command and hands its pipes out.
    fn start_piped(
        command: &Command,
        stdin: Stdio,
        log: &dyn GroupLog,
    ) -> Result<(Self, Pipes), ProcessError> {
        let failed = |source| ProcessError::Start {
            name: command.name(),
            folder: command.folder().to_path_buf(),
            source,
        };
        let mut child = command
            .prepared()
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
        };
        let stderr = Tail::of(child.stderr.take(), command.listener.clone());
        let process = Self {
            name: command.name(),
            group: as_pid(child.id()).expect("the kernel gives positive process numbers"),
            child,
            stdout: Tail::of(None::<ChildStdout>, None),
            stderr,
            reaped: false,
        };
        log.started(&ProcessMark::of(process.child.id()))
            .map_err(failed)?;
        Ok((process, pipes))
    }

    /// Its number, which is its group's as well.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether its leader has ended. It is not reaped by this.
    ///
    /// # Errors
    /// [`ProcessError::Watch`].
    pub fn has_exited(&self) -> Result<bool, ProcessError> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.group), options) {
            Ok(status) => Ok(status.is_some()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(ProcessError::Watch {
                name: self.name.clone(),
                source: error.into(),
            }),
        }
    }

    /// What it has said so far.
    #[must_use]
    pub fn output(&self) -> Output {
        Output {
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }

    /// Ends the group: SIGTERM, some time to end by itself, SIGKILL. Returns what it has said.
    pub fn end(&mut self) -> Output {
        self.end_by(Signal::TERM)
    }

    /// The same, asked by SIGQUIT: a PostgreSQL server waits for nobody then, and ends its children.
    pub fn quit(&mut self) -> Output {
        self.end_by(Signal::QUIT)
    }

    fn end_by(&mut self, signal: Signal) -> Output {
        if !self.reaped {
            let _ = kill_process_group(self.group, signal);
            let begun = Instant::now();
            while begun.elapsed() < GRACE && matches!(self.has_exited(), Ok(false)) {
                std::thread::sleep(POLL);
            }
            // An error means that it is gone; a leader that cannot be reaped is no child of ours.
            let _ = self.kill_and_reap();
        }
        self.output()
    }

    /// Ends what is left of the group of a leader that has exited.
    fn reap(mut self) -> Result<Ended, ProcessError> {
        let status = self.kill_and_reap().map_err(|source| ProcessError::Watch {
            name: self.name.clone(),
            source,
        })?;
        Ok(Ended {
            status,
            output: self.output(),
        })
    }

    fn kill_and_reap(&mut self) -> std::io::Result<ExitStatus> {
        let _ = kill_process_group(self.group, Signal::KILL);
        let status = self.child.wait();
        self.reaped = true;
        self.stdout.drain();
        self.stderr.drain();
        // Dying takes the others a moment too. One that nobody reaps stays in the group as a zombie, so
        // the wait is bounded.
        let begun = Instant::now();
        while begun.elapsed() < DRAIN && test_kill_process_group(self.group).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Writes nothing down: for commands whose end nobody else needs to bring about.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLog;

impl GroupLog for NoLog {
    fn started(&self, _group: &ProcessMark) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::mark::started;
    use super::*;

    fn command(line: &str) -> Command {
        Command::shell(line, "/").with_variables([("WORD".to_owned(), "hola".to_owned())])
    }

    fn run_for(line: &str, timeout: Duration) -> Result<Ended, ProcessError> {
        run(&command(line), timeout, &CancelToken::new(), &NoLog)
    }

    /// It was sent its end; when the kernel is through with it is the kernel's matter.
    fn assert_ends(pid: u32) {
        while started(pid).is_some() {
            std::thread::yield_now();
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn keeps_the_outputs_and_the_exit_code() {
        let ended = run_for("echo $WORD; echo no >&2; exit 3", LONG).expect("runs");
        assert_eq!(ended.describe(), "exit code 3");
        assert_eq!(ended.output.stdout, "hola\n");
        assert_eq!(ended.output.said(), "no");
    }

    #[test]
    fn keeps_the_end_of_a_long_output() {
        let ended = run_for("seq 1 100000", LONG).expect("runs");
        assert!(ended.output.stdout.len() <= TAIL_BYTES_MAX);
        assert!(ended.output.stdout.ends_with("100000\n"));
    }

    #[test]
    fn a_hanging_command_is_ended_with_its_whole_group() {
        // The grandchild ignores SIGTERM and is in the background.
        let line = "(trap '' TERM; sleep 1000) & echo $!; trap '' TERM; sleep 1000";
        let error = run_for(line, Duration::from_millis(300)).expect_err("hangs");
        let ProcessError::Timeout { output, .. } = error else {
            panic!("not a timeout: {error}");
        };
        let grandchild: u32 = output.stdout.trim().parse().expect("a process number");
        assert_ends(grandchild);
    }

    #[test]
    fn what_a_command_leaves_behind_is_ended() {
        let ended = run_for("sleep 1000 >/dev/null 2>&1 & echo $!", LONG).expect("runs");
        let left: u32 = ended
            .output
            .stdout
            .trim()
            .parse()
            .expect("a process number");
        assert_ends(left);
    }

    #[test]
    fn errors_name_the_program_and_nothing_of_its_arguments() {
        for (line, name) in [
            ("npx prisma migrate deploy --token abc", "npx"),
            ("PGPASSWORD=abc psql", "psql"),
            ("exec python3 app.py", "python3"),
            ("", "a command"),
        ] {
            assert_eq!(command(line).name(), name);
        }
    }

    #[test]
    fn cancelling_ends_it() {
        let cancel = CancelToken::new();
        cancel.cancel();
        let error = run(&command("sleep 1000"), LONG, &cancel, &NoLog).expect_err("cancelled");
        assert!(matches!(error, ProcessError::Cancelled(_)), "{error}");
    }

    #[test]
    fn a_group_that_cannot_be_written_down_is_ended() {
        struct Full(Mutex<Option<ProcessMark>>);
        impl GroupLog for Full {
            fn started(&self, group: &ProcessMark) -> std::io::Result<()> {
                *self.0.lock().expect("one thread") = Some(group.clone());
                Err(std::io::ErrorKind::StorageFull.into())
            }
        }
        let log = Full(Mutex::new(None));
        assert!(run(&command("sleep 1000"), LONG, &CancelToken::new(), &log).is_err());
        let mark = log.0.lock().expect("one thread").take().expect("started");
        assert!(!mark.is_alive());
    }

    #[test]
    fn a_child_that_leads_a_group_of_its_own_is_ended_too() {
        let mut process =
            Process::start(&command("setsid sleep 1000 & echo $!; wait"), &NoLog).expect("starts");
        let child = loop {
            if let Ok(pid) = process.output().stdout.trim().parse::<u32>() {
                break pid;
            }
            std::thread::yield_now();
        };
        ProcessMark::of(process.id()).end_group();
        assert_ends(child);
        process.end();
    }

    #[test]
    fn a_mark_is_of_one_process_only() {
        let own = ProcessMark::own();
        assert!(own.is_alive());
        if started(own.pid).is_some() {
            let other = ProcessMark {
                started: "another boot:1".to_owned(),
                ..own
            };
            assert!(!other.is_alive());
        }
    }
}
