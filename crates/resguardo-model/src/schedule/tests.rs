//! Schedules in odd zones, against somebody who goes through them minute by minute.

#![allow(clippy::unwrap_used, reason = "test")]

use proptest::prelude::*;

use super::*;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// The first times after an instant, each as its zone's clock shows it.
fn times(text: &str, name: &str, from: &str, count: usize) -> Vec<String> {
    let (schedule, zone): (Schedule, _) = (text.parse().unwrap(), zone(name));
    let mut at: Timestamp = from.parse().unwrap();
    let next = |_| {
        at = schedule.after(at, &zone).unwrap();
        at.to_zoned(zone.clone())
            .strftime("%a %Y-%m-%d %H:%M %:z")
            .to_string()
    };
    (0..count).map(next).collect()
}

#[test]
fn words_mean_what_they_say() {
    for (words, fields) in [
        ("hourly", "0 * * * *"),
        ("hourly :15", "15 * * * *"),
        ("every 15m", "*/15 * * * *"),
        ("every 60m", "0 * * * *"),
        ("every 6h", "0 */6 * * *"),
        ("daily 02:00", "0 2 * * *"),
        ("weekdays 20:30", "30 20 * * 1-5"),
        ("weekly Sunday 04:00", "0 4 * * 0"),
        ("weekly sun,wed 04:00", "0 4 * * 0,3"),
        ("monthly 1 04:00", "0 4 1 * *"),
        ("monthly last 23:00", "0 23 L * *"),
        ("monthly first sunday 04:00", "0 4 * * 0#1"),
        ("monthly last friday 22:00", "0 22 * * 5#L"),
        ("yearly 01-15 04:00", "0 4 15 1 *"),
    ] {
        let from = "2026-11-22T09:30:00Z";
        assert_eq!(
            times(words, "America/Bogota", from, 40),
            times(fields, "America/Bogota", from, 40),
            "{words}"
        );
    }
    assert_eq!(
        times(
            "monthly first sunday 04:00",
            "UTC",
            "2026-11-22T00:00:00Z",
            2
        ),
        ["Sun 2026-12-06 04:00 +00:00", "Sun 2027-01-03 04:00 +00:00"]
    );
    assert_eq!(
        times(
            "monthly last friday 22:00",
            "UTC",
            "2026-11-22T00:00:00Z",
            2
        ),
        ["Fri 2026-11-27 22:00 +00:00", "Fri 2026-12-25 22:00 +00:00"]
    );
    assert_eq!(
        times("daily 02:00, 14:30", "UTC", "2026-11-22T02:00:00Z", 2),
        ["Sun 2026-11-22 14:30 +00:00", "Mon 2026-11-23 02:00 +00:00"]
    );
}

#[test]
fn what_is_no_schedule_says_why() {
    for (text, why) in [
        ("", "is not a schedule"),
        ("at two", "is not a schedule"),
        ("0 2 * *", "is not a schedule"),
        ("0 0 2 * * *", "is not a schedule"),
        ("61 2 * * *", "is not a schedule: "),
        ("daily", "a time of day is missing"),
        ("daily 25:00", "written like 02:00"),
        ("daily 2:0", "written like 02:00"),
        ("weekly caturday 02:00", "like sunday or sun"),
        ("monthly 32 02:00", "1 to 31"),
        ("every 7m", "divide an hour"),
        ("every 0m", "divide an hour"),
        ("every m", "divide an hour"),
        ("every ñ", "divide an hour"),
        ("hourly 15", "like :15"),
        ("yearly 13-01 02:00", "a month is 1 to 12"),
        ("0 2 30 2 *", "never comes"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_list_with_nothing_in_it_is_refused() {
    // Found by fuzzing: such a field fits no time, which was searched for to the end of all years.
    for text in ["* , * * *", "0 2, * * *", ",0 2 * * *", "0 2 1,,3 * *"] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains("nothing beside a comma"), "{error}");
    }
    "0 2,14 1,15 * *".parse::<Schedule>().unwrap();
}

#[test]
fn a_time_that_is_skipped_comes_once_when_the_gap_ends() {
    // Madrid, 29 March 2026: from 02:00 to 03:00.
    for text in ["30 2 * * *", "0,15,30 2 * * *", "0 2,3 * * *"] {
        let two = times(text, "Europe/Madrid", "2026-03-28T12:00:00Z", 2);
        assert_eq!(two[0], "Sun 2026-03-29 03:00 +02:00", "{text}");
        assert_eq!(&two[1][..14], "Mon 2026-03-30", "{text}");
    }
    assert_eq!(
        times("30 2,14 * * *", "Europe/Madrid", "2026-03-28T22:00:00Z", 3),
        [
            "Sun 2026-03-29 03:00 +02:00",
            "Sun 2026-03-29 14:30 +02:00",
            "Mon 2026-03-30 02:30 +02:00"
        ]
    );
    // Samoa had no 30 December 2011.
    assert_eq!(
        times("0 2 * * *", "Pacific/Apia", "2011-12-29T13:00:00Z", 2),
        ["Sat 2011-12-31 00:00 +14:00", "Sat 2011-12-31 02:00 +14:00"]
    );
}

#[test]
fn a_time_that_is_repeated_comes_once_the_first_time() {
    // Madrid, 25 October 2026: from 03:00 back to 02:00.
    for text in ["30 2 * * *", "30 2,14 * * *", "daily 02:30 14:30"] {
        let two = times(text, "Europe/Madrid", "2026-10-24T22:00:00Z", 2);
        assert_eq!(two[0], "Sun 2026-10-25 02:30 +02:00", "{text}");
        assert_ne!(two[1], "Sun 2026-10-25 02:30 +01:00", "{text}");
    }
    // Asked in the midst of the repeated hour.
    assert_eq!(
        times("45 2 * * *", "Europe/Madrid", "2026-10-25T01:15:00Z", 1),
        ["Mon 2026-10-26 02:45 +01:00"]
    );
}

#[test]
fn what_runs_every_hour_follows_the_passing_of_time() {
    assert_eq!(
        times("every 30m", "Europe/Madrid", "2026-10-25T00:15:00Z", 4),
        [
            "Sun 2026-10-25 02:30 +02:00",
            "Sun 2026-10-25 02:00 +01:00",
            "Sun 2026-10-25 02:30 +01:00",
            "Sun 2026-10-25 03:00 +01:00"
        ]
    );
    assert_eq!(
        times("every 30m", "Europe/Madrid", "2026-03-29T00:15:00Z", 3),
        [
            "Sun 2026-03-29 01:30 +01:00",
            "Sun 2026-03-29 03:00 +02:00",
            "Sun 2026-03-29 03:30 +02:00"
        ]
    );
}

/// Fields as sets.
#[derive(Clone, Debug)]
struct Fields {
    minutes: Vec<i8>,
    /// None: every hour.
    hours: Option<Vec<i8>>,
    /// From 0, Sunday; none: every day.
    weekdays: Option<Vec<i8>>,
}

impl Fields {
    fn text(&self) -> String {
        let list = |numbers: &[i8]| {
            let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            texts.join(",")
        };
        let set = |numbers: &Option<Vec<i8>>| numbers.as_deref().map_or("*".to_owned(), list);
        let (hours, weekdays) = (set(&self.hours), set(&self.weekdays));
        format!("{} {hours} * * {weekdays}", list(&self.minutes))
    }

    fn matches(&self, wall: DateTime) -> bool {
        let within = |numbers: &Option<Vec<i8>>, number: i8| {
            numbers.as_ref().is_none_or(|all| all.contains(&number))
        };
        self.minutes.contains(&wall.minute())
            && within(&self.hours, wall.hour())
            && within(&self.weekdays, wall.weekday().to_sunday_zero_offset())
    }

    /// Minute by minute, with nothing but the zone's offset.
    fn naive(&self, zone: &TimeZone, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
        let wall_at = |at: Timestamp| zone.to_datetime(at);
        // What the clock has shown; a repeated hour is not new. No zone repeats more than a day.
        let mut shown = wall_at(from - 24.hours());
        for back in (0..=24 * 60).rev() {
            shown = shown.max(wall_at(from - back.minutes()));
        }
        let mut all = Vec::new();
        for minute in 1..=minutes {
            let at = from + minute.minutes();
            let wall = wall_at(at);
            let comes = if self.hours.is_none() {
                self.matches(wall)
            } else {
                let mut skipped = shown + 1.minute();
                let mut any = false;
                while skipped <= wall {
                    any |= self.matches(skipped);
                    skipped += 1.minute();
                }
                any
            };
            if comes {
                all.push(at);
            }
            shown = shown.max(wall);
        }
        all
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    let some = |count: i8| proptest::collection::btree_set(0..count, 1..4);
    let list = |set: std::collections::BTreeSet<i8>| set.into_iter().collect::<Vec<_>>();
    (
        some(60),
        proptest::option::weighted(0.8, some(24)),
        proptest::option::of(some(7)),
    )
        .prop_map(move |(minutes, hours, weekdays)| Fields {
            minutes: list(minutes),
            hours: hours.map(list),
            weekdays: weekdays.map(list),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Around each change of the clocks in some odd zones, and anywhere else.
    #[test]
    fn agrees_with_going_through_it_minute_by_minute(
        fields in fields(),
        place in 0..7_usize,
        begin in 1_262_304_000..1_893_456_000_i64,
        at_a_change in any::<bool>(),
    ) {
        let zone = zone([
            "America/Bogota", "Europe/Madrid", "America/Santiago", "Australia/Lord_Howe",
            "Africa/Cairo", "Pacific/Apia", "America/New_York",
        ][place]);
        let mut from = Timestamp::from_second(begin / 60 * 60).unwrap();
        if at_a_change && let Some(change) = zone.following(from).next() {
            // Tables of zones end in a change that is none, in the midst of a minute.
            let minute = change.timestamp().as_second().div_euclid(60) * 60;
            from = Timestamp::from_second(minute).unwrap() - 13.hours();
        }
        let days = 3;
        let expected = fields.naive(&zone, from, days * 24 * 60);
        let schedule: Schedule = fields.text().parse().unwrap();
        let mut found = Vec::new();
        let mut at = from;
        while let Some(next) = schedule.after(at, &zone) {
            if next > from + (days * 24).hours() {
                break;
            }
            prop_assert!(next > at);
            found.push(next);
            at = next;
        }
        prop_assert_eq!(found, expected, "{} from {}", fields.text(), from);
    }
}
