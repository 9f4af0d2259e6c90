//! The `.meta.json` that lies beside an exported dump.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use resguardo_model::{EngineKind, Sha256Digest};
use serde::{Deserialize, Serialize};

/// Version of the file's own format.
pub(super) const FORMAT: u32 = 1;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// `postgres`.
    pub(super) engine: EngineKind,
    /// Name of the file that it describes.
    pub(super) file: String,
    /// SHA-256 of that file as it lies there, compressed or not: what `sha256sum` prints.
    pub(super) sha256: Sha256Digest,
    /// Its size.
    pub(super) bytes: u64,
    /// The database's name.
    pub(super) database: String,
    /// The server's version: `15.4`.
    pub(super) server_version: String,
    /// The database's encoding.
    pub(super) encoding: String,
    /// An instant that is not after the snapshot.
    pub(super) taken_at: Timestamp,
    /// Version of `pg_dump`.
    pub(super) pg_dump: String,
    /// Version of Resguardo that wrote it.
    pub(super) resguardo: String,
}

impl Meta {
    /// Where it lies for a dump: `shop.dump.meta.json`, so that dumps of several formats can lie together.
    pub(super) fn path_of(dump: &Path) -> PathBuf {
        let mut name = dump.file_name().unwrap_or_default().to_owned();
        name.push(".meta.json");
        dump.with_file_name(name)
    }
}
