//! When something is to run: five fields of cron, or plain words, read in a time zone.
//!
//! A schedule is about a wall clock, and clocks go forward and back. A time of day that a zone skips comes
//! once, at the moment the gap ends; one that it has twice comes once, the first time. Only where every hour
//! matches (the hour field is `*`) a schedule follows the passing of time instead: every quarter of an hour
//! stays every quarter of an hour, in the repeated hour too.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod words;

/// The longest stretch that a zone ever skipped is a day; and the times in it come when it ends.
const GAP_MAX: SignedDuration = SignedDuration::from_hours(25);

/// When something is to run.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    /// It comes when one of them does.
    crons: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    cron: Cron,
    /// Every hour matches.
    every_hour: bool,
}

/// The text is no schedule.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotASchedule {
    /// It is neither words that mean one, nor five fields.
    #[error("{text:?} is not a schedule")]
    Unknown {
        /// The text.
        text: String,
    },
    /// It reads as one, but for one word or field.
    #[error("{text:?} is not a schedule: {why}")]
    Wrong {
        /// The text.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// No date fits, as on the 30th of February.
    #[error("{text:?} never comes")]
    Never {
        /// The text.
        text: String,
    },
}

impl FromStr for Schedule {
    type Err = NotASchedule;

    /// Five fields (minute, hour, day, month, weekday), or words: `hourly`, `every 15m`, `daily 02:00`,
    /// `weekdays 20:30`, `weekly sunday 04:00`, `monthly 1 04:00`, `monthly first sunday 04:00`,
    /// `monthly last 23:00`, `yearly 01-15 04:00`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let crons = if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
            words::patterns(text)?
        } else if text.split_whitespace().count() == 5 {
            vec![text.to_owned()]
        } else {
            return Err(NotASchedule::Unknown {
                text: text.to_owned(),
            });
        };
        let crons: Vec<Pattern> = crons
            .iter()
            .map(|cron| Pattern::of(cron, text))
            .collect::<Result<_, _>>()?;
        let schedule = Self {
            text: text.to_owned(),
            crons,
        };
        // Leap years and weekdays together come round within 28 years; 1970 is as good a begin as any.
        match schedule.after(Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            Some(_) => Ok(schedule),
            None => Err(NotASchedule::Never {
                text: schedule.text,
            }),
        }
    }
}

impl Pattern {
    fn of(cron: &str, text: &str) -> Result<Self, NotASchedule> {
        // A list of nothing is taken for a field that no time fits, which is searched for to the end of time.
        let mut fields = cron.split_whitespace();
        if fields.any(|field| field.contains(',') && field.split(',').any(str::is_empty)) {
            return Err(NotASchedule::Wrong {
                text: text.to_owned(),
                why: "there is nothing beside a comma".to_owned(),
            });
        }
        let parsed = cron.parse::<Cron>().map_err(|error| NotASchedule::Wrong {
            text: text.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self {
            cron: parsed,
            every_hour: cron.split_whitespace().nth(1) == Some("*"),
        })
    }

    /// The next time on a wall clock, `from` included.
    fn on_the_wall(&self, from: DateTime) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, true).ok()
    }

    fn after(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.every_hour {
            self.after_as_time_passes(instant, zone)
        } else {
            self.after_on_the_wall(instant, zone)
        }
    }

    /// Times on the wall in their order, each at its one instant. That order is the instants' order too,
    /// though several in a gap share one.
    fn after_on_the_wall(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let begin = instant.checked_sub(GAP_MAX).unwrap_or(instant);
        let since = zone.preceding(instant).next();
        // What a gap took away lies before what the clock shows after it.
        let begin = if since.is_some_and(|changed| changed.timestamp() >= begin) {
            begin
        } else {
            instant
        };
        let mut wall = zone.to_datetime(begin);
        loop {
            wall = self.on_the_wall(wall)?;
            let comes = instant_of(wall, zone)?;
            if comes > instant {
                return Some(comes);
            }
            wall = wall.checked_add(1.minute()).ok()?;
        }
    }

    /// As long as the clock neither jumps forward nor back, wall and time agree.
    fn after_as_time_passes(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = instant.as_second().div_euclid(60) * 60;
        let mut from = Timestamp::from_second(whole.checked_add(60)?).ok()?;
        loop {
            let offset = zone.to_offset(from);
            let wall = self.on_the_wall(offset.to_datetime(from))?;
            let comes = offset.to_timestamp(wall).ok()?;
            match zone.following(from).next() {
                Some(change) if change.timestamp() <= comes => from = change.timestamp(),
                _ => return Some(comes),
            }
        }
    }
}

/// The first instant at which the wall shows that time, or the end of the gap that it falls into.
fn instant_of(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    if let jiff::tz::AmbiguousOffset::Gap { .. } = ambiguous.offset() {
        // Read with the offset from before, it lies at the change or behind it.
        let behind = ambiguous.later().ok()?.checked_add(1.nanosecond()).ok()?;
        return Some(zone.preceding(behind).next()?.timestamp());
    }
    ambiguous.earlier().ok()
}

impl Schedule {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When it comes next, later than `instant`.
    #[must_use]
    pub fn after(&self, instant: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let next = |pattern: &Pattern| pattern.after(instant, zone);
        self.crons.iter().filter_map(next).min()
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
