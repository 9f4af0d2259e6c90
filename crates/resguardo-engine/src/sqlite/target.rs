//! A file as the place of a restore: a path of the user's, or a sandbox of a drill.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use resguardo_model::size::ByteSize;
use resguardo_model::{CancelToken, CheckResult, counted};

use super::failure::{self, of_sqlite, place};
use super::restore::{self, LOCK_TIMEOUT};
use super::{check, facts, only, open, query};
use crate::port::{
    Allowed, BackupReader, EngineError, Location, RestoreOptions, RestorePart, Restored, Rows, Run,
    Target, TargetState,
};
use crate::system::of_system;

/// A database file that need not exist.
pub(super) struct FileTarget {
    path: PathBuf,
}

impl FileTarget {
    /// A target at `path`, made absolute.
    ///
    /// # Errors
    /// If the path is empty or the current folder is gone.
    pub(super) fn at(path: &Path) -> Result<Self, EngineError> {
        Ok(Self {
            path: std::path::absolute(path).map_err(|error| of_system("finding", path, error))?,
        })
    }

    /// Where a link leads, so that what it leads to is replaced and not the link.
    fn real(&self) -> PathBuf {
        let resolved = self.path.canonicalize();
        resolved.unwrap_or_else(|_| match std::fs::read_link(&self.path) {
            Ok(to) => crate::durable::folder_of(&self.path).join(to),
            Err(_) => self.path.clone(),
        })
    }

    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// A file comes back as a whole, with nobody's name on anything in it.
    fn can_do(&self, options: &RestoreOptions) -> Result<(), EngineError> {
        let foreign = [
            ("--schema-only", options.part == RestorePart::Structure),
            ("--data-only", options.part == RestorePart::Data),
            ("--no-owner", options.no_owner),
            ("--no-acl", options.no_acl),
            ("--jobs", options.jobs.is_some()),
        ];
        match foreign.into_iter().find(|(_, asked)| *asked) {
            None => Ok(()),
            Some((flag, _)) => Err(EngineError::Unsupported {
                place: self.describe(),
                why: format!("{flag} means nothing for SQLite"),
                next: "leave it out; --only TABLE restores single tables".to_owned(),
            }),
        }
    }

    /// What lies there; `lock_timeout` is the longest wait for a lock.
    fn state_within(&self, lock_timeout: Duration) -> Result<TargetState, EngineError> {
        let path = self.real();
        let bytes = match path.metadata() {
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) => {
                return Err(EngineError::NotThatKind {
                    place: place(&path),
                    expected: failure::SQLITE_DATABASE,
                    why: "it is a folder or a device".to_owned(),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(TargetState::Missing);
            }
            Err(error) => return Err(of_system("looking at", &path, error)),
        };
        let log_bytes = open::wal_bytes(&path);
        if bytes + log_bytes == 0 {
            return Ok(TargetState::Empty);
        }
        let size = ByteSize(bytes + log_bytes);
        match contents(&path, lock_timeout) {
            Ok((0, _, 0)) => Ok(TargetState::Empty),
            Ok((tables, rows, _)) => {
                let (tables, rows) = (counted(tables as u64, "table"), counted(rows, "row"));
                Ok(self.occupied(format!("{tables}, {rows}, {size}")))
            }
            Err(EngineError::NotThatKind { why, .. }) => {
                Ok(self.occupied(format!("no SQLite database: {why}, {size}")))
            }
            Err(EngineError::Corrupt { why, .. }) => {
                Ok(self.occupied(format!("a damaged database: {why}, {size}")))
            }
            Err(error) => Err(error),
        }
    }

    fn occupied(&self, contents: String) -> TargetState {
        TargetState::Occupied {
            name: self.name(),
            contents,
        }
    }
}

impl Target for FileTarget {
    fn describe(&self) -> String {
        place(&self.path)
    }

    fn state(&self) -> Result<TargetState, EngineError> {
        self.state_within(LOCK_TIMEOUT)
    }

    fn is_same_as(&self, location: &Location) -> bool {
        let Ok(other) = super::location::path_of(location).and_then(|path| Self::at(&path)) else {
            return false;
        };
        let (ours, theirs) = (self.real(), other.real());
        match (ours.metadata(), theirs.metadata()) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => ours == theirs,
        }
    }

    fn restore(
        &self,
        backup: &dyn BackupReader,
        options: &RestoreOptions,
        run: Run<'_>,
    ) -> Result<Restored, EngineError> {
        self.can_do(options)?;
        let state = self.state_within(options.lock_timeout.unwrap_or(LOCK_TIMEOUT))?;
        if let TargetState::Occupied { contents, .. } = &state
            && !options.clean
        {
            return Err(EngineError::Occupied {
                place: self.describe(),
                contents: contents.clone(),
            });
        }
        let target = self.real();
        if options.only.is_empty() {
            restore::whole(backup, &target, options, run, &|_| {})
        } else {
            only::tables(backup, &target, &state, options, run)
        }
    }

    fn check(&self, backup: &dyn BackupReader, allowed: Allowed, run: Run<'_>) -> Vec<CheckResult> {
        check::all(&self.real(), backup, allowed, run)
    }

    fn execute(&self, script: &str, timeout: Duration, run: Run<'_>) -> Result<(), EngineError> {
        query::execute(&self.real(), script, timeout, run)
    }

    fn query(
        &self,
        sql: &str,
        rows_max: usize,
        timeout: Duration,
        run: Run<'_>,
    ) -> Result<Rows, EngineError> {
        query::ask(&self.real(), sql, rows_max, timeout, run)
    }

    /// `DATABASE_URL` as Prisma and libSQL write it, and the bare path for everybody else.
    fn environment(&self) -> Vec<(String, String)> {
        let path = place(&self.path);
        vec![
            ("DATABASE_URL".to_owned(), format!("file:{path}")),
            ("RESGUARDO_DATABASE_PATH".to_owned(), path.clone()),
            ("SQLITE_PATH".to_owned(), path),
        ]
    }

    fn close(self: Box<Self>) -> Result<(), EngineError> {
        // Every call closes its own connection.
        Ok(())
    }
}

/// Tables, rows, and objects of the schema.
fn contents(path: &Path, lock_timeout: Duration) -> Result<(usize, u64, i64), EngineError> {
    let connection = open::reading(path, lock_timeout, &CancelToken::new())?;
    let counted = || -> Result<(usize, u64, i64), rusqlite::Error> {
        let objects =
            connection.query_row("select count(*) from sqlite_schema", [], |row| row.get(0))?;
        let tables = facts::count_tables(&connection)?;
        let rows = tables.iter().map(|table| table.rows).sum();
        Ok((tables.len(), rows, objects))
    };
    counted().map_err(|error| of_sqlite("looking at", path, error))
}
