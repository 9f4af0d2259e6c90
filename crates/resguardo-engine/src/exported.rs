//! How an exported file and its `.meta.json` get their names: together, flushed, and over nothing.

use std::io;
use std::path::Path;

use crate::durable;
use crate::folder::PrivateFolder;
use crate::meta::Meta;
use crate::port::{EngineError, Run};
use crate::system::of_system;

/// Refuses names that are taken.
///
/// # Errors
/// [`EngineError::Occupied`].
pub(crate) fn refuse_taken(paths: [&Path; 2]) -> Result<(), EngineError> {
    let is_there = |path: &&Path| path.symlink_metadata().is_ok();
    paths
        .into_iter()
        .find(is_there)
        .map_or(Ok(()), |path| Err(taken(path)))
}

/// Gives the flushed `draft` in `folder` the name `out`, and `meta` the name `beside`. Write order: the meta file
/// is written and flushed; it gets its name, then the export, then their folder is flushed. Whoever sees the
/// export finds its hash beside it; on an error neither is there.
///
/// # Errors
/// [`EngineError::Occupied`] if a file has come by a name meanwhile, or the system's answer.
pub(crate) fn publish(
    folder: &PrivateFolder,
    draft: &Path,
    (out, beside): (&Path, &Path),
    meta: &Meta,
    run: Run<'_>,
) -> Result<(), EngineError> {
    let meta_draft = folder.file("meta");
    meta.write(&meta_draft)
        .map_err(|error| of_system("writing", beside, error))?;
    run.cancel.check()?;
    name(&meta_draft, beside)?;
    if let Err(error) = name(draft, out) {
        // A meta file without its export would only mislead.
        let _ = std::fs::remove_file(beside);
        return Err(error);
    }
    durable::flush_folder_of(out).map_err(|error| of_system("flushing the folder of", out, error))
}

fn taken(path: &Path) -> EngineError {
    EngineError::Occupied {
        place: path.display().to_string(),
        contents: "a file of that name is there, and an export overwrites nothing".to_owned(),
    }
}

fn name(draft: &Path, path: &Path) -> Result<(), EngineError> {
    durable::rename_to_free(draft, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => of_system("naming", path, error),
    })
}
