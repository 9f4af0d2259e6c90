//! The folder of a throwaway server's socket. The name of a socket may have 107 bytes (103 on macOS), which a
//! deep folder would exceed: then a short link in the folder for temporary files leads to it. The link
//! is nothing by itself; those that a crash left behind lead nowhere and are removed when the next is made.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::port::EngineError;

/// Bytes of a socket's name, on every system.
const NAME_BYTES_MAX: usize = 103;
/// Where links are made.
const TEMPORARY: &str = "/tmp";
/// How the names of links begin.
const PREFIX: &str = ".resguardo-";

/// A folder with a short enough name. Dropping it removes the link, if there is one.
pub(super) struct Folder {
    path: PathBuf,
    link: Option<PathBuf>,
}

impl Folder {
    /// `folder` itself, or a link to it that bears the sandbox's name.
    ///
    /// # Errors
    /// If no link can be made.
    pub(super) fn of(folder: &Path, name: &str, port: u16) -> Result<Self, EngineError> {
        Self::linked_in(Path::new(TEMPORARY), folder, name, port)
    }

    fn linked_in(
        temporary: &Path,
        folder: &Path,
        name: &str,
        port: u16,
    ) -> Result<Self, EngineError> {
        let socket = folder.join(format!(".s.PGSQL.{port}.lock"));
        if socket.as_os_str().len() <= NAME_BYTES_MAX {
            return Ok(Self {
                path: folder.to_owned(),
                link: None,
            });
        }
        remove_dangling(temporary);
        let link = temporary.join(format!("{PREFIX}{name}"));
        std::os::unix::fs::symlink(folder, &link).map_err(|source| EngineError::Other {
            operation: "making a short name for a socket",
            place: link.display().to_string(),
            source: source.into(),
        })?;
        Ok(Self {
            path: link.clone(),
            link: Some(link),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // One that stays leads nowhere, and the next sandbox removes it.
            let _ = std::fs::remove_file(link);
        }
    }
}

/// Removes our own links whose sandboxes are gone.
fn remove_dangling(temporary: &Path) {
    let user = rustix::process::geteuid().as_raw();
    let entries = std::fs::read_dir(temporary).into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && path
                .symlink_metadata()
                .is_ok_and(|data| data.is_symlink() && data.uid() == user);
        if is_ours && matches!(path.try_exists(), Ok(false)) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_folder_gets_a_short_name_for_as_long_as_it_is_needed() {
        let temporary = tempfile::tempdir().unwrap();
        let deep = temporary.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let gone = temporary.path().join(".resguardo-gone");
        std::os::unix::fs::symlink(temporary.path().join("nowhere"), &gone).unwrap();

        let shallow = Folder::linked_in(temporary.path(), temporary.path(), "a", 5432).unwrap();
        assert_eq!(shallow.path(), temporary.path());
        let folder = Folder::linked_in(temporary.path(), &deep, "b", 5432).unwrap();
        assert_eq!(folder.path().canonicalize().unwrap(), deep);
        assert!(folder.path().as_os_str().len() < 90);
        assert!(gone.symlink_metadata().is_err(), "it led nowhere");
        let link = folder.path().to_owned();
        drop(folder);
        assert!(link.symlink_metadata().is_err());
        assert!(deep.exists());
    }
}
