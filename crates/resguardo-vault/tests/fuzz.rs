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

use resguardo_vault::parsers;

#[test]
fn head() {
    bolero::check!().for_each(|bytes| {
        // No fuzzer finds an Ed25519 signature.
        assert!(parsers::head(bytes).is_err());
        let mut framed = b"{\"head\":".to_vec();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b",\"signature\":\"");
        framed.extend_from_slice(&[b'0'; 128]);
        framed.extend_from_slice(b"\"}\n");
        assert!(parsers::head(&framed).is_err());
    });
}

#[test]
fn manifest() {
    bolero::check!().for_each(|bytes| {
        let Ok(manifest) = parsers::manifest(bytes) else {
            return;
        };
        for file in &manifest.files {
            let ends = file.extents.iter().try_fold(0, |end, extent| {
                (extent.file_offset == end).then_some(end + extent.length)
            });
            assert_eq!(ends, Some(file.size));
        }
    });
}

#[test]
fn pack_table() {
    bolero::check!().for_each(|bytes| {
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
    });
}

#[test]
fn index() {
    bolero::check!().for_each(|bytes| {
        let _ = parsers::index(bytes);
        let mut framed = b"RSGIDX1\n".to_vec();
        framed.extend_from_slice(bytes);
        let _ = parsers::index(&framed[..]);
    });
}

#[test]
fn prune_record_and_pin() {
    bolero::check!().for_each(|bytes| {
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
    });
}

#[test]
fn tombstone() {
    let source = "shop".parse().unwrap();
    bolero::check!().for_each(|bytes| {
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
    });
}
