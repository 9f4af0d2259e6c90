//! Numbers, sizes, lengths of time and moments, as each language writes them.
//!
//! Spanish here is that of the Academy and of most of America's software: a decimal comma, and a space
//! between thousands from five digits on.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::language::Language;
use super::words::{self, Words};

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
/// Up to here a length is told in hours, so that it can be compared with "24 h" at a glance.
const HOURS_MAX: f64 = 72.0 * HOUR;
/// Keeps a number and its unit on one line.
const NBSP: char = '\u{a0}';

/// How things are said on one page: its language, its zone, and what time it is.
#[derive(Clone, Debug)]
pub struct Say {
    /// The language.
    pub language: Language,
    /// The zone of all times on the page.
    pub zone: TimeZone,
    /// The moment that relative times are counted from.
    pub now: Timestamp,
}

/// Lengths of time, the largest first: seconds in one, and its place in the words of a language.
const STEPS: [(i64, usize); 6] = [
    (31_557_600, 0),
    (2_629_800, 1),
    (86_400, 2),
    (3_600, 3),
    (60, 4),
    (1, 5),
];

impl Say {
    /// The words of the page's language.
    #[must_use]
    pub fn words(&self) -> &'static Words {
        words::of(self.language)
    }

    /// A whole number.
    #[must_use]
    pub fn number(&self, number: u64) -> String {
        let digits = number.to_string();
        let (separator, least) = match self.language {
            Language::En => (',', 4),
            Language::Es => ('\u{a0}', 5),
        };
        if digits.len() < least {
            return digits;
        }
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                out.push(separator);
            }
            out.push(digit);
        }
        out
    }

    /// A number with that many digits after the sign.
    #[must_use]
    pub fn decimal(&self, number: f64, digits: usize) -> String {
        let text = format!("{number:.digits$}");
        match self.language {
            Language::En => text,
            Language::Es => text.replace('.', ","),
        }
    }

    /// A share of a whole, in per cent.
    #[must_use]
    pub fn percent(&self, part: f64) -> String {
        format!("{}{NBSP}%", self.decimal(part * 100.0, 0))
    }

    /// A number of bytes with three digits.
    #[must_use]
    pub fn bytes(&self, bytes: u64) -> String {
        let text = resguardo_model::size::ByteSize(bytes).to_string();
        let text = text.replace(' ', "\u{a0}");
        match self.language {
            Language::En => text,
            Language::Es => text.replace('.', ","),
        }
    }

    /// A length of time in at most two units: `38 ms`, `3.4 s`, `12 min`, `31 h 5 min`, `5 d 3 h`.
    #[must_use]
    pub fn duration(&self, seconds: f64) -> String {
        let seconds = if seconds.is_finite() {
            seconds.max(0.0)
        } else {
            0.0
        };
        if seconds < 0.9995 {
            return format!("{}{NBSP}ms", self.decimal(seconds * 1000.0, 0));
        }
        if seconds < 9.95 {
            return format!("{}{NBSP}s", self.decimal(seconds, 1));
        }
        if seconds < 59.5 {
            return format!("{}{NBSP}s", self.decimal(seconds, 0));
        }
        // 59.7 s is a minute, not "60 s".
        let seconds = seconds.max(MINUTE);
        let two = |large: f64, unit: &str, small: f64, small_unit: &str, largest: f64| {
            let whole = (seconds / large).floor();
            let rest = ((seconds - whole * large) / small).floor();
            let whole_text = self.decimal(whole, 0);
            if rest < 1.0 || whole >= largest {
                format!("{whole_text}{NBSP}{unit}")
            } else {
                format!(
                    "{whole_text}{NBSP}{unit} {}{NBSP}{small_unit}",
                    self.decimal(rest, 0)
                )
            }
        };
        if seconds < HOUR {
            two(MINUTE, "min", 1.0, "s", 10.0)
        } else if seconds < HOURS_MAX {
            two(HOUR, "h", MINUTE, "min", 24.0)
        } else {
            two(DAY, "d", HOUR, "h", 10.0)
        }
    }

    /// A length of time that was promised.
    #[must_use]
    pub fn promised(&self, seconds: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "shown with two units")]
        let seconds = seconds as f64;
        self.duration(seconds)
    }

    /// How far from now, in words: `3 days ago`, `in 4 hours`.
    #[must_use]
    pub fn relative(&self, moment: Timestamp) -> String {
        let seconds = moment.as_second() - self.now.as_second();
        let words = self.words();
        let found = STEPS
            .iter()
            .find(|(length, _)| seconds.abs() >= *length && *length >= 60);
        let Some((length, place)) = found else {
            return words.this_minute.to_owned();
        };
        let count = seconds.abs() / length;
        let [one, many] = words.units[*place];
        let unit = if count == 1 { one } else { many };
        let pattern = if seconds < 0 {
            words.ago
        } else {
            words.in_time
        };
        pattern.replace("{}", &format!("{count} {unit}"))
    }

    /// A moment to the minute: `22 Nov 2026, 04:00`.
    #[must_use]
    pub fn moment(&self, moment: Timestamp) -> String {
        let zoned = moment.to_zoned(self.zone.clone());
        let time = zoned.time();
        format!(
            "{}, {:02}:{:02}",
            self.date(zoned.date()),
            time.hour(),
            time.minute()
        )
    }

    /// A moment to the second, for what follows quickly.
    #[must_use]
    pub fn moment_exact(&self, moment: Timestamp) -> String {
        let second = moment.to_zoned(self.zone.clone()).time().second();
        format!("{}:{second:02}", self.moment(moment))
    }

    /// A day: `22 Nov 2026`.
    #[must_use]
    pub fn date(&self, date: Date) -> String {
        format!(
            "{}{NBSP}{}{NBSP}{}",
            date.day(),
            self.month(date),
            date.year()
        )
    }

    /// A month and its year: `Nov 2026`.
    #[must_use]
    pub fn month_of(&self, date: Date) -> String {
        format!("{}{NBSP}{}", self.month(date), date.year())
    }

    /// A month's short name.
    #[must_use]
    pub fn month(&self, date: Date) -> &'static str {
        let place = usize::try_from(date.month() - 1).expect("months are 1 to 12");
        self.words().months[place]
    }

    /// The day of a moment in the page's zone.
    #[must_use]
    pub fn day_of(&self, moment: Timestamp) -> Date {
        moment.to_zoned(self.zone.clone()).date()
    }

    /// The zone's name.
    #[must_use]
    pub fn zone_name(&self) -> String {
        match self.zone.iana_name() {
            Some(name) => name.to_owned(),
            None => self
                .now
                .to_zoned(self.zone.clone())
                .strftime("%:z")
                .to_string(),
        }
    }

    /// A relative time that the script keeps true.
    #[must_use]
    pub fn ago(&self, moment: Timestamp) -> Markup {
        html! { time datetime=(machine(moment)) { (self.relative(moment)) } }
    }

    /// A moment, and how far from now it is.
    #[must_use]
    pub fn at(&self, moment: Timestamp) -> Markup {
        html! {
            time.at datetime=(machine(moment)) { (self.moment(moment)) }
            " " span.dim { "(" (self.ago(moment)) ")" }
        }
    }

    /// A moment alone.
    #[must_use]
    pub fn when(&self, moment: Timestamp) -> Markup {
        html! { time.at datetime=(machine(moment)) { (self.moment(moment)) } }
    }
}

/// A moment as machines read it: to the minute, in UTC.
fn machine(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use super::*;

    fn say(language: Language) -> Say {
        Say {
            language,
            zone: TimeZone::get("America/Bogota").unwrap(),
            now: "2026-11-22T15:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn numbers_are_written_as_each_language_writes_them() {
        let (en, es) = (say(Language::En), say(Language::Es));
        for (number, english, spanish) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1234, "1,234", "1234"),
            (12_345, "12,345", "12\u{a0}345"),
            (1_234_567, "1,234,567", "1\u{a0}234\u{a0}567"),
        ] {
            assert_eq!(en.number(number), english);
            assert_eq!(es.number(number), spanish);
        }
        assert_eq!(en.bytes(1_420_000_000), "1.42\u{a0}GB");
        assert_eq!(es.bytes(1_420_000_000), "1,42\u{a0}GB");
        assert_eq!(es.percent(0.425), "42\u{a0}%");
    }

    #[test]
    fn lengths_have_two_units_at_most() {
        let (en, es) = (say(Language::En), say(Language::Es));
        for (seconds, english, spanish) in [
            (0.0, "0 ms", "0 ms"),
            (0.0381, "38 ms", "38 ms"),
            (0.9996, "1.0 s", "1,0 s"),
            (3.44, "3.4 s", "3,4 s"),
            (12.0, "12 s", "12 s"),
            (59.7, "1 min", "1 min"),
            (60.0, "1 min", "1 min"),
            (200.0, "3 min 20 s", "3 min 20 s"),
            (1_234.0, "20 min", "20 min"),
            (7_200.0, "2 h", "2 h"),
            (9_000.0, "2 h 30 min", "2 h 30 min"),
            (111_900.0, "31 h", "31 h"),
            (442_800.0, "5 d 3 h", "5 d 3 h"),
            (9_000_000.0, "104 d", "104 d"),
            (f64::NAN, "0 ms", "0 ms"),
            (-5.0, "0 ms", "0 ms"),
        ] {
            assert_eq!(en.duration(seconds).replace(NBSP, " "), english);
            assert_eq!(es.duration(seconds).replace(NBSP, " "), spanish);
        }
    }

    #[test]
    fn relative_times_are_whole_sentences() {
        let (en, es) = (say(Language::En), say(Language::Es));
        for (moment, english, spanish) in [
            ("2026-11-22T14:59:30Z", "this minute", "este minuto"),
            ("2026-11-22T14:59:00Z", "1 minute ago", "hace 1 minuto"),
            ("2026-11-19T14:00:00Z", "3 days ago", "hace 3 días"),
            ("2026-11-22T19:00:00Z", "in 4 hours", "dentro de 4 horas"),
            ("2026-09-01T00:00:00Z", "2 months ago", "hace 2 meses"),
            ("2024-09-01T00:00:00Z", "2 years ago", "hace 2 años"),
        ] {
            assert_eq!(en.relative(moment.parse().unwrap()), english);
            assert_eq!(es.relative(moment.parse().unwrap()), spanish);
        }
    }

    #[test]
    fn moments_are_those_of_the_zone() {
        let moment = "2026-11-22T03:05:09Z".parse().unwrap();
        let shown = say(Language::Es).moment_exact(moment).replace(NBSP, " ");
        assert_eq!(shown, "21 nov 2026, 22:05:09");
        assert_eq!(say(Language::En).zone_name(), "America/Bogota");
    }
}
