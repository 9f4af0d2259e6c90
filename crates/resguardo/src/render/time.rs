//! Times and lengths for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-22 02:00`, in `zone`.
#[must_use]
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// How long ago: `now`, `5 min`, `3 h`, `12 d`.
#[must_use]
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    match seconds {
        ..60 => "now".to_owned(),
        60..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago, in a sentence: `just now`, `5 min ago`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match age(at, now) {
        age if age == "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    }
}

/// A length in seconds: `0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`, `3 d 4 h`.
#[must_use]
pub fn length(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.2} s");
    }
    if seconds < 99.95 {
        return format!("{seconds:.1} s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive length of less than the age of the universe"
    )]
    let whole = seconds.round() as u64;
    match whole {
        ..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3_600..86_400 => format!("{} h {:02} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_lengths() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (seconds, text) in [
            (-5, "now"),
            (59, "now"),
            (90, "1 min"),
            (7_200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(
                age(now - jiff::SignedDuration::from_secs(seconds), now),
                text
            );
        }
        let minute = jiff::SignedDuration::from_secs(60);
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now - minute, now), "1 min ago");
        for (seconds, text) in [
            (0.001, "0.00 s"),
            (9.5, "9.50 s"),
            (12.34, "12.3 s"),
            (245.0, "4 min 05 s"),
            (7_400.0, "2 h 03 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(length(seconds), text);
        }
        assert_eq!(moment(now, &TimeZone::UTC), "2026-11-22 12:00");
    }
}
