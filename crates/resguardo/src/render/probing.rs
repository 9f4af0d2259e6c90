//! What the trial of a store showed, for `init` and `doctor`.

use resguardo_model::size::ByteSize;
use resguardo_model::{Diagnosis, Severity};
use resguardo_store::probe::Probe;
use serde_json::{Value, json};

/// A store whose clock is farther off than this makes leases and prunes late or early.
const CLOCK_SECONDS_MAX: i64 = 60;
/// Less free space than this is worth a word.
const FREE_BYTES_MIN: u64 = 1_000_000_000;
/// With less than this free, the next backup fails.
const FREE_BYTES_NONE: u64 = 10_000_000;

/// One line.
#[must_use]
pub fn in_words(seen: &Probe) -> String {
    let mut parts = vec![match (seen.absent_refuses, seen.matches_refuses) {
        (Some(true), Some(true)) => "conditional put works".to_owned(),
        (None, _) => "no conditional put".to_owned(),
        _ => "conditional put is not kept".to_owned(),
    }];
    for (name, fact) in [
        ("versioning", seen.facts.versioning),
        ("object lock", seen.facts.object_lock),
        ("checksums", seen.facts.refuses_wrong_checksum),
    ] {
        if let Some(fact) = fact {
            parts.push(format!("{name} {}", if fact { "on" } else { "off" }));
        }
    }
    if let Some(rule) = seen.facts.default_retention {
        let mode = rule.mode.map_or("", |mode| mode.name());
        parts.push(
            format!("every new object locked for {} days {mode}", rule.days)
                .trim_end()
                .to_owned(),
        );
    }
    if let Some(free) = seen.facts.free_bytes {
        parts.push(format!("{} free", ByteSize(free)));
    }
    // Adding zero makes zero of what rounds to minus zero.
    let ahead = (seen.clock_ahead.as_secs_f64() * 10.0).round() / 10.0 + 0.0;
    parts.push(format!("clock {ahead:+.1} s"));
    parts.join(", ")
}

/// The shape of `docs/json.md`.
#[must_use]
pub fn as_json(seen: &Probe) -> Value {
    json!({
        "conditional_put": seen.conditions_hold(),
        "absent_refuses": seen.absent_refuses,
        "matches_refuses": seen.matches_refuses,
        "clock_ahead_seconds": seen.clock_ahead.as_secs_f64(),
        "free_bytes": seen.facts.free_bytes,
        "versioning": seen.facts.versioning,
        "object_lock": seen.facts.object_lock,
        "default_retention": seen.facts.default_retention.map(|rule| json!({
            "mode": rule.mode.map(|mode| mode.name()),
            "days": rule.days,
        })),
        "refuses_wrong_checksum": seen.facts.refuses_wrong_checksum,
    })
}

/// What is to be said of it.
#[must_use]
pub fn diagnose(seen: &Probe) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if !seen.conditions_hold() {
        found.push(Diagnosis::not_ok(
            Severity::Warning,
            "store",
            "it does not keep conditional puts: two runs at the same time are not kept apart",
            "make sure that only one machine at a time runs `resguardo backup` for a source",
        ));
    }
    if seen.clock_ahead.as_secs().abs() > CLOCK_SECONDS_MAX {
        found.push(Diagnosis::not_ok(
            Severity::Warning,
            "clock",
            format!(
                "the store's clock is {:+.0} s off ours",
                seen.clock_ahead.as_secs_f64()
            ),
            "set the clocks, like with `timedatectl set-ntp true`",
        ));
    }
    if let Some(free) = seen.facts.free_bytes.filter(|free| *free < FREE_BYTES_MIN) {
        found.push(Diagnosis::not_ok(
            if free < FREE_BYTES_NONE {
                Severity::Problem
            } else {
                Severity::Warning
            },
            "store",
            format!("only {} free", ByteSize(free)),
            "make space, or move the vault to a larger disk",
        ));
    }
    if found.is_empty() {
        found.push(Diagnosis::ok("store", in_words(seen)));
    }
    found
}

#[cfg(test)]
mod tests {
    use resguardo_store::PlaceFacts;

    use super::*;

    fn seen(free_bytes: u64, ahead_milliseconds: i64) -> Probe {
        Probe {
            absent_refuses: Some(true),
            matches_refuses: Some(true),
            may_delete: true,
            clock_ahead: jiff::SignedDuration::from_millis(ahead_milliseconds),
            facts: PlaceFacts {
                free_bytes: Some(free_bytes),
                ..PlaceFacts::default()
            },
        }
    }

    #[test]
    fn a_place_that_is_full_is_a_problem() {
        for (free_bytes, severity) in [
            (332_000, Severity::Problem),
            (100_000_000, Severity::Warning),
            (2_000_000_000, Severity::Ok),
        ] {
            let found = diagnose(&seen(free_bytes, 0));
            assert_eq!(found[0].severity, severity, "{free_bytes}: {found:?}");
        }
    }

    #[test]
    fn a_clock_is_never_minus_nothing() {
        assert!(in_words(&seen(0, -1)).ends_with("clock +0.0 s"));
        assert!(in_words(&seen(0, -1_200)).ends_with("clock -1.2 s"));
    }
}
