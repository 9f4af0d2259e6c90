//! Fuzz target for places of vaults and keys of objects.
//!
//! `cargo test` runs it for a moment; `cargo xtask fuzz` for as long as is wanted, guided by coverage.

#![allow(clippy::unwrap_used, reason = "test")]

use resguardo_store::{Key, Location};
use resguardo_testkit::fuzz::mutants;

#[test]
fn places_and_keys() {
    mutants(
        env!("CARGO_MANIFEST_DIR"),
        "places_and_keys",
        check_places_and_keys,
    );
    bolero::check!().for_each(check_places_and_keys);
}

fn check_places_and_keys(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(place) = text.parse::<Location>() {
        assert!(!place.to_string().is_empty());
    }
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(key.as_str(), text);
        let folder = std::path::Path::new("/srv/vault");
        let path = folder.join(key.as_str());
        assert!(path.starts_with(folder));
        assert!(!path.components().any(|part| part.as_os_str() == ".."));
    }
}
