//! The 100 bytes at the beginning of every SQLite database
//! (<https://www.sqlite.org/fileformat2.html#the_database_header>), parsed. Pure: opens no file.

/// Length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 100;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Size of a page in bytes: a power of two from 512 to 65536.
    pub(super) page_bytes: u32,
    /// The write-ahead log is in use, rather than a rollback journal.
    pub(super) wal: bool,
    /// Pages in the file, where the header can be trusted to know: a writer older than SQLite 3.7
    /// leaves it behind.
    pub(super) page_count: Option<u32>,
    /// Unused pages.
    pub(super) freelist_count: u32,
    /// How text is stored.
    pub(super) encoding: &'static str,
    /// `none`, `full` or `incremental`.
    pub(super) auto_vacuum: &'static str,
    /// `PRAGMA user_version`.
    pub(super) user_version: i32,
    /// `PRAGMA application_id`.
    pub(super) application_id: i32,
}

/// Why the bytes are no header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// The file is shorter than a header.
    #[error("it has only {0} bytes")]
    Short(usize),
    /// It begins with something else.
    #[error("{0}")]
    Magic(String),
    /// A field has a value that no version of SQLite writes.
    #[error("its header names {field} {value}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
}

impl Header {
    /// Parses the first bytes of a file; more than 100 are ignored.
    ///
    /// # Errors
    /// [`HeaderError`] says in what the bytes differ from a header.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let shown = bytes.len().min(MAGIC.len());
        if bytes[..shown] != MAGIC[..shown] {
            return Err(HeaderError::Magic(describe_start(bytes)));
        }
        if bytes.len() < HEADER_BYTES {
            return Err(HeaderError::Short(bytes.len()));
        }
        let refused = |field, value| Err(HeaderError::Field { field, value });
        let page_bytes = match u32::from(u16::from_be_bytes([bytes[16], bytes[17]])) {
            1 => 65536,
            size if size.is_power_of_two() && size >= 512 => size,
            other => return refused("the page size", other),
        };
        let (write_version, read_version) = (bytes[18], bytes[19]);
        if !(1..=2).contains(&read_version) {
            return refused("the read version", u32::from(read_version));
        }
        let encoding = match number(bytes, 56) {
            // An empty schema has not chosen yet.
            0 | 1 => "UTF-8",
            2 => "UTF-16le",
            3 => "UTF-16be",
            other => return refused("the text encoding", other),
        };
        let page_count = number(bytes, 28);
        let header_is_current = number(bytes, 24) == number(bytes, 92) && page_count != 0;
        Ok(Self {
            page_bytes,
            wal: write_version == 2 || read_version == 2,
            page_count: header_is_current.then_some(page_count),
            freelist_count: number(bytes, 36),
            encoding,
            auto_vacuum: match (number(bytes, 52), number(bytes, 64)) {
                (0, _) => "none",
                (_, 0) => "full",
                _ => "incremental",
            },
            user_version: number(bytes, 60).cast_signed(),
            application_id: number(bytes, 68).cast_signed(),
        })
    }

    /// Whether a file of `bytes` bytes can hold the database: whole pages, and as many as promised.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub(super) fn fits(&self, bytes: u64) -> Result<(), String> {
        let page_bytes = u64::from(self.page_bytes);
        let promised = self
            .page_count
            .map_or(page_bytes, |pages| u64::from(pages) * page_bytes);
        if bytes >= promised && bytes.is_multiple_of(page_bytes) {
            return Ok(());
        }
        Err(format!(
            "it has {bytes} bytes; its header promises {promised}, in pages of {page_bytes}"
        ))
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// What a file that is no SQLite database begins with, in words.
pub(super) fn describe_start(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(16)];
    for (magic, kind) in [
        (&b"\x1f\x8b"[..], "a gzip file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"PK\x03\x04", "a zip file"),
        (b"PGDMP", "a dump of PostgreSQL"),
        (b"age-encryption.org/", "a file sealed by age"),
        (
            b"** This file contains an SQLite 2",
            "a database of SQLite 2",
        ),
    ] {
        if bytes.starts_with(magic) {
            return format!("it begins like {kind}");
        }
    }
    let shown = start.escape_ascii();
    if start.is_empty() {
        "it is empty".to_owned()
    } else if start
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    {
        format!("it begins with the text \"{shown}\"")
    } else if start.iter().all(|byte| *byte == 0) {
        "it begins with zero bytes".to_owned()
    } else {
        format!("it begins with \"{shown}\"; it is encrypted or another kind of file")
    }
}

/// The page size that a header names, if it is one, for the fuzz targets.
pub(crate) fn page_bytes(bytes: &[u8]) -> Option<u32> {
    Header::parse(bytes).ok().map(|header| header.page_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        let mut bytes = vec![0u8; HEADER_BYTES];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..18].copy_from_slice(&4096u16.to_be_bytes());
        bytes[18] = 2;
        bytes[19] = 2;
        bytes[24..28].copy_from_slice(&7u32.to_be_bytes());
        bytes[28..32].copy_from_slice(&12u32.to_be_bytes());
        bytes[36..40].copy_from_slice(&3u32.to_be_bytes());
        bytes[56..60].copy_from_slice(&1u32.to_be_bytes());
        bytes[60..64].copy_from_slice(&(-5i32).to_be_bytes());
        bytes[92..96].copy_from_slice(&7u32.to_be_bytes());
        bytes
    }

    #[test]
    fn every_field_is_read() {
        let parsed = Header::parse(&header()).expect("a header");
        assert_eq!(
            parsed,
            Header {
                page_bytes: 4096,
                wal: true,
                page_count: Some(12),
                freelist_count: 3,
                encoding: "UTF-8",
                auto_vacuum: "none",
                user_version: -5,
                application_id: 0,
            }
        );
    }

    #[test]
    fn a_file_that_is_cut_short_does_not_fit() {
        let whole = Header::parse(&header()).expect("a header");
        let unknown = Header {
            page_count: None,
            ..whole
        };
        assert_eq!(whole.fits(12 * 4096), Ok(()));
        // An application may have let the file grow beyond its pages.
        assert_eq!(whole.fits(16 * 4096), Ok(()));
        assert_eq!(unknown.fits(3 * 4096), Ok(()));
        for (header, bytes) in [(whole, 11 * 4096), (whole, 12 * 4096 + 1), (unknown, 0)] {
            assert!(header.fits(bytes).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_page_size_of_one_means_64_kib() {
        let mut bytes = header();
        bytes[16..18].copy_from_slice(&1u16.to_be_bytes());
        assert_eq!(Header::parse(&bytes).map(|h| h.page_bytes), Ok(65536));
    }

    #[test]
    fn a_page_count_left_behind_by_an_old_writer_is_not_believed() {
        let mut bytes = header();
        bytes[92..96].copy_from_slice(&6u32.to_be_bytes());
        assert_eq!(Header::parse(&bytes).map(|h| h.page_count), Ok(None));
    }

    #[test]
    fn what_is_no_header_is_named() {
        let mut odd_page = header();
        odd_page[16..18].copy_from_slice(&1000u16.to_be_bytes());
        let mut future = header();
        future[19] = 9;
        for (bytes, words) in [
            (header()[..50].to_vec(), "only 50 bytes"),
            (
                b"hola mundo, esto es texto".to_vec(),
                "the text \"hola mundo, esto",
            ),
            (b"\x1f\x8b\x08".to_vec(), "gzip"),
            (b"PGDMP\x01".to_vec(), "PostgreSQL"),
            (vec![0; 200], "zero bytes"),
            (vec![0x91; 200], "encrypted"),
            (Vec::new(), "only 0 bytes"),
            (odd_page, "the page size 1000"),
            (future, "the read version 9"),
        ] {
            let error = Header::parse(&bytes).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, prefix: bool) {
            let bytes = if prefix { [&MAGIC[..], &bytes].concat() } else { bytes };
            let _ = Header::parse(&bytes);
        }
    }
}
