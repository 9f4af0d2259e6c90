//! Durations as people write them in a config: `90s`, `15m`, `4h`, `90d`, `2w`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A positive length of time in whole seconds, written as a number and one unit (`s m h d w`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    seconds: u64,
}

/// The text is no duration.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration; write a whole number and a unit, like 90s, 15m, 4h, 30d or 2w")]
pub struct NotADuration(pub String);

const UNITS: [(char, u64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

impl Span {
    /// A span of `seconds`.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self { seconds }
    }

    /// Its length in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.seconds
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_secs(span.seconds)
    }
}

impl FromStr for Span {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotADuration(text.to_owned());
        let unit = text.chars().last().ok_or_else(refused)?;
        let (_, factor) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(refused)?;
        let number = &text[..text.len() - unit.len_utf8()];
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let number: u64 = number.parse().map_err(|_| refused())?;
        Ok(Self {
            seconds: number.checked_mul(*factor).ok_or_else(refused)?,
        })
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it: `4h`, not `240m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, factor) = UNITS
            .iter()
            .find(|(_, factor)| self.seconds > 0 && self.seconds.is_multiple_of(*factor))
            .unwrap_or(&('s', 1));
        write!(f, "{}{name}", self.seconds / factor)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit_and_writes_the_largest() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("4h", 14_400),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.seconds(), seconds);
        }
        assert_eq!(
            "240m".parse::<Span>().map(|span| span.to_string()),
            Ok("4h".to_owned())
        );
        assert_eq!(
            "14d".parse::<Span>().map(|span| span.to_string()),
            Ok("2w".to_owned())
        );
        assert_eq!(Span::from_seconds(0).to_string(), "0s");
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for bad in [
            "",
            "4",
            "h",
            "-4h",
            "4 h",
            "1.5h",
            "4y",
            "99999999999999999999w",
            "4ñ",
        ] {
            assert_eq!(bad.parse::<Span>(), Err(NotADuration(bad.to_owned())));
        }
    }
}
