//! Opens the catalog's file: kept from others, written ahead, whole, and of the newest version.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::{BUSY_TIMEOUT, CatalogError, schema};

/// The catalog's file, whole and of the newest version.
pub(super) fn connect(path: &Path) -> Result<Connection, CatalogError> {
    keep_private(path).map_err(|source| CatalogError::Private {
        path: path.to_owned(),
        source,
    })?;
    let opened = Connection::open(path).map_err(CatalogError::sqlite("opening"))?;
    opened
        .busy_timeout(BUSY_TIMEOUT)
        .map_err(CatalogError::sqlite("opening"))?;
    write_ahead(&opened).map_err(CatalogError::sqlite("opening"))?;
    // A loss of power may cost the last lines, but not the file: it is a cache, and no run should
    // wait for the disk because of it.
    opened
        .pragma_update(None, "synchronous", "normal")
        .map_err(CatalogError::sqlite("opening"))?;
    let verdict: String = opened
        .query_row("pragma quick_check(1)", [], |row| row.get(0))
        .map_err(CatalogError::sqlite("checking"))?;
    if verdict != "ok" {
        let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let source = rusqlite::Error::SqliteFailure(damage, Some(verdict));
        return Err(CatalogError::Sqlite {
            operation: "checking",
            source,
        });
    }
    migrated(opened, path)
}

pub(super) fn migrated(
    mut connection: Connection,
    path: &Path,
) -> Result<Connection, CatalogError> {
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// Writes ahead from now on. While another process does the same for the first time, SQLite says that it is
/// busy at once and does not wait (<https://sqlite.org/wal.html>), so that the wait is here.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const PAUSE: Duration = Duration::from_millis(20);
    let begun = Instant::now();
    // What does so already is left as it is: on a full disk, not even that could be written.
    let is_so = |mode: String| mode.eq_ignore_ascii_case("wal");
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get(0));
    if mode.is_ok_and(is_so) {
        return Ok(());
    }
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && begun.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// What tools and commands said may be in it: nobody else reads it. Its side files take its mode.
#[expect(
    clippy::disallowed_methods,
    reason = "SQLite writes the file: it is only made here, with a mode of its own"
)]
fn keep_private(path: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(0o600);
        file.set_permissions(permissions)?;
        for side in ["-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(side);
            // There may be none.
            let _ = std::fs::set_permissions(name, std::fs::Permissions::from_mode(0o600));
        }
    }
    Ok(())
}

/// Moves the damaged file to a name that is free, and removes its side files, which belong to nothing now.
#[expect(
    clippy::disallowed_methods,
    reason = "what is moved is a damaged cache; nothing is lost if the move is"
)]
pub(super) fn move_aside(path: &Path) -> Result<PathBuf, CatalogError> {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let aside = (1..)
        .map(|number| with(&format!(".damaged-{number}")))
        .find(|candidate| !candidate.exists())
        .expect("a name is free among all numbers");
    std::fs::rename(path, &aside).map_err(|source| CatalogError::MoveAside {
        path: path.to_owned(),
        source,
    })?;
    for side in ["-wal", "-shm", "-journal"] {
        // There may be none.
        let _ = std::fs::remove_file(with(side));
    }
    Ok(aside)
}

pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
