//! Fuzz targets for every parser of bytes from a vault: whatever comes in, an answer comes out, and
//! what is accepted holds to the format's limits.
//!
//! `cargo test` runs each for a moment on stable; `cargo bolero test -p resguardo-vault --test fuzz TARGET`
//! runs one for as long as is wanted, guided by coverage.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test: writes files and starts tools directly"
)]

use std::io::Cursor;
use std::path::Path;

use resguardo_vault::parsers;

/// Runs a check on what bolero draws and keeps, and on the kept inputs with bytes changed, cut, doubled and
/// taken from one another: far more of those get past the first byte.
fn fuzz(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/__fuzz__");
    let mut kept: Vec<Vec<u8>> = std::fs::read_dir(folder.join(target).join("corpus"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    kept.sort();
    assert!(!kept.is_empty(), "{target} has a corpus");
    for bytes in &kept {
        check(bytes);
    }
    let mut seed = 0x5EED_u64;
    let mut below = |end: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % end.max(1)
    };
    for _ in 0..MUTANTS {
        let mut bytes = kept[below(kept.len())].clone();
        for _ in 0..=below(4) {
            let at = below(bytes.len());
            match below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, u8::try_from(below(256)).unwrap()),
                2 => {
                    let other = &kept[below(kept.len())];
                    let from = below(other.len());
                    bytes.splice(at..at, other[from..].iter().copied().take(64));
                }
                3 => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(0xFF);
                }
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << below(8);
                    }
                }
            }
        }
        check(&bytes);
    }
}

const MUTANTS: usize = 3000;

#[test]
fn head() {
    fuzz("head", check_head);
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
    fuzz("manifest", check_manifest);
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
    fuzz("pack_table", check_pack_table);
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
    fuzz("index", check_index);
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
    fuzz("prune_record_and_pin", check_prune_record_and_pin);
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
    fuzz("tombstone", check_tombstone);
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
