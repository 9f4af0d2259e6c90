//! What kind of dump a file is, by its first bytes; how a plain one is unpacked.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// What [`crate::port::EngineError::UnknownFormat`] lists.
pub(in crate::postgres) const KNOWN: &str = ".dump, .backup, .pgdump, .tar, .sql, .sql.gz, .sql.zst, \
    and a folder that pg_dump -Fd wrote";
/// Endings of files that are looked at.
const ENDINGS: [&str; 9] = [
    ".dump", ".backup", ".pgdump", ".custom", ".tar", ".sql", ".psql", ".sql.gz", ".sql.zst",
];
/// Bytes that tell the formats apart: a tar archive says so at 257.
const BEGINNING_BYTES: u64 = 512;
const BLOCK_BYTES: usize = 256 << 10;

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Format {
    /// `pg_dump -Fc`.
    Custom,
    /// `pg_dump -Ft`.
    Tar,
    /// `pg_dump -Fd`.
    Folder,
    /// SQL, as it is or compressed.
    Plain(Packing),
}

/// How a plain dump is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) enum Packing {
    Nothing,
    Gzip,
    Zstd,
}

impl Format {
    /// Whether `pg_restore` reads it.
    pub(in crate::postgres) fn is_archive(self) -> bool {
        !matches!(self, Self::Plain(_))
    }
}

/// Whether a file of this name may be a dump; a folder always may.
pub(super) fn is_known(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    path.is_dir() || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The format of what lies at `path`, whatever it is called; none if it is no dump for sure.
pub(super) fn of(path: &Path) -> io::Result<Option<Format>> {
    if path.metadata()?.is_dir() {
        return Ok(path.join("toc.dat").is_file().then_some(Format::Folder));
    }
    let mut beginning = Vec::new();
    File::open(path)?
        .take(BEGINNING_BYTES)
        .read_to_end(&mut beginning)?;
    Ok(of_beginning(&beginning))
}

fn of_beginning(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"PGDMP") {
        return Some(Format::Custom);
    }
    if bytes.get(257..262) == Some(b"ustar".as_slice()) {
        return bytes.starts_with(b"toc.dat\0").then_some(Format::Tar);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Some(Format::Plain(Packing::Gzip));
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Some(Format::Plain(Packing::Zstd));
    }
    let is_text = !bytes.is_empty() && !bytes.contains(&0);
    is_text.then_some(Format::Plain(Packing::Nothing))
}

/// The text of a plain dump.
pub(in crate::postgres) fn unpacked(
    path: &Path,
    packing: Packing,
) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(BLOCK_BYTES, File::open(path)?);
    Ok(match packing {
        Packing::Nothing => Box::new(file),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_their_beginning() {
        let mut tar = vec![0; 512];
        tar[..7].copy_from_slice(b"toc.dat");
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(of_beginning(&tar), Some(Format::Tar));
        tar[..7].copy_from_slice(b"a.mp3\0\0");
        assert_eq!(of_beginning(&tar), None);
        assert_eq!(of_beginning(b"PGDMP\x01\x0e"), Some(Format::Custom));
        assert_eq!(
            of_beginning(b"--\n-- PostgreSQL"),
            Some(Format::Plain(Packing::Nothing))
        );
        assert_eq!(of_beginning(b""), None);
        assert_eq!(of_beginning(b"\x89PNG\0"), None);
    }

    #[test]
    fn names_that_are_looked_at() {
        for name in ["a.dump", "A.SQL.GZ", "x.tar", "x.sql.zst"] {
            assert!(is_known(Path::new(name)), "{name}");
        }
        for name in ["a.sqlite", "a.gz", "dump", "a.sqlite.gz", "a.db"] {
            assert!(!is_known(Path::new(name)), "{name}");
        }
    }
}
