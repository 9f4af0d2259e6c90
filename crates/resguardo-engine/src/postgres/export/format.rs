//! The formats of a dump, by the ending of its name.

use std::path::Path;

/// What [`crate::port::EngineError::UnknownFormat`] lists.
pub(super) const KNOWN: &str = ".dump, .tar, .sql, .sql.gz and .sql.zst";

/// How a dump is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// pg_dump's own, for `pg_restore`.
    Custom,
    /// The same as a tar archive.
    Tar,
    /// SQL for `psql`.
    Plain(Compression),
}

/// How SQL is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Format {
    /// The format that the name of `path` asks for.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let formats = [
            (".dump", Self::Custom),
            (".tar", Self::Tar),
            (".sql", Self::Plain(Compression::None)),
            (".sql.gz", Self::Plain(Compression::Gzip)),
            (".sql.zst", Self::Plain(Compression::Zstd)),
        ];
        let mut fitting = formats
            .iter()
            .filter(|(ending, _)| name.len() > ending.len() && name.ends_with(ending));
        fitting.next().map(|(_, format)| *format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_names_the_format() {
        for (name, format) in [
            ("a.dump", Some(Format::Custom)),
            ("A.TAR", Some(Format::Tar)),
            ("a.b.sql", Some(Format::Plain(Compression::None))),
            ("a.sql.gz", Some(Format::Plain(Compression::Gzip))),
            ("a.sql.zst", Some(Format::Plain(Compression::Zstd))),
            (".dump", None),
            ("a.dump.gz", None),
            ("dump", None),
        ] {
            assert_eq!(Format::of(&Path::new("/x").join(name)), format, "{name}");
        }
    }
}
