//! The pages in a real Chromium, as a person with a phone, a large screen, a keyboard or a screen reader
//! meets them.
//!
//! With `RESGUARDO_PICTURES=FOLDER` it leaves a picture of each page there, and in `FOLDER/guide` those that
//! `docs/pictures` holds (they take Debian's package pngquant).

use std::path::{Path, PathBuf};
use std::process::Command;

use resguardo_daemon::web::{Language, Theme, assets};
use serde_json::{Value, json};

use crate::fixture;
use crate::gallery;

/// Widths of a phone and of a laptop, in CSS pixels.
const WIDTHS: [u32; 2] = [390, 1280];

/// Where the tools of the tests lie.
fn tools() -> PathBuf {
    std::env::var_os("RESGUARDO_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools"),
        PathBuf::from,
    )
}

#[test]
fn every_page_fits_is_named_and_is_reached_by_the_keyboard() {
    let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("Debian's package chromium is missing: cargo xtask test installs it");
    let node = tools().join("node/node_modules");
    for package in ["playwright-core", "axe-core"] {
        let present = node.join(package).exists();
        assert!(
            present,
            "npm's package {package} is missing: cargo xtask test installs it"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(folder.path(), chromium);
    let file = folder.path().join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages/look.mjs");
    let done = Command::new("node")
        .arg(script)
        .arg(tools())
        .arg(&file)
        .output()
        .expect("Debian's package nodejs is missing: cargo xtask test installs it");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{errors}");
    let troubles: Vec<String> = serde_json::from_slice(&done.stdout).unwrap();
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

/// Every page in each language and theme.
fn plan(folder: &Path, chromium: &str) -> Value {
    let mut pages = Vec::new();
    for language in Language::ALL {
        for theme in [Theme::Light, Theme::Dark] {
            for (name, html) in gallery::all(language, theme) {
                let name = format!("{name}-{}-{}", language.tag(), theme.word());
                let file = folder.join(format!("{name}.html"));
                std::fs::write(&file, html).unwrap();
                // Contrast hangs on the theme, names on the language: each is looked at once in each width.
                let axe = match (language, theme) {
                    (Language::En, Theme::Dark) => vec![1280],
                    (Language::Es, Theme::Light) => vec![390],
                    _ => vec![],
                };
                pages.push(json!({
                    "path": format!("/{name}"),
                    "name": name,
                    "file": file,
                    "theme": theme.word(),
                    "axe": axe,
                    "keyboard": language == Language::En && theme == Theme::Light,
                }));
            }
        }
    }
    let assets = assets::all().map(|asset| {
        json!({ "path": asset.path, "media_type": asset.media_type, "content": asset.content })
    });
    json!({
        "chromium": chromium,
        "policy": assets::POLICY,
        "now": fixture::now().to_string(),
        "widths": WIDTHS,
        "pictures": std::env::var("RESGUARDO_PICTURES").ok(),
        "assets": assets,
        "pages": pages,
    })
}
