//! A folder as an object store: one file an object, written by [`durable`].
//!
//! INVARIANT: an object is there whole or not at all (`contract::readers_never_see_a_part`). Drafts live
//! in `~tmp` below the root and are no keys (`~` is in none), so that no listing shows them; those of
//! dead writers are swept when the store is opened.
//!
//! Who writes when: [`Condition::Absent`] is a hard link, which the kernel makes atomic; where there are
//! none a rename that does not replace; where there is neither the exclusive lock below. For
//! [`Condition::Matches`] the writer holds an exclusive flock on `~lock` while it compares and
//! replaces; [`Condition::Always`] and `delete` hold it shared, so that neither slips in between.
//!
//! On a network (NFS from version 3 on): rename and link are atomic at the server, fsync of a file and of
//! its folder reaches it, and locks are the server's. An answer that was lost and asked for again looks
//! like somebody else's work; [`durable`] then compares inodes.
//!
//! A version is the SHA-256 of an object of up to 64 KiB, else its inode, size and time of
//! modification. Only small objects are ever replaced (leases, `vault.json`), and for these a digest
//! cannot be fooled by an inode that is used again within one tick of the clock.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use jiff::Timestamp;
use resguardo_model::Sha256Digest;
use rustix::fs::FlockOperation;

use crate::durable::{self, Draft, DurableError, Mode};
use crate::port::{
    AccessFact, BoxError, Capabilities, Condition, Key, ObjectInfo, PlaceFacts, Store, StoreError,
    Version, checked_prefix, checked_range,
};

const DRAFTS: &str = "~tmp";
const LOCK: &str = "~lock";
/// Up to this size an object's version is its digest.
const DIGEST_BYTES_MAX: u64 = 64 * 1024;

/// A store in a folder. Files are made 0600 and folders 0700.
#[derive(Debug)]
pub struct FolderStore {
    root: PathBuf,
    /// Folders below the root whose names are known to be durable.
    durable_folders: Mutex<HashSet<PathBuf>>,
    /// Names are taken under the lock, never by a link.
    takes_names_by_lock: bool,
    /// The first object makes the folder itself, in one that is there.
    begins_with_first: AtomicBool,
}

impl FolderStore {
    /// Opens the store in `root`, which need not exist yet: it has no objects then, and refuses them.
    /// Drafts of dead writers are removed as far as the file system allows.
    ///
    /// # Errors
    /// [`StoreError::Other`] if something that is no folder lies there.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        if fs::metadata(&root).is_ok_and(|metadata| !metadata.is_dir()) {
            return Err(StoreError::Other {
                operation: "open",
                key: root.display().to_string(),
                source: io::Error::from(io::ErrorKind::NotADirectory).into(),
            });
        }
        // A vault on a read-only mount is fit for reading; what stays is invisible anyway.
        let _ = durable::sweep(&root.join(DRAFTS));
        Ok(Self {
            root,
            durable_folders: Mutex::default(),
            takes_names_by_lock: false,
            begins_with_first: AtomicBool::new(false),
        })
    }

    /// Opens the store in `root`, which the first object makes if only the last folder of its path is missing:
    /// what is asked before, or of a disk that is not mounted, leaves no trace.
    ///
    /// # Errors
    /// As [`FolderStore::open`].
    pub fn open_or_begin(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Ok(Self {
            begins_with_first: AtomicBool::new(true),
            ..Self::open(root)?
        })
    }

    /// Makes the folder itself, where that is wanted and the one above it is there.
    fn begin(&self) -> Result<(), StoreError> {
        let is_above = || self.root.parent().is_some_and(Path::is_dir);
        // Once only: a folder that goes away later is gone.
        if !self.begins_with_first.swap(false, Ordering::Relaxed) || !is_above() {
            return Ok(());
        }
        durable::create_folder(&self.root, Mode::PRIVATE_FOLDER)
            .map_err(|error| not_written("create", &self.root.display().to_string(), error))
    }

    /// Makes the folder `root` with those above it where they are missing, and opens it.
    ///
    /// # Errors
    /// [`StoreError::Denied`], [`StoreError::Full`], [`StoreError::Other`].
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        durable::create_folder(&root, Mode::PRIVATE_FOLDER)
            .map_err(|error| not_written("create", &root.display().to_string(), error))?;
        Self::open(root)
    }

    /// The same store as it is on a file system that knows neither hard links nor renames that do not
    /// replace. It finds that out by itself; this is for tests on one that knows both.
    #[must_use]
    pub fn without_links(mut self) -> Self {
        self.takes_names_by_lock = true;
        self
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The error of a read: no store, no object, or what the system says.
    fn unread(&self, operation: &'static str, key: &Key, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotFound if !self.root.is_dir() => self.no_such_place(error),
            // A part of the key is a file, or the key is a folder: no object has this key.
            io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::IsADirectory => StoreError::NotFound {
                key: key.to_string(),
            },
            _ => from_io(operation, key.as_str(), error),
        }
    }

    fn no_such_place(&self, source: impl Into<BoxError>) -> StoreError {
        StoreError::NoSuchPlace {
            place: self.describe(),
            source: source.into(),
        }
    }

    /// Opens an object for reading.
    fn open_object(
        &self,
        operation: &'static str,
        key: &Key,
    ) -> Result<(File, fs::Metadata), StoreError> {
        let opened = File::open(self.path(key)).and_then(|file| {
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Ok((file, metadata))
        });
        opened.map_err(|error| self.unread(operation, key, error))
    }

    fn version(&self, operation: &'static str, key: &Key) -> Result<Version, StoreError> {
        let (file, metadata) = self.open_object(operation, key)?;
        version_of(&file, &metadata).map_err(|error| self.unread(operation, key, error))
    }

    /// Makes the folder of `path` and the names of all folders on the way from the root durable: a
    /// folder that another process made a moment ago may not be yet.
    fn make_folder_of(&self, path: &Path) -> Result<(), DurableError> {
        let mut missing = Vec::new();
        for folder in path
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != self.root)
        {
            if self.known_folders().contains(folder) && folder.is_dir() {
                break;
            }
            missing.push(folder.to_owned());
        }
        for folder in missing.into_iter().rev() {
            durable::create_folder(&folder, Mode::PRIVATE_FOLDER)?;
            durable::sync_folder(folder.parent().unwrap_or(&self.root))?;
            self.known_folders().insert(folder);
        }
        Ok(())
    }

    /// The folder of drafts on the file system on which `path` will lie: the root's, or one beside the
    /// object where a part of the vault is linked to another disk.
    fn drafts_for(&self, path: &Path) -> Result<PathBuf, DurableError> {
        let beside = path.parent().unwrap_or(&self.root);
        let device = |folder: &Path| fs::metadata(folder).map(|metadata| metadata.dev()).ok();
        let elsewhere = device(beside) != device(&self.root);
        let drafts = if elsewhere {
            beside.join(DRAFTS)
        } else {
            self.root.join(DRAFTS)
        };
        if !drafts.is_dir() {
            self.make_folder_of(&drafts.join("draft"))?;
        }
        if elsewhere && self.known_folders().insert(drafts.clone()) {
            // The root's are swept when the store is opened.
            durable::sweep(&drafts)?;
        }
        Ok(drafts)
    }

    fn known_folders(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable_folders
            .lock()
            .expect("no call panics while it holds the lock")
    }

    /// Locks `~lock` until the file is dropped. `None` where the file system has no locks.
    fn lock(&self, how: FlockOperation) -> Result<Option<File>, DurableError> {
        let path = self.root.join(LOCK);
        let file = durable::open_lock_file(&path)?;
        match durable::lock(&file, how) {
            Ok(()) => Ok(Some(file)),
            Err(_) => Ok(None),
        }
    }

    /// A draft of the object, on the file system of `path`, and the version that it will have.
    fn draft(&self, key: &Key, body: &[u8], path: &Path) -> Result<(Draft, Version), StoreError> {
        let not_written = |error| not_written("put", key.as_str(), error);
        let drafts = self.drafts_for(path).map_err(not_written)?;
        let mut draft = Draft::begin(&drafts, Mode::PRIVATE).map_err(not_written)?;
        draft.append(body).map_err(not_written)?;
        let version = draft
            .file()
            .metadata()
            .map(|metadata| version_from(&metadata, || Ok(Sha256Digest::of(body))))
            .and_then(|version| version)
            .map_err(|error| from_io("put", key.as_str(), error))?;
        Ok((draft, version))
    }

    /// Takes a name where the file system cannot do it by itself: everybody who takes one holds the lock.
    fn create_under_lock(&self, key: &Key, body: &[u8]) -> Result<Version, StoreError> {
        let not_written = |error| not_written("put", key.as_str(), error);
        let path = self.path(key);
        let (draft, version) = self.draft(key, body, &path)?;
        let _exclusive = self
            .lock(FlockOperation::LockExclusive)
            .map_err(not_written)?
            .ok_or_else(|| StoreError::Unsupported {
                operation: "put",
                key: key.to_string(),
            })?;
        match fs::symlink_metadata(&path) {
            Ok(_) => Err(StoreError::ConditionFailed {
                key: key.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                draft.replace(&path).map_err(not_written)?;
                Ok(version)
            }
            Err(error) => Err(from_io("put", key.as_str(), error)),
        }
    }

    fn write(&self, key: &Key, body: &[u8], condition: &Condition) -> Result<Version, StoreError> {
        let not_written = |error| not_written("put", key.as_str(), error);
        let path = self.path(key);
        self.make_folder_of(&path).map_err(not_written)?;
        if *condition == Condition::Absent && self.takes_names_by_lock {
            return self.create_under_lock(key, body);
        }
        let (draft, version) = self.draft(key, body, &path)?;
        match condition {
            Condition::Absent => match draft.create_new(&path) {
                Err(DurableError::Failed { source, .. })
                    if source.kind() == io::ErrorKind::Unsupported =>
                {
                    return self.create_under_lock(key, body);
                }
                other => other.map_err(not_written)?,
            },
            Condition::Always => {
                let _shared = self.lock(FlockOperation::LockShared).map_err(not_written)?;
                draft.replace(&path).map_err(not_written)?;
            }
            Condition::Matches(expected) => {
                let unsupported = || StoreError::Unsupported {
                    operation: "put",
                    key: key.to_string(),
                };
                let _exclusive = self
                    .lock(FlockOperation::LockExclusive)
                    .map_err(not_written)?
                    .ok_or_else(unsupported)?;
                match self.version("put", key) {
                    Ok(there) if there == *expected => draft.replace(&path).map_err(not_written)?,
                    Ok(_) | Err(StoreError::NotFound { .. }) => {
                        return Err(StoreError::ConditionFailed {
                            key: key.to_string(),
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(version)
    }

    /// Collects the objects in `folder`, whose keys begin with `prefix` (empty, or ending in `/`).
    fn collect(&self, prefix: &str, found: &mut Vec<ObjectInfo>) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(prefix))? {
            let entry = entry?;
            let Some(name) = entry
                .file_name()
                .to_str()
                .map(|name| format!("{prefix}{name}"))
            else {
                continue;
            };
            // Whatever is no key is not ours: drafts, the lock, lost+found.
            let Ok(key) = name.parse::<Key>() else {
                continue;
            };
            // Follows links, so that a part of a vault may lie on another disk.
            let metadata = match fs::metadata(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if metadata.is_dir() {
                match self.collect(&format!("{name}/"), found) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other?,
                }
            } else if metadata.is_file() {
                found.push(info(key, &metadata, None)?);
            }
        }
        Ok(())
    }
}

impl Store for FolderStore {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            conditional_put: true,
        }
    }

    fn place_facts(&self, _probe: &Key) -> Result<PlaceFacts, StoreError> {
        let told =
            rustix::fs::statvfs(&self.root).map_err(|errno| match io::Error::from(errno) {
                error if error.kind() == io::ErrorKind::NotFound => self.no_such_place(error),
                error => from_io("ask", &self.describe(), error),
            })?;
        Ok(PlaceFacts {
            free_bytes: Some(told.f_bavail.saturating_mul(told.f_frsize)),
            versioning: Some(false),
            object_lock: Some(false),
            default_retention: None,
            // The bytes come from this process's memory; there is no way on which they could change.
            refuses_wrong_checksum: None,
        })
    }

    fn access(&self) -> Result<Vec<AccessFact>, StoreError> {
        let metadata = fs::metadata(&self.root).map_err(|error| {
            if is_absence(&error) {
                self.no_such_place(error)
            } else {
                from_io("ask", &self.describe(), error)
            }
        })?;
        Ok(access_of(&metadata))
    }

    fn put(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<Option<Version>, StoreError> {
        self.begin()?;
        match fs::metadata(&self.root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(self.no_such_place(io::Error::from(io::ErrorKind::NotADirectory))),
            Err(error) if is_absence(&error) => return Err(self.no_such_place(error)),
            Err(error) => return Err(from_io("put", key.as_str(), error)),
        }
        self.write(key, &body, &condition).map(Some)
    }

    fn get(&self, key: &Key) -> Result<Bytes, StoreError> {
        let (mut file, metadata) = self.open_object("get", key)?;
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.read_to_end(&mut bytes)
            .map_err(|error| self.unread("get", key, error))?;
        if bytes.len() as u64 != metadata.len() {
            return Err(from_io(
                "get",
                key.as_str(),
                io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        Ok(bytes.into())
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (file, metadata) = self.open_object("get", key)?;
        let range = checked_range(key, metadata.len(), &range)?;
        let length = usize::try_from(range.end - range.start)
            .map_err(|error| from_io("get", key.as_str(), io::Error::other(error)))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, range.start)
            .map_err(|error| self.unread("get", key, error))?;
        Ok(bytes.into())
    }

    fn stat(&self, key: &Key) -> Result<ObjectInfo, StoreError> {
        let (file, metadata) = self.open_object("stat", key)?;
        version_of(&file, &metadata)
            .and_then(|version| info(key.clone(), &metadata, Some(version)))
            .map_err(|error| self.unread("stat", key, error))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        checked_prefix(prefix)?;
        let mut found = Vec::new();
        let below = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        match self.collect(&below, &mut found) {
            // No store, or no folder of that name: no objects.
            Err(error) if is_absence(&error) => {}
            other => other.map_err(|error| from_io("list", prefix, error))?,
        }
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(found)
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let path = self.path(key);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => {}
            Err(error) if !is_absence(&error) => {
                return Err(from_io("delete", key.as_str(), error));
            }
            _ => return Ok(()),
        }
        let not_deleted = |error| not_written("delete", key.as_str(), error);
        let _shared = self.lock(FlockOperation::LockShared).map_err(not_deleted)?;
        durable::remove(&path).map(|_| ()).map_err(not_deleted)
    }
}

/// Who may do what in the folder, by its owner and mode. Whoever may write in it may delete.
fn access_of(metadata: &fs::Metadata) -> Vec<AccessFact> {
    let mode = metadata.mode();
    let may = |bits: u32| match (bits & 0o4 != 0, bits & 0o2 != 0) {
        (_, true) => "may write and delete",
        (true, false) => "may read",
        (false, false) => "may do nothing",
    };
    let (group, others) = (mode >> 3 & 0o7, mode & 0o7);
    let fact = |subject: &str, says: String, concern| AccessFact {
        subject: subject.to_owned(),
        says,
        concern,
    };
    vec![
        fact("owner", format!("user {}", metadata.uid()), false),
        fact("mode", format!("{:04o}", mode & 0o7777), false),
        fact(
            "group",
            format!("group {} {}", metadata.gid(), may(group)),
            group & 0o2 != 0,
        ),
        fact("everybody else", may(others).to_owned(), others & 0o6 != 0),
    ]
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn version_of(file: &File, metadata: &fs::Metadata) -> io::Result<Version> {
    version_from(metadata, || {
        let mut bytes = vec![0; usize::try_from(metadata.len()).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Sha256Digest::of(&bytes))
    })
}

fn version_from(
    metadata: &fs::Metadata,
    digest: impl FnOnce() -> io::Result<Sha256Digest>,
) -> io::Result<Version> {
    Ok(Version(if metadata.len() <= DIGEST_BYTES_MAX {
        digest()?.to_string()
    } else {
        let (inode, bytes) = (metadata.ino(), metadata.len());
        format!(
            "{inode}-{bytes}-{}.{:09}",
            metadata.mtime(),
            metadata.mtime_nsec()
        )
    }))
}

fn info(key: Key, metadata: &fs::Metadata, version: Option<Version>) -> io::Result<ObjectInfo> {
    let modified_at = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
    Ok(ObjectInfo {
        key,
        bytes: metadata.len(),
        modified_at,
        version,
    })
}

fn not_written(operation: &'static str, key: &str, error: DurableError) -> StoreError {
    match error {
        DurableError::AlreadyThere { .. } => StoreError::ConditionFailed {
            key: key.to_owned(),
        },
        DurableError::Failed { ref source, .. } => {
            let kind = source.kind();
            from_kind(operation, key, kind, error.into())
        }
    }
}

fn from_io(operation: &'static str, key: &str, error: io::Error) -> StoreError {
    let kind = error.kind();
    from_kind(operation, key, kind, error.into())
}

fn from_kind(
    operation: &'static str,
    key: &str,
    kind: io::ErrorKind,
    source: BoxError,
) -> StoreError {
    let key = key.to_owned();
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full {
                operation,
                key,
                source,
            }
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreError::Denied {
            operation,
            key,
            source,
        },
        io::ErrorKind::Unsupported => StoreError::Unsupported { operation, key },
        io::ErrorKind::Interrupted
        | io::ErrorKind::TimedOut
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::StaleNetworkFileHandle => StoreError::Interrupted {
            operation,
            key,
            source,
        },
        _ => StoreError::Other {
            operation,
            key,
            source,
        },
    }
}

#[cfg(test)]
mod tests;
