//! A query that cannot write, and what it must answer.

use regex::Regex;
use resguardo_engine::port::Rows;
use resguardo_model::{CheckOutcome, CheckResult};

use super::Restored;
use crate::run::described;
use crate::source::{CheckSpec, Expectation};

/// Rows that are fetched at most, whatever is expected.
const ROWS_MAX: u64 = 1_000_000;

pub(super) fn run(
    restored: &Restored<'_>,
    check: &CheckSpec,
    sql: &str,
    expect: &Expectation,
) -> CheckResult {
    let expected = words(expect);
    if let Err(why) = expect.validate() {
        return CheckResult::error(&check.name, expected, why);
    }
    if expect.rows.is_some_and(|rows| rows >= ROWS_MAX) {
        let why = format!("rows is counted up to {ROWS_MAX} only; select count(*) instead");
        return CheckResult::error(&check.name, expected, why);
    }
    // One more than expected tells "too many"; two tell "not the only one".
    let wanted = expect.rows.unwrap_or(1) + 1;
    let rows_max = usize::try_from(wanted).expect("at most ROWS_MAX");
    let ctx = restored.ctx;
    match restored
        .target
        .query(sql, rows_max, check.timeout, ctx.run())
    {
        Ok(answer) => judge(&check.name, expect, &answer),
        Err(error) => CheckResult::error(&check.name, expected, described(&error)),
    }
}

/// What is expected, in words.
fn words(expect: &Expectation) -> String {
    let mut parts = Vec::new();
    if let Some(equals) = &expect.equals {
        parts.push(equals.clone());
    }
    if let Some(min) = expect.min {
        parts.push(format!("at least {min}"));
    }
    if let Some(max) = expect.max {
        parts.push(format!("at most {max}"));
    }
    if let Some(pattern) = &expect.matches {
        parts.push(format!("a match of /{pattern}/"));
    }
    if let Some(rows) = expect.rows {
        parts.push(count(rows, ""));
    }
    parts.join(" and ")
}

fn count(rows: u64, more: &str) -> String {
    let noun = if rows == 1 && more.is_empty() {
        "row"
    } else {
        "rows"
    };
    format!("{more}{rows} {noun}")
}

fn judge(name: &str, expect: &Expectation, answer: &Rows) -> CheckResult {
    let found = answer.rows.len() as u64;
    let mut failures = Vec::new();
    let mut actual = Vec::new();
    if expect.equals.is_some()
        || expect.min.is_some()
        || expect.max.is_some()
        || expect.matches.is_some()
    {
        // With `rows` it is the first row that counts; without, there must be only one.
        let only = found == 1 && !answer.truncated || expect.rows.is_some() && found > 0;
        if only {
            let value = answer.rows[0].first().cloned().flatten();
            failures.extend(value_failures(expect, value.as_deref()));
            actual.push(value.unwrap_or_else(|| "NULL".to_owned()));
        } else {
            failures.push("one row was expected".to_owned());
        }
    }
    if expect
        .rows
        .is_some_and(|rows| rows != found || answer.truncated)
    {
        failures.push("another number of rows was expected".to_owned());
    }
    if expect.rows.is_some() || actual.is_empty() {
        let more = match (answer.truncated, found) {
            (true, _) => "more than ",
            // Without `rows` two were fetched at most.
            (false, 2..) if expect.rows.is_none() => "at least ",
            _ => "",
        };
        actual.push(count(found, more));
    }
    let outcome = if failures.is_empty() {
        CheckOutcome::Passed
    } else {
        CheckOutcome::Failed
    };
    let mut result = CheckResult::new(name, outcome, words(expect), actual.join(", "));
    result.detail = failures.join("; ");
    result
}

fn value_failures(expect: &Expectation, value: Option<&str>) -> Vec<String> {
    let Some(value) = value else {
        return vec!["NULL fulfils nothing".to_owned()];
    };
    let mut failures = Vec::new();
    if let Some(equals) = &expect.equals
        && !is_same(equals, value)
    {
        failures.push("another value was expected".to_owned());
    }
    if expect.min.is_some() || expect.max.is_some() {
        match value.trim().parse::<f64>() {
            Ok(number) if !number.is_nan() => {
                if expect.min.is_some_and(|min| number < min) {
                    failures.push("it is too small".to_owned());
                }
                if expect.max.is_some_and(|max| number > max) {
                    failures.push("it is too great".to_owned());
                }
            }
            _ => failures.push("it is no number".to_owned()),
        }
    }
    if let Some(pattern) = &expect.matches
        && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(value))
    {
        failures.push("it does not match".to_owned());
    }
    failures
}

/// The same text, or the same number: `5`, `5.0` and `5.00` are one. So are PostgreSQL's `t` and `f` and the
/// 1 and 0 that SQLite has for them.
fn is_same(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (expected.trim(), actual.trim());
    if matches!(
        (expected, actual),
        ("1" | "true", "t") | ("0" | "false", "f")
    ) {
        return true;
    }
    if expected == actual {
        return true;
    }
    // Whole numbers are compared exactly, beyond what a float can tell apart.
    match (expected.parse::<i128>(), actual.parse::<i128>()) {
        (Ok(expected), Ok(actual)) => expected == actual,
        _ => match (expected.parse::<f64>(), actual.parse::<f64>()) {
            (Ok(expected), Ok(actual)) => expected == actual,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[Option<&str>]) -> Rows {
        let row = |value: &Option<&str>| vec![value.map(ToOwned::to_owned)];
        Rows {
            rows: values.iter().map(row).collect(),
            truncated: false,
        }
    }

    fn equals(value: &str) -> Expectation {
        Expectation {
            equals: Some(value.to_owned()),
            ..Expectation::default()
        }
    }

    #[test]
    fn each_expectation_holds_or_fails_with_both_sides() {
        let range = Expectation {
            min: Some(1.0),
            max: Some(9.5),
            ..Expectation::default()
        };
        let pattern = Expectation {
            matches: Some("^a+$".to_owned()),
            ..Expectation::default()
        };
        let three = Expectation {
            rows: Some(3),
            ..Expectation::default()
        };
        let a = Some("a");
        for (expect, answer, passes, expected, actual) in [
            (&equals("5"), rows(&[Some("5.0")]), true, "5", "5.0"),
            (&equals("5"), rows(&[Some("6")]), false, "5", "6"),
            (&equals("x"), rows(&[None]), false, "x", "NULL"),
            (&equals("x"), rows(&[]), false, "x", "0 rows"),
            (&equals("a"), rows(&[a, a]), false, "a", "at least 2 rows"),
            (
                &range,
                rows(&[Some("9.5")]),
                true,
                "at least 1 and at most 9.5",
                "9.5",
            ),
            (
                &range,
                rows(&[Some("0")]),
                false,
                "at least 1 and at most 9.5",
                "0",
            ),
            (
                &range,
                rows(&[Some("10")]),
                false,
                "at least 1 and at most 9.5",
                "10",
            ),
            (
                &range,
                rows(&[Some("many")]),
                false,
                "at least 1 and at most 9.5",
                "many",
            ),
            (
                &range,
                rows(&[Some("NaN")]),
                false,
                "at least 1 and at most 9.5",
                "NaN",
            ),
            (
                &pattern,
                rows(&[Some("aaa")]),
                true,
                "a match of /^a+$/",
                "aaa",
            ),
            (
                &pattern,
                rows(&[Some("b")]),
                false,
                "a match of /^a+$/",
                "b",
            ),
            (&three, rows(&[a, a, a]), true, "3 rows", "3 rows"),
            (&three, rows(&[a]), false, "3 rows", "1 row"),
        ] {
            let result = judge("a check", expect, &answer);
            let outcome = result.outcome;
            assert_eq!(outcome == CheckOutcome::Passed, passes, "{result:?}");
            assert_eq!(
                (result.expected.as_str(), result.actual.as_str()),
                (expected, actual)
            );
            assert_eq!(result.detail.is_empty(), passes);
        }
    }

    #[test]
    fn more_rows_than_were_fetched_are_too_many() {
        let expect = Expectation {
            rows: Some(1),
            ..Expectation::default()
        };
        let mut answer = rows(&[Some("a")]);
        answer.truncated = true;
        let result = judge("a check", &expect, &answer);
        assert_eq!(result.outcome, CheckOutcome::Failed);
        assert_eq!(result.actual, "more than 1 rows");
    }

    #[test]
    fn whole_numbers_are_compared_exactly() {
        assert!(!is_same("9007199254740993", "9007199254740992"));
        assert!(is_same("007", "7"));
        assert!(!is_same("x", "y"));
    }

    #[test]
    fn true_is_true_in_every_database() {
        assert!(is_same("1", "t") && is_same("0", "f") && is_same("1", "1"));
        assert!(!is_same("1", "f") && !is_same("0", "t"));
    }
}
