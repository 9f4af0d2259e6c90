//! Hours in which nothing is to begin: `08:00-20:00`, `mon-fri 08:00-20:00`, `sat,sun 00:00-24:00`.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A stretch of the clock, on some days of the week. One that ends before it begins goes over midnight and
/// belongs to the day on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    text: String,
    /// From Monday.
    days: [bool; 7],
    /// Minutes after midnight, included.
    from: u16,
    /// Minutes after the same midnight, not included; beyond a day for one that goes over midnight.
    to: u16,
}

/// The text is no window.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no stretch of the day; write one like 08:00-20:00 or mon-fri 08:00-20:00")]
pub struct NotAWindow(pub String);

impl FromStr for Window {
    type Err = NotAWindow;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let words: Vec<&str> = text.split_whitespace().collect();
            let (days, hours) = match words.as_slice() {
                [hours] => ([true; 7], hours),
                [days, hours] => (days_of(&days.to_ascii_lowercase())?, hours),
                _ => return None,
            };
            let (from, to) = hours.split_once('-')?;
            let (from, to) = (minutes(from)?, minutes(to)?);
            if from == to || from == DAY {
                return None;
            }
            Some((days, from, if to < from { to + DAY } else { to }))
        };
        let (days, from, to) = read().ok_or_else(|| NotAWindow(text.to_owned()))?;
        Ok(Self {
            text: text.to_owned(),
            days,
            from,
            to,
        })
    }
}

/// `mon`, `mon-fri`, `sat,sun`; `fri-mon` goes over Sunday.
fn days_of(text: &str) -> Option<[bool; 7]> {
    let day = |word: &str| WEEKDAYS.iter().position(|(name, _)| *name == word);
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let count = (last + 7 - first) % 7;
        for step in 0..=count {
            days[(first + step) % 7] = true;
        }
    }
    Some(days)
}

/// `08:00` in minutes; `24:00` is the day's end.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| {
        let fits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| fits)
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY).then_some(all)
}

impl Window {
    /// When the window that `at` lies in ends; `None` if it lies in none.
    fn end(&self, at: DateTime) -> Option<DateTime> {
        let minute = u16::try_from(at.hour()).ok()? * 60 + u16::try_from(at.minute()).ok()?;
        let today = at.date();
        for (day, minute) in [(today, minute), (today.yesterday().ok()?, minute + DAY)] {
            let begins = self.days[usize::try_from(day.weekday().to_monday_zero_offset()).ok()?];
            if begins && (self.from..self.to).contains(&minute) {
                return day
                    .to_datetime(jiff::civil::Time::midnight())
                    .checked_add(i64::from(self.to).minutes())
                    .ok();
            }
        }
        None
    }
}

/// The first moment from `at` on that lies in no window; `None` if the windows leave none within two weeks.
#[must_use]
pub fn first_free(windows: &[Window], at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let horizon = at.checked_add((14 * 24).hours()).ok()?;
    let mut at = at;
    loop {
        let shown = zone.to_datetime(at);
        let Some(end) = windows.iter().filter_map(|window| window.end(shown)).max() else {
            return Some(at);
        };
        // In a repeated hour the first time that the clock shows the end may lie behind: then the second does not.
        let ends = zone.to_ambiguous_timestamp(end);
        let first = ends.earlier().ok()?;
        at = if first > at {
            first
        } else {
            ends.later().ok()?
        };
        if at > horizon {
            return None;
        }
    }
}

/// Whether the windows take all of the week, so that nothing could ever begin.
#[must_use]
pub fn leave_no_room(windows: &[Window]) -> bool {
    first_free(windows, Timestamp::UNIX_EPOCH, &TimeZone::UTC).is_none()
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn free(windows: &[&str], at: &str, zone: &str) -> Option<String> {
        let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
        let zone = TimeZone::get(zone).unwrap();
        let at = at.parse::<DateTime>().unwrap();
        let at = zone.to_timestamp(at).unwrap();
        let free = first_free(&windows, at, &zone)?;
        Some(zone.to_datetime(free).strftime("%a %d %H:%M").to_string())
    }

    #[test]
    fn what_falls_into_a_window_waits_for_its_end() {
        let day = ["08:00-20:00"];
        for (at, expected) in [
            ("2026-11-23T07:59", "Mon 23 07:59"),
            ("2026-11-23T08:00", "Mon 23 20:00"),
            ("2026-11-23T19:59", "Mon 23 20:00"),
            ("2026-11-23T20:00", "Mon 23 20:00"),
        ] {
            assert_eq!(free(&day, at, "America/Bogota").unwrap(), expected, "{at}");
        }
        let night = ["fri-sat 22:00-06:00"];
        for (at, expected) in [
            ("2026-11-27T21:00", "Fri 27 21:00"),
            ("2026-11-27T23:00", "Sat 28 06:00"),
            ("2026-11-29T05:00", "Sun 29 06:00"),
            ("2026-11-29T23:00", "Sun 29 23:00"),
            ("2026-11-27T05:00", "Fri 27 05:00"),
        ] {
            assert_eq!(
                free(&night, at, "America/Bogota").unwrap(),
                expected,
                "{at}"
            );
        }
    }

    #[test]
    fn windows_that_touch_are_one() {
        let both = ["mon-fri 08:00-24:00", "sat 00:00-06:00", "20:00-23:00"];
        assert_eq!(
            free(&both, "2026-11-27T21:00", "UTC").unwrap(),
            "Sat 28 06:00"
        );
        assert_eq!(free(&["00:00-24:00"], "2026-11-27T21:00", "UTC"), None);
        let windows = |texts: &[&str]| -> Vec<Window> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        assert!(!leave_no_room(&windows(&[
            "mon-fri 00:00-24:00",
            "sat,sun 12:00-11:59"
        ])));
        assert!(leave_no_room(&windows(&[
            "mon-fri 00:00-24:00",
            "sat-sun 00:00-24:00"
        ])));
    }

    #[test]
    fn the_repeated_hour_has_an_end() {
        // Madrid: at 03:00 it is 02:00 again.
        assert_eq!(
            free(&["02:00-02:30"], "2026-10-25T02:10", "Europe/Madrid").unwrap(),
            "Sun 25 02:30"
        );
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "08:00",
            "08:00-08:00",
            "8-20",
            "08:00-25:00",
            "08:60-09:00",
            "24:00-06:00",
            "xyz 08:00-20:00",
            "mon 08:00 20:00",
            "08:00-20:00 mon",
            "ñ-ñ",
        ] {
            assert_eq!(text.parse::<Window>(), Err(NotAWindow(text.to_owned())));
        }
    }
}
