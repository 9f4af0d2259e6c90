//! When the drills of a source will take longer than the RTO. Pure.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::forecast::{Line, Trend};

use super::{DrillFact, Forecast};

/// Beyond this nobody can tell.
const HORIZON: SignedDuration = SignedDuration::from_hours(5 * 366 * 24);
/// So long before it happens it is a risk.
pub(super) const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Drills within less time tell no trend.
const SPAN_MIN: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Of the RTO: what takes less of it may grow for other reasons than the data.
const SHARE_MIN: f64 = 0.1;

/// By how long the data of each time took to come back: what is drilled may be older than the drill.
pub(super) fn of(drills: &[DrillFact], target_seconds: u64, now: Timestamp) -> Option<Forecast> {
    let mut points: Vec<(Timestamp, f64)> = drills
        .iter()
        .filter(|drill| drill.came_back())
        .filter_map(|drill| Some((drill.taken_at.unwrap_or(drill.at), drill.rto_seconds?)))
        .collect();
    points.sort_by_key(|(at, _)| *at);
    let (begin, _) = *points.first()?;
    let drilled = drills.iter().map(|drill| drill.at);
    let span = drilled.clone().max()?.duration_since(drilled.min()?);
    #[expect(
        clippy::cast_precision_loss,
        reason = "targets are far below 2^52 seconds"
    )]
    let target = target_seconds as f64;
    let (end, newest) = *points.last()?;
    if span < SPAN_MIN || end.duration_since(begin) < SPAN_MIN || newest < target * SHARE_MIN {
        return None;
    }
    let days = |at: Timestamp| at.duration_since(begin).as_secs_f64() / 86_400.0;
    let points: Vec<(f64, f64)> = points.iter().map(|(at, y)| (days(*at), *y)).collect();
    let trend = Trend::of(&points)?;
    let at = |line: &Line| {
        let seconds = line.reaches(target) * 86_400.0;
        let length = SignedDuration::try_from_secs_f64(seconds).ok()?;
        let at = begin.checked_add(length).ok()?;
        (at.duration_since(now) <= HORIZON).then_some(at)
    };
    let crosses_at = at(&trend.likely)?;
    Some(Forecast {
        crosses_at,
        earliest: at(&trend.steep).map_or(crosses_at, |at| at.min(crosses_at)),
        latest: at(&trend.flat).map(|at| at.max(crosses_at)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_model::Verdict;

    use super::*;
    use crate::status::made::{DAY, ago, backup, drill, now};

    /// Monthly, the oldest first, each ten minutes longer than the one before; the last took so long.
    fn monthly(count: i64, last_minutes: f64) -> Vec<DrillFact> {
        let mut drills = Vec::new();
        let mut minutes = last_minutes;
        for month in 0..count {
            let age = (month * 30 + 1) * DAY;
            drills.push(DrillFact {
                rto_seconds: Some(minutes * 60.0),
                ..drill(age, backup(age), Verdict::Passed)
            });
            minutes -= 10.0;
        }
        drills.reverse();
        drills
    }

    #[test]
    fn growth_is_told_with_the_month_in_which_it_is_too_much() {
        let drills = monthly(10, 180.0);
        let forecast = of(&drills, 4 * 3600, now()).unwrap();
        // An hour more, at ten minutes a month.
        let days = forecast.crosses_at.duration_since(now()).as_hours() / 24;
        assert_eq!(days, 6 * 30 - 1);
        assert_eq!(Some(forecast.crosses_at), forecast.latest);
    }

    #[test]
    fn few_drills_and_no_growth_tell_nothing() {
        assert_eq!(of(&monthly(4, 180.0), 4 * 3600, now()), None);
        assert_eq!(of(&[], 4 * 3600, now()), None);
        let mut same = monthly(10, 180.0);
        for drill in &mut same {
            drill.rto_seconds = Some(600.0);
        }
        assert_eq!(of(&same, 4 * 3600, now()), None);
        // In a hundred years.
        assert_eq!(of(&monthly(10, 180.0), 400 * 3600, now()), None);
    }

    #[test]
    fn drills_of_a_few_days_and_quick_ones_tell_nothing() {
        let within = |span: i64, last_seconds: f64| {
            let drills: Vec<DrillFact> = (0..8_u32)
                .map(|number| {
                    let age = span * i64::from(7 - number) / 7 + 60;
                    DrillFact {
                        rto_seconds: Some(last_seconds * f64::from(number + 1) / 8.0),
                        ..drill(age, backup(age), Verdict::Passed)
                    }
                })
                .collect();
            of(&drills, 300, now()).is_some()
        };
        assert!(!within(600, 0.5));
        assert!(!within(600, 200.0));
        assert!(!within(13 * DAY, 200.0));
        assert!(within(14 * DAY, 200.0));
        assert!(within(14 * DAY, 30.0));
        assert!(!within(14 * DAY, 29.0));
    }

    #[test]
    fn old_backups_drilled_on_one_day_tell_nothing() {
        let mut drills = monthly(10, 180.0);
        for drill in &mut drills {
            drill.at = ago(60);
        }
        assert_eq!(of(&drills, 4 * 3600, now()), None);
    }

    #[test]
    fn noise_widens_what_is_said() {
        let mut drills = monthly(12, 180.0);
        let noise = [
            3.0, -7.0, 1.0, 9.0, -2.0, -11.0, 5.0, 0.0, 8.0, -4.0, -9.0, 6.0,
        ];
        for (drill, minutes) in drills.iter_mut().zip(noise) {
            drill.rto_seconds = drill.rto_seconds.map(|seconds| seconds + minutes * 60.0);
        }
        let forecast = of(&drills, 6 * 3600, now()).unwrap();
        assert!(forecast.earliest < forecast.crosses_at);
        assert!(
            forecast
                .latest
                .is_none_or(|latest| latest > forecast.crosses_at)
        );
        assert!(ago(0) < forecast.earliest);
    }

    #[test]
    fn a_drill_that_failed_measures_nothing() {
        let mut drills = monthly(10, 180.0);
        for drill in &mut drills[..6] {
            drill.verdict = Verdict::Failed;
            drill.failed = vec!["active tenants".to_owned()];
        }
        assert_eq!(of(&drills, 4 * 3600, now()), None);
    }
}
