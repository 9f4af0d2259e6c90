//! The stylesheet, the script and the mark: part of the program, named by what they hold.
//!
//! Their addresses change when they do, so that a browser may keep them for ever.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// The policy under which every page is served: nothing but what comes from this server, and nothing
/// that is written into a page runs or styles.
pub const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A file that pages name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Its path on the server.
    pub path: String,
    /// Its type.
    pub media_type: &'static str,
    /// What it holds.
    pub content: &'static str,
}

/// The stylesheet.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "style",
        "css",
        "text/css; charset=utf-8",
        include_str!("assets/style.css"),
    )
});
/// The script.
pub static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "live",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("assets/live.js"),
    )
});
/// The mark in a browser's tab.
pub static MARK: LazyLock<Asset> = LazyLock::new(|| {
    asset(
        "mark",
        "svg",
        "image/svg+xml",
        include_str!("assets/mark.svg"),
    )
});

/// All of them.
#[must_use]
pub fn all() -> [&'static Asset; 3] {
    [&STYLE, &SCRIPT, &MARK]
}

/// The asset of a path. `None`: there is none, or it was of another version.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    all().into_iter().find(|asset| asset.path == path)
}

fn asset(name: &str, ending: &str, media_type: &'static str, content: &'static str) -> Asset {
    let digest = HEXLOWER.encode(&Sha256::digest(content.as_bytes())[..6]);
    Asset {
        path: format!("/assets/{name}-{digest}.{ending}"),
        media_type,
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_small_and_ask_nobody() {
        for asset in all() {
            assert_eq!(find(&asset.path), Some(asset));
            assert!(asset.content.len() < 24_000, "{} is heavy", asset.path);
            let others = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !others.contains("http") && !others.contains("@import"),
                "{}",
                asset.path
            );
        }
        assert!(SCRIPT.content.len() < 10_000);
        assert_eq!(find("/assets/style-000000000000.css"), None);
    }
}
