//! A copy of one major's programs: where the servers' user can reach it, and with our own extension.
//!
//! The programs find their libraries and scripts relative to themselves, so that a copy of the whole
//! tree works anywhere.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::version::{Origin, PgVersion};
use super::{account, ground};

/// Our extension: [`crate::fixture`] says what it is for.
const EXTENSION: [(&str, &str); 2] = [
    (
        "resguardo_fixture.control",
        include_str!("../../fixtures/extension/resguardo_fixture.control"),
    ),
    (
        "resguardo_fixture--1.0.sql",
        include_str!("../../fixtures/extension/resguardo_fixture--1.0.sql"),
    ),
];

/// What no test needs, and takes most of the room.
const LEFT_OUT: [&str; 4] = ["bitcode", "include", "man", "llvmjit.so"];

/// The copy.
pub(super) struct Tree {
    pub(super) bin: PathBuf,
    /// Tells this build and its extension from any other.
    pub(super) stamp: String,
}

/// The copy of `version`, made where it is missing.
pub(super) fn of(version: PgVersion) -> Tree {
    let origin = version.origin();
    let postgres = origin.root.join(origin.bin).join("postgres");
    let Ok(metadata) = std::fs::metadata(&postgres) else {
        panic!(
            "{} is missing ({version}): run `cargo xtask test`, which installs {}",
            postgres.display(),
            origin.package
        );
    };
    let mut hasher = DefaultHasher::new();
    (
        origin.root.canonicalize().unwrap(),
        metadata.len(),
        metadata.mtime(),
        EXTENSION,
    )
        .hash(&mut hasher);
    let stamp = format!("{}-{:016x}", version.major(), hasher.finish());
    let root = ground::cached(&format!("postgres-{stamp}"), |draft| copy(&origin, draft));
    Tree {
        bin: root.join(origin.bin),
        stamp,
    }
}

fn copy(origin: &Origin, draft: &Path) {
    std::fs::create_dir(draft).unwrap();
    let mut pack = Command::new("tar");
    pack.arg("-C").arg(&origin.root);
    pack.args(LEFT_OUT.map(|name| format!("--exclude={name}")));
    pack.arg("-cf")
        .arg(draft.join("tree.tar"))
        .args(origin.parts);
    account::run(&mut pack);
    let mut unpack = Command::new("tar");
    unpack.arg("-C").arg(draft).args(["--no-same-owner", "-xf"]);
    account::run(unpack.arg(draft.join("tree.tar")));
    std::fs::remove_file(draft.join("tree.tar")).unwrap();
    for (name, text) in EXTENSION {
        let path = draft.join(origin.extensions).join(name);
        std::fs::write(path, text).unwrap();
    }
    account::run(Command::new("chmod").args(["-R", "a+rX"]).arg(draft));
}
