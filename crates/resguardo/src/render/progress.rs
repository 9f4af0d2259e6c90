//! Progress: a bar on a terminal, a plain line per phase otherwise. All of it on standard error.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use resguardo_model::Progress;

use super::Output;
use super::time;

/// Draws a bar, and leaves a line with the time of each phase behind.
pub struct TerminalProgress {
    bar: ProgressBar,
    phase: Mutex<Option<(String, Instant)>>,
}

impl TerminalProgress {
    /// A bar that shows nothing before the first phase.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bar: ProgressBar::new_spinner(),
            phase: Mutex::new(None),
        }
    }

    fn end_phase(&self) {
        let ended = self
            .phase
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((name, since)) = ended {
            let took = time::length(since.elapsed().as_secs_f64());
            self.bar.println(format!("  {name:<12} {took:>9}"));
        }
    }
}

impl Progress for TerminalProgress {
    fn phase(&self, name: &str) {
        self.end_phase();
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((name.to_owned(), Instant::now()));
        self.bar.set_style(style("  {spinner} {msg:<10} {elapsed}"));
        self.bar.reset();
        self.bar.enable_steady_tick(Duration::from_millis(100));
        self.bar.set_message(name.to_owned());
    }

    fn bytes(&self, done: u64, total: Option<u64>) {
        if self.bar.length() != total {
            if let Some(total) = total {
                self.bar.set_style(style(
                    "  {spinner} {msg:<10} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}",
                ));
                self.bar.set_length(total);
            } else {
                self.bar
                    .set_style(style("  {spinner} {msg:<10} {bytes} {bytes_per_sec}"));
                self.bar.unset_length();
            }
        }
        self.bar.set_position(done);
    }

    fn note(&self, line: &str) {
        self.bar.println(format!("note: {line}"));
    }
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        self.end_phase();
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are literals, and a test reads them")
}

/// One line as each phase begins, for logs.
pub struct PlainProgress {
    out: Output,
}

impl PlainProgress {
    /// Lines on standard error.
    #[must_use]
    pub fn new(out: Output) -> Self {
        Self { out }
    }
}

impl Progress for PlainProgress {
    fn phase(&self, name: &str) {
        self.out.error_line(&format!("phase: {name}"));
    }

    fn bytes(&self, _done: u64, _total: Option<u64>) {}

    fn note(&self, line: &str) {
        self.out.note(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        let progress = TerminalProgress::new();
        progress.phase("restore");
        progress.bytes(1, None);
        progress.bytes(1, Some(10));
        progress.phase("checks");
    }
}
