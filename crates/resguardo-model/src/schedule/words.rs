//! Schedules in words, as fields of cron.

use super::NotASchedule;

const WEEKDAYS: [(&str, u8); 7] = [
    ("sunday", 0),
    ("monday", 1),
    ("tuesday", 2),
    ("wednesday", 3),
    ("thursday", 4),
    ("friday", 5),
    ("saturday", 6),
];
const ORDINALS: [(&str, &str); 5] = [
    ("first", "#1"),
    ("second", "#2"),
    ("third", "#3"),
    ("fourth", "#4"),
    ("last", "#L"),
];

/// The patterns of cron that the words mean; one for each time of day.
pub(super) fn patterns(text: &str) -> Result<Vec<String>, NotASchedule> {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let reading = Reading { text };
    match words.as_slice() {
        ["hourly"] => Ok(vec!["0 * * * *".to_owned()]),
        ["hourly", minute] => reading.hourly(minute),
        ["every", length] => reading.every(length),
        ["daily", times @ ..] => reading.at(times, "* * *"),
        ["weekdays", times @ ..] => reading.at(times, "* * 1-5"),
        ["weekly", days, times @ ..] => {
            let days = reading.weekdays(days)?;
            reading.at(times, &format!("* * {days}"))
        }
        ["monthly", "last", time] if is_time(time) => reading.at(&[time], "L * *"),
        ["monthly", ordinal, day, times @ ..] if ordinal_of(ordinal).is_some() => {
            let ordinal = ordinal_of(ordinal).unwrap_or_default();
            let day = reading.weekday(day)?;
            reading.at(times, &format!("* * {day}{ordinal}"))
        }
        ["monthly", day, times @ ..] => {
            let day = reading.number(day, 1..=31, "a day of the month is 1 to 31, or last")?;
            reading.at(times, &format!("{day} * *"))
        }
        ["yearly", date, times @ ..] => {
            let (month, day) = date
                .split_once('-')
                .ok_or_else(|| reading.wrong("a date of a year is month-day, like 01-15"))?;
            let month = reading.number(month, 1..=12, "a month is 1 to 12")?;
            let day = reading.number(day, 1..=31, "a day of the month is 1 to 31")?;
            reading.at(times, &format!("{day} {month} *"))
        }
        _ => Err(NotASchedule::Unknown {
            text: text.to_owned(),
        }),
    }
}

fn is_time(word: &str) -> bool {
    word.contains(':')
}

fn ordinal_of(word: &str) -> Option<&'static str> {
    let found = ORDINALS.iter().find(|(name, _)| *name == word);
    found.map(|(_, suffix)| *suffix)
}

struct Reading<'a> {
    text: &'a str,
}

impl Reading<'_> {
    fn wrong(&self, why: &str) -> NotASchedule {
        NotASchedule::Wrong {
            text: self.text.to_owned(),
            why: why.to_owned(),
        }
    }

    fn number(
        &self,
        word: &str,
        within: std::ops::RangeInclusive<u8>,
        why: &str,
    ) -> Result<u8, NotASchedule> {
        word.parse()
            .ok()
            .filter(|number| within.contains(number))
            .ok_or_else(|| self.wrong(why))
    }

    /// `:15`, a minute of every hour.
    fn hourly(&self, minute: &str) -> Result<Vec<String>, NotASchedule> {
        let why = "a minute of each hour is written like :15";
        let minute = minute.strip_prefix(':').ok_or_else(|| self.wrong(why))?;
        let minute = self.number(minute, 0..=59, why)?;
        Ok(vec![format!("{minute} * * * *")])
    }

    /// `15m` or `6h`: as often as fits into an hour or a day.
    fn every(&self, length: &str) -> Result<Vec<String>, NotASchedule> {
        let why = "every is followed by minutes that divide an hour or hours that divide a day, like 15m or 6h";
        let (number, unit) =
            length.split_at(length.len() - length.chars().next_back().map_or(0, char::len_utf8));
        let number: u8 = number.parse().map_err(|_| self.wrong(why))?;
        let divides = |whole: u8| number > 0 && whole.is_multiple_of(number);
        match unit {
            "m" if number == 60 => Ok(vec!["0 * * * *".to_owned()]),
            "m" if divides(60) => Ok(vec![format!("*/{number} * * * *")]),
            "h" if number == 1 => Ok(vec!["0 * * * *".to_owned()]),
            "h" if divides(24) => Ok(vec![format!("0 */{number} * * *")]),
            _ => Err(self.wrong(why)),
        }
    }

    /// One pattern for each time of day; `days` are the three fields behind it.
    fn at(&self, times: &[&str], days: &str) -> Result<Vec<String>, NotASchedule> {
        if times.is_empty() {
            return Err(self.wrong("a time of day is missing, like 02:00"));
        }
        let pattern = |time: &&str| {
            let why = "a time of day is written like 02:00";
            let (hour, minute) = time
                .trim_end_matches(',')
                .split_once(':')
                .filter(|(_, minute)| minute.len() == 2)
                .ok_or_else(|| self.wrong(why))?;
            let hour = self.number(hour, 0..=23, why)?;
            let minute = self.number(minute, 0..=59, why)?;
            Ok(format!("{minute} {hour} {days}"))
        };
        times.iter().map(pattern).collect()
    }

    fn weekday(&self, word: &str) -> Result<u8, NotASchedule> {
        let found = WEEKDAYS
            .iter()
            .find(|(name, _)| *name == word || (word.len() == 3 && name.starts_with(word)));
        let (_, number) =
            found.ok_or_else(|| self.wrong("a day of the week is written like sunday or sun"))?;
        Ok(*number)
    }

    fn weekdays(&self, words: &str) -> Result<String, NotASchedule> {
        let numbers: Vec<String> = words
            .split(',')
            .map(|word| self.weekday(word).map(|number| number.to_string()))
            .collect::<Result<_, _>>()?;
        Ok(numbers.join(","))
    }
}
