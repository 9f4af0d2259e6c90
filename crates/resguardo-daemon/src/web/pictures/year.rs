//! A year as 53 columns of 7 days.

use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};
use maud::{Markup, PreEscaped, html};

use crate::web::figures::Say;
use crate::web::view::Day;

/// Side of a day and the way to the next, in units of the drawing.
const SIDE: i32 = 12;
const STEP: i32 = 15;
const LEFT: i32 = 4;
const TOP: i32 = 18;
const WEEKS: i32 = 53;

/// What a day is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nothing,
    Backup,
    Passed,
    FailedRun,
    FailedDrill,
}

impl Kind {
    fn of(day: &Day) -> Self {
        if day.failed > 0 {
            Self::FailedDrill
        } else if day.failed_runs > 0 || day.errors > 0 {
            Self::FailedRun
        } else if day.passed > 0 {
            Self::Passed
        } else if day.backups > 0 {
            Self::Backup
        } else {
            Self::Nothing
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Nothing => "c0",
            Self::Backup => "c1",
            Self::Passed => "c2",
            Self::FailedRun => "c3",
            Self::FailedDrill => "c4",
        }
    }

    /// What is drawn over the colour, so that the colour alone says nothing.
    fn mark(self, x: i32, y: i32) -> String {
        match self {
            Self::Nothing | Self::Backup => String::new(),
            Self::Passed => format!("M{} {}l2.200 2.500 4-5", x + 3, y + 6),
            Self::FailedRun => format!("M{} {}h6", x + 3, y + 6),
            Self::FailedDrill => format!("M{} {}l6 6m0-6-6 6", x + 3, y + 3),
        }
    }
}

/// The year until `until`, and a legend.
#[must_use]
pub fn year(say: &Say, days: &[Day], until: Date) -> Markup {
    let words = say.words();
    let known: HashMap<Date, &Day> = days.iter().map(|day| (day.date, day)).collect();
    let first = first_day(until);
    let (mut shapes, mut marks, mut months) = (String::new(), String::new(), String::new());
    let mut plain = [String::new(), String::new()];
    let mut day = first;
    while day <= until {
        let (column, row) = place(first, day);
        let (x, y) = (LEFT + column * STEP, TOP + row * STEP);
        let kind = known.get(&day).map_or(Kind::Nothing, |day| Kind::of(day));
        let square = format!("M{x} {y}h{SIDE}v{SIDE}h-{SIDE}z");
        match kind {
            Kind::Nothing => plain[0].push_str(&square),
            Kind::Backup => plain[1].push_str(&square),
            Kind::Passed | Kind::FailedRun | Kind::FailedDrill => {
                let title = known
                    .get(&day)
                    .map_or_else(String::new, |day| told(say, day));
                let _ = write!(
                    shapes,
                    "<path class=\"{}\" d=\"{square}\"><title>{title}</title></path>",
                    kind.class()
                );
                marks.push_str(&kind.mark(x, y));
            }
        }
        if day.day() == 1 && column < WEEKS - 1 {
            let name = say.month(day);
            let _ = write!(months, "<text x=\"{x}\" y=\"11\">{name}</text>");
        }
        day = match day.tomorrow() {
            Ok(next) => next,
            Err(_) => break,
        };
    }
    let height = TOP + 7 * STEP;
    let width = LEFT + WEEKS * STEP;
    // Everything in these texts is ours: names of months, numbers, words.
    html! {
        figure {
            div.scroll tabindex="0" role="group" aria-label=(words.year_title) {
                svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(summary(say, days)) {
                    (PreEscaped(format!(
                        "{months}<path class=\"c0\" d=\"{}\"/><path class=\"c1\" d=\"{}\"/>{shapes}<path class=\"on\" d=\"{marks}\"/>",
                        plain[0], plain[1]
                    )))
                }
            }
            ul.legend aria-hidden="true" {
                @for (kind, word) in [
                    (Kind::Backup, words.year_backup),
                    (Kind::Passed, words.year_passed),
                    (Kind::FailedDrill, words.year_failed),
                    (Kind::FailedRun, words.year_failed_run),
                    (Kind::Nothing, words.year_nothing),
                ] {
                    li {
                        svg viewBox="0 0 12 12" { (PreEscaped(format!(
                            "<path class=\"{}\" d=\"M0 0h12v12H0z\"/><path class=\"on\" d=\"{}\"/>",
                            kind.class(), kind.mark(0, 0)
                        ))) }
                        (word)
                    }
                }
            }
            figcaption { (summary(say, days)) }
        }
    }
}

/// The Monday of the first of 53 weeks.
fn first_day(until: Date) -> Date {
    let back = i32::from(until.weekday().since(Weekday::Monday)) + 7 * (WEEKS - 1);
    until.saturating_sub(back.days())
}

/// The column and the row of a day.
fn place(first: Date, day: Date) -> (i32, i32) {
    let days = day.since(first).map_or(0, |span| span.get_days());
    (days / 7, days % 7)
}

/// A day in words.
fn told(say: &Say, day: &Day) -> String {
    let words = say.words();
    let mut parts = Vec::new();
    for (count, pattern) in [
        (day.backups, words.count_backups),
        (day.passed, words.count_passed),
        (day.failed, words.count_failed),
        (day.errors, words.count_errors),
        (day.failed_runs, words.count_failed_runs),
    ] {
        if count > 0 {
            parts.push(pattern.replace("{}", &count.to_string()));
        }
    }
    format!("{}: {}", say.date(day.date), parts.join(", "))
}

/// The year in words.
#[must_use]
fn summary(say: &Say, days: &[Day]) -> String {
    let words = say.words();
    let sum = |count: fn(&Day) -> u32| days.iter().map(|day| u64::from(count(day))).sum::<u64>();
    let with_backup = days.iter().filter(|day| day.backups > 0).count() as u64;
    [
        (with_backup, words.count_days),
        (sum(|day| day.passed), words.count_passed),
        (sum(|day| day.failed), words.count_failed),
        (sum(|day| day.errors), words.count_errors),
        (sum(|day| day.failed_runs), words.count_failed_runs),
    ]
    .into_iter()
    // Of the rare ones nothing is said where there are none.
    .filter(|(count, pattern)| *count > 0 || *pattern != words.count_errors)
    .map(|(count, pattern)| pattern.replace("{}", &say.number(count)))
    .collect::<Vec<_>>()
    .join("; ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    #[test]
    fn a_drill_that_could_not_be_carried_out_is_none_that_failed() {
        let say = Say {
            language: crate::web::Language::En,
            zone: jiff::tz::TimeZone::UTC,
            now: "2026-11-22T15:00:00Z".parse().unwrap(),
        };
        let day = Day {
            date: "2026-11-22".parse().unwrap(),
            backups: 1,
            passed: 0,
            failed: 0,
            errors: 1,
            failed_runs: 0,
        };
        assert_eq!(Kind::of(&day), Kind::FailedRun);
        let told = summary(&say, &[day]);
        assert_eq!(
            told,
            "days with a backup: 1; drills passed: 0; drills failed: 0; \
             drills that could not be carried out: 1; failed runs: 0"
        );
    }

    #[test]
    fn fifty_three_weeks_end_with_the_day() {
        for until in ["2026-11-22", "2026-11-23", "2028-02-29", "2026-01-01"] {
            let until: Date = until.parse().unwrap();
            let first = first_day(until);
            assert_eq!(first.weekday(), Weekday::Monday);
            let (column, row) = place(first, until);
            assert_eq!(column, WEEKS - 1);
            assert_eq!(row, i32::from(until.weekday().since(Weekday::Monday)));
        }
    }
}
