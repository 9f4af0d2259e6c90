//! Fuzz target for how backups are named on the command line, and for paths into JSON.
//!
//! `cargo test` runs it for a moment; `cargo xtask fuzz` for as long as is wanted, guided by coverage.

#![allow(clippy::unwrap_used, reason = "test")]

use resguardo_ops::parsers::JsonPath;
use resguardo_ops::refer::Reference;
use resguardo_testkit::fuzz::mutants;

#[test]
fn references() {
    mutants(env!("CARGO_MANIFEST_DIR"), "references", check_references);
    bolero::check!().for_each(check_references);
}

fn check_references(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(reference) = text.parse::<Reference>() {
        let shown = reference.to_string();
        assert!(shown.parse::<Reference>().is_ok(), "{text:?}: {shown:?}");
    }
    if let Ok(path) = text.parse::<JsonPath>() {
        assert_eq!(path.to_string(), text);
    }
}
