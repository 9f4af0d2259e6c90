//! Fuzz targets for every parser of bytes from a vault: whatever comes in, an answer comes out, and
//! what is accepted holds to the format's limits.
//!
//! `cargo test` runs each for a moment; `cargo xtask fuzz` for as long as is wanted, guided by coverage.

#![allow(clippy::unwrap_used, reason = "test")]

use std::io::Cursor;

use jiff::Timestamp;
use resguardo_model::{SourceName, VaultId};
use resguardo_store::{Condition, MemoryStore, Store as _};
use resguardo_testkit::fuzz::mutants;
use resguardo_vault::{
    Identities, Vault, WriteKey, check_recipient, parsers, spans_of, verify_envelope,
};

const DIR: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn head() {
    mutants(DIR, "head", check_head);
    bolero::check!().for_each(check_head);
}

fn check_head(bytes: &[u8]) {
    // No fuzzer finds an Ed25519 signature.
    assert!(parsers::head(bytes).is_err());
    let mut framed = b"{\"head\":".to_vec();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b",\"signature\":\"");
    framed.extend_from_slice(&[b'0'; 128]);
    framed.extend_from_slice(b"\"}\n");
    assert!(parsers::head(&framed).is_err());
}

#[test]
fn manifest() {
    mutants(DIR, "manifest", check_manifest);
    bolero::check!().for_each(check_manifest);
}

fn check_manifest(bytes: &[u8]) {
    let Ok(manifest) = parsers::manifest(bytes) else {
        return;
    };
    for file in &manifest.files {
        let ends = file.extents.iter().try_fold(0, |end, extent| {
            (extent.file_offset == end).then_some(end + extent.length)
        });
        assert_eq!(ends, Some(file.size));
    }
}

#[test]
fn pack_table() {
    mutants(DIR, "pack_table", check_pack_table);
    bolero::check!().for_each(check_pack_table);
}

fn check_pack_table(bytes: &[u8]) {
    let Ok(table) = parsers::PackTable::read(&mut Cursor::new(bytes)) else {
        return;
    };
    let end = table
        .frames()
        .last()
        .map(|frame| frame.offset + u64::from(frame.compressed_bytes));
    assert!(end.is_some_and(|end| end < bytes.len() as u64));
    assert!(
        table
            .frames()
            .iter()
            .all(|frame| (1..=4 << 20).contains(&frame.raw_bytes))
    );
}

#[test]
fn index() {
    mutants(DIR, "index", check_index);
    bolero::check!().for_each(check_index);
}

fn check_index(bytes: &[u8]) {
    let _ = parsers::index(bytes);
    let mut framed = b"RSGIDX1\n".to_vec();
    framed.extend_from_slice(bytes);
    let _ = parsers::index(&framed[..]);
}

#[test]
fn prune_record_and_pin() {
    mutants(DIR, "prune_record_and_pin", check_prune_record_and_pin);
    bolero::check!().for_each(check_prune_record_and_pin);
}

fn check_prune_record_and_pin(bytes: &[u8]) {
    // No fuzzer finds an Ed25519 signature.
    assert!(!parsers::is_record(bytes) && !parsers::is_pin(bytes));
    for name in ["prune", "pin"] {
        let mut framed = format!("{{\"{name}\":").into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b",\"signature\":\"");
        framed.extend_from_slice(&[b'0'; 128]);
        framed.extend_from_slice(b"\"}\n");
        assert!(!parsers::is_record(&framed) && !parsers::is_pin(&framed));
    }
}

#[test]
fn tombstone() {
    mutants(DIR, "tombstone", check_tombstone);
    bolero::check!().for_each(check_tombstone);
}

fn check_tombstone(bytes: &[u8]) {
    let source = "shop".parse().unwrap();
    let mut framed = b"{\"format\":1,\"source\":\"shop\",\"run\":\"01jd8kq2v3m4n5p6q7r8s9t0vw\",\"objects\":[{\"bytes\":1,\"key\":\"shop/".to_vec();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\"}]}");
    for text in [bytes, &framed] {
        for key in parsers::buried(&source, text) {
            let parts: Vec<&str> = key.as_str().split('/').collect();
            assert_eq!((parts.len(), parts[0]), (3, "shop"));
            assert!(["packs", "index", "snapshots"].contains(&parts[1]), "{key}");
            assert!(!key.as_str().ends_with(".head.json"), "{key}");
        }
    }
}

/// The vault whose id the kept inputs have.
fn vault() -> VaultId {
    "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap()
}

#[test]
fn header_bundle() {
    mutants(DIR, "header_bundle", check_header_bundle);
    bolero::check!().for_each(check_header_bundle);
}

fn check_header_bundle(bytes: &[u8]) {
    let source: SourceName = "shop".parse().unwrap();
    if let Some(objects) = parsers::bundle_objects(bytes, vault(), &source) {
        assert!(objects * 64 < bytes.len(), "each stands on a line");
        let other: SourceName = "other".parse().unwrap();
        assert_eq!(parsers::bundle_objects(bytes, vault(), &other), None);
    }
}

#[test]
fn prune_body() {
    mutants(DIR, "prune_body", check_prune_body);
    bolero::check!().for_each(check_prune_body);
}

fn check_prune_body(bytes: &[u8]) {
    for (first, last) in parsers::holes_of(bytes).unwrap_or_default() {
        assert!(0 < first && first <= last);
    }
}

#[test]
fn receipt() {
    mutants(DIR, "receipt", check_receipt);
    bolero::check!().for_each(check_receipt);
}

fn check_receipt(bytes: &[u8]) {
    // Those that are kept are signed; a changed one must not be taken for what its writer said.
    if let Ok((statement, writer)) = verify_envelope(bytes) {
        assert_eq!(statement.predicate.writer, writer);
    }
}

#[test]
fn vault_json() {
    mutants(DIR, "vault_json", check_vault_json);
    bolero::check!().for_each(check_vault_json);
}

fn check_vault_json(bytes: &[u8]) {
    let store = MemoryStore::new();
    let key = "vault.json".parse().unwrap();
    store
        .put(&key, bytes.to_vec().into(), Condition::Always)
        .unwrap();
    let Ok(config) = Vault::read_config(&store) else {
        return;
    };
    let changed = config.recipients_changed.iter();
    for recipient in config
        .recipients
        .iter()
        .chain(changed.map(|one| &one.recipient))
    {
        assert!(!spans_of(&config, recipient).is_empty());
        let _ = check_recipient(recipient);
    }
}

#[test]
fn key_files() {
    mutants(DIR, "key_files", check_key_files);
    bolero::check!().for_each(check_key_files);
}

fn check_key_files(bytes: &[u8]) {
    let _ = Identities::parse(bytes, None);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    text.lines().take(8).for_each(|line| {
        let _ = check_recipient(line);
    });
    if let Ok(mut key) = WriteKey::from_json(text) {
        let again = WriteKey::from_json(&key.to_json()).unwrap();
        assert_eq!(again.writer(), key.writer());
        assert_eq!(again.retired_writers(), key.retired_writers());
        let recipients = key.recipients().to_vec();
        let _ = key.pin_recipients(recipients, Timestamp::UNIX_EPOCH);
    }
}
