//! Fuzz targets for the words that people write and for what receipts say.
//!
//! `cargo test` runs each for a moment; `cargo xtask fuzz` for as long as is wanted, guided by coverage.

#![allow(clippy::unwrap_used, reason = "test")]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use resguardo_model::duration::Span;
use resguardo_model::receipt::Statement;
use resguardo_model::schedule::Schedule;
use resguardo_model::{BackupId, FilePath, Reason, Sha256Digest, SourceName, WriterId};
use resguardo_testkit::fuzz::mutants;

const DIR: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn schedule() {
    mutants(DIR, "schedule", check_schedule);
    bolero::check!().for_each(check_schedule);
}

fn check_schedule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(schedule) = text.parse::<Schedule>() else {
        return;
    };
    for zone in ["UTC", "America/Bogota", "Europe/Madrid", "Asia/Kathmandu"] {
        let zone = TimeZone::get(zone).unwrap();
        // Half an hour before the clocks of Madrid go forward.
        let mut at: Timestamp = "2026-03-29T00:30:00Z".parse().unwrap();
        for _ in 0..3 {
            let next = schedule.after(at, &zone).unwrap();
            assert!(next > at, "{text:?}: {next} after {at}");
            at = next;
        }
    }
}

#[test]
fn words() {
    mutants(DIR, "words", check_words);
    bolero::check!().for_each(check_words);
}

fn check_words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    survives::<Span>(text);
    survives::<Reason>(text);
    survives::<SourceName>(text);
    survives::<BackupId>(text);
    survives::<Sha256Digest>(text);
    survives::<WriterId>(text);
    if let Some(path) = survives::<FilePath>(text) {
        let folder = std::path::Path::new("/srv/out");
        let path = folder.join(path.as_str());
        assert!(path.starts_with(folder));
        assert!(!path.components().any(|part| part.as_os_str() == ".."));
    }
}

/// What parses is shown as something that parses to the same.
fn survives<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let shown = value.to_string();
    assert_eq!(shown.parse::<T>().ok().as_ref(), Some(&value), "{shown:?}");
    Some(value)
}

#[test]
fn statement() {
    mutants(DIR, "statement", check_statement);
    bolero::check!().for_each(check_statement);
}

fn check_statement(bytes: &[u8]) {
    let Ok(statement) = serde_json::from_slice::<Statement>(bytes) else {
        return;
    };
    let again = serde_json::to_vec(&statement).unwrap();
    let again: Statement = serde_json::from_slice(&again).unwrap();
    assert_eq!(again.predicate.run, statement.predicate.run);
}
