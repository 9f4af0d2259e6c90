//! Test servers' programs: where they are, and what to say when they are not.

use std::env;
use std::path::{Path, PathBuf};

/// The folder into which `cargo xtask test` installs: `RESGUARDO_TEST_TOOLS`, else `target/test-tools`.
#[must_use]
pub fn folder() -> PathBuf {
    env::var_os("RESGUARDO_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools"),
        PathBuf::from,
    )
}

/// The program `name`: at `below` in the tools' folder, else on the `PATH`.
///
/// # Panics
/// If it is in neither; the message names the command that installs it.
#[must_use]
pub fn find(name: &str, below: &str) -> PathBuf {
    find_also(name, below, &[])
}

/// The same; last in `folders`, for what is installed where only root's `PATH` leads.
pub(crate) fn find_also(name: &str, below: &str, folders: &[&str]) -> PathBuf {
    let own = folder().join(below).join(name);
    let on_path = env::var_os("PATH").unwrap_or_default();
    std::iter::once(own)
        .chain(env::split_paths(&on_path).map(|folder| folder.join(name)))
        .chain(folders.iter().map(|folder| Path::new(folder).join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is in neither {} nor the PATH: run `cargo xtask test`, which installs it",
                folder().join(below).display()
            )
        })
}
