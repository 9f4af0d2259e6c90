//! RTO and RPO as checks: measured against the objectives of the environment, never assumed.

use resguardo_model::duration::Span;
use resguardo_model::{CheckOutcome, CheckResult};

/// The age of the backup against the RPO.
pub(super) fn rpo(objective: Span, seconds: Option<f64>) -> CheckResult {
    let Some(seconds) = seconds else {
        return unknown("RPO", objective, "it is not known when the data was taken");
    };
    if seconds < 0.0 {
        let why = "the backup was taken in the future: one of the clocks is wrong";
        return CheckResult::error("RPO", at_most(objective), why);
    }
    judge("RPO", objective, seconds)
}

/// The time from the start of the restore to the end of the checks against the RTO.
pub(super) fn rto(objective: Span, seconds: Option<f64>) -> CheckResult {
    match seconds {
        Some(seconds) => judge("RTO", objective, seconds),
        None => unknown(
            "RTO",
            objective,
            "the drill did not get as far as its checks",
        ),
    }
}

fn judge(name: &str, objective: Span, seconds: f64) -> CheckResult {
    #[expect(
        clippy::cast_precision_loss,
        reason = "objectives are far below 2^52 seconds"
    )]
    let met = seconds <= objective.seconds() as f64;
    let outcome = if met {
        CheckOutcome::Passed
    } else {
        CheckOutcome::Failed
    };
    CheckResult::new(name, outcome, at_most(objective), length(seconds))
}

fn unknown(name: &str, objective: Span, why: &str) -> CheckResult {
    let mut result = CheckResult::new(name, CheckOutcome::Skipped, at_most(objective), "");
    result.detail = why.to_owned();
    result
}

fn at_most(objective: Span) -> String {
    format!("at most {objective}")
}

/// A length of time for people: `0.84 s`, `12 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub(crate) fn length(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.2} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and a float saturates"
    )]
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    if days > 0 {
        format!("{days} d {hours} h")
    } else if hours > 0 {
        format!("{hours} h {minutes} min")
    } else {
        format!("{minutes} min {} s", whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Span = Span::from_seconds(3600);

    #[test]
    fn an_objective_is_met_missed_or_not_measured() {
        use CheckOutcome::{Error, Failed, Passed, Skipped};
        for (seconds, outcome) in [
            (Some(3600.0), Passed),
            (Some(3600.5), Failed),
            (Some(-1.0), Error),
            (None, Skipped),
        ] {
            assert_eq!(rpo(HOUR, seconds).outcome, outcome, "{seconds:?}");
        }
        assert_eq!(rto(HOUR, None).outcome, Skipped);
        let missed = rto(HOUR, Some(7260.0));
        assert_eq!(missed.outcome, Failed);
        assert_eq!(
            (missed.expected.as_str(), missed.actual.as_str()),
            ("at most 1h", "2 h 1 min")
        );
    }

    #[test]
    fn lengths_read_well() {
        for (seconds, text) in [
            (0.842, "0.84 s"),
            (725.0, "12 min 5 s"),
            (12_000.0, "3 h 20 min"),
            (187_200.0, "2 d 4 h"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }
}
