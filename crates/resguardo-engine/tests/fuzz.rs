//! Fuzz targets for what an engine is handed from outside: databases, foreign dumps, what lies beside them, URLs.
//!
//! `cargo test` runs each for a moment; `cargo xtask fuzz` for as long as is wanted, guided by coverage.

#![allow(clippy::unwrap_used, reason = "test")]

use resguardo_engine::parsers;
use resguardo_testkit::fuzz::mutants;

const DIR: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn sqlite_header() {
    mutants(DIR, "sqlite_header", check_sqlite_header);
    bolero::check!().for_each(check_sqlite_header);
}

fn check_sqlite_header(bytes: &[u8]) {
    if let Some(page_bytes) = parsers::sqlite_page_bytes(bytes) {
        assert!(page_bytes.is_power_of_two());
        assert!((512..=65536).contains(&page_bytes));
    }
}

#[test]
fn beside_a_file() {
    mutants(DIR, "beside_a_file", check_beside_a_file);
    bolero::check!().for_each(check_beside_a_file);
}

fn check_beside_a_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(hash) = parsers::sha256_of_sums(text, "shop.dump") {
        assert_eq!(hash.len(), 64);
        assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    let _ = parsers::is_meta(text);
}

#[test]
fn postgres_dump() {
    mutants(DIR, "postgres_dump", check_postgres_dump);
    bolero::check!().for_each(check_postgres_dump);
}

fn check_postgres_dump(bytes: &[u8]) {
    let whole = parsers::cuts_of_dump([bytes]);
    assert!(
        whole.windows(2).all(|pair| pair[0].end < pair[1].start),
        "{whole:?}"
    );
    assert!(whole.iter().all(|cut| cut.start < cut.end));
    assert!(whole.last().is_none_or(|cut| cut.end <= bytes.len() as u64));
    // However it comes in, it says the same.
    assert_eq!(parsers::cuts_of_dump(bytes.chunks(7)), whole);
}

#[test]
fn postgres_url() {
    mutants(DIR, "postgres_url", check_postgres_url);
    bolero::check!().for_each(check_postgres_url);
}

fn check_postgres_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = parsers::is_postgres_url(text);
}

#[test]
fn tar_archive() {
    mutants(DIR, "tar_archive", check_tar_archive);
    bolero::check!().for_each(check_tar_archive);
}

fn check_tar_archive(bytes: &[u8]) {
    let _ = parsers::fault_of_tar(bytes);
}
