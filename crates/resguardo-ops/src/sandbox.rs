//! Sandboxes: private folders that a drill restores into, and that are gone when it ends, however it ends.
//!
//! A sandbox is `<state>/sandboxes/<run>/`, mode 0700, with its marker `sandbox.json` and the engine's
//! data below `data/`. As long as its process lives, the marker is locked (flock); a crash frees the
//! lock, and the next start finds a marker without a lock: it ends the process groups that the marker
//! names, if they are still the same processes, and removes the folder. `<state>/sandboxes/lock` is held
//! while a sandbox is made and while they are swept, so that one half made is never taken for a dead one.
//!
//! A server that refuses root runs as somebody else, who cannot reach the state folder of root. Its data
//! lies in the sandbox's *annex*, `<annexes>/<run>/`, which is that user's own and goes with the sandbox:
//! the marker names it before it is made.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use resguardo_model::RunId;
use serde::{Deserialize, Serialize};

use resguardo_engine::port::{Location, SandboxSite};
use resguardo_engine::process::{GroupLog, ProcessMark, User};

const MARKER: &str = "sandbox.json";
/// Version of the marker.
const FORMAT: u32 = 1;
/// Times that the removal of a sandbox is begun anew because entries of it vanished meanwhile.
const REMOVALS_MAX: u32 = 8;

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    format: u32,
    run: RunId,
    /// Somebody wants to look at it: it is not swept.
    kept: bool,
    /// Leaders of the process groups that were started for it.
    groups: Vec<ProcessMark>,
    /// The folder outside of it that goes with it.
    #[serde(default)]
    annex: Option<PathBuf>,
}

/// A sandbox could not be made, written or removed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub struct SandboxError {
    /// What was tried.
    pub operation: &'static str,
    /// The path.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: std::io::Error,
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SandboxError {
    move |source| SandboxError {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// A sandbox of this process. Dropping it destroys it.
#[derive(Debug)]
pub struct Sandbox {
    run: RunId,
    folder: PathBuf,
    annexes: PathBuf,
    server: Option<Location>,
    open: Option<Mutex<OpenMarker>>,
}

#[derive(Debug)]
struct OpenMarker {
    file: File,
    marker: Marker,
}

impl OpenMarker {
    /// Written in place: the lock is the file's, so it cannot be replaced by another.
    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_vec(&self.marker)?;
        self.file.seek(SeekFrom::Start(0))?;
        // At no moment is it empty: whoever finds it after a crash has to know what runs and where.
        self.file.write_all(&text)?;
        self.file.set_len(text.len() as u64)
    }
}

impl Sandbox {
    /// Makes a sandbox for `run` below `state`. What another user has to reach is made below `annexes`.
    ///
    /// # Errors
    /// [`SandboxError`]; nothing is left behind.
    pub fn create(state: &Path, annexes: &Path, run: RunId) -> Result<Self, SandboxError> {
        let all = state.join("sandboxes");
        make_private(&all, true).map_err(failed("making", &all))?;
        let _creating = lock_all(&all)?;
        let folder = all.join(run.to_string());
        make_private(&folder, false).map_err(failed("making", &folder))?;
        Self::fill(&folder, annexes, run).inspect_err(|_| {
            // What cannot be removed now is swept at the next start.
            let _ = std::fs::remove_dir_all(&folder);
        })
    }

    /// The same, for a target on this server and not on one of its own.
    #[must_use]
    pub fn on_server(mut self, server: Option<Location>) -> Self {
        self.server = server;
        self
    }

    fn fill(folder: &Path, annexes: &Path, run: RunId) -> Result<Self, SandboxError> {
        let path = folder.join(MARKER);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = open_with(&options, &path).map_err(failed("making", &path))?;
        file.lock().map_err(failed("locking", &path))?;
        let marker = Marker {
            format: FORMAT,
            run,
            kept: false,
            groups: Vec::new(),
            annex: None,
        };
        let mut open = OpenMarker { file, marker };
        open.write().map_err(failed("writing", &path))?;
        let data = folder.join("data");
        make_private(&data, false).map_err(failed("making", &data))?;
        Ok(Self {
            run,
            folder: folder.to_owned(),
            annexes: annexes.to_owned(),
            server: None,
            open: Some(Mutex::new(open)),
        })
    }

    /// The folder for the engine's data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Leaves it where it is, for somebody to look at; returns the folder of the data: the annex, if there is
    /// one.
    ///
    /// # Errors
    /// If that cannot be written down; it is destroyed then.
    pub fn keep(mut self) -> Result<PathBuf, SandboxError> {
        let mut data = self.data();
        if let Some(open) = &self.open {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(annex) = &open.marker.annex {
                data.clone_from(annex);
            }
            open.marker.kept = true;
            open.write()
                .map_err(failed("writing", &self.folder.join(MARKER)))?;
        }
        self.open = None;
        Ok(data)
    }

    /// Ends what runs for it and removes it with all that it holds.
    ///
    /// # Errors
    /// If something of it could not be removed; the next start tries again.
    pub fn destroy(mut self) -> Result<(), SandboxError> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), SandboxError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let open = open.into_inner().unwrap_or_else(PoisonError::into_inner);
        for group in &open.marker.groups {
            group.end_group();
        }
        let annex = open.marker.annex.as_deref().map_or(Ok(()), remove_all);
        annex.and(remove_all(&self.folder))
    }

    /// Makes the annex, which `user` owns.
    fn annex(&self, user: User) -> std::io::Result<PathBuf> {
        let annex = self.annexes.join(self.run.to_string());
        if let Some(open) = &self.open {
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            open.marker.annex = Some(annex.clone());
            open.write()?;
        }
        DirBuilder::new()
            .mode(0o711)
            .recursive(true)
            .create(&self.annexes)?;
        make_private(&annex, false)?;
        std::os::unix::fs::chown(&annex, Some(user.uid), Some(user.gid))?;
        Ok(annex)
    }
}

impl SandboxSite for Sandbox {
    fn name(&self) -> String {
        self.run.to_string()
    }

    fn folder(&self) -> PathBuf {
        self.data()
    }

    fn folder_of(&self, user: User) -> std::io::Result<PathBuf> {
        if rustix::process::geteuid().as_raw() == user.uid {
            Ok(self.data())
        } else {
            self.annex(user)
        }
    }

    fn server(&self) -> Option<Location> {
        self.server.clone()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Whoever wants to know calls `destroy`; the next start sweeps what is left.
        let _ = self.remove();
    }
}

impl GroupLog for Sandbox {
    fn started(&self, group: &ProcessMark) -> std::io::Result<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        open.marker.groups.push(group.clone());
        open.write()
    }
}

/// Removes the sandboxes of dead processes below `state`; returns their folders, and what went wrong.
pub fn sweep(state: &Path) -> (Vec<PathBuf>, Vec<SandboxError>) {
    let all = state.join("sandboxes");
    let mut swept = Vec::new();
    let mut errors = Vec::new();
    let entries = match std::fs::read_dir(&all) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (swept, errors),
        Err(error) => return (swept, vec![failed("reading", &all)(error)]),
    };
    let _sweeping = match lock_all(&all) {
        Ok(lock) => lock,
        Err(error) => return (swept, vec![error]),
    };
    for entry in entries.filter_map(Result::ok) {
        let folder = entry.path();
        // Only what bears the name of a run is ours.
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.parse::<RunId>().is_ok());
        if !is_ours {
            continue;
        }
        match is_dead(&folder) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                errors.push(error);
                continue;
            }
        }
        match remove_all(&folder) {
            Ok(()) => swept.push(folder),
            Err(error) => errors.push(error),
        }
    }
    (swept, errors)
}

/// Sandboxes that somebody kept to look at, each with all the folders that are to be removed with it.
/// What cannot be read is left out: the next sweep tells it.
#[must_use]
pub fn kept(state: &Path) -> Vec<Vec<PathBuf>> {
    let entries = std::fs::read_dir(state.join("sandboxes"));
    let mut kept: Vec<Vec<PathBuf>> = entries
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let path = entry.path().join(MARKER);
            let text = std::fs::read(&path).ok()?;
            let marker = read_marker(&text, &path).ok()??;
            let annex = marker.annex;
            marker
                .kept
                .then(|| std::iter::once(entry.path()).chain(annex).collect())
        })
        .collect();
    kept.sort();
    kept
}

/// Removes a sandbox. One that is gone already is: a sweep of another process may have come first.
fn remove_all(folder: &Path) -> Result<(), SandboxError> {
    // Somebody else who removes it at the same time makes single entries vanish, and not the whole.
    for _ in 0..REMOVALS_MAX {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !folder.exists() {
                    return Ok(());
                }
            }
            other => return other.map_err(failed("removing", folder)),
        }
    }
    std::fs::remove_dir_all(folder).map_err(failed("removing", folder))
}

/// Whether nobody holds the sandbox and nobody wants to keep it; what still runs for it is ended.
///
/// # Errors
/// If that cannot be told: it is left where it is.
fn is_dead(folder: &Path) -> Result<bool, SandboxError> {
    let path = folder.join(MARKER);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        // Its process ended before it could lock it: `lock` is ours, so nobody is about to.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(failed("opening", &path)(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return Ok(false),
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(failed("reading", &path))?;
    let Some(marker) = read_marker(&text, &path)? else {
        return Ok(true);
    };
    if marker.kept {
        return Ok(false);
    }
    for group in &marker.groups {
        group.end_group();
    }
    if let Some(annex) = &marker.annex {
        remove_all(annex)?;
    }
    Ok(true)
}

/// The marker; `None` if its process had no time to write one, so that it names no group.
///
/// # Errors
/// If a newer version of Resguardo wrote it: it may be kept, and only that version knows.
fn read_marker(text: &[u8], path: &Path) -> Result<Option<Marker>, SandboxError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    match serde_json::from_slice(text) {
        Ok(Version { format }) if format > FORMAT => {
            let why = format!("it has format {format}, this version of Resguardo knows {FORMAT}");
            Err(failed("reading", path)(std::io::Error::other(why)))
        }
        _ => Ok(serde_json::from_slice(text).ok()),
    }
}

fn lock_all(all: &Path) -> Result<File, SandboxError> {
    let path = all.join("lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    let file = open_with(&options, &path).map_err(failed("opening", &path))?;
    file.lock().map_err(failed("locking", &path))?;
    Ok(file)
}

fn make_private(folder: &Path, with_parents: bool) -> std::io::Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .recursive(with_parents)
        .create(folder)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a marker has to survive this process, not the machine: after a reboot its lock is free and its groups are gone"
)]
fn open_with(options: &OpenOptions, path: &Path) -> std::io::Result<File> {
    options.open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use resguardo_engine::process::{Command, Process};

    fn run_id() -> RunId {
        "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap()
    }

    #[test]
    fn it_is_private_and_gone_when_dropped() {
        let state = tempfile::tempdir().unwrap();
        let sandbox =
            Sandbox::create(state.path(), &state.path().join("annexes"), run_id()).unwrap();
        let folder = sandbox.folder.clone();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(sandbox.data().is_dir());
        drop(sandbox);
        assert!(!folder.exists());
    }

    #[test]
    fn a_living_or_kept_one_is_not_swept_and_a_dead_one_is() {
        let state = tempfile::tempdir().unwrap();
        let sandbox =
            Sandbox::create(state.path(), &state.path().join("annexes"), run_id()).unwrap();
        assert!(sweep(state.path()).0.is_empty(), "it lives");

        // A crash: the lock goes, the folder stays.
        let folder = sandbox.folder.clone();
        let mut crashed = sandbox;
        drop(crashed.open.take());
        drop(crashed);
        assert!(folder.exists());
        assert_eq!(sweep(state.path()).0, std::slice::from_ref(&folder));
        assert!(!folder.exists());

        let kept = Sandbox::create(state.path(), &state.path().join("annexes"), run_id())
            .unwrap()
            .keep()
            .unwrap();
        assert!(sweep(state.path()).0.is_empty(), "it is kept");
        assert!(kept.exists());
    }

    #[test]
    fn half_made_ones_are_swept_and_strangers_are_not() {
        let state = tempfile::tempdir().unwrap();
        let half = state.path().join("sandboxes").join(run_id().to_string());
        let stranger = state.path().join("sandboxes/mine");
        std::fs::create_dir_all(&half).unwrap();
        std::fs::create_dir_all(&stranger).unwrap();
        assert_eq!(sweep(state.path()).0, [half]);
        assert!(stranger.exists());
    }

    #[test]
    fn what_cannot_be_read_is_left_and_told() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("sandboxes").join(run_id().to_string());
        let marker = folder.join(MARKER);
        std::fs::create_dir_all(&folder).unwrap();
        // A link to itself can be opened by nobody, whoever he is.
        std::os::unix::fs::symlink(MARKER, &marker).unwrap();
        let (swept, errors) = sweep(state.path());
        assert!(swept.is_empty() && errors.len() == 1, "{errors:?}");
        std::fs::remove_file(&marker).unwrap();

        write(&marker, r#"{"format":2,"run":1,"pinned":true}"#);
        let (swept, errors) = sweep(state.path());
        assert!(swept.is_empty() && errors.len() == 1, "{errors:?}");
        let why = crate::run::described(&errors[0]);
        assert!(why.contains("format 2"), "{why}");

        // Half a marker is of a process that ended while it wrote.
        write(&marker, r#"{"format":1,"ru"#);
        assert_eq!(sweep(state.path()).0, [folder]);
    }

    #[expect(clippy::disallowed_methods, reason = "test: a file of its own")]
    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn one_that_was_swept_already_is_gone() {
        let state = tempfile::tempdir().unwrap();
        let sandbox =
            Sandbox::create(state.path(), &state.path().join("annexes"), run_id()).unwrap();
        std::fs::remove_dir_all(&sandbox.folder).unwrap();
        sandbox.destroy().unwrap();
    }

    #[test]
    fn a_crash_leaves_processes_that_the_sweep_ends() {
        let state = tempfile::tempdir().unwrap();
        let mut sandbox =
            Sandbox::create(state.path(), &state.path().join("annexes"), run_id()).unwrap();
        let command = Command::shell("sleep 1000", sandbox.data());
        let process = Process::start(&command, &sandbox).unwrap();
        let mark = {
            let open = sandbox.open.as_ref().unwrap().lock().unwrap();
            open.marker.groups[0].clone()
        };
        drop(sandbox.open.take());
        assert!(mark.is_alive());
        assert_eq!(sweep(state.path()).0.len(), 1);
        while mark.is_alive() {
            std::thread::yield_now();
        }
        drop(process);
    }
}
