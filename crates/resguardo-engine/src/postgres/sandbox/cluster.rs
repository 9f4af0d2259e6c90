//! A throwaway server: a new cluster in a private folder, reached by a socket in that folder and by nothing
//! else, run by somebody who is not root, and tuned for a restore that need not survive a loss of power.
//!
//! Order: who runs it and where, before anything is made; `initdb`; the server, its group written down
//! by the site as it starts; ready is what its own `postmaster.pid` says. [`Cluster::stop`], or its drop, ends
//! it at once: nobody will ever start it again but to look at what a kept sandbox holds.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::Surroundings;
use super::super::session::Session;
use super::super::settings::Settings;
use super::super::tools::Tools;
use super::{LIMITS, MAINTENANCE, preload, socket, tuning};
use crate::port::{EngineError, Run, SandboxSite};
use crate::process::{self, Command, Output, Process, ProcessError, User};

/// The bootstrap superuser. No source has it, so that every role of the source can be made.
pub(in crate::postgres) const SUPERUSER: &str = "resguardo_drill";
/// The port, which only names the socket.
pub(super) const PORT: u16 = 5432;
/// Longest time for `initdb`, and for the server to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A running server. Dropping it ends it.
pub(super) struct Cluster {
    process: Process,
    socket: socket::Folder,
    data: PathBuf,
    program: PathBuf,
    /// Libraries that it has loaded as it started.
    preloaded: Vec<String>,
}

/// What a server is for.
pub(super) struct Wanted<'a> {
    /// Tables of the database.
    pub(super) tables: usize,
    /// Libraries that its extensions need to be loaded as the server starts.
    pub(super) preload: Vec<String>,
    /// The database's name.
    pub(super) database: &'a str,
}

impl Cluster {
    /// Makes and starts a server with these programs. `notes` gets what it cannot have as it is wanted.
    ///
    /// # Errors
    /// [`EngineError::Full`], [`EngineError::Unsupported`] if there is nobody to run it, or what the programs
    /// said.
    pub(super) fn start(
        tools: &Tools,
        wanted: &Wanted<'_>,
        around: &Surroundings,
        site: &dyn SandboxSite,
        notes: &mut Vec<String>,
        run: Run<'_>,
    ) -> Result<Self, EngineError> {
        let user = user_of(around)?;
        let folder = match user {
            Some(user) => site.folder_of(user).map_err(|source| EngineError::Other {
                operation: "making the folder of a throwaway server, for",
                place: site.folder().display().to_string(),
                source: source.into(),
            })?,
            None => site.folder(),
        };
        let data = folder.join("cluster");
        let maker = Maker {
            tools,
            folder: &folder,
            data: &data,
            user,
            site,
        };
        maker.initdb(run)?;
        let socket = socket::Folder::of(&folder, &site.name(), PORT)?;
        let settings = tuning::settings(&tuning::Machine::look(), wanted.tables);
        let process = maker.serve(socket.path(), &settings, run)?;
        let mut cluster = Self {
            process,
            socket,
            data: data.clone(),
            program: tools.program("postgres"),
            preloaded: Vec::new(),
        };
        if !wanted.preload.is_empty() {
            cluster.preload(&maker, settings, wanted, notes, run)?;
        }
        Ok(cluster)
    }

    /// Starts the server anew with the libraries that are wanted, as far as they are there; as it was, if it does
    /// not start with them.
    fn preload(
        &mut self,
        maker: &Maker<'_>,
        settings: Vec<(&'static str, String)>,
        wanted: &Wanted<'_>,
        notes: &mut Vec<String>,
        run: Run<'_>,
    ) -> Result<(), EngineError> {
        let session = Session::connect(&self.settings(MAINTENANCE), LIMITS, run.cancel)?;
        let (there, missing) = preload::parted(&session, &wanted.preload)?;
        drop(session);
        if !missing.is_empty() {
            let why = "they are not installed here, and what is theirs may fail";
            notes.push(preload::told(&missing, why));
        }
        if there.is_empty() {
            return Ok(());
        }
        self.process.end();
        let mut with = settings.clone();
        with.extend(preload::settings(&there, wanted.database));
        match maker.serve(self.socket.path(), &with, run) {
            Ok(process) => {
                self.process = process;
                self.preloaded = there;
            }
            Err(error @ EngineError::Cancelled(_)) => return Err(error),
            Err(error) => {
                let why = std::error::Error::source(&error).map(ToString::to_string);
                notes.push(preload::told(&there, &why.unwrap_or_default()));
                self.process = maker.serve(self.socket.path(), &settings, run)?;
            }
        }
        Ok(())
    }

    /// How to reach a database on it.
    pub(super) fn settings(&self, database: &str) -> Settings {
        let folder = self.socket.path().to_string_lossy();
        Settings::of_socket(&folder, PORT, SUPERUSER, database)
    }

    /// Where its data lies.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The command that starts it again, once it is stopped and kept.
    pub(super) fn how_to_start(&self, database: &str) -> String {
        let data = self.data.display();
        let folder = self.data.parent().unwrap_or(&self.data).display();
        format!(
            "the server is kept; its owner starts it by: {} -D {data} -k {folder} -c listen_addresses={} \
             and connects by: psql -h {folder} -U {SUPERUSER} -d {}",
            self.program.display(),
            self.preloading(),
            format_args!("'{}'", database.replace('\'', "'\\''"))
        )
    }

    fn preloading(&self) -> String {
        match self.preloaded.is_empty() {
            true => String::new(),
            false => format!(
                " -c shared_preload_libraries={} -c max_worker_processes=0",
                self.preloaded.join(",")
            ),
        }
    }

    /// What it has said last, if it ends within `patience`: a lost connection is then explained by it.
    pub(super) fn last_words(&self, patience: Duration) -> Option<String> {
        let begun = Instant::now();
        loop {
            if self.process.has_exited().unwrap_or(true) {
                return Some(self.process.output().said().to_owned());
            }
            if begun.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Ends it at once.
    pub(super) fn stop(&mut self) {
        self.process.quit();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who runs the server: ourselves, or the one found for it where we are root.
fn user_of(around: &Surroundings) -> Result<Option<User>, EngineError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    match around.server_user {
        Some(user) => Ok(Some(user)),
        None => Err(EngineError::Unsupported {
            place: "a throwaway server".to_owned(),
            why: "PostgreSQL refuses to run as root, and there is no user postgres or nobody"
                .to_owned(),
            next: "run the drill as another user, or on a server by sandbox = \"database\""
                .to_owned(),
        }),
    }
}

/// What is needed to make a cluster.
struct Maker<'a> {
    tools: &'a Tools,
    folder: &'a Path,
    data: &'a Path,
    user: Option<User>,
    site: &'a dyn SandboxSite,
}

impl Maker<'_> {
    fn command(&self, program: &str, arguments: Vec<String>) -> Command {
        Command::program(self.tools.program(program), arguments, self.folder)
            .run_as(self.user)
            .without_variables(Settings::foreign_variables())
            .without_variables(["LANG", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "PGDATA"])
            .with_variables([
                ("LC_ALL".to_owned(), "C".to_owned()),
                ("TZ".to_owned(), "UTC".to_owned()),
                // What they would write elsewhere belongs into the sandbox.
                ("HOME".to_owned(), self.folder.display().to_string()),
            ])
    }

    fn initdb(&self, run: Run<'_>) -> Result<(), EngineError> {
        let arguments = [
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
            "--pgdata",
        ];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(self.data.display().to_string());
        let command = self.command("initdb", arguments);
        let ended = process::run(&command, PATIENCE, run.cancel, self.site)
            .map_err(|error| self.failed("making", error))?;
        if ended.status.success() {
            return Ok(());
        }
        let how = format!("initdb ended with {}", ended.describe());
        Err(self.said("making", &how, &ended.output))
    }

    fn serve(
        &self,
        socket: &Path,
        settings: &[(&'static str, String)],
        run: Run<'_>,
    ) -> Result<Process, EngineError> {
        let mut arguments = vec!["-D".to_owned(), self.data.display().to_string()];
        let own = [
            ("listen_addresses", String::new()),
            ("port", PORT.to_string()),
            ("unix_socket_directories", quoted(socket)),
            ("unix_socket_permissions", "0700".to_owned()),
        ];
        for (name, value) in own.iter().chain(settings) {
            arguments.push("-c".to_owned());
            arguments.push(format!("{name}={value}"));
        }
        let command = self.command("postgres", arguments);
        let mut process =
            Process::start(&command, self.site).map_err(|error| self.failed("starting", error))?;
        match self.wait_until_ready(&process, run) {
            Ok(()) => Ok(process),
            Err(error) => {
                process.quit();
                Err(error)
            }
        }
    }

    fn wait_until_ready(&self, process: &Process, run: Run<'_>) -> Result<(), EngineError> {
        let begun = Instant::now();
        loop {
            run.cancel.check()?;
            if self.is_ready(process.id()) {
                return Ok(());
            }
            let exited = process.has_exited();
            if exited.map_err(|error| self.failed("starting", error))? {
                let how = "the server ended as it started";
                return Err(self.said("starting", how, &process.output()));
            }
            if begun.elapsed() >= PATIENCE {
                let seconds = PATIENCE.as_secs();
                let how = format!("the server was not ready after {seconds} s");
                return Err(self.said("starting", &how, &process.output()));
            }
            std::thread::sleep(POLL);
        }
    }

    /// Whether the eighth line of its `postmaster.pid` says so.
    fn is_ready(&self, pid: u32) -> bool {
        let text = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        let mut lines = text.lines();
        lines.next() == Some(&pid.to_string())
            && lines
                .nth(6)
                .is_some_and(|status| status.trim_end() == "ready")
    }

    fn failed(&self, operation: &'static str, error: ProcessError) -> EngineError {
        match error {
            ProcessError::Cancelled(cancelled) => EngineError::Cancelled(cancelled),
            ProcessError::Timeout { ref output, .. } => {
                let how = error.to_string();
                self.said(operation, &how, output)
            }
            other => self.other(operation, Box::new(other)),
        }
    }

    /// How a program failed, with the last lines of what it said.
    fn said(&self, operation: &'static str, how: &str, output: &Output) -> EngineError {
        let words = tail(output);
        if words.contains("No space left on device") {
            return EngineError::Full {
                operation,
                place: self.place(),
            };
        }
        self.other(operation, format!("{how}: {words}").into())
    }

    fn other(&self, operation: &'static str, source: crate::port::BoxError) -> EngineError {
        EngineError::Other {
            operation,
            place: self.place(),
            source,
        }
    }

    fn place(&self) -> String {
        let version = self.tools.version();
        format!(
            "a throwaway PostgreSQL {version} in {}",
            self.folder.display()
        )
    }
}

/// Lines of a program's output that an error shows.
const LINES_SHOWN: usize = 12;

fn tail(output: &Output) -> String {
    let said = [output.stdout.trim(), output.stderr.trim()].join("\n");
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// A path as an item of a list of folders.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('"', "\"\""))
}
