//! Where servers lie: short paths (a socket's has at most 107 bytes) that the servers' user can reach.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::account;

/// The folder below which everything lies: the temporary one, if it serves.
pub(super) fn base() -> PathBuf {
    let temporary = std::env::temp_dir();
    let is_short = temporary.as_os_str().len() <= 40;
    let is_open = temporary.ancestors().all(|folder| {
        std::fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
    });
    if is_short && is_open {
        temporary
    } else {
        PathBuf::from("/tmp")
    }
}

/// What stays for the next test: copies of programs, and new clusters.
pub(super) fn cache() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let folder = base().join(format!("resguardo-testkit-{user}"));
    let made = std::fs::DirBuilder::new().mode(0o755).create(&folder);
    if made.is_ok() {
        account::give(&folder);
    }
    folder
}

/// A fresh folder of one server, removed with the value; the servers' user owns it.
pub(super) fn fresh() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("rgpg-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(base())
        .unwrap();
    account::give(folder.path());
    folder
}

/// The folder `name` of the cache; where it is missing, `make` fills a folder that then gets this
/// name. Others may do the same at the same time: whoever is first wins, and all get the same.
pub(super) fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = cache().join(name);
    if folder.is_dir() {
        return folder;
    }
    let draft = tempfile::Builder::new()
        .prefix("draft-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(cache())
        .unwrap();
    account::give(draft.path());
    let inside = draft.path().join("it");
    make(&inside);
    if std::fs::rename(&inside, &folder).is_err() {
        assert!(folder.is_dir(), "{} cannot be made", folder.display());
    }
    folder
}
