//! Two lists of named things side by side: equal, or those that differ with both of their values.

use std::collections::{BTreeMap, BTreeSet};

use resguardo_model::{CheckOutcome, CheckResult};

/// Things that a failed check names.
const NAMED_MAX: usize = 8;
/// What stands for one that is not there.
pub(super) const ABSENT: &str = "missing";

/// Things by name, each as a text.
pub(super) type Named = BTreeMap<String, String>;

/// Passed with `summary` on both sides if they are equal, else failed with those that differ.
pub(super) fn compare(name: &str, summary: &str, expected: &Named, actual: &Named) -> CheckResult {
    let all: BTreeSet<&String> = expected.keys().chain(actual.keys()).collect();
    let differ: Vec<&String> = all
        .into_iter()
        .filter(|name| expected.get(*name) != actual.get(*name))
        .collect();
    if differ.is_empty() {
        return CheckResult::compare(name, summary, summary);
    }
    let side = |side: &Named| {
        let shown = differ.iter().take(NAMED_MAX).map(|name| {
            let value = side.get(*name).map_or(ABSENT, String::as_str);
            if value.is_empty() {
                format!("{name}: there")
            } else {
                format!("{name}: {value}")
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut result = CheckResult::new(name, CheckOutcome::Failed, side(expected), side(actual));
    result.detail = match differ.len() {
        count if count > NAMED_MAX => {
            format!("{count} differ; the first {NAMED_MAX} are named")
        }
        1 => "1 differs".to_owned(),
        count => format!("{count} differ"),
    };
    result
}

/// Passed if nothing is in `found`, else failed with the first of it.
pub(super) fn none(name: &str, expected: &str, found: &[String]) -> CheckResult {
    if found.is_empty() {
        return CheckResult::compare(name, expected, expected);
    }
    let mut shown = found
        .iter()
        .take(NAMED_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if found.len() > NAMED_MAX {
        shown.push_str(&format!(" and {} more", found.len() - NAMED_MAX));
    }
    CheckResult::new(name, CheckOutcome::Failed, expected, shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(things: &[(&str, &str)]) -> Named {
        let thing = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        things.iter().map(thing).collect()
    }

    #[test]
    fn those_that_differ_are_named_with_both_values() {
        let expected = named(&[("a", "1"), ("b", "2"), ("c", "")]);
        let same = compare("n", "3 things", &expected, &expected);
        assert_eq!(same.outcome, CheckOutcome::Passed);
        assert_eq!(same.actual, "3 things");
        let other = compare(
            "n",
            "3 things",
            &expected,
            &named(&[("a", "1"), ("b", "3"), ("d", "4")]),
        );
        assert_eq!(other.outcome, CheckOutcome::Failed);
        assert_eq!(other.expected, "b: 2, c: there, d: missing");
        assert_eq!(other.actual, "b: 3, c: missing, d: 4");
        assert_eq!(other.detail, "3 differ");
    }

    #[test]
    fn long_lists_are_cut() {
        let found: Vec<String> = (0..10).map(|number| format!("i{number}")).collect();
        let result = none("n", "none", &found);
        assert!(
            result.actual.ends_with("i7 and 2 more"),
            "{}",
            result.actual
        );
        assert_eq!(none("n", "none", &[]).outcome, CheckOutcome::Passed);
    }
}
