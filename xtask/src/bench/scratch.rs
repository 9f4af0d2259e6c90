//! The scratch folder: data that is made once, and places of one run that are emptied before it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::plan::Size;
use crate::failure::Failure;

/// `target/bench`, or `target/bench-small`.
pub(super) struct Scratch {
    root: PathBuf,
}

impl Scratch {
    pub(super) fn below(workspace: &Path, size: Size) -> Result<Self, Failure> {
        let name = match size {
            Size::Full => "target/bench",
            Size::Small => "target/bench-small",
        };
        let root = workspace.join(name);
        make(&root)?;
        Ok(Self { root })
    }

    /// A place of this run; nothing of an earlier one is in it.
    pub(super) fn fresh(&self, name: &str) -> Result<PathBuf, Failure> {
        let folder = self.root.join("run").join(name);
        remove(&folder)?;
        make(&folder)?;
        Ok(folder)
    }

    /// Data that is made once: `fill` is called unless it was filled to the end by the same `recipe`.
    pub(super) fn once(
        &self,
        name: &str,
        recipe: &str,
        fill: impl FnOnce(&Path) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let folder = self.root.join("data").join(name);
        let mark = self.root.join("data").join(format!("{name}.recipe"));
        if fs::read_to_string(&mark).is_ok_and(|made| made == recipe) {
            return Ok(folder);
        }
        eprintln!("xtask: making the data of {name}; later runs use it again");
        remove(&mark)?;
        remove(&folder)?;
        make(&folder)?;
        fill(&folder)?;
        write(&mark, recipe)?;
        Ok(folder)
    }
}

pub(super) fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|source| Failure::Write {
        path: folder.to_owned(),
        source,
    })
}

/// Lets others pass through it: servers that refuse root run as somebody else.
pub(super) fn open_to_all(folder: &Path) -> Result<(), Failure> {
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder, mode).map_err(|source| Failure::Write {
        path: folder.to_owned(),
        source,
    })
}

/// Removes a file, a link or a folder with all that is in it; it need not be there.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => return Ok(()),
    };
    removed.map_err(|source| Failure::Write {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|source| Failure::Write {
        path: path.to_owned(),
        source,
    })
}

/// All files below a folder, relative to it, with their sizes; none if there is no folder.
pub(super) fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        if !inner.exists() {
            continue;
        }
        let failed = |source| Failure::Read {
            path: inner.clone(),
            source,
        };
        for entry in fs::read_dir(&inner).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let metadata = entry.path().symlink_metadata().map_err(failed)?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let below = path.strip_prefix(folder).unwrap_or(&path).to_owned();
                found.push((below, metadata.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of all files below a folder.
pub(super) fn bytes_in(folder: &Path) -> Result<u64, Failure> {
    Ok(files(folder)?.iter().map(|(_, bytes)| bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_made_once_for_each_recipe() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::below(folder.path(), Size::Small).expect("a scratch folder");
        let mut made = 0;
        for recipe in ["a", "a", "b"] {
            let data = scratch
                .once("shop", recipe, |data| {
                    made += 1;
                    write(&data.join("file"), recipe)
                })
                .expect("made");
            assert_eq!(bytes_in(&data).expect("read"), 1);
        }
        assert_eq!(made, 2);
    }

    #[test]
    fn data_that_was_not_finished_is_made_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let scratch = Scratch::below(folder.path(), Size::Small).expect("a scratch folder");
        let stop = |data: &Path| {
            write(&data.join("half"), "x")?;
            Err(Failure::Silent {
                command: "stopped".to_owned(),
            })
        };
        assert!(scratch.once("shop", "a", stop).is_err());
        let data = scratch.once("shop", "a", |_| Ok(())).expect("made");
        assert!(files(&data).expect("read").is_empty());
    }
}
