//! Writing a map file: records, then the hash of all of them. A cache: it is not synced.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::index;

/// Begins a map file.
pub(crate) struct MapFile {
    file: tempfile::NamedTempFile,
}

impl MapFile {
    /// A new file in `folder`, which is made if it is missing.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            file: tempfile::Builder::new()
                .prefix(".map-")
                .tempfile_in(folder)?,
        })
    }

    /// Where the records go.
    pub(crate) fn writer(&self) -> io::Result<index::Writer<HashingWriter<BufWriter<File>>>> {
        let out = BufWriter::with_capacity(1 << 20, self.file.reopen()?);
        index::Writer::new(HashingWriter {
            out,
            hasher: blake3::Hasher::new(),
        })
    }

    /// Closes the records with their hash.
    pub(crate) fn close(writer: HashingWriter<BufWriter<File>>) -> io::Result<()> {
        let HashingWriter { mut out, hasher } = writer;
        out.write_all(hasher.finalize().as_bytes())?;
        out.flush()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a cache: a loss of power may lose it"
    )]
    /// Gives the file its name. It is a cache: a loss of power may lose it.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.file
            .persist(path)
            .map(|_| ())
            .map_err(|error| error.error)
    }
}

/// Removes the maps of earlier heads, and what runs that died left behind. A cache: errors are ignored.
pub(crate) fn remove_others(folder: &Path, keep: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path != keep)
    {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.ends_with(".map") || name.starts_with(".map-") {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Hashes what passes through.
pub(crate) struct HashingWriter<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
