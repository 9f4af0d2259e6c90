//! What the log is told of refused logins: so many lines a minute, whoever tries however much.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lines of one stretch of time.
const LINES_MAX: u32 = 20;
/// That stretch.
const STRETCH: Duration = Duration::from_secs(60);

/// What was told of late: since when, and how many were refused since.
#[derive(Default)]
pub(super) struct Refusals(Mutex<Option<(Instant, u32)>>);

impl Refusals {
    /// What to tell of a refusal; `None`: nothing.
    pub(super) fn line(&self, now: Instant, line: String) -> Option<String> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, count) = held
            .filter(|(began, _)| now.duration_since(*began) < STRETCH)
            .unwrap_or((now, 0));
        *held = Some((began, count.saturating_add(1)));
        if count < LINES_MAX {
            return Some(line);
        }
        (count == LINES_MAX).then(|| "further refused logins are not told for a minute".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_not_filled() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let lines: Vec<_> = (0..1000)
            .filter_map(|number| refusals.line(now, format!("{number}")))
            .collect();
        assert_eq!(lines.len(), LINES_MAX as usize + 1);
        assert_eq!(lines[0], "0");
        assert!(lines[LINES_MAX as usize].starts_with("further"));
        let later = now + STRETCH;
        assert_eq!(refusals.line(later, "x".to_owned()).as_deref(), Some("x"));
    }
}
