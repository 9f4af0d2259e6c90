//! What a receipt keeps of a drill, and the drill that a receipt speaks of. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use resguardo_model::receipt::Verb;
use resguardo_model::{CheckOutcome, Sha256Digest};

use super::DrillDone;
use crate::receipt::value;
use crate::source::{CheckKind, SourceSpec};

/// How much of what a query found goes into a receipt.
const ACTUAL_CHARACTERS_MAX: usize = 200;

/// Fields that a receipt's predicate holds by itself.
const IN_PREDICATE: [&str; 8] = [
    "run",
    "source",
    "started_at",
    "finished_at",
    "host",
    "operator",
    "tools",
    "receipt",
];

/// Everything else of a drill, for the receipt's details. Receipts lie in the vault as plain text: what
/// migrations, scripts, commands and applications said (the checks in `of_others`) may hold a secret, so
/// that only its digest goes into them; so does what an application answered instead of what was expected.
/// Values that a query found stay, shortened. The words themselves are for the terminal and the local report.
pub(super) fn details_of(
    done: &DrillDone,
    of_others: &Range<usize>,
    spec: Option<&SourceSpec>,
) -> BTreeMap<String, serde_json::Value> {
    let checks = spec.map_or(&[][..], |spec| &spec.checks);
    let is_http = |name: &serde_json::Value| {
        checks
            .iter()
            .any(|check| *name == *check.name && matches!(check.kind, CheckKind::Http(_)))
    };
    let serde_json::Value::Object(mut fields) = value(done) else {
        unreachable!("a struct is written as an object");
    };
    if let Some(serde_json::Value::Array(checks)) = fields.get_mut("checks") {
        let last = of_others.end.min(checks.len());
        for check in &mut checks[of_others.start.min(last)..last] {
            seal_detail(check);
            let answered =
                is_http(&check["name"]) && check["outcome"] != value(CheckOutcome::Passed);
            keep_little(check, answered);
        }
    }
    let ours = fields
        .into_iter()
        .filter(|(name, _)| !IN_PREDICATE.contains(&name.as_str()));
    ours.collect()
}

/// Puts the digest of a check's detail in the place of its text. Why a check was skipped are our words.
fn seal_detail(check: &mut serde_json::Value) {
    let Some(fields) = check.as_object_mut() else {
        return;
    };
    if fields.get("outcome") == Some(&value(CheckOutcome::Skipped)) {
        return;
    }
    if let Some(serde_json::Value::String(detail)) = fields.remove("detail") {
        let digest = Sha256Digest::of(detail.as_bytes());
        fields.insert("detail_sha256".to_owned(), value(digest));
    }
}

/// What a check found: as its digest where an application `answered` it, else its beginning.
fn keep_little(check: &mut serde_json::Value, answered: bool) {
    let Some(serde_json::Value::String(actual)) = check.get_mut("actual") else {
        return;
    };
    if answered && !actual.is_empty() {
        *actual = Sha256Digest::of(actual.as_bytes()).to_string();
    } else if actual.chars().count() > ACTUAL_CHARACTERS_MAX {
        *actual = actual.chars().take(ACTUAL_CHARACTERS_MAX).collect();
        actual.push('…');
    }
}

/// The drill that a receipt speaks of, without what was said by others.
pub(crate) fn from_receipt(statement: &resguardo_model::receipt::Statement) -> Option<DrillDone> {
    let predicate = &statement.predicate;
    if predicate.verb != Verb::Drill {
        return None;
    }
    let mut fields: serde_json::Map<_, _> = predicate.details.clone().into_iter().collect();
    for (name, value) in [
        ("run", value(predicate.run)),
        ("source", value(&predicate.source)),
        ("started_at", value(predicate.started_at)),
        ("finished_at", value(predicate.finished_at)),
        ("host", value(&predicate.host)),
        ("operator", value(&predicate.operator)),
        ("tools", value(&predicate.tools)),
        ("receipt", serde_json::Value::Null),
    ] {
        fields.insert(name.to_owned(), value);
    }
    serde_json::from_value(fields.into()).ok()
}

#[cfg(test)]
mod tests {
    use resguardo_model::CheckResult;

    use super::*;

    fn sealed(outcome: CheckOutcome) -> serde_json::Value {
        let mut check = CheckResult::new("health", outcome, "status 200", "status 500");
        check.detail = "token=s3cret".to_owned();
        let mut check = value(check);
        seal_detail(&mut check);
        check
    }

    #[test]
    fn what_others_said_is_kept_as_its_digest() {
        for outcome in [CheckOutcome::Failed, CheckOutcome::Error] {
            let check = sealed(outcome);
            assert!(!check.to_string().contains("s3cret"), "{check}");
            let digest = Sha256Digest::of(b"token=s3cret");
            assert_eq!(check["detail_sha256"], value(digest));
        }
        // Why something was skipped are our words.
        assert_eq!(sealed(CheckOutcome::Skipped)["detail"], "token=s3cret");
    }

    #[test]
    fn what_an_application_answered_is_kept_as_its_digest_and_what_a_query_found_is_cut() {
        let check = |actual: &str| value(CheckResult::new("x", CheckOutcome::Failed, "", actual));
        let mut answered = check("body: s3cret");
        keep_little(&mut answered, true);
        assert_eq!(answered["actual"], value(Sha256Digest::of(b"body: s3cret")));
        let long = "ñ".repeat(ACTUAL_CHARACTERS_MAX + 1);
        let mut found = check(&long);
        keep_little(&mut found, false);
        let cut = found["actual"].as_str().unwrap();
        assert_eq!(cut.chars().count(), ACTUAL_CHARACTERS_MAX + 1);
        assert!(cut.ends_with("ñ…"), "{cut}");
        for (actual, answered) in [("165", false), ("", true)] {
            let mut little = check(actual);
            keep_little(&mut little, answered);
            assert_eq!(little["actual"], actual);
        }
    }
}
