//! What there is to tell of exceptions, from how they stand.
//!
//! It is told from how they stand and not from what one look found changed: whoever looked first, on the command
//! line or on another machine, may have told nobody. The outbox sees to it that nobody hears the same twice.

use jiff::{SignedDuration, Timestamp};
use resguardo_model::What as Facts;
use resguardo_ops::exception::Exception;

use super::event::{Event, ExceptionFacts, FactName, What, word_of};
use super::since::Since;

/// What lies back longer is no news; who comes new is not told all of history.
const NEWS_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// What there is to tell of `exceptions` now, in the order in which it happened: the same for as long as
/// they stand as they do. Of one that was open before `since`, others have told until then.
#[must_use]
pub fn news(exceptions: &[Exception], now: Timestamp, since: Since) -> Vec<Event> {
    let mut events = Vec::new();
    for exception in exceptions {
        let told_until = since.of(exception);
        let is_new = |at: Timestamp| at > told_until && now.duration_since(at) <= NEWS_WITHIN;
        if !since.is_old(exception) && is_new(exception.opened_at) {
            events.push(about(exception, What::Opened, exception.opened_at));
        }
        if exception.times > 1 && is_new(exception.seen_at) {
            let mut event = about(exception, What::Worse, exception.seen_at);
            event.turn = i64::from(exception.times);
            events.push(event);
        }
        match exception.good_at {
            Some(at) if is_new(at) => events.push(about(exception, What::Good, at)),
            Some(_) => {}
            None if exception.resolved.is_some() => {}
            None => {
                let mut event = about(exception, What::Reminder, now);
                event.told_until = since.is_old(exception).then_some(told_until);
                events.push(event);
            }
        }
    }
    events
}

fn about(exception: &Exception, what: What, at: Timestamp) -> Event {
    let mut event = Event::new(what, at);
    event.source = Some(exception.source.clone());
    event.exception = Some(ExceptionFacts {
        id: exception.id.to_string(),
        kind: exception.kind.word().to_owned(),
        opened_at: exception.opened_at,
    });
    let times = Some(exception.times).filter(|times| *times > 1);
    with_facts(event, &exception.what).with(
        FactName::Times,
        times.map(|times| times.to_string()).unwrap_or_default(),
    )
}

fn with_facts(event: Event, facts: &Facts) -> Event {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    match facts {
        Facts::DrillFailed {
            backup,
            checks,
            verdict,
            ..
        } => event
            .with(FactName::Message, checks.join("\n"))
            .with(FactName::Backup, backup.to_string())
            .with(FactName::Verdict, word_of(*verdict)),
        Facts::DrillOverdue { due, proven_at } => event
            .with(FactName::DueAt, due.to_string())
            .with(FactName::ProvenAt, time(*proven_at)),
        Facts::RunFailed { verb, message, .. } => event
            .with(FactName::Message, message.clone())
            .with(FactName::Verb, verb.word()),
        Facts::RpoBreached {
            newest,
            target_seconds,
        } => event
            .with(FactName::NewestAt, time(*newest))
            .with(FactName::Target, length(to_f64(*target_seconds))),
        Facts::RtoBreached {
            seconds,
            target_seconds,
            ..
        } => event
            .with(FactName::Measured, length(*seconds))
            .with(FactName::Target, length(to_f64(*target_seconds))),
        Facts::CopyBehind { copies, backups } => event
            .with(FactName::Copy, copies.join(", "))
            .with(FactName::Behind, backups.to_string()),
        Facts::VerifyFindings {
            findings, message, ..
        } => event
            .with(FactName::Message, message.clone())
            .with(FactName::Findings, findings.to_string()),
        Facts::BackupOverdue { due, newest } => event
            .with(FactName::DueAt, due.to_string())
            .with(FactName::NewestAt, time(*newest)),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds that somebody promised: far fewer than 2^52"
)]
fn to_f64(seconds: u64) -> f64 {
    seconds as f64
}

/// A length of time in its two largest units: `1d 2h`, `1h 10m`, `4m 5s`, `2.5s`.
pub(super) fn length(seconds: f64) -> String {
    let whole = SignedDuration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(SignedDuration::MAX);
    let whole = whole.as_secs();
    if whole < 60 {
        return format!("{seconds:.1}s");
    }
    let units = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
    let mut left = whole;
    let mut parts = Vec::new();
    for (name, size) in units {
        if left >= size || !parts.is_empty() {
            parts.push((left / size, name));
            left %= size;
        }
    }
    parts
        .iter()
        .take(2)
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{number}{name}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "test")]

    use resguardo_model::ExceptionKind;

    use super::*;

    fn exception() -> Exception {
        Exception {
            id: "01jd8kq2v3m4n5p6q7r8s9t0vw".parse().unwrap(),
            source: "shop".parse().unwrap(),
            kind: ExceptionKind::RtoBreached,
            what: Facts::RtoBreached {
                at: "2026-11-22T09:00:00Z".parse().unwrap(),
                seconds: 4205.0,
                target_seconds: 3600,
                receipt: "r".to_owned(),
            },
            times: 2,
            opened_at: "2026-11-22T09:00:00Z".parse().unwrap(),
            seen_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            good_at: None,
            receipt: None,
            resolved: None,
        }
    }

    fn words(exception: &Exception, now: &str) -> Vec<What> {
        let now = format!("2026-11-{now}:00Z").parse().unwrap();
        let events = news(std::slice::from_ref(exception), now, Since::EVER);
        events.iter().map(|event| event.what).collect()
    }

    #[test]
    fn news_are_what_happened_within_a_day() {
        let again = exception();
        assert_eq!(
            words(&again, "22T10:01"),
            [What::Opened, What::Worse, What::Reminder]
        );
        assert_eq!(words(&again, "23T09:30"), [What::Worse, What::Reminder]);
        assert_eq!(words(&again, "25T09:30"), [What::Reminder]);
        let good = Exception {
            times: 1,
            good_at: Some("2026-11-22T11:00:00Z".parse().unwrap()),
            ..exception()
        };
        assert_eq!(words(&good, "22T11:01"), [What::Opened, What::Good]);
        assert_eq!(words(&good, "23T10:30"), [What::Good]);
        assert_eq!(words(&good, "25T10:30"), []);
    }

    #[test]
    fn a_machine_that_comes_new_tells_what_changes_after_its_first_look() {
        let at = |time: &str| format!("2026-11-22T{time}:00Z").parse().unwrap();
        let since = Since::first(at("09:30"), at("10:00"));
        let words = |exception: &Exception| -> Vec<What> {
            let events = news(std::slice::from_ref(exception), at("11:00"), since);
            events.iter().map(|event| event.what).collect()
        };
        // It was opened, and got worse, before: it is open, and reminders go on from where they are.
        let old = exception();
        assert_eq!(words(&old), [What::Reminder]);
        let reminder = &news(std::slice::from_ref(&old), at("11:00"), since)[0];
        assert_eq!(reminder.told_until, Some(at("10:00")));
        // What the first look found to be over was over before.
        let good_at = |time: &str| Exception {
            good_at: Some(at(time)),
            ..exception()
        };
        assert_eq!(words(&good_at("10:00")), []);
        assert_eq!(words(&good_at("10:01")), [What::Good]);
        let worse = Exception {
            seen_at: at("10:30"),
            ..exception()
        };
        assert_eq!(words(&worse), [What::Worse, What::Reminder]);
        // What it opened itself is new.
        let own = Exception {
            opened_at: at("09:30"),
            times: 1,
            ..exception()
        };
        assert_eq!(words(&own), [What::Opened, What::Reminder]);
    }

    #[test]
    fn an_event_has_the_facts_and_a_key_that_stays() {
        let now = "2026-11-22T10:00:00Z".parse().unwrap();
        let event = &news(&[exception()], now, Since::EVER)[1];
        assert_eq!(event.what, What::Worse);
        assert_eq!(event.at, exception().seen_at);
        assert_eq!(event.exception.as_ref().unwrap().kind, "rto_breached");
        assert_eq!(event.fact(FactName::Measured), Some("1h 10m"));
        assert_eq!(event.fact(FactName::Target), Some("1h"));
        assert_eq!(event.fact(FactName::Times), Some("2"));
        let later = Exception {
            seen_at: "2026-11-22T10:05:00Z".parse().unwrap(),
            ..exception()
        };
        let seen_later = &news(&[later], now, Since::EVER)[1];
        assert_eq!(event.change(0), seen_later.change(0));
    }

    #[test]
    fn lengths_are_read_at_a_glance() {
        for (seconds, text) in [
            (2.54, "2.5s"),
            (60.0, "1m"),
            (245.0, "4m 5s"),
            (4200.0, "1h 10m"),
            (86_400.0, "1d"),
            (93_700.0, "1d 2h"),
            (f64::MAX, "106751991167300d 15h"),
        ] {
            assert_eq!(length(seconds), text);
        }
    }
}
