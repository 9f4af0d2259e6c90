//! A PostgreSQL server in the scratch folder, reached by a socket there; stopped when it is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::scratch;
use crate::failure::Failure;
use crate::step;

/// Debian's programs.
pub(super) const BIN: &str = "/usr/lib/postgresql/15/bin";

/// A server; it need not run.
pub(super) struct Server {
    folder: PathBuf,
}

impl Server {
    /// The server whose socket, log and data (`cluster`) lie in a folder, which others may enter from now on.
    pub(super) fn of(folder: &Path) -> Result<Self, Failure> {
        scratch::open_to_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("cluster")
    }

    /// Makes an empty cluster with these lines of `postgresql.conf`, and log segments of so many MB.
    pub(super) fn init(&self, settings: &str, segment: u32) -> Result<(), Failure> {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data());
        initdb.args(["-A", "trust", "-U", "postgres", "--no-sync"]);
        initdb.args(["--locale=C", "--encoding=UTF8"]);
        initdb.arg(format!("--wal-segsize={segment}"));
        step::output(&mut initdb)?;
        let path = self.data().join("postgresql.conf");
        let text = std::fs::read_to_string(&path).map_err(|source| Failure::Read {
            path: path.clone(),
            source,
        })?;
        scratch::write(&path, &(text + settings))
    }

    pub(super) fn start(&self) -> Result<(), Failure> {
        let mut start = self.command("pg_ctl");
        start
            .args(["start", "-w", "-s", "-t", "120", "-D"])
            .arg(self.data());
        start.arg("-l").arg(self.folder.join("server.log"));
        start.arg("-o").arg(format!("-k {}", self.folder.display()));
        step::run(&mut start)
    }

    /// Writes everything out first.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-w", "-s", "-t", "600", "-m", "fast", "-D"])
            .arg(self.data());
        step::run(&mut stop)
    }

    /// Stops it if it runs, and starts it on other data.
    pub(super) fn serve(&self, data: &Path) -> Result<(), Failure> {
        if self.runs() {
            self.stop()?;
        }
        scratch::remove(&self.data())?;
        std::os::unix::fs::symlink(data, self.data()).map_err(|source| Failure::Write {
            path: self.data(),
            source,
        })?;
        self.start()
    }

    /// Takes a copy of other data, with their times.
    pub(super) fn copy(&self, data: &Path) -> Result<(), Failure> {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(data).arg(self.data());
        step::run(&mut copy)
    }

    /// Keeps the files as they are, with their times.
    pub(super) fn keep(&self, name: &str) -> Result<(), Failure> {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(self.data()).arg(self.folder.join(name));
        step::run(&mut copy)
    }

    pub(super) fn pgbench(&self, database: &str, words: &[&str]) -> Result<(), Failure> {
        let mut pgbench = self.command("pgbench");
        pgbench.arg("-h").arg(&self.folder);
        pgbench.args(["-U", "postgres"]).args(words).arg(database);
        step::run(&mut pgbench)
    }

    /// A program that asks a database: `psql`, `pg_dump`, `pg_restore` without its last words, as whoever we are.
    pub(super) fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(format!("{BIN}/{program}"));
        command.arg("-h").arg(&self.folder);
        command.args(["-U", "postgres", "-d", database]);
        command
    }

    /// A command that runs SQL.
    pub(super) fn psql(&self, database: &str, statements: &[&str]) -> Command {
        let mut psql = self.client("psql", database);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        for statement in statements {
            psql.args(["-c", statement]);
        }
        psql
    }

    /// The URL of a database, for the superuser.
    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@/{database}?host={}",
            self.folder.display()
        )
    }

    fn runs(&self) -> bool {
        self.data().join("postmaster.pid").exists()
    }

    /// PostgreSQL refuses root, so root calls its programs as `postgres`.
    fn command(&self, program: &str) -> Command {
        let path = format!("{BIN}/{program}");
        let is_root = step::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let mut command = if is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", &path]);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.runs() {
            let _ = self.stop();
        }
    }
}
