//! Durable writes: the one place where persisted state reaches the disk.
//!
//! INVARIANT: whoever reads a path written here sees the old bytes or the new ones, each whole, also
//! after a loss of power (`tests::a_failed_write_leaves_the_old_bytes`, and the write order below).
//!
//! Write order of a [`Draft`]:
//! 1. make a temporary file beside its destination (or in a folder of the caller's choice on the same
//!    file system), under a name that is no object key, and lock it;
//! 2. write all bytes, fsync the file;
//! 3. rename it over the destination, or link it there if nothing may be replaced;
//! 4. fsync the destination's folder. Only then is the write reported as done.
//!
//! A writer that dies leaves at most a temporary file. The kernel releases its lock, by which
//! [`sweep`] knows it from the file of a writer that is still at work.

// The raw calls that are banned everywhere else.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the module they are banned in favour of"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, RenameFlags};
use rustix::io::Errno;

/// Unix permission bits of what is created; the process's umask is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// A file for its owner alone, 0600.
    pub const PRIVATE: Self = Self(0o600);
    /// A file that everybody may read, 0644.
    pub const READABLE: Self = Self(0o644);
    /// A folder for its owner alone, 0700.
    pub const PRIVATE_FOLDER: Self = Self(0o700);
    /// A folder that everybody may read, 0755.
    pub const READABLE_FOLDER: Self = Self(0o755);
}

/// A durable write failed.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// Something lies where nothing may be replaced; it was not touched.
    #[error("{path} exists already", path = path.display())]
    AlreadyThere {
        /// The destination.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{operation} {path}", path = path.display())]
    Failed {
        /// `create`, `write`, `sync`, `rename`, ...
        operation: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

impl DurableError {
    /// The kind of the system's error: `AlreadyExists`, `StorageFull`, `PermissionDenied`, ...
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::AlreadyThere { .. } => io::ErrorKind::AlreadyExists,
            Self::Failed { source, .. } => source.kind(),
        }
    }
}

/// For `map_err`: names the operation and the path.
fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &Path,
) -> impl FnOnce(E) -> DurableError {
    let path = path.to_owned();
    move |source| DurableError::Failed {
        operation,
        path,
        source: source.into(),
    }
}

/// The folder that holds `path`; the current one for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Writes `bytes` to `path`, replacing what is there.
///
/// # Errors
/// [`DurableError::Failed`]; `path` has its old bytes then, unless only the last fsync failed.
pub fn write(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), DurableError> {
    let mut draft = Draft::begin(folder_of(path), mode)?;
    draft.append(bytes)?;
    draft.replace(path)
}

/// Writes `bytes` to `path`, where nothing may be yet.
///
/// # Errors
/// [`DurableError::AlreadyThere`], atomically: of two writers at most one succeeds.
pub fn create_new(path: &Path, bytes: &[u8], mode: Mode) -> Result<(), DurableError> {
    let mut draft = Draft::begin(folder_of(path), mode)?;
    draft.append(bytes)?;
    draft.create_new(path)
}

/// Moves the file `from` to `to` on the same file system, replacing what is there: fsync of the file,
/// rename, fsync of both folders.
///
/// # Errors
/// [`DurableError::Failed`].
pub fn rename(from: &Path, to: &Path) -> Result<(), DurableError> {
    File::open(from)
        .and_then(|file| file.sync_all())
        .map_err(failed("sync", from))?;
    fs::rename(from, to).map_err(failed("rename", from))?;
    sync_folder(folder_of(to))?;
    if folder_of(from) != folder_of(to) {
        sync_folder(folder_of(from))?;
    }
    Ok(())
}

/// Removes the file `path` and makes that durable; `false` if there was none.
///
/// # Errors
/// [`DurableError::Failed`].
pub fn remove(path: &Path) -> Result<bool, DurableError> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(folder_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// Makes the names in `folder` durable.
///
/// # Errors
/// [`DurableError::Failed`]. A file system that knows no fsync of folders is taken at its word.
pub fn sync_folder(folder: &Path) -> Result<(), DurableError> {
    match File::open(folder).and_then(|handle| handle.sync_all()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        other => other.map_err(failed("sync", folder)),
    }
}

/// Makes `folder` with every missing folder above it, and makes the names durable. One that is there
/// keeps its mode.
///
/// # Errors
/// [`DurableError::Failed`].
pub fn create_folder(folder: &Path, mode: Mode) -> Result<(), DurableError> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder_of(folder);
    create_folder(above, mode)?;
    match fs::DirBuilder::new().mode(mode.0).create(folder) {
        // Somebody else was faster; that it is a folder shows at its first use.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        other => other.map_err(failed("create", folder))?,
    }
    sync_folder(above)
}

const DRAFT_PREFIX: &str = "~resguardo-";
const DRAFT_SUFFIX: &str = ".tmp";

/// Whether a file name is that of a [`Draft`]. No such name is ever an object key.
#[must_use]
pub fn is_draft(name: &str) -> bool {
    name.starts_with(DRAFT_PREFIX) && name.ends_with(DRAFT_SUFFIX)
}

/// Removes the drafts in `folder` whose writers have died, and tells how many. Those of writers at
/// work, and everything else, stay. A folder that is not there has none.
///
/// # Errors
/// [`DurableError::Failed`] if the folder cannot be read or a dead draft not be removed.
pub fn sweep(folder: &Path) -> Result<u64, DurableError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry.map_err(failed("list", folder))?;
        if !entry.file_name().to_str().is_some_and(is_draft) {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else {
            continue;
        };
        // Held until the name is gone, so that a writer who just made this file notices.
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => swept += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &path)(error)),
        }
    }
    Ok(swept)
}

/// A file in the making: invisible under its final name until [`Draft::replace`] or
/// [`Draft::create_new`], and gone if it is dropped before.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    /// Whether `path` still has to be removed.
    pending: bool,
}

impl Draft {
    /// Makes an empty draft in `folder`, which must lie on the file system of its destination.
    ///
    /// # Errors
    /// [`DurableError::Failed`].
    pub fn begin(folder: &Path, mode: Mode) -> Result<Self, DurableError> {
        loop {
            let path = folder.join(format!(
                "{DRAFT_PREFIX}{:032x}{DRAFT_SUFFIX}",
                random_u128()?
            ));
            let file = match OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode.0)
                .open(&path)
            {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                other => other.map_err(failed("create", &path))?,
            };
            let draft = Self {
                file,
                path,
                pending: true,
            };
            match lock(&draft.file, FlockOperation::LockExclusive) {
                // Where there are no locks, nothing is ever swept either.
                Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) => {}
                Err(error) => return Err(failed("lock", &draft.path)(error)),
            }
            // A sweeper may have come between creation and lock; it has removed the name then.
            let links = draft
                .file
                .metadata()
                .map_err(failed("create", &draft.path))?
                .nlink();
            if links > 0 {
                return Ok(draft);
            }
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`DurableError::Failed`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DurableError> {
        self.file
            .write_all(bytes)
            .map_err(failed("write", &self.path))
    }

    /// Where the draft lies, for a tool that has to read or write it by its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for whoever writes at offsets.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the draft its final name, replacing what is there, durably.
    ///
    /// # Errors
    /// [`DurableError::Failed`].
    pub fn replace(mut self, path: &Path) -> Result<(), DurableError> {
        self.file.sync_all().map_err(failed("sync", &self.path))?;
        match fs::rename(&self.path, path) {
            // NFS asks again where an answer was lost, and then meets its own work.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_at(path) => {}
            other => other.map_err(failed("rename to", path))?,
        }
        self.pending = false;
        sync_folder(folder_of(path))
    }

    /// Whether `path` is this very file.
    fn is_at(&self, path: &Path) -> bool {
        let own = self.file.metadata();
        own.is_ok_and(|own| {
            fs::symlink_metadata(path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino()))
        })
    }

    /// Gives the draft its final name, where nothing may be yet, durably and atomically.
    ///
    /// # Errors
    /// [`DurableError::AlreadyThere`]; or [`DurableError::Failed`] with kind `Unsupported` on a file
    /// system that knows neither hard links nor a rename that does not replace.
    pub fn create_new(mut self, path: &Path) -> Result<(), DurableError> {
        self.file.sync_all().map_err(failed("sync", &self.path))?;
        match fs::hard_link(&self.path, path) {
            // The draft's own name goes when `self` is dropped.
            Ok(()) => return sync_folder(folder_of(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // NFS asks again where an answer was lost, and then meets its own work.
                if self.is_at(path) {
                    return sync_folder(folder_of(path));
                }
                return Err(DurableError::AlreadyThere {
                    path: path.to_owned(),
                });
            }
            Err(error) if !knows_no_links(&error) => return Err(failed("link to", path)(error)),
            Err(_) => {}
        }
        let cwd = rustix::fs::CWD;
        match rustix::fs::renameat_with(cwd, &self.path, cwd, path, RenameFlags::NOREPLACE) {
            Ok(()) => {
                self.pending = false;
                sync_folder(folder_of(path))
            }
            Err(Errno::EXIST) => Err(DurableError::AlreadyThere {
                path: path.to_owned(),
            }),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                Err(failed("link to", path)(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "neither hard links nor renames that keep what is there",
                )))
            }
            Err(error) => Err(failed("rename to", path)(error)),
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.pending {
            // What stays behind is swept by the next run.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn knows_no_links(error: &io::Error) -> bool {
    [Errno::PERM, Errno::NOTSUP, Errno::NOSYS, Errno::MLINK]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// flock, again after each signal.
pub(crate) fn lock(file: &File, how: FlockOperation) -> Result<(), Errno> {
    loop {
        match rustix::fs::flock(file, how) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// The file that is locked by those who must not write at the same time; made if it is missing.
pub(crate) fn open_lock_file(path: &Path) -> Result<File, DurableError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(Mode::PRIVATE.0)
        .open(path)
        .map_err(failed("create", path))
}

fn random_u128() -> Result<u128, DurableError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        failed("draw randomness for", Path::new("a draft"))(io::Error::other(error))
    })?;
    Ok(u128::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn write_replaces_and_sets_the_mode() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, b"old", Mode::READABLE).unwrap();
        write(&path, b"new", Mode::PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn create_new_keeps_what_is_there() {
        let folder = folder();
        let path = folder.path().join("a");
        create_new(&path, b"first", Mode::PRIVATE).unwrap();
        let error = create_new(&path, b"second", Mode::PRIVATE).unwrap_err();
        assert!(
            matches!(error, DurableError::AlreadyThere { .. }),
            "{error:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_bytes() {
        let folder = folder();
        let path = folder.path().join("a");
        write(&path, b"old", Mode::PRIVATE).unwrap();
        let mut draft = Draft::begin(folder.path(), Mode::PRIVATE).unwrap();
        draft.append(b"ne").unwrap();
        drop(draft);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a"]);

        fs::create_dir(folder.path().join("b")).unwrap();
        let error = write(&folder.path().join("b"), b"x", Mode::PRIVATE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory, "{error:?}");
        assert_eq!(names(folder.path()), ["a", "b"]);
    }

    #[test]
    fn sweep_takes_the_drafts_of_the_dead_alone() {
        let folder = folder();
        let at_work = Draft::begin(folder.path(), Mode::PRIVATE).unwrap();
        let dead = folder.path().join(format!("{DRAFT_PREFIX}0{DRAFT_SUFFIX}"));
        fs::write(&dead, b"half").unwrap();
        fs::write(folder.path().join("a.tmp"), b"not ours").unwrap();

        assert_eq!(sweep(folder.path()).unwrap(), 1);
        assert!(!dead.exists());
        assert!(at_work.path().exists());
        at_work.replace(&folder.path().join("b")).unwrap();
        assert_eq!(names(folder.path()), ["a.tmp", "b"]);
        assert_eq!(sweep(&folder.path().join("missing")).unwrap(), 0);
    }

    #[test]
    fn folders_are_made_with_those_above_them() {
        let folder = folder();
        let deep = folder.path().join("x/y/z");
        create_folder(&deep, Mode::PRIVATE_FOLDER).unwrap();
        create_folder(&deep, Mode::READABLE_FOLDER).unwrap();
        assert_eq!(
            fs::metadata(&deep).unwrap().permissions().mode() & 0o777,
            0o700
        );
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(create_folder(&folder.path().join("file/x"), Mode::PRIVATE_FOLDER).is_err());
    }

    #[test]
    fn rename_and_remove() {
        let folder = folder();
        create_folder(&folder.path().join("x"), Mode::PRIVATE_FOLDER).unwrap();
        let (from, to) = (folder.path().join("a"), folder.path().join("x/b"));
        write(&from, b"1", Mode::PRIVATE).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"1");
        assert_eq!((remove(&to).unwrap(), remove(&to).unwrap()), (true, false));
        assert!(rename(&from, &to).is_err());
    }

    #[test]
    fn errors_name_the_operation_and_the_path() {
        let error = write(Path::new("/nonexistent-folder/a"), b"", Mode::PRIVATE).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("create /nonexistent-folder/~resguardo-"),
            "{error}"
        );
    }
}
