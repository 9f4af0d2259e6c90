//! Calendar units: which hour, day, week, month or year a backup belongs to, in the policy's zone.

use std::fmt;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// A calendar unit of which the newest backup is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Hours. An hour that the clocks repeat is two.
    Hourly,
    /// Days.
    Daily,
    /// ISO weeks: from Monday.
    Weekly,
    /// Months.
    Monthly,
    /// Years.
    Yearly,
}

impl Tier {
    /// Every tier, the shortest first.
    pub const ALL: [Self; 5] = [
        Self::Hourly,
        Self::Daily,
        Self::Weekly,
        Self::Monthly,
        Self::Yearly,
    ];

    /// Its word in a config and in explanations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
        }
    }

    /// The unit that `at` lies in.
    #[must_use]
    pub fn bucket(self, at: &Zoned) -> Bucket {
        let day = at.date();
        let start = match self {
            // The same hour on the clock before and after it was set back is told apart by its instant.
            Self::Hourly => {
                let into = i128::from(at.minute()) * 60 + i128::from(at.second());
                let second = at.timestamp().as_nanosecond().div_euclid(1_000_000_000);
                Start::Hour {
                    begins: second - into,
                    day,
                    hour: at.hour(),
                    repeated: is_repeated(at),
                }
            }
            Self::Daily => Start::Day(day),
            Self::Weekly => {
                let into = day.weekday().to_monday_zero_offset();
                // Only the first days of the calendar have no Monday before them.
                Start::Day(day.checked_sub(i64::from(into).days()).unwrap_or(Date::MIN))
            }
            Self::Monthly => Start::Day(day.first_of_month()),
            Self::Yearly => Start::Day(day.first_of_year()),
        };
        Bucket { tier: self, start }
    }
}

fn is_repeated(at: &Zoned) -> bool {
    let zone = at.time_zone();
    zone.to_ambiguous_zoned(at.datetime()).is_ambiguous()
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One hour, day, week, month or year. Of one tier they sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    tier: Tier,
    start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Start {
    Hour {
        /// Seconds of the epoch; comes first, because it is what hours are sorted by.
        begins: i128,
        day: Date,
        hour: i8,
        repeated: bool,
    },
    Day(Date),
}

impl Bucket {
    /// The tier whose unit it is.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }
}

impl fmt::Display for Bucket {
    /// `daily 2026-11-20`, `weekly 2026-W47`, `monthly 2026-11`, `hourly 2026-11-20 14:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.tier)?;
        match (self.tier, self.start) {
            (
                _,
                Start::Hour {
                    begins,
                    day,
                    hour,
                    repeated,
                },
            ) => {
                write!(f, "{day} {hour:02}:00")?;
                let begins = i64::try_from(begins).ok();
                match begins.and_then(|begins| Timestamp::from_second(begins).ok()) {
                    Some(begins) if repeated => write!(f, " ({})", begins.strftime("%H:%MZ")),
                    _ => Ok(()),
                }
            }
            (Tier::Weekly, Start::Day(day)) => {
                let week = day.iso_week_date();
                write!(f, "{:04}-W{:02}", week.year(), week.week())
            }
            (Tier::Monthly, Start::Day(day)) => write!(f, "{:04}-{:02}", day.year(), day.month()),
            (Tier::Yearly, Start::Day(day)) => write!(f, "{:04}", day.year()),
            (_, Start::Day(day)) => write!(f, "{day}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn bucket(tier: Tier, at: &str, zone: &str) -> Bucket {
        let zone = TimeZone::get(zone).unwrap();
        tier.bucket(&at.parse::<Timestamp>().unwrap().to_zoned(zone))
    }

    #[test]
    fn units_are_those_of_the_zone() {
        for (tier, at, zone, shown) in [
            (
                Tier::Daily,
                "2026-11-21T03:00:00Z",
                "America/Bogota",
                "daily 2026-11-20",
            ),
            (
                Tier::Daily,
                "2026-11-21T03:00:00Z",
                "UTC",
                "daily 2026-11-21",
            ),
            (
                Tier::Weekly,
                "2027-01-03T12:00:00Z",
                "UTC",
                "weekly 2026-W53",
            ),
            (
                Tier::Weekly,
                "2024-12-30T12:00:00Z",
                "UTC",
                "weekly 2025-W01",
            ),
            (
                Tier::Monthly,
                "2026-12-01T01:00:00Z",
                "America/Bogota",
                "monthly 2026-11",
            ),
            (
                Tier::Yearly,
                "2027-01-01T01:00:00Z",
                "America/Bogota",
                "yearly 2026",
            ),
            (
                Tier::Hourly,
                "2026-11-20T19:59:59Z",
                "America/Bogota",
                "hourly 2026-11-20 14:00",
            ),
        ] {
            assert_eq!(bucket(tier, at, zone).to_string(), shown);
        }
    }

    #[test]
    fn an_hour_that_is_repeated_is_two() {
        let zone = "Europe/Madrid";
        let first = bucket(Tier::Hourly, "2026-10-25T00:30:00Z", zone);
        let second = bucket(Tier::Hourly, "2026-10-25T01:30:00Z", zone);
        assert!(first < second);
        assert_eq!(first.to_string(), "hourly 2026-10-25 02:00 (00:00Z)");
        assert_eq!(second.to_string(), "hourly 2026-10-25 02:00 (01:00Z)");
    }

    #[test]
    fn the_ends_of_the_calendar_have_units_too() {
        for at in [Timestamp::MIN, Timestamp::MAX] {
            for tier in Tier::ALL {
                let bucket = tier.bucket(&at.to_zoned(TimeZone::UTC));
                assert!(bucket.to_string().starts_with(tier.word()));
            }
        }
    }
}
