//! The server's own programs, found by their major version: a dump needs a `pg_dump` that is at least as new
//! as the server, and a throwaway server the source's own major.

use std::path::{Path, PathBuf};
use std::time::Duration;

use resguardo_model::CancelToken;

use crate::port::EngineError;
use crate::process::{self, Command, NoLog};

/// Longest time for a program to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// Folders of other majors below these: `/usr/lib/postgresql/15/bin`.
const VERSIONED: [&str; 4] = [
    "/usr/lib/postgresql",
    "/usr/local/lib/postgresql",
    "/opt/homebrew/opt",
    "/Library/PostgreSQL",
];

/// Programs of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tools {
    folder: PathBuf,
    major: u32,
    version: String,
}

impl Tools {
    /// Clients (`pg_dump`, `pg_restore`, `psql`) for a server of `major`: of the same major, else of the next
    /// newer one. `folders` are looked at first.
    ///
    /// # Errors
    /// [`EngineError::ToolMissing`], with the package.
    pub(super) fn clients(major: u32, folders: &[PathBuf]) -> Result<Self, EngineError> {
        best("pg_dump", major, folders).map_err(|found| EngineError::ToolMissing {
            tool: "pg_dump".to_owned(),
            why: needed(major, &found),
            package: format!("postgresql-client-{major}"),
        })
    }

    /// Servers (`initdb`, `postgres`) for data of `major`: of the same major, else of the next newer one.
    ///
    /// # Errors
    /// [`EngineError::ToolMissing`], with the package.
    pub(super) fn server(major: u32, folders: &[PathBuf]) -> Result<Self, EngineError> {
        best("postgres", major, folders).map_err(|found| EngineError::ToolMissing {
            tool: "postgres".to_owned(),
            why: needed(major, &found),
            package: format!("postgresql-{major}"),
        })
    }

    /// The newest server that there is.
    ///
    /// # Errors
    /// [`EngineError::ToolMissing`].
    pub(super) fn newest_server(folders: &[PathBuf]) -> Result<Self, EngineError> {
        let all = all("postgres", folders);
        let newest = all.into_iter().max_by_key(|tools| tools.major);
        newest.ok_or_else(|| EngineError::ToolMissing {
            tool: "postgres".to_owned(),
            why: "a throwaway server needs it, and none was found".to_owned(),
            package: "postgresql".to_owned(),
        })
    }

    /// The path of one of its programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether it has this program.
    pub(super) fn has(&self, name: &str) -> bool {
        self.program(name).is_file()
    }

    /// Its major version.
    pub(super) fn major(&self) -> u32 {
        self.major
    }

    /// Its version, as it names itself: `15.4`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }
}

fn needed(major: u32, found: &[u32]) -> String {
    if found.is_empty() {
        return format!("a server {major} needs version {major} or newer, and none was found");
    }
    let found: Vec<_> = found.iter().map(u32::to_string).collect();
    format!(
        "a server {major} needs version {major} or newer, and there is {}",
        found.join(", ")
    )
}

/// The fitting version, else the majors that there are.
fn best(program: &str, major: u32, folders: &[PathBuf]) -> Result<Tools, Vec<u32>> {
    let mut all: Vec<Tools> = Vec::new();
    for folder in folders.iter().cloned().chain(versioned()) {
        if all.iter().all(|tools| tools.folder != folder)
            && let Some(tools) = look(program, folder)
        {
            if tools.major == major {
                return Ok(tools);
            }
            all.push(tools);
        }
    }
    let newer = all.iter().filter(|tools| tools.major > major);
    match newer.min_by_key(|tools| tools.major) {
        Some(tools) => Ok(tools.clone()),
        None => {
            let mut majors: Vec<_> = all.iter().map(|tools| tools.major).collect();
            majors.sort_unstable();
            majors.dedup();
            Err(majors)
        }
    }
}

/// All versions of a program, each folder once.
fn all(program: &str, folders: &[PathBuf]) -> Vec<Tools> {
    let mut seen = Vec::new();
    for folder in folders.iter().cloned().chain(versioned()) {
        if !seen.contains(&folder) {
            seen.push(folder);
        }
    }
    seen.into_iter()
        .filter_map(|folder| look(program, folder))
        .collect()
}

/// `bin` folders below [`VERSIONED`].
fn versioned() -> Vec<PathBuf> {
    let entries = VERSIONED
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok());
    let mut folders: Vec<_> = entries
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.is_dir())
        .collect();
    folders.sort();
    folders
}

fn look(program: &str, folder: PathBuf) -> Option<Tools> {
    let file = folder.join(program);
    // Debian's wrapper runs whichever version a cluster of this machine has.
    let real = file.canonicalize().ok()?;
    if real.file_name().is_some_and(|name| name == "pg_wrapper") {
        return None;
    }
    let version = version_of(&file)?;
    let major = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    Some(Tools {
        major: major.parse().ok()?,
        folder,
        version,
    })
}

/// `15.4` of `pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)`.
fn version_of(file: &Path) -> Option<String> {
    let command = Command::program(file, ["--version"], "/");
    let ended = process::run(&command, VERSION_TIMEOUT, &CancelToken::new(), &NoLog).ok()?;
    if !ended.status.success() {
        return None;
    }
    let words = ended.output.stdout.split_once(')')?.1;
    Some(words.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "test: programs of its own")]

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fake(folder: &Path, version: &str) -> PathBuf {
        let bin = folder.join(version);
        std::fs::create_dir(&bin).unwrap();
        let script = format!("#!/bin/sh\necho 'pg_fake (PostgreSQL) {version} (Test)'\n");
        let file = bin.join("pg_fake");
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        bin
    }

    #[test]
    fn the_same_major_else_the_next_newer_one() {
        let folder = tempfile::tempdir().unwrap();
        let bins = ["18.1", "16.2", "14.9"].map(|version| fake(folder.path(), version));
        let major = |wanted| best("pg_fake", wanted, &bins).map(|tools| tools.major());
        assert_eq!(major(16), Ok(16));
        assert_eq!(major(15), Ok(16));
        assert_eq!(major(17), Ok(18));
        assert_eq!(major(19), Err(vec![14, 16, 18]));
        let words = needed(19, &[14, 16]);
        assert!(words.contains("there is 14, 16"), "{words}");
    }
}
