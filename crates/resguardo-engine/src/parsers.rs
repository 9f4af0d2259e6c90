//! The parsers of what comes from outside, for the fuzz targets.

use std::ops::Range;

use crate::beside;
use crate::meta::Beside;
use crate::{postgres, sqlite};

/// The page size that the header of a SQLite database names, if it is one.
#[must_use]
pub fn sqlite_page_bytes(bytes: &[u8]) -> Option<u32> {
    sqlite::page_bytes(bytes)
}

/// The hash that a file of `sha256sum` names for `file`.
#[must_use]
pub fn sha256_of_sums(text: &str, file: &str) -> Option<String> {
    beside::hash_of(text, file)
}

/// Whether the text is a `.meta.json` that can be used.
#[must_use]
pub fn is_meta(text: &str) -> bool {
    Beside::parse("shop.meta.json".into(), text).is_ok()
}

/// What is left out of a plain dump that comes in these blocks, in order.
#[must_use]
pub fn cuts_of_dump<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Range<u64>> {
    postgres::cuts_of_dump(blocks)
}

/// What is wrong with a tar archive; none if it is whole.
#[must_use]
pub fn fault_of_tar(bytes: &[u8]) -> Option<String> {
    postgres::fault_of_tar(bytes)
}

/// Whether the text is the URL of a PostgreSQL database.
#[must_use]
pub fn is_postgres_url(text: &str) -> bool {
    postgres::is_url(text)
}
