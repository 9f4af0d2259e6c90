//! Fuzz target for `resguardo.toml`: whatever stands in it, an answer comes, and errors can be shown.

use std::path::Path;

use resguardo_testkit::fuzz::mutants;

use super::load::{Overrides, parse};
use super::show;
use crate::ambient::Ambient;

#[test]
fn config_toml() {
    mutants(env!("CARGO_MANIFEST_DIR"), "config_toml", check_config);
    bolero::check!().for_each(check_config);
}

fn check_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("/srv/shop/resguardo.toml");
    match parse(
        &Ambient::default(),
        &Overrides::default(),
        path,
        text.into(),
    ) {
        Ok(config) => {
            let _ = config.all_sources();
            assert!(show::as_json(&config).is_array());
        }
        Err(invalid) => {
            assert!(!invalid.problems.is_empty());
            assert!(!invalid.render(false).is_empty());
        }
    }
}
